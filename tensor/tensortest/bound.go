package tensortest

import "math"

// ulps is the allowance, in units of the roundoff, for exp, log, sin, cos and erf. Vectorised
// implementations reach 1 to 2; it leaves room for one more rounding of an argument.
const ulps = 4

var nan = math.NaN()

// num is a number of a definition: its value, computed in float64, and how far from it the number of
// a kernel may be that follows the same formula in the device's format.
type num struct{ v, err float64 }

// exact is a number without error: an input, as the device holds it.
func exact(v float64) num { return num{v: v} }

// exacts is exact for each of v.
func exacts(v []float64) []num {
	n := make([]num, len(v))
	for i := range v {
		n[i] = exact(v[i])
	}
	return n
}

// arith computes with nums by running error analysis (Higham, Accuracy and Stability of Numerical
// Algorithms, 2nd ed., §3.3): each operation hands on the errors of its operands to first order and
// rounds once. Underflow may be gradual or flush to zero: it costs at most tiny.
type arith struct {
	u    float64 // unit roundoff of the kernel, plus that of the definition itself
	tiny float64 // smallest normal number of the format
}

// holds reports whether v is a whole number that the format holds exactly, as are all whole numbers below it.
func (a arith) holds(v float64) bool { return v == math.Trunc(v) && math.Abs(v) <= 1/a.u }

// round is a result v, uncertain by err before, after n roundings. One rounding leaves what the format
// holds as it is.
func (a arith) round(v, err float64, n int) num {
	if n == 1 && err == 0 && a.holds(v) {
		return exact(v)
	}
	return num{v, err + float64(n)*(a.u*(math.Abs(v)+err)+a.tiny)}
}

// constant is a factor that a kernel may have rounded to its format.
func (a arith) constant(c float64) num {
	if float64(float32(c)) == c {
		return exact(c)
	}
	return a.round(c, 0, 1)
}

func (a arith) neg(x num) num { return num{-x.v, x.err} }

func (a arith) add(x, y num) num { return a.round(x.v+y.v, x.err+y.err, 1) }

func (a arith) sub(x, y num) num { return a.add(x, a.neg(y)) }

func (a arith) mul(x, y num) num {
	return a.round(x.v*y.v, math.Abs(x.v)*y.err+math.Abs(y.v)*x.err+x.err*y.err, 1)
}

// div allows two roundings: many kernels multiply with a reciprocal. A denominator that may be 0 leaves
// no bound, which rig.check refuses.
func (a arith) div(x, y num) num {
	v := x.v / y.v
	if math.Abs(y.v) <= y.err {
		return num{v, math.Inf(1)}
	}
	return a.round(v, (x.err+math.Abs(v)*y.err)/(math.Abs(y.v)-y.err), 2)
}

// sqrt has two roundings: a kernel may multiply with a reciprocal square root.
func (a arith) sqrt(x num) num {
	v := math.Sqrt(x.v)
	switch {
	case x.err == 0:
		return a.round(v, 0, 2)
	case x.err >= x.v:
		return a.round(v, math.Sqrt(x.v+x.err), 2)
	}
	return a.round(v, x.err/(v+math.Sqrt(x.v-x.err)), 2)
}

func (a arith) exp(x num) num {
	v := math.Exp(x.v)
	if v == 0 {
		return num{0, a.tiny}
	}
	return a.round(v, v*math.Expm1(x.err), ulps)
}

func (a arith) log(x num) num {
	v := math.Log(x.v)
	return a.round(v, -math.Log1p(-x.err/x.v), ulps)
}

// sigmoid is 1/(1+e⁻ˣ). Its logarithm has the derivative 1−σ, which grows by less than a factor eᵟ over a
// distance δ. Where e⁻ˣ overflows a kernel may answer 0: σ is below tiny there.
func (a arith) sigmoid(x num) num {
	v := 1 / (1 + math.Exp(-x.v))
	return a.round(v, v*math.Expm1(math.Exp(x.err)*x.err/(1+math.Exp(x.v))), ulps+3)
}

// normalCDF is Φ(x) = ½(1+erf(x/√2)). Its derivative is at most 1/√(2π). The allowance is absolute, because
// of the sum with 1.
func (a arith) normalCDF(x num) num {
	return num{math.Erfc(-x.v/math.Sqrt2) / 2, x.err/math.Sqrt(2*math.Pi) + ulps*a.u + a.tiny}
}

// sum adds in any order: each term goes through at most len(t)−1 roundings.
func (a arith) sum(t ...num) num {
	var s accumulator
	for _, x := range t {
		s.add(x)
	}
	return s.sum(a)
}

// accumulator is sum for terms that come one by one.
type accumulator struct {
	v, err, abs float64
	n           int
	fraction    bool // some term is not a whole number
}

func (s *accumulator) add(x num) {
	s.v += x.v
	s.err += x.err
	s.abs += math.Abs(x.v) + x.err
	s.n++
	s.fraction = s.fraction || x.v != math.Trunc(x.v)
}

// product is add(x·y) for numbers without error.
func (s *accumulator) product(a arith, x, y float64) {
	p := x * y
	s.v += p
	s.n++
	size := math.Abs(p)
	s.abs += size
	if !a.holds(p) {
		err := a.u*size + a.tiny
		s.err += err
		s.abs += err
		s.fraction = true
	}
}

func (s *accumulator) sum(a arith) num {
	if s.n < 2 || s.err == 0 && !s.fraction && s.abs <= 1/a.u {
		return num{s.v, s.err}
	}
	n := float64(s.n - 1)
	if n*a.u >= 1 { // so many terms may lose everything
		return num{s.v, math.Inf(1)}
	}
	return num{s.v, s.err + n*a.u/(1-n*a.u)*s.abs + n*a.tiny}
}

// sums ends several accumulators.
func (a arith) sums(s []accumulator) []num {
	n := make([]num, len(s))
	for i := range s {
		n[i] = s[i].sum(a)
	}
	return n
}

// dot is Σ x·y.
func (a arith) dot(x, y []num) num {
	var s accumulator
	for i := range x {
		s.add(a.mul(x[i], y[i]))
	}
	return s.sum(a)
}
