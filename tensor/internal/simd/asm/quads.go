package main

import (
	"fmt"
	"strings"
)

const quadDoc = `%[1]s is gemm%[2]dx%[3]dAVX512 for integers of eight bits, four neighbours in k at a time: a, without sign, and b, with one, are
quads, 32 bits each, and k counts them. c is sums of 32 bits, to which VPDPBUSD adds the products of a quad exactly; bias and add are nil.`

// emitQuads writes the tile kernels for integers, and what comes before and after them.
func emitQuads(f *file) {
	for vectors := 1; vectors <= f.vectors; vectors++ {
		var names []string
		for rows := 1; rows <= f.rows; rows++ {
			name := fmt.Sprintf("quads%dx%d", rows, vectors*f.lanes)
			names = append(names, name+f.name)
			f.function(name, tileArgs, "", fmt.Sprintf(quadDoc, name+f.name, rows, vectors*f.lanes), func(fn *function) { fn.tile(rows, vectors, fn.dotQuads) })
		}
		fmt.Fprintf(&f.stubs.tables, "\n// quads%dx%s are the kernels for tiles of 1, 2, … %d rows and up to %d columns.\nvar quads%[1]dx%[2]s = []tileKernel{%[5]s}\n",
			vectors, f.name, f.rows, vectors*f.lanes, strings.Join(names, ", "))
	}
	f.function("ends", "n int, dst, x *float32", "", fmt.Sprintf("%%s: dst[j], dst[16+j] and dst[32+j] are, of x[i] with i mod %d = j, the least and 0, the greatest and 0, "+
		"and Σ 0·x[i], which is 0 if all are finite. n is a multiple of %[1]d, ≥ %[1]d.", f.lanes), func(f *function) {
		const least, most, bad, zero, x = 0, 1, 2, 3, 4
		f.load("n", "CX", "dst", "DI", "x", "SI")
		for _, r := range []int{least, most, bad, zero} {
			f.zero(r)
		}
		loop := f.label("loop")
		f.place(loop)
		f.ins("VMOVUPS", "(SI)", f.reg(x))
		f.ins("VMINPS", f.reg(x), f.reg(least), f.reg(least))
		f.ins("VMAXPS", f.reg(x), f.reg(most), f.reg(most))
		f.ins("VFMADD231PS", f.reg(x), f.reg(zero), f.reg(bad))
		f.ins("ADDQ", fmt.Sprintf("$%d", 4*f.lanes), "SI")
		f.ins("SUBQ", fmt.Sprintf("$%d", f.lanes), "CX")
		f.ins("JNZ", loop)
		f.ins("VMOVUPS", f.reg(least), "(DI)")
		f.ins("VMOVUPS", f.reg(most), "64(DI)")
		f.ins("VMOVUPS", f.reg(bad), "128(DI)")
	})
	f.function("quantize", "n int, dst *uint8, x *float32, inverse float32, zero int32", "", fmt.Sprintf("%%s: dst[i] = min(round(x[i]·inverse) + zero, 255), "+
		"to the nearest, ties to even, which is never below 0. n is a multiple of %d, ≥ %[1]d.", f.lanes), func(f *function) {
		const inverse, zero, most, x = 0, 1, 2, 3
		f.load("n", "CX", "dst", "DI", "x", "SI")
		f.broadcast("inverse", inverse)
		f.broadcast("zero", zero)
		f.ins("VMOVUPS", f.constant("most", 255), f.reg(most))
		loop := f.label("loop")
		f.place(loop)
		f.ins("VMULPS", "(SI)", f.reg(inverse), f.reg(x))
		f.ins("VCVTPS2DQ", f.reg(x), f.reg(x))
		f.ins("VPADDD", f.reg(zero), f.reg(x), f.reg(x))
		f.ins("VPMINSD", f.reg(most), f.reg(x), f.reg(x))
		f.ins("VPMOVDB", f.reg(x), "(DI)")
		f.ins("ADDQ", fmt.Sprintf("$%d", f.lanes), "DI")
		f.ins("ADDQ", fmt.Sprintf("$%d", 4*f.lanes), "SI")
		f.ins("SUBQ", fmt.Sprintf("$%d", f.lanes), "CX")
		f.ins("JNZ", loop)
	})
	f.function("dequantize", "rows, cols int, x, scale *float32, zero *int32, weights *float32, sums *int32, bias, add, dst *float32, ldd int", "",
		fmt.Sprintf("%%s: dst[r·ldd+j] = (x[r·%d+j] − zero[r]·sums[j])·scale[r]·weights[j] (+ bias[j]) (+ add[r·ldd+j]), in this order, with x of integers, for "+
			"r < rows and j < cols, 1 to %[1]d; bias and add may be nil.", f.width()), dequantize)
}

// dotQuads is acc += Σ x·y over the four bytes of each lane, those of x with sign.
func (f *function) dotQuads(x, y, acc int) { f.ins("VPDPBUSD", f.reg(x), f.reg(y), f.reg(acc)) }

// dequantize goes through a tile row by row.
func dequantize(f *function) {
	const weights, sums, bias, scale, zero, x, t = 0, 2, 4, 6, 7, 8, 9
	f.load("cols", "BX")
	for j := range f.vectors {
		f.ins("MOVQ", "BX", "AX")
		f.atMost(f.lanes, "AX", "DX")
		f.ins("SUBQ", "AX", "BX")
		f.tail(mask(j+1), "AX", "DX")
	}
	f.load("weights", "R8", "sums", "R9", "bias", "R10")
	for j := range f.vectors {
		f.read(mask(j+1), at(4*f.lanes*j, "R8"), weights+j)
		f.read(mask(j+1), at(4*f.lanes*j, "R9"), sums+j)
		f.zero(bias + j)
	}
	row, noBias := f.label("row"), f.label("nobias")
	f.ins("TESTQ", "R10", "R10")
	f.ins("JZ", noBias)
	for j := range f.vectors {
		f.read(mask(j+1), at(4*f.lanes*j, "R10"), bias+j)
	}
	f.place(noBias)
	f.load("rows", "CX", "x", "SI", "scale", "R8", "zero", "R9", "add", "R11", "dst", "DI", "ldd", "R12")
	f.ins("SHLQ", "$2", "R12")
	f.place(row)
	f.ins("VBROADCASTSS", "(R8)", f.reg(scale))
	f.ins("VPBROADCASTD", "(R9)", f.reg(zero))
	for j := range f.vectors {
		without, fresh := f.label("without"), f.label("fresh")
		f.ins("VPMULLD", f.reg(sums+j), f.reg(zero), f.reg(t))
		f.ins("VMOVUPS", at(4*f.lanes*j, "SI"), f.reg(x))
		f.ins("VPSUBD", f.reg(t), f.reg(x), f.reg(x))
		f.ins("VCVTDQ2PS", f.reg(x), f.reg(x))
		f.ins("VMULPS", f.reg(scale), f.reg(x), f.reg(x))
		f.ins("VMULPS", f.reg(weights+j), f.reg(x), f.reg(x))
		f.ins("TESTQ", "R10", "R10")
		f.ins("JZ", without)
		f.ins("VADDPS", f.reg(bias+j), f.reg(x), f.reg(x))
		f.place(without)
		f.ins("TESTQ", "R11", "R11")
		f.ins("JZ", fresh)
		f.read(mask(j+1), at(4*f.lanes*j, "R11"), t)
		f.ins("VADDPS", f.reg(t), f.reg(x), f.reg(x))
		f.place(fresh)
		f.write(mask(j+1), x, at(4*f.lanes*j, "DI"))
	}
	next := f.label("next")
	f.ins("TESTQ", "R11", "R11")
	f.ins("JZ", next)
	f.ins("ADDQ", "R12", "R11")
	f.place(next)
	f.ins("ADDQ", "R12", "DI")
	f.ins("ADDQ", "$4", "R8")
	f.ins("ADDQ", "$4", "R9")
	f.ins("ADDQ", fmt.Sprintf("$%d", 4*f.width()), "SI")
	f.ins("DECQ", "CX")
	f.ins("JNZ", row)
}
