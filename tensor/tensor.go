package tensor

import "slices"

// Kind says how precisely a tensor is kept. Which number format that means is the device's business:
// both are float64 on ref and float32 on cpu; an accelerator may keep Compute tensors in bfloat16.
type Kind uint8

const (
	Full    Kind = iota // scores, moments, statistics, losses, logits
	Compute             // activations and effective weights
)

// Buf is a stretch of a device's memory, as backends see it. Host devices fill F32, F64 or BF16, others Ptr.
type Buf struct {
	F32  []float32
	F64  []float64
	BF16 []uint16 // bfloat16
	Ptr  uintptr  // first byte on the device
	Size uint8    // bytes an element, for devices that use Ptr
	N    int      // elements
	Kind Kind

	// Packed are the backend's own copies of the matrix, made by its Pack; only those of the whole count.
	Packed Packed
}

// Packed are copies of a matrix in the order in which products read it, as their second factor. nil is none.
type Packed struct{ Plain, Transposed any }

// of is the copy for a product with that TransB.
func (p Packed) of(transB bool) any {
	if transB {
		return p.Transposed
	}
	return p.Plain
}

// Slice is the part [lo, hi) of b, in elements.
func (b Buf) Slice(lo, hi int) Buf {
	b.N, b.Packed = hi-lo, Packed{}
	switch {
	case b.F32 != nil:
		b.F32 = b.F32[lo:hi:hi]
	case b.F64 != nil:
		b.F64 = b.F64[lo:hi:hi]
	case b.BF16 != nil:
		b.BF16 = b.BF16[lo:hi:hi]
	default:
		b.Ptr += uintptr(lo) * uintptr(b.Size)
	}
	return b
}

// Tensor is a block of numbers on a device, with a shape: contiguous, row-major, no strides. Two
// tensors may be views of one block.
type Tensor struct {
	dev    *Device
	shape  []int
	buf    Buf
	block  *block
	first  int   // of its elements, in the block
	packed int64 // bytes of the packed copies that Pack made for this tensor
}

// block is what the pool hands out: memory with a count of the tensors and records that hold it.
type block struct {
	buf  Buf
	refs int

	discarded bool // the elements, by Discard

	// Of a program's memory, which is no pool's.
	layout  *layout
	request int
}

// Shape returns the lengths of the axes; callers must not change it.
func (t *Tensor) Shape() []int { return t.shape }

// Rank is the number of axes.
func (t *Tensor) Rank() int { return len(t.shape) }

// Dim is the length of an axis counted from the right: Dim(1) is the last.
func (t *Tensor) Dim(fromRight int) int { return t.shape[len(t.shape)-fromRight] }

// Len is the number of elements.
func (t *Tensor) Len() int { return t.buf.N }

// Kind says how precisely the elements are kept.
func (t *Tensor) Kind() Kind { return t.buf.Kind }

// Device is where the elements are.
func (t *Tensor) Device() *Device { return t.dev }

// Buf exposes the memory to backends and their tests.
func (t *Tensor) Buf() Buf { return t.buf }

// Memory is the elements themselves where they are float32 in the process's own memory, and nil elsewhere: for who
// fills a new tensor without a copy, or from several goroutines.
func (t *Tensor) Memory() []float32 { return t.buf.F32 }

// Retain counts one more holder of the memory behind t.
func (t *Tensor) Retain() { t.block.refs++ }

// Release gives up one hold; when none is left the memory returns to the device's pool, and t and
// all its views are dead.
func (t *Tensor) Release() {
	b := t.block
	if b.refs <= 0 {
		panic("tensor: Release of a tensor that nobody holds")
	}
	if b.refs--; b.refs > 0 {
		return
	}
	Unpack(t)
	switch {
	case b.layout != nil:
		b.layout.give(b)
	case !b.discarded:
		t.dev.pool.put(b)
	}
}

// Shared reports whether anyone but one holder uses the memory behind t, so that it must not be
// overwritten.
func (t *Tensor) Shared() bool { return t.block.refs > 1 }

// SameMemory reports whether t and u are views of one block.
func (t *Tensor) SameMemory(u *Tensor) bool { return t.block == u.block }

// overlaps reports whether t and u have elements in common.
func (t *Tensor) overlaps(u *Tensor) bool {
	return t.SameMemory(u) && t.first < u.first+u.Len() && u.first < t.first+t.Len()
}

// View gives the same elements another shape. The view shares t's hold.
func (t *Tensor) View(shape ...int) *Tensor {
	check(Len(shape) == t.Len(), "View", "a view keeps the number of elements", "t to", t, &Tensor{shape: shape})
	return &Tensor{dev: t.dev, shape: slices.Clone(shape), buf: t.buf, block: t.block, first: t.first}
}

// Index is element i of the first axis, as a view: lane i of a gradient, head i of a stack.
func (t *Tensor) Index(i int) *Tensor {
	check(t.Rank() >= 1 && 0 <= i && i < t.shape[0], "Index", "the index is inside the first axis", "t", t)
	n := t.Len() / t.shape[0]
	return &Tensor{dev: t.dev, shape: t.shape[1:], buf: t.buf.Slice(i*n, (i+1)*n), block: t.block, first: t.first + i*n}
}

// Rows is the part [lo, hi) of the first axis, as a view.
func (t *Tensor) Rows(lo, hi int) *Tensor {
	check(t.Rank() >= 1 && 0 <= lo && lo <= hi && hi <= t.shape[0], "Rows", "0 ≤ lo ≤ hi ≤ first axis", "t", t)
	n := t.Len() / max(t.shape[0], 1)
	shape := slices.Clone(t.shape)
	shape[0] = hi - lo
	return &Tensor{dev: t.dev, shape: shape, buf: t.buf.Slice(lo*n, hi*n), block: t.block, first: t.first + lo*n}
}

// Set copies float32 values in, rounding to the device's format. It panics unless len(v) is Len.
func (t *Tensor) Set(v []float32) {
	check(len(v) == t.Len(), "Set", "as many values as elements", "t values", t, &Tensor{shape: []int{len(v)}})
	check(!t.block.discarded, "Set", "elements that were not discarded", "t", t)
	Unpack(t)
	t.dev.backend.Upload(t.buf, v)
}

// Floats copies the values out as float32, waiting for the device.
func (t *Tensor) Floats() []float32 {
	v := make([]float32, t.Len())
	t.ReadInto(v)
	return v
}

// ReadInto is Floats into memory of the caller's.
func (t *Tensor) ReadInto(v []float32) {
	check(len(v) == t.Len(), "ReadInto", "as many values as elements", "t values", t, &Tensor{shape: []int{len(v)}})
	t.dev.backend.Download(v, t.buf)
}

// SetFloat64 and Float64s are Set and Floats without rounding, for gradient checks on ref.
func (t *Tensor) SetFloat64(v []float64) {
	check(len(v) == t.Len(), "SetFloat64", "as many values as elements", "t values", t, &Tensor{shape: []int{len(v)}})
	if t.buf.F64 != nil {
		copy(t.buf.F64, v)
		return
	}
	f := make([]float32, len(v))
	for i := range f {
		f[i] = float32(v[i])
	}
	t.Set(f)
}

// Float64s copies the values out in double precision.
func (t *Tensor) Float64s() []float64 {
	v := make([]float64, t.Len())
	if t.buf.F64 != nil {
		copy(v, t.buf.F64)
		return v
	}
	for i, f := range t.Floats() {
		v[i] = float64(f)
	}
	return v
}

// ReadFloat64s is Float64s into memory of the caller's.
func (t *Tensor) ReadFloat64s(v []float64) {
	check(len(v) == t.Len(), "ReadFloat64s", "as many values as elements", "t values", t, &Tensor{shape: []int{len(v)}})
	if t.buf.F64 != nil {
		copy(v, t.buf.F64)
		return
	}
	f := slices.Grow(t.dev.out[:0], len(v))[:len(v)]
	t.dev.out = f
	t.ReadInto(f)
	for i, x := range f {
		v[i] = float64(x)
	}
}

// Item is the only element of a one-element tensor.
func (t *Tensor) Item() float64 {
	check(t.Len() == 1, "Item", "exactly one element", "t", t)
	var v [1]float64
	t.ReadFloat64s(v[:])
	return v[0]
}
