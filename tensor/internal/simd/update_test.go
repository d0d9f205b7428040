package simd

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"fewshot/tensor/internal/par"
	"fewshot/tensor/internal/philox"
)

// unitAt is number i of a key.
func unitAt(k philox.Key, i int) float64 { return philox.Unit(k.At(uint64(i / 4))[i%4]) }

func TestUniform(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		r := newRand(11)
		for _, key := range []philox.Key{{}, {1, 2}, {0xffffffff, 0xfffffffe}} {
			overflow := int64(1) << 34 // of the lower half of the block number
			carry := int(overflow)
			for _, first := range []int{0, 64, 4096, carry - 64, carry} {
				for n := range longest + 1 {
					dst := newBuffer(n, r)
					Uniform(dst.x, key, first)
					for i, v := range dst.x {
						near(t, "Uniform", first+i, v, unitAt(key, first+i), 0)
					}
					dst.check(t, "dst")
				}
			}
		}
		defer func() {
			if recover() == nil {
				t.Error("Uniform begins within a group")
			}
		}()
		Uniform(make([]float32, 4), philox.Key{}, 4)
	})
}

// updateLengths are all that end within vectors, and some beyond a piece and a task.
func updateLengths() []int {
	return append(lengths(longest), piece-1, piece+1, 3*piece+5, task+piece+77)
}

// tracked is a buffer that updates may change, with what it held before.
type tracked struct {
	*buffer
	was []float64
}

func track(n int, r *rand.Rand, f func() float32) tracked {
	b := input(n, r, f)
	return tracked{b, widen(b.x)}
}

// changed allows that the contents have changed, not what lies around them.
func (o tracked) changed(t *testing.T, name string) {
	t.Helper()
	o.before = nil
	o.check(t, name)
}

// mixed are numbers of many magnitudes, and zeros.
func mixed(r *rand.Rand) func() float32 {
	return func() float32 {
		if r.IntN(16) == 0 {
			return 0
		}
		return float32(math.Ldexp(2*r.Float64()-1, r.IntN(41)-20))
	}
}

// dropped gives what gradient dropout makes of a and b, how far off a kernel may be, and whether rounding may
// also decide for the other outcome.
func dropped(r GradDropArgs, i int, a, b, score float64) (want, other, bound float64) {
	g := a
	if r.Penalty != 0 {
		pull := r.Penalty / math.Sqrt(float64(r.SumSquares[0])) * score
		g += pull
		bound = unit*math.Abs(pull) + unit*math.Abs(g) // the factor, and the sum
	}
	size := math.Abs(g) + math.Abs(b) + r.Eps
	p := 0.5 + 0.5*math.Copysign(1, g)*(g+b)/size
	// g moves both numerator and denominator, and so P by at most itself over size. The sum's rounding,
	// the two of the size and that of eps, the quotient's and that of P: 6 roundings of numbers up to 1.
	off := 6*unit + bound/size
	u := unitAt(r.Key, i)
	want, other = g, g
	if !(p > u) {
		want = (1 - r.Leak) * g
	}
	if other = want; math.Abs(p-u) <= off || math.Abs(g) <= bound {
		other = g
		if p > u {
			other = (1 - r.Leak) * g
		}
	}
	return want, other, bound + 2*unit*math.Abs(g) + smallest
}

// dropArgs are ways to drop: nothing, some, all, with and without the penalty.
func dropArgs() (all []GradDropArgs) {
	for i, leak := range []float64{0, 0.3, 1} {
		for _, penalty := range []float64{0, 0.25} {
			all = append(all, GradDropArgs{Leak: leak, Eps: 1e-8, Penalty: penalty, Key: philox.Key{uint32(i), 7}, SumSquares: []float32{3}})
		}
	}
	return append(all, GradDropArgs{Leak: 1, Penalty: 0.25, SumSquares: []float32{0}}) // a norm of 0 has no gradient
}

func TestGradDrop(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		p := par.New(2)
		defer p.Close()
		r := newRand(12)
		for ci, args := range dropArgs() {
			for _, n := range updateLengths() {
				a, b, s := track(n, r, mixed(r)), track(n, r, mixed(r)), track(n, r, normal(r))
				for i := range n {
					if i%3 == 0 { // agreement anywhere in [0, 1]
						b.x[i] = a.x[i] * float32(2*r.Float64()-1)
					}
				}
				b.before, b.was = append([]float32(nil), b.x...), widen(b.x)
				if args.Penalty != 0 {
					args.Scores = s.x
				}
				other := b.x
				if ci%2 == 1 {
					other = nil
				}
				dst := newBuffer(n, r)
				GradDrop(p, dst.x, a.x, other, args)
				define := args
				if args.SumSquares[0] == 0 {
					define.Penalty = 0
				}
				for i := range n {
					bi := 0.0
					if other != nil {
						bi = b.was[i]
					}
					if a.was[i] == 0 && define.Penalty == 0 {
						near(t, "GradDrop", i, dst.x[i], 0, 0)
						continue
					}
					want, alternative, bound := dropped(define, i, a.was[i], bi, s.was[i])
					if math.Abs(float64(dst.x[i])-alternative) > bound {
						near(t, fmt.Sprintf("GradDrop with leak %g and penalty %g of %g and %g", args.Leak, args.Penalty, a.was[i], bi), i, dst.x[i], want, bound)
					}
				}
				dst.check(t, "dst")
				for _, o := range []tracked{a, b, s} {
					o.check(t, "operand")
				}
				GradDrop(p, a.x, a.x, other, args)
				sameBits(t, "in place", a.x, dst.x)
			}
		}
	})
}

// adamStep is the definition of a step, by the formulas of Kingma and Ba, and how far off a kernel may be.
func adamStep(s AdamArgs, w, m, v, g float64) (w2, m2, v2, offW, offM, offV float64) {
	t := float64(s.Step)
	// Each term has its constant's rounding and up to three, or four, of its own.
	m2, offM = s.Beta1*m+(1-s.Beta1)*g, 4*unit*(math.Abs(s.Beta1*m)+math.Abs((1-s.Beta1)*g))+smallest
	v2 = s.Beta2*v + (1-s.Beta2)*g*g
	offV = 5*unit*v2 + 2*smallest
	rate, root := s.LR/(1-math.Pow(s.Beta1, t)), math.Sqrt(v2/(1-math.Pow(s.Beta2, t)))
	// The root's relative error is that of v at most; then itself, its factor, eps and the sum are rounded.
	offRoot := math.Min(offV/math.Max(v2, offV), 1)*root + 4*unit*(root+s.Eps)
	change := rate * m2 / (root + s.Eps)
	// The quotient of numbers that are off, its rounding, and the rate's, and that of their product.
	offChange := (rate*offM+math.Abs(change)*offRoot)/math.Max(root+s.Eps-offRoot, s.Eps/2) + 4*unit*math.Abs(change)
	shrunk := (1 - s.LR*s.Decay) * w
	w2 = shrunk - change
	return w2, m2, v2, offChange + unit*(2*math.Abs(shrunk)+math.Abs(w2)), offM, offV
}

var adamArgs = []AdamArgs{
	{LR: 8e-5, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 1},
	{LR: 1e-3, Beta1: 0.9, Beta2: 0.98, Eps: 1e-6, Decay: 0.2, Step: 10},
	{LR: 1e-2, Beta1: 0, Beta2: 0.999, Eps: 1e-8, Step: 100000},
}

func TestAdam(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		p := par.New(2)
		defer p.Close()
		r := newRand(13)
		square := func() float32 { x := normal(r)(); return x * x }
		for _, s := range adamArgs {
			for _, n := range updateLengths() {
				w, m, v, g := track(n, r, normal(r)), track(n, r, normal(r)), track(n, r, square), track(n, r, mixed(r))
				Adam(p, w.x, m.x, v.x, g.x, s)
				for i := range n {
					w2, m2, v2, offW, offM, offV := adamStep(s, w.was[i], m.was[i], v.was[i], g.was[i])
					near(t, "m", i, m.x[i], m2, offM)
					near(t, "v", i, v.x[i], v2, offV)
					near(t, "w", i, w.x[i], w2, offW)
				}
				g.check(t, "g")
				w.changed(t, "w")
				m.changed(t, "m")
				v.changed(t, "v")
			}
		}
	})
}

// GradDropAdam is GradDrop and Adam, bit for bit, and for any number of workers.
func TestGradDropAdam(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		one, three := par.New(1), par.New(3)
		defer one.Close()
		defer three.Close()
		r := newRand(14)
		for i, args := range dropArgs() {
			s := adamArgs[i%len(adamArgs)]
			for _, n := range updateLengths() {
				w, m, v := track(n, r, normal(r)), track(n, r, normal(r)), track(n, r, func() float32 { return 1 })
				a, b := track(n, r, mixed(r)), track(n, r, mixed(r))
				wantW, wantM, wantV, g := append([]float32(nil), w.x...), append([]float32(nil), m.x...), append([]float32(nil), v.x...), make([]float32, n)
				if args.Penalty != 0 {
					args.Scores = wantW
				}
				GradDrop(one, g, a.x, b.x, args)
				Adam(one, wantW, wantM, wantV, g, s)
				if args.Penalty != 0 {
					args.Scores = w.x
				}
				GradDropAdam(three, w.x, m.x, v.x, a.x, b.x, args, s)
				sameBits(t, "w", w.x, wantW)
				sameBits(t, "m", m.x, wantM)
				sameBits(t, "v", v.x, wantV)
				a.check(t, "a")
				b.check(t, "b")
				w.changed(t, "w")
				m.changed(t, "m")
				v.changed(t, "v")
			}
		}
	})
}

func TestReductions(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		p := par.New(2)
		defer p.Close()
		r := newRand(15)
		for _, n := range append(updateLengths(), 5*task+1) {
			x, y := track(n, r, normal(r)), track(n, r, normal(r))
			sum, size, above := 0.0, 0.0, 0
			if n > 0 {
				x.x[r.IntN(n)] = float32(math.NaN())
				for _, v := range x.x {
					if v > -0.25 {
						above++
					}
				}
				if got := CountAbove(p, x.x, -0.25); got != above {
					t.Fatalf("CountAbove of %d: %d, want %d", n, got, above)
				}
				copy(x.x, x.before)
			}
			for i := range n {
				sum += x.was[i] * y.was[i]
				size += math.Abs(x.was[i] * y.was[i])
			}
			// No term goes through more additions than a chain has in a task, the joining of the
			// chains and lanes, and the last rounding.
			near(t, "Dot", n, Dot(p, x.x, y.x), sum, gamma(task/(4*active.lanes)+chainJoins)*size)
			x.check(t, "x")
			y.check(t, "y")
		}
	})
}

// chainJoins is how many additions join four chains of up to 16 lanes, a tail, and the rounding to float32.
const chainJoins = 2 + 4 + 5

func TestUpdatesOfDifferentLengthsPanic(t *testing.T) {
	p := par.New(1)
	defer p.Close()
	a, b := make([]float32, 3), make([]float32, 4)
	step := AdamArgs{Step: 1}
	penalty := GradDropArgs{Penalty: 1, Scores: b, SumSquares: []float32{1}}
	eachVariant(t, func(t *testing.T) {
		for name, f := range map[string]func(){
			"Dot":                      func() { Dot(p, a, b) },
			"Adam of a short w":        func() { Adam(p, a, b, b, b, step) },
			"Adam of a short gradient": func() { Adam(p, b, b, b, a, step) },
			"GradDrop of a short b":    func() { GradDrop(p, b, b, a, GradDropArgs{}) },
			"GradDrop of a long b":     func() { GradDrop(p, a, a, b, GradDropArgs{}) },
			"GradDrop of many scores":  func() { GradDrop(p, a, a, nil, penalty) },
			"GradDropAdam":             func() { GradDropAdam(p, b, b, a, b, nil, GradDropArgs{}, step) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s was accepted", name)
					}
				}()
				f()
			}()
		}
	})
}

// An update costs the garbage collector no more than the closures it hands to the workers.
func TestUpdatesHardlyAllocate(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		p := par.New(2)
		defer p.Close()
		const n = 2*task + 5
		w, m, v, g := make([]float32, n), make([]float32, n), make([]float32, n), make([]float32, n)
		for name, f := range map[string]func(){
			"Uniform":      func() { Uniform(g, philox.Key{}, 0) },
			"Dot":          func() { Dot(p, g, g) },
			"CountAbove":   func() { CountAbove(p, g, 0) },
			"Adam":         func() { Adam(p, w, m, v, g, AdamArgs{Step: 1}) },
			"GradDropAdam": func() { GradDropAdam(p, w, m, v, g, g, GradDropArgs{Leak: 1, Eps: 1}, AdamArgs{Step: 1}) },
		} {
			f() // scratch memory grows once
			if n := testing.AllocsPerRun(20, f); n > 5 {
				t.Errorf("%s: %v allocations", name, n)
			}
		}
	})
}
