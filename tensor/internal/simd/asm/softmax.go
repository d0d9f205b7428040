package main

import (
	"fmt"
	"math"
)

// What attention does to scores. All exponentials have an exponent of no more than 0, give or take the rounding, and lie close
// to a scale that is free: so they are powers of two, which spares a third of the work of eˣ.
//
// With n = round(x) and r = x − n, which is exact, 2ˣ = 2ⁿ·2ʳ, and 2ʳ is 1 + r·q(r), q the polynomial of degree 5 with the least
// greatest relative error of the result on |r| ≤ ½: 2.0e-9. Rounding makes it a unit in the last place at most.
var powerConstants = []struct {
	name  string
	value float32
}{
	{"pow1", 0.69314720285509622}, {"pow2", 0.24022647913627548}, {"pow3", 0.055503324710414866},
	{"pow4", 0.0096184373576330536}, {"pow5", 0.0013398874452661557}, {"pow6", 0.00015353362000593054}, {"one", 1},
}

// beginPower prepares for power.
func (f *function) beginPower() {
	for _, c := range powerConstants {
		f.keepConstant(c.name, c.value)
	}
	f.keepConstant("lowest", f.lowestPower())
}

// lowestPower is an exponent of which the power is zero. Without an instruction that multiplies by powers of two n is added to
// the exponent of 2ʳ, which for −127 and r = 0 leaves no bit; powers below the least normal number, 2⁻¹²⁶, are then off by up to 2⁻¹²⁷.
func (f *function) lowestPower() float32 {
	if f.set == avx512 {
		return -150
	}
	return -127
}

// power turns the register x, below 128 or NaN, into 2ˣ in p; n is lost, and so is x.
func (f *function) power(x, p, n int) {
	X, P, N := f.reg(x), f.reg(p), f.reg(n)
	f.ins("VMAXPS", X, f.inRegister("lowest", n), X)
	f.nearest(x, n)
	f.ins("VSUBPS", N, X, X)
	f.ins("VMOVUPS", f.c("pow6"), P)
	for _, c := range []string{"pow5", "pow4", "pow3", "pow2", "pow1", "one"} {
		f.ins("VFMADD213PS", f.c(c), X, P)
	}
	if f.set == avx512 {
		f.ins("VSCALEFPS", N, P, P)
		return
	}
	f.ins("VCVTPS2DQ", N, N)
	f.ins("VPSLLD", "$23", N, N)
	f.ins("VPADDD", N, P, P)
}

func emitSoftmax(f *file) {
	f.function("powers", "n int, dst, x *float32, scale, shift float32", "", "%s: dst[i] = 2^(scale·x[i] − shift), for exponents below 128.", func(f *function) {
		f.beginPower()
		f.broadcast("scale", 3)
		f.broadcast("shift", 4)
		f.elementwise([]string{"dst", "x"}, func(m mask, dst string, src []string) {
			f.read(m, src[0], 0)
			f.ins("VFMSUB213PS", f.reg(4), f.reg(3), f.reg(0))
			f.power(0, 1, 2)
			f.write(m, 1, dst)
		})
	})
	f.function("powersBelowMax", "n int, dst, x *float32, scale float32", "max, sum float32",
		"%s: dst[i] = 2^(scale·(x[i] − max)), max the greatest x[i], n ≥ 1, scale ≥ 0; sum = Σ dst[i]. If one x[i] is no number, sum is none.", func(f *function) {
			f.greatest()
			f.ins("MOVSS", "X4", f.arg("max"))
			f.ins("VBROADCASTSS", "X4", f.reg(4))
			f.beginPower()
			f.broadcast("scale", 3)
			f.zero(5)
			f.elementwise([]string{"dst", "x"}, func(m mask, dst string, src []string) {
				f.read(m, src[0], 0)
				f.ins("VSUBPS", f.reg(4), f.reg(0), f.reg(0))
				f.ins("VMULPS", f.reg(3), f.reg(0), f.reg(0))
				f.power(0, 1, 2)
				f.write(m, 1, dst)
				f.keep(m, 1)
				f.ins("VADDPS", f.reg(1), f.reg(5), f.reg(5))
			})
			f.horizontal("VADDPS", 5, 0)
			f.ins("MOVSS", "X5", f.arg("sum"))
		})
	f.function("logSums", "n int, dst, max, sum *float32, scale float32", "", "%s: dst[i] = scale·max[i] + log(sum[i]), for normal sums.", func(f *function) {
		f.broadcast("scale", 8)
		f.elementwise([]string{"dst", "max", "sum"}, func(m mask, dst string, src []string) {
			f.read(m, src[1], 0)
			f.log(0, 1)
			f.read(m, src[0], 0)
			f.ins("VFMADD231PS", f.reg(8), f.reg(0), f.reg(1))
			f.write(m, 1, dst)
		})
	})
	f.function("divideRows", "rows, n int, x *float32, ld int, by *float32", "", "%s: x[i·ld+j] /= by[i] for i < rows, j < n, by a multiplication.", (*function).divideRows)
}

// greatest leaves the greatest x[i] in lane 0 of register 4. Registers 0 to 7 are lost.
func (f *function) greatest() {
	// A masked maximum would let zeros in; the lanes that do not exist become −Inf.
	const none = 1
	f.ins("VMOVUPS", f.constant("neginf", math.Float32bits(float32(math.Inf(-1)))), f.reg(none))
	for c := range chains {
		f.ins("VMOVUPS", f.reg(none), f.reg(4+c))
	}
	f.reduction([]string{"x"}, func(m mask, src []string, chain int) {
		f.read(m, src[0], 0)
		if m != allLanes {
			if f.set == avx512 {
				f.ins("VBLENDMPS", f.reg(0), f.reg(none), f.maskOperand(m), f.reg(0))
			} else if f.set == neon {
				for h, d := range halves(f.reg(0)) {
					f.maskHalf(m, h, f.scratch(temp))
					f.choose(d, halves(f.reg(none))[h], d)
				}
			} else {
				f.ins("VBLENDVPS", f.maskOperand(m), f.reg(0), f.reg(none), f.reg(0))
			}
		}
		f.ins("VMAXPS", f.reg(0), f.reg(4+chain), f.reg(4+chain))
	})
	f.ins("VMAXPS", f.reg(5), f.reg(4), f.reg(4))
	f.ins("VMAXPS", f.reg(7), f.reg(6), f.reg(6))
	f.ins("VMAXPS", f.reg(6), f.reg(4), f.reg(4))
	f.horizontal("VMAXPS", 4, 0)
}

// log turns the register x, positive and normal, or NaN, into its natural logarithm in to; registers 2 to 7 and x are lost.
//
// x is 2ⁿ·m with √½ ≤ m < √2, and with s = (m−1)/(m+1) log m = 2·artanh s = 2s + s·(⅔z + ⅖z² + …), z = s² ≤ 0.0295: what comes
// after z⁴ is less than 3e-9 of it.
func (f *function) log(x, to int) {
	X, S, N, M, Z, T := f.reg(x), f.reg(to), f.reg(2), f.reg(3), f.reg(4), f.reg(5)
	number := func(name string, value float64) string { return f.constant(name, math.Float32bits(float32(value))) }
	f.ins("VPSUBD", number("sqrthalf", math.Sqrt2/2), X, N)
	f.ins("VPSRAD", "$23", N, N)
	f.ins("VPSLLD", "$23", N, M)
	f.ins("VPSUBD", M, X, M)
	f.ins("VCVTDQ2PS", N, N)
	f.ins("VSUBPS", X, X, X) // 0, or NaN
	f.ins("VADDPS", number("one", 1), M, T)
	f.ins("VSUBPS", number("one", 1), M, M)
	f.ins("VDIVPS", T, M, S)
	f.ins("VMULPS", S, S, Z)
	f.ins("VMOVUPS", number("artanh9", 2.0/9), T)
	f.ins("VFMADD213PS", number("artanh7", 2.0/7), Z, T)
	f.ins("VFMADD213PS", number("artanh5", 2.0/5), Z, T)
	f.ins("VFMADD213PS", number("artanh3", 2.0/3), Z, T)
	f.ins("VMULPS", Z, T, T)
	f.ins("VADDPS", number("two", 2), T, T)
	f.ins("VFMADD213PS", X, T, S)
	f.ins("VFMADD231PS", number("ln2", math.Ln2), N, S)
}

func (f *function) divideRows() {
	f.load("rows", "R10", "n", "BX", "x", "DI", "ld", "R9", "by", "R8")
	f.ins("SHLQ", "$2", "R9")
	f.ins("MOVQ", "BX", "CX")
	f.ins("ANDQ", fmt.Sprintf("$%d", f.lanes-1), "CX")
	f.tail(1, "CX", "DX")
	row, loop, rest, next := f.label("row"), f.label("loop"), f.label("rest"), f.label("next")
	f.place(row)
	f.ins("VMOVSS", f.constant("one", math.Float32bits(1)), "X1")
	f.ins("VDIVSS", "(R8)", "X1", "X1")
	f.ins("VBROADCASTSS", "X1", f.reg(1))
	f.ins("MOVQ", "DI", "SI")
	f.ins("MOVQ", "BX", "CX")
	f.ins("SUBQ", fmt.Sprintf("$%d", f.lanes), "CX")
	f.ins("JLT", rest)
	f.place(loop)
	f.ins("VMULPS", "(SI)", f.reg(1), f.reg(0))
	f.write(allLanes, 0, "(SI)")
	f.ins("ADDQ", fmt.Sprintf("$%d", f.set.bytes()), "SI")
	f.ins("SUBQ", fmt.Sprintf("$%d", f.lanes), "CX")
	f.ins("JGE", loop)
	f.place(rest)
	f.ins("ADDQ", fmt.Sprintf("$%d", f.lanes), "CX")
	f.ins("JZ", next)
	f.read(1, "(SI)", 0)
	f.ins("VMULPS", f.reg(1), f.reg(0), f.reg(0))
	f.write(1, 0, "(SI)")
	f.place(next)
	f.ins("ADDQ", "R9", "DI")
	f.ins("ADDQ", "$4", "R8")
	f.ins("DECQ", "R10")
	f.ins("JNZ", row)
}
