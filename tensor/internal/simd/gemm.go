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

// stripes are products with some of the columns of B, which a worker does alone. With few rows, what is packed then
// stays in the cache of its core, and is read by nobody else.
func (j *gemm) stripes(worker, lo, hi int) {
	own := j.shares[worker]
	own.begin(j.v, &j.GemmArgs)
	own.ints = j.ints
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
		p0, p1 := homeBounds(ceil(j.N, j.v.width), j.pool.Workers(), j.across, t, true)
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

// conflicts reports whether rows of A are so far apart, a large power of two, that they fall into few sets of the
// caches and would drive each other out: those of a block in L2, or of a tile in L1. A tile that passes a stripe of B
// does not suffer from that if it has no more rows than a set has lines.
func (j *gemm) conflicts() bool {
	return !j.TransA && j.LDA%512 == 0 && j.K >= 64 && (!j.rowsPass || j.v.rows > linesInSet)
}

// columns goes through columns n0 to n1 in blocks, and in these through K.
func (j *gemm) columns(n0, n1 int) {
	step := j.step()
	for j.n0 = n0; j.n0 < n1; j.n0 = j.n1 {
		j.n1 = min(j.n0+j.v.blockColumns(step), n1)
		for j.k0 = 0; j.k0 < j.K; j.k0 = j.k1 {
			j.k1 = min(j.k0+step, j.K)
			j.block()
		}
	}
}

// step is how much of K a block takes: all of it if the sums must not be rounded in between.
func (j *gemm) step() int {
	if j.narrow != nil || j.ints != nil {
		return j.K
	}
	return stepK(j.K)
}

// stepK cuts K into pieces about equal, and no greater than blockK.
func stepK(k int) int { return ceil(ceil(k, ceil(k, blockK)), 16) * 16 }

// block multiplies the current block: it packs B unless that is done already, then works on tiles.
func (j *gemm) block() {
	v, k := j.v, j.k1-j.k0
	j.panels, j.tiling, j.resident = ceil(j.n1-j.n0, v.width), cutEvenly(j.M, v.rows), v.residentTiles(k)
	if j.packsA {
		j.tiling = cutWhole(j.M, v.rows)
	}
	j.rowsPass = j.pool == nil && j.Packed == nil && !j.packsA
	j.copiesRows = j.conflicts() && j.panels >= 4
	j.cut()
	if j.Packed != nil {
		j.right = j.Packed.part(j.k0, j.n0/v.width)
		if j.then = (panels{}); j.k1 < j.K {
			j.then = j.Packed.part(j.k1, j.n0/v.width)
		}
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
	tiles := min(j.resident, j.tiles)
	if j.packsA {
		own.ownA.reserve(tiles, k*j.v.rows)
	}
	if j.copiesRows {
		own.rows = grow(own.rows, tiles*j.v.rows*(k+padding/2))
	}
}

// share is the memory that a worker has for its tasks.
func (j *gemm) share(worker int) *gemm {
	if j.pool == nil {
		return j
	}
	return j.shares[worker]
}

// cut divides the block into tasks, home after home: down counts those of a home that are beneath each other, across
// those side by side. The pool gives a worker neighbouring tasks, so that panels of B which it has packed itself, or
// rows of C, stay in the caches near its core.
func (j *gemm) cut() {
	j.homes, j.down, j.across = 1, 1, 1
	if j.rowsPass {
		j.across = ceil(j.panels, j.v.residentPanels(j.k1-j.k0))
	}
	if j.pool == nil || j.pool.Workers() == 1 {
		return
	}
	workers := j.pool.Workers()
	if j.packsA { // the less often the better
		j.across = min(ceil(4*workers, j.tiles), j.panels)
		if j.M > j.n1-j.n0 {
			j.homes = workers
		} else {
			j.across = max(j.across, min(workers, (j.n1-j.n0)/leastColumns))
		}
		j.down = ceil(shrinkingTasks*workers, j.homes*j.across)
		return
	}
	want := min(tasksPerWorker*workers, j.tiles*j.panels)
	widest := j.panels
	if j.copiesRows {
		widest = max((j.n1-j.n0)/leastColumns, 1)
	}
	j.down = max(ceil(j.tiles, j.resident), min(want, j.M/leastRows), 1)
	for j.down*j.across < want {
		switch {
		case j.across < widest:
			j.across = min(2*j.across, widest)
		case j.down < j.tiles:
			j.down = min(2*j.down, j.tiles)
		default:
			j.across = min(2*j.across, j.panels)
		}
	}
}

// A tiling is how rows are cut into tiles: the first of one height, and then others of another.
type tiling struct{ tiles, tall, high, low int }

// cutEvenly makes as few tiles as possible of at most the given height, and these as equal as possible: a tile of a
// single row would take a third of the time of a full one.
func cutEvenly(rows, height int) tiling {
	tiles := ceil(rows, height)
	return tiling{tiles, rows % tiles, rows/tiles + 1, rows / tiles}
}

// cutWhole makes full tiles, and one of what is left.
func cutWhole(rows, height int) tiling {
	return tiling{ceil(rows, height), rows / height, height, rows % height}
}

// row is the first one of tile i.
func (t tiling) row(i int) int { return min(i, t.tall)*t.high + max(i-t.tall, 0)*t.low }

// height is that of tile i and of those behind it up to end.
func (t tiling) height(i int) (rows, end int) {
	if i < t.tall {
		return t.high, t.tall
	}
	return t.low, t.tiles
}

// bounds are the i-th of the parts that n tiles or panels are divided into. Those of shrinking parts become smaller and
// smaller, down to none, so that workers end together.
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
		r0, r1 := homeBounds(j.tiles, j.homes, j.down, home*j.down+i%j.down, j.packsA)
		c0, c1 := bounds(j.panels, j.across, i/j.down, false)
		if r0 < r1 && c0 < c1 {
			j.task(own, r0, r1, c0, c1)
		}
	}
}

// task computes the tiles r0 to r1 from the top in panels c0 to c1, with memory of its own. As many tiles as stay in
// the L2 cache meet a panel of B before the next one comes, which is fetched meanwhile.
func (j *gemm) task(own *gemm, r0, r1, c0, c1 int) {
	own.next.clear()
	if j.rowsPass {
		j.passRows(own, r0, r1, c0, c1)
		return
	}
	blocks := ceil(r1-r0, j.resident)
	for i := range blocks {
		t0, t1 := bounds(r1-r0, blocks, i, false)
		a := j.left(own, r0+t0, r0+t1)
		for p := c0; p < c1; p++ {
			if p == c1-1 {
				j.fetchRows(own, j.row(a.t1), j.row(a.t1)-j.row(a.t0))
			}
			from, next := &j.right, p+1
			switch {
			case next < c1:
			case i < blocks-1:
				next = c0
			case j.then.x != nil:
				from, next = &j.then, c0
			}
			j.sweep(own, &a, p, from, next)
		}
	}
}

// passRows is the task the other way round: panels of B that the worker has just packed stay in the L2 cache, and tiles
// of A meet all of them, one by one, while the rows of the next are fetched.
func (j *gemm) passRows(own *gemm, r0, r1, c0, c1 int) {
	for t := r0; t < r1; t++ {
		a := j.left(own, t, t+1)
		m := j.row(t + 1)
		j.fetchRows(own, m, m-j.row(t))
		for p := c0; p < c1; p++ {
			j.sweep(own, &a, p, &j.right, p+1)
		}
	}
}

// fetchRows has so many rows of A from m on, or, behind the last, the first ones of the next piece of K, fetched by the
// tiles that come. A block begins with them: it copies them, or reads them in its first sweep.
func (j *gemm) fetchRows(own *gemm, m, rows int) {
	k0 := j.k0
	if m == j.M {
		m, k0 = 0, j.k1
	}
	if own.next.clear(); !j.TransA && k0 < j.K {
		own.next.add(min(rows, j.M-m), j.a[m*j.LDA+k0:], j.LDA)
	}
}

// left is tiles t0 to t1 of A as they are read.
type left struct {
	t0, t1     int
	a          []float32 // from the first row of the first tile on
	ts, rs, ks int       // strides of tiles, 0 if that is their rows', of rows and of k
}

// left prepares some tiles of A.
func (j *gemm) left(own *gemm, t0, t1 int) left {
	v, k := j.v, j.k1-j.k0
	m0, m1 := j.row(t0), j.row(t1)
	switch {
	case j.packsA:
		own.ownA.packRows(v, v.packRowsA, v.rows, 0, j.deep(), m1-m0, j.a[j.k0*j.LDA+v.across(m0):], j.LDA)
		return left{t0, t1, own.ownA.x, own.ownA.stride, 1, v.rows}
	case j.TransA:
		return left{t0, t1, j.a[j.k0*j.LDA+m0:], 0, 1, j.LDA}
	case j.copiesRows:
		to := k + padding/2
		for r := range m1 - m0 {
			copy(own.rows[r*to:][:k], j.a[(m0+r)*j.LDA+j.k0:])
		}
		return left{t0, t1, own.rows, 0, to, 1}
	}
	return left{t0, t1, j.a[m0*j.LDA+j.k0:], 0, j.LDA, 1}
}

// sweep multiplies tiles of A by panel p. Meanwhile rows of A are fetched, if there are some to be, and then a panel.
func (j *gemm) sweep(own *gemm, a *left, p int, from *panels, panel int) {
	v, k := j.v, j.k1-j.k0
	n := j.n0 + p*v.width
	cols := min(v.width, j.n1-n)
	var bias *float32
	if j.k0 == 0 && len(j.Bias) > 0 {
		bias = &j.Bias[n]
	}
	for t := a.t0; t < a.t1; {
		rows, end := j.height(t)
		tiles, m0 := min(end, a.t1)-t, j.row(t)
		ts, at := a.ts, (t-a.t0)*a.ts
		if ts == 0 {
			ts, at = rows*a.rs, (m0-j.row(a.t0))*a.rs
		}
		next, ns := own.next.take()
		if next != nil {
			tiles = 1
		} else if next = from.ahead(panel, (t-a.t0)*k/fetchingTiles*v.width); off.fetching {
			next = &a.a[at]
		}
		if off.turns && ns == 0 {
			ns = 1
		}
		if j.ints != nil {
			tiles = 1
			j.intTile(own, m0, n, rows, cols, k, &a.a[at], a.rs, a.ks, j.right.at(p), next, ns)
		} else if j.narrow != nil {
			tiles = 1
			j.narrowTile(own, m0, n, rows, cols, k, &a.a[at], a.rs, a.ks, j.right.at(p), bias, next, ns)
		} else {
			c := m0*j.LDC + n
			v.column(cols)[rows-1](tiles, k, &a.a[at], ts, a.rs, a.ks, j.right.at(p), &j.c[c], j.LDC, addend(j.add, j.c, c, j.k0), bias, cols, next, ns)
		}
		t += tiles
	}
}

// narrowTile computes a tile in float32 apart, and rounds it.
func (j *gemm) narrowTile(own *gemm, m, n, rows, cols, k int, a *float32, rs, ks int, b, bias, next *float32, ns int) {
	at := j.at + m*j.LDC + n
	var add *float32
	if j.narrowAdd != nil {
		widenRows(rows, cols, own.tile[:], j.v.width, j.narrowAdd[at:], j.LDC)
		add = &own.tile[0]
	}
	j.v.column(cols)[rows-1](1, k, a, 0, rs, ks, b, &own.tile[0], j.v.width, add, bias, cols, next, ns)
	narrowRows(rows, cols, j.narrow[at:], j.LDC, own.tile[:], j.v.width)
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
