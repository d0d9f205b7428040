package optim

import (
	"math"

	"fewshot/tensor"
)

// Rule makes one update of the scores w from the gradients of two losses: a of the task's, b of the
// distillation loss, or nil when b is known to be zero. key is this step's and this parameter's.
type Rule interface {
	// NeedsTeacher reports whether the rule ever looks at b.
	NeedsTeacher() bool
	Apply(o Optimizer, w, a, b *tensor.Tensor, key tensor.Key)
}

// Overall is a rule that looks at all parameters of a group together: Over is what applies to each of them in a step,
// of gradients as and bs of the parameters ws. An element of bs may be nil.
type Overall interface {
	Rule
	Over(ws, as, bs []*tensor.Tensor) Rule
}

// Penalty is the factor of Σ‖M‖₂ in the task's loss, whose gradient joins a before any rule: 0 in the
// paper, 1e-4 in the authors' released code.
type Penalty float64

// options prepares the penalty's norm; the caller releases it.
func (p Penalty) options(w *tensor.Tensor) (o tensor.GradDropOptions, release func()) {
	if p == 0 {
		return o, func() {}
	}
	n := w.Device().New(tensor.Full)
	tensor.SumSquares(n, w)
	return tensor.GradDropOptions{Penalty: float64(p), SumSquares: n}, n.Release
}

// GradDrop is gradient dropout regularity, the R- of R-AMT: b never enters the sum, it only votes. With
// Leak 0, b has no say and this is plain mask tuning, AMT.
type GradDrop struct {
	Leak    float64 // l of the paper: how much of an element is dropped when it loses the vote
	Eps     float64 // in the purity's denominator: 0 in the paper, 1e-8 in the released code
	Penalty Penalty
}

// NeedsTeacher is false without a leak.
func (r GradDrop) NeedsTeacher() bool { return r.Leak != 0 }

// Apply updates w, in one pass if the optimizer is Adam.
func (r GradDrop) Apply(opt Optimizer, w, a, b *tensor.Tensor, key tensor.Key) {
	o, release := r.Penalty.options(w)
	defer release()
	o.Leak, o.Eps, o.Key = r.Leak, r.Eps, key
	if adam, ok := opt.(*Adam); ok && adam.L2 == 0 {
		adam.UpdateDropped(w, a, b, o)
		return
	}
	withGradient(opt, w, func(g *tensor.Tensor) { tensor.GradDrop(g, a, b, w, o) })
}

// Sum adds the distillation gradient: a + Weight·b, the paper's "+KL loss".
type Sum struct {
	Weight  float64
	Penalty Penalty
}

// NeedsTeacher is true.
func (Sum) NeedsTeacher() bool { return true }

// Apply updates w.
func (r Sum) Apply(opt Optimizer, w, a, b *tensor.Tensor, _ tensor.Key) {
	r.Penalty.apply(opt, w, a, func(g *tensor.Tensor) {
		if b != nil {
			tensor.AXPY(g, r.Weight, b)
		}
	})
}

// AgreeGrad keeps a + b where the signs agree and drops the rest (Agr-Sum of Mansilla et al. 2021).
type AgreeGrad struct {
	// DropZero counts an exact 0 in b as disagreement. Then nothing can start: until the first bit flips,
	// student and teacher are the same and b is 0.
	DropZero bool
	Penalty  Penalty
}

// NeedsTeacher is true.
func (AgreeGrad) NeedsTeacher() bool { return true }

// Apply updates w.
func (r AgreeGrad) Apply(opt Optimizer, w, a, b *tensor.Tensor, _ tensor.Key) {
	r.Penalty.apply(opt, w, a, func(g *tensor.Tensor) {
		switch {
		case b != nil:
			tensor.SignAgree(g, g, b, !r.DropZero)
		case r.DropZero:
			tensor.Fill(g, 0)
		}
	})
}

// ProGrad takes from a what points against b, parameter by parameter (Zhu et al. 2023): where a·b < 0,
// a − Lambda·(a·b̂)b̂ with b̂ = b/‖b‖₂.
type ProGrad struct {
	Lambda  float64
	Penalty Penalty
}

// NeedsTeacher is true.
func (ProGrad) NeedsTeacher() bool { return true }

// Apply updates w.
func (r ProGrad) Apply(opt Optimizer, w, a, b *tensor.Tensor, _ tensor.Key) {
	r.Penalty.apply(opt, w, a, func(g *tensor.Tensor) {
		if b == nil {
			return
		}
		dot, aa, bb := inner(g, b), inner(g, g), inner(b, b)
		// Rounding noise in b must not be blown up by its normalisation.
		if dot < 0 && math.Sqrt(bb) > negligible*math.Sqrt(aa) {
			tensor.AXPY(g, -r.Lambda*dot/bb, b)
		}
	})
}

// PCGrad is projecting conflicting gradients (Yu et al. 2020) of two losses: where a·b < 0, each is projected onto
// the plane that the other is normal to. Then they are added. With two losses their order does not matter.
type PCGrad struct {
	Whole   bool // all parameters are one vector, as published; otherwise each is one
	Penalty Penalty

	of *products // of the whole vector
}

// products are those of two gradients, a with the penalty's.
type products struct{ ab, aa, bb float64 }

// NeedsTeacher is true.
func (PCGrad) NeedsTeacher() bool { return true }

// Over is the rule for one step's gradients of all parameters.
func (r PCGrad) Over(ws, as, bs []*tensor.Tensor) Rule {
	r.of = &products{}
	if !r.Whole {
		r.of = nil
		return r
	}
	for i, w := range ws {
		if bs[i] == nil {
			continue
		}
		o, release := r.Penalty.options(w)
		g := w.Device().New(tensor.Full, w.Shape()...)
		tensor.GradDrop(g, as[i], nil, w, o)
		r.of.ab += inner(g, bs[i])
		r.of.aa += inner(g, g)
		r.of.bb += inner(bs[i], bs[i])
		g.Release()
		release()
	}
	return r
}

// Apply updates w.
func (r PCGrad) Apply(opt Optimizer, w, a, b *tensor.Tensor, _ tensor.Key) {
	r.Penalty.apply(opt, w, a, func(g *tensor.Tensor) {
		if b == nil {
			return
		}
		p := r.of
		if p == nil {
			p = &products{inner(g, b), inner(g, g), inner(b, b)}
		}
		onto := 1.0 // b's factor in the sum
		if p.ab < 0 {
			if math.Sqrt(p.bb) > negligible*math.Sqrt(p.aa) {
				onto -= p.ab / p.bb
			}
			if math.Sqrt(p.aa) > negligible*math.Sqrt(p.bb) {
				tensor.Scale(g, g, 1-p.ab/p.aa)
			}
		}
		tensor.AXPY(g, onto, b)
	})
}

// SignDrop is gradient sign dropout (Chen et al. 2020) of the two. Of what is dropped of a and of b, the shares LeakA
// and LeakB stay, both 0 in the paper.
type SignDrop struct {
	LeakA, LeakB float64
	Penalty      Penalty
}

// NeedsTeacher is true.
func (SignDrop) NeedsTeacher() bool { return true }

// Apply updates w. A b of zeros leaves a as it is: its sign is then the only one.
func (r SignDrop) Apply(opt Optimizer, w, a, b *tensor.Tensor, key tensor.Key) {
	r.Penalty.apply(opt, w, a, func(g *tensor.Tensor) {
		switch {
		case b == nil:
		case r.LeakA == 0 && r.LeakB == 0:
			tensor.SignDrop(g, g, b, key)
		default:
			r.leak(g, b, key)
		}
	})
}

// leak makes g, which holds a, Σ kept + leak·dropped.
func (r SignDrop) leak(g, b *tensor.Tensor, key tensor.Key) {
	dev, shape := g.Device(), g.Shape()
	sum, kept, part := dev.New(tensor.Full, shape...), dev.New(tensor.Full, shape...), dev.New(tensor.Full, shape...)
	tensor.SignDrop(sum, g, b, key)
	// What is kept has one sign, so that of a is a where that is a's sign too.
	tensor.SignAgree(part, g, sum, false)
	tensor.Mask(kept, g, part, 0)
	tensor.Scale(part, part, -1)
	tensor.Mask(part, g, part, 0)
	tensor.Add(kept, kept, part)
	// Σ kept = ka + kb, so the rest is LeakA·(a − ka) + LeakB·(b − kb).
	tensor.Scale(g, g, r.LeakA)
	tensor.AXPY(g, r.LeakB-r.LeakA, kept)
	tensor.AXPY(g, 1-r.LeakB, sum)
	tensor.AXPY(g, r.LeakB, b)
	for _, x := range []*tensor.Tensor{sum, kept, part} {
		x.Release()
	}
}

// negligible is how short a gradient is, relative to the other, that is no more than the other's rounding noise.
const negligible = 1e-12

// apply updates w by what change makes of a with the penalty's gradient added.
func (p Penalty) apply(opt Optimizer, w, a *tensor.Tensor, change func(g *tensor.Tensor)) {
	o, release := p.options(w)
	defer release()
	withGradient(opt, w, func(g *tensor.Tensor) {
		tensor.GradDrop(g, a, nil, w, o) // leak 0: a and the penalty
		change(g)
	})
}

func withGradient(opt Optimizer, w *tensor.Tensor, fill func(g *tensor.Tensor)) {
	g := w.Device().New(tensor.Full, w.Shape()...)
	fill(g)
	opt.Update(w, g)
	g.Release()
}

func inner(x, y *tensor.Tensor) float64 {
	d := x.Device().New(tensor.Full)
	defer d.Release()
	tensor.Dot(d, x, y)
	return d.Item()
}
