package simd

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
