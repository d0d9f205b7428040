package simd

// padding lies between panels, so that those filled together do not fall into the same cache sets.
const padding = 32

// Panels are a matrix packed for the right-hand side of products: stripes as wide as a tile, each stripe
// row after row.
type panels struct {
	x      []float32
	stride int // from one panel to the next
}

// pack packs the rows×cols matrix at src.
func (p *panels) pack(v *variant, rows, cols int, src []float32, ld int) {
	p.stride = rows*v.width + padding
	p.x = grow(p.x, ceil(cols, v.width)*p.stride)
	packRowPanels(v.packRowsB, v.width, rows, cols, src, ld, p.x, p.stride)
}

// packT packs the transpose of the rows×cols matrix at src.
func (p *panels) packT(v *variant, rows, cols int, src []float32, ld int) {
	p.stride = cols*v.width + padding
	p.x = grow(p.x, ceil(rows, v.width)*p.stride)
	for r := 0; r < rows; r += v.width {
		v.packColsB(cols, min(v.width, rows-r), &src[r*ld], ld, &p.x[r/v.width*p.stride])
	}
}

// packRowPanels packs the rows×cols matrix at src; the last panel may be narrower.
func packRowPanels(pack packRows, width, rows, cols int, src []float32, ld int, dst []float32, stride int) {
	whole := cols / width
	if whole > 0 {
		pack(rows, whole, &src[0], ld, &dst[0], stride, width)
	}
	if rest := cols - whole*width; rest > 0 {
		pack(rows, 1, &src[whole*width], ld, &dst[whole*stride], stride, rest)
	}
}

// product is c = a·b, or c += a·b, for small matrices: rows×k with strides of a's rows and columns, and
// k×cols. The panels of b may be deeper than k. k is not cut into pieces.
func (v *variant) product(rows, cols, k int, a []float32, rs, ks int, b *panels, c []float32, ldc int, accumulate bool) {
	for t := range ceil(rows, v.rows) {
		r0, r1 := part(rows, v.rows, t)
		for j := 0; j < cols; j += v.width {
			v.tile(r1-r0, k, &a[r0*rs], rs, ks, &b.x[j/v.width*b.stride], &c[r0*ldc+j], ldc, nil, min(v.width, cols-j), accumulate)
		}
	}
}

// tile runs the kernel for a tile of the given rows and cols.
func (v *variant) tile(rows, k int, a *float32, rs, ks int, b, c *float32, ldc int, bias *float32, cols int, accumulate bool) {
	v.tiles[ceil(cols, v.lanes)-1][rows-1](k, a, rs, ks, b, c, ldc, bias, cols, accumulate)
}

func ceil(a, b int) int { return (a + b - 1) / b }

// part is the i-th part where n is cut into as few as possible of at most size, as equal as possible: a tile
// of a single row would take a third of the time of a full one.
func part(n, size, i int) (lo, hi int) {
	parts := ceil(n, size)
	return n * i / parts, n * (i + 1) / parts
}
