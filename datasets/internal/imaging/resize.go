package imaging

import (
	"fmt"
	"image"
)

// A Resizer resizes pictures exactly as Pillow's Image.resize(size, Image.BICUBIC), or BILINEAR, does for 8-bit channels. It
// keeps its buffers from call to call; the zero value is ready, and bicubic, and each goroutine needs its own.
//
// Each output sample is a weighted sum of input samples under a kernel, a cubic with a = −1/2 or a triangle, that is stretched by
// the scale when shrinking, so that the result is antialiased. One axis is done first, and rounded to 8 bits; then the other: which
// one is for [RowsFirst] to say. Weights are computed in float64, normalised, and rounded to 22 fractional bits; sums are exact
// int32 arithmetic. Cubics with a = −3/4 (PyTorch's, OpenCV's) or without antialiasing look alike to the eye and give other
// CLIP features.
type Resizer struct {
	Kernel        Kernel
	columns, rows filter
	half          []uint8 // the picture after the first pass
	sums          []int32
	eight         eightRows
}

// RowsFirst reports whether Pillow, from 13.0 on, filters across the rows before it filters along them when it resizes
// from×from pixels to to×to: where the height shrinks, and by more than twice what the width does. Up to 12.1 it never did,
// 12.2 and 12.3 only where a picture is over 100 times as tall as wide. The value between the passes being rounded, the order is to be
// seen in the pixels.
func RowsFirst(from, to image.Point) bool {
	shrinks := from.Y - to.Y
	return shrinks > 0 && shrinks > 2*(from.X-to.X)
}

// Resize resizes the part of src in crop to w×h, and writes the part of the result in window to dst, which has three bytes
// for each pixel of the window. Nothing outside crop has any influence, as if src had been cropped before. Computing a window
// is the same as cropping the whole result, only faster. rowsFirst is the order of the passes.
func (r *Resizer) Resize(dst []uint8, src *RGB, crop image.Rectangle, w, h int, window image.Rectangle, rowsFirst bool) {
	if crop.Empty() || !crop.In(image.Rect(0, 0, src.W, src.H)) {
		panic(fmt.Sprintf("imaging.Resize: crop %v of a %dx%d picture", crop, src.W, src.H))
	}
	if window.Empty() || !window.In(image.Rect(0, 0, w, h)) {
		panic(fmt.Sprintf("imaging.Resize: window %v of a %dx%d picture", window, w, h))
	}
	if len(dst) != 3*window.Dx()*window.Dy() {
		panic(fmt.Sprintf("imaging.Resize: %d bytes for window %v", len(dst), window))
	}
	if crop.Dx() == w && crop.Dy() == h { // whose filters have one weight other than 0, which is 1
		at := crop.Min.Add(window.Min)
		for y := range window.Dy() {
			n := 3 * window.Dx()
			copy(dst[y*n:][:n], src.Pix[3*((at.Y+y)*src.W+at.X):])
		}
		return
	}
	r.columns.set(r.Kernel, crop.Dx(), w, window.Min.X, window.Max.X)
	r.rows.set(r.Kernel, crop.Dy(), h, window.Min.Y, window.Max.Y)

	// Only rows and columns that some output sample looks at take part.
	left, right := r.columns.span()
	top, bottom := r.rows.span()
	pix, n := src.Pix[3*((crop.Min.Y+top)*src.W+crop.Min.X+left):], 3*window.Dx()
	if rowsFirst {
		m := 3 * (right - left)
		r.half = grow(r.half, m*window.Dy())
		r.across(r.half, m, pix, 3*src.W, top)
		r.along(dst, r.half, m, window.Dy(), left)
		return
	}
	r.half = grow(r.half, n*(bottom-top))
	r.along(r.half, pix, 3*src.W, bottom-top, left)
	r.across(dst, n, r.half, n, top)
}

// grow gives a slice of length n, reusing s where it is large enough. The contents are undefined.
func grow[T any](s []T, n int) []T {
	if cap(s) < n {
		return make([]T, n)
	}
	return s[:n]
}

// weightBits is the number of fractional bits of a weight: 32 less 8 for the sample and 2 for the kernel's overshoot.
const weightBits = 32 - 8 - 2

// Kernel is the function of distance that input samples are weighted by.
type Kernel uint8

const (
	Bicubic Kernel = iota
	Bilinear
)

var kernels = [...]struct {
	support float64 // the distance from which on weights are zero
	weight  func(x float64) float64
}{Bicubic: {2, cubic}, Bilinear: {1, triangle}}

// triangle is the kernel of linear interpolation.
func triangle(x float64) float64 { return max(1-max(x, -x), 0) }

// filter says from which input samples, and with what weights, each output sample of one axis is made.
type filter struct {
	taps    []taps
	weights []int32
	scratch []float64
}

// taps are the input samples from..from+n-1; their weights lie at weights[at:at+n].
type taps struct{ from, n, at int }

// set computes the filter from in samples to out samples, for output samples lo to hi-1.
//
// The order of the float64 operations is Pillow's: another one can round a weight to another 22-bit number. The conversions
// forbid fused multiply-adds, which would do the same on some machines.
func (f *filter) set(k Kernel, in, out, lo, hi int) {
	scale := float64(in) / float64(out)
	stretch := max(scale, 1)
	support := kernels[k].support * stretch
	inverse := 1 / stretch
	f.taps, f.weights = f.taps[:0], f.weights[:0]
	for x := lo; x < hi; x++ {
		center := float64((float64(x) + 0.5) * scale)
		from := max(int(center-support+0.5), 0)
		n := min(int(center+support+0.5), in) - from
		f.scratch = grow(f.scratch, n)
		sum := 0.0
		for i := range f.scratch {
			w := kernels[k].weight(float64((float64(i+from) - center + 0.5) * inverse))
			f.scratch[i] = w
			sum += w
		}
		f.taps = append(f.taps, taps{from, n, len(f.weights)})
		for _, w := range f.scratch {
			if sum != 0 {
				w /= sum
			}
			w = float64(w * (1 << weightBits))
			if w < 0 {
				w -= 0.5
			} else {
				w += 0.5
			}
			f.weights = append(f.weights, int32(w)) // truncation; with the half, rounding away from zero
		}
	}
}

// span gives the input samples that take part: first to last-1.
func (f *filter) span() (first, last int) {
	end := f.taps[len(f.taps)-1]
	return f.taps[0].from, end.from + end.n
}

// cubic is Keys' cubic convolution kernel with a = −1/2 (R. Keys, 1981), evaluated in Pillow's order.
func cubic(x float64) float64 {
	const a = -0.5
	x = max(x, -x)
	switch {
	case x < 1:
		return float64(float64(float64(float64((a+2)*x)-(a+3))*x)*x) + 1
	case x < 2:
		return float64((float64(float64(float64(x-5)*x+8)*x) - 4) * a)
	}
	return 0
}
