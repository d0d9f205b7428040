package simd

import "slices"

// A variant is the set of kernels written for one instruction set. The generated stubs say as loops
// what each does.
type variant struct {
	name  string
	lanes int // floats in a vector

	rows  int             // height of a full tile
	width int             // width of a full tile, and of the panels of B
	tiles [2][]tileKernel // by vectors of columns - 1 and rows - 1

	packRowsB, packRowsA packRows // width and rows wide
	packColsB            packCols

	strassenSumsA, strassenSumsB func(rows, n int, x *float32, ldx, ld, step int, dst *float32, ldd, stride int)
	strassenTiles                []strassenKernel // by rows, up to the full tile
	strassenJoin                 func(rows int, c, dst *float32, ld int, add, bias *float32)
	strassenEnds                 [][]strassenEnd // of each product
	strassenRows                 int             // of C, from how many on it pays, if it does
	strassenRowsTransA           int             // the same if A is transposed
	strassenPays                 bool            // see StrassenPays

	pairs bool     // operands of the tiles are pairs of bfloat16, see gemm_bf16.go
	bf16  *variant // the same for such operands; nil if the machine has no instruction for them

	int8       *variant // the same for quads of integers, with what comes before and after, see int8.go; nil if the machine has no instruction for them
	ends       func(n int, dst, x *float32)
	quantize   func(n int, dst *uint8, x *float32, inverse float32, zero int32)
	dequantize func(rows, cols int, x, scale *float32, zero *int32, weights *float32, sums *int32, bias, add, dst *float32, ldd int)

	widen  func(rows, n int, dst *float32, ldd int, src *uint16, lds int)
	narrow func(rows, n int, dst *uint16, ldd int, src *float32, lds int)

	exp, quickGELU, gelu    func(n int, dst, x *float32)
	relu                    func(n int, dst, x *float32)
	quickGELUGrad, geluGrad func(n int, dst, ct, x *float32)
	add, mul                func(n int, dst, x, y *float32)
	scale, axpy             func(n int, dst, x *float32, c float32)
	mask                    func(n int, dst, w, s *float32, t float32)
	powers                  func(n int, dst, x *float32, scale, shift float32)
	powersBelowMax          func(n int, dst, x *float32, scale float32) (max, sum float32)
	logSums                 func(n int, dst, max, sum *float32, scale float32)
	divideRows              func(rows, n int, x *float32, ld int, by *float32)
	softmaxGrad             func(n int, dst, ct, y *float32, dot, scale float32)
	sum                     func(n int, x *float32) float32
	sumSquares              func(n int, x *float32, mean float32) float32
	dot                     func(n int, x, y *float32) float32
	countAbove              func(n int, x *float32, t float32) int32
	normalize               func(n int, dst, x, w, b *float32, mean, rstd float32)
	normalizeGradSums       func(n int, ct, x, w *float32, mean, rstd float32) (float32, float32)
	normalizeGrad           func(n int, dst, ct, x, w *float32, mean, rstd, meanG, meanGX float32)

	random   int // how many numbers uniform makes at a time, at most 256
	uniform  func(groups int, dst *float32, keys *uint32, first uint64)
	gradDrop func(n int, dst, a, b, s, u *float32, pull, eps, kept float32)
	adam     func(n int, w, m, v, grad *float32, beta1, rest1, beta2, rest2, shrink, rate, root, eps float32)
}

type (
	tileKernel func(tiles, k int, a *float32, ts, rs, ks int, b, c *float32, ldc int, add, bias *float32, cols int, next *float32, ns int)
	packRows   func(k, panels int, src *float32, ld int, dst *float32, stride, cols int)
	packCols   func(k, cols int, src *float32, ld int, dst *float32)
)

// active is the variant in use, nil for none. Only Use changes it after initialisation.
var active = best()

func best() *variant {
	if len(machine) == 0 {
		return nil
	}
	return machine[0]
}

// Kernels names the instruction set in use: "avx512", "avx2", "neon", or "" if this machine or build has none.
func Kernels() string {
	if active == nil {
		return ""
	}
	return active.name
}

// Variants lists what Use accepts: the instruction sets of this machine, best first, and "".
func Variants() []string {
	var names []string
	for _, v := range machine {
		names = append(names, v.name)
	}
	return append(names, "")
}

// Use switches to another variant, "" for none, until restore is called. It is for tests: nothing may be
// computing at the same time. It panics if this machine does not have the variant.
func Use(name string) (restore func()) {
	before := active
	restore = func() { active = before }
	if name == "" {
		active = nil
		return restore
	}
	i := slices.IndexFunc(machine, func(v *variant) bool { return v.name == name })
	if i < 0 {
		panic("simd: this machine has no kernels called " + name)
	}
	active = machine[i]
	return restore
}

// kernels is the active variant where there must be one.
func kernels() *variant {
	if active == nil {
		panic("simd: called while Kernels() is \"\"")
	}
	return active
}
