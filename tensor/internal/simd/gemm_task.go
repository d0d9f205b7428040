package simd

// copy copies rows of A for all workers.
func (j *gemm) copy(_, lo, hi int) { j.copyRows(j.apart, lo, hi) }

// copyRows copies rows of A to where they do not get into each other's way, which is at that distance.
func (j *gemm) copyRows(to []float32, lo, hi int) {
	for r := lo; r < hi; r++ {
		copy(to[r*j.distance():][:j.K], j.a[r*j.LDA:])
	}
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
