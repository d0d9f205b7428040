package parquet

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/bits"
)

// A Value is a row's value in a column.
type Value struct {
	// Null says that there is none.
	Null bool
	// Int is the value of an INT32 or INT64 column.
	Int int64
	// Bytes are those of a BYTE_ARRAY column; they are valid until the next value.
	Bytes []byte
	// Offset is where Bytes lie in the file, or -1 if they do not lie there as they are, being compressed or in a dictionary.
	Offset int64
}

var codecs = [...]string{"UNCOMPRESSED", "SNAPPY", "GZIP", "LZO", "BROTLI", "LZ4", "ZSTD", "LZ4_RAW"}

// Read calls visit for the value of every row of a column, in order, and ends with its error.
func (f *File) Read(column int, visit func(Value) error) error {
	c := &f.Columns[column]
	switch {
	case c.Repeated:
		return fmt.Errorf("column %q has lists", c.Name())
	case c.Type != Int32 && c.Type != Int64 && c.Type != ByteArray:
		return fmt.Errorf("column %q is %v; INT32, INT64 and BYTE_ARRAY are read", c.Name(), c.Type)
	}
	for i, g := range f.groups {
		r := pages{f: f, c: c, k: g.chunks[column], visit: visit}
		if r.k.values != g.rows {
			return fmt.Errorf("column %q has %d values in a group of %d rows", c.Name(), r.k.values, g.rows)
		}
		if err := r.read(); err != nil {
			var stop *stopped
			if errors.As(err, &stop) {
				return stop.err
			}
			return fmt.Errorf("group %d, column %q: %w", i, c.Name(), err)
		}
	}
	return nil
}

// stopped is an error of the caller's.
type stopped struct{ err error }

func (s *stopped) Error() string { return s.err.Error() }

// pages reads the pages of a chunk.
type pages struct {
	f     *File
	c     *Column
	k     chunk
	visit func(Value) error
	dict  []Value
}

// Types of pages.
const (
	pageData       = 0
	pageIndex      = 1
	pageDictionary = 2
	pageDataV2     = 3
)

// Encodings.
const (
	encPlain           = 0
	encPlainDictionary = 2
	encRLE             = 3
	encRLEDictionary   = 8
)

var errShort = errors.New("a page ends before its values")

func (r *pages) read() error {
	var done int64
	for at := r.k.start; done < r.k.values; {
		if at >= r.k.end {
			return fmt.Errorf("has %d values and says %d", done, r.k.values)
		}
		head, size, err := r.header(at)
		if err != nil {
			return err
		}
		at += size
		packed, whole := head[3].n, head[2].n
		limit := int64(maxPage)
		switch {
		case head[1].n == pageDictionary:
			limit = maxDictionary
		case r.k.codec != 0:
			limit = maxUnpacked
		}
		if packed < 0 || packed > r.k.end-at || whole < 0 || whole > limit {
			return fmt.Errorf("a page of %d bytes, %d when unpacked, is not in its column", packed, whole)
		}
		n, err := r.page(head, at, packed, whole, r.k.values-done)
		if err != nil {
			return err
		}
		done += n
		at += packed
	}
	return nil
}

// header reads the header of a page, which says itself where it ends.
func (r *pages) header(at int64) (map[int16]value, int64, error) {
	for room := int64(1 << 10); ; room <<= 4 { // statistics may hold values, and so pictures
		room = min(room, r.k.end-at, 64<<20)
		buf := make([]byte, room)
		if _, err := r.f.r.ReadAt(buf, at); err != nil {
			return nil, 0, err
		}
		d := decoder{data: buf}
		v, err := d.structure(0)
		if err == nil {
			return v.fields, room - int64(len(d.data)), nil
		}
		if room == r.k.end-at || room == 64<<20 {
			return nil, 0, err
		}
	}
}

// page reads a page and returns how many values it has; left is how many may come.
func (r *pages) page(head map[int16]value, at, packed, whole, left int64) (int64, error) {
	switch head[1].n {
	case pageIndex:
		return 0, nil
	case pageDictionary, pageData, pageDataV2:
	default:
		return 0, fmt.Errorf("page of type %d", head[1].n)
	}
	raw := make([]byte, packed)
	if _, err := r.f.r.ReadAt(raw, at); err != nil {
		return 0, err
	}
	if head[1].n == pageDictionary {
		h := head[7].fields
		data, err := r.unpack(raw, whole, r.k.codec)
		if err != nil {
			return 0, err
		}
		if n := h[1].n; n < 0 || n > int64(len(data)) {
			return 0, fmt.Errorf("a dictionary of %d values in %d bytes", n, len(data))
		}
		if e := h[2].n; e != encPlain && e != encPlainDictionary {
			return 0, fmt.Errorf("a dictionary in encoding %d", e)
		}
		p := plain{data: data, t: r.c.Type}
		for range h[1].n {
			v, err := p.next(-1)
			if err != nil {
				return 0, err
			}
			r.dict = append(r.dict, v)
		}
		return 0, nil
	}

	var data, levels []byte
	var count, encoding int64
	base := int64(-1) // where data lie in the file
	if head[1].n == pageData {
		h := head[5].fields
		count, encoding = h[1].n, h[2].n
		var err error
		if data, err = r.unpack(raw, whole, r.k.codec); err != nil {
			return 0, err
		}
		if r.k.codec == 0 {
			base = at
		}
		if r.c.maxDef > 0 {
			if h[3].n != encRLE {
				return 0, fmt.Errorf("definition levels in encoding %d", h[3].n)
			}
			if len(data) < 4 || int64(binary.LittleEndian.Uint32(data)) > int64(len(data)-4) {
				return 0, errShort
			}
			n := 4 + int64(binary.LittleEndian.Uint32(data))
			levels, data = data[4:n], data[n:]
			if base >= 0 {
				base += n
			}
		}
	} else {
		h := head[8].fields
		count, encoding = h[1].n, h[4].n
		n := h[5].n
		if h[6].n != 0 || n < 0 || n > int64(len(raw)) || n > whole {
			return 0, errShort
		}
		codec := r.k.codec
		if zip, ok := h[7]; ok && zip.n != 1 {
			codec = 0
		}
		levels = raw[:n]
		var err error
		if data, err = r.unpack(raw[n:], whole-n, codec); err != nil {
			return 0, err
		}
		if codec == 0 {
			base = at + n
		}
	}
	if count < 0 || count > left {
		return 0, fmt.Errorf("a page of %d values where %d are left", count, left)
	}
	return count, r.values(count, encoding, levels, data, base)
}

// values hands out the values of a page.
func (r *pages) values(count, encoding int64, levels, data []byte, base int64) error {
	def := hybrid{data: levels, width: bits.Len(uint(r.c.maxDef))}
	p := plain{data: data, size: len(data), t: r.c.Type}
	var index hybrid
	switch encoding {
	case encPlain:
	case encPlainDictionary, encRLEDictionary:
		if len(data) > 0 {
			if index = (hybrid{data: data[1:], width: int(data[0])}); index.width > 32 {
				return fmt.Errorf("indices of %d bits", index.width)
			}
		}
	default:
		return fmt.Errorf("values in encoding %d; PLAIN and dictionaries are read", encoding)
	}
	for range count {
		v := Value{Null: true, Offset: -1}
		level := uint32(0)
		var err error
		if r.c.maxDef > 0 {
			if level, err = def.next(); err != nil {
				return err
			}
		}
		switch {
		case int(level) < r.c.maxDef:
		case int(level) > r.c.maxDef:
			return fmt.Errorf("definition level %d of %d", level, r.c.maxDef)
		case encoding == encPlain:
			v, err = p.next(base)
		default:
			var i uint32
			if i, err = index.next(); err == nil {
				if int64(i) >= int64(len(r.dict)) {
					return fmt.Errorf("value %d of a dictionary of %d", i, len(r.dict))
				}
				v = r.dict[i]
			}
		}
		if err != nil {
			return err
		}
		if err := r.visit(v); err != nil {
			return &stopped{err}
		}
	}
	return nil
}

// unpack undoes a codec; whole is how many bytes must come out.
func (r *pages) unpack(raw []byte, whole, codec int64) (data []byte, err error) {
	switch codec {
	case 0:
		data = raw
	case 1:
		data, err = unsnap(raw, whole)
	case 2:
		var z *gzip.Reader
		if z, err = gzip.NewReader(bytes.NewReader(raw)); err == nil {
			data, err = io.ReadAll(io.LimitReader(z, whole+1))
		}
	default:
		if codec > 0 && codec < int64(len(codecs)) {
			return nil, fmt.Errorf("is compressed by %s; Snappy, gzip and none are read", codecs[codec])
		}
		return nil, fmt.Errorf("is compressed by codec %d", codec)
	}
	if err != nil {
		return nil, err
	}
	if int64(len(data)) != whole {
		return nil, fmt.Errorf("a page of %d bytes says %d", len(data), whole)
	}
	return data, nil
}

// plain reads values that follow each other.
type plain struct {
	data []byte
	size int // of all data
	t    Type
}

// next reads a value; base is where all data lie in the file, or -1.
func (p *plain) next(base int64) (v Value, err error) {
	v.Offset = -1
	width := 4
	if p.t == Int64 {
		width = 8
	}
	if len(p.data) < width {
		return v, errShort
	}
	if p.t == Int64 {
		v.Int = int64(binary.LittleEndian.Uint64(p.data))
		p.data = p.data[8:]
		return v, nil
	}
	n := binary.LittleEndian.Uint32(p.data)
	p.data = p.data[4:]
	if p.t == Int32 {
		v.Int = int64(int32(n))
		return v, nil
	}
	if uint64(n) > uint64(len(p.data)) {
		return v, errShort
	}
	if base >= 0 {
		v.Offset = base + int64(p.size-len(p.data))
	}
	v.Bytes, p.data = p.data[:n:n], p.data[n:]
	return v, nil
}

// hybrid reads numbers of width bits in runs: repeated, or packed by eight.
type hybrid struct {
	data   []byte
	width  int
	repeat uint64
	value  uint32
	packed uint64 // numbers left in data, from bit on
	bit    uint64
}

func (h *hybrid) next() (uint32, error) {
	for h.repeat == 0 && h.packed == 0 {
		if h.bit > 0 {
			h.data, h.bit = h.data[(h.bit+7)/8:], 0
		}
		head, n := binary.Uvarint(h.data)
		if n <= 0 {
			return 0, errShort
		}
		h.data = h.data[n:]
		if head&1 == 0 {
			h.repeat, h.value = head>>1, 0
			size := (h.width + 7) / 8
			if len(h.data) < size {
				return 0, errShort
			}
			for i := range size {
				h.value |= uint32(h.data[i]) << (8 * i)
			}
			h.data = h.data[size:]
			continue
		}
		// The last run may lack the bytes of numbers that nobody asks for.
		if h.packed = head >> 1; h.packed > uint64(len(h.data))+1 && h.width > 0 {
			return 0, errShort
		}
		h.packed = 8 * min(h.packed, 1<<40)
	}
	if h.repeat > 0 {
		h.repeat--
		return h.value, nil
	}
	var v uint32
	for i := range h.width {
		at := h.bit / 8
		if at >= uint64(len(h.data)) {
			return 0, errShort
		}
		v |= uint32(h.data[at]>>(h.bit%8)&1) << i
		h.bit++
	}
	h.packed--
	return v, nil
}

var errSnappy = errors.New("malformed Snappy data")

// unsnap undoes Snappy's block format: https://github.com/google/snappy/blob/main/format_description.txt
func unsnap(src []byte, whole int64) ([]byte, error) {
	size, n := binary.Uvarint(src)
	if n <= 0 || size != uint64(whole) {
		return nil, errSnappy
	}
	// Three bytes make at most 64.
	if src = src[n:]; size > 32*uint64(len(src))+64 {
		return nil, errSnappy
	}
	dst := make([]byte, 0, size)
	for len(src) > 0 {
		tag := src[0]
		src = src[1:]
		length, offset := int(tag>>2)+1, 0
		extra := [4]int{0, 1, 2, 4}[tag&3]
		if tag&3 == 0 {
			if length > 60 {
				extra = length - 60
				length = 1
			}
		}
		if len(src) < extra {
			return nil, errSnappy
		}
		number := 0
		for i := range extra {
			number |= int(src[i]) << (8 * i)
		}
		src = src[extra:]
		switch tag & 3 {
		case 0:
			if extra > 0 {
				length = number + 1
			}
			if length > len(src) || length > cap(dst)-len(dst) {
				return nil, errSnappy
			}
			dst = append(dst, src[:length]...)
			src = src[length:]
			continue
		case 1:
			length, offset = 4+int(tag>>2&7), int(tag>>5)<<8|number
		default:
			offset = number
		}
		if offset == 0 || offset > len(dst) || length > cap(dst)-len(dst) {
			return nil, errSnappy
		}
		for range length { // what is copied may be part of what comes out
			dst = append(dst, dst[len(dst)-offset])
		}
	}
	if len(dst) != cap(dst) {
		return nil, errSnappy
	}
	return dst, nil
}
