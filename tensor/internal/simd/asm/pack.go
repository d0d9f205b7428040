package main

import "fmt"

const (
	packRowsArgs = "k, panels int, src *float32, ld int, dst *float32, stride, cols int"
	packRowsDoc  = `%[1]s copies columns of a matrix into panels %[2]d wide:

	for p := range panels {
		for l := range k {
			for j := range %[2]d {
				dst[p·stride+l·%[2]d+j] = src[l·ld+p·%[2]d+j] if j < cols, else 0
			}
		}
	}

for k ≥ 1, panels ≥ 1, 1 ≤ cols ≤ %[2]d. Each row of src is read over all panels before the next: these
are neighbours in memory. Up to a vector's width behind each panel may be overwritten.`

	packColsArgs = "k, cols int, src *float32, ld int, dst *float32"
	packColsDoc  = `%[1]s copies the transpose of a matrix into a panel %[2]d wide:

	for l := range k {
		for j := range %[2]d {
			dst[l·%[2]d+j] = src[j·ld+l] if j < cols, else 0
		}
	}

for k ≥ 1, 1 ≤ cols ≤ %[2]d.`
)

// emitPack writes what packs operands for the tile kernels: panels of B from rows of B or of its
// transpose, and panels of A, as high as a tile, from rows of its transpose.
func emitPack(f *file) {
	doc := func(format, name string, width int) string { return fmt.Sprintf(format, name+f.name, width) }
	for _, width := range []int{f.width(), f.rows} {
		name := fmt.Sprintf("packRows%dx", width)
		f.function(name, packRowsArgs, "", doc(packRowsDoc, name, width), func(fn *function) { fn.packRows(width) })
	}
	name := fmt.Sprintf("packCols%dx", f.width())
	f.function(name, packColsArgs, "", doc(packColsDoc, name, f.width()), (*function).packCols)
}

func (f *function) packRows(width int) {
	vectors := (width + f.lanes - 1) / f.lanes
	f.load("cols", "BX")
	for j := range vectors {
		f.comment("Columns %d to %d exist as far as cols goes.", j*f.lanes, (j+1)*f.lanes-1)
		f.ins("MOVQ", "BX", "AX")
		f.atMost(f.lanes, "AX", "DX")
		f.ins("SUBQ", "AX", "BX")
		f.tail(mask(j+1), "AX", "DX")
	}
	f.load("k", "CX", "src", "SI", "ld", "R9", "dst", "DI", "stride", "R10")
	f.ins("SHLQ", "$2", "R9")
	f.ins("SHLQ", "$2", "R10")

	k, panel := f.label("k"), f.label("panel")
	f.place(k)
	f.load("panels", "DX")
	f.ins("MOVQ", "SI", "R11")
	f.ins("MOVQ", "DI", "R12")
	f.place(panel)
	// Rows may lie thousands of bytes apart, where no processor fetches ahead by itself. Behind the last one a fetch does no harm.
	for o := 0; o < 4*width; o += 64 {
		f.ins("PREFETCHT0", fmt.Sprintf("%d(R11)(R9*8)", o))
	}
	for j := range vectors {
		f.read(mask(j+1), at(j*f.set.bytes(), "R11"), j)
	}
	for j := range vectors {
		f.write(allLanes, j, at(j*f.set.bytes(), "R12"))
	}
	f.ins("ADDQ", fmt.Sprintf("$%d", 4*width), "R11")
	f.ins("ADDQ", "R10", "R12")
	f.ins("DECQ", "DX")
	f.ins("JNZ", panel)
	f.ins("ADDQ", "R9", "SI")
	f.ins("ADDQ", fmt.Sprintf("$%d", 4*width), "DI")
	f.ins("DECQ", "CX")
	f.ins("JNZ", k)
}

// packCols goes through the matrix in squares as wide as a vector, transposed in registers.
func (f *function) packCols() {
	t := f.lanes
	f.load("cols", "R13", "src", "R8", "ld", "R9", "dst", "R10")
	f.ins("SHLQ", "$2", "R9")
	f.ins("MOVQ", fmt.Sprintf("$%d", f.vectors), "R12")

	columns, whole, ragged, edge, next := f.label("columns"), f.label("whole"), f.label("ragged"), f.label("edge"), f.label("next")
	f.comment("For each vector of columns:")
	f.place(columns)
	f.load("k", "CX")
	f.ins("MOVQ", "R8", "SI")
	f.ins("MOVQ", "R10", "DI")
	f.ins("CMPQ", "R13", fmt.Sprintf("$%d", t))
	f.ins("JLT", edge)

	f.comment("Whole squares.")
	f.ins("SUBQ", fmt.Sprintf("$%d", t), "CX")
	f.ins("JLT", ragged)
	f.place(whole)
	f.ins("MOVQ", "SI", "AX")
	for i := range t {
		f.read(allLanes, "(AX)", i)
		f.ins("ADDQ", "R9", "AX")
	}
	for _, r := range f.transpose() {
		f.write(allLanes, r, "(DI)")
		f.ins("ADDQ", fmt.Sprintf("$%d", 4*f.width()), "DI")
	}
	f.ins("ADDQ", fmt.Sprintf("$%d", f.set.bytes()), "SI")
	f.ins("SUBQ", fmt.Sprintf("$%d", t), "CX")
	f.ins("JGE", whole)
	f.place(ragged)
	f.ins("ADDQ", fmt.Sprintf("$%d", t), "CX")
	f.ins("JZ", next)

	f.comment("Squares of which some columns, or some of the last k, do not exist.")
	loaded, stored := f.label("loaded"), f.label("stored")
	f.place(edge)
	f.ins("MOVQ", "CX", "AX")
	f.atMost(t, "AX", "DX")
	f.tail(1, "AX", "DX")
	for i := range t {
		f.zero(i)
	}
	f.ins("MOVQ", "SI", "AX")
	for i := range t {
		f.ins("CMPQ", "R13", fmt.Sprintf("$%d", i))
		f.ins("JLE", loaded)
		f.read(1, "(AX)", i)
		f.ins("ADDQ", "R9", "AX")
	}
	f.place(loaded)
	for i, r := range f.transpose() {
		f.ins("CMPQ", "CX", fmt.Sprintf("$%d", i))
		f.ins("JLE", stored)
		f.write(allLanes, r, "(DI)")
		f.ins("ADDQ", fmt.Sprintf("$%d", 4*f.width()), "DI")
	}
	f.place(stored)
	f.ins("ADDQ", fmt.Sprintf("$%d", f.set.bytes()), "SI")
	f.ins("SUBQ", fmt.Sprintf("$%d", t), "CX")
	f.ins("JGT", edge)

	f.place(next)
	f.ins("MOVQ", "R9", "AX")
	f.ins("IMULQ", fmt.Sprintf("$%d", t), "AX")
	f.ins("ADDQ", "AX", "R8")
	f.ins("ADDQ", fmt.Sprintf("$%d", f.set.bytes()), "R10")
	f.ins("SUBQ", fmt.Sprintf("$%d", t), "R13")
	f.ins("DECQ", "R12")
	f.ins("JNZ", columns)
}

// transpose transposes the square in the first registers and returns where its rows went. Interleaving
// pairs of rows, then pairs of pairs, transposes 4×4 squares in each 128-bit lane; what is left is to
// transpose the lanes.
func (f *function) transpose() []int {
	t := f.lanes
	for i := 0; i < t; i += 2 {
		f.ins("VUNPCKLPS", f.reg(i+1), f.reg(i), f.reg(t+i))
		f.ins("VUNPCKHPS", f.reg(i+1), f.reg(i), f.reg(t+i+1))
	}
	for i := 0; i < t; i += 4 {
		f.ins("VUNPCKLPD", f.reg(t+i+2), f.reg(t+i), f.reg(i))
		f.ins("VUNPCKHPD", f.reg(t+i+2), f.reg(t+i), f.reg(i+1))
		f.ins("VUNPCKLPD", f.reg(t+i+3), f.reg(t+i+1), f.reg(i+2))
		f.ins("VUNPCKHPD", f.reg(t+i+3), f.reg(t+i+1), f.reg(i+3))
	}
	// Now register 4g+c holds, in lane l, column 4l+c of rows 4g to 4g+3.
	order := make([]int, t)
	for c := range 4 {
		if f.set != avx512 {
			f.ins("VPERM2F128", "$0x20", f.reg(4+c), f.reg(c), f.reg(8+c))
			f.ins("VPERM2F128", "$0x31", f.reg(4+c), f.reg(c), f.reg(12+c))
			order[c], order[4+c] = 8+c, 12+c
			continue
		}
		f.ins("VSHUFF32X4", "$0x88", f.reg(4+c), f.reg(c), f.reg(16+c))    // lanes 0 and 2 of rows 0 to 7
		f.ins("VSHUFF32X4", "$0xdd", f.reg(4+c), f.reg(c), f.reg(20+c))    // lanes 1 and 3
		f.ins("VSHUFF32X4", "$0x88", f.reg(12+c), f.reg(8+c), f.reg(24+c)) // the same of rows 8 to 15
		f.ins("VSHUFF32X4", "$0xdd", f.reg(12+c), f.reg(8+c), f.reg(28+c))
		f.ins("VSHUFF32X4", "$0x88", f.reg(24+c), f.reg(16+c), f.reg(c))
		f.ins("VSHUFF32X4", "$0x88", f.reg(28+c), f.reg(20+c), f.reg(4+c))
		f.ins("VSHUFF32X4", "$0xdd", f.reg(24+c), f.reg(16+c), f.reg(8+c))
		f.ins("VSHUFF32X4", "$0xdd", f.reg(28+c), f.reg(20+c), f.reg(12+c))
		for l := range 4 {
			order[4*l+c] = 4*l + c
		}
	}
	return order
}
