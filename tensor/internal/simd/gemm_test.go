package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"fewshot/tensor/internal/par"
)

// naiveGemm computes element (r, c) of matrix i in float64, and the sum of the magnitudes of its terms.
func naiveGemm(g *GemmArgs, before []float32, i, r, c int) (value, magnitude float64) {
	add := func(x float64) { value += x; magnitude += math.Abs(x) }
	for k := range g.K {
		a, b := r*g.LDA+k, k*g.LDB+c
		if g.TransA {
			a = k*g.LDA + r
		}
		if g.TransB {
			b = c*g.LDB + k
		}
		add(float64(g.A[i*g.StrideA+a]) * float64(g.B[i*g.StrideB+b]))
	}
	if len(g.Add) > 0 {
		terms := g.Add
		if &g.Add[0] == &g.Dst[0] {
			terms = before
		}
		add(float64(terms[i*g.StrideC+r*g.LDC+c]))
	}
	if len(g.Bias) > 0 {
		add(float64(g.Bias[c]))
	}
	return value, magnitude
}

// What is added to a product.
type addition string

const (
	nothing addition = ""
	itself  addition = "dst" // what the destination holds
	another addition = "add" // another matrix
)

// oneOf is any of them.
func oneOf(r *rand.Rand) addition { return []addition{nothing, itself, another}[r.IntN(3)] }

// A gemmCase is a shape. Leading dimensions and strides exceed the least by pad.
type gemmCase struct {
	m, n, k, batch int
	transA, transB bool
	add            addition
	bias           bool
	pad            int
	sameA, sameB   bool // strides 0
}

func (c gemmCase) String() string {
	return fmt.Sprintf("m=%d n=%d k=%d batch=%d transA=%v transB=%v +%s bias=%v pad=%d", c.m, c.n, c.k, c.batch, c.transA, c.transB, c.add, c.bias, c.pad)
}

type gemmBuffers struct{ a, b, add, bias, dst *buffer }

func (c gemmCase) args(r *rand.Rand) (*GemmArgs, gemmBuffers) {
	g := &GemmArgs{M: c.m, N: c.n, K: c.k, TransA: c.transA, TransB: c.transB, Batch: c.batch}
	size := func(rows, cols int, trans bool) (ld, stride int) {
		if trans {
			rows, cols = cols, rows
		}
		ld = cols + c.pad
		return ld, rows*ld + c.pad
	}
	var strideA, strideB int
	g.LDA, strideA = size(c.m, c.k, c.transA)
	g.LDB, strideB = size(c.k, c.n, c.transB)
	g.LDC, g.StrideC = size(c.m, c.n, false)
	if !c.sameA {
		g.StrideA = strideA
	}
	if !c.sameB {
		g.StrideB = strideB
	}
	var b gemmBuffers
	b.a = input(max(0, (c.batch-1)*g.StrideA)+strideA, r, normal(r))
	b.b = input(max(0, (c.batch-1)*g.StrideB)+strideB, r, normal(r))
	b.dst = newBuffer(c.batch*g.StrideC, r)
	for i := range b.dst.x {
		b.dst.x[i] = float32(r.NormFloat64())
	}
	b.add = input(c.batch*g.StrideC, r, normal(r))
	b.bias = input(c.n, r, normal(r))
	g.A, g.B, g.Dst = b.a.x, b.b.x, b.dst.x
	switch c.add {
	case itself:
		g.Add = g.Dst
	case another:
		g.Add = b.add.x
	}
	if c.bias {
		g.Bias = b.bias.x
	}
	return g, b
}

func checkGemm(t *testing.T, p *par.Pool, c gemmCase, r *rand.Rand) {
	t.Helper()
	g, b := c.args(r)
	before := slices.Clone(b.dst.x)
	if !Gemm(p, g) {
		t.Fatalf("%v: refused", c)
	}
	b.a.check(t, "a")
	b.b.check(t, "b")
	b.add.check(t, "add")
	b.bias.check(t, "bias")
	b.dst.check(t, "dst")
	// Any order of K products and two more terms, each step rounded once.
	bound, what := gamma(c.k+3), c.String()
	for i := range c.batch {
		for at := range g.StrideC {
			row, col := at/g.LDC, at%g.LDC
			got := b.dst.x[i*g.StrideC+at]
			if row >= c.m || col >= c.n {
				if got != before[i*g.StrideC+at] {
					t.Fatalf("%v: written between rows or matrices: matrix %d row %d column %d", c, i, row, col)
				}
				continue
			}
			want, magnitude := naiveGemm(g, before, i, row, col)
			near(t, what, i*g.StrideC+at, got, want, bound*magnitude)
		}
	}
}

func TestGemmEdges(t *testing.T) {
	p := par.New(2)
	defer p.Close()
	eachVariant(t, func(t *testing.T) {
		r := newRand(1)
		for m := 1; m <= 50; m++ {
			for _, trans := range [][2]bool{{false, false}, {false, true}, {true, false}, {true, true}} {
				n, k := 1+(m*7+3)%50, 1+(m*11+5)%50
				checkGemm(t, p, gemmCase{m: m, n: n, k: k, batch: 1, transA: trans[0], transB: trans[1], bias: m%2 == 0, add: []addition{itself, another, nothing}[m%3], pad: m % 4}, r)
			}
		}
		for n := 1; n <= 70; n++ {
			checkGemm(t, p, gemmCase{m: 15, n: n, k: 19, batch: 1, transB: n%2 == 0, bias: true, add: []addition{itself, another}[n/2%2]}, r)
		}
	})
}

func TestGemmRandomShapes(t *testing.T) {
	p := par.New(2)
	defer p.Close()
	eachVariant(t, func(t *testing.T) {
		r := newRand(2)
		flip := func() bool { return r.IntN(2) == 0 }
		for range 80 {
			c := gemmCase{m: 1 + r.IntN(120), n: 1 + r.IntN(200), k: 1 + r.IntN(200), batch: 1, transA: flip(), transB: flip(),
				add: oneOf(r), bias: flip(), pad: r.IntN(5)}
			switch r.IntN(4) {
			case 0:
				c.batch, c.m, c.n = 1+r.IntN(20), 1+r.IntN(30), 1+r.IntN(40)
				c.sameA, c.sameB = flip(), flip()
			case 1:
				c.m, c.n, c.k = 1+r.IntN(30), 1+r.IntN(40), blockK-20+r.IntN(blockK+40)
			}
			checkGemm(t, p, c, r)
		}
	})
}

// What the drivers treat specially: rows a power of two apart, blocks of columns, stripes of few rows, empty products.
func TestGemmSpecialShapes(t *testing.T) {
	p := par.New(2)
	defer p.Close()
	eachVariant(t, func(t *testing.T) {
		r := newRand(3)
		for _, c := range []gemmCase{
			{m: 37, n: 300, k: 512, batch: 1, transB: true, add: another, bias: true},
			{m: 5, n: 4200, k: 7, batch: 1},
			{m: 4072, n: 70, k: 3, batch: 1, transA: true, add: itself, bias: true},
			{m: 20, n: 700, k: 512, batch: 2, transB: true, bias: true},
			{m: 20, n: 700, k: 2*blockK + 9, batch: 2, add: itself},
			{m: 20, n: 700, k: 2*blockK + 9, batch: 2, add: another},
			{m: 40, n: 70, k: 2*blockK + 1, batch: 1, transA: true},
			{m: 3, n: 4, k: 0, batch: 2, bias: true},
			{m: 3, n: 4, k: 0, batch: 1, bias: true, add: itself},
			{m: 3, n: 4, k: 0, batch: 2, bias: true, add: another, pad: 1},
			{m: 0, n: 4, k: 5, batch: 1},
			{m: 4, n: 0, k: 5, batch: 3},
			{m: 4, n: 2, k: 5, batch: 0},
		} {
			checkGemm(t, p, c, r)
		}
	})
}

func TestGemmSameBitsForAnyWorkers(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		for i, c := range []gemmCase{
			{m: 197, n: 200, k: 100, batch: 1, transB: true, bias: true},
			{m: 64, n: 150, k: 800, batch: 1, transA: true, add: itself},
			{m: 20, n: 33, k: 65, batch: 13},
			{m: 130, n: 70, k: 64, batch: 2, transB: true},
			{m: 30, n: 1100, k: 100, batch: 1, transB: true},
			{m: 20, n: 600, k: 1024, batch: 2, bias: true, add: another},
			{m: 20, n: 1200, k: 1024, batch: 2, transB: true}, // up to 3 workers each copy A
			{m: 100, n: 800, k: 40, batch: 1, transA: true},   // 2 divide columns
			{m: 800, n: 100, k: 40, batch: 1, transA: true},   // all divide rows
		} {
			var want []float32
			for workers := 1; workers <= 5; workers++ {
				g, b := c.args(newRand(uint64(i)))
				p := par.New(workers)
				Gemm(p, g)
				p.Close()
				if want == nil {
					want = b.dst.x
				}
				sameBits(t, fmt.Sprintf("%v with %d workers", c, workers), b.dst.x, want)
			}
		}
	})
}

// A row of the result has the same bits in a multiplication of fewer rows, a column in one of fewer columns.
func TestGemmSameBitsInPart(t *testing.T) {
	p := par.New(1)
	defer p.Close()
	eachVariant(t, func(t *testing.T) {
		c := gemmCase{m: 45, n: 75, k: 900, batch: 1, transB: true, bias: true}
		g, b := c.args(newRand(4))
		Gemm(p, g)
		part := *g
		part.M, part.N, part.A, part.Dst = 7, 75-17, g.A[11*g.LDA:], make([]float32, 7*g.LDC)
		part.B, part.Bias = g.B[17*g.LDB:], g.Bias[17:]
		Gemm(p, &part)
		for r := range part.M {
			sameBits(t, "part", part.Dst[r*g.LDC:][:part.N], b.dst.x[(r+11)*g.LDC+17:][:part.N])
		}
	})
}

func TestGemmRefuses(t *testing.T) {
	p := par.New(1)
	defer p.Close()
	g := &GemmArgs{M: 1, N: 1, K: 1, LDA: 1, LDB: 1, LDC: 1, Batch: 2, A: make([]float32, 1), B: make([]float32, 1), Dst: []float32{7}}
	if Gemm(p, g) || g.Dst[0] != 7 {
		t.Error("took a batch that sums into one matrix")
	}
	defer Use("")()
	if g.Batch = 1; Gemm(p, g) {
		t.Error("multiplied without kernels")
	}
}

func TestGemmPanicsOnShortOperands(t *testing.T) {
	p := par.New(1)
	defer p.Close()
	eachVariant(t, func(t *testing.T) {
		for _, spoil := range []func(*GemmArgs){
			func(g *GemmArgs) { g.A = g.A[:len(g.A)-1] },
			func(g *GemmArgs) { g.B = g.B[:len(g.B)-1] },
			func(g *GemmArgs) { g.Dst = g.Dst[:len(g.Dst)-1] },
			func(g *GemmArgs) { g.Add = g.Add[:len(g.Add)-1] },
			func(g *GemmArgs) { g.Bias = g.Bias[1:] },
			func(g *GemmArgs) { g.LDA = 1 },
			func(g *GemmArgs) { g.M = -1 },
			func(g *GemmArgs) { g.StrideB = 1 },
		} {
			g, _ := gemmCase{m: 3, n: 4, k: 5, batch: 2, add: another, bias: true, sameA: true, sameB: true}.args(newRand(5))
			spoil(g)
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("no panic for %+v", g)
					}
				}()
				Gemm(p, g)
			}()
		}
	})
}

func TestGemmDoesNotAllocate(t *testing.T) {
	p := par.New(2)
	defer p.Close()
	eachVariant(t, func(t *testing.T) {
		for _, c := range []gemmCase{{m: 50, n: 100, k: 512, batch: 1, transB: true}, {m: 100, n: 100, k: 60, batch: 1, transA: true}, {m: 9, n: 9, k: 9, batch: 40}} {
			g, _ := c.args(newRand(6))
			if n := testing.AllocsPerRun(20, func() { Gemm(p, g) }); n > 0.5 {
				t.Errorf("%v: %g allocations", c, n)
			}
		}
	})
}
