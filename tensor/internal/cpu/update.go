package cpu

import (
	"math"

	"fewshot/tensor/internal/philox"
)

// GradDropArgs are tensor.GradDropArgs on slices.
type GradDropArgs[T Float] struct {
	Leak, Eps, Penalty float64
	Key                philox.Key
	Scores, SumSquares []T
}

// gradDrop is what GradDropArgs come to for one element.
type gradDrop[T Float] struct {
	GradDropArgs[T]
	kept T // 1−Leak
	pull T // the penalty's gradient is pull·s
}

func (r GradDropArgs[T]) prepare() gradDrop[T] {
	d := gradDrop[T]{GradDropArgs: r, kept: T(1 - r.Leak)}
	// The norm's gradient at 0 counts as 0.
	if r.Penalty != 0 && r.SumSquares[0] != 0 {
		d.pull = T(r.Penalty / math.Sqrt(float64(r.SumSquares[0])))
	}
	return d
}

// chunk writes the gradients of elements [lo, hi), at most Heavy, to dst.
func (d *gradDrop[T]) chunk(dst, a, b []T, lo, hi int) {
	copy(dst, a[lo:hi])
	if d.pull != 0 {
		axpy(dst, d.pull, d.Scores[lo:hi])
	}
	if d.Leak == 0 {
		return
	}
	var buf, none [Heavy]T
	u, others := buf[:hi-lo], none[:hi-lo]
	uniforms(u, d.Key, lo)
	if len(b) != 0 {
		others = b[lo:hi]
	}
	// By table, because neither the processor nor anyone else can predict this branch.
	factor := [2]T{d.kept, 1}
	for i, g := range dst {
		keep := 0
		if purity(float64(g), float64(others[i]), d.Eps) > float64(u[i]) {
			keep = 1
		}
		dst[i] = factor[keep] * g
	}
}

// purity is ½(1 + sgn(a)(a+b)/(|a|+|b|+eps)). For a = 0 it is not to be relied on, nor does it matter there.
func purity(a, b, eps float64) float64 {
	const sign = 1 << 63
	agree := math.Float64frombits(math.Float64bits(a+b) ^ math.Float64bits(a)&sign) // sgn(a)(a+b)
	return 0.5 + float64(0.5*(agree/(math.Abs(a)+math.Abs(b)+eps)))
}

// GradDrop writes the gradient that gradient dropout makes of a and b; an empty b counts as zeros.
func (k *Kernels[T]) GradDrop(dst, a, b []T, r GradDropArgs[T]) {
	d := r.prepare()
	k.pool.For(len(dst), Heavy, func(_, lo, hi int) { d.chunk(dst[lo:hi], a, b, lo, hi) })
}

// GradDropAdam is GradDrop followed by Adam, in one pass over the memory.
func (k *Kernels[T]) GradDropAdam(w, m, v, ga, gb []T, r GradDropArgs[T], a AdamArgs) {
	d, s := r.prepare(), prepareAdam[T](a)
	k.pool.For(len(w), Heavy, func(_, lo, hi int) {
		var buf [Heavy]T
		g := buf[:hi-lo]
		d.chunk(g, ga, gb, lo, hi)
		s.steps(w[lo:hi], m[lo:hi], v[lo:hi], g)
	})
}

// SignAgree is dst = a+b where their signs agree (or b = 0 and keepZero), else 0.
func (k *Kernels[T]) SignAgree(dst, a, b []T, keepZero bool) {
	k.pool.For(len(dst), Light, func(_, lo, hi int) {
		for i := lo; i < hi; i++ {
			a, b, sum := a[i], b[i], T(0)
			if a > 0 && b > 0 || a < 0 && b < 0 || keepZero && b == 0 {
				sum = a + b
			}
			dst[i] = sum
		}
	})
}

// SignDrop keeps, with P = ½(1+(a+b)/(|a|+|b|)), each of a and b where it is positive and P > U or
// negative and P < U; dst is the sum of what is kept.
func (k *Kernels[T]) SignDrop(dst, a, b []T, key philox.Key) {
	k.pool.For(len(dst), Heavy, func(_, lo, hi int) {
		var buf [Heavy]T
		u := buf[:hi-lo]
		uniforms(u, key, lo)
		for i := lo; i < hi; i++ {
			a, b, u := float64(a[i]), float64(b[i]), float64(u[i-lo])
			p := 0.5 + 0.5*(a+b)/(math.Abs(a)+math.Abs(b))
			sum := 0.0
			for _, g := range [2]float64{a, b} {
				if g > 0 && p > u || g < 0 && p < u {
					sum += g
				}
			}
			dst[i] = T(sum)
		}
	})
}

// AdamArgs are tensor.AdamArgs.
type AdamArgs struct {
	LR, Beta1, Beta2, Eps, Decay float64
	Step                         int
}

// adam is what AdamArgs come to for one element, with the corrections for bias moved to constants.
type adam[T Float] struct {
	beta1, rest1, beta2, rest2 T
	shrink                     T // 1 − LR·Decay
	rate                       T // LR/(1−β₁ᵗ)
	root                       T // √(1−β₂ᵗ)
	eps                        T
}

func prepareAdam[T Float](a AdamArgs) adam[T] {
	t := float64(a.Step)
	return adam[T]{
		beta1: T(a.Beta1), rest1: T(1 - a.Beta1), beta2: T(a.Beta2), rest2: T(1 - a.Beta2),
		shrink: T(1 - float64(a.LR*a.Decay)), eps: T(a.Eps),
		rate: T(a.LR / (1 - math.Pow(a.Beta1, t))), root: T(math.Sqrt(1 - math.Pow(a.Beta2, t))),
	}
}

// steps updates elements.
func (s *adam[T]) steps(w, m, v, g []T) {
	w, m, v = w[:len(g)], m[:len(g)], v[:len(g)]
	for i, g := range g {
		m[i] = T(s.beta1*m[i]) + T(s.rest1*g)
		v[i] = T(s.beta2*v[i]) + T(s.rest2*T(g*g))
		w[i] = T(w[i]*s.shrink) - T(s.rate*(m[i]/(T(math.Sqrt(float64(v[i])))/s.root+s.eps)))
	}
}

// Adam updates w and its moments by the gradient g.
func (k *Kernels[T]) Adam(w, m, v, g []T, a AdamArgs) {
	s := prepareAdam[T](a)
	k.pool.For(len(w), Light, func(_, lo, hi int) { s.steps(w[lo:hi], m[lo:hi], v[lo:hi], g[lo:hi]) })
}

// SGD: g' = g + decay·w; v = momentum·v + g'; w −= lr·v.
func (k *Kernels[T]) SGD(w, v, g []T, lr, momentum, decay float64) {
	k.pool.For(len(w), Light, func(_, lo, hi int) {
		w, v, g, lr, momentum, decay := w[lo:hi], v[lo:hi], g[lo:hi], T(lr), T(momentum), T(decay)
		for i := range w {
			v[i] = T(momentum*v[i]) + (g[i] + T(decay*w[i]))
			w[i] -= T(lr * v[i])
		}
	})
}
