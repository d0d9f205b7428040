package simd

// padding lies between panels, so that those filled together do not fall into the same cache sets. Packing
// may write there.
const padding = 32

// Panels are a matrix packed for the tile kernels: stripes as wide as a tile, each stripe row after row.
// (The panels of a transposed left operand are as wide as a tile is high.)
type panels struct {
	x      []float32
	stride int // from one panel to the next
}

// reserve makes room for n panels of the given size. What they held is lost.
func (p *panels) reserve(n, size int) {
	p.stride = size + padding
	p.x = grow(p.x, n*p.stride)
}

// from is the panels from number i on.
func (p panels) from(i int) panels { return panels{p.x[i*p.stride:], p.stride} }

func (p *panels) at(i int) *float32 { return &p.x[i*p.stride] }

// fetchingTiles is how many tiles a tile kernel takes to fetch a panel as deep as its own.
const fetchingTiles = 8

// ahead is number at of panel i, or, behind the last panel, where nothing is that will be wanted but fetching does no harm.
func (p *panels) ahead(i, at int) *float32 { return &p.x[min(i*p.stride+at, len(p.x)-1)] }

// clear makes numbers lo to hi of panel i zero.
func (p *panels) clear(i, lo, hi int) { clear(p.x[i*p.stride:][lo:hi]) }

// packRows packs the rows×cols matrix at src by pack, whose panels have the given width, into the panels
// from number first on. The last panel may be filled in part.
func (p *panels) packRows(v *variant, pack packRows, width, first, rows, cols int, src []float32, ld int) {
	whole := cols / width
	if whole > 0 {
		pack(rows, whole, &src[0], ld, p.at(first), p.stride, width)
	}
	if rest := cols - whole*width; rest > 0 {
		pack(rows, 1, &src[v.across(whole*width)], ld, p.at(first+whole), p.stride, rest)
	}
}

// across is where in a row column i begins, in float32s. Pairs are down, not across: there it must be even.
func (v *variant) across(i int) int {
	if v.pairs {
		return i / 2
	}
	return i
}

// packCols packs the transpose of the rows×cols matrix at src.
func (p *panels) packCols(v *variant, first, rows, cols int, src []float32, ld int) {
	for r := 0; r < rows; r += v.width {
		v.packColsB(cols, min(v.width, rows-r), &src[r*ld], ld, p.at(first+r/v.width))
	}
}

// fill makes the panels those of the rows×cols matrix at src; fillT, of its transpose.
func (p *panels) fill(v *variant, rows, cols int, src []float32, ld int) {
	p.reserve(ceil(cols, v.width), rows*v.width)
	p.packRows(v, v.packRowsB, v.width, 0, rows, cols, src, ld)
}

func (p *panels) fillT(v *variant, rows, cols int, src []float32, ld int) {
	p.reserve(ceil(rows, v.width), cols*v.width)
	p.packCols(v, 0, rows, cols, src, ld)
}

// product is c = a·b, or c += a·b, for small matrices: rows×k with strides of a's rows and columns, and
// k×cols. The panels of b may be deeper than k. k is not cut into pieces. Meanwhile rows of next, if not nil, are fetched, of
// which k elements are wanted.
func (v *variant) product(rows, cols, k int, a []float32, rs, ks int, b *panels, c []float32, ldc int, accumulate bool, next *ahead) {
	for t := range ceil(rows, v.rows) {
		r0, r1 := part(rows, v.rows, t)
		for i, j := 0, 0; j < cols; i, j = i+1, j+v.width {
			from, ld := next.take()
			to := &c[r0*ldc+j]
			v.tile(r1-r0, k, &a[r0*rs], rs, ks, b.at(i), to, ldc, onto(to, accumulate), nil, min(v.width, cols-j), from, ld)
		}
	}
}

// onto is the addend of a tile that is added to what is there, or is not.
func onto(c *float32, accumulate bool) *float32 {
	if accumulate {
		return c
	}
	return nil
}

// ahead are matrices that are wanted soon: while a tile is computed, some of their rows are fetched into the L2 cache.
type ahead struct {
	matrices []distant
	first    int // those before have been fetched
}

// A distant matrix has rows to be fetched.
type distant struct {
	x        []float32
	ld, rows int
}

// fetched is how many rows a tile kernel fetches.
const fetched = 16

func (a *ahead) clear() { a.matrices, a.first = a.matrices[:0], 0 }

func (a *ahead) add(rows int, x []float32, ld int) {
	a.matrices = append(a.matrices, distant{x, ld, rows})
}

// take is the next rows to fetch, nil if there are none.
func (a *ahead) take() (from *float32, ld int) {
	if a == nil || a.first == len(a.matrices) || off.fetching {
		return nil, 0
	}
	m := &a.matrices[a.first]
	from, ld = &m.x[0], m.ld
	if m.rows -= fetched; m.rows > 0 {
		m.x = m.x[fetched*ld:]
	} else {
		a.first++
	}
	return from, ld
}

// tile runs the kernel for a tile of the given rows and cols.
func (v *variant) tile(rows, k int, a *float32, rs, ks int, b, c *float32, ldc int, add, bias *float32, cols int, next *float32, ns int) {
	if next == nil {
		next = a
	}
	v.column(cols)[rows-1](1, k, a, 0, rs, ks, b, c, ldc, add, bias, cols, next, ns)
}

// column is the kernels for so many columns.
func (v *variant) column(cols int) []tileKernel {
	if cols > v.lanes {
		return v.tiles[1]
	}
	return v.tiles[0]
}

func ceil(a, b int) int { return (a + b - 1) / b }

// part is the i-th part where n is cut into as few as possible of at most size, and these as equal as possible, for
// cutEvenly's reason.
func part(n, size, i int) (lo, hi int) { return bounds(n, ceil(n, size), i, false) }
