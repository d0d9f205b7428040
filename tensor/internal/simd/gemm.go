package simd

import (
	"fmt"

	"fewshot/tensor/internal/par"
)

// GemmArgs is dst[i] = op(a[i])·op(b[i]) (+ add[i]) (+ bias on each row), for i < Batch, as tensor.GemmArgs
// describes it. dst overlaps no operand, but may be add.
type GemmArgs struct {
	Dst, A, B, Add, Bias      []float32 // an empty Add or Bias is none
	M, N, K                   int
	TransA, TransB            bool
	LDA, LDB, LDC             int
	Batch                     int
	StrideA, StrideB, StrideC int

	// Packed, where not nil, is B once more; see Pack.
	Packed *Packed

	// Strassen permits large products by fewer multiplications, with larger errors of rounding; see strassen.go.
	Strassen bool
}

// maxTile is the size of the largest tile.
const maxTile = 14 * 32

// Gemm multiplies, on all workers of p. It reports whether it did: false means that the arguments have
// not been touched, because there are no kernels, or because the matrices of a batch are to be summed into one.
// The bits of the result do not depend on the number of workers.
func Gemm(p *par.Pool, g *GemmArgs) bool {
	v := active
	if v == nil {
		return false
	}
	g.check()
	switch {
	case g.M == 0 || g.N == 0 || g.Batch == 0:
	case g.Batch > 1 && g.StrideC == 0:
		return false
	case g.K == 0:
		g.noProduct()
	case fitsStrassen(v, g):
		multiplyStrassen(p, v, g)
	default:
		takeGemm(p, v, g).run(p)
	}
	return true
}

// run does the whole batch and releases the gemm: matrices side by side if there are many or they are small, else one after
// the other, each on all workers that it is worth.
func (j *gemm) run(p *par.Pool) {
	size := j.M * j.N * j.K
	if j.Batch >= tasksPerWorker*p.Workers() || j.Batch > 1 && size < leastParallel {
		p.For(j.Batch, 1, j.itemsFunc)
	} else {
		if size >= leastParallel {
			j.pool = p
		}
		for i := range j.Batch {
			j.multiply(i)
		}
	}
	j.release()
}

// check panics if an operand is too short for its shape: the kernels would go beyond it.
func (g *GemmArgs) check() {
	g.checkAllButB()
	checkOperand("Gemm", "B", len(g.B), g.K, g.N, g.LDB, g.StrideB, g.Batch, g.TransB)
}

func (g *GemmArgs) checkAllButB() {
	if min(g.M, g.N, g.K, g.Batch, g.StrideA, g.StrideB, g.StrideC) < 0 {
		panic(fmt.Sprintf("simd.Gemm: negative shape or stride: M=%d N=%d K=%d batch %d strides %d %d %d",
			g.M, g.N, g.K, g.Batch, g.StrideA, g.StrideB, g.StrideC))
	}
	checkOperand("Gemm", "A", len(g.A), g.M, g.K, g.LDA, g.StrideA, g.Batch, g.TransA)
	checkOperand("Gemm", "dst", len(g.Dst), g.M, g.N, g.LDC, g.StrideC, g.Batch, false)
	if n := len(g.Add); n != 0 {
		checkOperand("Gemm", "add", n, g.M, g.N, g.LDC, g.StrideC, g.Batch, false)
	}
	if n := len(g.Bias); n != 0 && n != g.N {
		panic(fmt.Sprintf("simd.Gemm: bias has %d elements for %d columns", n, g.N))
	}
}

// checkOperand panics if a batch of matrices does not fit into the elements there are.
func checkOperand(op, name string, have, rows, cols, ld, stride, batch int, transposed bool) {
	if transposed {
		rows, cols = cols, rows
	}
	if rows == 0 || cols == 0 || batch == 0 {
		return
	}
	if need := (batch-1)*stride + (rows-1)*ld + cols; ld < cols || have < need {
		panic(fmt.Sprintf("simd.%s: %s has %d elements, its shape %d×%d with leading dimension %d, batch %d and stride %d takes %d",
			op, name, have, rows, cols, ld, batch, stride, need))
	}
}

// noProduct is what is left of Gemm if K = 0.
func (g *GemmArgs) noProduct() {
	for i := range g.Batch {
		for r := range g.M {
			at := i*g.StrideC + r*g.LDC
			row := g.Dst[at:][:g.N]
			if len(g.Add) > 0 {
				copy(row, g.Add[at:])
			} else {
				clear(row)
			}
			for c := range g.Bias {
				row[c] += g.Bias[c]
			}
		}
	}
}

// A gemm is a multiplication in progress, with its scratch memory. It is used again.
type gemm struct {
	GemmArgs
	v    *variant
	pool *par.Pool // nil: the calling worker does all

	// With a narrow destination a tile is computed in float32 apart, for all of k, and rounded once.
	narrow, narrowAdd []uint16
	// Where factors are integers: see int8.go.
	ints *ints
	own  ints // its memory
	// For more of k than that, all sums are float32 until they are complete, and then rounded to here.
	rounded   []uint16
	ldRounded int
	sums      []float32

	// The current matrices of the batch, and block of them.
	a, b, c, add []float32
	at           int // of the current matrix in the destination
	n0, n1       int // columns of C
	k0, k1       int
	panels       int
	rowsK        int // K in numbers, where K counts pairs

	// How the block is worked on, see cut.
	tiling
	resident            int  // tiles of A that a task works on at a time
	rowsPass            bool // panels of B stay in the cache, and rows of A pass, see passRows
	homes, down, across int  // tasks: parts of the rows that workers have to themselves, and how each of these is cut
	packsA              bool // each task packs its rows of A
	copiesRows          bool // of A, all to apart or each task its own
	copiesOwn           bool // of stripes, each worker to an apart of its own, else all to one

	packed panels    // B
	right  panels    // what tiles read of B: packed, or a part of Packed
	then   panels    // what they will read of Packed for the next piece of K, if there is one
	apart  []float32 // A, its rows at another distance
	copied bool      // to there, by the worker for itself

	shares []*gemm // one for each worker

	// What a task needs for itself.
	ownA panels
	rows []float32
	next ahead // rows of A that are wanted soon
	tile [maxTile]float32

	// Bound once, so that handing them to the pool allocates nothing.
	itemsFunc, copyFunc, stripesFunc, packFunc, tasksFunc, widenFunc, roundFunc func(worker, lo, hi int)
}

var idleGemms free[gemm]

func takeGemm(p *par.Pool, v *variant, args *GemmArgs) *gemm {
	j := idleGemms.take()
	for len(j.shares) < p.Workers() {
		j.shares = append(j.shares, &gemm{})
	}
	j.begin(v, args)
	return j
}

func (j *gemm) begin(v *variant, args *GemmArgs) {
	if j.itemsFunc == nil {
		j.itemsFunc, j.copyFunc, j.stripesFunc, j.packFunc, j.tasksFunc = j.items, j.copy, j.stripes, j.pack, j.tasks
		j.widenFunc, j.roundFunc = j.widen, j.round
	}
	j.v, j.GemmArgs, j.pool, j.narrow, j.narrowAdd, j.rounded = v, *args, nil, nil, nil, nil
	j.ints = nil
}

// release makes the gemm available again.
func (j *gemm) release() {
	j.end()
	idleGemms.give(j)
}

// end forgets the operands.
func (j *gemm) end() {
	j.GemmArgs = GemmArgs{}
	j.a, j.b, j.c, j.add, j.pool, j.narrow, j.narrowAdd, j.rounded = nil, nil, nil, nil, nil, nil, nil, nil
	j.right, j.then = panels{}, panels{}
	j.ints, j.own.w, j.own.x = nil, nil, nil
}

// items multiplies matrices of the batch on one worker.
func (j *gemm) items(worker, lo, hi int) {
	own := j.shares[worker]
	own.begin(j.v, &j.GemmArgs)
	own.narrow, own.narrowAdd, own.rounded, own.ldRounded, own.rowsK = j.narrow, j.narrowAdd, j.rounded, j.ldRounded, j.rowsK
	for i := lo; i < hi; i++ {
		own.multiply(i)
	}
	own.end()
}

// parallel is a loop on the pool, or on the calling worker.
func (j *gemm) parallel(n int, f func(worker, lo, hi int)) {
	if j.pool == nil {
		f(0, 0, n)
		return
	}
	j.pool.For(n, 1, f)
}

// multiply does matrix i of the batch.
func (j *gemm) multiply(i int) {
	j.a, j.b = j.A[i*j.StrideA:], j.B[min(i*j.StrideB, len(j.B)):]
	j.at = i * j.StrideC
	j.add = nil
	switch {
	case j.rounded != nil:
		j.sums = grow(j.sums, j.M*j.LDC)
		j.c = j.sums
		if j.narrowAdd != nil {
			j.parallel(j.M, j.widenFunc)
			j.add = j.sums
		}
		defer j.parallel(j.M, j.roundFunc)
	case j.narrow == nil:
		j.c, j.add = j.Dst[j.at:], j.addTo(i)
	}
	v := j.v
	if j.Packed != nil && !j.Packed.serves(v, j.N, j.K, j.step(), j.TransB) {
		j.Packed = nil
	}
	// Where B is but a panel or two, packing A costs more than reading it across. Pairs must be made, though.
	j.packsA = j.TransA && (j.N > 2*v.width || v.pairs)
	alone := j.pool == nil || j.Packed != nil && j.pool.Workers() == 1 // nobody to share with, and nothing to pack
	if alone || j.packsA || j.M > fewRows || ceil(j.N, v.width) < leastPanels*j.pool.Workers() {
		j.columns(0, j.N)
		return
	}
	j.rowsPass = j.Packed == nil
	if j.copiesRows = j.conflicts(); j.copiesRows {
		if j.copiesOwn = j.N >= leastColumns*j.pool.Workers(); j.copiesOwn {
			for _, own := range j.shares {
				own.apart, own.copied = grow(own.apart, j.M*j.distance()), false
			}
		} else {
			j.apart = grow(j.apart, j.M*j.distance())
			j.parallel(j.M, j.copyFunc)
		}
	}
	j.across = tasksPerWorker
	if j.Packed != nil { // rows of A come to the core once for each stripe
		j.across = min(max(ceil(j.N, v.width)/j.pool.Workers()/stripePanels, 2), shrinkingTasks)
	} else {
		_, most := bounds(ceil(ceil(j.N, v.width), j.pool.Workers()), j.across, 0, true)
		for _, own := range j.shares {
			own.packed.reserve(most, min(j.K, j.step())*v.width)
		}
	}
	j.parallel(j.across*j.pool.Workers(), j.stripesFunc)
}

// widen begins sums with what is to be added.
func (j *gemm) widen(_, lo, hi int) {
	widenRows(hi-lo, j.N, j.sums[lo*j.LDC:], j.LDC, j.narrowAdd[j.at+lo*j.ldRounded:], j.ldRounded)
}

// round rounds complete sums.
func (j *gemm) round(_, lo, hi int) {
	narrowRows(hi-lo, j.N, j.rounded[j.at+lo*j.ldRounded:], j.ldRounded, j.sums[lo*j.LDC:], j.LDC)
}
