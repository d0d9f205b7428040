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
	n := narrowHost{Backend: &vectorHost{host: h}, pool: h.pool, narrow: simd.Narrow, widen: simd.Widen}
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

// eachNarrow is each for operands of which some are narrow.
type eachNarrow struct {
	h         *vectorNarrowHost
	f         kernel
	dst, x, y Buf
	c         float32
}

func (e *eachNarrow) Do(worker, lo, hi int) {
	s := &e.h.strips[worker]
	for lo < hi {
		at := lo % e.y.N
		n := min(hi-lo, e.y.N-at, stripLen)
		dst := s.write(0, e.dst, lo, lo+n)
		e.f(dst, s.read(1, e.x, lo, lo+n), s.read(2, e.y, at, at+n), e.c)
		wrote(e.dst, lo, lo+n, dst)
		lo += n
	}
}

func (h *vectorNarrowHost) each(f kernel, dst, x, y Buf, c float64) {
	par.Do(h.pool, dst.N, cpu.Light, eachNarrow{h, f, dst, x, y, float32(c)})
}

func (h *vectorNarrowHost) Add(dst, x, y Buf)             { h.each(addKernel, dst, x, y, 0) }
func (h *vectorNarrowHost) Mul(dst, x, y Buf)             { h.each(mulKernel, dst, x, y, 0) }
func (h *vectorNarrowHost) Scale(dst, x Buf, c float64)   { h.each(scaleKernel, dst, x, x, c) }
func (h *vectorNarrowHost) Mask(dst, w, s Buf, t float64) { h.each(simd.Mask, dst, w, s, t) }

func (h *vectorNarrowHost) Activate(dst, x Buf, a Activation) {
	if f := activations[a]; f != nil {
		h.each(f, dst, x, x, 0)
	} else {
		h.narrowHost.Activate(dst, x, a)
	}
}

func (h *vectorNarrowHost) ActivateGrad(dst, ct, x Buf, a Activation) {
	if f := activationGrads[a]; f != nil {
		h.each(f, dst, ct, x, 0)
	} else {
		h.narrowHost.ActivateGrad(dst, ct, x, a)
	}
}

// layerNormNarrow and layerNormGradNarrow are layerNorm and layerNormGrad for narrow rows.
type layerNormNarrow struct {
	h           *vectorNarrowHost
	dst, x      Buf
	stats, w, b []float32
	width       int
	eps         float32
}

func (l *layerNormNarrow) Do(worker, lo, hi int) {
	s := &l.h.strips[worker]
	for r := lo; r < hi; r++ {
		from, to := r*l.width, (r+1)*l.width
		dst, stats := s.write(0, l.dst, from, to), cpu.Row(l.stats, r, 2)
		stats[0], stats[1] = simd.LayerNormRow(dst, s.read(1, l.x, from, to), l.w, l.b, l.eps)
		wrote(l.dst, from, to, dst)
	}
}

func (h *vectorNarrowHost) LayerNorm(dst, stats, x, w, b Buf, width int, eps float64) {
	if width == 0 || anyNarrow(stats, w, b) {
		h.narrowHost.LayerNorm(dst, stats, x, w, b, width, eps)
		return
	}
	par.Do(h.pool, dst.N/width, rowsAtOnce(width), layerNormNarrow{h, dst, x, stats.F32, w.F32, b.F32, width, float32(eps)})
}

type layerNormGradNarrow struct {
	h          *vectorNarrowHost
	dst, ct, x Buf
	stats, w   []float32
	width      int
}

func (l *layerNormGradNarrow) Do(worker, lo, hi int) {
	s := &l.h.strips[worker]
	saved := max(l.x.N/l.width, 1)
	for r := lo; r < hi; r++ {
		from, to, at := r*l.width, (r+1)*l.width, r%saved*l.width
		dst, stats := s.write(0, l.dst, from, to), cpu.Row(l.stats, r, 2)
		simd.LayerNormGradRow(dst, s.read(1, l.ct, from, to), s.read(2, l.x, at, at+l.width), l.w, stats[0], stats[1])
		wrote(l.dst, from, to, dst)
	}
}

func (h *vectorNarrowHost) LayerNormGrad(dst, ct, x, stats, w Buf, width int) {
	if width == 0 || anyNarrow(stats, w) {
		h.narrowHost.LayerNormGrad(dst, ct, x, stats, w, width)
		return
	}
	par.Do(h.pool, dst.N/width, rowsAtOnce(width), layerNormGradNarrow{h, dst, ct, x, stats.F32, w.F32, width})
}

// rowsAtOnce is how many rows a worker takes at a time.
func rowsAtOnce(width int) int { return max(1, cpu.Light/width) }

func (h *vectorNarrowHost) Gemm(g GemmArgs) {
	if g.A.BF16 == nil || g.B.BF16 == nil || g.Bias.BF16 != nil {
		h.narrowHost.Gemm(g)
		return
	}
	done := simd.GemmBF16(h.pool, &simd.GemmBF16Args{Narrow: g.Dst.BF16, NarrowAdd: g.Add.BF16, A: g.A.BF16, B: g.B.BF16, GemmArgs: simd.GemmArgs{
		Dst: g.Dst.F32, Add: g.Add.F32, Bias: g.Bias.F32, M: g.M, N: g.N, K: g.K,
		TransA: g.TransA, TransB: g.TransB, LDA: g.LDA, LDB: g.LDB, LDC: g.LDC,
		Batch: g.Batch, StrideA: g.StrideA, StrideB: g.StrideB, StrideC: g.StrideC, Packed: packedOf(g.B, g.TransB)}})
	if !done {
		h.narrowHost.Gemm(g)
	}
}

func (h *vectorNarrowHost) Pack(b Buf, n, k int, transB bool) (any, int64) {
	if b.BF16 == nil {
		return asPacked(simd.Pack(h.pool, b.F32, n, k, transB))
	}
	return asPacked(simd.PackBF16(h.pool, b.BF16, n, k, transB))
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
