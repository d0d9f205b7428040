package cpu

import "fewshot/tensor/internal/par"

// Fill is dst[i] = c.
func (k *Kernels[T]) Fill(dst []T, c float64) { par.Do(k.pool, len(dst), Light, fill[T]{dst, T(c)}) }

type fill[T Float] struct {
	dst []T
	c   T
}

func (f *fill[T]) Do(_, lo, hi int) {
	dst := f.dst[lo:hi]
	for i := range dst {
		dst[i] = f.c
	}
}

// Convert is dst[i] = src[i], between formats.
func Convert[D, S Float](p *par.Pool, dst []D, src []S) {
	par.Do(p, len(dst), Light, convert[D, S]{dst, src})
}

type convert[D, S Float] struct {
	dst []D
	src []S
}

func (c *convert[D, S]) Do(_, lo, hi int) {
	dst, src := c.dst[lo:hi], c.src[lo:hi]
	for i := range dst {
		dst[i] = D(src[i])
	}
}

// Copy2D is dst[r·ldd+c] = src[r·lds+c] for r < rows, c < cols.
func (k *Kernels[T]) Copy2D(dst, src []T, rows, cols, ldd, lds int) {
	if cols == ldd && cols == lds { // one long row
		rows, cols = 1, rows*cols
	}
	par.Do(k.pool, rows*cols, Light, copy2D[T]{dst, src, cols, ldd, lds})
}

type copy2D[T Float] struct {
	dst, src       []T
	cols, ldd, lds int
}

func (k *copy2D[T]) Do(_, lo, hi int) {
	for lo < hi {
		r, c := lo/k.cols, lo%k.cols
		n := min(k.cols-c, hi-lo)
		copy(k.dst[r*k.ldd+c:][:n], k.src[r*k.lds+c:][:n])
		lo += n
	}
}

// Patches takes images [n,c,h,w] to rows [n, (h/p)·(w/p), c·p·p], in the order of a convolution weight.
func (k *Kernels[T]) Patches(dst, x []T, n, c, h, w, p int) {
	if p == 1 { // the transposes of matrices [c, h·w]
		par.Do(k.pool, n*par.Chunks(h*w, transposed), rowGrain(c*transposed, Light), transpose[T]{dst, x, c, h * w})
		return
	}
	strip := c * p * w // one row of patches
	par.Do(k.pool, n*(h/p), rowGrain(strip, Light), patches[T]{dst, x, strip, c, h, w, p})
}

// transposed is how many columns of a matrix are read at a time: so many rows of the transpose are written side by side.
const transposed = 16

type transpose[T Float] struct {
	dst, x     []T
	rows, cols int
}

func (t *transpose[T]) Do(_, lo, hi int) {
	strips := par.Chunks(t.cols, transposed)
	for i := lo; i < hi; i++ {
		m, c0 := i/strips*t.rows*t.cols, i%strips*transposed
		c1 := min(c0+transposed, t.cols)
		// As many rows again at a time, so that all lines that are written stay in the L1 cache.
		for r0 := 0; r0 < t.rows; r0 += transposed {
			r1 := min(r0+transposed, t.rows)
			for r := r0; r < r1; r++ {
				for j, v := range t.x[m+r*t.cols+c0 : m+r*t.cols+c1] {
					t.dst[m+(c0+j)*t.rows+r] = v
				}
			}
		}
	}
}

type patches[T Float] struct {
	dst, x         []T
	strip, c, h, w int
	p              int
}

func (k *patches[T]) Do(_, lo, hi int) {
	for t := lo; t < hi; t++ {
		img, py := t/(k.h/k.p), t%(k.h/k.p)
		to := k.dst[t*k.strip:][:k.strip]
		for px := range k.w / k.p {
			for ch := range k.c {
				from := k.x[((img*k.c+ch)*k.h+py*k.p)*k.w+px*k.p:]
				for y := range k.p {
					copy(to[:k.p], from[y*k.w:])
					to = to[k.p:]
				}
			}
		}
	}
}

// Gather: dst row r = table row ids[r].
func (k *Kernels[T]) Gather(dst, table []T, ids []int32, width int) {
	par.Do(k.pool, len(ids), rowGrain(width, Light), gather[T]{dst, table, ids, width})
}

type gather[T Float] struct {
	dst, table []T
	ids        []int32
	width      int
}

func (g *gather[T]) Do(_, lo, hi int) {
	for r := lo; r < hi; r++ {
		copy(g.dst[r*g.width:(r+1)*g.width], g.table[int(g.ids[r])*g.width:])
	}
}

// ScatterAdd: for each lane, dst row ids[r] += x row r, in the order of r; dst is [lanes, |table|]. Workers
// share out columns, so that no two meet.
func (k *Kernels[T]) ScatterAdd(dst, x []T, ids []int32, width, lanes int) {
	per := par.Chunks(width, scatterCols)
	par.Do(k.pool, lanes*per, rowGrain(len(ids)*scatterCols, Light), scatter[T]{dst, x, ids, width, len(dst) / lanes, per})
}

const scatterCols = 64 // of one worker

type scatter[T Float] struct {
	dst, x            []T
	ids               []int32
	width, table, per int // numbers in a row and in a lane of dst; pieces a row
}

func (s *scatter[T]) Do(_, lo, hi int) {
	for t := lo; t < hi; t++ {
		lane, c := t/s.per, t%s.per*scatterCols
		n := min(scatterCols, s.width-c)
		for r, id := range s.ids {
			to := s.dst[lane*s.table+int(id)*s.width+c:][:n]
			for i, v := range s.x[(lane*len(s.ids)+r)*s.width+c:][:n] {
				to[i] += v
			}
		}
	}
}
