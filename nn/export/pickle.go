package export

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"time"
	"unicode/utf8"
)

// A pickle is what torch.save writes, in protocol 2: the instructions of Python's Lib/pickletools.py that are needed for
// dictionaries of tensors, bytes and numbers. Nothing is shared, so nothing is remembered in the memo but where torch's
// reader demands it.
type pickle struct{ bytes.Buffer }

func (p *pickle) op(b ...byte) { p.Write(b) }

func (p *pickle) str(s string) {
	p.op('X') // BINUNICODE
	binary.Write(p, binary.LittleEndian, uint32(len(s)))
	p.WriteString(s)
}

func (p *pickle) int(n int) {
	if n == int(int32(n)) {
		p.op('J') // BININT
		binary.Write(p, binary.LittleEndian, int32(n))
		return
	}
	p.op(0x8a, 8) // LONG1
	binary.Write(p, binary.LittleEndian, int64(n))
}

func (p *pickle) global(module, name string) { p.WriteString("c" + module + "\n" + name + "\n") }

func (p *pickle) ints(v []int) {
	p.op('(')
	for _, n := range v {
		p.int(n)
	}
	p.op('t')
}

// bytesOf writes Python bytes as protocol 2 does: text of the same code points, encoded as latin-1.
func (p *pickle) bytesOf(b []byte) {
	p.global("_codecs", "encode")
	text := make([]byte, 0, 2*len(b))
	for _, c := range b {
		text = utf8.AppendRune(text, rune(c))
	}
	p.str(string(text))
	p.str("latin1")
	p.op(0x86, 'R') // TUPLE2, REDUCE
}

// tensor writes a contiguous float32 tensor whose values are the record data/KEY.
func (p *pickle) tensor(key string, shape []int) {
	n := 1
	for _, d := range shape {
		n *= d
	}
	strides := make([]int, len(shape))
	step := 1
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = step
		step *= shape[i]
	}
	p.global("torch._utils", "_rebuild_tensor_v2")
	p.op('(', '(')
	p.str("storage")
	p.global("torch", "FloatStorage")
	p.str(key)
	p.str("cpu")
	p.int(n)
	p.op('t', 'Q') // TUPLE, BINPERSID
	p.int(0)
	p.ints(shape)
	p.ints(strides)
	p.op(0x89) // requires_grad: False
	p.global("collections", "OrderedDict")
	p.op(')', 'R') // no hooks
	p.op('t', 'R')
}

// A torchArchive is the zip of torch.save: records that are stored, each aligned to 64 bytes.
type torchArchive struct {
	z    *zip.Writer
	at   *countingWriter
	root string
}

type countingWriter struct {
	w io.Writer
	n int64
}

func (c *countingWriter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

func newTorchArchive(w io.Writer, root string) *torchArchive {
	c := &countingWriter{w: w}
	return &torchArchive{zip.NewWriter(c), c, root}
}

// record writes one entry, whose size and checksum stand before it.
func (a *torchArchive) record(name string, size int64, crc uint32, write func(io.Writer) error) error {
	h := &zip.FileHeader{Name: a.root + "/" + name, Method: zip.Store, Modified: time.Time{},
		CRC32: crc, CompressedSize64: uint64(size), UncompressedSize64: uint64(size)}
	if err := a.z.Flush(); err != nil {
		return err
	}
	// An extra field of FB, as torch's, fills up to the alignment; zip64 sizes, where needed, are written by the library
	// after it and are no part of what is aligned for files below 4 GiB.
	const local = 30
	pad := int((64 - (a.at.n+local+int64(len(h.Name))+4)%64) % 64)
	h.Extra = make([]byte, 4+pad)
	copy(h.Extra, "FB")
	binary.LittleEndian.PutUint16(h.Extra[2:], uint16(pad))
	w, err := a.z.CreateRaw(h)
	if err != nil {
		return err
	}
	return write(w)
}

func (a *torchArchive) small(name string, content []byte) error {
	return a.record(name, int64(len(content)), crcOf(content), func(w io.Writer) error {
		_, err := w.Write(content)
		return err
	})
}

func (a *torchArchive) close() error { return a.z.Close() }

// finish writes the pickle and what torch.save puts beside it.
func (a *torchArchive) head(p *pickle) error {
	p.op('.')
	for _, f := range []struct{ name, content string }{
		{"data.pkl", p.String()}, {".format_version", "1"}, {".storage_alignment", "64"}, {"byteorder", "little"}, {"version", "3\n"},
	} {
		if err := a.small(f.name, []byte(f.content)); err != nil {
			return fmt.Errorf("%s: %w", f.name, err)
		}
	}
	return nil
}
