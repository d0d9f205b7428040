package tensor

import (
	"fewshot/tensor/internal/cpu"
	"fewshot/tensor/internal/simd"
)

// vectorHost is the float32 host with assembly in place of the portable kernels that matter most. What it does
// not mention is portable; so is what simd declines.
type vectorHost struct{ *host[float32] }

func (h *vectorHost) Gemm(g GemmArgs) {
	done := simd.Gemm(h.pool, &simd.GemmArgs{Dst: g.Dst.F32, A: g.A.F32, B: g.B.F32, Bias: g.Bias.F32, M: g.M, N: g.N, K: g.K,
		TransA: g.TransA, TransB: g.TransB, Accumulate: g.Accumulate, LDA: g.LDA, LDB: g.LDB, LDC: g.LDC,
		Batch: g.Batch, StrideA: g.StrideA, StrideB: g.StrideB, StrideC: g.StrideC})
	if !done {
		h.host.Gemm(g)
	}
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

func (h *vectorHost) Add(dst, x, y Buf) {
	cpu.ForSuffix(h.pool, dst.N, y.N, cpu.Light, func(lo, hi, at int) {
		simd.Add(dst.F32[lo:hi], x.F32[lo:hi], y.F32[at:at+hi-lo])
	})
}

func (h *vectorHost) Mul(dst, x, y Buf) {
	cpu.ForSuffix(h.pool, dst.N, y.N, cpu.Light, func(lo, hi, at int) {
		simd.Mul(dst.F32[lo:hi], x.F32[lo:hi], y.F32[at:at+hi-lo])
	})
}

func (h *vectorHost) Scale(dst, x Buf, c float64) {
	h.pool.For(dst.N, cpu.Light, func(_, lo, hi int) { simd.Scale(dst.F32[lo:hi], x.F32[lo:hi], float32(c)) })
}

func (h *vectorHost) AXPY(dst Buf, c float64, x Buf) {
	h.pool.For(dst.N, cpu.Light, func(_, lo, hi int) { simd.AXPY(dst.F32[lo:hi], float32(c), x.F32[lo:hi]) })
}

func (h *vectorHost) Exp(dst, x Buf) {
	h.pool.For(dst.N, cpu.Light, func(_, lo, hi int) { simd.Exp(dst.F32[lo:hi], x.F32[lo:hi]) })
}

func (h *vectorHost) Mask(dst, w, s Buf, t float64) {
	h.pool.For(dst.N, cpu.Light, func(_, lo, hi int) { simd.Mask(dst.F32[lo:hi], w.F32[lo:hi], s.F32[lo:hi], float32(t)) })
}

func (h *vectorHost) Activate(dst, x Buf, a Activation) {
	var kernel func(dst, x []float32)
	switch a {
	case QuickGELU:
		kernel = simd.QuickGELU
	case GELU:
		kernel = simd.GELU
	default:
		h.host.Activate(dst, x, a)
		return
	}
	h.pool.For(dst.N, cpu.Light, func(_, lo, hi int) { kernel(dst.F32[lo:hi], x.F32[lo:hi]) })
}

func (h *vectorHost) ActivateGrad(dst, ct, x Buf, a Activation) {
	var kernel func(dst, ct, x []float32)
	switch a {
	case QuickGELU:
		kernel = simd.QuickGELUGrad
	case GELU:
		kernel = simd.GELUGrad
	default:
		h.host.ActivateGrad(dst, ct, x, a)
		return
	}
	cpu.ForSuffix(h.pool, dst.N, x.N, cpu.Light, func(lo, hi, at int) {
		kernel(dst.F32[lo:hi], ct.F32[lo:hi], x.F32[at:at+hi-lo])
	})
}

func (h *vectorHost) Softmax(dst, x Buf, width int) {
	cpu.ForRows(h.pool, dst.N, width, cpu.Light, func(r int) {
		simd.SoftmaxRow(cpu.Row(dst.F32, r, width), cpu.Row(x.F32, r, width))
	})
}

func (h *vectorHost) SoftmaxGrad(dst, ct, y Buf, width int) {
	cpu.ForRows(h.pool, dst.N, width, cpu.Light, func(r int) {
		simd.SoftmaxGradRow(cpu.Row(dst.F32, r, width), cpu.Row(ct.F32, r, width), cpu.Row(y.F32, r, width))
	})
}

func (h *vectorHost) LayerNorm(dst, stats, x, w, b Buf, width int, eps float64) {
	cpu.ForRows(h.pool, dst.N, width, cpu.Light, func(r int) {
		s := cpu.Row(stats.F32, r, 2)
		s[0], s[1] = simd.LayerNormRow(cpu.Row(dst.F32, r, width), cpu.Row(x.F32, r, width), w.F32, b.F32, float32(eps))
	})
}

func (h *vectorHost) LayerNormGrad(dst, ct, x, stats, w Buf, width int) {
	cpu.ForRows(h.pool, dst.N, width, cpu.Light, func(r int) {
		s := cpu.Row(stats.F32, r, 2)
		simd.LayerNormGradRow(cpu.Row(dst.F32, r, width), cpu.Row(ct.F32, r, width), cpu.Row(x.F32, r, width), w.F32, s[0], s[1])
	})
}

func (h *vectorHost) SumSquares(dst, x Buf) { h.Dot(dst, x, x) }
func (h *vectorHost) Dot(dst, x, y Buf)     { dst.F32[0] = simd.Dot(h.pool, x.F32, y.F32) }

func (h *vectorHost) CountAbove(x Buf, t float64) int {
	return simd.CountAbove(h.pool, x.F32, float32(t))
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
