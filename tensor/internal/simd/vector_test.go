package simd

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// longest exceeds four vectors of either width by more than a vector.
const longest = 130

// A vectorCase runs one kernel on inputs that in gives, and returns for each element what it should be
// and how far off it may be.
type vectorCase struct {
	name   string
	inputs int
	in     func(r *rand.Rand) func() float32
	run    func(dst []float32, in [][]float32)
	want   func(i int, in [][]float64) (value, bound float64)
}

const smallest = 0x1p-149 // the least positive float32: results below the normal range round to its multiples

var vectorCases = []vectorCase{
	{"Exp", 1, uniform(-105, 88.7), func(dst []float32, in [][]float32) { Exp(dst, in[0]) },
		func(i int, in [][]float64) (float64, float64) { return expBound(in[0][i]) }},
	{"Add", 2, normal, func(dst []float32, in [][]float32) { Add(dst, in[0], in[1]) },
		func(i int, in [][]float64) (float64, float64) {
			v := in[0][i] + in[1][i]
			return v, unit * math.Abs(v)
		}},
	{"Mul", 2, normal, func(dst []float32, in [][]float32) { Mul(dst, in[0], in[1]) },
		func(i int, in [][]float64) (float64, float64) {
			v := in[0][i] * in[1][i]
			return v, unit * math.Abs(v)
		}},
	{"Scale", 1, normal, func(dst []float32, in [][]float32) { Scale(dst, in[0], 0.3) },
		func(i int, in [][]float64) (float64, float64) {
			v := float64(float32(0.3)) * in[0][i]
			return v, unit * math.Abs(v)
		}},
	{"AXPY", 2, normal, func(dst []float32, in [][]float32) { copy(dst, in[0]); AXPY(dst, 0.3, in[1]) },
		func(i int, in [][]float64) (float64, float64) {
			v := float64(float32(0.3))*in[1][i] + in[0][i]
			return v, unit * math.Abs(v)
		}},
	// The slope rounded and multiplied moves the exponent by 2u of it, the exponential is off by 2u, and
	// there are four more roundings.
	{"QuickGELU", 1, uniform(-70, 70), func(dst []float32, in [][]float32) { QuickGELU(dst, in[0]) },
		func(i int, in [][]float64) (float64, float64) {
			x := in[0][i]
			v := x * sigmoid(x)
			return v, math.Abs(v)*(2*1.702*math.Abs(x)+8)*unit + (1+math.Abs(x))*smallest
		}},
	{"QuickGELUGrad", 2, uniform(-30, 30), func(dst []float32, in [][]float32) { QuickGELUGrad(dst, in[0], in[1]) },
		func(i int, in [][]float64) (float64, float64) {
			ct, x := in[0][i], in[1][i]
			s, t := sigmoid(x), sigmoid(-x) // t = 1−s
			terms := math.Abs(ct) * s * (1 + 1.702*math.Abs(x)*t)
			return ct * s * (1 + 1.702*x*t), terms * (4*1.702*math.Abs(x) + 16) * unit
		}},
	// The exponents, differences of at most 20, are rounded once; then n additions, an exponential, and two more.
	{"SoftmaxRow", 1, uniform(-10, 10), func(dst []float32, in [][]float32) { SoftmaxRow(dst, in[0]) },
		func(i int, in [][]float64) (float64, float64) {
			v := softmax(in[0])[i]
			return v, v * (gamma(len(in[0])+8) + 2*20*unit)
		}},
	{"SoftmaxGradRow", 2, normal, func(dst []float32, in [][]float32) { SoftmaxGradRow(dst, in[0], in[1]) },
		func(i int, in [][]float64) (float64, float64) {
			dot, size := 0.0, 0.0
			for j := range in[0] {
				dot += in[0][j] * in[1][j]
				size += math.Abs(in[0][j] * in[1][j])
			}
			return in[1][i] * (in[0][i] - dot), math.Abs(in[1][i]) * (math.Abs(in[0][i]) + size) * gamma(len(in[0])+3)
		}},
	{"LayerNormGradRow", 3, normal, func(dst []float32, in [][]float32) { LayerNormGradRow(dst, in[0], in[1], in[2], 0.25, 1.5) },
		func(i int, in [][]float64) (float64, float64) {
			n := float64(len(in[0]))
			var meanG, meanGX, sizeG, sizeGX float64
			at := func(j int) (g, x float64) { return in[0][j] * in[2][j], (in[1][j] - 0.25) * 1.5 }
			for j := range in[0] {
				g, x := at(j)
				meanG += g / n
				sizeG += math.Abs(g) / n
				meanGX += g * x / n
				sizeGX += math.Abs(g*x) / n
			}
			g, x := at(i)
			return 1.5 * (g - meanG - x*meanGX), 1.5 * (math.Abs(g) + sizeG + math.Abs(x)*sizeGX) * gamma(len(in[0])+10)
		}},
}

func expBound(x float64) (value, bound float64) {
	value = math.Exp(x)
	return value, 2*unit*value + smallest
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-1.702*x)) }

func softmax(x []float64) []float64 {
	top := slices.Max(x)
	y := make([]float64, len(x))
	sum := 0.0
	for i := range x {
		y[i] = math.Exp(x[i] - top)
		sum += y[i]
	}
	for i := range y {
		y[i] /= sum
	}
	return y
}

func uniform(lo, hi float64) func(r *rand.Rand) func() float32 {
	return func(r *rand.Rand) func() float32 { return func() float32 { return float32(lo + (hi-lo)*r.Float64()) } }
}

func widen(x []float32) []float64 {
	y := make([]float64, len(x))
	for i := range x {
		y[i] = float64(x[i])
	}
	return y
}

func TestVectorKernels(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		for _, c := range vectorCases {
			t.Run(c.name, func(t *testing.T) {
				r := newRand(7)
				for n := range longest + 1 {
					var in []*buffer
					var x [][]float32
					var wide [][]float64
					for range c.inputs {
						b := input(n, r, c.in(r))
						in, x, wide = append(in, b), append(x, b.x), append(wide, widen(b.x))
					}
					dst := newBuffer(n, r)
					c.run(dst.x, x)
					for i := range n {
						want, bound := c.want(i, wide)
						near(t, c.name, i, dst.x[i], want, bound)
					}
					dst.check(t, "dst")
					for _, b := range in {
						b.check(t, "input")
					}

					// In place.
					c.run(x[0], x)
					sameBits(t, "in place", x[0], dst.x)
					in[0].before = nil
					in[0].check(t, "in place")
				}
			})
		}
	})
}

func TestLayerNormRow(t *testing.T) {
	const eps = 1e-5
	eachVariant(t, func(t *testing.T) {
		r := newRand(8)
		for _, n := range append(lengths(longest), 768, 1024) {
			in := []*buffer{input(n, r, normal(r)), input(n, r, normal(r)), input(n, r, normal(r))}
			for i := range in[0].x {
				in[0].x[i] += 3 // the mean must be taken off before squaring
			}
			copy(in[0].before, in[0].x)
			dst := newBuffer(n, r)
			mean, rstd := LayerNormRow(dst.x, in[0].x, in[1].x, in[2].x, eps)
			if n == 0 {
				continue
			}
			x, w, b := widen(in[0].x), widen(in[1].x), widen(in[2].x)
			var m, size, variance float64
			for i := range x {
				m += x[i] / float64(n)
				size += math.Abs(x[i]) / float64(n)
			}
			for i := range x {
				variance += (x[i] - m) * (x[i] - m) / float64(n)
			}
			rs := 1 / math.Sqrt(variance+float64(float32(eps)))
			offMean := gamma(n+1) * size
			// The mean's error enters the variance squared; that of the variance halved its root.
			offRstd := (gamma(n+4)+offMean*offMean/(variance+eps))*rs + unit*rs
			near(t, "mean", n, mean, m, offMean)
			near(t, "rstd", n, rstd, rs, offRstd)
			for i := range x {
				d := x[i] - m
				bound := math.Abs(w[i])*(rs*offMean+math.Abs(d)*offRstd) + 6*unit*(math.Abs(d*rs*w[i])+math.Abs(b[i])+math.Abs(w[i])*rs*offMean)
				near(t, "LayerNormRow", i, dst.x[i], d*rs*w[i]+b[i], bound)
			}
			dst.check(t, "dst")
			for _, b := range in {
				b.check(t, "input")
			}
			again, againRstd := LayerNormRow(in[0].x, in[0].x, in[1].x, in[2].x, eps)
			sameBits(t, "in place", append(in[0].x, again, againRstd), append(dst.x, mean, rstd))
		}
	})
}

func lengths(n int) (ls []int) {
	for i := range n + 1 {
		ls = append(ls, i)
	}
	return ls
}

// TestExpEverywhere tries one float in 2039, of all there are, and each near the ends of the range.
func TestExpEverywhere(t *testing.T) {
	eachVariant(t, func(t *testing.T) {
		const batch = 1 << 12
		x, y := make([]float32, 0, batch), make([]float32, batch)
		worst, worstAt := 0.0, float32(0)
		flush := func() {
			Exp(y[:len(x)], x)
			for i, v := range x {
				want, bound := expBound(float64(v))
				if rounded := float32(want); math.IsInf(float64(rounded), 1) || math.IsNaN(want) || want == 0 {
					near(t, "exp of "+"extreme", i, y[i], float64(rounded), 0)
					continue
				}
				if e := math.Abs(float64(y[i])-want) / bound; e > worst {
					worst, worstAt = e, v
				}
			}
			x = x[:0]
		}
		try := func(v float32) {
			if x = append(x, v); len(x) == batch {
				flush()
			}
		}
		for b := uint64(0); b < 1<<32; b += 2039 {
			try(math.Float32frombits(uint32(b)))
		}
		for _, end := range []float32{0, 88.72284, -87.33655, -103.97208, 89, -104} {
			v := end
			for range 1000 {
				try(v)
				v = math.Nextafter32(v, float32(math.Inf(1)))
			}
			v = end
			for range 1000 {
				try(v)
				v = math.Nextafter32(v, float32(math.Inf(-1)))
			}
		}
		flush()
		if worst > 1 {
			t.Errorf("exp(%g) is off by %.3f units in the last place", worstAt, worst)
		}
		t.Logf("greatest error: %.3f of the bound, at %g", worst, worstAt)
	})
}

func TestSpecialValues(t *testing.T) {
	inf, none := float32(math.Inf(1)), float32(math.NaN())
	eachVariant(t, func(t *testing.T) {
		get := func(f func(dst, x []float32), x ...float32) []float32 {
			dst := make([]float32, len(x))
			f(dst, x)
			return dst
		}
		expect := func(what string, got []float32, want ...float32) {
			t.Helper()
			for i := range want {
				near(t, what, i, got[i], float64(want[i]), 0)
			}
		}
		expect("Exp", get(Exp, inf, -inf, none, 89, -104, -1e30, 1e30, 0, float32(math.Copysign(0, -1))), inf, 0, none, inf, 0, 0, inf, 1, 1)
		expect("QuickGELU", get(QuickGELU, inf, none, 0, 1e30, -1e30, 3e38), inf, none, 0, 1e30, 0, 3e38)
		one := func(dst, x []float32) { QuickGELUGrad(dst, []float32{1, 1, 1, 1, 1}[:len(x)], x) }
		expect("QuickGELUGrad", get(one, 0, 1e30, -1e30, none), 0.5, 1, 0, none)
		expect("SoftmaxRow", get(SoftmaxRow, -inf, 3, -inf, 3), 0, 0.5, 0, 0.5)
		expect("SoftmaxRow", get(SoftmaxRow, 1, none, 2), none, none, none)
		expect("SoftmaxRow", get(SoftmaxRow, -inf, -inf), none, none)
		expect("SoftmaxRow", get(SoftmaxRow, 3e38, -3e38), 1, 0)
		for n := 1; n < 70; n++ { // NaN wherever it stands
			for at := range n {
				x := make([]float32, n)
				x[at] = none
				for i, v := range get(SoftmaxRow, x...) {
					if v == v {
						t.Fatalf("softmax of %d with NaN at %d: element %d is %g", n, at, i, v)
					}
				}
			}
		}
	})
}

func TestDifferentLengthsPanic(t *testing.T) {
	a, b := make([]float32, 3), make([]float32, 4)
	eachVariant(t, func(t *testing.T) {
		for name, f := range map[string]func(){
			"Exp": func() { Exp(a, b) }, "QuickGELU": func() { QuickGELU(a, b) }, "QuickGELUGrad": func() { QuickGELUGrad(a, a, b) },
			"Add": func() { Add(a, a, b) }, "Mul": func() { Mul(a, b, a) }, "Scale": func() { Scale(a, b, 1) }, "AXPY": func() { AXPY(a, 1, b) },
			"SoftmaxRow": func() { SoftmaxRow(a, b) }, "SoftmaxGradRow": func() { SoftmaxGradRow(a, b, a) },
			"LayerNormRow":     func() { LayerNormRow(a, a, a, b, 0) },
			"LayerNormGradRow": func() { LayerNormGradRow(a, a, a, b, 0, 1) },
		} {
			func() {
				defer func() {
					if recover() == nil {
						t.Errorf("%s accepted slices of different lengths", name)
					}
				}()
				f()
			}()
		}
	})
}
