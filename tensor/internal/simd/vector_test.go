package simd

import (
	"fmt"
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
	{"GELU", 1, uniform(-15, 15), func(dst []float32, in [][]float32) { GELU(dst, in[0]) },
		func(i int, in [][]float64) (float64, float64) { return geluBound(in[0][i]) }},
	{"GELUGrad", 2, uniform(-15, 15), func(dst []float32, in [][]float32) { GELUGrad(dst, in[0], in[1]) },
		func(i int, in [][]float64) (float64, float64) {
			value, bound := geluGradBound(in[1][i])
			return in[0][i] * value, math.Abs(in[0][i])*bound + unit*math.Abs(in[0][i]*value) + smallest
		}},
	{"ReLU", 1, normal, func(dst []float32, in [][]float32) { ReLU(dst, in[0]) },
		func(i int, in [][]float64) (float64, float64) { return max(in[0][i], 0), 0 }},
	{"Mask", 2, normal, func(dst []float32, in [][]float32) { Mask(dst, in[0], in[1], 0.3) },
		func(i int, in [][]float64) (float64, float64) {
			if in[1][i] > float64(float32(0.3)) {
				return in[0][i], 0
			}
			return 0, 0
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

// normalRoundings is how many roundings the tail Φ(−|x|) of the normal distribution goes through: 2 in the
// exponential and 1 in its correction; each step of the polynomials and their coefficients 11, as
// nothing cancels; multiplication, division, and half a one for the error of the approximation.
const normalRoundings = 17

// normalCDF is Φ(x), φ(x), and how far off the former may be. The tail is subtracted from 1 for x > 0.
func normalCDF(x float64) (cdf, density, bound float64) {
	tail := math.Erfc(math.Abs(x)/math.Sqrt2) / 2
	cdf, bound = tail, tail*gamma(normalRoundings)+2*smallest
	if x > 0 {
		cdf = 1 - tail
		bound += unit
	}
	return cdf, math.Exp(-x*x/2) / math.Sqrt(2*math.Pi), bound
}

func geluBound(x float64) (value, bound float64) {
	cdf, _, off := normalCDF(x)
	return x * cdf, math.Abs(x)*off + unit*math.Abs(x*cdf) + smallest
}

// The density is an exponential, corrected, and a product.
func geluGradBound(x float64) (value, bound float64) {
	cdf, density, off := normalCDF(x)
	return cdf + x*density, off + math.Abs(x)*(density*gamma(6)+2*smallest) + unit*(cdf+math.Abs(x)*density)
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

// everywhere tries a function at one float in 2039, of all there are, and at each near the given ends, and
// fails where it is off by more than a bound. Where the result overflows or is no number it must be so.
func everywhere(t *testing.T, f func(dst, x []float32), define func(x float64) (value, bound float64), ends ...float32) {
	eachVariant(t, func(t *testing.T) {
		const batch = 1 << 12
		x, y := make([]float32, 0, batch), make([]float32, batch)
		worst, worstAt := 0.0, float32(0)
		flush := func() {
			f(y[:len(x)], x)
			for i, v := range x {
				want, bound := define(float64(v))
				if rounded := float64(float32(want)); math.IsInf(rounded, 0) || math.IsNaN(want) || want == 0 {
					near(t, fmt.Sprintf("at %g", v), i, y[i], rounded, 0)
					continue
				}
				if e := math.Abs(float64(y[i])-want) / bound; !(e <= worst) {
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
		for _, end := range ends {
			for _, towards := range []float64{math.Inf(1), math.Inf(-1)} {
				v := end
				for range 1000 {
					try(v)
					v = math.Nextafter32(v, float32(towards))
				}
			}
		}
		flush()
		if !(worst <= 1) {
			t.Errorf("at %g it is off by %.3f of what it may", worstAt, worst)
		}
		t.Logf("greatest error: %.3f of the bound, at %g", worst, worstAt)
	})
}

func TestExpEverywhere(t *testing.T) {
	everywhere(t, Exp, expBound, 0, 88.72284, -87.33655, -103.97208, 89, -104)
}

// What the comment of GELU promises: four units in the last place, that is eight of the roundoff. Below the
// normal range the tail is a multiple of the smallest number, off by two, and is multiplied by x.
func TestGELUEverywhere(t *testing.T) {
	everywhere(t, GELU, func(x float64) (float64, float64) {
		cdf := math.Erfc(-x/math.Sqrt2) / 2
		return x * cdf, 8*unit*math.Abs(x*cdf) + (1+2*math.Min(math.Abs(x), 15))*smallest
	}, 0, -0.75, -5, 5, -13, -14.2, 14.2, -15, 15)
}

// GELU's derivative passes through 0, so its error is measured by its terms.
func TestGELUGradEverywhere(t *testing.T) {
	slope := func(dst, x []float32) {
		for i := range dst {
			dst[i] = 1
		}
		GELUGrad(dst, dst, x)
	}
	everywhere(t, slope, func(x float64) (float64, float64) {
		if math.IsInf(x, 0) {
			return math.NaN(), 0 // ∞·0
		}
		cdf, density, _ := normalCDF(x)
		return cdf + x*density, 8*unit*(cdf+math.Abs(x)*density) + (1+4*math.Min(math.Abs(x), 15))*smallest
	}, 0, -0.75, -5, 5, -13, -14.2, 14.2, -15, 15)
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
		expect("ReLU", get(ReLU, inf, -inf, none, 0, -1, smallest), inf, 0, none, 0, 0, smallest)
		expect("QuickGELU", get(QuickGELU, inf, none, 0, 1e30, -1e30, 3e38), inf, none, 0, 1e30, 0, 3e38)
		one := func(dst, x []float32) { QuickGELUGrad(dst, []float32{1, 1, 1, 1, 1}[:len(x)], x) }
		expect("QuickGELUGrad", get(one, 0, 1e30, -1e30, none), 0.5, 1, 0, none)
		expect("GELU", get(GELU, inf, -inf, none, 0, 1e30, -1e30, 3e38, -3e38), inf, none, none, 0, 1e30, 0, 3e38, 0)
		slope := func(dst, x []float32) { GELUGrad(dst, []float32{1, 1, 1, 1, 1}[:len(x)], x) }
		expect("GELUGrad", get(slope, 0, 1e30, -1e30, none), 0.5, 1, 0, none)
		above := func(dst, x []float32) { Mask(dst, []float32{1, 2, inf, none, 5, 6}[:len(x)], x, 0) }
		expect("Mask", get(above, inf, -inf, 0, -1, none, smallest), 1, 0, 0, 0, 0, 6)
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
			"GELU": func() { GELU(a, b) }, "GELUGrad": func() { GELUGrad(a, a, b) }, "Mask": func() { Mask(a, a, b, 0) },
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
