package tensortest

import (
	"math"

	"fewshot/tensor"
)

var rowwiseCases = []testCase{
	{name: "Softmax", run: softmax},
	{name: "SoftmaxGrad", run: softmaxGrad},
	{name: "LayerNorm", run: layerNorm},
	{name: "LayerNormGrad", run: layerNormGrad},
	{name: "LayerNormParamGrad", run: layerNormParamGrad},
	{name: "L2Normalize", run: l2Normalize},
	{name: "L2NormalizeGrad", run: l2NormalizeGrad},
}

// rowShapes are [rows, width].
var rowShapes = [][2]int{{0, 5}, {1, 1}, {5, 1}, {1, 2}, {3, 3}, {7, 8}, {4, 13}, {11, 16}, {2, 64}, {197, 65}, {3, 1000}, {2, 12293}, {2500, 7}}

// softmaxRow defines the softmax of a row, and the logarithm of its denominator.
func softmaxRow(a arith, x []num) (p []num, lse num) {
	m := exact(math.Inf(-1))
	for _, v := range x {
		if v.v > m.v || v.v != v.v {
			m = v
		}
	}
	p = make([]num, len(x))
	for i, v := range x {
		p[i] = a.exp(a.sub(v, m))
	}
	s := a.sum(p...)
	for i := range p {
		p[i] = a.div(p[i], s)
	}
	return p, a.add(m, a.log(s))
}

// logits are rows as softmax meets them, among them one with a large spread, one far below 0 and one of ties.
func (r *rig) logits(n, width int) []float64 {
	v := r.uniform(n*width, 5)
	for row := range n {
		x := v[row*width : (row+1)*width]
		switch row % 5 {
		case 1:
			for i := range x {
				x[i] *= 100
			}
		case 2:
			for i := range x {
				x[i] -= 1e4
			}
		case 3:
			for i := range x {
				x[i] = 2
			}
		case 4:
			x[0] = math.Inf(-1)
			x[width-1] = 3
		}
	}
	return v
}

// byRows gives the definition of an output whose row r is f(r).
func byRows(n int, f func(row int) []num) []num {
	var want []num
	for row := range n {
		v := f(row)
		if row == 0 {
			want = make([]num, 0, n*len(v))
		}
		want = append(want, v...)
	}
	return want
}

// row is row i of width w of v, counted again from 0 after the last.
func row(v []float64, i, w int) []float64 {
	i %= len(v) / w
	return v[i*w : (i+1)*w]
}

func softmax(r *rig) {
	for _, s := range rowShapes {
		for _, over := range []bool{false, true} {
			n, w := s[0], s[1]
			r.variant("%v over=%t", s, over)
			x := r.in(r.kind, r.logits(n, w), n, w)
			dst := r.over(x, over)
			tensor.Softmax(dst.Tensor, x.Tensor)
			r.check("dst", dst, func() []num {
				return byRows(n, func(i int) []num { p, _ := softmaxRow(r.arith, exacts(row(x.v, i, w))); return p })
			})
		}
	}
	r.variant("NaN in a row")
	x := r.in(r.kind, with(r.uniform(3*9, 1), 0, nan, 0), 3, 9)
	dst := r.out(r.kind, 3, 9)
	tensor.Softmax(dst.Tensor, x.Tensor)
	r.check("dst", dst, func() []num {
		return byRows(3, func(i int) []num { p, _ := softmaxRow(r.arith, exacts(row(x.v, i, 9))); return p })
	})
	r.variant("shapes")
	a, b := r.out(r.kind, 2, 3), r.out(r.kind, 3)
	r.rejects("Softmax to a shorter dst", func() { tensor.Softmax(b.Tensor, a.Tensor) })
}

// laneCase is a gradient of a row kernel: lanes of cotangents meet n saved rows of the given width.
type laneCase struct {
	lanes, n, width int
	over            bool // dst is ct
}

func laneCases(mayOverwrite bool) (all []laneCase) {
	for _, s := range rowShapes {
		for lanes := 1; lanes <= 3; lanes++ {
			all = append(all, laneCase{lanes, s[0], s[1], false})
			if mayOverwrite {
				all = append(all, laneCase{lanes, s[0], s[1], true})
			}
		}
	}
	return all
}

func softmaxGrad(r *rig) {
	for _, c := range laneCases(true) {
		for _, whole := range []bool{false, true} {
			r.variant("%+v whole=%t", c, whole)
			ct := r.in(r.kind, r.inputs(whole, c.lanes*c.n*c.width), c.lanes, c.n, c.width)
			saved := r.whole(c.n * c.width) // the kernel is a polynomial: it need not be a softmax
			if !whole {
				for i := range saved {
					saved[i] = r.unit()
				}
			}
			y := r.in(r.kind, saved, c.n, c.width)
			dst := r.over(ct, c.over)
			tensor.SoftmaxGrad(dst.Tensor, ct.Tensor, y.Tensor)
			r.check("dst", dst, func() []num {
				return byRows(c.lanes*c.n, func(i int) []num {
					g, p := exacts(row(ct.v, i, c.width)), exacts(row(y.v, i, c.width))
					d := r.dot(g, p)
					for j := range g {
						g[j] = r.mul(p[j], r.sub(g[j], d))
					}
					return g
				})
			})
		}
	}
	r.variant("shapes")
	a, b := r.out(r.kind, 2, 3), r.out(r.kind, 2)
	r.rejects("SoftmaxGrad with a prefix", func() { tensor.SoftmaxGrad(a.Tensor, a.Tensor, b.Tensor) })
}

// normInputs are rows for LayerNorm: some lie far from 0, some hardly vary.
func (r *rig) normInputs(n, width int) []float64 {
	v := r.uniform(n*width, 2)
	for i := range v {
		switch i / width % 4 {
		case 1:
			v[i] += 100
		case 2:
			v[i] = v[i]/64 - 3
		case 3:
			v[i] = 1.5
		}
	}
	return v
}

// normRow defines mean and 1/√(var+eps) of a row.
func normRow(a arith, x []num, eps float64) (mean, rstd num) {
	n := exact(float64(len(x)))
	mean = a.div(a.sum(x...), n)
	var s accumulator
	for _, v := range x {
		d := a.sub(v, mean)
		s.add(a.mul(d, d))
	}
	variance := a.add(a.div(s.sum(a), n), a.constant(eps))
	return mean, a.div(exact(1), a.sqrt(variance))
}

func layerNorm(r *rig) {
	for _, s := range rowShapes {
		for _, eps := range []float64{1e-5, 0.5} {
			n, width := s[0], s[1]
			r.variant("%v eps=%v", s, eps)
			x := r.in(r.kind, r.normInputs(n, width), n, width)
			w, b := r.in(r.kind, r.uniform(width, 2), width), r.in(r.kind, r.uniform(width, 2), width)
			dst, stats := r.out(r.kind, n, width), r.out(tensor.Full, n, 2)
			tensor.LayerNorm(dst.Tensor, stats.Tensor, x.Tensor, w.Tensor, b.Tensor, eps)
			r.check("stats", stats, func() []num {
				return byRows(n, func(i int) []num {
					mean, rstd := normRow(r.arith, exacts(row(x.v, i, width)), eps)
					return []num{mean, rstd}
				})
			})
			r.check("dst", dst, func() []num {
				return byRows(n, func(i int) []num {
					y := exacts(row(x.v, i, width))
					mean, rstd := normRow(r.arith, y, eps)
					for j := range y {
						y[j] = r.add(r.mul(r.mul(r.sub(y[j], mean), rstd), exact(w.v[j])), exact(b.v[j]))
					}
					return y
				})
			})
		}
	}
	r.variant("shapes")
	a, b, st := r.out(r.kind, 2, 3), r.out(r.kind, 3), r.out(tensor.Full, 2, 2)
	r.rejects("LayerNorm with few stats", func() { tensor.LayerNorm(a.Tensor, b.Tensor, a.Tensor, b.Tensor, b.Tensor, 1) })
	r.rejects("LayerNorm with a large w", func() { tensor.LayerNorm(a.Tensor, st.Tensor, a.Tensor, a.Tensor, b.Tensor, 1) })
	r.rejects("LayerNorm with a large b", func() { tensor.LayerNorm(a.Tensor, st.Tensor, a.Tensor, b.Tensor, a.Tensor, 1) })
}

// normStats are plausible saved statistics; whole ones make x̂ whole.
func (r *rig) normStats(n int, whole bool) []float64 {
	v := make([]float64, 2*n)
	for i := range n {
		if v[2*i], v[2*i+1] = 2*r.unit()-1, 0.5+r.unit(); whole {
			v[2*i], v[2*i+1] = float64(i%3)-1, float64(1+i%2)
		}
	}
	return v
}

// normalised is a row's x̂ from the saved statistics.
func (r *rig) normalised(x, stats *operand, i, width int) (hat []num, rstd num) {
	s := row(stats.v, i, 2)
	hat = exacts(row(x.v, i, width))
	for j := range hat {
		hat[j] = r.mul(r.sub(hat[j], exact(s[0])), exact(s[1]))
	}
	return hat, exact(s[1])
}

func layerNormGrad(r *rig) {
	for _, c := range laneCases(true) {
		r.variant("%+v", c)
		ct := r.in(r.kind, r.uniform(c.lanes*c.n*c.width, 2), c.lanes, c.n, c.width)
		x := r.in(r.kind, r.uniform(c.n*c.width, 2), c.n, c.width)
		stats := r.in(tensor.Full, r.normStats(c.n, false), c.n, 2)
		w := r.in(r.kind, r.uniform(c.width, 2), c.width)
		dst := r.over(ct, c.over)
		tensor.LayerNormGrad(dst.Tensor, ct.Tensor, x.Tensor, stats.Tensor, w.Tensor)
		r.check("dst", dst, func() []num {
			return byRows(c.lanes*c.n, func(i int) []num {
				hat, rstd := r.normalised(x, stats, i, c.width)
				g := exacts(row(ct.v, i, c.width))
				for j := range g {
					g[j] = r.mul(g[j], exact(w.v[j]))
				}
				width := exact(float64(c.width))
				mean, slope := r.div(r.sum(g...), width), r.div(r.dot(g, hat), width)
				for j := range g {
					g[j] = r.mul(rstd, r.sum(g[j], r.neg(mean), r.neg(r.mul(hat[j], slope))))
				}
				return g
			})
		})
	}
	r.variant("shapes")
	a, b, st := r.out(r.kind, 2, 3), r.out(r.kind, 3), r.out(tensor.Full, 2, 2)
	r.rejects("LayerNormGrad with few stats", func() { tensor.LayerNormGrad(a.Tensor, a.Tensor, a.Tensor, b.Tensor, b.Tensor) })
	r.rejects("LayerNormGrad with a large w", func() { tensor.LayerNormGrad(a.Tensor, a.Tensor, a.Tensor, st.Tensor, a.Tensor) })
}

func layerNormParamGrad(r *rig) {
	for _, c := range laneCases(false) {
		for _, whole := range []bool{false, true} {
			r.variant("%+v whole=%t", c, whole)
			ct := r.in(r.kind, r.inputs(whole, c.lanes*c.n*c.width), c.lanes, c.n, c.width)
			x := r.in(r.kind, r.inputs(whole, c.n*c.width), c.n, c.width)
			stats := r.in(tensor.Full, r.normStats(c.n, whole), c.n, 2)
			dw, db := r.out(r.kind, c.lanes, c.width), r.out(r.kind, c.lanes, c.width)
			tensor.LayerNormParamGrad(dw.Tensor, db.Tensor, ct.Tensor, x.Tensor, stats.Tensor)
			sums := func(ofW bool) []num {
				s := make([]accumulator, c.lanes*c.width)
				for i := range c.lanes * c.n {
					hat, _ := r.normalised(x, stats, i, c.width)
					for j, g := range row(ct.v, i, c.width) {
						term := exact(g)
						if ofW {
							term = r.mul(term, hat[j])
						}
						s[i/c.n*c.width+j].add(term)
					}
				}
				return r.sums(s)
			}
			r.check("dw", dw, func() []num { return sums(true) })
			r.check("db", db, func() []num { return sums(false) })
		}
	}
	r.variant("shapes")
	a, b, st := r.out(r.kind, 2, 2, 3), r.out(r.kind, 2, 3), r.out(tensor.Full, 2, 2)
	r.rejects("LayerNormParamGrad with few dw", func() {
		tensor.LayerNormParamGrad(st.Tensor, st.Tensor, a.Tensor, b.Tensor, st.Tensor)
	})
	r.rejects("LayerNormParamGrad with few stats", func() {
		tensor.LayerNormParamGrad(b.Tensor, b.Tensor, a.Tensor, b.Tensor, b.Tensor)
	})
}

func l2Normalize(r *rig) {
	for _, s := range rowShapes {
		n, width := s[0], s[1]
		r.variant("%v", s)
		v := r.wide(n * width)
		if n > 4 { // a row of zeros has no direction
			clear(v[2*width : 3*width])
		}
		x := r.in(r.kind, v, n, width)
		dst, norm := r.out(r.kind, n, width), r.out(tensor.Full, n)
		tensor.L2Normalize(dst.Tensor, norm.Tensor, x.Tensor)
		length := func(i int) num {
			x := exacts(row(x.v, i, width))
			return r.sqrt(r.dot(x, x))
		}
		r.check("norm", norm, func() []num { return byRows(n, func(i int) []num { return []num{length(i)} }) })
		r.check("dst", dst, func() []num {
			return byRows(n, func(i int) []num {
				x, l := exacts(row(x.v, i, width)), length(i)
				for j := range x {
					x[j] = r.div(x[j], l)
				}
				return x
			})
		})
	}
	r.variant("shapes")
	a, b := r.out(r.kind, 2, 3), r.out(r.kind, 3)
	r.rejects("L2Normalize with three norms for two rows", func() { tensor.L2Normalize(a.Tensor, b.Tensor, a.Tensor) })
	r.rejects("L2Normalize to a shorter dst", func() { tensor.L2Normalize(b.Tensor, b.Tensor, a.Tensor) })
}

func l2NormalizeGrad(r *rig) {
	for _, c := range laneCases(false) {
		r.variant("%+v", c)
		ct := r.in(r.kind, r.uniform(c.lanes*c.n*c.width, 2), c.lanes, c.n, c.width)
		y := r.in(r.kind, r.uniform(c.n*c.width, 1), c.n, c.width)
		norm := r.in(tensor.Full, fill(c.n, func() float64 { return 0.5 + 2*r.unit() }), c.n)
		dst := r.out(r.kind, c.lanes, c.n, c.width)
		tensor.L2NormalizeGrad(dst.Tensor, ct.Tensor, y.Tensor, norm.Tensor)
		r.check("dst", dst, func() []num {
			return byRows(c.lanes*c.n, func(i int) []num {
				g, y := exacts(row(ct.v, i, c.width)), exacts(row(y.v, i, c.width))
				d := r.dot(g, y)
				for j := range g {
					g[j] = r.div(r.sub(g[j], r.mul(y[j], d)), exact(norm.v[i%c.n]))
				}
				return g
			})
		})
	}
	r.variant("shapes")
	a, b := r.out(r.kind, 2, 3), r.out(r.kind, 3)
	r.rejects("L2NormalizeGrad with three norms for two rows", func() { tensor.L2NormalizeGrad(a.Tensor, a.Tensor, a.Tensor, b.Tensor) })
}
