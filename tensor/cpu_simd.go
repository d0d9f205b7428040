package tensor

import (
	"fewshot/tensor/internal/cpu"
	"fewshot/tensor/internal/par"
	"fewshot/tensor/internal/simd"
)

// vectorHost is the float32 host with assembly in place of the portable kernels that matter most. What it does
// not mention is portable; so is what simd declines.
type vectorHost struct {
	*host[float32]
	strassen bool
	sums     [][]float32 // of AvgPool, by worker
}

// Strassen reports whether large products are computed by that algorithm.
func (h *vectorHost) Strassen() bool { return h.strassen }

func (h *vectorHost) Gemm(g GemmArgs) {
	done := simd.Gemm(h.pool, &simd.GemmArgs{Dst: g.Dst.F32, A: g.A.F32, B: g.B.F32, Add: g.Add.F32, Bias: g.Bias.F32,
		M: g.M, N: g.N, K: g.K, TransA: g.TransA, TransB: g.TransB, LDA: g.LDA, LDB: g.LDB, LDC: g.LDC,
		Batch: g.Batch, StrideA: g.StrideA, StrideB: g.StrideB, StrideC: g.StrideC, Packed: packedOf(g.B, g.TransB), Strassen: h.strassen})
	if !done {
		h.host.Gemm(g)
	}
}

func (h *vectorHost) Conv(dst, x, w, add, bias Buf, s ConvShape) {
	if !simd.Conv(h.pool, dst.F32, x.F32, w.F32, add.F32, bias.F32, simd.ConvShape(s)) {
		h.host.Conv(dst, x, w, add, bias, s)
	}
}

func (h *vectorHost) ConvGrad(dx, ct, w Buf, s ConvShape) {
	if !simd.ConvGrad(h.pool, dx.F32, ct.F32, w.F32, simd.ConvShape(s)) {
		h.host.ConvGrad(dx, ct, w, s)
	}
}

func (h *vectorHost) ConvWeightGrad(dw, x, ct Buf, s ConvShape, lanes int) {
	if !simd.ConvWeightGrad(h.pool, dw.F32, x.F32, ct.F32, simd.ConvShape(s), lanes) {
		h.host.ConvWeightGrad(dw, x, ct, s, lanes)
	}
}

// avgPool is the operands of pooling, by rows of the result or of the image.
type avgPool struct {
	dst, x []float32
	s      PoolShape
	sums   [][]float32 // by worker
}

// Do averages: first rows are added, then neighbours in their sum.
func (p *avgPool) Do(worker, lo, hi int) {
	s := p.s
	row, c, ow := s.W*s.C, s.C, s.W/s.Size
	sum := p.sums[worker]
	for r := lo; r < hi; r++ {
		from, to := p.x[r*s.Size*row:][:s.Size*row], p.dst[r*ow*c:][:ow*c]
		simd.Scale(sum, from[:row], 1)
		for y := 1; y < s.Size; y++ {
			simd.Add(sum, sum, from[y*row:][:row])
		}
		for x := range ow {
			pixel := to[x*c:][:c]
			simd.Scale(pixel, sum[x*s.Size*c:][:c], 1)
			for i := 1; i < s.Size; i++ {
				simd.Add(pixel, pixel, sum[(x*s.Size+i)*c:][:c])
			}
		}
		simd.Scale(to, to, 1/float32(s.Size*s.Size))
	}
}

func (h *vectorHost) AvgPool(dst, x Buf, s PoolShape) {
	for len(h.sums) < h.pool.Workers() {
		h.sums = append(h.sums, nil)
	}
	for i := range h.sums {
		if cap(h.sums[i]) < s.W*s.C {
			h.sums[i] = make([]float32, s.W*s.C)
		}
		h.sums[i] = h.sums[i][:s.W*s.C]
	}
	par.Do(h.pool, s.N*(s.H/s.Size), max(1, cpu.Light/max(s.W*s.C*s.Size, 1)), avgPool{dst.F32, x.F32, s, h.sums})
}

// avgPoolGrad is avgPool for gradients: dst is of the image, x of the result.
type avgPoolGrad struct{ avgPool }

func (p *avgPoolGrad) Do(_, lo, hi int) {
	s := p.s
	factor := 1 / float32(s.Size*s.Size)
	for r := lo; r < hi; r++ {
		to, from := p.dst[r*s.W*s.C:][:s.W*s.C], p.x[r/s.Size*(s.W/s.Size)*s.C:]
		for x := range s.W {
			simd.Scale(to[x*s.C:][:s.C], from[x/s.Size*s.C:][:s.C], factor)
		}
	}
}

func (h *vectorHost) AvgPoolGrad(dx, ct Buf, s PoolShape) {
	par.Do(h.pool, s.N*s.H, max(1, cpu.Light/max(s.W*s.C, 1)), avgPoolGrad{avgPool{dx.F32, ct.F32, s, nil}})
}

func (h *vectorHost) Pack(b Buf, n, k int, transB bool) (any, int64) {
	return asPacked(simd.Pack(h.pool, b.F32, n, k, transB))
}

// packedOf is the packed copy of a factor, or nil.
func packedOf(b Buf, transB bool) *simd.Packed {
	p, _ := b.Packed.of(transB).(*simd.Packed)
	return p
}

func asPacked(p *simd.Packed) (any, int64) {
	if p == nil {
		return nil, 0
	}
	return p, p.Bytes()
}

func (h *vectorHost) Attention(dst, lse, q, kv Buf, s AttentionShape) {
	if !simd.Attention(h.pool, dst.F32, lse.F32, q.F32, kv.F32, simd.AttentionShape(s)) {
		h.host.Attention(dst, lse, q, kv, s)
	}
}

func (h *vectorHost) AttentionGrad(dq, dkv, ct, q, kv, out, lse Buf, s AttentionShape, lanes int) {
	if !simd.AttentionGrad(h.pool, dq.F32, dkv.F32, ct.F32, q.F32, kv.F32, out.F32, lse.F32, simd.AttentionShape(s), lanes) {
		h.host.AttentionGrad(dq, dkv, ct, q, kv, out, lse, s, lanes)
	}
}

// kernel is dst[i] = f(x[i], y[i], c), of which it may ignore some.
type kernel func(dst, x, y []float32, c float32)

// each is a kernel over whole operands; y may be a suffix operand.
type each struct {
	f         kernel
	dst, x, y []float32
	c         float32
}

func (e *each) Do(_, lo, hi int) {
	for lo < hi {
		at := lo % len(e.y)
		n := min(hi-lo, len(e.y)-at)
		e.f(e.dst[lo:lo+n], e.x[lo:lo+n], e.y[at:at+n], e.c)
		lo += n
	}
}

func (h *vectorHost) each(f kernel, dst, x, y Buf, c float64) {
	par.Do(h.pool, dst.N, cpu.Light, each{f, dst.F32, x.F32, y.F32, float32(c)})
}

func addKernel(dst, x, y []float32, _ float32)   { simd.Add(dst, x, y) }
func mulKernel(dst, x, y []float32, _ float32)   { simd.Mul(dst, x, y) }
func scaleKernel(dst, x, _ []float32, c float32) { simd.Scale(dst, x, c) }
func axpyKernel(dst, x, _ []float32, c float32)  { simd.AXPY(dst, c, x) }
func expKernel(dst, x, _ []float32, _ float32)   { simd.Exp(dst, x) }

func (h *vectorHost) Add(dst, x, y Buf)              { h.each(addKernel, dst, x, y, 0) }
func (h *vectorHost) Mul(dst, x, y Buf)              { h.each(mulKernel, dst, x, y, 0) }
func (h *vectorHost) Scale(dst, x Buf, c float64)    { h.each(scaleKernel, dst, x, x, c) }
func (h *vectorHost) AXPY(dst Buf, c float64, x Buf) { h.each(axpyKernel, dst, x, x, c) }
func (h *vectorHost) Exp(dst, x Buf)                 { h.each(expKernel, dst, x, x, 0) }
func (h *vectorHost) Mask(dst, w, s Buf, t float64)  { h.each(simd.Mask, dst, w, s, t) }

// activations and activationGrads, of the cotangent and the value before, are the kernels there are.
var (
	activations = map[Activation]kernel{
		QuickGELU: func(dst, x, _ []float32, _ float32) { simd.QuickGELU(dst, x) },
		GELU:      func(dst, x, _ []float32, _ float32) { simd.GELU(dst, x) },
		ReLU:      func(dst, x, _ []float32, _ float32) { simd.ReLU(dst, x) },
	}
	activationGrads = map[Activation]kernel{
		QuickGELU: func(dst, ct, x []float32, _ float32) { simd.QuickGELUGrad(dst, ct, x) },
		GELU:      func(dst, ct, x []float32, _ float32) { simd.GELUGrad(dst, ct, x) },
		ReLU:      func(dst, ct, x []float32, _ float32) { simd.Mask(dst, ct, x, 0) },
	}
)

func (h *vectorHost) Activate(dst, x Buf, a Activation) {
	if f := activations[a]; f != nil {
		h.each(f, dst, x, x, 0)
	} else {
		h.host.Activate(dst, x, a)
	}
}

func (h *vectorHost) ActivateGrad(dst, ct, x Buf, a Activation) {
	if f := activationGrads[a]; f != nil {
		h.each(f, dst, ct, x, 0)
	} else {
		h.host.ActivateGrad(dst, ct, x, a)
	}
}

// softmax, softmaxGrad, layerNorm and layerNormGrad are the operands of these.
type softmax struct {
	dst, x []float32
	width  int
}

func (s *softmax) Row(r int) {
	simd.SoftmaxRow(cpu.Row(s.dst, r, s.width), cpu.Row(s.x, r, s.width))
}

func (h *vectorHost) Softmax(dst, x Buf, width int) {
	cpu.DoRows(h.pool, dst.N, width, cpu.Light, softmax{dst.F32, x.F32, width})
}

type softmaxGrad struct {
	dst, ct, y []float32
	width      int
}

func (s *softmaxGrad) Row(r int) {
	simd.SoftmaxGradRow(cpu.Row(s.dst, r, s.width), cpu.Row(s.ct, r, s.width), cpu.Row(s.y, r, s.width))
}

func (h *vectorHost) SoftmaxGrad(dst, ct, y Buf, width int) {
	cpu.DoRows(h.pool, dst.N, width, cpu.Light, softmaxGrad{dst.F32, ct.F32, y.F32, width})
}

type layerNorm struct {
	dst, x, stats, w, b []float32
	width               int
	eps                 float32
}

func (l *layerNorm) Row(r int) {
	s := cpu.Row(l.stats, r, 2)
	s[0], s[1] = simd.LayerNormRow(cpu.Row(l.dst, r, l.width), cpu.Row(l.x, r, l.width), l.w, l.b, l.eps)
}

func (h *vectorHost) LayerNorm(dst, stats, x, w, b Buf, width int, eps float64) {
	cpu.DoRows(h.pool, dst.N, width, cpu.Light, layerNorm{dst.F32, x.F32, stats.F32, w.F32, b.F32, width, float32(eps)})
}

type layerNormGrad struct {
	dst, ct, x, stats, w []float32
	width                int
}

func (l *layerNormGrad) Row(r int) {
	s := cpu.Row(l.stats, r, 2)
	simd.LayerNormGradRow(cpu.Row(l.dst, r, l.width), cpu.Row(l.ct, r, l.width), cpu.Row(l.x, r, l.width), l.w, s[0], s[1])
}

func (h *vectorHost) LayerNormGrad(dst, ct, x, stats, w Buf, width int) {
	cpu.DoRows(h.pool, dst.N, width, cpu.Light, layerNormGrad{dst.F32, ct.F32, x.F32, stats.F32, w.F32, width})
}

func (h *vectorHost) SumSquares(dst, x Buf) { h.Dot(dst, x, x) }
func (h *vectorHost) Dot(dst, x, y Buf)     { dst.F32[0] = simd.Dot(h.pool, x.F32, y.F32) }

func (h *vectorHost) CountAbove(dst, x Buf, t float64) {
	dst.F32[0] = float32(simd.CountAbove(h.pool, x.F32, float32(t)))
}

func (h *vectorHost) Uniform(dst Buf, k Key) {
	h.pool.For(dst.N, cpu.Light, func(_, lo, hi int) { simd.Uniform(dst.F32[lo:hi], k.philox(), lo) })
}

func (h *vectorHost) GradDrop(dst, a, b Buf, r GradDropArgs) {
	simd.GradDrop(h.pool, dst.F32, a.F32, b.F32, simd.GradDropArgs(h.gradDrop(r)))
}

func (h *vectorHost) Adam(w, m, v, g Buf, a AdamArgs) {
	simd.Adam(h.pool, w.F32, m.F32, v.F32, g.F32, simd.AdamArgs(a))
}

func (h *vectorHost) GradDropAdam(w, m, v, ga, gb Buf, r GradDropArgs, a AdamArgs) {
	simd.GradDropAdam(h.pool, w.F32, m.F32, v.F32, ga.F32, gb.F32, simd.GradDropArgs(h.gradDrop(r)), simd.AdamArgs(a))
}
