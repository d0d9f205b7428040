package main

import "fmt"

// chainsNEON computes the sums over k of a tile in the accumulators. A multiply-add takes one of its factors from any lane of a register, so
// A need not be broadcast: where its numbers are neighbours, along k or packed, a load brings four steps of k of a row, or four rows.
//
// The tile is six rows by four registers, 16 columns: 24 accumulators, which is more than it takes to hide the latency of four cycles of as many as four
// multiply-adds a cycle. Of the eight registers left six hold A, four steps of k at a time, and B passes through two. A row of B is a cache line,
// and 64, the size of CLIP's heads, a multiple of the width. Eight rows by three registers would read a tenth less, (8+12) numbers where these are
// (6+16), but with eight rows of A none would be left for B. A turn of eight steps has 192 multiply-adds of 231 instructions, or of 225 where A is packed.
func (f *function) chainsNEON(rows, vectors int) {
	f.load("k", "CX", "a", "R8", "rs", "R9", "ks", "AX", "b", "BX")
	f.ins("SHLQ", "$2", "R9")
	f.ins("SHLQ", "$2", "AX")
	pointers := []string{"R8", "R21", "R22", "R23", "R24", "R25"}[:rows]
	for i, p := range pointers[1:] {
		f.arm("ADD R9, %s, %s", pointers[i], p)
	}
	for i := range rows {
		for j := range vectors {
			f.zero(f.accumulator(i, j, vectors))
		}
	}
	f.load("next", "R14", "ns", "R15")
	f.ins("SHLQ", "$2", "R15")

	const b = 6 // and 7: two vectors of B
	// step is one step of k, that of row u behind the pointer to B; lane says where the number of A of a row is.
	step := func(u int, lane func(i int) (register, lane int)) {
		for j := range vectors {
			f.arm("FLDPQ %s, (F%d, F%d)", at(4*u*f.width()+32*j, "R1"), b, b+1)
			for i := range rows {
				m, l := lane(i)
				f.byElement(m, l, b, 2*f.accumulator(i, j, vectors))
				f.byElement(m, l, b+1, 2*f.accumulator(i, j, vectors)+1)
			}
		}
	}
	line, loop, done, packed := f.label("line"), f.label("k"), f.label("done"), f.label("packed")

	f.comment("Where no rows are to be fetched and A lies in one of the usual ways, a turn of the loop is %d steps of k.", f.steps)
	f.ins("TESTQ", "R15", "R15")
	f.ins("JNZ", line)
	turns := func(advance int, pointers []string, load func(group int), lane func(i, u int) (register, lane int)) {
		turn, rest := f.label("turn"), f.label("rest")
		f.ins("SUBQ", fmt.Sprintf("$%d", f.steps), "CX")
		f.ins("JLT", rest)
		f.ins("PCALIGN", "$64")
		f.place(turn)
		lines := f.steps * 4 * f.width() / 64 / 8 // an eighth of this part of a panel
		for i := range lines {
			f.ins("PREFETCHT1", at(64*i, "R14"))
		}
		f.arm("ADD $%d, R14, R14", 64*lines)
		for u := range f.steps {
			if u%4 == 0 {
				load(u / 4)
			}
			step(u, func(i int) (int, int) { return lane(i, u%4) })
		}
		for _, p := range pointers {
			f.arm("ADD $%d, %s, %[2]s", f.steps*advance, p)
		}
		f.arm("ADD $%d, R1, R1", f.steps*4*f.width())
		f.ins("SUBQ", fmt.Sprintf("$%d", f.steps), "CX")
		f.ins("JGE", turn)
		f.place(rest)
		f.ins("ADDQ", fmt.Sprintf("$%d", f.steps), "CX")
		f.ins("JZ", done)
	}
	f.ins("CMPQ", "AX", "$4")
	f.ins("JNE", packed)
	f.comment("A in place: a register is four steps of a row.")
	turns(4, pointers, func(group int) {
		for i, p := range pointers {
			f.arm("FMOVQ %s, F%d", at(16*group, p), i)
		}
	}, func(i, u int) (int, int) { return i, u })
	f.ins("JMP", line)
	f.place(packed)
	f.ins("CMPQ", "R9", "$4")
	f.ins("JNE", line)
	f.ins("CMPQ", "AX", fmt.Sprintf("$%d", 4*f.rows))
	f.ins("JNE", line)
	f.comment("A packed: six registers are four steps of %d rows, one behind the other.", f.rows)
	turns(4*f.rows, pointers, func(group int) {
		for i := 0; i < 4*f.rows; i += 8 {
			f.arm("FLDPQ %s, (F%d, F%d)", at(4*(4*f.rows*group+i), "R8"), i/4, i/4+1)
		}
	}, func(i, u int) (int, int) { return (u*f.rows + i) / 4, (u*f.rows + i) % 4 })

	f.comment("Any strides, and what is left: while k goes along a cache line, that of each of the rows to come is fetched.")
	f.place(line)
	f.arm("MOVD R14, R5")
	f.arm("ADD $64, R14, R14")
	f.arm("MOVD $16, R3")
	f.arm("CMP R3, R2")
	f.arm("CSEL LT, R2, R3, R3")
	f.arm("SUB R3, R2, R2")
	f.ins("PCALIGN", "$64")
	f.place(loop)
	f.arm("PRFM (R5), PLDL2KEEP")
	f.arm("ADD R15, R5, R5")
	for i, p := range pointers {
		f.arm("FMOVS (%s), F%d", p, i)
		f.arm("ADD R0, %s, %[1]s", p)
	}
	step(0, func(i int) (int, int) { return i, 0 })
	f.arm("ADD $%d, R1, R1", 4*f.width())
	f.arm("SUBS $1, R3, R3")
	f.ins("JNZ", loop)
	f.arm("CBNZ R2, %s", line)
	f.place(done)
}
