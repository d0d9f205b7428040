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

const (
	// blockK bounds the piece of K that one pass over C takes. It is the only thing on which the bits of a
	// result depend, beside the operands: an element is one chain of multiply-adds for each piece of K,
	// and their sum in order. (Tiles that are rounded at once are one chain.) All of K at once for CLIP's width is worth more than panels that fit L1.
	blockK = 768

	// blockN bounds the scratch memory: columns of B that are packed at a time.
	blockN = 4096

	// A task takes taskTiles tiles of rows and taskPanels panels of columns, or less where there
	// would be too few tasks. The panels of a task (8·32·768 floats) fit an L2 cache of 1 MiB.
	taskTiles, taskPanels = 8, 8

	// leastPanels is how many panels there are for each worker, at least, where it multiplies stripes of columns.
	leastPanels = 8

	// leastColumns is how many columns workers have, at least, where each packs or copies all of A for its own.
	leastColumns = 384

	// linesInSet is how many lines a set of the L1 cache has, on processors with AVX2 alone and with AVX-512: 8, or more.
	linesInSet = 8

	// packPanels is how many neighbouring panels one packing task fills.
	packPanels = 8

	// tasksPerWorker is how finely work is cut at least: a worker that is held up by others on the
	// machine costs the rest no more than one task in so many.
	tasksPerWorker = 16

	// leastParallel is the number of multiply-adds, some microseconds' worth, from which on dividing a
	// product among workers gains more than waking them costs.
	leastParallel = 1 << 18
)

// FewRows is the number of rows up to which workers multiply stripes of columns, see stripes.
const FewRows = 448

// fewRows is that number, which benchmarks change.
var fewRows = FewRows

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
	if min(g.M, g.N, g.K, g.Batch, g.StrideA, g.StrideB, g.StrideC) < 0 {
		panic(fmt.Sprintf("simd.Gemm: negative shape or stride: M=%d N=%d K=%d batch %d strides %d %d %d",
			g.M, g.N, g.K, g.Batch, g.StrideA, g.StrideB, g.StrideC))
	}
	checkOperand("Gemm", "A", len(g.A), g.M, g.K, g.LDA, g.StrideA, g.Batch, g.TransA)
	checkOperand("Gemm", "B", len(g.B), g.K, g.N, g.LDB, g.StrideB, g.Batch, g.TransB)
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
	// For more of k than that, all sums are float32 until they are complete, and then rounded to here.
	rounded   []uint16
	ldRounded int
	sums      []float32

	// The current matrices of the batch, and block of them.
	a, b, c, add     []float32
	at               int // of the current matrix in the destination
	n0, n1           int // columns of C
	k0, k1           int
	rowTiles, panels int
	rowsK            int // K in numbers, where K counts pairs

	// How the block is worked on, see cut.
	homes, down, across int  // tasks: parts of the rows that workers have to themselves, and how each of these is cut
	packsA              bool // each task packs its rows of A
	copiesRows          bool // of A, all to apart or each task its own
	copiesOwn           bool // of stripes, each worker to an apart of its own, else all to one

	packed panels    // B
	right  panels    // what tiles read of B: packed, or a part of Packed
	apart  []float32 // A, its rows at another distance
	copied bool      // to there, by the worker for itself

	shares []*gemm // one for each worker

	// What a task needs for itself.
	ownA panels
	rows []float32
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
}

// release makes the gemm available again.
func (j *gemm) release() {
	j.end()
	idleGemms.give(j)
}

// end forgets the operands.
func (j *gemm) end() {
	j.GemmArgs = GemmArgs{}
	j.a, j.b, j.c, j.add, j.pool, j.narrow, j.narrowAdd, j.rounded, j.right = nil, nil, nil, nil, nil, nil, nil, nil, panels{}
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
	j.a, j.b = j.A[i*j.StrideA:], j.B[i*j.StrideB:]
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
	// Where B is but a panel or two, packing A costs more than reading it across. Pairs must be made, though.
	j.packsA = j.TransA && (j.N > 2*v.width || v.pairs)
	if j.pool == nil || j.packsA || j.M > fewRows || ceil(j.N, v.width) < leastPanels*j.pool.Workers() {
		j.columns(0, j.N)
		return
	}
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
	j.across = tasksPerWorker * j.pool.Workers()
	if j.Packed == nil {
		_, most := bounds(ceil(ceil(j.N, v.width), j.pool.Workers()), tasksPerWorker, 0, true)
		for _, own := range j.shares {
			own.packed.reserve(most, min(j.K, j.step())*v.width)
		}
	}
	j.parallel(j.across, j.stripesFunc)
}

// widen begins sums with what is to be added.
func (j *gemm) widen(_, lo, hi int) {
	widenRows(hi-lo, j.N, j.sums[lo*j.LDC:], j.LDC, j.narrowAdd[j.at+lo*j.ldRounded:], j.ldRounded)
}

// round rounds complete sums.
func (j *gemm) round(_, lo, hi int) {
	narrowRows(hi-lo, j.N, j.rounded[j.at+lo*j.ldRounded:], j.ldRounded, j.sums[lo*j.LDC:], j.LDC)
}

// stripes are products with some of the columns of B, which a worker does alone. With few rows, what is packed then stays in the cache of
// its core, and is read by nobody else.
func (j *gemm) stripes(worker, lo, hi int) {
	own := j.shares[worker]
	own.begin(j.v, &j.GemmArgs)
	own.narrow, own.narrowAdd, own.rowsK, own.at, own.packsA = j.narrow, j.narrowAdd, j.rowsK, j.at, false
	own.a, own.b, own.c, own.add = j.a, j.b, j.c, j.add
	if j.copiesRows {
		from := j
		if j.copiesOwn {
			if from = own; !own.copied {
				j.copyRows(own.apart, 0, j.M)
				own.copied = true
			}
		}
		own.a, own.LDA = from.apart, j.distance()
	}
	for t := lo; t < hi; t++ {
		p0, p1 := homeBounds(ceil(j.N, j.v.width), j.pool.Workers(), tasksPerWorker, t, true)
		own.columns(p0*j.v.width, min(p1*j.v.width, j.N))
	}
	own.end()
}

// copy copies rows of A for all workers.
func (j *gemm) copy(_, lo, hi int) { j.copyRows(j.apart, lo, hi) }

// copyRows copies rows of A to where they do not get into each other's way, which is at that distance.
func (j *gemm) copyRows(to []float32, lo, hi int) {
	for r := lo; r < hi; r++ {
		copy(to[r*j.distance():][:j.K], j.a[r*j.LDA:])
	}
}

func (j *gemm) distance() int { return j.K + padding/2 }

// conflicts reports whether rows of A are so far apart, a large power of two, that they fall into few sets of the L1 cache and would drive
// each other out between one panel and the next. A tile with no more rows than a set has lines does not suffer from that.
func (j *gemm) conflicts() bool {
	return j.v.rows > linesInSet && !j.TransA && j.LDA%512 == 0 && j.K >= 64
}

// columns goes through columns n0 to n1 in blocks, and in these through K.
func (j *gemm) columns(n0, n1 int) {
	step := j.step()
	if j.Packed != nil && !j.Packed.serves(j.v, j.N, j.K, step, j.TransB) {
		j.Packed = nil
	}
	for j.n0 = n0; j.n0 < n1; j.n0 = j.n1 {
		j.n1 = min(j.n0+blockN, n1)
		for j.k0 = 0; j.k0 < j.K; j.k0 = j.k1 {
			j.k1 = min(j.k0+step, j.K)
			j.block()
		}
	}
}

// step is how much of K a block takes: all of it if the sums must not be rounded in between.
func (j *gemm) step() int {
	if j.narrow != nil {
		return j.K
	}
	return stepK(j.K)
}

// stepK cuts K into pieces about equal, and no greater than blockK.
func stepK(k int) int { return ceil(ceil(k, ceil(k, blockK)), 16) * 16 }

// block multiplies the current block: it packs B unless that is done already, then works on tiles.
func (j *gemm) block() {
	v, k := j.v, j.k1-j.k0
	j.panels, j.rowTiles = ceil(j.n1-j.n0, v.width), ceil(j.M, v.rows)
	j.copiesRows = j.conflicts() && j.panels >= 4
	j.cut()
	if j.Packed != nil {
		j.right = j.Packed.part(j.k0, j.n0/v.width)
	} else {
		j.packed.reserve(j.panels, k*v.width)
		j.right = j.packed
		j.parallel(ceil(j.panels, packPanels), j.packFunc)
	}
	if j.pool == nil {
		j.reserve(j)
	} else {
		for _, own := range j.shares {
			j.reserve(own)
		}
	}
	j.parallel(j.homes*j.down*j.across, j.tasksFunc)
}

// reserve makes room for what a task packs or copies; before tasks begin, so that a worker that comes late another time need not.
func (j *gemm) reserve(own *gemm) {
	k := j.k1 - j.k0
	if j.packsA {
		_, most := bounds(ceil(j.rowTiles, j.homes), j.down, 0, true)
		own.ownA.reserve(most, k*j.v.rows)
	}
	if j.copiesRows {
		own.rows = grow(own.rows, j.v.rows*(k+padding/2))
	}
}

// share is the memory that a worker has for its tasks.
func (j *gemm) share(worker int) *gemm {
	if j.pool == nil {
		return j
	}
	return j.shares[worker]
}

// cut divides the block into tasks, home after home: down counts those of a home that are beneath each other, across those side by side.
// The pool gives a worker neighbouring tasks, so that panels of B which it has packed itself, or rows of C, stay in the caches near its core.
func (j *gemm) cut() {
	workers, want := 1, 1
	if j.pool != nil {
		workers = j.pool.Workers()
		want = tasksPerWorker * workers
	}
	j.homes, j.down, j.across = 1, ceil(j.rowTiles, taskTiles), ceil(j.panels, taskPanels)
	if j.packsA { // the less often the better
		j.across = min(ceil(4*workers, j.rowTiles), j.panels)
		if j.M > j.n1-j.n0 {
			j.homes = workers
		} else {
			j.across = max(j.across, min(workers, (j.n1-j.n0)/leastColumns))
		}
		j.down = max(ceil(2*j.rowTiles, taskTiles*j.homes), ceil(want, j.homes*j.across))
		return
	}
	for j.down*j.across < min(want, j.rowTiles*j.panels) {
		if j.down < j.rowTiles && j.rowTiles/j.down >= j.panels/j.across/2 || j.across == j.panels {
			j.down = min(2*j.down, j.rowTiles)
		} else {
			j.across = min(2*j.across, j.panels)
		}
	}
}

// bounds are the i-th of the parts that n tiles or panels are divided into. Those of shrinking parts become smaller and smaller, down to
// none, so that workers end together.
func bounds(n, parts, i int, shrinking bool) (lo, hi int) {
	if !shrinking {
		return n * i / parts, n * (i + 1) / parts
	}
	rest := func(i int) int { return n * (parts - i) * (parts - i) / (parts * parts) }
	return n - rest(i), n - rest(i+1)
}

// homeBounds is bounds where n is first divided among homes, and each of these into so many parts; i counts home after home.
func homeBounds(n, homes, parts, i int, shrinking bool) (lo, hi int) {
	n0, n1 := bounds(n, homes, i/parts, false)
	lo, hi = bounds(n1-n0, parts, i%parts, shrinking)
	return n0 + lo, n0 + hi
}

// deep is how many rows the current block of an operand has whose rows are k.
func (j *gemm) deep() int {
	if j.v.pairs {
		return min(2*j.k1, j.rowsK) - 2*j.k0
	}
	return j.k1 - j.k0
}

// pack fills groups of panels of B.
func (j *gemm) pack(_, lo, hi int) {
	v := j.v
	for t := lo; t < hi; t++ {
		first := t * packPanels
		n := j.n0 + first*v.width
		cols := min(packPanels*v.width, j.n1-n)
		if j.TransB {
			j.packed.packCols(v, first, cols, j.k1-j.k0, j.b[n*j.LDB+j.k0:], j.LDB)
		} else {
			j.packed.packRows(v, v.packRowsB, v.width, first, j.deep(), cols, j.b[j.k0*j.LDB+v.across(n):], j.LDB)
		}
	}
}

// tasks computes rectangles of tiles. Consecutive tasks share their panels of B.
func (j *gemm) tasks(worker, lo, hi int) {
	own := j.share(worker)
	for t := lo; t < hi; t++ {
		home, i := t/(j.down*j.across), t%(j.down*j.across)
		r0, r1 := homeBounds(j.rowTiles, j.homes, j.down, home*j.down+i%j.down, j.packsA)
		c0, c1 := bounds(j.panels, j.across, i/j.down, false)
		if r0 < r1 && c0 < c1 {
			j.task(own, r0, r1, c0, c1)
		}
	}
}

// task computes the tiles r0 to r1 from the top in panels c0 to c1, with memory of its own.
func (j *gemm) task(own *gemm, r0, r1, c0, c1 int) {
	if j.packsA {
		j.packedRows(own, r0, r1, c0, c1)
		return
	}
	for t := r0; t < r1; t++ {
		l := j.left(own, t)
		for p := c0; p < c1; p++ {
			j.multiplyTile(own, &l, p)
			l.next, l.ns = nil, 0
		}
	}
}

// packedRows is a task that packs its rows of A; they stay in the cache while panels go by.
func (j *gemm) packedRows(own *gemm, r0, r1, c0, c1 int) {
	v := j.v
	m := r0 * v.rows
	own.ownA.packRows(v, v.packRowsA, v.rows, 0, j.deep(), min(r1*v.rows, j.M)-m, j.a[j.k0*j.LDA+v.across(m):], j.LDA)
	l := left{rs: 1, ks: v.rows}
	for p := c0; p < c1; p++ {
		for t := r0; t < r1; t++ {
			// Field by field: a copy of all would read in other pieces than it was written in, and so wait until the tile before is in the cache.
			l.m0, l.m1, l.a = t*v.rows, min((t+1)*v.rows, j.M), own.ownA.at(t-r0)
			j.multiplyTile(own, &l, p)
		}
	}
}

// left is the rows m0 to m1 of A.
type left struct {
	m0, m1 int
	a      *float32
	rs, ks int      // strides of rows and k
	next   *float32 // the rows after these, to be fetched meanwhile; nil for none
	ns     int      // stride of theirs
}

// left is tile t of an A that is not packed.
func (j *gemm) left(own *gemm, t int) (l left) {
	l.m0, l.m1 = part(j.M, j.v.rows, t)
	if j.TransA {
		l.a, l.rs, l.ks = &j.a[j.k0*j.LDA+l.m0], 1, j.LDA
		return l
	}
	l.a, l.rs, l.ks = &j.a[l.m0*j.LDA+j.k0], j.LDA, 1
	if l.m1 < j.M {
		l.next, l.ns = &j.a[l.m1*j.LDA+j.k0], j.LDA
	}
	if j.copiesRows {
		k := j.k1 - j.k0
		l.rs = k + padding/2
		for r := range l.m1 - l.m0 {
			copy(own.rows[r*l.rs:][:k], j.a[(l.m0+r)*j.LDA+j.k0:])
		}
		l.a = &own.rows[0]
	}
	return l
}

// multiplyTile computes the tile of C in rows l and panel p.
func (j *gemm) multiplyTile(own *gemm, l *left, p int) {
	v, k := j.v, j.k1-j.k0
	n := j.n0 + p*v.width
	var bias *float32
	if j.k0 == 0 && len(j.Bias) > 0 {
		bias = &j.Bias[n]
	}
	rows, cols, at := l.m1-l.m0, min(v.width, j.n1-n), l.m0*j.LDC+n
	if j.narrow == nil {
		v.tile(rows, k, l.a, l.rs, l.ks, j.right.at(p), &j.c[at], j.LDC, addend(j.add, j.c, at, j.k0), bias, cols, l.next, l.ns)
		return
	}
	at += j.at
	var add *float32
	if j.narrowAdd != nil {
		widenRows(rows, cols, own.tile[:], v.width, j.narrowAdd[at:], j.LDC)
		add = &own.tile[0]
	}
	v.tile(rows, k, l.a, l.rs, l.ks, j.right.at(p), &own.tile[0], v.width, add, bias, cols, l.next, l.ns)
	narrowRows(rows, cols, j.narrow[at:], j.LDC, own.tile[:], v.width)
}

// addTo is what is added to the product of matrix i of the batch, empty if nothing is.
func (g *GemmArgs) addTo(i int) []float32 {
	if len(g.Add) == 0 {
		return nil
	}
	return g.Add[i*g.StrideC:]
}

// addend is what the products of a piece of K, which begins at k0, are added to in c from one place on: what there is to add, then what
// c has so far. nil is nothing.
func addend(add, c []float32, at, k0 int) *float32 {
	switch {
	case k0 > 0:
		return &c[at]
	case len(add) > 0:
		return &add[at]
	}
	return nil
}
