package tensor

import (
	"fewshot/tensor/internal/cpu"
	"fewshot/tensor/internal/par"
	"fewshot/tensor/internal/simd"
)

// vectorNarrowHost is narrowHost with the operations that matter in one pass: numbers are widened and rounded a strip at a
// time, in memory that stays in the L1 cache, and products take them as they are where the processor can.
type vectorNarrowHost struct {
	narrowHost
	strips []strips // by worker
}

func newVectorNarrowHost(h *host[float32]) *vectorNarrowHost {
	n := narrowHost{Backend: &vectorHost{h}, pool: h.pool, narrow: simd.Narrow, widen: simd.Widen}
	return &vectorNarrowHost{n, make([]strips, h.pool.Workers())}
}

// stripLen is how many numbers an elementwise operation takes at a time.
const stripLen = 1024

// strips is a worker's memory for the wide operands of an operation: some rows, or stripLen numbers each.
type strips [4][]float32

func (s *strips) room(i, n int) []float32 {
	if cap(s[i]) < n {
		s[i] = make([]float32, max(n, stripLen))
	}
	return s[i][:n]
}

// read is numbers lo to hi of b, where they are or widened into strip i.
func (s *strips) read(i int, b Buf, lo, hi int) []float32 {
	if b.BF16 == nil {
		return b.F32[lo:hi]
	}
	w := s.room(i, hi-lo)
	simd.Widen(w, b.BF16[lo:hi])
	return w
}

// write is where numbers lo to hi of b are to be computed; wrote puts them where they belong.
func (s *strips) write(i int, b Buf, lo, hi int) []float32 {
	if b.BF16 == nil {
		return b.F32[lo:hi]
	}
	return s.room(i, hi-lo)
}

func wrote(b Buf, lo, hi int, w []float32) {
	if b.BF16 != nil {
		simd.Narrow(b.BF16[lo:hi], w)
	}
}

func anyNarrow(bs ...Buf) bool {
	for _, b := range bs {
		if b.BF16 != nil {
			return true
		}
	}
	return false
}

// elementwise is dst[i] = f(x[i], y[i mod |y|]).
type elementwise struct {
	h         *vectorNarrowHost
	dst, x, y Buf
	f         func(dst, x, y []float32, c float32)
	c         float32
}

func (h *vectorNarrowHost) each(e elementwise) {
	e.h = h
	par.Run(h.pool, e.dst.N, cpu.Light, e, func(e *elementwise, worker, lo, hi int) {
		s := &e.h.strips[worker]
		for lo < hi {
			at := lo % e.y.N
			n := min(hi-lo, e.y.N-at, stripLen)
			dst := s.write(0, e.dst, lo, lo+n)
			e.f(dst, s.read(1, e.x, lo, lo+n), s.read(2, e.y, at, at+n), e.c)
			wrote(e.dst, lo, lo+n, dst)
			lo += n
		}
	})
}

func (h *vectorNarrowHost) Add(dst, x, y Buf) {
	h.each(elementwise{dst: dst, x: x, y: y, f: func(dst, x, y []float32, _ float32) { simd.Add(dst, x, y) }})
}

func (h *vectorNarrowHost) Mul(dst, x, y Buf) {
	h.each(elementwise{dst: dst, x: x, y: y, f: func(dst, x, y []float32, _ float32) { simd.Mul(dst, x, y) }})
}

func (h *vectorNarrowHost) Scale(dst, x Buf, c float64) {
	h.each(elementwise{dst: dst, x: x, y: x, c: float32(c), f: func(dst, x, _ []float32, c float32) { simd.Scale(dst, x, c) }})
}

func (h *vectorNarrowHost) Mask(dst, w, s Buf, t float64) {
	h.each(elementwise{dst: dst, x: w, y: s, c: float32(t), f: simd.Mask})
}

func (h *vectorNarrowHost) Activate(dst, x Buf, a Activation) {
	switch a {
	case QuickGELU:
		h.each(elementwise{dst: dst, x: x, y: x, f: func(dst, x, _ []float32, _ float32) { simd.QuickGELU(dst, x) }})
	case GELU:
		h.each(elementwise{dst: dst, x: x, y: x, f: func(dst, x, _ []float32, _ float32) { simd.GELU(dst, x) }})
	default:
		h.narrowHost.Activate(dst, x, a)
	}
}

func (h *vectorNarrowHost) ActivateGrad(dst, ct, x Buf, a Activation) {
	switch a {
	case QuickGELU:
		h.each(elementwise{dst: dst, x: ct, y: x, f: func(dst, ct, x []float32, _ float32) { simd.QuickGELUGrad(dst, ct, x) }})
	case GELU:
		h.each(elementwise{dst: dst, x: ct, y: x, f: func(dst, ct, x []float32, _ float32) { simd.GELUGrad(dst, ct, x) }})
	default:
		h.narrowHost.ActivateGrad(dst, ct, x, a)
	}
}

// layerNorm is the operands of LayerNorm and LayerNormGrad.
type layerNorm struct {
	h                       *vectorNarrowHost
	dst, ct, x, stats, w, b Buf
	width                   int
	eps                     float32
}

func (h *vectorNarrowHost) LayerNorm(dst, stats, x, w, b Buf, width int, eps float64) {
	if anyNarrow(stats, w, b) {
		h.narrowHost.LayerNorm(dst, stats, x, w, b, width, eps)
		return
	}
	l := layerNorm{h: h, dst: dst, x: x, stats: stats, w: w, b: b, width: width, eps: float32(eps)}
	h.rows(l, func(l *layerNorm, worker, lo, hi int) {
		s := &l.h.strips[worker]
		for r := lo; r < hi; r++ {
			from, to := r*l.width, (r+1)*l.width
			dst, stats := s.write(0, l.dst, from, to), cpu.Row(l.stats.F32, r, 2)
			stats[0], stats[1] = simd.LayerNormRow(dst, s.read(1, l.x, from, to), l.w.F32, l.b.F32, l.eps)
			wrote(l.dst, from, to, dst)
		}
	})
}

func (h *vectorNarrowHost) LayerNormGrad(dst, ct, x, stats, w Buf, width int) {
	if anyNarrow(stats, w) {
		h.narrowHost.LayerNormGrad(dst, ct, x, stats, w, width)
		return
	}
	l := layerNorm{h: h, dst: dst, ct: ct, x: x, stats: stats, w: w, width: width}
	h.rows(l, func(l *layerNorm, worker, lo, hi int) {
		s := &l.h.strips[worker]
		saved := max(l.x.N/l.width, 1)
		for r := lo; r < hi; r++ {
			from, to := r*l.width, (r+1)*l.width
			at := r % saved * l.width
			dst, stats := s.write(0, l.dst, from, to), cpu.Row(l.stats.F32, r, 2)
			simd.LayerNormGradRow(dst, s.read(1, l.ct, from, to), s.read(2, l.x, at, at+l.width), l.w.F32, stats[0], stats[1])
			wrote(l.dst, from, to, dst)
		}
	})
}

// rows runs f on the rows of dst.
func (h *vectorNarrowHost) rows(l layerNorm, f func(l *layerNorm, worker, lo, hi int)) {
	if l.width > 0 {
		par.Run(h.pool, l.dst.N/l.width, max(1, cpu.Light/l.width), l, f)
	}
}

func (h *vectorNarrowHost) Gemm(g GemmArgs) {
	if g.A.BF16 == nil || g.B.BF16 == nil || g.Bias.BF16 != nil {
		h.narrowHost.Gemm(g)
		return
	}
	done := simd.GemmBF16(h.pool, &simd.GemmBF16Args{Narrow: g.Dst.BF16, A: g.A.BF16, B: g.B.BF16, GemmArgs: simd.GemmArgs{
		Dst: g.Dst.F32, Bias: g.Bias.F32, M: g.M, N: g.N, K: g.K,
		TransA: g.TransA, TransB: g.TransB, Accumulate: g.Accumulate, LDA: g.LDA, LDB: g.LDB, LDC: g.LDC,
		Batch: g.Batch, StrideA: g.StrideA, StrideB: g.StrideB, StrideC: g.StrideC}})
	if !done {
		h.narrowHost.Gemm(g)
	}
}

func (h *vectorNarrowHost) Attention(dst, lse, q, kv Buf, s AttentionShape) {
	if dst.BF16 == nil || lse.F32 == nil || q.BF16 == nil || kv.BF16 == nil ||
		!simd.AttentionBF16(h.pool, dst.BF16, lse.F32, q.BF16, kv.BF16, simd.AttentionShape(s)) {
		h.narrowHost.Attention(dst, lse, q, kv, s)
	}
}

func (h *vectorNarrowHost) AttentionGrad(dq, dkv, ct, q, kv, out, lse Buf, s AttentionShape, lanes int) {
	if dq.BF16 == nil || dkv.BF16 == nil || ct.BF16 == nil || q.BF16 == nil || kv.BF16 == nil || out.BF16 == nil || lse.F32 == nil ||
		!simd.AttentionGradBF16(h.pool, dq.BF16, dkv.BF16, ct.BF16, q.BF16, kv.BF16, out.BF16, lse.F32, simd.AttentionShape(s), lanes) {
		h.narrowHost.AttentionGrad(dq, dkv, ct, q, kv, out, lse, s, lanes)
	}
}
