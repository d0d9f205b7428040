package cpu

import "fewshot/tensor/internal/par"

// GemmArgs are tensor.GemmArgs on slices.
type GemmArgs[T Float] struct {
	Dst, A, B, Add, Bias      []T // an empty Add or Bias is none
	M, N, K                   int
	TransA, TransB            bool
	LDA, LDB, LDC             int
	Batch                     int
	StrideA, StrideB, StrideC int

	// Where not nil, factors that are not in memory: they fill panels with the elements k0 to k0+depth of vectors lo to
	// hi, which are rows of op(a) or columns of op(b), as pack does.
	packA, packB func(dst []T, lo, hi, k0, depth int)
}

// Gemm's blocks. A worker multiplies a blockM × K by a K × blockN block, blockK deep at a time, out of
// copies laid out in panels as tile reads them; the two copies and the sums stay in the second-level cache.
const (
	blockM, blockN, blockK = 64, 128, 256
	tileM, tileN           = 2, 4 // what fits sixteen registers
)

// Gemm is dst[i] = op(a[i])·op(b[i]) (+ add[i]) (+ bias on each row), for i < Batch. Each element is a sum in the order
// of the inner index, to which the bias is added, and then add: where that is a large residual, fewer roundings are of
// its size.
func (k *Kernels[T]) Gemm(g *GemmArgs[T]) {
	mb, nb := par.Chunks(g.M, blockM), par.Chunks(g.N, blockN)
	const size = (blockM+blockN)*blockK + blockM*blockN
	tmp := k.scratch(k.pool.Workers() * size)
	k.pool.For(g.Batch*mb*nb, 1, func(worker, lo, hi int) {
		panelsA := tmp[worker*size:][:blockM*blockK]
		panelsB := tmp[worker*size+blockM*blockK:][:blockN*blockK]
		sums := tmp[worker*size+(blockM+blockN)*blockK:][:blockM*blockN]
		for t := lo; t < hi; t++ {
			i, j := t/nb%mb*blockM, t%nb*blockN
			g.block(sums, panelsA, panelsB, t/(mb*nb), i, min(i+blockM, g.M), j, min(j+blockN, g.N))
		}
	})
}

// block computes rows [i0, i1) and columns [j0, j1) of one product of the batch. Tiles over the edge are as good as others: their
// sums have room, and the panels are padded with zeros.
func (g *GemmArgs[T]) block(sums, panelsA, panelsB []T, batch, i0, i1, j0, j1 int) {
	a, b := g.A[batch*g.StrideA:], g.B[batch*g.StrideB:]
	rowA, innerA := g.LDA, 1
	if g.TransA {
		rowA, innerA = 1, g.LDA
	}
	colB, innerB := 1, g.LDB
	if g.TransB {
		colB, innerB = g.LDB, 1
	}
	clear(sums)
	for k0 := 0; k0 < g.K; k0 += blockK {
		depth := min(blockK, g.K-k0)
		if g.packA != nil {
			g.packA(panelsA, i0, i1, k0, depth)
		} else {
			pack(panelsA, a[k0*innerA:], i0, i1, depth, rowA, innerA, tileM)
		}
		if g.packB != nil {
			g.packB(panelsB, j0, j1, k0, depth)
		} else {
			pack(panelsB, b[k0*innerB:], j0, j1, depth, colB, innerB, tileN)
		}
		for j := j0; j < j1; j += tileN {
			pb := panelsB[(j-j0)*depth:][:tileN*depth]
			for i := i0; i < i1; i += tileM {
				pa := panelsA[(i-i0)*depth:][:tileM*depth]
				tile(sums[(i-i0)*blockN+j-j0:], blockN, pa, pb)
			}
		}
	}
	for i := i0; i < i1; i++ {
		row, at := sums[(i-i0)*blockN:][:j1-j0], batch*g.StrideC+i*g.LDC+j0
		if len(g.Bias) != 0 {
			axpy(row, 1, g.Bias[j0:j1])
		}
		if len(g.Add) != 0 {
			axpy(row, 1, g.Add[at:at+len(row)])
		}
		copy(g.Dst[at:], row)
	}
}

// pack copies vectors [lo, hi) of src, each of depth elements, into panels of width vectors that are
// interleaved element by element. The last panel is filled up with zeros.
func pack[T Float](dst, src []T, lo, hi, depth, stride, inner, width int) {
	for v := lo; v < hi; v += width {
		for r := range width {
			if v+r >= hi {
				for k := range depth {
					dst[k*width+r] = 0
				}
				continue
			}
			from := src[(v+r)*stride:]
			for k := range depth {
				dst[k*width+r] = from[k*inner]
			}
		}
		dst = dst[width*depth:]
	}
}

// tile adds the product of two panels to a tileM × tileN part of dst.
func tile[T Float](dst []T, ld int, a, b []T) {
	r0, r1 := dst[:tileN], dst[ld:][:tileN]
	c00, c01, c02, c03 := r0[0], r0[1], r0[2], r0[3]
	c10, c11, c12, c13 := r1[0], r1[1], r1[2], r1[3]
	// In this form the compiler keeps all sums in registers and checks no bounds.
	for i, j := 0, 0; i+1 < len(a) && j+3 < len(b); i, j = i+tileM, j+tileN {
		a0, a1 := a[i], a[i+1]
		c00 += T(a0 * b[j])
		c10 += T(a1 * b[j])
		c01 += T(a0 * b[j+1])
		c11 += T(a1 * b[j+1])
		c02 += T(a0 * b[j+2])
		c12 += T(a1 * b[j+2])
		c03 += T(a0 * b[j+3])
		c13 += T(a1 * b[j+3])
	}
	r0[0], r0[1], r0[2], r0[3] = c00, c01, c02, c03
	r1[0], r1[1], r1[2], r1[3] = c10, c11, c12, c13
}
