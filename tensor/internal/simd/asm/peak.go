package main

import "fmt"

// emitPeak writes kernels that do nothing but multiply and add, for measuring what the processor can do. They
// keep as many sums as the Gemm tile does, which is more than it takes to hide an instruction's latency, and touch no
// memory. Operands are 1 and −1, as an instruction with zeros may cost less power and so run at a higher clock.
func emitPeak(f *file) {
	f.peak("peakFloat32", "n·%d float32 vectors of fused multiply-adds", 0x3f800000, 0xbf800000, func(fn *function, acc int) {
		fn.ins("VFMADD231PS", fn.reg(1), fn.reg(0), fn.reg(acc))
	})
	if f.set == avx512 {
		f.peak("peakBF16", "n·%d vectors of dot products of bf16 pairs, added to float32", 0x3f803f80, 0xbf80bf80, func(fn *function, acc int) {
			fn.dotPairs(0, 1, acc)
		})
	}
}

// peak writes func name(n int) around an instruction that adds the product of vectors 0 and 1, full of x and y, to a sum.
func (f *file) peak(name, does string, x, y uint32, instruction func(fn *function, acc int)) {
	sums := f.rows * f.vectors
	f.function(name, "n int", "", "%s does "+fmt.Sprintf(does, sums)+", and nothing else.", func(fn *function) {
		fn.load("n", "CX")
		fn.ins("VMOVUPS", f.constant(name+"X", x), f.reg(0))
		fn.ins("VMOVUPS", f.constant(name+"Y", y), f.reg(1))
		for i := range sums {
			fn.zero(f.regs - 1 - i)
		}
		loop := fn.label("step")
		fn.ins("PCALIGN", "$64")
		fn.place(loop)
		for i := range sums {
			instruction(fn, f.regs-1-i)
		}
		fn.ins("DECQ", "CX")
		fn.ins("JNZ", loop)
	})
}
