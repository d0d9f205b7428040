package main

import "math"

// The exponential. With n = round(x/ln 2) and r = x − n·ln 2, eˣ = 2ⁿ·eʳ and |r| ≤ ½ ln 2.
//
// ln 2 is subtracted in two pieces: the first is ln 2 rounded to float32, whose product with n the fused
// multiply-add takes exactly; what it leaves of x is exact too. The second is the rounding's error. On
// the remaining interval eʳ is 1 + r + r²·q(r), q the polynomial of degree 4 with the least greatest
// relative error of the result: 3.1e-9, a twentieth of half a unit in the last place. Rounding makes it
// a unit at most, all over the range.
//
// x is first clamped to where the result is no more than infinity and no less than zero, since infinity
// − infinity would be no number. The minimum and maximum return their second operand if one is not a
// number, so that NaN stays NaN.
var expConstants = map[string]float64{
	"exphi": 89, "explo": -104,
	"log2e": math.Log2E,
	"ln2hi": float64(float32(math.Ln2)), "ln2lo": math.Ln2 - float64(float32(math.Ln2)),
	"exp2": 0.49999993447569718, "exp3": 0.16666520631653264, "exp4": 0.041668388085018722,
	"exp5": 0.0083687168938287593, "exp6": 0.0013814597003505016,
	"one": 1,
}

var expNames = []string{"exphi", "explo", "log2e", "ln2hi", "ln2lo", "exp2", "exp3", "exp4", "exp5", "exp6", "one"}

// beginExp prepares for exp: it keeps the constants in registers where there are enough of them.
func (f *function) beginExp() {
	for _, name := range expNames {
		f.keepConstant(name, float32(expConstants[name]))
	}
}

// exp turns the register x into eˣ in p; n and t are lost, and so is x.
func (f *function) exp(x, p, n, t int) {
	X, P, N, T := f.reg(x), f.reg(p), f.reg(n), f.reg(t)
	f.ins("VMINPS", X, f.inRegister("exphi", n), X)
	f.ins("VMAXPS", X, f.inRegister("explo", n), X)
	f.ins("VMULPS", f.c("log2e"), X, N)
	f.nearest(n, n)
	f.ins("VFNMADD231PS", f.c("ln2hi"), N, X)
	f.ins("VFNMADD231PS", f.c("ln2lo"), N, X)
	f.ins("VMOVUPS", f.c("exp6"), P)
	for _, c := range []string{"exp5", "exp4", "exp3", "exp2"} {
		f.ins("VFMADD213PS", f.c(c), X, P)
	}
	f.ins("VMULPS", X, X, T)
	f.ins("VFMADD213PS", X, T, P)
	f.ins("VADDPS", f.c("one"), P, P)
	if f.set == avx512 {
		f.ins("VSCALEFPS", N, P, P)
		return
	}
	// 2ⁿ itself may be out of range where the result is not: multiply by two powers of about n/2,
	// made by adding to the exponent of 1. Only the second multiplication can round.
	f.ins("VCVTPS2DQ", N, N)
	f.ins("VPSRAD", "$1", N, T)
	f.ins("VPSUBD", T, N, N)
	for _, half := range []string{T, N} {
		f.ins("VPSLLD", "$23", half, half)
		f.ins("VPADDD", f.c("one"), half, half)
		f.ins("VMULPS", half, P, P)
	}
}

// nearest is to = x rounded to a whole number.
func (f *function) nearest(x, to int) {
	if f.set == avx512 {
		f.ins("VRNDSCALEPS", "$8", f.reg(x), f.reg(to))
	} else {
		f.ins("VROUNDPS", "$8", f.reg(x), f.reg(to))
	}
}

// quickGELUSlope is the c of x·σ(c·x).
const quickGELUSlope = 1.702

// sigmoid computes e = exp(−c·|x|) and u = 1 + e, from which σ(c·x) is 1/u for x ≥ 0 and e/u for x < 0:
// neither overflows, and 1−σ is the other of the two, without cancellation. n and t are lost.
func (f *function) sigmoid(x, e, u, n, t int) {
	f.bitwise("OR", f.c("signbit"), x, u)
	f.ins("VMULPS", f.c("slope"), f.reg(u), f.reg(u))
	f.exp(u, e, n, t)
	f.ins("VADDPS", f.c("one"), f.reg(e), f.reg(u))
}

func (f *function) beginSigmoid() {
	f.beginExp()
	f.keepConstant("slope", quickGELUSlope)
	f.keepConstant("signbit", float32(math.Copysign(0, -1)))
}

// whereNegative sets register yes to no where x is not negative; what it leaves is yes there where x < 0.
func (f *function) whereNegative(x, yes, no int, to int) {
	if f.set == avx512 {
		f.ins("VPXORD", f.reg(to), f.reg(to), f.reg(to))
		f.ins("VCMPPS", "$1", f.reg(to), f.reg(x), "K7")
		f.ins("VBLENDMPS", f.reg(yes), f.reg(no), "K7", f.reg(to))
		return
	}
	f.ins("VBLENDVPS", f.reg(x), f.reg(yes), f.reg(no), f.reg(to))
}

func emitExp(f *file) {
	f.function("exp", "n int, dst, x *float32", "", `%s: dst[i] = exp(x[i]), correct to one unit in the last place.`, func(f *function) {
		f.beginExp()
		f.elementwise([]string{"dst", "x"}, func(m mask, dst string, src []string) {
			f.read(m, src[0], 0)
			f.exp(0, 1, 2, 3)
			f.write(m, 1, dst)
		})
	})
	f.function("quickGELU", "n int, dst, x *float32", "", `%s: dst[i] = x[i]·σ(1.702·x[i]), σ(z) = 1/(1+exp(−z)).`, func(f *function) {
		f.beginSigmoid()
		f.elementwise([]string{"dst", "x"}, func(m mask, dst string, src []string) {
			f.read(m, src[0], 0)
			f.sigmoid(0, 1, 2, 3, 4)
			f.ins("VMULPS", f.reg(0), f.reg(1), f.reg(1))
			f.whereNegative(0, 1, 0, 3)
			f.ins("VDIVPS", f.reg(2), f.reg(3), f.reg(3))
			f.write(m, 3, dst)
		})
	})
	f.function("quickGELUGrad", "n int, dst, ct, x *float32", "",
		`%s: dst[i] = ct[i]·s·(1 + 1.702·x[i]·(1−s)), s = σ(1.702·x[i]).`, func(f *function) {
			f.beginSigmoid()
			f.elementwise([]string{"dst", "ct", "x"}, func(m mask, dst string, src []string) {
				f.read(m, src[1], 0)
				f.sigmoid(0, 1, 2, 3, 4)
				f.ins("VMOVUPS", f.inRegister("one", 3), f.reg(4))
				f.ins("VDIVPS", f.reg(2), f.reg(4), f.reg(2)) // the greater of s and 1−s
				f.ins("VMULPS", f.reg(2), f.reg(1), f.reg(1)) // the lesser
				f.whereNegative(0, 1, 2, 3)                   // s
				f.whereNegative(0, 2, 1, 4)                   // 1−s
				f.ins("VMULPS", f.c("slope"), f.reg(0), f.reg(0))
				f.ins("VFMADD213PS", f.c("one"), f.reg(4), f.reg(0))
				f.ins("VMULPS", f.reg(3), f.reg(0), f.reg(0))
				f.read(m, src[0], 1)
				f.ins("VMULPS", f.reg(1), f.reg(0), f.reg(0))
				f.write(m, 0, dst)
			})
		})
}
