package simd

import "fewshot/tensor/internal/par"

const (
	// strassenSide is how many blocks a matrix has in each direction: the algorithm is applied twice, and each time halves it.
	strassenSide = 4

	// A product with fewer columns or less of K loses: sums of blocks of A are for several panels of B, and blocks of C
	// are read and written three times for each piece of K. How many rows share the cost of sums of B, at least,
	// differs by variant.
	leastStrassenN, leastStrassenK = 512, 512

	// strassenColumns bounds a block of columns. They share the cost of sums of A, and sums of B for as many, 7 MB for
	// a piece of K, stay in an L3 cache while rows go by.
	strassenColumns = 768

	// strassenPiece bounds a piece of K: it is what blockK is to Gemm. More means fewer passes over C, as long as sums
	// of A for a tile, 49 of 14 rows, fit an L2 cache of 1 MiB.
	strassenPiece = 1152
)

// strassenEnd says what a product is for: a block of C, at so many bytes, and whether it begins it, is added to it or
// is subtracted from it.
type strassenEnd struct{ offset, op int32 }

// strassenKernel multiplies a tile by a panel; see the generated declarations.
type strassenKernel func(k int, a *float32, rs, ks int, b, c *float32, ends *strassenEnd, n int, next *float32, ns int)

// strassenTile is the kernel for a tile of so many rows, or of as few as there is one for.
func (v *variant) strassenTile(rows int) strassenKernel {
	fewest := v.rows - len(v.strassenTiles) + 1
	return v.strassenTiles[max(rows-fewest, 0)]
}

// strassen is a multiplication in progress by Strassen's algorithm, with its scratch memory. Rows of C are cut into
// tiles of four blocks as high as those of Gemm, columns into groups of four panels, and K into pieces of four parts:
// 49 products of blocks take the place of 64.
type strassen struct {
	GemmArgs
	v            *variant
	quads, tiles int // rows of C: rows of a block in all tiles together, and tiles
	groups       int // of panels of C
	g0, g1       int // of these, a block
	homes, down  int // workers, and how many tasks each has of tiles that are computed in all groups of a block
	across       int // tasks that each of the other tiles is cut into
	k0, part     int // a piece of K: where it begins, and a quarter of its extent, which may go beyond the end of K if A is transposed

	b      []float32 // sums of B, group after group of the block
	shares []strassenShare

	sumsFunc, tasksFunc func(worker, lo, hi int)
}

// strassenShare is what a worker needs for itself.
type strassenShare struct {
	panels panels    // a group of B
	left   panels    // a tile of transposed A, a panel a block
	a, c   []float32 // sums of A, blocks of C
	rows   []float32 // a tile of A that goes beyond its end, filled up with zeros
}

var idleStrassens free[strassen]

// fitsStrassen reports whether the algorithm can be used: there are kernels for it; and pays. With transposed A it pays
// sooner, as an ordinary product would pack A too; C is then the gradient of a weight, with errors that are small
// beside the largest elements near by. Errors of that kind it has already, from cotangents.
func fitsStrassen(v *variant, g *GemmArgs) bool {
	least := v.strassenRows
	if g.TransA {
		least = v.strassenRowsTransA
	}
	return g.Strassen && len(v.strassenTiles) > 0 && g.M >= least && g.N >= leastStrassenN && g.K >= leastStrassenK &&
		g.N%(strassenSide*v.width) == 0 && (g.TransA || g.K%(strassenSide*v.lanes) == 0)
}

// StrassenPays reports whether large products are faster by Strassen's algorithm with the kernels in use. That is known
// of each kind of kernels, and not measured when the program runs, as results depend on it. With AVX-512 it saves a
// seventh. With AVX2 a step of K brings half as many multiplications for each byte that sums are read by, so that an L3
// cache shared with others decides: at best 6 % are saved, and half the speed has been lost.
func StrassenPays() bool { return active != nil && active.strassenPays }

// multiplyStrassen is Gemm where fitsStrassen.
func multiplyStrassen(p *par.Pool, v *variant, g *GemmArgs) {
	s := idleStrassens.take()
	if s.sumsFunc == nil {
		s.sumsFunc, s.tasksFunc = s.sums, s.tasks
	}
	s.GemmArgs, s.v = *g, v
	s.quads = ceil(s.M, strassenSide)
	s.tiles, s.groups = ceil(s.quads, v.rows), s.N/(strassenSide*v.width)
	blocks := ceil(s.N, strassenColumns)
	s.cut(p.Workers(), s.groups/blocks)
	unit := strassenSide * v.lanes
	step := ceil(ceil(s.K, ceil(s.K, strassenPiece)), unit) * unit
	for s.k0 = 0; s.k0 < s.K; s.k0 += step {
		s.part = ceil(min(step, s.K-s.k0), unit) * v.lanes
		for block := range blocks {
			s.g0, s.g1 = bounds(s.groups, blocks, block, false)
			s.reserve(p.Workers())
			for i := range s.Batch {
				s.A, s.B, s.Dst, s.Add = g.A[i*s.StrideA:], g.B[i*s.StrideB:], g.Dst[i*s.StrideC:], g.addTo(i)
				if i == 0 || s.StrideB > 0 {
					p.For(s.g1-s.g0, 1, s.sumsFunc)
				}
				p.For(s.homes*s.perHome(), 1, s.tasksFunc)
			}
		}
	}
	s.GemmArgs = GemmArgs{}
	idleStrassens.give(s)
}

// lastTiles of each worker's are cut across, so that workers end together. Only these: each of their tasks makes the sums of A anew.
const lastTiles = 2

// cut divides a block of at least so many groups into tasks. Each worker has a part of the tiles, in tasks that become
// smaller, and the last ones cut into three or, where there are few tiles, into more.
func (s *strassen) cut(workers, groups int) {
	s.homes = workers
	s.down = min(ceil(s.tiles, workers), tasksPerWorker)
	s.across = min(max(3, ceil(4*workers, s.tiles)), groups)
}

// perHome is how many tasks each worker has.
func (s *strassen) perHome() int { return s.down + lastTiles*s.across }

func (s *strassen) products() int { return len(s.v.strassenEnds) }

// The distances of sums of B and of A, of rows within these, and of rows that are filled up.
func (s *strassen) strideB() int   { return s.part*s.v.width + padding }
func (s *strassen) strideA() int   { return s.v.rows * s.rowA() }
func (s *strassen) rowA() int      { return s.part + padding/2 }
func (s *strassen) filledRow() int { return strassenSide*s.part + padding/2 }

// deep is the extent of the piece of K as far as there is one; beyond it, operands are filled up with zeros.
func (s *strassen) deep() int { return min(strassenSide*s.part, s.K-s.k0) }

// sumsOfB are those of a group.
func (s *strassen) sumsOfB(group int) []float32 { return s.b[(group-s.g0)*s.products()*s.strideB():] }

// reserve makes room for a piece of K, for all workers, so that one that comes late another time need not.
func (s *strassen) reserve(workers int) {
	s.b = grow(s.b, (s.g1-s.g0)*s.products()*s.strideB())
	for len(s.shares) < workers {
		s.shares = append(s.shares, strassenShare{})
	}
	for i := range s.shares {
		own := &s.shares[i]
		own.panels.reserve(strassenSide, strassenSide*s.part*s.v.width)
		own.a = grow(own.a, s.products()*s.strideA())
		own.c = grow(own.c, strassenSide*strassenSide*s.v.rows*s.v.width)
		if s.TransA {
			own.left.reserve(strassenSide, strassenSide*s.part*s.v.rows)
		} else if s.M < strassenSide*s.quads {
			own.rows = grow(own.rows, strassenSide*s.v.rows*s.filledRow())
		}
	}
}

// sums adds up blocks of groups of panels of B, which are packed before if they do not lie as they are wanted.
func (s *strassen) sums(worker, lo, hi int) {
	v, p := s.v, &s.shares[worker].panels
	deep, cols := s.deep(), strassenSide*v.width
	for group := s.g0 + lo; group < s.g0+hi; group++ {
		n, to := group*cols, &s.sumsOfB(group)[0]
		if !s.TransB && deep == strassenSide*s.part { // as it lies
			v.strassenSumsB(s.part, v.width, &s.B[s.k0*s.LDB+n], s.LDB, v.width, s.part*s.LDB, to, v.width, s.strideB())
			continue
		}
		if s.TransB {
			p.packCols(v, 0, cols, deep, s.B[n*s.LDB+s.k0:], s.LDB)
		} else {
			p.packRows(v, v.packRowsB, v.width, 0, deep, cols, s.B[s.k0*s.LDB+n:], s.LDB)
		}
		for i := range strassenSide {
			p.clear(i, deep*v.width, strassenSide*s.part*v.width)
		}
		v.strassenSumsB(1, s.part*v.width, p.at(0), 0, p.stride, s.part*v.width, to, 0, s.strideB())
	}
}

// tasks are tiles of rows in all groups of the block, or, of one of the last tiles of a worker's, in some of them.
func (s *strassen) tasks(worker, lo, hi int) {
	own := &s.shares[worker]
	for t := lo; t < hi; t++ {
		t0, t1 := bounds(s.tiles, s.homes, t/s.perHome(), false)
		last := max(t1-lastTiles, t0)
		i := t % s.perHome()
		if i < s.down {
			i0, i1 := bounds(last-t0, s.down, i, true)
			for i := t0 + i0; i < t0+i1; i++ {
				s.tile(own, i, s.g0, s.g1)
			}
			continue
		}
		i -= s.down
		if tile := last + i/s.across; tile < t1 {
			g0, g1 := bounds(s.g1-s.g0, s.across, i%s.across, false)
			s.tile(own, tile, s.g0+g0, s.g0+g1)
		}
	}
}

// tile computes tile t of the rows in groups g0 to g1.
func (s *strassen) tile(own *strassenShare, t, g0, g1 int) {
	v := s.v
	q0, q1 := bounds(s.quads, s.tiles, t, false)
	m, rows := strassenSide*q0, q1-q0 // of a block
	rs, ks := s.rowA(), 1
	if s.TransA {
		rs, ks = 1, v.rows
		s.addColumns(own, m, rows)
	} else {
		s.addRows(own, m, rows)
	}
	multiply := v.strassenTile(rows)
	for group := g0; group < g1; group++ {
		n, b := group*strassenSide*v.width, s.sumsOfB(group)
		for u, ends := range v.strassenEnds {
			a := &own.a[u*s.strideA()]
			next, ns := s.ahead(u, m, rows, n, group == g1-1)
			if next == nil {
				next = a
			}
			multiply(s.part, a, rs, ks, &b[u*s.strideB()], &own.c[0], &ends[0], len(ends), next, ns)
		}
		s.join(own, m, rows, n)
	}
}

// ahead is what is fetched during product u of the tile whose blocks have these rows from m on: during the last ones
// rows of C from column n on, before these of what is added to it and, in the last group of columns, of the next tile
// of A. What is fetched earlier, sums of B drive out of an L2 cache.
func (s *strassen) ahead(u, m, rows, n int, last bool) (next *float32, ns int) {
	left := s.products() - 1 - u // products after this one
	i, j := left%strassenSide, left/strassenSide
	r := m + i*rows
	at := r*s.LDC + n
	switch {
	case j == 0 && r < s.M:
		return &s.Dst[at], s.LDC
	case j == 1 && r < s.M && s.k0 == 0 && len(s.Add) > 0:
		return &s.Add[at], s.LDC
	case 2 <= j && j < 2+strassenSide && last && !s.TransA:
		if r += strassenSide * rows; r < s.M {
			return &s.A[r*s.LDA+s.k0+(j-2)*s.part], s.LDA
		}
	}
	return nil, 0
}

// addRows computes the sums of the blocks of A that have these rows, from m on.
func (s *strassen) addRows(own *strassenShare, m, rows int) {
	a, ld := s.A[m*s.LDA+s.k0:], s.LDA
	if m+strassenSide*rows > s.M {
		clear(own.rows)
		for r := range s.M - m {
			copy(own.rows[r*s.filledRow():], a[r*s.LDA:][:strassenSide*s.part])
		}
		a, ld = own.rows, s.filledRow()
	}
	s.v.strassenSumsA(rows, s.part, &a[0], ld, rows*ld, s.part, &own.a[0], s.rowA(), s.strideA())
}

// addColumns is addRows for a transposed A, whose columns the blocks have. Beyond its end there are zeros.
func (s *strassen) addColumns(own *strassenShare, m, rows int) {
	v, left := s.v, &own.left
	for i := range strassenSide {
		deep := 0
		if m0 := m + i*rows; m0 < s.M {
			deep = s.deep()
			left.packRows(v, v.packRowsA, v.rows, i, deep, min(rows, s.M-m0), s.A[s.k0*s.LDA+m0:], s.LDA)
		}
		left.clear(i, deep*v.rows, strassenSide*s.part*v.rows)
	}
	v.strassenSumsA(1, s.part*v.rows, left.at(0), 0, left.stride, s.part*v.rows, &own.a[0], 0, s.strideA())
}

// join brings the blocks of C, which have these rows, to row m and column n.
func (s *strassen) join(own *strassenShare, m, rows, n int) {
	var bias *float32
	if s.k0 == 0 && len(s.Bias) > 0 {
		bias = &s.Bias[n]
	}
	for i := range strassenSide {
		r0 := m + i*rows
		if r1 := min(r0+rows, s.M); r0 < r1 {
			c := &own.c[i*strassenSide*s.v.rows*s.v.width]
			at := r0*s.LDC + n
			s.v.strassenJoin(r1-r0, c, &s.Dst[at], s.LDC, addend(s.Add, s.Dst, at, s.k0), bias)
		}
	}
}
