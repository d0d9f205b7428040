package simd

import (
	"fmt"

	"fewshot/tensor/internal/par"
)

// GemmArgs is dst[i] = op(a[i])·op(b[i]) (+ dst[i]) (+ bias on each row), for i < Batch, as tensor.GemmArgs
// describes it. dst overlaps no operand.
type GemmArgs struct {
	Dst, A, B, Bias            []float32 // an empty Bias is none
	M, N, K                    int
	TransA, TransB, Accumulate bool
	LDA, LDB, LDC              int
	Batch                      int
	StrideA, StrideB, StrideC  int

	// Packed, where not nil, is B once more; see Pack.
	Packed *Packed
}

// maxTile is the size of the largest tile.
const maxTile = 14 * 32

const (
	// blockK bounds the piece of K that one pass over C takes. It is the only thing on which the bits of a
	// result depend, beside the operands: an element is one chain of multiply-adds for each piece of K,
	// and their sum in order. All of K at once for CLIP's width is worth more than panels that fit L1.
	blockK = 768

	// blockN and blockM bound the scratch memory: columns of B, and columns of a transposed A, that are
	// packed at a time.
	blockN, blockM = 4096, 4032

	// A task takes taskTiles tiles of rows and taskPanels panels of columns, or less where there
	// would be too few tasks. The panels of a task (8·32·768 floats) fit an L2 cache of 1 MiB.
	taskTiles, taskPanels = 8, 8

	// packPanels is how many neighbouring panels one packing task fills.
	packPanels = 8

	// tasksPerWorker is how finely work is cut at least: a worker that is held up by others on the
	// machine costs the rest no more than one task in so many.
	tasksPerWorker = 6

	// leastParallel is the number of multiply-adds, some microseconds' worth, from which on dividing a
	// product among workers gains more than waking them costs.
	leastParallel = 1 << 18
)

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
	default:
		takeGemm(v, g).run(p)
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
	if min(g.M, g.N, g.K, g.Batch, g.StrideA, g.StrideB, g.StrideC) < 0 {
		panic(fmt.Sprintf("simd.Gemm: negative shape or stride: M=%d N=%d K=%d batch %d strides %d %d %d",
			g.M, g.N, g.K, g.Batch, g.StrideA, g.StrideB, g.StrideC))
	}
	checkOperand("Gemm", "A", len(g.A), g.M, g.K, g.LDA, g.StrideA, g.Batch, g.TransA)
	checkOperand("Gemm", "B", len(g.B), g.K, g.N, g.LDB, g.StrideB, g.Batch, g.TransB)
	checkOperand("Gemm", "dst", len(g.Dst), g.M, g.N, g.LDC, g.StrideC, g.Batch, false)
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
			row := g.Dst[i*g.StrideC+r*g.LDC:][:g.N]
			if !g.Accumulate {
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
	narrow []uint16

	// The current matrices of the batch, and block of them.
	a, b, c            []float32
	at                 int // of the current matrix in the destination
	m0, m1, n0, n1     int // rows and columns of C
	k0, k1             int
	packsA, copiesRows bool // panels of A are packed; its rows are copied
	rowTiles, panels   int
	taskRows, taskCols int // in tiles and panels
	rowsK              int // K in numbers, where K counts pairs
	groupsB            int // packing tasks for B; those for A follow

	packedA, packedB panels
	right            panels    // what tiles read of B: packedB, or a part of Packed
	rows             []float32 // of a tile of A, copied
	tile             [maxTile]float32

	// Bound once, so that handing them to the pool allocates nothing.
	itemsFunc, packFunc, tasksFunc func(worker, lo, hi int)
}

var idleGemms free[gemm]

func takeGemm(v *variant, args *GemmArgs) *gemm {
	j := idleGemms.take()
	if j.itemsFunc == nil {
		j.itemsFunc, j.packFunc, j.tasksFunc = j.items, j.pack, j.tasks
	}
	j.v, j.GemmArgs, j.pool, j.narrow = v, *args, nil, nil
	return j
}

// release makes the gemm available again and forgets its operands.
func (j *gemm) release() {
	j.GemmArgs = GemmArgs{}
	j.a, j.b, j.c, j.pool, j.narrow, j.right = nil, nil, nil, nil, nil, panels{}
	idleGemms.give(j)
}

// items multiplies matrices of the batch on one worker.
func (j *gemm) items(_, lo, hi int) {
	own := takeGemm(j.v, &j.GemmArgs)
	own.narrow, own.rowsK = j.narrow, j.rowsK
	for i := lo; i < hi; i++ {
		own.multiply(i)
	}
	own.release()
}

// parallel is a loop on the pool, or on the calling worker.
func (j *gemm) parallel(n int, f func(worker, lo, hi int)) {
	if j.pool == nil {
		f(0, 0, n)
		return
	}
	j.pool.For(n, 1, f)
}

// multiply goes through matrix i of the batch in blocks: columns, rows, then K.
func (j *gemm) multiply(i int) {
	v := j.v
	j.a, j.b = j.A[i*j.StrideA:], j.B[i*j.StrideB:]
	if j.narrow == nil {
		j.c = j.Dst[i*j.StrideC:]
	}
	j.at = i * j.StrideC
	// Where B is but a panel or two, packing A costs more than reading it across. Pairs must be made, though.
	j.packsA = j.TransA && (j.N > 2*v.width || v.pairs)
	rows := j.M
	if j.packsA {
		rows = blockM / v.rows * v.rows
	}
	step := stepK(j.K)
	if j.narrow != nil {
		step = j.K
	}
	if j.Packed != nil && !j.Packed.serves(v, j.N, j.K, step, j.TransB) {
		j.Packed = nil
	}
	for j.n0 = 0; j.n0 < j.N; j.n0 = j.n1 {
		j.n1 = min(j.n0+blockN, j.N)
		for j.m0 = 0; j.m0 < j.M; j.m0 = j.m1 {
			j.m1 = min(j.m0+rows, j.M)
			for j.k0 = 0; j.k0 < j.K; j.k0 = j.k1 {
				j.k1 = min(j.k0+step, j.K)
				j.block()
			}
		}
	}
}

// stepK cuts K into pieces about equal, and no greater than blockK.
func stepK(k int) int { return ceil(ceil(k, ceil(k, blockK)), 16) * 16 }

// block multiplies the current block: it packs operands, then works on tiles.
func (j *gemm) block() {
	v, k := j.v, j.k1-j.k0
	j.panels, j.rowTiles = ceil(j.n1-j.n0, v.width), ceil(j.m1-j.m0, v.rows)
	if j.groupsB = 0; j.Packed != nil {
		j.right = j.Packed.part(j.k0, j.n0/v.width)
	} else {
		j.packedB.reserve(j.panels, k*v.width)
		j.right = j.packedB
		j.groupsB = ceil(j.panels, packPanels)
	}
	groups := j.groupsB
	if j.packsA {
		j.packedA.reserve(j.rowTiles, k*v.rows)
		groups += ceil(j.rowTiles, packPanels)
	}

	// Rows of A whose distance is a large power of two fall into few sets of the L1 cache and would drive
	// each other out between one panel and the next.
	j.copiesRows = !j.TransA && j.LDA%512 == 0 && k >= 64 && j.panels >= 4

	j.taskRows, j.taskCols = taskTiles, taskPanels
	if j.pool != nil {
		for want := tasksPerWorker * j.pool.Workers(); j.tasksNow() < want && j.taskRows*j.taskCols > 1; {
			if j.taskRows > 1 && j.taskRows >= j.taskCols/2 {
				j.taskRows /= 2
			} else {
				j.taskCols /= 2
			}
		}
	}
	j.parallel(groups, j.packFunc)
	j.parallel(j.tasksNow(), j.tasksFunc)
}

// deep is how many rows the current block of an operand has whose rows are k.
func (j *gemm) deep() int {
	if j.v.pairs {
		return min(2*j.k1, j.rowsK) - 2*j.k0
	}
	return j.k1 - j.k0
}

func (j *gemm) tasksNow() int { return ceil(j.rowTiles, j.taskRows) * ceil(j.panels, j.taskCols) }

// pack fills groups of panels: those of B, then those of A if it is packed.
func (j *gemm) pack(_, lo, hi int) {
	v, k := j.v, j.k1-j.k0
	for t := lo; t < hi; t++ {
		if t >= j.groupsB {
			first := (t - j.groupsB) * packPanels
			m := j.m0 + first*v.rows
			j.packedA.packRows(v, v.packRowsA, v.rows, first, j.deep(), min(packPanels*v.rows, j.m1-m), j.a[j.k0*j.LDA+v.across(m):], j.LDA)
			continue
		}
		first := t * packPanels
		n := j.n0 + first*v.width
		cols := min(packPanels*v.width, j.n1-n)
		if j.TransB {
			j.packedB.packCols(v, first, cols, k, j.b[n*j.LDB+j.k0:], j.LDB)
		} else {
			j.packedB.packRows(v, v.packRowsB, v.width, first, j.deep(), cols, j.b[j.k0*j.LDB+v.across(n):], j.LDB)
		}
	}
}

// tasks computes rectangles of tiles. Consecutive tasks share their panels of B.
func (j *gemm) tasks(_, lo, hi int) {
	scratch := takeGemm(j.v, &GemmArgs{})
	if j.copiesRows {
		scratch.rows = grow(scratch.rows, j.v.rows*(j.k1-j.k0+padding))
	}
	down := ceil(j.rowTiles, j.taskRows)
	for t := lo; t < hi; t++ {
		r, c := t%down*j.taskRows, t/down*j.taskCols
		for tile := r; tile < min(r+j.taskRows, j.rowTiles); tile++ {
			j.tileRow(tile, c, min(c+j.taskCols, j.panels), scratch)
		}
	}
	scratch.release()
}

// tileRow computes the tiles number tile from the top in panels lo to hi.
func (j *gemm) tileRow(tile, lo, hi int, scratch *gemm) {
	v, k, rows := j.v, j.k1-j.k0, scratch.rows
	var m0, m1, rs, ks int
	var a *float32
	if j.packsA {
		m0 = j.m0 + tile*v.rows
		m1 = min(m0+v.rows, j.m1)
		a, rs, ks = j.packedA.at(tile), 1, v.rows
	} else {
		m0, m1 = part(j.m1-j.m0, v.rows, tile)
		m0, m1 = m0+j.m0, m1+j.m0
		switch {
		case j.TransA:
			a, rs, ks = &j.a[j.k0*j.LDA+m0], 1, j.LDA
		case j.copiesRows:
			rs, ks = k+padding/2, 1
			for r := range m1 - m0 {
				copy(rows[r*rs:][:k], j.a[(m0+r)*j.LDA+j.k0:])
			}
			a = &rows[0]
		default:
			a, rs, ks = &j.a[m0*j.LDA+j.k0], j.LDA, 1
		}
	}
	first := j.k0 == 0
	for p := lo; p < hi; p++ {
		n := j.n0 + p*v.width
		var bias *float32
		if first && len(j.Bias) > 0 {
			bias = &j.Bias[n]
		}
		cols := min(v.width, j.n1-n)
		if j.narrow != nil {
			v.tile(m1-m0, k, a, rs, ks, j.right.at(p), &scratch.tile[0], v.width, bias, cols, false)
			for r := range m1 - m0 {
				Narrow(j.narrow[j.at+(m0+r)*j.LDC+n:][:cols], scratch.tile[r*v.width:][:cols])
			}
			continue
		}
		v.tile(m1-m0, k, a, rs, ks, j.right.at(p), &j.c[m0*j.LDC+n], j.LDC, bias, cols, j.Accumulate || !first)
	}
}
