package checkpoint

import (
	"errors"
	"hash/crc32"
	"io"
	"slices"
	"sync"
	"sync/atomic"

	"fewshot/nn/checkpoint/internal/widen"
	numbers "fewshot/tensor"
)

// Info describes a tensor as the file stores it.
type Info struct {
	Name  string
	DType DType
	Shape []int // empty for a scalar
}

// A storage is a run of bytes that tensors view: the payload of one
// safetensors tensor, or one data/N record of a torch archive.
type storage struct {
	r      io.ReaderAt
	path   string // the file, for messages
	entry  string // the archive record, for messages; empty in safetensors
	offset int64  // of the first byte in r
	size   int64  // in bytes

	// A zip record carries a CRC-32 of all its bytes. It is checked on the
	// first read of the record, whole or in part.
	crc     uint32
	hasCRC  bool
	checked atomic.Bool
}

// A tensor is a strided view of a storage.
type tensor struct {
	Info
	store   *storage
	first   int64   // index of the first element in the storage
	strides []int64 // in elements; nil when rows lie one behind the other
}

// chunkSize is how many payload bytes are read at a time. A multiple of every
// item size.
const chunkSize = 256 << 10

// chunks are buffers for that. A model has hundreds of tensors, and as many buffers would be garbage.
var chunks = sync.Pool{New: func() any { return new([chunkSize]byte) }}

// readFull is ReadAt for ranges that were checked against the file's size
// when it was opened: meeting the end means that the file has shrunk.
func readFull(r io.ReaderAt, p []byte, offset int64) error {
	n, err := r.ReadAt(p, offset)
	if n == len(p) {
		return nil
	}
	if err == nil || errors.Is(err, io.EOF) {
		return fault(Corrupt, "the file has become shorter since it was opened").at(offset + int64(n))
	}
	return err
}

// check compares the storage's CRC-32, once.
func (s *storage) check() error {
	if !s.hasCRC || s.checked.Load() {
		return nil
	}
	return s.stream(0, s.size, nil, func([]byte) error { return nil })
}

// stream hands out bytes [from, from+n) in chunks: in into, where they stay,
// or with nil in memory that is used again. If that is the whole storage its
// CRC-32 is computed in passing.
func (s *storage) stream(from, n int64, into []byte, use func([]byte) error) error {
	whole := n == s.size
	crc := uint32(0)
	var buf []byte
	if into == nil {
		array := chunks.Get().(*[chunkSize]byte)
		defer chunks.Put(array)
		buf = array[:]
	}
	for done := int64(0); done < n; {
		if into != nil {
			buf = into[done:]
		}
		chunk := buf[:min(n-done, chunkSize)]
		if err := readFull(s.r, chunk, s.offset+from+done); err != nil {
			return err
		}
		if whole && s.hasCRC {
			crc = crc32.Update(crc, crc32.IEEETable, chunk)
		}
		if err := use(chunk); err != nil {
			return err
		}
		done += int64(len(chunk))
	}
	if whole && s.hasCRC && !s.checked.Load() {
		if crc != s.crc {
			return crcFault(s.entry, s.offset, s.crc, crc)
		}
		s.checked.Store(true)
	}
	return nil
}

func crcFault(entry string, offset int64, want, got uint32) *Error {
	e := fault(Corrupt, "CRC-32 differs: the file is damaged, or was saved with torch.serialization.set_crc32_options(False)")
	e.Entry, e.Offset = entry, offset
	return e.wanted(hex32(want), hex32(got))
}

// payload hands out the elements in row-major order, in chunks of whole
// elements; those that lie one behind the other are read right into into, if
// that is not nil.
func (t *tensor) payload(into []byte, use func([]byte) error) error {
	item := int64(t.DType.Size())
	count, _ := elements(t.Shape).int64() // checked when the file was opened
	if t.strides == nil {
		if count*item != t.store.size {
			if err := t.store.check(); err != nil {
				return err
			}
		}
		return t.store.stream(t.first*item, count*item, into, use)
	}
	if err := t.store.check(); err != nil {
		return err
	}
	if count == 0 {
		return nil
	}
	last := t.first
	for i, d := range t.Shape {
		last += int64(d-1) * t.strides[i]
	}
	span := make([]byte, 0, (last-t.first+1)*item)
	err := t.store.stream(t.first*item, int64(cap(span)), nil, func(chunk []byte) error {
		span = append(span, chunk...)
		return nil
	})
	if err != nil {
		return err
	}
	return t.gather(span, use)
}

// gather walks the strided elements of span, which starts at the tensor's
// first element, in row-major order.
func (t *tensor) gather(span []byte, use func([]byte) error) error {
	item := int64(t.DType.Size())
	buf := make([]byte, 0, chunkSize)
	index := make([]int, len(t.Shape))
	at := int64(0)
	for {
		buf = append(buf, span[at*item:(at+1)*item]...)
		axis := len(index) - 1
		for ; axis >= 0; axis-- {
			index[axis]++
			at += t.strides[axis]
			if index[axis] < t.Shape[axis] {
				break
			}
			at -= int64(index[axis]) * t.strides[axis]
			index[axis] = 0
		}
		if len(buf) == cap(buf) || axis < 0 {
			if err := use(buf); err != nil {
				return err
			}
			buf = buf[:0]
		}
		if axis < 0 {
			return nil
		}
	}
}

// span is the number of elements from the tensor's first in its storage to
// its last, or of its elements where they overlap.
func (t *tensor) span() size {
	count := elements(t.Shape)
	if t.strides == nil || count.n == 0 {
		return count
	}
	reach := sizeOf(1)
	for i, d := range t.Shape { // checked against the storage before
		reach = reach.plus(uint64(d-1) * uint64(t.strides[i]))
	}
	return sizeOf(max(reach.n, count.n))
}

// float32s widens the tensor into dst.
func (t *tensor) float32s(dst []float32) error {
	count, _ := elements(t.Shape).int64()
	if int64(len(dst)) != count {
		return fault(Mismatch, "wrong destination length for shape %v", t.Shape).wanted(count, len(dst))
	}
	return t.stream(dst, func([]float32, bool) error { return nil })
}

// stream hands out the elements, widened, and whether all of them are finite,
// in order. They are in room, if that is for all of them, and stay there; with
// nil they are in memory that is used again.
func (t *tensor) stream(room []float32, use func(values []float32, finite bool) error) error {
	if !t.DType.Float() {
		return fault(Mismatch, "not a floating-point tensor").wanted("F64, F32, F16 or BF16", t.DType)
	}
	item := t.DType.Size()
	count, _ := elements(t.Shape).int64()
	kept := room != nil
	if !kept {
		room = make([]float32, min(count, chunkSize/int64(item)))
	}
	var into []byte // room itself, where what is stored is what is to be there
	if kept && t.DType == F32 && t.strides == nil {
		into = numbers.FileBytes(room)
	}
	return t.payload(into, func(chunk []byte) error {
		values := room[:len(chunk)/item]
		if kept {
			room = room[len(values):]
		}
		if into != nil {
			return use(values, widen.Finite(values))
		}
		return use(values, decode(values, chunk, t.DType))
	})
}

// bytes returns the payload in row-major order.
func (t *tensor) bytes() ([]byte, error) {
	count, _ := elements(t.Shape).int64()
	out := make([]byte, 0, count*int64(t.DType.Size()))
	err := t.payload(nil, func(chunk []byte) error {
		out = append(out, chunk...)
		return nil
	})
	return out, err
}

// contiguousStrides are the strides of a row-major tensor of that shape.
func contiguousStrides(shape []int) []int64 {
	strides := make([]int64, len(shape))
	step := int64(1)
	for i := len(shape) - 1; i >= 0; i-- {
		strides[i] = step
		step *= int64(max(shape[i], 1))
	}
	return strides
}

// rowMajor says whether strides place the elements one behind the other. The
// stride of an axis of length one or less is never used, so any will do.
func rowMajor(shape []int, strides []int64) bool {
	if slices.Contains(shape, 0) {
		return true
	}
	for i, want := range contiguousStrides(shape) {
		if shape[i] > 1 && strides[i] != want {
			return false
		}
	}
	return true
}

// validName says whether a tensor may have the name: 1 to 256 bytes of
// printable ASCII. Names outside that range occur in attacks only.
func validName(name string) bool {
	if name == "" || len(name) > maxName {
		return false
	}
	for i := range len(name) {
		if name[i] < ' ' || name[i] > '~' {
			return false
		}
	}
	return true
}
