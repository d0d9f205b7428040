package cpu

import "fewshot/tensor/internal/par"

// Crop is a part of a picture, and how an image is made of it. Pix begins at its first pixel; Stride is the number of
// bytes from a row of the picture to the next. A filter has three numbers for each output, which are its first
// input, how many there are, and where in the filter their weights begin; then come the weights.
type Crop struct {
	Pix           []byte
	Stride        int
	Columns, Rows []int32
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
// 8 bits, then each column of that through Rows; levels [3, 256] are what the samples become.
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
	rows []byte  // of the crop, after the first pass
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
	// Only rows that some output looks at go through the first pass.
	first, _ := tap(c.Rows, 0)
	last, weights := tap(c.Rows, size-1)
	last += len(weights)
	width := 3 * size
	rows, sums := grown(&r.rows, width*(last-first)), grown(&r.sums, width)
	for y := first; y < last; y++ {
		alongRow(rows[width*(y-first):][:width], c.Pix[y*c.Stride:], c.Columns)
	}
	for y := range size {
		from, weights := tap(c.Rows, y)
		acrossRows(sums, rows[width*(from-first):], weights)
		for x := range size {
			s, to := sums[3*x:][:3], y*size+x
			if c.Flip {
				to = y*size + size - 1 - x
			}
			for ch, sum := range s {
				dst[ch*size*size+to] = k.levels[256*ch+int(clip(sum))]
			}
		}
	}
}

// alongRow filters one row of pixels.
func alongRow(dst, src []byte, f []int32) {
	for x := range len(dst) / 3 {
		from, weights := tap(f, x)
		r, g, b := int32(half), int32(half), int32(half)
		pix := src[3*from:][:3*len(weights)]
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

// acrossRows adds up as many rows of src as there are weights.
func acrossRows(sums []int32, src []byte, weights []int32) {
	n := len(sums)
	for i := range sums {
		sums[i] = half
	}
	for ; len(weights) >= 4; weights = weights[4:] {
		w0, w1, w2, w3 := weights[0], weights[1], weights[2], weights[3]
		r0, r1, r2, r3 := src[:n], src[n:][:n], src[2*n:][:n], src[3*n:][:n]
		for i := range sums {
			sums[i] += int32(r0[i])*w0 + int32(r1[i])*w1 + int32(r2[i])*w2 + int32(r3[i])*w3
		}
		src = src[4*n:]
	}
	for _, w := range weights {
		for i, v := range src[:n] {
			sums[i] += int32(v) * w
		}
		src = src[n:]
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
