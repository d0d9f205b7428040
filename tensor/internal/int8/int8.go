// Package int8 is products whose factors are integers of eight bits: what is written here defines what the kernels of
// package simd speed up, which give the same bits.
//
// Weights are symmetric, with a scale for each output channel: w ≈ Scale·q, −127 ≤ q ≤ 127. Activations are quantised
// as they come, each row for itself over the range of its values and 0: x ≈ scale·(q − zero), 0 ≤ q ≤ 255. Sums of
// products of integers are exact, so that the order in which they are taken does not matter; what is rounded is
// quantisation, to the nearest integer, ties to even, and the conversion of a sum to float32 and its two scalings, one
// after the other.
package int8

import "math"

// MaxK is the most of k for which sums fit 32 bits: 255·127·MaxK < 2³¹.
const MaxK = 1 << 16

// Weights are a matrix [N, K] of a layer.
type Weights struct {
	N, K   int
	Q      []int8    // [N, K]
	Scales []float32 // [N]
	Sums   []int32   // [N]: Σ q of each row
}

// New is room for a matrix.
func New(n, k int) *Weights {
	return &Weights{N: n, K: k, Q: make([]int8, n*k), Scales: make([]float32, n), Sums: make([]int32, n)}
}

// Set quantises row n. One that is not finite has a scale that is none.
func (w *Weights) Set(n int, row []float32) {
	most := float32(0)
	for _, v := range row {
		if v = max(v, -v); v > most || v != v {
			most = v
		}
	}
	if most-most != 0 { // infinite or NaN
		w.Scales[n], w.Sums[n] = float32(math.NaN()), 0
		clear(w.Q[n*w.K:][:w.K])
		return
	}
	most = max(most, least)
	inverse, sum := 127/most, int32(0)
	for i, v := range row {
		q := int32(round(v * inverse))
		q = min(max(q, -127), 127)
		w.Q[n*w.K+i] = int8(q)
		sum += q
	}
	w.Scales[n], w.Sums[n] = most/127, sum
}

// least is a range below which values are as good as 0, whose inverse is a number.
const least = 0x1p-100

func round(x float32) float32 { return float32(math.RoundToEven(float64(x))) }

// Range is what a row of activations is quantised by, from its least and greatest value, both with 0; finite says that all are.
type Range struct {
	Scale, inverse float32
	Zero           int32
}

// RangeOf makes one.
func RangeOf(lo, hi float32, finite bool) Range {
	span := hi - lo
	if !finite || span-span != 0 {
		return Range{Scale: float32(math.NaN())}
	}
	span = max(span, least)
	r := Range{Scale: span / 255, inverse: 255 / span}
	r.Zero = int32(round(-lo * r.inverse))
	return r
}

// Inverse is what values are multiplied by.
func (r Range) Inverse() float32 { return r.inverse }

// Ends are the least and the greatest value of a row and 0, and whether all of it is finite.
func Ends(x []float32) (lo, hi float32, finite bool) {
	bad := float32(0)
	for _, v := range x {
		bad += v * 0
		if v < lo {
			lo = v
		}
		if v > hi {
			hi = v
		}
	}
	return lo, hi, bad == 0
}

// Row quantises a row of activations that is finite.
func (r Range) Row(q []uint8, x []float32) {
	for i, v := range x {
		q[i] = uint8(min(int32(round(v*r.inverse))+r.Zero, 255))
	}
}

// Value is what a sum over k stands for: of the integers of a row with r and of those of weights' row n.
func (w *Weights) Value(sum int32, r Range, n int) float32 {
	v := float32(sum - r.Zero*w.Sums[n])
	v = float32(v * r.Scale)
	return float32(v * w.Scales[n])
}

// Product is dst[m, n] = x[m, k]·wᵀ (+ bias) (+ add), for rows lo to hi. Row m of x begins at m·lda, those of dst and add at m·ldc.
func (w *Weights) Product(dst, x, bias, add []float32, lo, hi, lda, ldc int) {
	q := make([]uint8, w.K)
	for m := lo; m < hi; m++ {
		row := x[m*lda:][:w.K]
		r := RangeOf(Ends(row))
		if r.Scale == r.Scale {
			r.Row(q, row)
		}
		for n := range w.N {
			sum := int32(0)
			for i, v := range w.Q[n*w.K:][:w.K] {
				sum += int32(v) * int32(q[i])
			}
			v := w.Value(sum, r, n)
			if len(bias) > 0 {
				v = float32(v + bias[n])
			}
			if len(add) > 0 {
				v = float32(v + add[m*ldc+n])
			}
			dst[m*ldc+n] = v
		}
	}
}
