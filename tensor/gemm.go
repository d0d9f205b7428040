package tensor

import (
	"slices"

	"fewshot/tensor/internal/simd"
)

// GemmOptions modify Gemm.
type GemmOptions struct {
	TransA, TransB bool
	Add            *Tensor // added to the product: of dst's shape and kind, and dst itself or apart from it
	Bias           *Tensor // added to every row of dst; its length is the number of dst's columns
}

// Gemm is dst = op(a)·op(b) (+ add) (+ bias). Matrices are the last two axes. The axes before them are a
// batch; an operand without them is used for the whole batch. When a has leading axes and neither a nor
// dst is transposed or batched against b, the leading axes are simply more rows: one multiplication.
func Gemm(dst, a, b *Tensor, o GemmOptions) {
	const rule = "dst[…,m,n] = op(a)[…,m,k]·op(b)[…,k,n]"
	check(a.Rank() >= 2 && b.Rank() >= 2 && dst.Rank() >= 2, "Gemm", rule, "dst a b", dst, a, b)
	g := GemmArgs{Dst: dst.buf, A: a.buf, B: b.buf, TransA: o.TransA, TransB: o.TransB,
		LDA: a.Dim(1), LDB: b.Dim(1), LDC: dst.Dim(1), Batch: 1}
	g.M, g.K = a.Dim(2), a.Dim(1)
	if o.TransA {
		g.M, g.K = g.K, g.M
	}
	kb, n := b.Dim(2), b.Dim(1)
	if o.TransB {
		kb, n = n, kb
	}
	g.N = n
	na, nb, nc := Len(a.shape[:a.Rank()-2]), Len(b.shape[:b.Rank()-2]), Len(dst.shape[:dst.Rank()-2])
	if nb == 1 && !o.TransA && na == nc {
		g.M *= na
	} else {
		g.Batch = nc
		check((na == 1 || na == nc) && (nb == 1 || nb == nc), "Gemm", "leading axes agree or are absent", "dst a b", dst, a, b)
		g.StrideC = g.M * g.N
		if na > 1 {
			g.StrideA = a.Dim(1) * a.Dim(2)
		}
		if nb > 1 {
			g.StrideB = b.Dim(1) * b.Dim(2)
		}
	}
	check(kb == g.K && dst.Dim(1) == n && dst.Len() == g.Batch*g.M*g.N, "Gemm", rule, "dst a b", dst, a, b)
	if add := o.Add; add != nil {
		check(slices.Equal(add.shape, dst.shape) && add.Kind() == dst.Kind(), "Gemm", "what is added has dst's shape and kind", "dst add", dst, add)
		check(!add.overlaps(dst) || add.first == dst.first, "Gemm", "what is added is dst or apart from it", "dst add", dst, add)
		g.Add = add.buf
	}
	if o.Bias != nil {
		check(o.Bias.Len() == n, "Gemm", "one bias a column", "dst bias", dst, o.Bias)
		g.Bias = o.Bias.buf
	}
	dst.dev.backend.Gemm(g)
}

// Packer is what a backend implements that multiplies faster by a matrix which it has seen before. Pack is its own
// copy of the second factor b [k, n], or if transB of the transpose of b [n, k], and how many bytes that has, or nil.
type Packer interface {
	Pack(b Buf, n, k int, transB bool) (packed any, bytes int64)
}

// FewRows is the number of rows of a product up to which Pack gains some percent of its time.
const FewRows = simd.FewRows

// Quantize says that w [n, k], the weights of a layer, will not change, and will be the second factor, transposed, of
// products in which the device may compute with integers of eight bits: weights with a scale for each of the n
// channels, the other factor with one for each row. On a device with another Precision than "int8" it does nothing. Set
// and [Unpack] undo it.
func Quantize(w *Tensor) {
	check(w.Rank() == 2, "Quantize", "a matrix", "w", w)
	q, ok := w.dev.backend.(Quantizer)
	if !ok || w.Len() == 0 || w.block.discarded {
		return
	}
	if w.buf.Packed.Transposed != nil {
		Unpack(w)
	}
	quantized, bytes := q.Quantize(w.buf, w.shape[0], w.shape[1])
	w.buf.Packed.Transposed = quantized
	w.packed += bytes
	w.dev.hold(bytes)
}

// Discard gives the memory of w's elements back, where w was given to [Quantize] and is held once: what is left are its
// integers, for products that read nothing else. Any other use panics.
func Discard(w *Tensor) {
	b := w.block
	if _, ok := w.dev.backend.(Quantizer); !ok || w.buf.Packed.Transposed == nil || b.refs != 1 || b.discarded || w.Len() != b.buf.N || b.layout != nil {
		return
	}
	w.dev.free(b.buf)
	b.buf, b.discarded = Buf{N: b.buf.N, Size: b.buf.Size, Kind: b.buf.Kind}, true
	b.buf.Packed = w.buf.Packed
	w.buf = b.buf
}

// Pack tells the device that w, a matrix whose rows are its first axis, will not change, and will be the second factor of products with
// few rows, transposed if transB: with one image or a few. The device may keep a copy in the order in which it reads such a factor, as
// large as w, so this is a bargain of memory for time. A matrix can be packed both ways. It changes no bit of a result. Set and
// Unpack undo it.
func Pack(w *Tensor, transB bool) {
	check(w.Rank() >= 2, "Pack", "a matrix", "w", w)
	p, ok := w.dev.backend.(Packer)
	if !ok || w.Len() == 0 || w.buf.Packed.of(transB) != nil {
		return
	}
	k := w.shape[0]
	n := w.Len() / k
	if transB {
		n, k = k, n
	}
	packed, bytes := p.Pack(w.buf, n, k, transB)
	if packed == nil {
		return
	}
	if transB {
		w.buf.Packed.Transposed = packed
	} else {
		w.buf.Packed.Plain = packed
	}
	w.packed += bytes
	w.dev.hold(bytes)
}

// PackedBytes is how much memory Pack and Quantize have taken for w.
func (w *Tensor) PackedBytes() int64 { return w.packed }

// Unpack gives packed copies up.
func Unpack(w *Tensor) {
	w.dev.hold(-w.packed)
	w.buf.Packed, w.packed = Packed{}, 0
}
