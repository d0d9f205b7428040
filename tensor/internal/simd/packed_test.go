package simd

import (
	"fmt"
	"slices"
	"testing"

	"fewshot/tensor/internal/par"
)

// A packed factor changes no bit of a product.
func TestPacked(t *testing.T) {
	p := par.New(2)
	defer p.Close()
	eachVariant(t, func(t *testing.T) {
		r := newRand(8)
		ld := func(n, k int, transB bool) int {
			if transB {
				return k
			}
			return n
		}
		for i := range 80 {
			m, n, k, transB := 1+r.IntN(40), 1+r.IntN(1300), 1+r.IntN(2*blockK), i%2 == 0 // in stripes, too
			a, b := input(m*k, r, normal(r)), input(n*k, r, normal(r))
			g := GemmArgs{Dst: make([]float32, m*n), A: a.x, B: b.x, M: m, N: n, K: k, TransB: transB, LDA: k, LDB: ld(n, k, transB), LDC: n, Batch: 1}
			Gemm(p, &g)
			want := slices.Clone(g.Dst)
			g.Packed = Pack(p, b.x, n, k, transB)
			clear(g.Dst)
			if Gemm(p, &g); g.Packed.Bytes() < int64(4*n*k) {
				t.Errorf("%d bytes for %d×%d numbers", g.Packed.Bytes(), n, k)
			}
			sameBits(t, fmt.Sprintf("%d×%d×%d, transB %t", m, n, k, transB), g.Dst, want)
		}
		// One that does not fit, as it is of another matrix or was packed the other way, is left alone.
		g := GemmArgs{Dst: make([]float32, 4), A: []float32{1, 2}, B: []float32{3, 4}, M: 2, N: 2, K: 1, TransB: true, LDA: 1, LDB: 1, LDC: 2, Batch: 1,
			Packed: Pack(p, make([]float32, 6), 2, 3, true)}
		if Gemm(p, &g); !slices.Equal(g.Dst, []float32{3, 4, 6, 8}) {
			t.Errorf("with the packed form of another factor: %v", g.Dst)
		}
		if g.Packed = Pack(p, make([]float32, 2), 2, 1, false); !Gemm(p, &g) || !slices.Equal(g.Dst, []float32{3, 4, 6, 8}) {
			t.Errorf("with the form packed the other way: %v", g.Dst)
		}
		if !HasBF16() {
			return
		}
		for i := range 80 {
			m, n, k, transB := 1+r.IntN(40), 2*(1+r.IntN(650)), 2*(1+r.IntN(blockK)), i%2 == 0
			if transB {
				n-- // which need not be even then
			}
			a, _ := narrowed(m*k, r)
			b, _ := narrowed(n*k, r)
			d := GemmBF16Args{GemmArgs: GemmArgs{M: m, N: n, K: k, TransB: transB, LDA: k, LDB: ld(n, k, transB), LDC: n, Batch: 1}, Narrow: make([]uint16, m*n), A: a, B: b}
			if !GemmBF16(p, &d) {
				t.Fatal("no kernel")
			}
			want := slices.Clone(d.Narrow)
			if d.Packed = PackBF16(p, b, n, k, transB); d.Packed == nil {
				t.Fatal("not packed")
			}
			clear(d.Narrow)
			if GemmBF16(p, &d); !slices.Equal(d.Narrow, want) {
				t.Errorf("%d×%d×%d in bfloat16, transB %t: other bits", m, n, k, transB)
			}
		}
	})
}

// BenchmarkFewRows is what is worth something to products of few rows: stripes, which each worker packs for itself,
// instead of rectangles, for which all pack first; and packing beforehand.
func BenchmarkFewRows(b *testing.B) {
	p := par.New(0)
	defer p.Close()
	for _, m := range []int{50, 197} {
		for _, nk := range [][2]int{{2304, 768}, {768, 768}, {3072, 768}, {768, 3072}} {
			n, k := nk[0], nk[1]
			x, w, y := filled(m*k), filled(n*k), filled(m*n)
			for i := range 6 {
				transB, way := i < 3, []string{"rectangles", "stripes", "packed"}[i%3]
				b.Run(fmt.Sprintf("%dx%dx%d/transB=%t/way=%s", m, n, k, transB, way), func(b *testing.B) {
					g := &GemmArgs{Dst: y, A: x, B: w, M: m, N: n, K: k, TransB: transB, LDA: k, LDB: n, LDC: n, Batch: 1}
					if transB {
						g.LDB = k
					}
					switch way {
					case "rectangles":
						defer func(n int) { fewRows = n }(fewRows)
						fewRows = 0
					case "packed":
						g.Packed = Pack(p, w, n, k, transB)
					}
					for b.Loop() {
						Gemm(p, g)
					}
					b.ReportMetric(2*float64(m)*float64(n)*float64(k)*float64(b.N)/b.Elapsed().Seconds()/1e9, "GFLOP/s")
				})
			}
		}
	}
}
