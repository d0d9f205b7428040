package tensor

import (
	"fewshot/tensor/internal/bf16"
	"fewshot/tensor/internal/pages"
	"fewshot/tensor/internal/par"
)

// narrowHost is the processor with Compute tensors in bfloat16, which halves their memory. It computes in float32: an
// operand that is narrow is widened as a whole, and a result is rounded once, when it is complete. This is right for every
// operation, and what those that matter do without the detour is compared with.
type narrowHost struct {
	Backend // the float32 device
	pool    *par.Pool
	narrow  func(dst []uint16, src []float32)
	widen   func(dst []float32, src []uint16)

	memory pages.Memory // of narrow tensors

	// Of the operation under way.
	temps   [][]float32 // memory for wide operands, used again
	used    int
	results []result
}

// result is a wide result on its way to where it belongs.
type result struct {
	to   []uint16
	from []float32
}

func (h *narrowHost) ElementSize(k Kind) int {
	if k == Compute {
		return 2
	}
	return 4
}

func (h *narrowHost) Alloc(n int, k Kind) Buf {
	if k == Compute {
		return Buf{BF16: pages.New[uint16](&h.memory, n), Size: 2, N: n, Kind: k}
	}
	return h.Backend.Alloc(n, k)
}

func (h *narrowHost) Free(b Buf) {
	pages.Free(&h.memory, b.BF16)
	h.Backend.Free(b)
}

func (h *narrowHost) Close() error {
	h.memory.Close()
	return h.Backend.Close()
}

// wide is an operand that is only read.
func (h *narrowHost) wide(b Buf) Buf {
	if b.BF16 == nil {
		return b
	}
	t := h.temp(b.N)
	h.widening(t, b.BF16)
	return Buf{F32: t, Size: 4, N: b.N, Kind: b.Kind}
}

// result is an operand that is overwritten as a whole.
func (h *narrowHost) result(b Buf) Buf {
	if b.BF16 == nil {
		return b
	}
	t := h.temp(b.N)
	h.results = append(h.results, result{b.BF16, t})
	return Buf{F32: t, Size: 4, N: b.N, Kind: b.Kind}
}

// operandAndResult is an operand that is read too, or keeps some of its elements. Two that are the same memory stay so.
func (h *narrowHost) operandAndResult(b Buf) Buf {
	if b.BF16 == nil {
		return b
	}
	for _, r := range h.results {
		if len(r.to) == b.N && b.N > 0 && &r.to[0] == &b.BF16[0] {
			return Buf{F32: r.from, Size: 4, N: b.N, Kind: b.Kind}
		}
	}
	w := h.wide(b)
	h.results = append(h.results, result{b.BF16, w.F32})
	return w
}

// done ends an operation: its results are rounded.
func (h *narrowHost) done() {
	for _, r := range h.results {
		h.narrowing(r.to, r.from)
	}
	h.results, h.used = h.results[:0], 0
}

// chunk is how many numbers are converted at a time.
const chunk = 1 << 15

type narrowing struct {
	f    func(dst []uint16, src []float32)
	to   []uint16
	from []float32
}

func (n *narrowing) Do(_, lo, hi int) { n.f(n.to[lo:hi], n.from[lo:hi]) }

func (h *narrowHost) narrowing(to []uint16, from []float32) {
	par.Do(h.pool, len(to), chunk, narrowing{h.narrow, to, from})
}

type widening struct {
	f    func(dst []float32, src []uint16)
	to   []float32
	from []uint16
}

func (w *widening) Do(_, lo, hi int) { w.f(w.to[lo:hi], w.from[lo:hi]) }

func (h *narrowHost) widening(to []float32, from []uint16) {
	par.Do(h.pool, len(to), chunk, widening{h.widen, to, from})
}

// temp is memory for n numbers until done.
func (h *narrowHost) temp(n int) []float32 {
	if h.used == len(h.temps) {
		h.temps = append(h.temps, nil)
	}
	t := &h.temps[h.used]
	h.used++
	if cap(*t) < n {
		*t = make([]float32, n)
	}
	return (*t)[:n]
}

// Memory

func (h *narrowHost) Upload(dst Buf, src []float32) {
	if dst.BF16 == nil {
		h.Backend.Upload(dst, src)
		return
	}
	h.narrowing(dst.BF16, src)
}

func (h *narrowHost) Download(dst []float32, src Buf) {
	if src.BF16 == nil {
		h.Backend.Download(dst, src)
		return
	}
	h.widening(dst, src.BF16)
}

func (h *narrowHost) Fill(dst Buf, c float64) {
	if dst.BF16 == nil {
		h.Backend.Fill(dst, c)
		return
	}
	par.Do(h.pool, dst.N, chunk, fillNarrow{dst.BF16, bf16.From(float32(c))})
}

type fillNarrow struct {
	dst []uint16
	v   uint16
}

func (f *fillNarrow) Do(_, lo, hi int) {
	for i := lo; i < hi; i++ {
		f.dst[i] = f.v
	}
}

func (h *narrowHost) Copy2D(dst, src Buf, rows, cols, ldd, lds int) {
	if dst.BF16 == nil && src.BF16 == nil {
		h.Backend.Copy2D(dst, src, rows, cols, ldd, lds)
		return
	}
	par.Do(h.pool, rows, max(1, chunk/max(cols, 1)), rectangle{h, dst, src, cols, ldd, lds})
}

// rectangle is the operands of Copy2D of which one at least is narrow.
type rectangle struct {
	h              *narrowHost
	dst, src       Buf
	cols, ldd, lds int
}

func (k *rectangle) Do(_, lo, hi int) {
	for r := lo; r < hi; r++ {
		d, s := r*k.ldd, r*k.lds
		switch {
		case k.dst.BF16 == nil:
			k.h.widen(k.dst.F32[d:d+k.cols], k.src.BF16[s:s+k.cols])
		case k.src.BF16 == nil:
			k.h.narrow(k.dst.BF16[d:d+k.cols], k.src.F32[s:s+k.cols])
		default:
			copy(k.dst.BF16[d:d+k.cols], k.src.BF16[s:s+k.cols])
		}
	}
}

// Elementwise

func (h *narrowHost) Add(dst, x, y Buf) {
	h.Backend.Add(h.result(dst), h.wide(x), h.wide(y))
	h.done()
}

func (h *narrowHost) Mul(dst, x, y Buf) {
	h.Backend.Mul(h.result(dst), h.wide(x), h.wide(y))
	h.done()
}

func (h *narrowHost) Scale(dst, x Buf, c float64) {
	h.Backend.Scale(h.result(dst), h.wide(x), c)
	h.done()
}

func (h *narrowHost) AXPY(dst Buf, c float64, x Buf) {
	h.Backend.AXPY(h.operandAndResult(dst), c, h.wide(x))
	h.done()
}

func (h *narrowHost) Exp(dst, x Buf) {
	h.Backend.Exp(h.result(dst), h.wide(x))
	h.done()
}

func (h *narrowHost) Mask(dst, w, s Buf, t float64) {
	h.Backend.Mask(h.result(dst), h.wide(w), h.wide(s), t)
	h.done()
}

func (h *narrowHost) Activate(dst, x Buf, a Activation) {
	h.Backend.Activate(h.result(dst), h.wide(x), a)
	h.done()
}

func (h *narrowHost) ActivateGrad(dst, ct, x Buf, a Activation) {
	h.Backend.ActivateGrad(h.result(dst), h.wide(ct), h.wide(x), a)
	h.done()
}

// Rowwise

func (h *narrowHost) Softmax(dst, x Buf, width int) {
	h.Backend.Softmax(h.result(dst), h.wide(x), width)
	h.done()
}

func (h *narrowHost) SoftmaxGrad(dst, ct, y Buf, width int) {
	h.Backend.SoftmaxGrad(h.result(dst), h.wide(ct), h.wide(y), width)
	h.done()
}

func (h *narrowHost) LayerNorm(dst, stats, x, w, b Buf, width int, eps float64) {
	h.Backend.LayerNorm(h.result(dst), h.result(stats), h.wide(x), h.wide(w), h.wide(b), width, eps)
	h.done()
}

func (h *narrowHost) LayerNormGrad(dst, ct, x, stats, w Buf, width int) {
	h.Backend.LayerNormGrad(h.result(dst), h.wide(ct), h.wide(x), h.wide(stats), h.wide(w), width)
	h.done()
}

func (h *narrowHost) LayerNormParamGrad(dw, db, ct, x, stats Buf, width, lanes int) {
	h.Backend.LayerNormParamGrad(h.result(dw), h.result(db), h.wide(ct), h.wide(x), h.wide(stats), width, lanes)
	h.done()
}

func (h *narrowHost) L2Normalize(dst, norm, x Buf, width int) {
	h.Backend.L2Normalize(h.result(dst), h.result(norm), h.wide(x), width)
	h.done()
}

func (h *narrowHost) L2NormalizeGrad(dst, ct, y, norm Buf, width int) {
	h.Backend.L2NormalizeGrad(h.result(dst), h.wide(ct), h.wide(y), h.wide(norm), width)
	h.done()
}

func (h *narrowHost) CrossEntropy(loss, p, x Buf, labels []int32, width int) {
	h.Backend.CrossEntropy(h.result(loss), h.result(p), h.wide(x), labels, width)
	h.done()
}

func (h *narrowHost) CrossEntropyGrad(dst, ct, p Buf, labels []int32, width int) {
	h.Backend.CrossEntropyGrad(h.result(dst), h.wide(ct), h.wide(p), labels, width)
	h.done()
}

func (h *narrowHost) SoftCrossEntropy(loss, p, q, x, target Buf, width int) {
	h.Backend.SoftCrossEntropy(h.result(loss), h.result(p), h.result(q), h.wide(x), h.wide(target), width)
	h.done()
}

func (h *narrowHost) SoftCrossEntropyGrad(dst, ct, p, q Buf, width int) {
	h.Backend.SoftCrossEntropyGrad(h.result(dst), h.wide(ct), h.wide(p), h.wide(q), width)
	h.done()
}

func (h *narrowHost) SumTo(dst, x Buf, lanes int) {
	h.Backend.SumTo(h.result(dst), h.wide(x), lanes)
	h.done()
}

func (h *narrowHost) SumSquares(dst, x Buf) {
	h.Backend.SumSquares(h.result(dst), h.wide(x))
	h.done()
}

func (h *narrowHost) Dot(dst, x, y Buf) {
	h.Backend.Dot(h.result(dst), h.wide(x), h.wide(y))
	h.done()
}

func (h *narrowHost) CountAbove(dst, x Buf, t float64) {
	h.Backend.CountAbove(h.result(dst), h.wide(x), t)
	h.done()
}

// Matrix

func (h *narrowHost) Attention(dst, lse, q, kv Buf, s AttentionShape) {
	h.Backend.Attention(h.result(dst), h.result(lse), h.wide(q), h.wide(kv), s)
	h.done()
}

func (h *narrowHost) Gemm(g GemmArgs) {
	// Between rows and matrices dst keeps what it has.
	g.Dst, g.A, g.B, g.Bias = h.operandAndResult(g.Dst), h.wide(g.A), h.wide(g.B), h.wide(g.Bias)
	g.Add = h.wide(g.Add)
	h.Backend.Gemm(g)
	h.done()
}

func (h *narrowHost) AttentionGrad(dq, dkv, ct, q, kv, out, lse Buf, s AttentionShape, lanes int) {
	h.Backend.AttentionGrad(h.operandAndResult(dq), h.operandAndResult(dkv), h.wide(ct), h.wide(q), h.wide(kv), h.wide(out), h.wide(lse), s, lanes)
	h.done()
}

// Convolution

func (h *narrowHost) Conv(dst, x, w, add, bias Buf, s ConvShape) {
	h.Backend.Conv(h.result(dst), h.wide(x), h.wide(w), h.wide(add), h.wide(bias), s)
	h.done()
}

func (h *narrowHost) ConvGrad(dx, ct, w Buf, s ConvShape) {
	h.Backend.ConvGrad(h.result(dx), h.wide(ct), h.wide(w), s)
	h.done()
}

func (h *narrowHost) ConvWeightGrad(dw, x, ct Buf, s ConvShape, lanes int) {
	h.Backend.ConvWeightGrad(h.result(dw), h.wide(x), h.wide(ct), s, lanes)
	h.done()
}

func (h *narrowHost) AvgPool(dst, x Buf, s PoolShape) {
	h.Backend.AvgPool(h.result(dst), h.wide(x), s)
	h.done()
}

func (h *narrowHost) AvgPoolGrad(dx, ct Buf, s PoolShape) {
	h.Backend.AvgPoolGrad(h.result(dx), h.wide(ct), s)
	h.done()
}

// Layout

func (h *narrowHost) Patches(dst, x Buf, n, c, height, w, p int) {
	h.Backend.Patches(h.result(dst), h.wide(x), n, c, height, w, p)
	h.done()
}

func (h *narrowHost) Gather(dst, table Buf, ids []int32, width int) {
	h.Backend.Gather(h.result(dst), h.wide(table), ids, width)
	h.done()
}

func (h *narrowHost) ScatterAdd(dst, x Buf, ids []int32, width, lanes int) {
	h.Backend.ScatterAdd(h.operandAndResult(dst), h.wide(x), ids, width, lanes)
	h.done()
}

func (h *narrowHost) Uniform(dst Buf, k Key) {
	h.Backend.Uniform(h.result(dst), k)
	h.done()
}

func (h *narrowHost) Normal(dst Buf, k Key) {
	h.Backend.Normal(h.result(dst), k)
	h.done()
}

// Imaging

func (h *narrowHost) Resample(dst, levels Buf, crops []CropArgs, size int) {
	h.Backend.Resample(h.result(dst), levels, crops, size)
	h.done()
}

// Update

func (h *narrowHost) GradDrop(dst, a, b Buf, r GradDropArgs) {
	h.Backend.GradDrop(h.result(dst), h.wide(a), h.wide(b), h.wideArgs(r))
	h.done()
}

func (h *narrowHost) GradDropAdam(w, m, v, ga, gb Buf, r GradDropArgs, a AdamArgs) {
	h.Backend.GradDropAdam(h.operandAndResult(w), h.operandAndResult(m), h.operandAndResult(v), h.wide(ga), h.wide(gb), h.wideArgs(r), a)
	h.done()
}

func (h *narrowHost) wideArgs(r GradDropArgs) GradDropArgs {
	r.Scores, r.SumSquares = h.wide(r.Scores), h.wide(r.SumSquares)
	return r
}

func (h *narrowHost) SignAgree(dst, a, b Buf, keepZero bool) {
	h.Backend.SignAgree(h.result(dst), h.wide(a), h.wide(b), keepZero)
	h.done()
}

func (h *narrowHost) SignDrop(dst, a, b Buf, k Key) {
	h.Backend.SignDrop(h.result(dst), h.wide(a), h.wide(b), k)
	h.done()
}

func (h *narrowHost) Adam(w, m, v, g Buf, a AdamArgs) {
	h.Backend.Adam(h.operandAndResult(w), h.operandAndResult(m), h.operandAndResult(v), h.wide(g), a)
	h.done()
}

func (h *narrowHost) SGD(w, v, g Buf, lr, momentum, decay float64) {
	h.Backend.SGD(h.operandAndResult(w), h.operandAndResult(v), h.wide(g), lr, momentum, decay)
	h.done()
}
