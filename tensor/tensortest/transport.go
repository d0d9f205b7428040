package tensortest

import (
	"math"

	"fewshot/tensor"
)

var transportCases = []testCase{
	{name: "Sinkhorn", run: sinkhorn, full: true},
}

// sinkhorn compares plans after a number of iterations, and after the first one that a large threshold allows.
func sinkhorn(r *rig) {
	for _, shape := range [][4]int{{1, 1, 1, 1}, {2, 3, 1, 4}, {1, 1, 5, 2}, {3, 5, 4, 7}, {2, 49, 4, 10}} {
		for _, o := range []tensor.SinkhornOptions{{Eps: 0.1, Most: 1}, {Eps: 0.1, Most: 4}, {Eps: 0.5, Most: 30}, {Eps: 0.1, Most: 30, Threshold: 1e30}} {
			r.variant("%v %+v", shape, o)
			b, m, n, c := shape[0], shape[1], shape[2], shape[3]
			s := r.in(tensor.Full, r.uniform(b*m*n*c, 0.6), b, m, n, c)
			dst := r.out(tensor.Full, b, m, n, c)
			tensor.Sinkhorn(dst.Tensor, s.Tensor, o)
			r.check("plan", dst, func() []num {
				want := make([]num, b*m*n*c)
				at := func(i, row, col, class int) int { return ((i*m+row)*n+col)*c + class }
				for i := range b {
					for class := range c {
						x := func(row, col int) num { return exact(s.v[at(i, row, col, class)]) }
						r.plan(m, n, o, x, func(row, col int, v num) { want[at(i, row, col, class)] = v })
					}
				}
				return want
			})
		}
	}
	r.variant("shapes")
	x, y := r.out(tensor.Full, 2, 3, 4, 5), r.out(tensor.Full, 2, 3, 4, 5)
	o := tensor.SinkhornOptions{Eps: 0.1, Most: 1}
	r.rejects("Sinkhorn onto itself", func() { tensor.Sinkhorn(x.Tensor, x.Tensor, o) })
	r.rejects("Sinkhorn of another length", func() { tensor.Sinkhorn(r.out(tensor.Full, 2, 3, 4, 4).Tensor, y.Tensor, o) })
	r.rejects("Sinkhorn of rank 3", func() { tensor.Sinkhorn(x.Tensor, r.out(tensor.Full, 6, 4, 5).Tensor, o) })
	r.rejects("Sinkhorn with a small eps", func() { tensor.Sinkhorn(x.Tensor, y.Tensor, tensor.SinkhornOptions{Eps: 1e-3, Most: 1}) })
	r.rejects("Sinkhorn without iterations", func() { tensor.Sinkhorn(x.Tensor, y.Tensor, tensor.SinkhornOptions{Eps: 1}) })
}

// plan defines one problem's plan. A threshold is 0, or so large that the first iteration is the last.
func (r *rig) plan(m, n int, o tensor.SinkhornOptions, s func(row, col int) num, put func(row, col int, v num)) {
	k := make([][]num, m)
	for i := range k {
		for j := range n {
			k[i] = append(k[i], r.exp(r.div(r.sub(s(i, j), exact(1)), exact(o.Eps))))
		}
	}
	rows, cols := make([]num, m), make([]num, n)
	for j := range cols {
		cols[j] = exact(1)
	}
	for it := 0; it < o.Most && !(it > 0 && o.Threshold > 0); it++ {
		for i := range rows {
			var sum accumulator
			for j := range cols {
				sum.add(r.mul(k[i][j], cols[j]))
			}
			rows[i] = r.div(exact(1), r.mul(exact(float64(m)), sum.sum(r.arith)))
		}
		for j := range cols {
			var sum accumulator
			for i := range rows {
				sum.add(r.mul(k[i][j], rows[i]))
			}
			cols[j] = r.div(exact(1), r.mul(exact(float64(n)), sum.sum(r.arith)))
		}
	}
	for i := range rows {
		for j := range cols {
			v := r.mul(r.mul(rows[i], k[i][j]), cols[j])
			if math.IsNaN(v.v) {
				panic("tensortest: no plan")
			}
			put(i, j, v)
		}
	}
}
