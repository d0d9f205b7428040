package main

import (
	"fmt"
	"math"
)

// emitVector writes the kernels that go over vectors of any length.
func emitVector(f *file) {
	emitExp(f)
	emitGELU(f)
	emitElementwise(f)
	emitReductions(f)
	emitLayerNorm(f)
}

var pointerRegisters = []string{"DI", "SI", "R8", "R9", "R10", "R11"}

// elementwise runs body over whole vectors, then once over what is left with a mask. It gives body the
// operands of the named pointers at the current place: the first, which is written, and the others.
// A body that reads a vector of each before it writes allows the destination to be one of the sources.
func (f *function) elementwise(pointers []string, body func(m mask, dst string, src []string)) {
	regs := pointerRegisters[:len(pointers)]
	f.load("n", "CX")
	for i, p := range pointers {
		f.load(p, regs[i])
	}
	var src []string
	for _, r := range regs[1:] {
		src = append(src, at(0, r))
	}
	loop, rest, done := f.label("loop"), f.label("rest"), f.label("done")
	f.ins("SUBQ", fmt.Sprintf("$%d", f.lanes), "CX")
	f.ins("JLT", rest)
	f.ins("PCALIGN", "$32")
	f.place(loop)
	body(allLanes, at(0, regs[0]), src)
	for _, r := range regs {
		f.ins("ADDQ", fmt.Sprintf("$%d", f.set.bytes()), r)
	}
	f.ins("SUBQ", fmt.Sprintf("$%d", f.lanes), "CX")
	f.ins("JGE", loop)
	f.place(rest)
	f.ins("ADDQ", fmt.Sprintf("$%d", f.lanes), "CX")
	f.ins("JZ", done)
	f.tail(1, "CX", "DX")
	body(1, at(0, regs[0]), src)
	f.place(done)
}

// chains is how many partial results a reduction keeps, so that an addition need not wait for the last.
const chains = 4

// reduction runs body over blocks of four vectors, each for a chain of its own, then over what is left
// in the first chain. Body adds the vectors at the operands to its chain.
func (f *function) reduction(pointers []string, body func(m mask, src []string, chain int)) {
	regs := pointerRegisters[:len(pointers)]
	f.load("n", "CX")
	for i, p := range pointers {
		f.load(p, regs[i])
	}
	src := func(chain int) (s []string) {
		for _, r := range regs {
			s = append(s, at(chain*f.set.bytes(), r))
		}
		return s
	}
	block, vectors, vector, rest, done := f.label("block"), f.label("vectors"), f.label("vector"), f.label("rest"), f.label("done")
	advance := func(n int) {
		for _, r := range regs {
			f.ins("ADDQ", fmt.Sprintf("$%d", n*f.set.bytes()), r)
		}
		f.ins("SUBQ", fmt.Sprintf("$%d", n*f.lanes), "CX")
	}
	f.ins("SUBQ", fmt.Sprintf("$%d", chains*f.lanes), "CX")
	f.ins("JLT", vectors)
	f.place(block)
	for c := range chains {
		body(allLanes, src(c), c)
	}
	advance(chains)
	f.ins("JGE", block)
	f.place(vectors)
	f.ins("ADDQ", fmt.Sprintf("$%d", (chains-1)*f.lanes), "CX")
	f.ins("JLT", rest)
	f.place(vector)
	body(allLanes, src(0), 0)
	advance(1)
	f.ins("JGE", vector)
	f.place(rest)
	f.ins("ADDQ", fmt.Sprintf("$%d", f.lanes), "CX")
	f.ins("JZ", done)
	f.tail(1, "CX", "DX")
	body(1, src(0), 0)
	f.place(done)
}

// join combines the chains in registers first, first+1, … by op, then the lanes of their result, and
// stores the number as a result of the function. Register t is lost.
func (f *function) join(op string, first, t int, result string) {
	f.ins(op, f.reg(first+1), f.reg(first), f.reg(first))
	f.ins(op, f.reg(first+3), f.reg(first+2), f.reg(first+2))
	f.ins(op, f.reg(first+2), f.reg(first), f.reg(first))
	f.horizontal(op, first, t)
	f.ins("MOVSS", fmt.Sprintf("X%d", first), f.arg(result))
}

// horizontal combines the lanes of register r by op, halves with halves, into its lane 0.
func (f *function) horizontal(op string, r, t int) {
	if f.set == avx512 {
		f.ins("VEXTRACTF64X4", "$1", f.reg(r), fmt.Sprintf("Y%d", t))
		f.ins(op, fmt.Sprintf("Y%d", t), fmt.Sprintf("Y%d", r), fmt.Sprintf("Y%d", r))
	}
	x, y := fmt.Sprintf("X%d", r), fmt.Sprintf("X%d", t)
	f.ins("VEXTRACTF128", "$1", fmt.Sprintf("Y%d", r), y)
	f.ins(op, y, x, x)
	f.ins("VPERMILPS", "$0xee", x, y)
	f.ins(op, y, x, x)
	f.ins("VPERMILPS", "$0x55", x, y)
	f.ins(op, y, x, x)
}

// keepConstant makes c(name) a register loaded here, where there are registers to spare, and otherwise
// an operand in memory.
func (f *function) keepConstant(name string, value float32) {
	operand := f.constant(name, math.Float32bits(value))
	if f.set == avx512 {
		r := f.reg(f.regs - 1 - len(f.kept))
		f.ins("VMOVUPS", operand, r)
		operand = r
	}
	f.kept[name] = operand
}

// c is the operand of a constant prepared by keepConstant.
func (f *function) c(name string) string {
	operand, ok := f.kept[name]
	if !ok {
		panic(f.name + " has not prepared " + name)
	}
	return operand
}

// inRegister is c for an operand that cannot be in memory; register t may be lost.
func (f *function) inRegister(name string, t int) string {
	if f.set == avx512 {
		return f.c(name)
	}
	f.ins("VMOVUPS", f.c(name), f.reg(t))
	return f.reg(t)
}

func emitElementwise(f *file) {
	for _, op := range []struct{ name, sign, mnemonic string }{{"add", "+", "VADDPS"}, {"mul", "·", "VMULPS"}} {
		f.function(op.name, "n int, dst, x, y *float32", "", "%s: dst[i] = x[i] "+op.sign+" y[i].", func(f *function) {
			f.elementwise([]string{"dst", "x", "y"}, func(m mask, dst string, src []string) {
				f.read(m, src[0], 0)
				f.read(m, src[1], 1)
				f.ins(op.mnemonic, f.reg(1), f.reg(0), f.reg(0))
				f.write(m, 0, dst)
			})
		})
	}
	f.function("scale", "n int, dst, x *float32, c float32", "", "%s: dst[i] = c·x[i].", func(f *function) {
		f.broadcast("c", 1)
		f.elementwise([]string{"dst", "x"}, func(m mask, dst string, src []string) {
			f.read(m, src[0], 0)
			f.ins("VMULPS", f.reg(1), f.reg(0), f.reg(0))
			f.write(m, 0, dst)
		})
	})
	f.function("axpy", "n int, dst, x *float32, c float32", "", "%s: dst[i] = fma(c, x[i], dst[i]).", func(f *function) {
		f.broadcast("c", 1)
		f.elementwise([]string{"dst", "x"}, func(m mask, dst string, src []string) {
			f.read(m, src[0], 0)
			f.read(m, dst, 2)
			f.ins("VFMADD213PS", f.reg(2), f.reg(1), f.reg(0))
			f.write(m, 0, dst)
		})
	})
	f.function("mask", "n int, dst, w, s *float32, t float32", "", "%s: dst[i] = w[i] where s[i] > t, else 0.", func(f *function) {
		f.broadcast("t", 4)
		f.elementwise([]string{"dst", "w", "s"}, func(m mask, dst string, src []string) {
			f.read(m, src[0], 0)
			f.read(m, src[1], 1)
			f.zero(2)
			f.whereGreater(1, 4, 0, 2, 3)
			f.write(m, 3, dst)
		})
	})
	f.function("relu", "n int, dst, x *float32", "", "%s: dst[i] = x[i] where x[i] > 0 or is no number, else 0.", func(f *function) {
		f.zero(1)
		f.elementwise([]string{"dst", "x"}, func(m mask, dst string, src []string) {
			f.read(m, src[0], 0)
			f.ins("VMAXPS", f.reg(0), f.reg(1), f.reg(0)) // of which the second operand is taken if one is no number
			f.write(m, 0, dst)
		})
	})
	f.function("softmaxGrad", "n int, dst, ct, y *float32, dot, scale float32", "", "%s: dst[i] = scale·y[i]·(ct[i] − dot).", func(f *function) {
		f.broadcast("dot", 2)
		f.broadcast("scale", 3)
		f.elementwise([]string{"dst", "ct", "y"}, func(m mask, dst string, src []string) {
			f.read(m, src[0], 0)
			f.read(m, src[1], 1)
			f.ins("VSUBPS", f.reg(2), f.reg(0), f.reg(0))
			f.ins("VMULPS", f.reg(3), f.reg(1), f.reg(1))
			f.ins("VMULPS", f.reg(1), f.reg(0), f.reg(0))
			f.write(m, 0, dst)
		})
	})
}

func emitReductions(f *file) {
	// The partial results are registers 4 to 7.
	begin := func(f *function) {
		for c := range chains {
			f.zero(4 + c)
		}
	}
	f.function("sum", "n int, x *float32", "sum float32", "%s: sum = Σ x[i].", func(f *function) {
		begin(f)
		f.reduction([]string{"x"}, func(m mask, src []string, chain int) {
			f.read(m, src[0], 0)
			f.ins("VADDPS", f.reg(0), f.reg(4+chain), f.reg(4+chain))
		})
		f.join("VADDPS", 4, 0, "sum")
	})
	f.function("sumSquares", "n int, x *float32, mean float32", "sum float32", "%s: sum = Σ (x[i] − mean)².", func(f *function) {
		begin(f)
		f.broadcast("mean", 1)
		f.reduction([]string{"x"}, func(m mask, src []string, chain int) {
			f.read(m, src[0], 0)
			f.ins("VSUBPS", f.reg(1), f.reg(0), f.reg(0))
			f.keep(m, 0)
			f.ins("VFMADD231PS", f.reg(0), f.reg(0), f.reg(4+chain))
		})
		f.join("VADDPS", 4, 0, "sum")
	})
	f.function("dot", "n int, x, y *float32", "sum float32", "%s: sum = Σ x[i]·y[i].", func(f *function) {
		begin(f)
		f.reduction([]string{"x", "y"}, func(m mask, src []string, chain int) {
			f.read(m, src[0], 0)
			f.read(m, src[1], 1)
			f.ins("VFMADD231PS", f.reg(1), f.reg(0), f.reg(4+chain))
		})
		f.join("VADDPS", 4, 0, "sum")
	})
	f.function("countAbove", "n int, x *float32, t float32", "count int32", "%s: count = how many x[i] > t, for n < 2³¹.", func(f *function) {
		begin(f)
		f.broadcast("t", 1)
		const ones = 2
		if f.set == avx512 {
			f.ins("VMOVUPS", f.constant("intone", 1), f.reg(ones))
		}
		f.reduction([]string{"x"}, func(m mask, src []string, chain int) {
			count := f.reg(4 + chain)
			f.read(m, src[0], 0)
			switch {
			case f.set != avx512: // where true, a comparison is the number −1
				f.ins("VCMPPS", greater, f.reg(1), f.reg(0), f.reg(0))
				f.keep(m, 0)
				f.ins("VPSUBD", f.reg(0), count, count)
				return
			case m == allLanes:
				f.ins("VCMPPS", greater, f.reg(1), f.reg(0), "K7")
			default:
				f.ins("VCMPPS", greater, f.reg(1), f.reg(0), f.maskOperand(m), "K7")
			}
			f.ins("VPADDD", f.reg(ones), count, "K7", count)
		})
		f.join("VPADDD", 4, 0, "count")
	})
}

func emitLayerNorm(f *file) {
	f.function("normalize", "n int, dst, x, w, b *float32, mean, rstd float32", "", "%s: dst[i] = (x[i] − mean)·rstd·w[i] + b[i].", func(f *function) {
		f.broadcast("mean", 3)
		f.broadcast("rstd", 4)
		f.elementwise([]string{"dst", "x", "w", "b"}, func(m mask, dst string, src []string) {
			f.read(m, src[0], 0)
			f.read(m, src[1], 1)
			f.read(m, src[2], 2)
			f.ins("VSUBPS", f.reg(3), f.reg(0), f.reg(0))
			f.ins("VMULPS", f.reg(4), f.reg(0), f.reg(0))
			f.ins("VFMADD213PS", f.reg(2), f.reg(1), f.reg(0))
			f.write(m, 0, dst)
		})
	})
	f.function("normalizeGradSums", "n int, ct, x, w *float32, mean, rstd float32", "sumG, sumGX float32",
		"%s: with g = ct[i]·w[i] and x̂ = (x[i] − mean)·rstd, sumG = Σ g and sumGX = Σ g·x̂.", func(f *function) {
			const g, gx = 7, 11
			for c := range chains {
				f.zero(g + c)
				f.zero(gx + c)
			}
			f.broadcast("mean", 3)
			f.broadcast("rstd", 4)
			f.reduction([]string{"ct", "x", "w"}, func(m mask, src []string, chain int) {
				f.read(m, src[0], 0)
				f.read(m, src[1], 1)
				f.read(m, src[2], 2)
				f.ins("VMULPS", f.reg(2), f.reg(0), f.reg(0))
				f.ins("VSUBPS", f.reg(3), f.reg(1), f.reg(1))
				f.ins("VMULPS", f.reg(4), f.reg(1), f.reg(1))
				f.ins("VADDPS", f.reg(0), f.reg(g+chain), f.reg(g+chain))
				f.ins("VFMADD231PS", f.reg(1), f.reg(0), f.reg(gx+chain))
			})
			f.join("VADDPS", g, 0, "sumG")
			f.join("VADDPS", gx, 0, "sumGX")
		})
	f.function("normalizeGrad", "n int, dst, ct, x, w *float32, mean, rstd, meanG, meanGX float32", "",
		"%s: dst[i] = rstd·(g − meanG − x̂·meanGX), g = ct[i]·w[i], x̂ = (x[i] − mean)·rstd.", func(f *function) {
			for i, p := range []string{"mean", "rstd", "meanG", "meanGX"} {
				f.broadcast(p, 3+i)
			}
			f.elementwise([]string{"dst", "ct", "x", "w"}, func(m mask, dst string, src []string) {
				f.read(m, src[0], 0)
				f.read(m, src[1], 1)
				f.read(m, src[2], 2)
				f.ins("VMULPS", f.reg(2), f.reg(0), f.reg(0))
				f.ins("VSUBPS", f.reg(3), f.reg(1), f.reg(1))
				f.ins("VMULPS", f.reg(4), f.reg(1), f.reg(1))
				f.ins("VSUBPS", f.reg(5), f.reg(0), f.reg(0))
				f.ins("VFNMADD231PS", f.reg(6), f.reg(1), f.reg(0))
				f.ins("VMULPS", f.reg(4), f.reg(0), f.reg(0))
				f.write(m, 0, dst)
			})
		})
}
