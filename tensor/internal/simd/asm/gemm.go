package main

import (
	"fmt"
	"strings"
)

const tileArgs = "tiles, k int, a *float32, ts, rs, ks int, b, c *float32, ldc int, add, bias *float32, cols int, next *float32, ns int"

const tileDoc = `%[1]s is the multiplication of tiles of %[2]d rows of A each, one below the other in C, and a panel of B, %[3]d columns of it
at most:

	for t := range tiles {
		for i := range %[2]d {
			for j := range cols {
				s := 0
				for l := range k {
					s = fma(a[t·ts+i·rs+l·ks], b[l·%[4]d+j], s)
				}
				if bias != nil { s += bias[j] }
				if add != nil { s += add[(%[2]d·t+i)·ldc+j] }
				c[(%[2]d·t+i)·ldc+j] = s
			}
		}
	}

for tiles ≥ 1 and k ≥ 1; add may be c. The kernels for one vector take 1 to %[5]d columns, those for two %[5]d+1 to %[3]d. Meanwhile
what is wanted next is fetched into the L2 cache: 16 rows from next on, at distances of ns, or if ns is 0 lines one behind the
other, in each tile an eighth of a panel as deep as this one.`

// emitGemm writes the tile kernels: one for each number of rows up to the full tile, for one vector of
// columns and for all. An element of C is one chain of fused multiply-adds over k whichever kernel
// computes it, so that its bits do not depend on how C was cut into tiles.
//
// B comes in panels: for each k, one row as wide as the full tile, next to the row of k+1. A is read in
// place, one number at a time, broadcast to a vector. Its strides are free: rows of A (ks = 1), rows of
// its transpose (rs = 1) and packed panels all go through the same kernel.
func emitGemm(f *file) {
	for vectors := 1; vectors <= f.vectors; vectors++ {
		var names []string
		for rows := 1; rows <= f.rows; rows++ {
			name := fmt.Sprintf("gemm%dx%d", rows, vectors*f.lanes)
			names = append(names, name+f.name)
			doc := name + f.name + ": see " + fmt.Sprintf("gemm%dx%d", f.rows, f.width()) + f.name + "."
			if rows == f.rows && vectors == f.vectors {
				doc = fmt.Sprintf(tileDoc, name+f.name, rows, vectors*f.lanes, f.width(), f.lanes)
			}
			f.function(name, tileArgs, "", doc, func(fn *function) { fn.tile(rows, vectors, fn.multiplyAdd) })
		}
		fmt.Fprintf(&f.stubs.tables, "\n// tiles%dx%s are the kernels for tiles of 1, 2, … %d rows and up to %d columns.\nvar tiles%[1]dx%[2]s = []tileKernel{%[5]s}\n",
			vectors, f.name, f.rows, vectors*f.lanes, strings.Join(names, ", "))
	}
}

// multiplyAdd is acc += x·y by lanes.
func (f *function) multiplyAdd(x, y, acc int) { f.ins("VFMADD231PS", f.reg(x), f.reg(y), f.reg(acc)) }

// tile is a tile kernel; step adds to an accumulator what a vector of B and a broadcast number of A contribute.
func (f *function) tile(rows, vectors int, step func(b, a, acc int)) {
	tile := f.label("tile")
	f.load("ldc", "SI")
	f.ins("SHLQ", "$2", "SI")
	f.place(tile)
	f.load("c", "DI")
	f.comment("C is wanted at the end, and what is added, if it lies elsewhere: start fetching them.")
	fetch, fetched := f.label("fetch"), f.label("fetched")
	f.load("add", "BX")
	f.ins("MOVQ", "DI", "DX")
	f.place(fetch)
	for i := range rows {
		for o := 0; o < vectors*f.set.bytes(); o += 64 {
			f.ins("PREFETCHT0", at(o, "DX"))
		}
		if i < rows-1 {
			f.ins("ADDQ", "SI", "DX")
		}
	}
	f.ins("TESTQ", "BX", "BX")
	f.ins("JZ", fetched)
	f.ins("CMPQ", "BX", "DI")
	f.ins("JEQ", fetched)
	f.ins("MOVQ", "BX", "DX")
	f.ins("XORL", "BX", "BX")
	f.ins("JMP", fetch)
	f.place(fetched)
	f.chains(rows, vectors, step)
	f.load("c", "DI")
	acc := func(i, j int) int { return f.accumulator(i, j, vectors) }

	f.comment("Only the last vector can have columns that do not exist.")
	const last mask = 1
	f.maskRegister = vectors
	f.ins("MOVQ", f.arg("cols"), "CX")
	if vectors > 1 {
		f.ins("SUBQ", fmt.Sprintf("$%d", (vectors-1)*f.lanes), "CX")
	}
	f.tail(last, "CX", "R8")
	maskOf := func(j int) mask {
		if j == vectors-1 {
			return last
		}
		return allLanes
	}

	f.comment("The bias is the same for each row.")
	noBias, fresh := f.label("nobias"), f.label("fresh")
	f.load("bias", "AX")
	f.ins("TESTQ", "AX", "AX")
	f.ins("JZ", noBias)
	for j := range vectors {
		f.read(maskOf(j), at(j*f.set.bytes(), "AX"), j)
	}
	for i := range rows {
		for j := range vectors {
			f.ins("VADDPS", f.reg(j), f.reg(acc(i, j)), f.reg(acc(i, j)))
		}
	}
	f.place(noBias)

	f.load("add", "DX")
	f.ins("TESTQ", "DX", "DX")
	f.ins("JZ", fresh)
	for i := range rows {
		for j := range vectors {
			f.read(maskOf(j), at(j*f.set.bytes(), "DX"), j)
			f.ins("VADDPS", f.reg(j), f.reg(acc(i, j)), f.reg(acc(i, j)))
		}
		f.ins("ADDQ", "SI", "DX")
	}
	f.ins("MOVQ", "DX", f.arg("add"))
	f.place(fresh)

	store := func(maskOf func(j int) mask) {
		for i := range rows {
			for j := range vectors {
				f.write(maskOf(j), acc(i, j), at(j*f.set.bytes(), "DI"))
			}
			f.ins("ADDQ", "SI", "DI")
		}
	}
	if f.set == avx512 {
		store(maskOf)
	} else {
		if f.set == avx2 {
			f.comment("Stores with a mask take AMD's processors a dozen cycles each.")
		}
		part, stored := f.label("part"), f.label("stored")
		f.ins("CMPQ", f.arg("cols"), fmt.Sprintf("$%d", vectors*f.lanes))
		f.ins("JLT", part)
		store(func(int) mask { return allLanes })
		f.ins("JMP", stored)
		f.place(part)
		store(maskOf)
		f.place(stored)
	}

	f.comment("The next tile begins where this one ends.")
	f.ins("MOVQ", "DI", f.arg("c"))
	f.ins("MOVQ", "R14", f.arg("next"))
	f.load("ts", "AX")
	f.ins("SHLQ", "$2", "AX")
	f.ins("ADDQ", "AX", f.arg("a"))
	f.ins("DECQ", f.arg("tiles"))
	f.ins("JNZ", tile)
}

// accumulator is the register of row i, vector j of a tile. Accumulators take the upper registers, row by row; what B and the
// broadcasts need lies below.
func (f *function) accumulator(i, j, vectors int) int { return f.regs - 1 - (i*vectors + j) }

// chains computes the sums over k of a tile in the accumulators. All general registers but SI are used.
func (f *function) chains(rows, vectors int, step func(b, a, acc int)) {
	if f.set == neon {
		f.chainsNEON(rows, vectors)
		return
	}
	f.load("k", "CX", "a", "R8", "rs", "R9", "ks", "AX", "b", "BX")
	f.ins("SHLQ", "$2", "R9")
	f.ins("SHLQ", "$2", "AX")

	if rows > 1 {
		f.comment("Up to four rows of A are reached from one pointer: p, p+rs, p+2·rs, p+3·rs.")
	}
	pointers := []string{"R8", "R11", "R12", "R13"}[:(rows+3)/4]
	if rows > 3 {
		f.ins("LEAQ", "(R9)(R9*2)", "R10")
	}
	for i, p := range pointers[1:] {
		f.ins("LEAQ", fmt.Sprintf("(%s)(R9*4)", pointers[i]), p)
	}
	row := func(i int) string {
		return "(" + pointers[i/4] + ")" + []string{"", "(R9*1)", "(R9*2)", "(R10*1)"}[i%4]
	}
	for i := range rows {
		for j := range vectors {
			f.zero(f.accumulator(i, j, vectors))
		}
	}

	f.load("next", "R14", "ns", "R15")
	f.ins("SHLQ", "$2", "R15")
	line, loop, done := f.label("line"), f.label("k"), f.label("done")
	vectorsOfB := func(u int) {
		for j := range vectors {
			f.ins("VMOVUPS", at(u*4*f.width()+j*f.set.bytes(), "BX"), f.reg(j))
		}
	}
	rowsOfA := func(operand func(i int) string) {
		for i := range rows {
			bcast := vectors + i%2
			f.ins("VBROADCASTSS", operand(i), f.reg(bcast))
			for j := range vectors {
				step(j, bcast, f.accumulator(i, j, vectors))
			}
		}
	}

	f.comment("Where no rows are to be fetched and A lies in one of the usual ways, a turn of the loop is several steps of k, whose")
	f.comment("places in memory are in the instructions: beside loads and multiply-adds there is next to nothing to do.")
	f.ins("TESTQ", "R15", "R15")
	f.ins("JNZ", line)
	turns := func(advance int, pointers []string, operand func(i, u int) string) {
		turn, rest := f.label("turn"), f.label("rest")
		f.ins("SUBQ", fmt.Sprintf("$%d", f.steps), "CX")
		f.ins("JLT", rest)
		f.ins("PCALIGN", "$64")
		f.place(turn)
		lines := f.steps * 4 * f.width() / 64 / 8 // an eighth of this part of a panel
		for i := range lines {
			f.ins("PREFETCHT1", at(64*i, "R14"))
		}
		f.ins("ADDQ", fmt.Sprintf("$%d", 64*lines), "R14")
		for u := range f.steps {
			vectorsOfB(u)
			rowsOfA(func(i int) string { return operand(i, u) })
		}
		for _, p := range pointers {
			f.ins("ADDQ", fmt.Sprintf("$%d", f.steps*advance), p)
		}
		f.ins("ADDQ", fmt.Sprintf("$%d", f.steps*4*f.width()), "BX")
		f.ins("SUBQ", fmt.Sprintf("$%d", f.steps), "CX")
		f.ins("JGE", turn)
		f.place(rest)
		f.ins("ADDQ", fmt.Sprintf("$%d", f.steps), "CX")
		f.ins("JZ", done)
	}
	packed := f.label("packed")
	f.ins("CMPQ", "AX", "$4")
	f.ins("JNE", packed)
	turns(4, pointers, func(i, u int) string {
		if u == 0 {
			return row(i)
		}
		return fmt.Sprintf("%d%s", 4*u, row(i))
	})
	f.ins("JMP", line)
	f.place(packed)
	f.ins("CMPQ", "R9", "$4")
	f.ins("JNE", line)
	f.ins("CMPQ", "AX", fmt.Sprintf("$%d", 4*f.rows))
	f.ins("JNE", line)
	turns(4*f.rows, pointers, func(i, u int) string { return at(4*(u*f.rows+i), "R8") })

	f.comment("Any strides, and what is left: while k goes along a cache line, that of each of the rows to come is fetched.")
	f.place(line)
	f.ins("MOVQ", "R14", "DI")
	f.ins("ADDQ", "$64", "R14")
	f.ins("MOVQ", "$16", "DX")
	f.ins("CMPQ", "CX", "DX")
	f.ins("CMOVQLT", "CX", "DX")
	f.ins("SUBQ", "DX", "CX")
	f.ins("PCALIGN", "$64")
	f.place(loop)
	f.ins("PREFETCHT1", "(DI)")
	f.ins("ADDQ", "R15", "DI")
	vectorsOfB(0)
	rowsOfA(row)
	for _, p := range pointers {
		f.ins("ADDQ", "AX", p)
	}
	f.ins("ADDQ", fmt.Sprintf("$%d", 4*f.width()), "BX")
	f.ins("DECQ", "DX")
	f.ins("JNZ", loop)
	f.ins("TESTQ", "CX", "CX")
	f.ins("JNZ", line)
	f.place(done)
}
