package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"

	"fewshot/tensor/internal/bf16"
	"fewshot/tensor/internal/par"
)

// Every float32 whose upper half is any number and whose lower half lies around a tie narrows as the scalar code has it, and
// every bfloat16 widens.
func TestConversions(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		src, wide := make([]float32, 1<<16), make([]float32, 1<<16)
		got, all := make([]uint16, 1<<16), make([]uint16, 1<<16)
		for _, low := range []uint32{0, 1, 0x7fff, 0x8000, 0x8001, 0xffff} {
			for i := range src {
				src[i] = math.Float32frombits(uint32(i)<<16 | low)
				all[i] = uint16(i)
			}
			Narrow(got, src)
			for i, x := range src {
				if want := bf16.From(x); got[i] != want {
					t.Fatalf("%g (%#x) became %#x, want %#x", x, math.Float32bits(x), got[i], want)
				}
				if back := math.Float32frombits(uint32(got[i]) << 16); x == x && math.Abs(float64(back)-float64(x)) > 0x1p-8*math.Abs(float64(x))+0x1p-134 && math.Abs(float64(x)) < 0x1.ffp127 {
					t.Fatalf("%g became %g", x, back)
				} else if x != x && back == back {
					t.Fatalf("NaN became %g", back)
				}
			}
		}
		Widen(wide, all)
		for i := range wide {
			if math.Float32bits(wide[i]) != uint32(i)<<16 {
				t.Fatalf("%#x became %#x", i, math.Float32bits(wide[i]))
			}
		}
		// Lengths that no vector divides; nothing behind them is written.
		for n := range 70 {
			dst := slices.Repeat([]uint16{7}, n+4)
			Narrow(dst[:n], src[:n])
			if dst[n] != 7 {
				t.Fatalf("Narrow wrote behind %d numbers", n)
			}
			out := slices.Repeat([]float32{7}, n+4)
			Widen(out[:n], all[:n])
			if out[n] != 7 {
				t.Fatalf("Widen wrote behind %d numbers", n)
			}
		}
	})
}

// narrowed are random numbers that bfloat16 holds.
func narrowed(n int, r *rand.Rand) ([]uint16, []float32) {
	h, f := make([]uint16, n), make([]float32, n)
	for i := range h {
		h[i] = bf16.From(float32(r.NormFloat64()))
		f[i] = math.Float32frombits(uint32(h[i]) << 16)
	}
	return h, f
}

// checkBF16 multiplies and compares with a definition in float64, and says whether there was a kernel for it.
func checkBF16(t *testing.T, p *par.Pool, c gemmCase, narrowDst bool, r *rand.Rand) bool {
	t.Helper()
	g, b := c.args(r)
	d := GemmBF16Args{GemmArgs: *g}
	d.A, g.A = narrowed(len(g.A), r)
	d.B, g.B = narrowed(len(g.B), r)
	d.GemmArgs.A, d.GemmArgs.B = nil, nil
	if narrowDst {
		d.Narrow, g.Dst = narrowed(len(g.Dst), r)
		switch c.add {
		case itself:
			d.NarrowAdd, g.Add = d.Narrow, g.Dst
		case another:
			d.NarrowAdd, g.Add = narrowed(len(g.Add), r)
		}
		d.Dst, d.Add = nil, nil
	}
	before := slices.Clone(g.Dst)
	if !GemmBF16(p, &d) {
		return false
	}
	b.dst.check(t, "dst")
	b.add.check(t, "add")
	result := func(at int) float32 {
		if narrowDst {
			return math.Float32frombits(uint32(d.Narrow[at]) << 16)
		}
		return d.Dst[at]
	}
	bound, what := gamma(c.k+3), c.String()
	for i := range c.batch {
		for at := range g.StrideC {
			row, col := at/g.LDC, at%g.LDC
			if row >= c.m || col >= c.n {
				if result(i*g.StrideC+at) != before[i*g.StrideC+at] {
					t.Fatalf("%v: written between rows or matrices: matrix %d row %d column %d", c, i, row, col)
				}
				continue
			}
			want, magnitude := naiveGemm(g, before, i, row, col)
			limit := bound * magnitude
			if narrowDst {
				limit += 0x1p-8 * (math.Abs(want) + limit)
			}
			near(t, what, i*g.StrideC+at, result(i*g.StrideC+at), want, limit)
		}
	}
	return true
}

func TestGemmBF16(t *testing.T) {
	p := par.New(3)
	defer p.Close()
	eachVariant(t, func(t *testing.T) {
		if !HasBF16() {
			t.Skip("this machine has no products of bfloat16")
		}
		r := newRand(5)
		flip := func() bool { return r.IntN(2) == 0 }
		done := 0
		for i := range 400 {
			c := gemmCase{m: 2 + r.IntN(120), n: 2 + r.IntN(200), k: 1 + r.IntN(200), batch: 1, transA: flip(), transB: flip(),
				add: oneOf(r), bias: flip(), pad: r.IntN(5)}
			switch r.IntN(4) {
			case 0:
				c.batch, c.m, c.n = 1+r.IntN(20), 2+r.IntN(30), 2+r.IntN(40)
				c.sameA, c.sameB = flip(), flip()
			case 1:
				c.m, c.n, c.k = 2+r.IntN(30), 2+r.IntN(40), 2*blockK-20+r.IntN(2*blockK+40)
			}
			narrowDst := i%2 == 0
			if flip() {
				c.k, c.pad = (c.k+1)&^1, c.pad&^1
			}
			if checkBF16(t, p, c, narrowDst, r) {
				done++
			}
		}
		if done < 150 {
			t.Errorf("only %d products had a kernel", done)
		}
		// More of k than is rounded at once, together and by matrices; few rows.
		for _, c := range []gemmCase{
			{m: 40, n: 70, k: 2*deepest + 34, batch: 2, transA: true, add: itself},
			{m: 40, n: 70, k: 2*deepest + 34, batch: 1, transB: true, add: another, bias: true, pad: 2},
			{m: 20, n: 34, k: 2*deepest + 2, batch: 50, add: another},
			{m: 30, n: 1100, k: 64, batch: 1, transB: true, add: itself},
		} {
			if !checkBF16(t, p, c, true, r) {
				t.Errorf("there is no kernel for %v", c)
			}
		}
	})
}

func TestGemmBF16SameBits(t *testing.T) {
	if !HasBF16() {
		t.Skip("this machine has no products of bfloat16")
	}
	r := newRand(6)
	for _, trans := range [][2]bool{{false, true}, {false, false}, {true, false}} {
		c := gemmCase{m: 301, n: 200, k: 1600, batch: 1, transA: trans[0], transB: trans[1]}
		g, _ := c.args(r)
		d := GemmBF16Args{GemmArgs: *g}
		d.A, _ = narrowed(len(g.A), r)
		d.B, _ = narrowed(len(g.B), r)
		var want []float32
		for _, workers := range []int{1, 2, 5} {
			p := par.New(workers)
			d.Dst = make([]float32, len(g.Dst))
			if !GemmBF16(p, &d) {
				t.Fatal("no kernel")
			}
			p.Close()
			if want == nil {
				want = d.Dst
			}
			sameBits(t, c.String(), d.Dst, want)
		}
	}
}

func BenchmarkGemmBF16(b *testing.B) {
	if !HasBF16() {
		b.Skip("this machine has no products of bfloat16")
	}
	p := par.New(0)
	defer p.Close()
	r := newRand(7)
	for _, m := range []int{197, 6304} {
		for _, s := range [][2]int{{2304, 768}, {768, 768}, {3072, 768}, {768, 3072}} {
			n, k := s[0], s[1]
			x, _ := narrowed(m*k, r)
			w, _ := narrowed(n*k, r)
			y := make([]uint16, m*n)
			dw := make([]float32, n*k)
			for name, d := range map[string]*GemmBF16Args{
				"forward": {GemmArgs: GemmArgs{M: m, N: n, K: k, TransB: true, LDA: k, LDB: k, LDC: n, Batch: 1}, Narrow: y, A: x, B: w},
				"dX":      {GemmArgs: GemmArgs{M: m, N: k, K: n, LDA: n, LDB: k, LDC: k, Batch: 1}, Narrow: x, A: y, B: w},
				"dW":      {GemmArgs: GemmArgs{Dst: dw, M: n, N: k, K: m, TransA: true, LDA: n, LDB: k, LDC: k, Batch: 1}, A: y, B: x},
			} {
				b.Run(fmt.Sprintf("%s/%dx%dx%d", name, m, n, k), func(b *testing.B) {
					for b.Loop() {
						if !GemmBF16(p, d) {
							b.Fatal("no kernel")
						}
					}
					b.ReportMetric(2*float64(m)*float64(n)*float64(k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	}
}
