package tensortest

import (
	"math"
	"testing"

	"fewshot/tensor"
)

// single is the arithmetic of float32, whose results Go has without any device.
var single = arith{u: 0x1p-24 + 0x1p-53, tiny: 0x1p-126}

// floats makes float32 values of many magnitudes.
func floats(r *rig, n int) []float64 {
	v := r.wide(n)
	for i := range v {
		v[i] = float64(float32(v[i]))
	}
	return v
}

// Arithmetic in float32 stays within the bounds, over chains of operations; and the bounds are not
// generous: somewhere the error comes near.
func TestBoundsHoldAndAreTight(t *testing.T) {
	const n = 20000
	r := &rig{}
	x, y := floats(r, n), floats(r, n)
	for _, c := range []struct {
		name  string
		f     func(x, y num) num
		g     func(x, y float32) float32
		tight float64 // the largest error comes to at least this part of its bound
	}{
		{"x+y", single.add, func(x, y float32) float32 { return x + y }, 0.9},
		{"x-y", single.sub, func(x, y float32) float32 { return x - y }, 0.9},
		{"x·y", single.mul, func(x, y float32) float32 { return x * y }, 0.9},
		{"x/y", single.div, func(x, y float32) float32 { return x / y }, 0.45},
		{"√x", func(x, _ num) num { return single.sqrt(num{math.Abs(x.v), x.err}) },
			func(x, _ float32) float32 { return float32(math.Sqrt(math.Abs(float64(x)))) }, 0.45},
		{"(x+y)·x−y", func(x, y num) num { return single.sub(single.mul(single.add(x, y), x), y) },
			func(x, y float32) float32 { return float32((x+y)*x) - y }, 0.5},
		{"1/√(x²+1)", func(x, _ num) num { return single.div(exact(1), single.sqrt(single.add(single.mul(x, x), exact(1)))) },
			func(x, _ float32) float32 { return 1 / float32(math.Sqrt(float64(float32(x*x)+1))) }, 0.25},
		{"exp(x·y) for small x·y", func(x, y num) num { return single.exp(single.mul(x, single.div(y, exact(1024)))) },
			func(x, y float32) float32 { return float32(math.Exp(float64(x * (y / 1024)))) }, 0.1},
		{"log(x²+1)", func(x, _ num) num { return single.log(single.add(single.mul(x, x), exact(1))) },
			func(x, _ float32) float32 { return float32(math.Log(float64(float32(x*x) + 1))) }, 0.1},
		{"σ(1.7x)", func(x, _ num) num { return single.sigmoid(single.mul(single.constant(1.7), x)) },
			func(x, _ float32) float32 { return 1 / (1 + float32(math.Exp(-float64(1.7*x)))) }, 0.05},
		{"Φ(x)", func(x, _ num) num { return single.normalCDF(x) },
			func(x, _ float32) float32 { return (1 + float32(math.Erf(float64(x)/math.Sqrt2))) / 2 }, 0.05},
	} {
		worst := 0.0
		for i := range x {
			want, got := c.f(exact(x[i]), exact(y[i])), float64(c.g(float32(x[i]), float32(y[i])))
			if math.Abs(want.v) > math.MaxFloat32/2 {
				continue
			}
			if off := math.Abs(got - want.v); !(off <= want.err) {
				t.Fatalf("%s at %v, %v: %v is farther from %v than %v", c.name, x[i], y[i], got, want.v, want.err)
			} else if off > 0 {
				worst = max(worst, off/want.err)
			}
		}
		if worst < c.tight {
			t.Errorf("%s: no error comes to more than %.2g of its bound", c.name, worst)
		}
	}
}

// Sums stay within their bound in any order.
func TestSumBounds(t *testing.T) {
	r := &rig{}
	for _, n := range []int{1, 2, 3, 10, 1000} {
		x := floats(r, n)
		want := single.sum(exacts(x)...)
		forward, backward := float32(0), float32(0)
		for i := range x {
			forward += float32(x[i])
			backward += float32(x[n-1-i])
		}
		for _, got := range []float32{forward, backward} {
			if math.Abs(float64(got)-want.v) > want.err {
				t.Errorf("%d terms: %v is farther from %v than %v", n, got, want.v, want.err)
			}
		}
	}
	r.random = 0
	whole := exacts(r.whole(1000))
	if s := single.dot(whole, whole); s.err != 0 || s.v != math.Trunc(s.v) {
		t.Errorf("a sum of whole numbers is %v ± %v", s.v, s.err)
	}
	big := exact(0x1p23)
	if s := single.sum(big, big, exact(1)); s.err == 0 {
		t.Error("2²⁴+1 counts as exact in float32")
	}
}

func TestFormatsRound(t *testing.T) {
	r := &rig{}
	single, half, brain := formats[1], formats[2], formats[3]
	for range 20000 {
		v := math.Ldexp(2*r.unit()-1, int(r.next()%300)-160)
		if got, want := single.round(v), float64(float32(v)); got != want && !math.IsInf(want, 0) {
			t.Fatalf("float32: %v is rounded to %v, want %v", v, got, want)
		}
		if got := formats[0].round(v); got != v {
			t.Fatalf("float64: %v is rounded to %v", v, got)
		}
	}
	for _, c := range []struct {
		f       format
		v, want float64
	}{
		{half, 1 + 0x1p-11, 1}, {half, 1 + 3*0x1p-11, 1 + 0x1p-9}, {half, 0x1p-25, 0}, {half, 3 * 0x1p-25, 0x1p-23}, {half, 65504, 65504},
		{brain, 1 + 0x1p-8, 1}, {brain, -1 - 3*0x1p-8, -1 - 0x1p-6}, {brain, guardValue, guardValue}, {brain, 0.1, 0.10009765625},
		{single, math.Inf(1), math.Inf(1)}, {single, 0, 0},
	} {
		if got := c.f.round(c.v); got != c.want {
			t.Errorf("%s: %v is rounded to %v, want %v", c.f.name, c.v, got, c.want)
		}
	}
	for _, f := range formats {
		if f.round(guardValue) != guardValue {
			t.Errorf("%s does not hold the guard value", f.name)
		}
	}
}

// What is equal, near, infinite or not a number.
func TestNear(t *testing.T) {
	r := &rig{arith: single, dev: &device{formats: [2]format{formats[1], formats[3]}}}
	inf := math.Inf(1)
	for _, c := range []struct {
		got  float64
		want num
		kind tensor.Kind
		ok   bool
	}{
		{1, exact(1), tensor.Full, true},
		{1 + 0x1p-23, exact(1), tensor.Full, false},
		{1 + 0x1p-23, num{1, 0x1p-22}, tensor.Full, true},
		{nan, num{1, 0.5}, tensor.Full, false},
		{nan, exact(nan), tensor.Full, true},
		{0, exact(nan), tensor.Full, false},
		{inf, exact(inf), tensor.Full, true},
		{-inf, exact(inf), tensor.Full, false},
		{inf, num{3.5e38, 1e32}, tensor.Full, true},
		{-inf, num{3.5e38, 1e32}, tensor.Full, false},
		{inf, num{3.3e38, 1e32}, tensor.Full, false},
		{1, num{1, inf}, tensor.Full, false},
		{float64(float32(0.1)), exact(0.1), tensor.Full, true},
		{0.10009765625, exact(0.1), tensor.Compute, true},
		{0.1, exact(0.1), tensor.Compute, false},
		{1.0078125, num{1.004, 1e-6}, tensor.Compute, true},
		{1.015625, num{1.004, 1e-6}, tensor.Compute, false},
	} {
		if got := r.near(c.got, c.want, c.kind); got != c.ok {
			t.Errorf("%v near %v ± %v of kind %d: %t", c.got, c.want.v, c.want.err, c.kind, got)
		}
	}
}
