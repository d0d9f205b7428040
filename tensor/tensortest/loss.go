package tensortest

import (
	"fewshot/tensor"
)

var lossCases = []testCase{
	{name: "CrossEntropy", run: crossEntropy, full: true},
	{name: "CrossEntropyGrad", run: crossEntropyGrad, full: true},
	{name: "SoftCrossEntropy", run: softCrossEntropy, full: true},
	{name: "SoftCrossEntropyGrad", run: softCrossEntropyGrad, full: true},
}

// lossShapes are [rows, classes].
var lossShapes = [][2]int{{1, 1}, {1, 2}, {3, 10}, {32, 101}, {7, 1000}, {2, 4099}, {6001, 3}}

// classLogits are logits whose probabilities run down to where their logarithm no longer fits float32
// unless it is computed without them.
func (r *rig) classLogits(n, width int) []float64 {
	v := r.uniform(n*width, 5)
	for i := range v {
		if i/width%3 == 1 {
			v[i] *= 40
		}
	}
	return v
}

func crossEntropy(r *rig) {
	for _, s := range lossShapes {
		n, w := s[0], s[1]
		r.variant("%v", s)
		x := r.in(tensor.Full, r.classLogits(n, w), n, w)
		labels := r.ids(n, w)
		loss, prob := r.out(tensor.Full), r.out(tensor.Full, n, w)
		tensor.CrossEntropy(loss.Tensor, prob.Tensor, x.Tensor, labels)
		r.check("loss", loss, func() []num {
			var sum accumulator
			for i, label := range labels {
				x := exacts(row(x.v, i, w))
				_, lse := softmaxRow(r.arith, x)
				sum.add(r.sub(lse, x[label]))
			}
			return []num{r.div(sum.sum(r.arith), exact(float64(n)))}
		})
		r.check("prob", prob, func() []num {
			return byRows(n, func(i int) []num { p, _ := softmaxRow(r.arith, exacts(row(x.v, i, w))); return p })
		})
	}
	r.variant("shapes")
	x, one := r.out(tensor.Full, 2, 3), r.out(tensor.Full)
	r.rejects("CrossEntropy with label 3 of 3", func() { tensor.CrossEntropy(one.Tensor, x.Tensor, x.Tensor, []int32{0, 3}) })
	r.rejects("CrossEntropy with label -1", func() { tensor.CrossEntropy(one.Tensor, x.Tensor, x.Tensor, []int32{-1, 0}) })
	r.rejects("CrossEntropy with a label missing", func() { tensor.CrossEntropy(one.Tensor, x.Tensor, x.Tensor, []int32{0}) })
	r.rejects("CrossEntropy without prob", func() { tensor.CrossEntropy(one.Tensor, one.Tensor, x.Tensor, []int32{0, 1}) })
}

// probabilities are positive, and need not sum to 1 for the gradients.
func (r *rig) probabilities(n int) []float64 { return fill(n, r.unit) }

func crossEntropyGrad(r *rig) {
	for lanes := 1; lanes <= 3; lanes++ {
		for _, s := range lossShapes {
			n, w := s[0], s[1]
			r.variant("%v lanes=%d", s, lanes)
			prob, ct := r.in(tensor.Full, r.probabilities(n*w), n, w), r.in(tensor.Full, r.uniform(lanes, 2), lanes)
			labels := r.ids(n, w)
			dst := r.out(tensor.Full, lanes, n, w)
			tensor.CrossEntropyGrad(dst.Tensor, ct.Tensor, prob.Tensor, labels)
			r.check("dst", dst, func() []num {
				return byRows(lanes*n, func(i int) []num {
					g := exacts(row(prob.v, i, w))
					for j := range g {
						if j == int(labels[i%n]) {
							g[j] = r.sub(g[j], exact(1))
						}
						g[j] = r.div(r.mul(exact(ct.v[i/n]), g[j]), exact(float64(n)))
					}
					return g
				})
			})
		}
	}
	r.variant("shapes")
	x, ct := r.out(tensor.Full, 2, 3), r.out(tensor.Full, 2)
	r.rejects("CrossEntropyGrad with a lane missing", func() { tensor.CrossEntropyGrad(x.Tensor, ct.Tensor, x.Tensor, []int32{0, 1}) })
	r.rejects("CrossEntropyGrad with a label missing", func() { tensor.CrossEntropyGrad(x.Tensor, ct.Rows(0, 1), x.Tensor, []int32{0}) })
	r.rejects("CrossEntropyGrad with label 3 of 3", func() { tensor.CrossEntropyGrad(x.Tensor, ct.Rows(0, 1), x.Tensor, []int32{0, 3}) })
}

func softCrossEntropy(r *rig) {
	for _, s := range lossShapes {
		n, w := s[0], s[1]
		r.variant("%v", s)
		x, target := r.in(tensor.Full, r.classLogits(n, w), n, w), r.in(tensor.Full, r.classLogits(n, w), n, w)
		loss, prob, want := r.out(tensor.Full), r.out(tensor.Full, n, w), r.out(tensor.Full, n, w)
		tensor.SoftCrossEntropy(loss.Tensor, prob.Tensor, want.Tensor, x.Tensor, target.Tensor)
		soft := func(x *operand) func() []num {
			return func() []num {
				return byRows(n, func(i int) []num { p, _ := softmaxRow(r.arith, exacts(row(x.v, i, w))); return p })
			}
		}
		r.check("prob", prob, soft(x))
		r.check("want", want, soft(target))
		r.check("loss", loss, func() []num {
			var sum accumulator
			for i := range n {
				x := exacts(row(x.v, i, w))
				_, lse := softmaxRow(r.arith, x)
				q, _ := softmaxRow(r.arith, exacts(row(target.v, i, w)))
				for j := range x {
					sum.add(r.mul(q[j], r.sub(lse, x[j])))
				}
			}
			return []num{r.div(sum.sum(r.arith), exact(float64(n)))}
		})
	}
	r.variant("shapes")
	x, one := r.out(tensor.Full, 2, 3), r.out(tensor.Full)
	r.rejects("SoftCrossEntropy with a loss a row", func() {
		tensor.SoftCrossEntropy(x.Tensor, x.Tensor, x.Tensor, x.Tensor, x.Tensor)
	})
	r.rejects("SoftCrossEntropy with a shorter target", func() {
		tensor.SoftCrossEntropy(one.Tensor, x.Tensor, x.Tensor, x.Tensor, one.Tensor)
	})
}

func softCrossEntropyGrad(r *rig) {
	for lanes := 1; lanes <= 3; lanes++ {
		for _, s := range lossShapes {
			n, w := s[0], s[1]
			r.variant("%v lanes=%d", s, lanes)
			prob, want := r.in(tensor.Full, r.probabilities(n*w), n, w), r.in(tensor.Full, r.probabilities(n*w), n, w)
			ct := r.in(tensor.Full, r.uniform(lanes, 2), lanes)
			dst := r.out(tensor.Full, lanes, n, w)
			tensor.SoftCrossEntropyGrad(dst.Tensor, ct.Tensor, prob.Tensor, want.Tensor)
			r.check("dst", dst, func() []num {
				return byRows(lanes*n, func(i int) []num {
					g := exacts(row(prob.v, i, w))
					for j, q := range row(want.v, i, w) {
						g[j] = r.div(r.mul(exact(ct.v[i/n]), r.sub(g[j], exact(q))), exact(float64(n)))
					}
					return g
				})
			})
		}
	}
	r.variant("shapes")
	x, ct := r.out(tensor.Full, 2, 3), r.out(tensor.Full, 2)
	r.rejects("SoftCrossEntropyGrad with a lane missing", func() {
		tensor.SoftCrossEntropyGrad(x.Tensor, ct.Tensor, x.Tensor, x.Tensor)
	})
	r.rejects("SoftCrossEntropyGrad with a shorter want", func() {
		tensor.SoftCrossEntropyGrad(x.Tensor, ct.Rows(0, 1), x.Tensor, ct.Tensor)
	})
}
