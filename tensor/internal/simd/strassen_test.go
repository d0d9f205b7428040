package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"fewshot/tensor/internal/par"
)

// strassenCases are products that Strassen's algorithm takes: all it must know how to do, in all variants.
func strassenCases(v *variant) (cs []gemmCase) {
	m, mt := v.strassenRows, v.strassenRowsTransA
	return []gemmCase{
		{m: m, n: 512, k: 512, batch: 1},
		{m: m + 1, n: 512, k: 512, batch: 1, transB: true, add: another, bias: true, pad: 3},
		{m: m + 30, n: 640, k: 576, batch: 1, transB: true, add: itself},
		{m: m + 3, n: 1408, k: 1600, batch: 1, transB: true, bias: true, add: itself, pad: 1},
		{m: m + 66, n: 512, k: 832, batch: 1, add: another, bias: true},
		{m: mt, n: 512, k: 1280, batch: 1, transA: true},
		{m: mt + 5, n: 640, k: 2405, batch: 2, transA: true, sameB: true, add: itself, pad: 2},
		{m: m, n: 512, k: 512, batch: 2, add: another, pad: 2},
		{m: mt + 58, n: 512, k: 513, batch: 1, transA: true, transB: true, bias: true},
	}
}

// eachStrassen runs f under every variant that has kernels for the algorithm.
func eachStrassen(t *testing.T, f func(t *testing.T)) {
	eachVariant(t, func(t *testing.T) {
		if len(active.strassenTiles) == 0 {
			t.Skip("this variant does without")
		}
		f(t)
	})
}

// strassenArgs are the arguments of a case, and buffers, of which numbers are made by f.
func (c gemmCase) strassenArgs(r *rand.Rand, f func() float32) (*GemmArgs, gemmBuffers) {
	g, b := c.args(r)
	for _, b := range []*buffer{b.a, b.b, b.add, b.bias, b.dst} {
		for i := range b.x {
			b.x[i] = f()
		}
		if b.before != nil {
			copy(b.before, b.x)
		}
	}
	g.Strassen = true
	return g, b
}

// classical is the same product as Gemm computes it otherwise.
func classical(p *par.Pool, g *GemmArgs) []float32 {
	c := *g
	c.Strassen, c.Dst = false, slices.Clone(g.Dst)
	if len(g.Add) > 0 && &g.Add[0] == &g.Dst[0] {
		c.Add = c.Dst
	}
	Gemm(p, &c)
	return c.Dst
}

// With whole numbers so small that no sum is rounded, the result is the exact one.
func TestStrassenOfWholeNumbers(t *testing.T) {
	p := par.New(2)
	defer p.Close()
	eachStrassen(t, func(t *testing.T) {
		r := newRand(21)
		for _, c := range strassenCases(active) {
			g, b := c.strassenArgs(r, func() float32 { return float32(r.IntN(7) - 3) })
			if !fitsStrassen(active, g) {
				t.Fatalf("%v: not computed by the algorithm", c)
			}
			want := classical(p, g)
			Gemm(p, g)
			b.a.check(t, "a")
			b.b.check(t, "b")
			b.add.check(t, "add")
			b.bias.check(t, "bias")
			b.dst.check(t, "dst")
			for i := range want {
				if g.Dst[i] != want[i] {
					t.Fatalf("%v: number %d of rows of %d is %g, want %g", c, i, g.LDC, g.Dst[i], want[i])
				}
			}
		}
	})
}

// strassenBound is how far an element may be from the exact one. An application of the algorithm adds up, in a block of
// C, products of sums of blocks that come to 12 products of blocks at most, each of h terms no greater than a·b: 144
// with two (N. J. Higham, Accuracy and Stability of Numerical Algorithms, section 23.2.2). A term is rounded in its two
// sums of four blocks, in a chain of h, and in the sum of no more than 49 products.
func strassenBound(g *GemmArgs, a, b, c float64) float64 {
	h := float64(g.K) / strassenSide
	pieces := ceil(g.K, strassenPiece) + 2 // and the bias, and what was there
	return gamma(2*3+int(h)+49+pieces) * (144*h*a*b + 2*c)
}

func TestStrassenErrors(t *testing.T) {
	p := par.New(2)
	defer p.Close()
	eachStrassen(t, func(t *testing.T) {
		r := newRand(22)
		for _, c := range strassenCases(active) {
			g, _ := c.strassenArgs(r, normal(r))
			before := slices.Clone(g.Dst)
			plain := classical(p, g)
			Gemm(p, g)
			bound := strassenBound(g, largest(g.A), largest(g.B), max(largest(before), largest(g.Add), largest(g.Bias)))
			var squares, squaresPlain float64
			for range 3000 {
				matrix, row, col := r.IntN(g.Batch), r.IntN(g.M), r.IntN(g.N)
				at := matrix*g.StrideC + row*g.LDC + col
				want, _ := naiveGemm(g, before, matrix, row, col)
				near(t, c.String(), at, g.Dst[at], want, bound)
				squares += (float64(g.Dst[at]) - want) * (float64(g.Dst[at]) - want)
				squaresPlain += (float64(plain[at]) - want) * (float64(plain[at]) - want)
			}
			// The rounding errors of a chain of n random terms have a variance of n²/2 roundings of a term, and an
			// ordinary product is a sum of chains. Here a piece of n has chains of n/4, those of a product of sums of s
			// and t blocks have s·t times the variance, and s·t adds up to 12², 12·4 or 4² in a block of C, on average
			// to 8²: 4n²/2. As much again is left for what is lost in sums.
			variance := func(bound int) float64 {
				pieces := ceil(g.K, bound)
				return float64(g.K) * float64(g.K) / float64(2*pieces)
			}
			limit := math.Sqrt(2 * 4 * variance(strassenPiece) / variance(blockK))
			if ratio := math.Sqrt(squares / squaresPlain); !(ratio < limit) {
				t.Errorf("%v: errors are %.1f times those of an ordinary product, want less than %.1f", c, ratio, limit)
			}
		}
	})
}

func largest(x []float32) (m float64) {
	for _, v := range x {
		m = max(m, math.Abs(float64(v)))
	}
	return m
}

func TestStrassenSameBitsForAnyWorkers(t *testing.T) {
	eachStrassen(t, func(t *testing.T) {
		for i, c := range strassenCases(active) {
			var want []float32
			for _, workers := range []int{1, 2, 5, 24} {
				r := newRand(uint64(i))
				g, _ := c.strassenArgs(r, normal(r))
				p := par.New(workers)
				Gemm(p, g)
				p.Close()
				if want == nil {
					want = g.Dst
				}
				sameBits(t, fmt.Sprintf("%v with %d workers", c, workers), g.Dst, want)
			}
		}
	})
}

// A number that is none reaches its whole row.
func TestStrassenNotANumber(t *testing.T) {
	p := par.New(2)
	defer p.Close()
	eachStrassen(t, func(t *testing.T) {
		r := newRand(23)
		c := strassenCases(active)[1]
		g, _ := c.strassenArgs(r, normal(r))
		const row = 777
		g.A[row*g.LDA+100] = float32(math.NaN())
		Gemm(p, g)
		for i, v := range g.Dst[row*g.LDC:][:g.N] {
			if v == v {
				t.Fatalf("column %d is %g", i, v)
			}
		}
	})
}

// What the algorithm is not for has the bits of an ordinary product, even where it is permitted.
func TestStrassenLeavesOut(t *testing.T) {
	p := par.New(2)
	defer p.Close()
	eachVariant(t, func(t *testing.T) {
		m := active.strassenRows
		cases := []gemmCase{
			{m: m - 1, n: 512, k: 512, batch: 1},
			{m: m, n: 512 - 16, k: 512, batch: 1},
			{m: m, n: 512 + 16, k: 512, batch: 1},
			{m: m, n: 512, k: 512 + 16, batch: 1},
			{m: active.strassenRowsTransA - 1, n: 512, k: 512, batch: 1, transA: true},
		}
		if len(active.strassenTiles) == 0 { // it is for nothing
			cases = []gemmCase{{m: 32, n: 512, k: 512, batch: 1}}
		}
		for _, c := range cases {
			r := newRand(24)
			g, _ := c.strassenArgs(r, normal(r))
			want := classical(p, g)
			Gemm(p, g)
			sameBits(t, c.String(), g.Dst, want)
		}
	})
}

func TestStrassenDoesNotAllocate(t *testing.T) {
	p := par.New(2)
	defer p.Close()
	eachStrassen(t, func(t *testing.T) {
		r := newRand(25)
		g, _ := strassenCases(active)[1].strassenArgs(r, normal(r))
		if n := testing.AllocsPerRun(5, func() { Gemm(p, g) }); n > 0.5 {
			t.Errorf("%g allocations", n)
		}
	})
}
