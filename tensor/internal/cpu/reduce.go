package cpu

import (
	"sync/atomic"

	"fewshot/tensor/internal/par"
)

// SumTo is dst[(k·n)+j] = Σ_r x[(k·R+r)·n+j], R = |x|/(lanes·n), n = |dst|/lanes.
func (k *Kernels[T]) SumTo(dst, x []T, lanes int) {
	if len(dst) == 0 {
		return
	}
	n := len(dst) / lanes
	rows := len(x) / len(dst)
	if n >= Light/4 { // columns enough to share out, and partial sums would be large
		const cols = Light / 16
		per := par.Chunks(n, cols)
		k.pool.For(lanes*per, 1, func(_, lo, hi int) {
			var sum [cols]float64
			for t := lo; t < hi; t++ {
				lane, j := t/per, t%per*cols
				end := min(j+cols, n)
				sum := sum[:end-j]
				clear(sum)
				sumRows(sum, x[lane*rows*n+j:], rows, n)
				addUp(dst[lane*n+j:lane*n+end], sum, len(sum))
			}
		})
		return
	}
	b := blocks(rows, rowGrain(n, Light))
	each := max(par.Chunks(rows, b), 1)
	sums := k.partials(lanes * b * n) // [lanes, b, n]
	k.pool.For(lanes*b, 1, func(_, lo, hi int) {
		for t := lo; t < hi; t++ {
			lane, first := t/b, min(t%b*each, rows)
			sum := Row(sums, t, n)
			clear(sum)
			sumRows(sum, x[(lane*rows+first)*n:], min(each, rows-first), n)
		}
	})
	for lane := range lanes {
		addUp(Row(dst, lane, n), sums[lane*b*n:(lane+1)*b*n], n)
	}
}

// sumRows adds len(sum) elements of each of the rows that start every stride in x.
func sumRows[T Float](sum []float64, x []T, rows, stride int) {
	if len(sum) == 1 && stride == 1 {
		for _, v := range x[:rows] {
			sum[0] += float64(v)
		}
		return
	}
	for r := range rows {
		x := x[r*stride:][:len(sum)]
		for i := range sum {
			sum[i] += float64(x[i])
		}
	}
}

// addUp is dst[j] = Σ_r sums[r·stride+j], in the order of r.
func addUp[T Float](dst []T, sums []float64, stride int) {
	for j := range dst {
		s := 0.0
		for at := j; at < len(sums); at += stride {
			s += sums[at]
		}
		dst[j] = T(s)
	}
}

// SumSquares is dst[0] = Σ x².
func (k *Kernels[T]) SumSquares(dst, x []T) { k.Dot(dst, x, x) }

// Dot is dst[0] = Σ x·y.
func (k *Kernels[T]) Dot(dst, x, y []T) {
	sums := k.partials(par.Chunks(len(x), Light))
	k.pool.For(len(x), Light, func(_, lo, hi int) {
		sums[lo/Light] = dot(x[lo:hi], y[lo:hi])
	})
	total := 0.0
	for _, s := range sums {
		total += s
	}
	dst[0] = T(total)
}

// dot has four sums, so that one addition need not wait for the one before.
func dot[T Float](x, y []T) float64 {
	y = y[:len(x)]
	var s0, s1, s2, s3 float64
	i := 0
	for ; i+4 <= len(x); i += 4 {
		s0 += float64(float64(x[i]) * float64(y[i]))
		s1 += float64(float64(x[i+1]) * float64(y[i+1]))
		s2 += float64(float64(x[i+2]) * float64(y[i+2]))
		s3 += float64(float64(x[i+3]) * float64(y[i+3]))
	}
	for ; i < len(x); i++ {
		s0 += float64(float64(x[i]) * float64(y[i]))
	}
	return (s0 + s1) + (s2 + s3)
}

// CountAbove is how many x[i] > t.
func (k *Kernels[T]) CountAbove(x []T, t float64) int {
	var total atomic.Int64
	k.pool.For(len(x), Light, func(_, lo, hi int) {
		n, t := 0, T(t)
		for _, v := range x[lo:hi] {
			if v > t {
				n++
			}
		}
		total.Add(int64(n))
	})
	return int(total.Load())
}
