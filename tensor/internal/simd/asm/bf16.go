package main

import (
	"fmt"
	"strings"
)

// Numbers in bfloat16 are the upper halves of float32 numbers. Widening one is a shift; narrowing rounds to nearest, ties to
// even, by adding just below half of the last place kept, and its parity: a carry into the exponent is right, up to infinity.
// NaN would be carried away and is treated apart.

// emitConversions writes the kernels between the formats. They take whole vectors; what is left is the caller's.
func emitConversions(f *file) {
	doc := "%%s: dst[r·ldd+i] = src[r·lds+i]%s for r < rows and i < n, rows ≥ 1, n a multiple of %d, ≥ %[2]d."
	f.function("widen", "rows, n int, dst *float32, ldd int, src *uint16, lds int", "", fmt.Sprintf(doc, "", f.lanes), func(f *function) {
		f.mixed(2, 4, func() {
			f.ins("VPMOVZXWD", "(SI)", f.reg(0))
			f.ins("VPSLLD", "$16", f.reg(0), f.reg(0))
			f.ins("VMOVUPS", f.reg(0), "(DI)")
		})
	})
	f.function("narrow", "rows, n int, dst *uint16, ldd int, src *float32, lds int", "", fmt.Sprintf(doc, " rounded", f.lanes), func(f *function) {
		const x, upper, half, one, quiet, t = 0, 1, 2, 3, 4, 5
		f.ins("VMOVUPS", f.constant("half", 0x7fff), f.reg(half))
		f.ins("VMOVUPS", f.constant("lowest", 1), f.reg(one))
		f.ins("VMOVUPS", f.constant("quiet", 0x40), f.reg(quiet))
		f.mixed(4, 2, func() {
			f.ins("VMOVUPS", "(SI)", f.reg(x))
			f.ins("VPSRLD", "$16", f.reg(x), f.reg(upper))
			f.bitwise("AND", f.reg(one), upper, t)
			f.ins("VPADDD", f.reg(half), f.reg(t), f.reg(t))
			f.ins("VPADDD", f.reg(x), f.reg(t), f.reg(t))
			f.ins("VPSRLD", "$16", f.reg(t), f.reg(t))
			f.bitwise("OR", f.reg(quiet), upper, upper)
			if f.set == avx512 {
				f.ins("VCMPPS", unordered, f.reg(x), f.reg(x), "K1")
				f.ins("VPBLENDMD", f.reg(upper), f.reg(t), "K1", f.reg(t))
				f.ins("VPMOVDW", f.reg(t), "(DI)")
				return
			}
			f.ins("VCMPPS", unordered, f.reg(x), f.reg(x), f.reg(x))
			f.ins("VBLENDVPS", f.reg(x), f.reg(upper), f.reg(t), f.reg(t))
			if f.set == neon { // the lower 16 bits of each lane
				d := halves(f.reg(t))
				f.arm("VUZP1 V%d.H8, V%d.H8, V%[2]d.H8", d[1], d[0])
				f.ins("VMOVUPS", "X5", "(DI)")
				return
			}
			f.ins("VPACKUSDW", f.reg(t), f.reg(t), f.reg(t)) // within halves
			f.ins("VPERMQ", "$0x08", f.reg(t), f.reg(t))
			f.ins("VMOVUPS", "X5", "(DI)")
		})
	})
}

// unordered is the predicate of a comparison: one of the operands is NaN.
const unordered = "$3"

// mixed runs body for each vector of each row: from src, at SI, each number so many bytes, to dst, at DI.
func (f *function) mixed(fromBytes, toBytes int, body func()) {
	f.load("rows", "DX", "src", "R8", "lds", "R10", "dst", "R9", "ldd", "R11")
	f.ins("IMULQ", fmt.Sprintf("$%d", fromBytes), "R10")
	f.ins("IMULQ", fmt.Sprintf("$%d", toBytes), "R11")
	row, loop := f.label("row"), f.label("loop")
	f.place(row)
	f.load("n", "CX")
	f.ins("MOVQ", "R8", "SI")
	f.ins("MOVQ", "R9", "DI")
	f.ins("PCALIGN", "$32")
	f.place(loop)
	body()
	f.ins("ADDQ", fmt.Sprintf("$%d", fromBytes*f.lanes), "SI")
	f.ins("ADDQ", fmt.Sprintf("$%d", toBytes*f.lanes), "DI")
	f.ins("SUBQ", fmt.Sprintf("$%d", f.lanes), "CX")
	f.ins("JNZ", loop)
	f.ins("ADDQ", "R10", "R8")
	f.ins("ADDQ", "R11", "R9")
	f.ins("DECQ", "DX")
	f.ins("JNZ", row)
}

const dotDoc = `%[1]s is gemm%[2]dx%[3]dAVX512 for operands in bfloat16, two neighbours in k at a time: a and b are pairs, 32 bits
each, and k counts them. The products of a pair are added to the sum in one step of VDPBF16PS, which
rounds to nearest, twice, and takes denormal numbers for zeros.`

// emitDot writes the tile kernels for bfloat16, and what packs operands for them. A pair of numbers that are neighbours in k
// takes the place of one float32: where k is contiguous in memory, pairs lie there already, and everything that packs or
// strides over float32 serves them. Only operands whose rows are k need their rows woven together.
func emitDot(f *file) {
	for vectors := 1; vectors <= f.vectors; vectors++ {
		var names []string
		for rows := 1; rows <= f.rows; rows++ {
			name := fmt.Sprintf("dot%dx%d", rows, vectors*f.lanes)
			names = append(names, name+f.name)
			f.function(name, tileArgs, "", fmt.Sprintf(dotDoc, name+f.name, rows, vectors*f.lanes), func(fn *function) { fn.tile(rows, vectors, fn.dotPairs) })
		}
		fmt.Fprintf(&f.stubs.tables, "\n// dots%dx%s are the kernels for tiles of 1, 2, … %d rows and up to %d columns.\nvar dots%[1]dx%[2]s = []tileKernel{%[5]s}\n",
			vectors, f.name, f.rows, vectors*f.lanes, strings.Join(names, ", "))
	}
	for _, width := range []int{f.width(), f.rows} {
		name := fmt.Sprintf("packPairs%dx", width)
		f.function(name, packRowsArgs, "", fmt.Sprintf(packPairsDoc, name+f.name, width), func(fn *function) { fn.packPairs(width) })
	}
}

const packPairsDoc = `%[1]s weaves rows of a matrix in bfloat16 into panels of pairs, %[2]d wide:

	for p := range panels {
		for l := range ⌈k/2⌉ {
			for j := range %[2]d {
				dst[p·stride+l·%[2]d+j] = the pair src[2l·ld+p·%[2]d+j], src[(2l+1)·ld+p·%[2]d+j]
			}
		}
	}

with 0 for columns from cols on and for row k; k ≥ 1, panels ≥ 1, 1 ≤ cols ≤ %[2]d. src and ld are in numbers of 16 bits, whatever
the type says. Up to a vector's width behind each panel may be overwritten.`

// packPairs keeps separate masks for the two rows of a pair, so that the row behind the last can be left out.
func (f *function) packPairs(width int) {
	vectors := (width + f.lanes - 1) / f.lanes
	first, second := func(j int) mask { return mask(j + 1) }, func(j int) mask { return mask(vectors + j + 1) }
	f.load("cols", "BX")
	for j := range vectors {
		f.comment("Columns %d to %d exist as far as cols goes.", j*f.lanes, (j+1)*f.lanes-1)
		f.ins("MOVQ", "BX", "AX")
		f.atMost(f.lanes, "AX", "DX")
		f.ins("SUBQ", "AX", "BX")
		f.tail(first(j), "AX", "DX")
		f.ins("KMOVW", f.maskOperand(first(j)), f.maskOperand(second(j)))
	}
	f.load("k", "CX", "src", "SI", "ld", "R9", "dst", "DI", "stride", "R10")
	f.ins("SHLQ", "$1", "R9")
	f.ins("SHLQ", "$2", "R10")

	pair, both, panel := f.label("pair"), f.label("both"), f.label("panel")
	f.place(pair)
	f.ins("CMPQ", "CX", "$2")
	f.ins("JGE", both)
	for j := range vectors {
		m := f.maskOperand(second(j))
		f.ins("KXORW", m, m, m)
	}
	f.place(both)
	f.load("panels", "DX")
	f.ins("MOVQ", "SI", "R11")
	f.ins("MOVQ", "DI", "R12")
	f.place(panel)
	for j := range vectors {
		f.ins("VPMOVZXWD.Z", at(2*j*f.lanes, "R11"), f.maskOperand(first(j)), f.reg(2*j))
		f.ins("VPMOVZXWD.Z", fmt.Sprintf("%d(R11)(R9*1)", 2*j*f.lanes), f.maskOperand(second(j)), f.reg(2*j+1))
	}
	for j := range vectors {
		f.ins("VPSLLD", "$16", f.reg(2*j+1), f.reg(2*j+1))
		f.bitwise("OR", f.reg(2*j+1), 2*j, 2*j)
		f.write(allLanes, 2*j, at(j*f.set.bytes(), "R12"))
	}
	f.ins("ADDQ", fmt.Sprintf("$%d", 2*width), "R11")
	f.ins("ADDQ", "R10", "R12")
	f.ins("DECQ", "DX")
	f.ins("JNZ", panel)
	f.ins("LEAQ", "(SI)(R9*2)", "SI")
	f.ins("ADDQ", fmt.Sprintf("$%d", 4*width), "DI")
	f.ins("SUBQ", "$2", "CX")
	f.ins("JGT", pair)
}

// dotPairs is VDPBF16PS acc += x·y, by pairs of 16-bit numbers, which Go's assembler does not know: EVEX.512.F3.0F38.W0 52 /r
// (Intel, Software Developer's Manual, volume 2, "VDPBF16PS").
func (f *function) dotPairs(x, y, acc int) {
	not := func(register, bit int) int { return ^register >> bit & 1 }
	f.comment("VDPBF16PS %s, %s, %s", f.reg(x), f.reg(y), f.reg(acc))
	prefix := []int{
		0x62,
		not(acc, 3)<<7 | not(x, 4)<<6 | not(x, 3)<<5 | not(acc, 4)<<4 | 2, // R X B R' and the map 0F38
		(^y&15)<<3 | 1<<2 | 2, // vvvv and F3
		2<<5 | not(y, 4)<<3,   // 512 bits, V'
	}
	f.ins("LONG", fmt.Sprintf("$0x%02x%02x%02x%02x", prefix[3], prefix[2], prefix[1], prefix[0]))
	f.ins("WORD", fmt.Sprintf("$0x%02x52", 0xc0|(acc&7)<<3|x&7))
}
