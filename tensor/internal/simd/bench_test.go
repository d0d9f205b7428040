package simd

import (
	"fmt"
	"testing"
	"time"

	"fewshot/tensor/internal/par"
	"fewshot/tensor/internal/philox"
)

// peak measures what Peak does, in GFLOP/s.
func peak(p *par.Pool) float64 {
	best := 0.0
	for range 5 {
		start := time.Now()
		Peak(p, "float32")
		best = max(best, PeakFLOP(p, "float32")/float64(time.Since(start).Nanoseconds()))
	}
	return best
}

// BenchmarkGemm multiplies the shapes of ViT-B/16: forward Y = X·Wᵀ, and the gradients dX = dY·W and
// dW = dYᵀ·X, where X has m rows, W is n×k. It reports the share of the peak that it measured beside.
func BenchmarkGemm(b *testing.B) {
	p := par.New(0)
	defer p.Close()
	for _, op := range []string{"fwd", "dX", "dW"} {
		for _, m := range []int{6304, 197} {
			for _, nk := range [][2]int{{2304, 768}, {768, 768}, {3072, 768}, {768, 3072}} {
				n, k := nk[0], nk[1]
				for _, v := range machine {
					b.Run(fmt.Sprintf("op=%s/m=%d/n=%d/k=%d/impl=%s", op, m, n, k, v.name), func(b *testing.B) {
						defer Use(v.name)()
						benchmarkGemm(b, p, op, m, n, k)
					})
				}
			}
		}
	}
}

func benchmarkGemm(b *testing.B, p *par.Pool, op string, m, n, k int) {
	x, w, y := filled(m*k), filled(n*k), filled(m*n)
	g := &GemmArgs{Batch: 1}
	switch op {
	case "fwd":
		*g = GemmArgs{Dst: y, A: x, B: w, M: m, N: n, K: k, TransB: true, LDA: k, LDB: k, LDC: n, Batch: 1}
	case "dX":
		*g = GemmArgs{Dst: x, A: y, B: w, M: m, N: k, K: n, LDA: n, LDB: k, LDC: k, Batch: 1}
	case "dW":
		*g = GemmArgs{Dst: w, A: y, B: x, M: n, N: k, K: m, TransA: true, LDA: n, LDB: k, LDC: k, Batch: 1}
	}
	Gemm(p, g)
	top := peak(p)
	flops := 2 * float64(m) * float64(n) * float64(k)
	b.ResetTimer()
	for range b.N {
		Gemm(p, g)
	}
	rate := flops * float64(b.N) / float64(b.Elapsed().Nanoseconds())
	b.ReportMetric(rate, "GFLOP/s")
	b.ReportMetric(100*rate/top, "%peak")
}

// BenchmarkGain is what the parts of a product are worth, each switched off once: several steps of k in a turn of the
// kernel's loop, fetching the next panel of B, blocks of A as large as the L2 cache permits, and large pages for what
// is packed beforehand. Some count where the core has its second hardware thread busy, others where the cache is small.
func BenchmarkGain(b *testing.B) {
	p := par.New(1)
	defer p.Close()
	for _, v := range machine {
		for _, m := range []int{50, 197, 1600} {
			for _, gain := range []struct {
				name string
				off  *bool
			}{{"none", new(bool)}, {"turns", &off.turns}, {"fetching", &off.fetching}, {"resident", &off.resident}, {"pages", &off.pages}} {
				b.Run(fmt.Sprintf("m=%d/impl=%s/off=%s", m, v.name, gain.name), func(b *testing.B) {
					defer Use(v.name)()
					*gain.off = true
					defer func() { *gain.off = false }()
					const n, k = 3072, 768
					x, w, y := filled(m*k), filled(n*k), filled(m*n)
					g := &GemmArgs{Dst: y, A: x, B: w, M: m, N: n, K: k, TransB: true, LDA: k, LDB: k, LDC: n, Batch: 1, Packed: Pack(p, w, n, k, true)}
					for b.Loop() {
						Gemm(p, g)
					}
					b.ReportMetric(2*float64(m*n*k)*float64(b.N)/float64(b.Elapsed().Nanoseconds()), "GFLOP/s")
				})
			}
		}
	}
}

func filled(n int) []float32 {
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(i%17-8) / 16
	}
	return x
}

// BenchmarkAttention runs ViT-B/16's self-attention for 32 images, its last block's (the class token
// alone asks), and the text encoder's, forward and backward for two lanes; with the next head fetched while one is
// computed, and without.
func BenchmarkAttention(b *testing.B) {
	p := par.New(0)
	defer p.Close()
	last := self(32, 197, 12, 64, false)
	last.LenQ, last.ColsQ, last.Q = 1, 768, 0
	for _, c := range []struct {
		name string
		AttentionShape
	}{{"image", self(32, 197, 12, 64, false)}, {"class", last}, {"text", self(32, 77, 8, 64, true)}} {
		s := c.AttentionShape
		const lanes = 2
		kv := filled(s.Batch * s.LenKV * s.ColsKV)
		q := kv[:s.Batch*s.LenQ*s.ColsQ]
		dst, lse := make([]float32, s.Batch*s.LenQ*s.width()), make([]float32, s.Batch*s.Heads*s.LenQ)
		ct, dq, dkv := filled(lanes*len(dst)), make([]float32, lanes*len(q)), make([]float32, lanes*len(kv))
		flops := 4 * float64(s.Batch*s.Heads*s.Size) * float64(s.LenQ) * float64(s.LenKV)
		for _, v := range machine {
			run := func(op, without string, flops float64, f func()) {
				b.Run(fmt.Sprintf("op=%s/of=%s/impl=%s/off=%s", op, c.name, v.name, without), func(b *testing.B) {
					defer Use(v.name)()
					off.fetching = without == "fetching"
					defer func() { off.fetching = false }()
					f()
					top := peak(p)
					b.ResetTimer()
					for range b.N {
						f()
					}
					rate := flops * float64(b.N) / float64(b.Elapsed().Nanoseconds())
					b.ReportMetric(rate, "GFLOP/s")
					b.ReportMetric(100*rate/top, "%peak")
				})
			}
			for _, without := range []string{"none", "fetching"} {
				run("fwd", without, flops, func() { Attention(p, dst, lse, q, kv, s) })
				run("grad", without, flops/2*(1+4*lanes), func() { AttentionGrad(p, dq, dkv, ct, q, kv, dst, lse, s, lanes) })
			}
		}
	}
}

// BenchmarkVector runs the kernels on one core, on a row of the residual stream or of the hidden layer.
func BenchmarkVector(b *testing.B) {
	const n = 3072
	x, y, w, z, one := filled(n), filled(n), filled(n), make([]float32, n), make([]float32, n)
	for i := range one {
		one[i] = 1
	}
	drop := GradDropArgs{Leak: 0.5, Eps: 1e-8}
	step := AdamArgs{LR: 1e-5, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 1000}
	p := par.New(1)
	defer p.Close()
	for _, v := range machine {
		for _, c := range []struct {
			name string
			f    func()
		}{
			{"Exp", func() { Exp(z, x) }},
			{"QuickGELU", func() { QuickGELU(z, x) }},
			{"ReLU", func() { ReLU(z, x) }},
			{"QuickGELUGrad", func() { QuickGELUGrad(z, y, x) }},
			{"GELU", func() { GELU(z, x) }},
			{"GELUGrad", func() { GELUGrad(z, y, x) }},
			{"SoftmaxRow", func() { SoftmaxRow(z, x) }},
			{"SoftmaxGradRow", func() { SoftmaxGradRow(z, y, x) }},
			{"LayerNormRow", func() { LayerNormRow(z, x, w, y, 1e-5) }},
			{"LayerNormGradRow", func() { LayerNormGradRow(z, y, x, w, 0, 1) }},
			{"Add", func() { Add(z, x, y) }},
			{"AXPY", func() { AXPY(z, 0.5, x) }},
			{"Mask", func() { Mask(z, x, y, 0) }},
			{"Uniform", func() { Uniform(z, philox.Key{1, 2}, 0) }},
			{"Dot", func() { Dot(p, x, y) }},
			{"CountAbove", func() { CountAbove(p, x, 0) }},
			{"GradDrop", func() { GradDrop(p, z, x, y, drop) }},
			{"Adam", func() { Adam(p, z, w, one, x, step) }},
			{"GradDropAdam", func() { GradDropAdam(p, z, w, one, x, y, drop, step) }},
		} {
			b.Run(fmt.Sprintf("op=%s/n=%d/impl=%s", c.name, n, v.name), func(b *testing.B) {
				defer Use(v.name)()
				for range b.N {
					c.f()
				}
				b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/n, "ns/element")
			})
		}
	}
}
