package simd

import (
	"math"

	"fewshot/tensor/internal/par"
	"fewshot/tensor/internal/philox"
)

// The updates work on all workers of p and go over the memory once. What the steps in between hand to each
// other, random numbers and gradients, are pieces that stay in the L1 cache. Slices of one call are equally
// long. All panic while Kernels is "".

const (
	// piece is the length of an intermediate result, a multiple of 64.
	piece = 2048

	// task is how many elements a worker takes at a time, here and in reductions.
	task = 8 * piece
)

// zeros stand for an operand that there is not. Nobody writes them.
var zeros [piece]float32

// updateScratch is a worker's intermediate results. (On the stack they would not stay: kernels are called
// by pointers, which the compiler thinks keep their arguments.)
type updateScratch struct{ uniforms, gradients [piece]float32 }

var idleUpdates free[updateScratch]

// GradDropArgs are tensor.GradDropArgs on slices.
type GradDropArgs struct {
	Leak, Eps, Penalty float64
	Key                philox.Key
	Scores, SumSquares []float32
}

// gradDrop is what GradDropArgs come to for one element.
type gradDrop struct {
	v               *variant
	key             philox.Key
	scores          []float32 // empty if there is no penalty
	pull, eps, kept float32   // the penalty's gradient is pull·s; kept = 1−Leak
}

func (r *GradDropArgs) prepare() gradDrop {
	d := gradDrop{v: kernels(), key: r.Key, eps: float32(r.Eps), kept: float32(1 - r.Leak)}
	// The norm's gradient at 0 counts as 0.
	if r.Penalty != 0 && r.SumSquares[0] != 0 {
		d.scores, d.pull = r.Scores, float32(r.Penalty/math.Sqrt(float64(r.SumSquares[0])))
	}
	return d
}

// piece writes the gradients of elements [lo, hi), at least one and at most a piece, to dst.
func (d *gradDrop) piece(dst, a, b []float32, lo, hi int, own *updateScratch) {
	n := hi - lo
	a, scores, others := a[lo:hi], zeros[:n], zeros[:n]
	if len(d.scores) > 0 {
		scores = d.scores[lo:hi]
	}
	if d.kept == 1 {
		copy(dst, a)
		d.v.axpy(n, &dst[0], &scores[0], d.pull)
		return
	}
	if len(b) > 0 {
		others = b[lo:hi]
	}
	u := own.uniforms[:n]
	Uniform(u, d.key, lo)
	d.v.gradDrop(n, &dst[0], &a[0], &others[0], &scores[0], &u[0], d.pull, d.eps, d.kept)
}

// orAs is the length of x, or that of y if x is empty because there is none.
func orAs(x, y []float32) int {
	if len(x) == 0 {
		return len(y)
	}
	return len(x)
}

// update is the operands of GradDrop, whose results go to dst, or of GradDropAdam, where they go on to w, m and v.
type update struct {
	drop      gradDrop
	adam      adam
	dst, a, b []float32
	w, m, v   []float32
}

func (u *update) Do(_, lo, end int) {
	own := idleUpdates.take()
	for ; lo < end; lo += piece {
		hi := min(lo+piece, end)
		if len(u.w) == 0 {
			u.drop.piece(u.dst[lo:hi], u.a, u.b, lo, hi, own)
			continue
		}
		g := own.gradients[:hi-lo]
		u.drop.piece(g, u.a, u.b, lo, hi, own)
		u.adam.steps(u.w[lo:hi], u.m[lo:hi], u.v[lo:hi], g)
	}
	idleUpdates.give(own)
}

// GradDrop writes to dst the gradient that gradient dropout makes of a and b, as tensor.GradDropArgs has it;
// an empty b counts as zeros. dst may be an operand.
func GradDrop(p *par.Pool, dst, a, b []float32, r GradDropArgs) {
	d := r.prepare()
	same("GradDrop", len(dst), len(a), orAs(b, dst), orAs(d.scores, dst))
	par.Do(p, len(dst), task, update{drop: d, dst: dst, a: a, b: b})
}

// AdamArgs are tensor.AdamArgs.
type AdamArgs struct {
	LR, Beta1, Beta2, Eps, Decay float64
	Step                         int
}

// adam is what AdamArgs come to for one element, with the corrections for bias moved to constants.
type adam struct {
	v                          *variant
	beta1, rest1, beta2, rest2 float32
	shrink                     float32 // 1 − LR·Decay
	rate                       float32 // LR/(1−β₁ᵗ)
	root                       float32 // 1/√(1−β₂ᵗ)
	eps                        float32
}

func (s AdamArgs) prepare() adam {
	t := float64(s.Step)
	return adam{
		v:     kernels(),
		beta1: float32(s.Beta1), rest1: float32(1 - s.Beta1), beta2: float32(s.Beta2), rest2: float32(1 - s.Beta2),
		shrink: float32(1 - float64(s.LR*s.Decay)), eps: float32(s.Eps),
		rate: float32(s.LR / (1 - math.Pow(s.Beta1, t))), root: float32(1 / math.Sqrt(1-math.Pow(s.Beta2, t))),
	}
}

// steps updates elements, at least one.
func (s *adam) steps(w, m, v, g []float32) {
	s.v.adam(len(w), &w[0], &m[0], &v[0], &g[0], s.beta1, s.rest1, s.beta2, s.rest2, s.shrink, s.rate, s.root, s.eps)
}

// Adam updates w and its moments by the gradient g.
func Adam(p *par.Pool, w, m, v, g []float32, args AdamArgs) {
	same("Adam", len(w), len(m), len(v), len(g))
	par.Do(p, len(w), task, adamUpdate{args.prepare(), w, m, v, g})
}

// adamUpdate is the operands of Adam.
type adamUpdate struct {
	adam       adam
	w, m, v, g []float32
}

func (u *adamUpdate) Do(_, lo, hi int) {
	u.adam.steps(u.w[lo:hi], u.m[lo:hi], u.v[lo:hi], u.g[lo:hi])
}

// GradDropAdam is GradDrop followed by Adam.
func GradDropAdam(p *par.Pool, w, m, v, ga, gb []float32, r GradDropArgs, args AdamArgs) {
	d := r.prepare()
	same("GradDropAdam", len(w), len(m), len(v), len(ga), orAs(gb, w), orAs(d.scores, w))
	par.Do(p, len(w), task, update{drop: d, adam: args.prepare(), a: ga, b: gb, w: w, m: m, v: v})
}
