package simd

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"slices"
	"testing"

	"fewshot/tensor/internal/par"
	"fewshot/tensor/internal/philox"
)

// bitsOf are hashes of what the kernels for vectors of eight numbers make of fixed inputs: AVX2's and NEON's are written once, and
// have the same bits.
var bitsOf = map[string]uint64{
	"AXPY":                 0xd367a1f5874d6bb0,
	"Add":                  0x4dce17a669605adf,
	"Exp":                  0xc7bd655577d06f3e,
	"GELU":                 0x3a4e2420783af22a,
	"GELUGrad":             0x5173a28868936021,
	"GradDropAdam":         0x57f1a39ad167a86b,
	"LayerNormGradRow":     0xe1e0495d40c99911,
	"LayerNormRow":         0xbe5764e6d51d1e17,
	"Mask":                 0x1b739d8cb21f218f,
	"Mul":                  0x4579978a06a9bad2,
	"QuickGELU":            0x788de95052f49a2e,
	"QuickGELUGrad":        0xad02775b9b47ea8d,
	"ReLU":                 0xfa947efce0c9a753,
	"Scale":                0xd83b02b44f4d650b,
	"SoftmaxGradRow":       0x58d0b8f05d2409d3,
	"SoftmaxRow":           0x15312124dd788a42,
	"Uniform":              0x634150e24697c36f,
	"Widen and Narrow":     0xcf61be98dcfb6947,
	"attention of 50":      0x06521be39268b4ec,
	"attention of 77":      0x36dda63d0f9c0a75,
	"product of 11×45×33":  0x0bafbd67dabe6f00,
	"product of 13×37×70":  0xed1026f8846bb3c7,
	"product of 1×1×1":     0x9099dd927d9d7b15,
	"product of 20×40×800": 0x7fbcc73ea155fa25,
	"product of 30×50×19":  0x6aabd285f4f57a09,
	"sums":                 0xeeaf98f0bfbf19fc,
}

// exactInput is numbers of 12 bits from -4 to 4, which no processor makes otherwise.
func exactInput(n int, seed uint64) []float32 {
	r := newRand(seed)
	x := make([]float32, n)
	for i := range x {
		x[i] = float32(r.IntN(1<<12)-1<<11) / (1 << 9)
	}
	return x
}

// TestTwins runs all kernels of the variants with vectors of eight numbers, at lengths with every tail.
func TestTwins(t *testing.T) {
	p := par.New(1)
	defer p.Close()
	eachVariant(t, func(t *testing.T) {
		if active.lanes != 8 {
			t.Skip("vectors of another width have other sums")
		}
		check := func(name string, results ...[]float32) {
			h := fnv.New64a()
			for _, x := range results {
				for _, v := range x {
					if v != v { // whose other bits say nothing
						v = float32(math.NaN())
					}
					h.Write(binary.LittleEndian.AppendUint32(nil, math.Float32bits(v)))
				}
			}
			if got := h.Sum64(); got != bitsOf[name] {
				t.Errorf("%q: %#016x, want %#016x", name, got, bitsOf[name])
			}
		}
		peakKernel(active, "float32")(3) // of which nothing comes out
		inf, zero := float32(math.Inf(1)), float32(math.Copysign(0, -1))
		special := []float32{0, zero, inf, -inf, float32(math.NaN()), smallest, -smallest, 89, -104, 1e30, -1e30, 15, -15, 1}
		for _, c := range vectorCases {
			var all []float32
			for n := range longest {
				in := [][]float32{exactInput(n, 1), exactInput(n, 2), exactInput(n, 3)}
				for i := range in {
					if n == len(special) && !slices.Contains([]string{"SoftmaxRow", "SoftmaxGradRow", "LayerNormGradRow"}, c.name) {
						copy(in[i], special)
					}
				}
				dst := make([]float32, n)
				c.run(dst, in)
				all = append(all, dst...)
			}
			check(c.name, all)
		}
		for _, c := range []gemmCase{
			{m: 1, n: 1, k: 1}, {m: 13, n: 37, k: 70, bias: true}, {m: 11, n: 45, k: 33, transA: true, add: another}, {m: 20, n: 40, k: 800, transB: true, add: itself, bias: true},
			{m: 30, n: 50, k: 19, transA: true, transB: true, pad: 3},
		} {
			c.batch = 1
			g, b := c.args(newRand(0))
			for i, b := range []*buffer{b.a, b.b, b.add, b.bias, b.dst} {
				copy(b.x, exactInput(len(b.x), uint64(i)))
			}
			Gemm(p, g)
			check(fmt.Sprintf("product of %d×%d×%d", c.m, c.n, c.k), g.Dst)
		}
		for _, s := range []AttentionShape{self(2, 50, 2, 16, false), self(1, 77, 1, 64, true)} {
			q, out, lse := exactInput(s.Batch*s.LenQ*s.ColsQ, 4), make([]float32, s.Batch*s.LenQ*s.width()), make([]float32, s.Batch*s.Heads*s.LenQ)
			dq, ct := make([]float32, len(q)), exactInput(len(out), 5)
			Attention(p, out, lse, q, q, s)
			AttentionGrad(p, dq, dq, ct, q, q, out, lse, s, 1)
			check(fmt.Sprintf("attention of %d", s.LenQ), out, lse, dq)
		}
		const n = 4*piece + 77
		x, y, w := exactInput(n, 6), exactInput(n, 7), exactInput(n, 8)
		normal := make([]float32, 77)
		mean, rstd := LayerNormRow(normal, x[:77], y[:77], w[:77], 1e-5)
		check("LayerNormRow", normal, []float32{mean, rstd})
		check("sums", []float32{Dot(p, x, y), float32(CountAbove(p, x, 0.3)), active.sum(n, &x[0]), active.sumSquares(n, &x[0], 0.3)})
		uniforms := make([]float32, 1000)
		Uniform(uniforms, philox.Key{1, 2}, 1<<34-64)
		check("Uniform", uniforms)
		m, v := make([]float32, n), make([]float32, n)
		GradDropAdam(p, w, m, v, x, y, GradDropArgs{Leak: 0.25, Eps: 1e-8, Key: philox.Key{3, 4}},
			AdamArgs{Step: 3, LR: 0.01, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.1})
		check("GradDropAdam", w, m, v)
		narrow, wide := make([]uint16, n), make([]float32, n)
		copy(x, special)
		Narrow(narrow, x)
		Widen(wide, narrow)
		check("Widen and Narrow", wide)
	})
}
