package tensortest

import (
	"fmt"
	"math"

	"fewshot/tensor"
)

var updateCases = []testCase{
	{name: "GradDrop", run: gradDrop, full: true},
	{name: "GradDropAdam", run: gradDropAdam, full: true},
	{name: "SignAgree", run: signAgree, full: true},
	{name: "SignDrop", run: signDrop, full: true},
	{name: "Adam", run: adam, full: true},
	{name: "SGD", run: sgd, full: true},
}

// Gradients that disagree, agree, vanish, and differ by many orders of magnitude, one pair a column.
var (
	gradientsA = []float64{0, 0, 1, -1, 1, -1, 1e-40, 1e-30, -1e-30, 1e15, 1e-30, 1e-8, 3, -3, 2, -2, 0}
	gradientsB = []float64{0, 1, -1, 1, 0, 0, 1e-40, 1e-30, 1e-30, -1e15, -1e15, 0, 1, 1, 2, -2, -5}
)

// gradients makes the gradients of two losses.
func (r *rig) gradients(n int) (a, b *operand) {
	va, vb := r.wide(n), r.wide(n)
	for i := range va {
		if i%3 == 0 { // near each other, so that the purity is anywhere in [0, 1]
			vb[i] = va[i] * (2*r.unit() - 1)
		}
	}
	return r.in(tensor.Full, with(va, gradientsA...), n), r.in(tensor.Full, with(vb, gradientsB...), n)
}

// dropCase is a way to call GradDrop.
type dropCase struct {
	n                  int
	leak, eps, penalty float64
	withoutB           bool
}

func dropCases() (all []dropCase) {
	for i, n := range lengths {
		for _, leak := range []float64{0, 0.3, 1} {
			for _, eps := range []float64{0, 1e-8} {
				for _, penalty := range []float64{0, 0.25} {
					if n < 2000 || leak == 0.3 && (eps != 0) == (penalty != 0) { // large ones are slow
						all = append(all, dropCase{n: n, leak: leak, eps: eps, penalty: penalty, withoutB: i%3 == 2})
					}
				}
			}
		}
	}
	return all
}

func (c dropCase) String() string {
	return fmt.Sprintf("n=%d leak=%v eps=%v penalty=%v without b: %t", c.n, c.leak, c.eps, c.penalty, c.withoutB)
}

// operands makes a, b (nil if there is none) and the options.
func (c dropCase) operands(r *rig, scores []float64) (a, b *operand, o tensor.GradDropOptions) {
	a, b = r.gradients(c.n)
	if c.withoutB {
		b = nil
	}
	o = tensor.GradDropOptions{Leak: c.leak, Eps: c.eps, Penalty: c.penalty, Key: tensor.NewKey(uint64(c.n)).Name("drop")}
	if c.penalty != 0 {
		sum := 1e-3
		for _, s := range scores {
			sum += s * s
		}
		o.SumSquares = r.in(tensor.Full, []float64{sum}, 1).Tensor
	}
	return a, b, o
}

// tensorOf is nil for nil.
func tensorOf(o *operand) *tensor.Tensor {
	if o == nil {
		return nil
	}
	return o.Tensor
}

// define gives the gradient of each element as the definition decides, and as it could also be decided where
// purity and random number are closer than rounding.
func (c dropCase) define(r *rig, a, b *operand, scores []float64, o tensor.GradDropOptions) (want, other []num) {
	var norm num
	if c.penalty != 0 {
		norm = r.sqrt(exact(o.SumSquares.Item()))
	}
	for i := range c.n {
		ai, bi := exact(a.v[i]), exact(0)
		if c.penalty != 0 {
			ai = r.add(ai, r.div(r.mul(r.constant(c.penalty), exact(scores[i])), norm))
		}
		if b != nil {
			bi = exact(b.v[i])
		}
		leaked := r.mul(r.constant(1-c.leak), ai)
		keep, doubtful := exceeds(r.purity(ai, bi, c.eps), uniformAt(o.Key, i))
		doubtful = doubtful || ai.err > 0 && math.Abs(ai.v) <= ai.err // the sign of a is open
		if c.leak == 0 {
			leaked = ai
		}
		g, h := leaked, leaked
		if keep {
			g = ai
		}
		if keep != doubtful {
			h = ai
		}
		want, other = append(want, g), append(other, h)
	}
	return want, other
}

// purity is ½(1 + sgn(a)(a+b)/(|a|+|b|+eps)), where 0/0 counts as 1.
func (r *rig) purity(a, b num, eps float64) num {
	size := r.sum(num{math.Abs(a.v), a.err}, num{math.Abs(b.v), b.err}, r.constant(eps))
	if size.v == 0 {
		return exact(1)
	}
	agree := r.add(a, b)
	switch {
	case a.v < 0:
		agree = r.neg(agree)
	case a.v == 0:
		agree = exact(0)
	}
	return r.mul(exact(0.5), r.add(exact(1), r.ratio(agree, size)))
}

// ratio is x/y for |x| ≤ |y|. It is bounded even where both are lost in underflow.
func (r *rig) ratio(x, y num) num {
	q := r.div(x, y)
	q.err = min(q.err, 2)
	return q
}

// exceeds decides p > u, and whether rounding may decide otherwise.
func exceeds(p num, u float64) (yes, doubtful bool) {
	return p.v > u, p.err > 0 && math.Abs(p.v-u) <= p.err
}

func gradDrop(r *rig) {
	for _, c := range dropCases() {
		r.variant("%v", c)
		scores := r.in(tensor.Full, r.uniform(c.n, 1), c.n)
		a, b, o := c.operands(r, scores.v)
		dst := r.out(tensor.Full, c.n)
		tensor.GradDrop(dst.Tensor, a.Tensor, tensorOf(b), scores.Tensor, o)
		r.checkAny("dst", dst, func() [][]num {
			want, other := c.define(r, a, b, scores.v, o)
			return [][]num{want, other}
		})
	}
	r.variant("no scores")
	a, b := r.gradients(9)
	dst := r.out(tensor.Full, 9)
	tensor.GradDrop(dst.Tensor, a.Tensor, b.Tensor, nil, tensor.GradDropOptions{})
	r.check("dst", dst, func() []num { return exacts(a.v) })
	r.variant("shapes")
	x, y, two := r.out(tensor.Full, 3), r.out(tensor.Full, 4), r.in(tensor.Full, []float64{1, 1}, 2)
	none := tensor.GradDropOptions{}
	r.rejects("GradDrop with a longer b", func() { tensor.GradDrop(x.Tensor, x.Tensor, y.Tensor, nil, none) })
	r.rejects("GradDrop with a longer dst", func() { tensor.GradDrop(y.Tensor, x.Tensor, nil, nil, none) })
	r.rejects("GradDrop with more scores", func() { tensor.GradDrop(x.Tensor, x.Tensor, nil, y.Tensor, none) })
	r.rejects("GradDrop with a penalty on nothing", func() {
		tensor.GradDrop(x.Tensor, x.Tensor, nil, nil, tensor.GradDropOptions{Penalty: 1, SumSquares: two.Rows(0, 1)})
	})
	r.rejects("GradDrop with a penalty without the sum", func() {
		tensor.GradDrop(x.Tensor, x.Tensor, nil, x.Tensor, tensor.GradDropOptions{Penalty: 1})
	})
	r.rejects("GradDrop with two sums", func() {
		tensor.GradDrop(x.Tensor, x.Tensor, nil, x.Tensor, tensor.GradDropOptions{Penalty: 1, SumSquares: two.Tensor})
	})
}

// adamSteps are common settings at different times.
var adamSteps = []tensor.AdamArgs{
	{LR: 8e-5, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 1},
	{LR: 1e-3, Beta1: 0.9, Beta2: 0.98, Eps: 1e-6, Decay: 0.2, Step: 10},
	{LR: 0.5, Beta1: 0.5, Beta2: 0.75, Eps: 1e-3, Decay: 0.01, Step: 3},
	{LR: 1e-2, Beta1: 0, Beta2: 0.999, Eps: 1e-8, Step: 100000},
}

// moments are those of an element after several steps, or before the first.
func (r *rig) moments(n, step int) (m, v *operand) {
	vm, vv := make([]float64, n), make([]float64, n)
	if step > 1 {
		vm, vv = r.wide(n), r.wide(n)
		for i := range vv {
			vv[i] *= vv[i]
		}
	}
	return r.inout(tensor.Full, vm, n), r.inout(tensor.Full, vv, n)
}

// adamStep defines one element's new weight and moments.
func (r *rig) adamStep(s tensor.AdamArgs, w, m, v, g num) (w2, m2, v2 num) {
	t := float64(s.Step)
	m2 = r.add(r.mul(r.constant(s.Beta1), m), r.mul(r.constant(1-s.Beta1), g))
	v2 = r.add(r.mul(r.constant(s.Beta2), v), r.mul(r.constant(1-s.Beta2), r.mul(g, g)))
	mHat := r.div(m2, r.constant(1-math.Pow(s.Beta1, t)))
	vHat := r.div(v2, r.constant(1-math.Pow(s.Beta2, t)))
	change := r.mul(r.constant(s.LR), r.div(mHat, r.add(r.sqrt(vHat), r.constant(s.Eps))))
	return r.sub(r.mul(r.constant(1-s.LR*s.Decay), w), change), m2, v2
}

// adamAll defines all elements.
func (r *rig) adamAll(s tensor.AdamArgs, w, m, v []float64, g []num) (w2, m2, v2 []num) {
	w2, m2, v2 = make([]num, len(w)), make([]num, len(w)), make([]num, len(w))
	for i := range w {
		w2[i], m2[i], v2[i] = r.adamStep(s, exact(w[i]), exact(m[i]), exact(v[i]), g[i])
	}
	return w2, m2, v2
}

func adam(r *rig) {
	for _, n := range lengths {
		for _, s := range adamSteps {
			r.variant("n=%d %+v", n, s)
			g := r.in(tensor.Full, with(r.wide(n), 0, 1e-30, -1e-30, 1e-8, 1e8), n)
			w := r.inout(tensor.Full, r.uniform(n, 1), n)
			m, v := r.moments(n, s.Step)
			tensor.Adam(w.Tensor, m.Tensor, v.Tensor, g.Tensor, s)
			var w2, m2, v2 []num
			r.check("w", w, func() []num {
				w2, m2, v2 = r.adamAll(s, w.v, m.v, v.v, exacts(g.v))
				return w2
			})
			r.check("m", m, func() []num { return m2 })
			r.check("v", v, func() []num { return v2 })
		}
	}
	r.variant("shapes")
	x, y := r.out(tensor.Full, 3), r.out(tensor.Full, 4)
	r.rejects("Adam at step 0", func() { tensor.Adam(x.Tensor, x.Tensor, x.Tensor, x.Tensor, tensor.AdamArgs{}) })
	r.rejects("Adam with a longer gradient", func() {
		tensor.Adam(x.Tensor, x.Tensor, x.Tensor, y.Tensor, tensor.AdamArgs{Step: 1})
	})
	r.rejects("Adam with a longer moment", func() {
		tensor.Adam(x.Tensor, x.Tensor, y.Tensor, x.Tensor, tensor.AdamArgs{Step: 1})
	})
}

func gradDropAdam(r *rig) {
	for i, c := range dropCases() {
		s := adamSteps[i%len(adamSteps)]
		r.variant("%v %+v", c, s)
		w := r.inout(tensor.Full, r.uniform(c.n, 1), c.n)
		m, v := r.moments(c.n, s.Step)
		a, b, o := c.operands(r, w.v)
		tensor.GradDropAdam(w.Tensor, m.Tensor, v.Tensor, a.Tensor, tensorOf(b), o, s)
		var w1, m1, v1, w2, m2, v2 []num
		r.checkAny("w", w, func() [][]num {
			want, other := c.define(r, a, b, w.v, o)
			w1, m1, v1 = r.adamAll(s, w.v, m.v, v.v, want)
			w2, m2, v2 = r.adamAll(s, w.v, m.v, v.v, other)
			return [][]num{w1, w2}
		})
		r.checkAny("m", m, func() [][]num { return [][]num{m1, m2} })
		r.checkAny("v", v, func() [][]num { return [][]num{v1, v2} })
	}
	r.variant("shapes")
	x, y := r.out(tensor.Full, 3), r.out(tensor.Full, 4)
	none, first := tensor.GradDropOptions{}, tensor.AdamArgs{Step: 1}
	r.rejects("GradDropAdam with a longer b", func() {
		tensor.GradDropAdam(x.Tensor, x.Tensor, x.Tensor, x.Tensor, y.Tensor, none, first)
	})
	r.rejects("GradDropAdam at step 0", func() {
		tensor.GradDropAdam(x.Tensor, x.Tensor, x.Tensor, x.Tensor, nil, none, tensor.AdamArgs{})
	})
	r.rejects("GradDropAdam with a penalty without the sum", func() {
		tensor.GradDropAdam(x.Tensor, x.Tensor, x.Tensor, x.Tensor, nil, tensor.GradDropOptions{Penalty: 1}, first)
	})
}

func signAgree(r *rig) {
	for _, n := range lengths {
		for _, keepZero := range []bool{false, true} {
			r.variant("n=%d keepZero=%t", n, keepZero)
			a, b := r.gradients(n)
			dst := r.out(tensor.Full, n)
			tensor.SignAgree(dst.Tensor, a.Tensor, b.Tensor, keepZero)
			r.check("dst", dst, func() []num {
				want := make([]num, n)
				for i := range want {
					if a, b := a.v[i], b.v[i]; sign(a) == sign(b) || keepZero && b == 0 {
						want[i] = r.add(exact(a), exact(b))
					}
				}
				return want
			})
		}
	}
	r.variant("shapes")
	x, y := r.out(tensor.Full, 3), r.out(tensor.Full, 4)
	r.rejects("SignAgree with a longer b", func() { tensor.SignAgree(x.Tensor, x.Tensor, y.Tensor, false) })
	r.rejects("SignAgree with a longer dst", func() { tensor.SignAgree(y.Tensor, x.Tensor, x.Tensor, false) })
}

// sign is −1, 0 or 1.
func sign(x float64) int {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}

func signDrop(r *rig) {
	for _, n := range lengths {
		r.variant("n=%d", n)
		a, b := r.gradients(n)
		key := tensor.NewKey(uint64(n)).Fold(2)
		dst := r.out(tensor.Full, n)
		tensor.SignDrop(dst.Tensor, a.Tensor, b.Tensor, key)
		r.checkAny("dst", dst, func() [][]num {
			// What is left if the positive gradients are kept, if the negative ones, if none.
			outcomes := [3][]num{make([]num, n), make([]num, n), make([]num, n)}
			want, other1, other2 := make([]num, n), make([]num, n), make([]num, n)
			for i := range n {
				a, b, u := exact(a.v[i]), exact(b.v[i]), uniformAt(key, i)
				size := r.add(exact(math.Abs(a.v)), exact(math.Abs(b.v)))
				if size.v == 0 {
					continue
				}
				p := r.mul(exact(0.5), r.add(exact(1), r.ratio(r.add(a, b), size)))
				kept := func(s int) num {
					var sum accumulator
					for _, g := range []num{a, b} {
						if sign(g.v) == s {
							sum.add(g)
						}
					}
					return sum.sum(r.arith)
				}
				outcomes[0][i], outcomes[1][i] = kept(1), kept(-1)
				decided := 2
				switch {
				case p.v > u:
					decided = 0
				case p.v < u:
					decided = 1
				}
				want[i] = outcomes[decided][i]
				other1[i], other2[i] = want[i], want[i]
				if _, doubtful := exceeds(p, u); doubtful {
					other1[i], other2[i] = outcomes[(decided+1)%3][i], outcomes[(decided+2)%3][i]
				}
			}
			return [][]num{want, other1, other2}
		})
	}
	r.variant("shapes")
	x, y := r.out(tensor.Full, 3), r.out(tensor.Full, 4)
	r.rejects("SignDrop with a longer b", func() { tensor.SignDrop(x.Tensor, x.Tensor, y.Tensor, keys[0]) })
	r.rejects("SignDrop with a longer dst", func() { tensor.SignDrop(y.Tensor, x.Tensor, x.Tensor, keys[0]) })
}

func sgd(r *rig) {
	for _, n := range lengths {
		for _, s := range []struct{ lr, momentum, decay float64 }{{0.1, 0.9, 0}, {0.002, 0.9, 5e-4}, {1, 0, 0.25}, {0.5, 0.5, 0}} {
			r.variant("n=%d %+v", n, s)
			g := r.in(tensor.Full, with(r.wide(n), 0, 1e-30), n)
			w, v := r.inout(tensor.Full, r.uniform(n, 2), n), r.inout(tensor.Full, r.wide(n), n)
			tensor.SGD(w.Tensor, v.Tensor, g.Tensor, s.lr, s.momentum, s.decay)
			velocity := make([]num, n)
			for i := range velocity {
				g := r.add(exact(g.v[i]), r.mul(r.constant(s.decay), exact(w.v[i])))
				velocity[i] = r.add(r.mul(r.constant(s.momentum), exact(v.v[i])), g)
			}
			r.check("v", v, func() []num { return velocity })
			r.check("w", w, func() []num {
				want := make([]num, n)
				for i := range want {
					want[i] = r.sub(exact(w.v[i]), r.mul(r.constant(s.lr), velocity[i]))
				}
				return want
			})
		}
	}
	r.variant("shapes")
	x, y := r.out(tensor.Full, 3), r.out(tensor.Full, 4)
	r.rejects("SGD with a longer gradient", func() { tensor.SGD(x.Tensor, x.Tensor, y.Tensor, 1, 0, 0) })
	r.rejects("SGD with a longer velocity", func() { tensor.SGD(x.Tensor, y.Tensor, x.Tensor, 1, 0, 0) })
}
