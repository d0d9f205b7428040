package tensor

import (
	"fewshot/tensor/internal/int8"
	"fewshot/tensor/internal/par"
	"fewshot/tensor/internal/simd"
)

// Quantizer is what a backend implements whose products can have integers of eight bits as factors. Quantize makes them
// of the weights b [n, k] of a layer; how many bytes they have is the second result.
type Quantizer interface {
	Quantize(b Buf, n, k int) (quantized any, bytes int64)
}

// Int8Pays reports whether "cpu" with Precision "int8" is faster than with float32 on this machine.
func Int8Pays() bool { return simd.HasInt8() }

// int8Host and vectorInt8Host are the float32 hosts with products by quantised weights.
type int8Host struct{ *host[float32] }

type vectorInt8Host struct{ *vectorHost }

func (h int8Host) Quantize(b Buf, n, k int) (any, int64)       { return quantize(h.pool, b, n, k) }
func (h vectorInt8Host) Quantize(b Buf, n, k int) (any, int64) { return quantize(h.pool, b, n, k) }

func (h int8Host) Gemm(g GemmArgs) {
	if !gemmInt8(h.pool, g) {
		h.host.Gemm(g)
	}
}

func (h vectorInt8Host) Gemm(g GemmArgs) {
	if !gemmInt8(h.pool, g) {
		h.vectorHost.Gemm(g)
	}
}

// quantize makes what the kernels in use read, or what the portable loops do.
func quantize(p *par.Pool, b Buf, n, k int) (any, int64) {
	if k > int8.MaxK {
		return nil, 0
	}
	if q := simd.QuantizeInt8(p, b.F32, n, k); q != nil {
		return q, q.Bytes()
	}
	w := int8.New(n, k)
	p.For(n, 1, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			w.Set(i, b.F32[i*k:][:k])
		}
	})
	return w, int64(n) * int64(k)
}

// gemmInt8 does products whose second factor is quantised.
func gemmInt8(p *par.Pool, g GemmArgs) bool {
	switch w := g.B.Packed.of(g.TransB).(type) {
	case *simd.Int8:
		return simd.GemmInt8(p, &simd.GemmArgs{Dst: g.Dst.F32, A: g.A.F32, Add: g.Add.F32, Bias: g.Bias.F32,
			M: g.M, N: g.N, K: g.K, TransA: g.TransA, TransB: g.TransB, LDA: g.LDA, LDB: g.LDB, LDC: g.LDC, Batch: g.Batch}, w)
	case *int8.Weights:
		if g.TransA || !g.TransB || g.Batch != 1 || g.N != w.N || g.K != w.K {
			return false
		}
		p.For(g.M, 1, func(_, lo, hi int) { w.Product(g.Dst.F32, g.A.F32, g.Bias.F32, g.Add.F32, lo, hi, g.LDA, g.LDC) })
		return true
	}
	return false
}
