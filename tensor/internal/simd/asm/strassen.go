package main

import (
	"fmt"
	"strings"
)

// A term is a block of a matrix, counted along its rows, and the sign with which it goes into a sum.
type term struct{ block, sign int }

type sum []term

func plus(block int) sum          { return sum{{block, 1}} }
func (s sum) plus(block int) sum  { return append(s, term{block, 1}) }
func (s sum) minus(block int) sum { return append(s, term{block, -1}) }

// A product is a multiplication of blocks: of a sum of those of A by one of those of B, the result to be added to, or
// subtracted from, blocks of C.
type product struct{ a, b, c sum }

// strassen are the seven products of which matrices of 2×2 blocks are multiplied, in place of eight (V. Strassen, Gaussian
// elimination is not optimal, Numerische Mathematik 13, 1969). They come in an order in which all sums begin with a plus, and so
// does the sum of every block of C.
var strassen = []product{
	{plus(0).plus(3), plus(0).plus(3), plus(0).plus(3)},
	{plus(2).plus(3), plus(0), plus(2).minus(3)},
	{plus(0), plus(1).minus(3), plus(1).plus(3)},
	{plus(3), plus(2).minus(0), plus(0).plus(2)},
	{plus(0).plus(1), plus(3), plus(1).minus(0)},
	{plus(2).minus(0), plus(0).plus(1), plus(3)},
	{plus(1).minus(3), plus(2).plus(3), plus(0)},
}

// side is how many blocks a matrix has down and across where the algorithm is applied twice, once within the other.
const side = 4

// twice multiplies matrices of 4×4 blocks by 49 products in place of 64.
func twice(s []product) (t []product) {
	for _, outer := range s {
		for _, inner := range s {
			t = append(t, product{nested(outer.a, inner.a), nested(outer.b, inner.b), nested(outer.c, inner.c)})
		}
	}
	return t
}

func nested(outer, inner sum) (s sum) {
	for _, o := range outer {
		for _, i := range inner {
			row, col := 2*(o.block/2)+i.block/2, 2*(o.block%2)+i.block%2
			s = append(s, term{side*row + col, o.sign * i.sign})
		}
	}
	return s
}

const (
	strassenSumsArgs = "rows, n int, x *float32, ldx, ld, step int, dst *float32, ldd, stride int"
	strassenSumsDoc  = `%%s computes the sums of blocks of %[1]s that Strassen's algorithm, applied twice, multiplies, of each block some
rows of n numbers:

	for u := range %[2]d {
		for r := range rows {
			for i := range n {
				dst[u·stride+r·ldd+i] = the sum of ± %[3]s over the terms of product u
			}
		}
	}

rows ≥ 1; n is a multiple of %[4]d%[5]s.`

	strassenTileArgs = "k int, a *float32, rs, ks int, b, c *float32, ends *strassenEnd, n int, next *float32, ns int"
	strassenTileDoc  = `%%s is the product of %[1]d rows of A and a panel of B, %[2]d columns, which is written to, added
to or subtracted from n blocks of C. These have room for %[3]d rows of %[2]d columns each, and lie one behind the other. The rest
is as in gemm%[1]dx%[2]d%[4]s.`

	strassenJoinArgs = "rows int, c, dst *float32, ld int, add, bias *float32"
	strassenJoinDoc  = `%%s brings a row of blocks of C into its place, %[1]d columns, and adds the bias and, at distances of ld too, add, unless they
are nil. add may be dst.`
)

// fewerRows is how many rows a tile lacks at most that there is a kernel for.
const fewerRows = 2

// emitStrassen writes what multiplies by fewer products than there are pairs of blocks.
func emitStrassen(f *file) {
	products := twice(strassen)
	f.strassenSums("strassenSumsA", fmt.Sprintf(strassenSumsDoc, "A", len(products), "x[row·ld+column·step+r·ldx+i]", f.lanes, ""), "VMOVUPS", products,
		func(p product) sum { return p.a }, func(block int) (int, int) { return block / side, block % side })
	aligned := ", as dst, ldd and stride are, which is not read soon. Meanwhile rows to come are fetched, as far as blocks lie side by side"
	f.strassenSums("strassenSumsB", fmt.Sprintf(strassenSumsDoc, "B", len(products), "x[column·ld+row·step+r·ldx+i]", f.lanes, aligned), streaming, products,
		func(p product) sum { return p.b }, func(block int) (int, int) { return block % side, block / side })
	var tiles []string
	for rows := f.rows - fewerRows; rows <= f.rows; rows++ {
		name := fmt.Sprintf("strassen%dx%d", rows, f.width())
		tiles = append(tiles, name+f.name)
		doc := fmt.Sprintf(strassenTileDoc, rows, f.width(), f.rows, f.name)
		f.function(name, strassenTileArgs, "", doc, func(fn *function) { fn.strassenTile(rows) })
	}
	f.function("strassenJoin", strassenJoinArgs, "", fmt.Sprintf(strassenJoinDoc, side*f.width()), (*function).strassenJoin)
	const table = "\n// strassenTiles%[1]s are the kernels for tiles of %[2]d, … %[3]d rows.\nvar strassenTiles%[1]s = []strassenKernel{%[4]s}\n"
	fmt.Fprintf(&f.stubs.tables, table, f.name, f.rows-fewerRows, f.rows, strings.Join(tiles, ", "))
	f.strassenTable(products)
}

// strassenSums writes one pass over all blocks for all sums, so that what is read stays in registers or the L1 cache. The sum of which product, and
// where a block lies, in steps of ld and of step, differ between A and B, and so does the instruction that stores.
func (f *file) strassenSums(name, doc, store string, products []product, of func(product) sum, place func(block int) (ld, step int)) {
	f.function(name, strassenSumsArgs, "", doc, func(fn *function) {
		fn.load("rows", "AX", "n", "CX", "x", "SI", "ldx", "BX", "ld", "R12", "step", "R13", "dst", "DI", "ldd", "R14", "stride", "DX")
		fn.comment("From the end of a row to the next one: %s in x, %s in dst.", "R15", "R14")
		fn.ins("MOVQ", "BX", "R15")
		for _, r := range []string{"R14", "R15"} {
			fn.ins("SUBQ", "CX", r)
			fn.ins("SHLQ", "$2", r)
		}
		for _, r := range []string{"BX", "R12", "R13", "DX"} {
			fn.ins("SHLQ", "$2", r)
		}
		bases := []string{"SI", "R8", "R9", "R10"}
		for i, b := range bases[1:] {
			fn.ins("LEAQ", "("+bases[i]+")(R12*1)", b)
		}
		fn.ins("LEAQ", "(R13)(R13*2)", "R12")
		steps := []string{"", "(R13*1)", "(R13*2)", "(R12*1)"}
		at := func(t term) string {
			ld, step := place(t.block)
			return "(" + bases[ld] + ")" + steps[step]
		}
		row, loop := fn.label("row"), fn.label("loop")
		fn.place(row)
		if store == streaming { // sums of B, whose rows may lie far apart
			fn.comment("%d rows ahead.", sumsAhead)
			fn.ins("LEAQ", fmt.Sprintf("(SI)(BX*%d)", sumsAhead), "R11")
			for o := 0; o < 4*side*fn.width(); o += 64 {
				for _, step := range steps {
					fn.ins("PREFETCHT0", fmt.Sprintf("%d(R11)%s", o, step))
				}
			}
		}
		fn.place(loop)
		fn.ins("MOVQ", "DI", "R11")
		block := at
		if first := side * side; fn.regs >= 2*first { // read once, and not for each sum
			for b := range first {
				fn.ins("VMOVUPS", at(term{block: b}), fn.reg(first+b))
			}
			block = func(t term) string { return fn.reg(first + t.block) }
		}
		for u, p := range products {
			s, r := of(p), fn.reg(u%8)
			fn.ins("VMOVUPS", block(s[0]), r)
			for _, t := range s[1:] {
				fn.ins(map[int]string{1: "VADDPS", -1: "VSUBPS"}[t.sign], block(t), r, r)
			}
			fn.ins(store, r, "(R11)")
			fn.ins("ADDQ", "DX", "R11")
		}
		for _, r := range append(bases, "DI") {
			fn.ins("ADDQ", fmt.Sprintf("$%d", fn.set.bytes()), r)
		}
		fn.ins("SUBQ", fmt.Sprintf("$%d", fn.lanes), "CX")
		fn.ins("JNZ", loop)
		fn.load("n", "CX")
		for _, r := range bases {
			fn.ins("ADDQ", "R15", r)
		}
		fn.ins("ADDQ", "R14", "DI")
		fn.ins("DECQ", "AX")
		fn.ins("JNZ", row)
		if store == streaming {
			fn.ins("SFENCE")
		}
	})
}

// streaming stores past the caches, a whole vector to a multiple of its size: what other cores have in their caches need not be taken
// from them first, which in a kernel that does little but store takes ten times as long.
const streaming = "VMOVNTPS"

// sumsAhead is how many rows of B are fetched ahead: other pages, which processors do not look for by themselves.
const sumsAhead = 4

// What a product does to a block of C.
const (
	begins = iota
	adds
	subtracts
)

// strassenTable writes, for the Go side, where the products go.
func (f *file) strassenTable(products []product) {
	var b strings.Builder
	begun := map[int]bool{}
	for _, p := range products {
		b.WriteString("\t{")
		for _, t := range p.c {
			op := map[int]int{1: adds, -1: subtracts}[t.sign]
			if !begun[t.block] {
				op = begins
			}
			begun[t.block] = true
			fmt.Fprintf(&b, "{%d, %d}, ", t.block*f.rows*f.set.bytes()*f.vectors, op)
		}
		b.WriteString("},\n")
	}
	const table = "\n// strassenEnds%[1]s are the blocks of C to which each product goes.\nvar strassenEnds%[1]s = [][]strassenEnd{\n%[2]s}\n"
	fmt.Fprintf(&f.stubs.tables, table, f.name, b.String())
}

// strassenTile has its accumulators done, then goes through the list of ends, pairs of 32-bit numbers.
func (f *function) strassenTile(rows int) {
	f.comment("The blocks of C are wanted at the end: start fetching them.")
	f.load("ends", "SI", "n", "CX")
	fetch := f.label("fetch")
	f.place(fetch)
	f.load("c", "DI")
	f.ins("MOVLQSX", "(SI)", "DX")
	f.ins("ADDQ", "DX", "DI")
	for o := 0; o < rows*f.vectors*f.set.bytes(); o += 64 {
		f.ins("PREFETCHT0", at(o, "DI"))
	}
	f.ins("ADDQ", "$8", "SI")
	f.ins("DECQ", "CX")
	f.ins("JNZ", fetch)

	f.chains(rows, f.vectors, f.multiplyAdd)

	f.load("ends", "SI", "n", "CX")
	next, toAdd, toSubtract := f.label("next"), f.label("add"), f.label("subtract")
	each := func(do func(acc int, block string)) {
		for i := range rows * f.vectors {
			do(f.accumulator(0, i, 0), at(i*f.set.bytes(), "DI"))
		}
	}
	end := f.label("end")
	f.place(end)
	f.load("c", "DI")
	f.ins("MOVLQSX", "(SI)", "DX")
	f.ins("ADDQ", "DX", "DI")
	f.ins("MOVL", "4(SI)", "DX")
	f.ins("CMPL", "DX", fmt.Sprintf("$%d", adds))
	f.ins("JEQ", toAdd)
	f.ins("JGT", toSubtract)
	each(func(acc int, block string) { f.ins("VMOVUPS", f.reg(acc), block) })
	f.ins("JMP", next)
	f.place(toAdd)
	each(func(acc int, block string) {
		f.ins("VADDPS", block, f.reg(acc), f.reg(acc%2))
		f.ins("VMOVUPS", f.reg(acc%2), block)
	})
	f.ins("JMP", next)
	f.place(toSubtract)
	each(func(acc int, block string) {
		f.ins("VMOVUPS", block, f.reg(acc%2))
		f.ins("VSUBPS", f.reg(acc), f.reg(acc%2), f.reg(acc%2))
		f.ins("VMOVUPS", f.reg(acc%2), block)
	})
	f.place(next)
	f.ins("ADDQ", "$8", "SI")
	f.ins("DECQ", "CX")
	f.ins("JNZ", end)
}

// strassenJoin goes row by row; the bias, or zeros in its place, stays in registers.
func (f *function) strassenJoin() {
	n := side * f.vectors
	f.load("rows", "CX", "c", "SI", "dst", "DI", "ld", "R9", "add", "DX", "bias", "AX")
	f.ins("SHLQ", "$2", "R9")
	loop, fresh := f.label("row"), f.label("fresh")
	for i := range n {
		f.zero(n + i)
	}
	f.ins("TESTQ", "AX", "AX")
	f.ins("JZ", loop)
	for i := range n {
		f.ins("VMOVUPS", at(i*f.set.bytes(), "AX"), f.reg(n+i))
	}
	f.place(loop)
	for i := range n {
		block := i / f.vectors * f.rows * f.vectors
		f.ins("VADDPS", at((block+i%f.vectors)*f.set.bytes(), "SI"), f.reg(n+i), f.reg(i))
	}
	f.ins("TESTQ", "DX", "DX")
	f.ins("JZ", fresh)
	for i := range n {
		f.ins("VADDPS", at(i*f.set.bytes(), "DX"), f.reg(i), f.reg(i))
	}
	f.ins("ADDQ", "R9", "DX")
	f.place(fresh)
	for i := range n {
		f.ins("VMOVUPS", f.reg(i), at(i*f.set.bytes(), "DI"))
	}
	f.ins("ADDQ", fmt.Sprintf("$%d", f.vectors*f.set.bytes()), "SI")
	f.ins("ADDQ", "R9", "DI")
	f.ins("DECQ", "CX")
	f.ins("JNZ", loop)
}
