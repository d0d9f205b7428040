package tensortest

import (
	"math"

	"fewshot/tensor"
)

var reduceCases = []testCase{
	{name: "SumTo", run: sumTo},
	{name: "SumSquares", run: sumSquares},
	{name: "Dot", run: dot},
	{name: "CountAbove", run: countAbove, full: true},
}

func sumTo(r *rig) {
	for lanes := 1; lanes <= 3; lanes++ {
		for _, s := range [][2]int{{0, 4}, {1, 1}, {1, 7}, {5, 1}, {3, 5}, {197, 64}, {12293, 3}, {31, 4099}, {2, 12293}, {50021, 1}} {
			for _, whole := range []bool{false, true} {
				rows, width := s[0], s[1]
				r.variant("lanes=%d %v whole=%t", lanes, s, whole)
				x := r.in(r.kind, r.inputs(whole, lanes*rows*width), lanes, rows, width)
				dst := r.out(r.kind, lanes, width)
				tensor.SumTo(dst.Tensor, x.Tensor)
				r.check("dst", dst, func() []num {
					sum := make([]accumulator, lanes*width)
					for i, v := range x.v {
						sum[i/(rows*width)*width+i%width].add(exact(v))
					}
					return r.sums(sum)
				})
			}
		}
	}
	r.variant("each lane to one number")
	x := r.in(r.kind, r.whole(3*4*5), 3, 4, 5)
	dst := r.out(r.kind, 3)
	tensor.SumTo(dst.Tensor, x.Tensor)
	r.check("dst", dst, func() []num {
		return byRows(3, func(i int) []num { return []num{r.sum(exacts(row(x.v, i, 20))...)} })
	})
	r.variant("shapes")
	a, b, c := r.out(r.kind, 2, 4, 3), r.out(r.kind, 2, 4), r.out(r.kind, 1, 3)
	r.rejects("SumTo of a prefix", func() { tensor.SumTo(b.Tensor, a.Tensor) })
	r.rejects("SumTo of fewer lanes", func() { tensor.SumTo(c.Tensor, a.Tensor) })
}

func sumSquares(r *rig) {
	for _, n := range lengths {
		for _, whole := range []bool{false, true} {
			r.variant("n=%d whole=%t", n, whole)
			x := r.in(r.kind, r.inputs(whole, n), n)
			dst := r.out(tensor.Full)
			tensor.SumSquares(dst.Tensor, x.Tensor)
			r.check("dst", dst, func() []num { return []num{r.dot(exacts(x.v), exacts(x.v))} })
		}
	}
	r.variant("shapes")
	a := r.out(r.kind, 2)
	r.rejects("SumSquares to two elements", func() { tensor.SumSquares(a.Tensor, a.Tensor) })
}

func dot(r *rig) {
	for _, n := range lengths {
		for _, whole := range []bool{false, true} {
			r.variant("n=%d whole=%t", n, whole)
			x, y := r.in(r.kind, r.inputs(whole, n), n), r.in(r.kind, r.inputs(whole, n), n)
			dst := r.out(tensor.Full)
			tensor.Dot(dst.Tensor, x.Tensor, y.Tensor)
			r.check("dst", dst, func() []num { return []num{r.dot(exacts(x.v), exacts(y.v))} })
		}
	}
	r.variant("shapes")
	a, b, one := r.out(r.kind, 2), r.out(r.kind, 3), r.out(r.kind, 1)
	r.rejects("Dot to two elements", func() { tensor.Dot(a.Tensor, a.Tensor, a.Tensor) })
	r.rejects("Dot of two and three elements", func() { tensor.Dot(one.Tensor, a.Tensor, b.Tensor) })
}

func countAbove(r *rig) {
	for _, n := range lengths {
		for _, t := range []float64{0, 0.5, -2} {
			r.variant("n=%d t=%v", n, t)
			x := r.in(r.kind, with(r.whole(n), t, nan, math.Inf(1), math.Inf(-1), t+0x1p-20, t-0x1p-20), n)
			want := 0
			for _, v := range x.v {
				if v > t {
					want++
				}
			}
			dst := r.out(tensor.Full)
			tensor.CountAbove(dst.Tensor, x.Tensor, t)
			r.check("dst", dst, func() []num { return []num{exact(float64(want))} })
		}
	}
	r.variant("shapes")
	a, x := r.out(tensor.Full, 2), r.out(r.kind, 3)
	r.rejects("CountAbove to two elements", func() { tensor.CountAbove(a.Tensor, x.Tensor, 0) })
}
