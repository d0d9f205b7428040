package checkpoint

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"hash/crc32"
	"io"
	"math"
	"path"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"
)

// This file reads the directory of a zip archive, and nothing else of it.
//
// archive/zip is made for archives of any origin: it accepts duplicate names,
// overlapping entries, bytes in front of, between and behind the entries, and
// local headers that contradict the directory. Each of these has been used to
// show a scanner one archive and torch another. A checkpoint has none of
// them, so here the entries have to tile the file from its first byte to the
// directory, and everything said twice has to be said alike.
//
// Format: PKWARE APPNOTE.TXT 6.3.10, sections 4.3 to 4.5.

const (
	localSize      = 30
	entrySize      = 46
	endSize        = 22
	end64Size      = 56
	locatorSize    = 20
	localMagic     = 0x04034b50
	entryMagic     = 0x02014b50
	endMagic       = 0x06054b50
	end64Magic     = 0x06064b50
	locatorMagic   = 0x07064b50
	descriptorMark = 0x08074b50

	methodStored = 0

	flagEncrypted  = 1 << 0
	flagLevel      = 3 << 1 // compression level hint
	flagDescriptor = 1 << 3 // sizes and CRC follow the data
	flagUTF8       = 1 << 11
	knownFlags     = flagLevel | flagDescriptor | flagUTF8
)

// A zipEntry is one record of an archive, as the directory describes it.
type zipEntry struct {
	name         string
	flags        uint16
	method       uint16
	crc          uint32
	packed, size uint64 // bytes in the file, bytes when unpacked
	header       uint64 // offset of the local header
	data         uint64 // offset of the first data byte
}

// endsAsZip says whether a directory ends exactly at the end of the file.
func endsAsZip(r io.ReaderAt, fileSize int64) bool {
	if fileSize < endSize {
		return false
	}
	var end [endSize]byte
	if readFull(r, end[:], fileSize-endSize) != nil {
		return false
	}
	le := binary.LittleEndian
	return le.Uint32(end[:]) == endMagic && le.Uint16(end[20:]) == 0
}

// readZip returns the entries by name and the folder that they all lie in.
func readZip(r io.ReaderAt, fileSize int64) (entries map[string]*zipEntry, root string, err error) {
	dir, err := findDirectory(r, fileSize)
	if err != nil {
		return nil, "", err
	}
	list, err := dir.read(r)
	if err != nil {
		return nil, "", err
	}
	entries = make(map[string]*zipEntry, len(list))
	for i, e := range list {
		clean := strings.TrimSuffix(e.name, "/")
		if entries[clean] != nil {
			return nil, "", fault(Corrupt, "archive entry occurs twice").in(e.name)
		}
		entries[clean] = e
		first, _, _ := strings.Cut(e.name, "/")
		if i > 0 && first != root {
			return nil, "", fault(Corrupt, "archive has two roots").in(e.name).wanted(quote(root), quote(first))
		}
		root = first
	}
	if err := checkLocalHeaders(r, list, dir.start); err != nil {
		return nil, "", err
	}
	return entries, root, nil
}

// A directory is where the central directory lies and how many entries it
// says it has.
type directory struct {
	start, size, entries uint64
}

func findDirectory(r io.ReaderAt, fileSize int64) (directory, error) {
	le := binary.LittleEndian
	if !endsAsZip(r, fileSize) {
		return directory{}, fault(Corrupt, "zip archive does not end with its directory: truncated, or with bytes appended").at(max(0, fileSize-endSize))
	}
	endAt := uint64(fileSize - endSize)
	var end [endSize]byte
	if err := readFull(r, end[:], int64(endAt)); err != nil {
		return directory{}, err
	}
	d := directory{
		entries: uint64(le.Uint16(end[10:])),
		size:    uint64(le.Uint32(end[12:])),
		start:   uint64(le.Uint32(end[16:])),
	}
	if le.Uint16(end[4:]) != 0 || le.Uint16(end[6:]) != 0 || le.Uint16(end[8:]) != le.Uint16(end[10:]) {
		return d, fault(Unsupported, "zip archive in several parts").at(int64(endAt))
	}
	dirEnd := endAt
	wide, err := d.widen(r, endAt)
	if err != nil {
		return d, err
	}
	if wide {
		dirEnd -= locatorSize + end64Size
	}
	if total := sizeOf(d.start).plus(d.size); total.overflow || total.n != dirEnd {
		return d, fault(Corrupt, "zip directory does not lie where the archive says").at(int64(endAt)).
			wanted("end at byte "+uintText(dirEnd), rangeText(d.start, total.n))
	}
	if d.entries > maxZipEntries || d.size > maxDirectory {
		return d, fault(Limit, "zip directory with %d entries in %d bytes", d.entries, d.size).at(int64(endAt)).
			wanted("at most 8192 entries in 16 MiB", d.entries)
	}
	if d.entries == 0 {
		return d, fault(Corrupt, "empty zip archive").at(int64(endAt))
	}
	return d, nil
}

// widen replaces d by the zip64 directory record, if there is one. torch
// always writes one, even where the old record could say it all.
func (d *directory) widen(r io.ReaderAt, endAt uint64) (bool, error) {
	saturated := d.entries == math.MaxUint16 || d.size == math.MaxUint32 || d.start == math.MaxUint32
	if endAt < locatorSize+end64Size {
		if saturated {
			return false, fault(Corrupt, "zip64 directory missing").at(int64(endAt))
		}
		return false, nil
	}
	le := binary.LittleEndian
	var locator [locatorSize]byte
	if err := readFull(r, locator[:], int64(endAt-locatorSize)); err != nil {
		return false, err
	}
	if le.Uint32(locator[:]) != locatorMagic {
		if saturated {
			return false, fault(Corrupt, "zip64 directory missing").at(int64(endAt))
		}
		return false, nil
	}
	recordAt := endAt - locatorSize - end64Size
	var record [end64Size]byte
	if err := readFull(r, record[:], int64(recordAt)); err != nil {
		return false, err
	}
	malformed := le.Uint64(locator[8:]) != recordAt || le.Uint32(locator[4:]) != 0 || le.Uint32(locator[16:]) > 1 ||
		le.Uint32(record[:]) != end64Magic || le.Uint64(record[4:]) != end64Size-12 ||
		le.Uint32(record[16:]) != 0 || le.Uint32(record[20:]) != 0 || le.Uint64(record[24:]) != le.Uint64(record[32:])
	if malformed {
		return false, fault(Corrupt, "malformed zip64 directory record").at(int64(recordAt))
	}
	full := directory{entries: le.Uint64(record[32:]), size: le.Uint64(record[40:]), start: le.Uint64(record[48:])}
	agree := func(narrow, wide, saturated uint64) bool { return narrow == wide || narrow == saturated }
	if !agree(d.entries, full.entries, math.MaxUint16) || !agree(d.size, full.size, math.MaxUint32) ||
		!agree(d.start, full.start, math.MaxUint32) {
		return false, fault(Corrupt, "zip and zip64 directory records disagree").at(int64(recordAt)).wanted(*d, full)
	}
	*d = full
	return true, nil
}

// read parses the central directory.
func (d directory) read(r io.ReaderAt) ([]*zipEntry, error) {
	raw := make([]byte, d.size)
	if err := readFull(r, raw, int64(d.start)); err != nil {
		return nil, err
	}
	var list []*zipEntry
	for at := uint64(0); at < d.size; {
		e, n, err := parseEntry(raw[at:])
		if err != nil {
			return nil, err.at(int64(d.start + at))
		}
		at += n
		list = append(list, e)
	}
	if uint64(len(list)) != d.entries {
		return nil, fault(Corrupt, "zip directory has another number of entries than it says").
			at(int64(d.start)).wanted(d.entries, len(list))
	}
	return list, nil
}

// parseEntry parses the directory entry that raw starts with and returns its
// length.
func parseEntry(raw []byte) (*zipEntry, uint64, *Error) {
	le := binary.LittleEndian
	if len(raw) < entrySize || le.Uint32(raw) != entryMagic {
		return nil, 0, fault(Corrupt, "malformed zip directory entry")
	}
	e := &zipEntry{
		flags:  le.Uint16(raw[8:]),
		method: le.Uint16(raw[10:]),
		crc:    le.Uint32(raw[16:]),
		packed: uint64(le.Uint32(raw[20:])),
		size:   uint64(le.Uint32(raw[24:])),
		header: uint64(le.Uint32(raw[42:])),
	}
	nameLen, extraLen, commentLen := int(le.Uint16(raw[28:])), int(le.Uint16(raw[30:])), int(le.Uint16(raw[32:]))
	total := entrySize + nameLen + extraLen + commentLen
	if total > len(raw) {
		return nil, 0, fault(Corrupt, "zip directory entry reaches beyond the directory")
	}
	e.name = string(raw[entrySize : entrySize+nameLen])
	if err := checkEntryName(e.name); err != nil {
		return nil, 0, err
	}
	switch {
	case commentLen != 0:
		return nil, 0, fault(Corrupt, "zip entry with a comment").in(e.name)
	case le.Uint16(raw[34:]) != 0:
		return nil, 0, fault(Unsupported, "zip archive in several parts").in(e.name)
	case e.flags&flagEncrypted != 0:
		return nil, 0, fault(Unsupported, "encrypted zip entry").in(e.name)
	case e.flags&^knownFlags != 0:
		return nil, 0, fault(Unsupported, "zip entry with unknown flags 0x%04x", e.flags).in(e.name)
	}
	if err := e.widen(raw[entrySize+nameLen : entrySize+nameLen+extraLen]); err != nil {
		return nil, 0, err.in(e.name)
	}
	if e.method == methodStored && e.packed != e.size {
		return nil, 0, fault(Corrupt, "stored zip entry of two sizes").in(e.name).wanted(e.packed, e.size)
	}
	if strings.HasSuffix(e.name, "/") && e.size != 0 {
		return nil, 0, fault(Corrupt, "zip folder entry with content").in(e.name)
	}
	return e, uint64(total), nil
}

func checkEntryName(name string) *Error {
	if name == "" || len(name) > maxZipName {
		return fault(Limit, "zip entry name of %d bytes", len(name)).in(name)
	}
	bad := !utf8.ValidString(name) || strings.ContainsFunc(name, unicode.IsControl) || strings.Contains(name, `\`)
	clean := strings.TrimSuffix(name, "/")
	if bad || path.Clean(clean) != clean || path.IsAbs(clean) || clean == "." || clean == ".." || strings.HasPrefix(clean, "../") {
		return fault(Corrupt, "zip entry name is not a plain relative path").in(name)
	}
	return nil
}

// widen takes the values that did not fit 32 bits from the zip64 extra field.
func (e *zipEntry) widen(extra []byte) *Error {
	le := binary.LittleEndian
	seen := false
	for len(extra) > 0 {
		if len(extra) < 4 || int(le.Uint16(extra[2:])) > len(extra)-4 {
			return fault(Corrupt, "malformed zip extra field")
		}
		id, field := le.Uint16(extra), extra[4:4+le.Uint16(extra[2:])]
		extra = extra[4+len(field):]
		if id != 1 {
			continue
		}
		if seen {
			return fault(Corrupt, "zip64 extra field occurs twice")
		}
		seen = true
		for _, v := range []*uint64{&e.size, &e.packed, &e.header} {
			if *v != math.MaxUint32 {
				continue
			}
			if len(field) < 8 {
				return fault(Corrupt, "zip64 extra field too short")
			}
			*v = le.Uint64(field)
			field = field[8:]
		}
		if len(field) != 0 {
			return fault(Corrupt, "zip64 extra field with values that were not called for")
		}
	}
	if !seen && (e.size == math.MaxUint32 || e.packed == math.MaxUint32 || e.header == math.MaxUint32) {
		return fault(Corrupt, "zip64 extra field missing")
	}
	return nil
}

// checkLocalHeaders compares every entry with the header in front of its data
// and requires that the entries fill [0, end) without overlap or gap.
func checkLocalHeaders(r io.ReaderAt, list []*zipEntry, end uint64) error {
	order := slices.Clone(list)
	slices.SortStableFunc(order, func(a, b *zipEntry) int { return cmp.Compare(a.header, b.header) })
	at := uint64(0)
	for i, e := range order {
		if e.header != at {
			problem := "zip entries overlap"
			if e.header > at {
				problem = "bytes between zip entries"
			}
			return fault(Corrupt, "%s", problem).in(e.name).at(clampOffset(e.header)).wanted(at, e.header)
		}
		next := end
		if i+1 < len(order) {
			next = min(end, order[i+1].header) // else what lies behind the file would be looked for
		}
		if err := e.checkLocal(r, next); err != nil {
			return entryFault(err, e.name)
		}
		at = next
	}
	return nil
}

// checkLocal checks the local header, data range and data descriptor of an
// entry whose successor starts at next.
func (e *zipEntry) checkLocal(r io.ReaderAt, next uint64) error {
	le := binary.LittleEndian
	offset := clampOffset(e.header)
	if sizeOf(e.header).plus(localSize).n > next {
		return fault(Corrupt, "zip entries overlap").at(offset)
	}
	var local [localSize]byte
	if err := readFull(r, local[:], offset); err != nil {
		return err
	}
	if le.Uint32(local[:]) != localMagic {
		return fault(Corrupt, "no zip header where the directory says").at(offset)
	}
	nameLen, extraLen := uint64(le.Uint16(local[26:])), uint64(le.Uint16(local[28:]))
	e.data = e.header + localSize + nameLen + extraLen
	dataEnd := sizeOf(e.data).plus(e.packed)
	if dataEnd.overflow || dataEnd.n > next {
		return fault(Corrupt, "zip entry reaches into the next").at(offset).wanted("end by byte "+uintText(next), rangeText(e.data, dataEnd.n))
	}
	name := make([]byte, nameLen)
	if err := readFull(r, name, offset+localSize); err != nil {
		return err
	}
	if string(name) != e.name || le.Uint16(local[6:]) != e.flags || le.Uint16(local[8:]) != e.method {
		return fault(Corrupt, "zip header and directory disagree on name, flags or method").at(offset).wanted(quote(e.name), quote(string(name)))
	}
	crc, packed, size := le.Uint32(local[14:]), le.Uint32(local[18:]), le.Uint32(local[22:])
	if e.flags&flagDescriptor != 0 {
		// The writer did not know them yet; zeros stand here.
		if crc|packed|size != 0 && (crc != e.crc || !sameSize(packed, e.packed) || !sameSize(size, e.size)) {
			return fault(Corrupt, "zip header and directory disagree on sizes or CRC-32").at(offset)
		}
		return e.checkDescriptor(r, dataEnd.n, next)
	}
	if crc != e.crc || !sameSize(packed, e.packed) || !sameSize(size, e.size) {
		return fault(Corrupt, "zip header and directory disagree on sizes or CRC-32").at(offset)
	}
	if dataEnd.n != next {
		return fault(Corrupt, "bytes between zip entries").at(clampOffset(dataEnd.n)).wanted(dataEnd.n, next)
	}
	return nil
}

// sameSize compares a 32-bit size, saturated where the zip64 field holds it.
func sameSize(narrow uint32, wide uint64) bool {
	return narrow == math.MaxUint32 || uint64(narrow) == wide
}

// checkDescriptor checks that [at, next) is a data descriptor in one of the
// four forms writers use (with or without mark, sizes of 32 or 64 bits) and
// repeats the directory.
func (e *zipEntry) checkDescriptor(r io.ReaderAt, at, next uint64) error {
	le := binary.LittleEndian
	var with32, with64 []byte
	with32 = le.AppendUint32(with32, descriptorMark)
	with32 = le.AppendUint32(with32, e.crc)
	with64 = slices.Clone(with32)
	with32 = le.AppendUint32(with32, uint32(e.packed))
	with32 = le.AppendUint32(with32, uint32(e.size))
	with64 = le.AppendUint64(with64, e.packed)
	with64 = le.AppendUint64(with64, e.size)
	if next-at <= uint64(len(with64)) {
		got := make([]byte, next-at)
		if err := readFull(r, got, clampOffset(at)); err != nil {
			return err
		}
		for _, form := range [][]byte{with32, with32[4:], with64, with64[4:]} {
			if bytes.Equal(got, form) {
				return nil
			}
		}
	}
	return fault(Corrupt, "zip data descriptor does not repeat the directory").at(clampOffset(at))
}

// stored returns a view of an entry's bytes, which must not be compressed.
func (e *zipEntry) stored(r io.ReaderAt, path string) (*storage, error) {
	if e.method != methodStored {
		return nil, fault(Unsupported, "compressed zip entry: torch stores weights plainly").in(e.name).wanted("method 0", e.method)
	}
	return &storage{
		r: r, path: path, entry: e.name,
		offset: int64(e.data), size: int64(e.size), crc: e.crc, hasCRC: true,
	}, nil
}

// content reads a small stored entry and checks its CRC-32.
func (e *zipEntry) content(r io.ReaderAt, limit uint64) ([]byte, error) {
	s, err := e.stored(r, "")
	if err != nil {
		return nil, err
	}
	if e.size > limit {
		return nil, fault(Limit, "zip entry too large").in(e.name).wanted("at most "+uintText(limit)+" bytes", e.size)
	}
	buf := make([]byte, e.size)
	if err := readFull(r, buf, s.offset); err != nil {
		return nil, err
	}
	if got := crc32.ChecksumIEEE(buf); got != e.crc {
		return nil, crcFault(e.name, s.offset, e.crc, got)
	}
	return buf, nil
}
