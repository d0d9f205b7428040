package main

import "math"

// The normal distribution function. With t = |x|,
//
//	Φ(−t) = e^(−t²/2)·R(t),  Φ(t) = 1 − Φ(−t),
//
// where R(t) = ½·erfcx(t/√2) falls slowly from ½. So the relative error stays small however far x is
// below 0, and the exponential serves the density φ, too, which is part of GELU's derivative.
//
// R is a rational function of degrees 4 and 5, the one with the least greatest relative error on
// [0, 15], 6.3e-9 or a tenth of half a unit in the last place (found by Remez' algorithm). All coefficients
// are positive: neither polynomial cancels. Beyond 15 the exponential is 0 in float32, so t stops there.
//
// t² is rounded, and half a unit of 100 in the exponent would be 50 units in the result. The rounding's
// error d = t² − fl(t²), which a fused multiply-add gives exactly, is made good by the factor 1 − d/2.
var (
	millsNumerator   = []float64{0.50000000315052797, 0.439283002652995735, 0.183968829016895994, 0.0408810257216709739, 0.00415321532624987978}
	millsDenominator = []float64{1, 1.67645101234376509, 1.20554697895756307, 0.471407882946542657, 0.102479651648065693, 0.0104104552987872932}
)

func millsName(part string, i int) string { return part + string(rune('0'+i)) }

func (f *function) beginNormal() {
	f.beginExp()
	for i, c := range millsNumerator {
		f.keepConstant(millsName("mills", i), float32(c))
	}
	for i, c := range millsDenominator[1:] { // the first is 1
		f.keepConstant(millsName("millsdown", i+1), float32(c))
	}
	f.keepConstant("tailend", 15)
	f.keepConstant("minushalf", -0.5)
	f.keepConstant("magnitude", math.Float32frombits(0x7fffffff))
}

// horner is to = c₀ + c₁·x + …, the constants being called names.
func (f *function) horner(names []string, x, to int) {
	last := len(names) - 1
	f.ins("VMOVUPS", f.c(names[last]), f.reg(to))
	for i := last - 1; i >= 0; i-- {
		f.ins("VFMADD213PS", f.c(names[i]), f.reg(x), f.reg(to))
	}
}

// normal sets phi to Φ(x) and e to e^(−x²/2). a to d are lost; x stays.
func (f *function) normal(x, phi, e, a, b, c, d int) {
	t, square, rest := a, b, d
	T, S := f.reg(t), f.reg(square)
	f.bitwise("AND", f.c("magnitude"), x, t)
	f.ins("VMINPS", T, f.inRegister("tailend", square), T) // NaN stays: see exp
	f.ins("VMULPS", T, T, S)
	f.ins("VMOVAPS", T, f.reg(rest))
	f.ins("VFMSUB213PS", S, T, f.reg(rest))
	f.ins("VMULPS", f.c("minushalf"), S, S)
	f.exp(square, e, phi, c)
	f.ins("VMULPS", f.c("minushalf"), f.reg(rest), f.reg(rest))
	f.ins("VFMADD231PS", f.reg(rest), f.reg(e), f.reg(e))

	var up, down []string
	for i := range millsNumerator {
		up = append(up, millsName("mills", i))
	}
	down = append(down, "one")
	for i := range millsDenominator[1:] {
		down = append(down, millsName("millsdown", i+1))
	}
	f.horner(up, t, b)
	f.horner(down, t, c)
	f.ins("VMULPS", f.reg(e), f.reg(b), f.reg(b))
	f.ins("VDIVPS", f.reg(c), f.reg(b), f.reg(b)) // Φ(−t)
	f.ins("VMOVUPS", f.c("one"), f.reg(c))
	f.ins("VSUBPS", f.reg(b), f.reg(c), f.reg(c)) // Φ(t)
	f.whereNegative(x, b, c, phi)
}

func emitGELU(f *file) {
	f.function("gelu", "n int, dst, x *float32", "", "%s: dst[i] = x[i]·Φ(x[i]), Φ the normal distribution function.", func(f *function) {
		f.beginNormal()
		f.elementwise([]string{"dst", "x"}, func(m mask, dst string, src []string) {
			f.read(m, src[0], 0)
			f.normal(0, 1, 2, 3, 4, 5, 6)
			f.ins("VMULPS", f.reg(0), f.reg(1), f.reg(1))
			f.write(m, 1, dst)
		})
	})
	f.function("geluGrad", "n int, dst, ct, x *float32", "", "%s: dst[i] = ct[i]·(Φ(x[i]) + x[i]·φ(x[i])), φ(z) = exp(−z²/2)/√(2π).", func(f *function) {
		f.beginNormal()
		f.keepConstant("density", float32(1/math.Sqrt(2*math.Pi)))
		f.elementwise([]string{"dst", "ct", "x"}, func(m mask, dst string, src []string) {
			f.read(m, src[1], 0)
			f.normal(0, 1, 2, 3, 4, 5, 6)
			f.ins("VMULPS", f.c("density"), f.reg(2), f.reg(2))
			f.ins("VFMADD231PS", f.reg(2), f.reg(0), f.reg(1))
			f.read(m, src[0], 2)
			f.ins("VMULPS", f.reg(2), f.reg(1), f.reg(1))
			f.write(m, 1, dst)
		})
	})
}
