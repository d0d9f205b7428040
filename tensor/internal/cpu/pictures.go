package cpu

import "fewshot/tensor/internal/par"

// Crop is a part of a picture, and how an image is made of it. Pix begins at its first pixel; Stride is the number of
// bytes from a row of the picture to the next. A filter has three numbers for each output, which are its first
// input, how many there are, and where in the filter their weights begin; then come the weights.
type Crop struct {
	Pix           []byte
	Stride        int
	Columns, Rows []int32
	RowsFirst     bool // Rows is applied before Columns
	Flip          bool
}

// weightBits is the number of fractional bits of a filter's weights, and half what is added to round a sum.
const (
	weightBits = 22
	half       = 1 << (weightBits - 1)
)

// tap gives the first input of output i of a filter, and the weights of it and those after it.
func tap(f []int32, i int) (from int, weights []int32) {
	t := f[3*i:][:3]
	return int(t[0]), f[t[2]:][:t[1]]
}

// Resample makes images [N, 3, size, size] of crops. Each row of a crop goes through the filter Columns and is rounded to
// 8 bits, then each column of that through Rows, or the other way round; levels [3, 256] are what the samples become.
func (k *Kernels[T]) Resample(dst, levels []T, crops []Crop, size int) {
	if k.resizers == nil {
		k.resizers = make([]resizer, k.pool.Workers())
	}
	par.Do(k.pool, len(crops), 1, resample[T]{dst, levels, crops, size, k.resizers})
}

type resample[T Float] struct {
	dst, levels []T
	crops       []Crop
	size        int
	resizers    []resizer // by worker
}

// resizer is the memory for one image under way.
type resizer struct {
	half []byte  // of the crop, after the first pass
	row  []byte  // of the image
	sums []int32 // of a row
}

func (k *resample[T]) Do(worker, lo, hi int) {
	image := 3 * k.size * k.size
	for i := lo; i < hi; i++ {
		k.image(k.dst[i*image:][:image], &k.crops[i], &k.resizers[worker])
	}
}

func (k *resample[T]) image(dst []T, c *Crop, r *resizer) {
	size := k.size
	width := 3 * size
	row := grown(&r.row, width)
	if c.RowsFirst {
		// Only columns that some output looks at go through the first pass.
		first, last := span(c.Columns, size)
		n := 3 * (last - first)
		half, sums := grown(&r.half, n), grown(&r.sums, n)
		for y := range size {
			from, weights := tap(c.Rows, y)
			acrossRows(half, c.Pix[from*c.Stride+3*first:], c.Stride, sums, weights)
			alongRow(row, half, c.Columns, first)
			k.set(dst, y, row, c.Flip)
		}
		return
	}
	first, last := span(c.Rows, size)
	half, sums := grown(&r.half, width*(last-first)), grown(&r.sums, width)
	for y := first; y < last; y++ {
		alongRow(half[width*(y-first):][:width], c.Pix[y*c.Stride:], c.Columns, 0)
	}
	for y := range size {
		from, weights := tap(c.Rows, y)
		acrossRows(row, half[width*(from-first):], width, sums, weights)
		k.set(dst, y, row, c.Flip)
	}
}

// span gives the inputs that a filter of size outputs looks at: first to last-1.
func span(f []int32, size int) (first, last int) {
	first, _ = tap(f, 0)
	last, weights := tap(f, size-1)
	return first, last + len(weights)
}

// set makes row y of an image of its samples.
func (k *resample[T]) set(dst []T, y int, row []byte, flip bool) {
	size := k.size
	to, step := y*size, 1
	if flip {
		to, step = y*size+size-1, -1
	}
	for ch := range 3 {
		plane, levels, at := dst[ch*size*size:], k.levels[256*ch:][:256], to
		for x := range size {
			plane[at] = levels[row[3*x+ch]]
			at += step
		}
	}
}

// alongRow filters one row of pixels, of which src has those from number first on.
func alongRow(dst, src []byte, f []int32, first int) {
	for x := range len(dst) / 3 {
		from, weights := tap(f, x)
		r, g, b := int32(half), int32(half), int32(half)
		pix := src[3*(from-first):][:3*len(weights)]
		for _, w := range weights {
			r += int32(pix[0]) * w
			g += int32(pix[1]) * w
			b += int32(pix[2]) * w
			pix = pix[3:]
		}
		to := dst[3*x:][:3]
		to[0], to[1], to[2] = clip(r), clip(g), clip(b)
	}
}

// acrossRows filters as many rows of src, stride apart, as there are weights, to one.
func acrossRows(dst, src []byte, stride int, sums []int32, weights []int32) {
	n, at := len(dst), 0
	for i := range sums {
		sums[i] = half
	}
	for ; len(weights) >= 4; weights = weights[4:] {
		w0, w1, w2, w3 := weights[0], weights[1], weights[2], weights[3]
		r0, r1, r2, r3 := src[at:][:n], src[at+stride:][:n], src[at+2*stride:][:n], src[at+3*stride:][:n]
		for i := range sums {
			sums[i] += int32(r0[i])*w0 + int32(r1[i])*w1 + int32(r2[i])*w2 + int32(r3[i])*w3
		}
		at += 4 * stride
	}
	for _, w := range weights {
		for i, v := range src[at:][:n] {
			sums[i] += int32(v) * w
		}
		at += stride
	}
	for i, sum := range sums {
		dst[i] = clip(sum)
	}
}

// clip rounds a sum to 8 bits.
func clip(sum int32) uint8 { return uint8(min(max(sum>>weightBits, 0), 255)) }

// grown gives n elements of undefined value, of s where it is large enough.
func grown[E any](s *[]E, n int) []E {
	if cap(*s) < n {
		*s = make([]E, n)
	}
	return (*s)[:n]
}
