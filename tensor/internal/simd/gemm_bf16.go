package simd

import (
	"fmt"

	"fewshot/tensor/internal/bf16"
	"fewshot/tensor/internal/par"
)

// GemmBF16Args is GemmArgs for operands in bfloat16. Dst and Add are float32, or Narrow is the destination and rounded once, and
// NarrowAdd what is added.
type GemmBF16Args struct {
	GemmArgs          // without A and B; Dst and Add are empty if Narrow is not
	Narrow, NarrowAdd []uint16
	A, B              []uint16
}

// HasBF16 reports whether GemmBF16 can do anything: the machine multiplies bfloat16.
func HasBF16() bool { return active != nil && active.bf16 != nil }

// deepest bounds k, in pairs, where tiles are rounded at once: the panels of all of k must fit the caches.
const deepest = 2048

// GemmBF16 is Gemm for operands in bfloat16, which adds in float32, as [VDPBF16PS] does. It reports whether it did it: false means
// that the arguments have not been touched, because there are no kernels or these do not fit them. k and the leading
// dimensions must be even where k goes along rows, and of an odd k the other extents.
//
// To the code for float32 a pair of neighbours in k is one number: K, leading dimensions of operands whose rows go along k, and
// strides are halved here, and only what packs rows across k knows better.
func GemmBF16(p *par.Pool, d *GemmBF16Args) bool {
	if !HasBF16() {
		return false
	}
	d.check()
	g := d.GemmArgs
	narrow := len(d.Narrow) > 0
	if g.M == 0 || g.N == 0 || g.K == 0 || g.Batch == 0 || g.Batch > 1 && g.StrideC == 0 ||
		g.StrideA%2 != 0 || g.StrideB%2 != 0 ||
		!g.TransA && (g.LDA%2 != 0 || g.K%2 != 0) || g.TransB && (g.LDB%2 != 0 || g.K%2 != 0) ||
		g.K%2 != 0 && (g.M%2 != 0 || g.N%2 != 0) {
		return false
	}
	if !g.TransA {
		g.LDA /= 2
	}
	if g.TransB {
		g.LDB /= 2
	}
	g.StrideA, g.StrideB = g.StrideA/2, g.StrideB/2
	g.A, g.B = bf16.Pairs(d.A), bf16.Pairs(d.B)
	g.K = ceil(g.K, 2)
	j := takeGemm(p, active.bf16, &g)
	j.rowsK = d.K
	switch {
	case narrow && g.K <= deepest:
		j.narrow, j.narrowAdd = d.Narrow, d.NarrowAdd
	case narrow:
		j.rounded, j.narrowAdd, j.ldRounded, j.LDC = d.Narrow, d.NarrowAdd, g.LDC, g.N
	}
	j.run(p)
	return true
}

// check panics if an operand is too short for its shape.
func (d *GemmBF16Args) check() {
	g := d.GemmArgs
	if min(g.M, g.N, g.K, g.Batch, g.StrideA, g.StrideB, g.StrideC) < 0 {
		panic(fmt.Sprintf("simd.GemmBF16: negative shape or stride: %+v", g))
	}
	checkOperand("GemmBF16", "A", len(d.A), g.M, g.K, g.LDA, g.StrideA, g.Batch, g.TransA)
	checkOperand("GemmBF16", "B", len(d.B), g.K, g.N, g.LDB, g.StrideB, g.Batch, g.TransB)
	checkOperand("GemmBF16", "dst", len(g.Dst)+len(d.Narrow), g.M, g.N, g.LDC, g.StrideC, g.Batch, false)
	if n := len(g.Add) + len(d.NarrowAdd); n != 0 {
		checkOperand("GemmBF16", "add", n, g.M, g.N, g.LDC, g.StrideC, g.Batch, false)
	}
	if len(g.Add) > 0 && len(d.Narrow) > 0 || len(d.NarrowAdd) > 0 && len(g.Dst) > 0 {
		panic("simd.GemmBF16: add is not in dst's format")
	}
	if n := len(g.Bias); n != 0 && n != g.N {
		panic(fmt.Sprintf("simd.GemmBF16: bias has %d elements for %d columns", n, g.N))
	}
}
