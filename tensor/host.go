package tensor

import (
	"fmt"
	"slices"
	"strings"

	"fewshot/tensor/internal/cpu"
	"fewshot/tensor/internal/pages"
	"fewshot/tensor/internal/par"
)

// host is a backend in the memory of the process: it translates the arguments of the portable kernels.
type host[T cpu.Float] struct {
	pool    *par.Pool
	kernels *cpu.Kernels[T]
	of      func(Buf) []T // the elements of a buffer of this backend's
	wrap    func([]T) Buf
	about   string
	kinds   string // of kernels, see Device.Kernels
	memory  pages.Memory
	crops   []cpu.Crop // of the last Resample
}

func newHost[T cpu.Float](o Options, of func(Buf) []T, wrap func([]T) Buf) (*host[T], error) {
	const most = 1024
	if o.Workers < 0 || o.Workers > most {
		return nil, fmt.Errorf("%d workers: want 1 to %d, or 0 for one a core", o.Workers, most)
	}
	p := par.New(o.Workers)
	return &host[T]{pool: p, kernels: cpu.New[T](p), of: of, wrap: wrap}, nil
}

// checkHost refuses what a host device does not offer.
func checkHost(arg, precision string, offered ...string) error {
	if arg != "" {
		return fmt.Errorf("there is only one of this kind; drop %q", ":"+arg)
	}
	if precision != "" && !slices.Contains(offered, precision) {
		return fmt.Errorf("precision %q is not offered; this device computes in %s", precision, list(offered))
	}
	return nil
}

// list is names with commas and an or.
func list(names []string) string {
	last := len(names) - 1
	if last == 0 {
		return names[0]
	}
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

func workers(n int) string {
	if n == 1 {
		return "1 worker"
	}
	return fmt.Sprintf("%d workers", n)
}

// halt is for Device.Interruptible.
func (h *host[T]) halt(on bool) { h.pool.Halt(on) }

// Memory

func (h *host[T]) Describe() string { return h.about }

func (h *host[T]) Kernels() string { return h.kinds }

func (h *host[T]) Alloc(n int, k Kind) Buf {
	b := h.wrap(pages.New[T](&h.memory, n))
	b.N, b.Kind = n, k
	return b
}

func (h *host[T]) ElementSize(Kind) int { return int(h.wrap(nil).Size) }

func (h *host[T]) Free(b Buf) { pages.Free(&h.memory, h.of(b)) }

func (h *host[T]) Upload(dst Buf, src []float32)   { cpu.Convert(h.pool, h.of(dst), src) }
func (h *host[T]) Download(dst []float32, src Buf) { cpu.Convert(h.pool, dst, h.of(src)) }
func (h *host[T]) Fill(dst Buf, c float64)         { h.kernels.Fill(h.of(dst), c) }
func (h *host[T]) Copy2D(dst, src Buf, rows, cols, ldd, lds int) {
	h.kernels.Copy2D(h.of(dst), h.of(src), rows, cols, ldd, lds)
}

func (h *host[T]) Sync() error { return nil }

func (h *host[T]) Close() error {
	h.pool.Close()
	h.memory.Close()
	return nil
}

// Elementwise

func (h *host[T]) Add(dst, x, y Buf)              { h.kernels.Add(h.of(dst), h.of(x), h.of(y)) }
func (h *host[T]) Mul(dst, x, y Buf)              { h.kernels.Mul(h.of(dst), h.of(x), h.of(y)) }
func (h *host[T]) Scale(dst, x Buf, c float64)    { h.kernels.Scale(h.of(dst), h.of(x), c) }
func (h *host[T]) AXPY(dst Buf, c float64, x Buf) { h.kernels.AXPY(h.of(dst), c, h.of(x)) }
func (h *host[T]) Exp(dst, x Buf)                 { h.kernels.Exp(h.of(dst), h.of(x)) }
func (h *host[T]) Mask(dst, w, s Buf, t float64)  { h.kernels.Mask(h.of(dst), h.of(w), h.of(s), t) }

func (h *host[T]) Activate(dst, x Buf, a Activation) {
	switch a {
	case QuickGELU:
		h.kernels.QuickGELU(h.of(dst), h.of(x))
	case GELU:
		h.kernels.GELU(h.of(dst), h.of(x))
	case ReLU:
		h.kernels.ReLU(h.of(dst), h.of(x))
	case TanhGELU:
		h.kernels.TanhGELU(h.of(dst), h.of(x))
	}
}

func (h *host[T]) ActivateGrad(dst, ct, x Buf, a Activation) {
	switch a {
	case QuickGELU:
		h.kernels.QuickGELUGrad(h.of(dst), h.of(ct), h.of(x))
	case GELU:
		h.kernels.GELUGrad(h.of(dst), h.of(ct), h.of(x))
	case ReLU:
		h.kernels.ReLUGrad(h.of(dst), h.of(ct), h.of(x))
	case TanhGELU:
		h.kernels.TanhGELUGrad(h.of(dst), h.of(ct), h.of(x))
	}
}

// Rowwise

func (h *host[T]) Softmax(dst, x Buf, width int) { h.kernels.Softmax(h.of(dst), h.of(x), width) }

func (h *host[T]) SoftmaxGrad(dst, ct, y Buf, width int) {
	h.kernels.SoftmaxGrad(h.of(dst), h.of(ct), h.of(y), width)
}

func (h *host[T]) LayerNorm(dst, stats, x, w, b Buf, width int, eps float64) {
	h.kernels.LayerNorm(h.of(dst), h.of(stats), h.of(x), h.of(w), h.of(b), width, eps)
}

func (h *host[T]) LayerNormGrad(dst, ct, x, stats, w Buf, width int) {
	h.kernels.LayerNormGrad(h.of(dst), h.of(ct), h.of(x), h.of(stats), h.of(w), width)
}

func (h *host[T]) LayerNormParamGrad(dw, db, ct, x, stats Buf, width, lanes int) {
	h.kernels.LayerNormParamGrad(h.of(dw), h.of(db), h.of(ct), h.of(x), h.of(stats), width, lanes)
}

func (h *host[T]) L2Normalize(dst, norm, x Buf, width int) {
	h.kernels.L2Normalize(h.of(dst), h.of(norm), h.of(x), width)
}

func (h *host[T]) L2NormalizeGrad(dst, ct, y, norm Buf, width int) {
	h.kernels.L2NormalizeGrad(h.of(dst), h.of(ct), h.of(y), h.of(norm), width)
}

func (h *host[T]) CrossEntropy(loss, p, x Buf, labels []int32, width int) {
	h.kernels.CrossEntropy(h.of(loss), h.of(p), h.of(x), labels, width)
}

func (h *host[T]) CrossEntropyGrad(dst, ct, p Buf, labels []int32, width int) {
	h.kernels.CrossEntropyGrad(h.of(dst), h.of(ct), h.of(p), labels, width)
}

func (h *host[T]) SoftCrossEntropy(loss, p, q, x, target Buf, width int) {
	h.kernels.SoftCrossEntropy(h.of(loss), h.of(p), h.of(q), h.of(x), h.of(target), width)
}

func (h *host[T]) SoftCrossEntropyGrad(dst, ct, p, q Buf, width int) {
	h.kernels.SoftCrossEntropyGrad(h.of(dst), h.of(ct), h.of(p), h.of(q), width)
}

func (h *host[T]) SumTo(dst, x Buf, lanes int) { h.kernels.SumTo(h.of(dst), h.of(x), lanes) }
func (h *host[T]) SumSquares(dst, x Buf)       { h.kernels.SumSquares(h.of(dst), h.of(x)) }
func (h *host[T]) Dot(dst, x, y Buf)           { h.kernels.Dot(h.of(dst), h.of(x), h.of(y)) }
func (h *host[T]) CountAbove(dst, x Buf, t float64) {
	h.of(dst)[0] = T(h.kernels.CountAbove(h.of(x), t))
}

// Matrix

func (h *host[T]) Gemm(g GemmArgs) {
	h.kernels.Gemm(&cpu.GemmArgs[T]{Dst: h.of(g.Dst), A: h.of(g.A), B: h.of(g.B), Add: h.of(g.Add), Bias: h.of(g.Bias),
		M: g.M, N: g.N, K: g.K, TransA: g.TransA, TransB: g.TransB, LDA: g.LDA, LDB: g.LDB, LDC: g.LDC,
		Batch: g.Batch, StrideA: g.StrideA, StrideB: g.StrideB, StrideC: g.StrideC})
}

func (h *host[T]) Attention(dst, lse, q, kv Buf, s AttentionShape) {
	h.kernels.Attention(h.of(dst), h.of(lse), h.of(q), h.of(kv), cpu.AttentionShape(s))
}

func (h *host[T]) AttentionGrad(dq, dkv, ct, q, kv, out, lse Buf, s AttentionShape, lanes int) {
	h.kernels.AttentionGrad(h.of(dq), h.of(dkv), h.of(ct), h.of(q), h.of(kv), h.of(out), h.of(lse), cpu.AttentionShape(s), lanes)
}

// Convolution

func (h *host[T]) Conv(dst, x, w, add, bias Buf, s ConvShape) {
	h.kernels.Conv(h.of(dst), h.of(x), h.of(w), h.of(add), h.of(bias), cpu.ConvShape(s))
}

func (h *host[T]) ConvGrad(dx, ct, w Buf, s ConvShape) {
	h.kernels.ConvGrad(h.of(dx), h.of(ct), h.of(w), cpu.ConvShape(s))
}

func (h *host[T]) ConvWeightGrad(dw, x, ct Buf, s ConvShape, lanes int) {
	h.kernels.ConvWeightGrad(h.of(dw), h.of(x), h.of(ct), cpu.ConvShape(s), lanes)
}

func (h *host[T]) AvgPool(dst, x Buf, s PoolShape) {
	h.kernels.AvgPool(h.of(dst), h.of(x), cpu.PoolShape(s))
}

func (h *host[T]) AvgPoolGrad(dx, ct Buf, s PoolShape) {
	h.kernels.AvgPoolGrad(h.of(dx), h.of(ct), cpu.PoolShape(s))
}

// Layout

func (h *host[T]) Patches(dst, x Buf, n, c, height, w, p int) {
	h.kernels.Patches(h.of(dst), h.of(x), n, c, height, w, p)
}

func (h *host[T]) Gather(dst, table Buf, ids []int32, width int) {
	h.kernels.Gather(h.of(dst), h.of(table), ids, width)
}

func (h *host[T]) ScatterAdd(dst, x Buf, ids []int32, width, lanes int) {
	h.kernels.ScatterAdd(h.of(dst), h.of(x), ids, width, lanes)
}

func (h *host[T]) Uniform(dst Buf, k Key) { h.kernels.Uniform(h.of(dst), k.philox()) }
func (h *host[T]) Normal(dst Buf, k Key)  { h.kernels.Normal(h.of(dst), k.philox()) }

// Imaging

func (h *host[T]) AllocBytes(n int) Bytes            { return Bytes{Host: pages.New[byte](&h.memory, n), N: n} }
func (h *host[T]) FreeBytes(b Bytes)                 { pages.Free(&h.memory, b.Host) }
func (h *host[T]) UploadBytes(dst Bytes, src []byte) { copy(dst.Host, src) }

func (h *host[T]) Resample(dst, levels Buf, crops []CropArgs, size int) {
	h.crops = h.crops[:0]
	for _, c := range crops {
		h.crops = append(h.crops, cpu.Crop{Pix: c.Pix.Host, Stride: c.Stride, Columns: c.Columns, Rows: c.Rows, RowsFirst: c.RowsFirst, Flip: c.Flip})
	}
	h.kernels.Resample(h.of(dst), h.of(levels), h.crops, size)
}

// Update

func (h *host[T]) gradDrop(r GradDropArgs) cpu.GradDropArgs[T] {
	return cpu.GradDropArgs[T]{Leak: r.Leak, Eps: r.Eps, Penalty: r.Penalty, Key: r.Key.philox(), Scores: h.of(r.Scores), SumSquares: h.of(r.SumSquares)}
}

func (h *host[T]) GradDrop(dst, a, b Buf, r GradDropArgs) {
	h.kernels.GradDrop(h.of(dst), h.of(a), h.of(b), h.gradDrop(r))
}

func (h *host[T]) SignAgree(dst, a, b Buf, keepZero bool) {
	h.kernels.SignAgree(h.of(dst), h.of(a), h.of(b), keepZero)
}

func (h *host[T]) SignDrop(dst, a, b Buf, k Key) {
	h.kernels.SignDrop(h.of(dst), h.of(a), h.of(b), k.philox())
}

func (h *host[T]) Adam(w, m, v, g Buf, a AdamArgs) {
	h.kernels.Adam(h.of(w), h.of(m), h.of(v), h.of(g), cpu.AdamArgs(a))
}

func (h *host[T]) GradDropAdam(w, m, v, ga, gb Buf, r GradDropArgs, a AdamArgs) {
	h.kernels.GradDropAdam(h.of(w), h.of(m), h.of(v), h.of(ga), h.of(gb), h.gradDrop(r), cpu.AdamArgs(a))
}

func (h *host[T]) SGD(w, v, g Buf, lr, momentum, decay float64) {
	h.kernels.SGD(h.of(w), h.of(v), h.of(g), lr, momentum, decay)
}

// Transport

func (h *host[T]) Sinkhorn(dst, s Buf, a SinkhornArgs) {
	h.kernels.Sinkhorn(h.of(dst), h.of(s), cpu.SinkhornShape(a))
}
