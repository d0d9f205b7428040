package simd

import (
	"fmt"
	"math"
	"testing"

	"fewshot/tensor/internal/int8"
	"fewshot/tensor/internal/par"
)

// The kernels give the bits of the portable loops, for any shape and number of workers.
func TestInt8(t *testing.T) {
	if !HasInt8() {
		t.Skip("this machine has no VPDPBUSD")
	}
	for _, workers := range []int{1, 3} {
		p := par.New(workers)
		defer p.Close()
		for _, s := range []struct{ m, n, k int }{
			{1, 1, 1}, {2, 3, 5}, {1, 17, 16}, {3, 33, 31}, {14, 32, 64}, {15, 31, 100}, {29, 70, 515}, {50, 97, 768}, {197, 64, 48}, {460, 40, 36}, {7, 530, 4100},
		} {
			for _, with := range []string{"", "bias", "add", "bias add"} {
				t.Run(fmt.Sprintf("%dx%dx%d %s, %d workers", s.m, s.n, s.k, with, workers), func(t *testing.T) { checkInt8(t, p, s.m, s.n, s.k, with) })
			}
		}
	}
}

func checkInt8(t *testing.T, p *par.Pool, m, n, k int, with string) {
	lda, ldc := k+3, n+2
	x, w := numbers(m*lda, 1), numbers(n*k, 2)
	want := make([]float32, m*ldc)
	g := GemmArgs{Dst: make([]float32, m*ldc), A: x, B: w, M: m, N: n, K: k, TransB: true, LDA: lda, LDB: k, LDC: ldc, Batch: 1}
	switch with {
	case "bias", "bias add":
		g.Bias = numbers(n, 3)
	}
	switch with {
	case "add", "bias add":
		g.Add = numbers(m*ldc, 4)
	}
	if m > 2 { // rows of zeros, of one sign, and of no numbers
		clear(x[:k])
		for i := range k {
			x[lda+i] = float32(math.Abs(float64(x[lda+i])))
		}
		x[2*lda+k/2] = float32(math.Inf(1))
		if m > 3 {
			x[3*lda] = float32(math.NaN())
			x[3*lda+k-1] = float32(math.NaN())
		}
	}
	defined := int8.New(n, k)
	for i := range n {
		defined.Set(i, w[i*k:][:k])
	}
	defined.Product(want, x, g.Bias, g.Add, 0, m, lda, ldc)
	if !GemmInt8(p, &g, QuantizeInt8(p, w, n, k)) {
		t.Fatal("declined")
	}
	for i, v := range g.Dst {
		if i%ldc >= n {
			if v != 0 {
				t.Fatalf("behind row %d something was written", i/ldc)
			}
			continue
		}
		if math.Float32bits(v) != math.Float32bits(want[i]) && !(v != v && want[i] != want[i]) {
			t.Fatalf("row %d, column %d: %g, want %g", i/ldc, i%ldc, v, want[i])
		}
	}
}

// numbers are between -1 and 1, with a few that are ten times as large.
func numbers(n int, seed uint32) []float32 {
	x := make([]float32, n)
	for i := range x {
		seed = seed*1664525 + 1013904223
		x[i] = float32(seed>>8)/(1<<23) - 1
		if seed>>8%97 == 0 {
			x[i] *= 10
		}
	}
	return x
}

// BenchmarkInt8 is products of a layer, in float32 with packed weights and in integers: operations a second.
func BenchmarkInt8(b *testing.B) {
	if !HasInt8() {
		b.Skip("this machine has no VPDPBUSD")
	}
	p := par.New(1)
	defer p.Close()
	for _, s := range []struct{ m, n, k int }{{50, 3072, 768}, {197, 2304, 768}, {197, 768, 3072}, {3152, 3072, 768}} {
		x, w := numbers(s.m*s.k, 1), numbers(s.n*s.k, 2)
		g := GemmArgs{Dst: make([]float32, s.m*s.n), A: x, B: w, M: s.m, N: s.n, K: s.k, TransB: true, LDA: s.k, LDB: s.k, LDC: s.n, Batch: 1}
		float := g
		float.Packed = Pack(p, w, s.n, s.k, true)
		ints := QuantizeInt8(p, w, s.n, s.k)
		for _, c := range []struct {
			name string
			f    func()
		}{{"float32", func() { Gemm(p, &float) }}, {"int8", func() { GemmInt8(p, &g, ints) }}} {
			b.Run(fmt.Sprintf("%dx%dx%d/%s", s.m, s.n, s.k, c.name), func(b *testing.B) {
				for b.Loop() {
					c.f()
				}
				b.ReportMetric(2*float64(s.m)*float64(s.n)*float64(s.k)*float64(b.N)/1e9/b.Elapsed().Seconds(), "GOP/s")
			})
		}
	}
}
