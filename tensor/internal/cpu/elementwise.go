package cpu

import "math"

// Add is dst[i] = x[i] + y[i mod |y|].
func (k *Kernels[T]) Add(dst, x, y []T) {
	ForSuffix(k.pool, len(dst), len(y), Light, func(lo, hi, at int) {
		dst, x, y := dst[lo:hi], x[lo:hi], y[at:at+hi-lo]
		for i := range dst {
			dst[i] = x[i] + y[i]
		}
	})
}

// Mul is dst[i] = x[i] · y[i mod |y|].
func (k *Kernels[T]) Mul(dst, x, y []T) {
	ForSuffix(k.pool, len(dst), len(y), Light, func(lo, hi, at int) {
		dst, x, y := dst[lo:hi], x[lo:hi], y[at:at+hi-lo]
		for i := range dst {
			dst[i] = x[i] * y[i]
		}
	})
}

// Scale is dst[i] = c·x[i].
func (k *Kernels[T]) Scale(dst, x []T, c float64) {
	k.pool.For(len(dst), Light, func(_, lo, hi int) {
		dst, x, c := dst[lo:hi], x[lo:hi], T(c)
		for i := range dst {
			dst[i] = c * x[i]
		}
	})
}

// AXPY is dst[i] += c·x[i].
func (k *Kernels[T]) AXPY(dst []T, c float64, x []T) {
	k.pool.For(len(dst), Light, func(_, lo, hi int) {
		axpy(dst[lo:hi], T(c), x[lo:hi])
	})
}

// axpy is where Attention spends its time; written out four times it is half as fast again.
func axpy[T Float](dst []T, c T, x []T) {
	for i := 0; i+3 < len(x) && i+3 < len(dst); i += 4 {
		dst[i] += T(c * x[i])
		dst[i+1] += T(c * x[i+1])
		dst[i+2] += T(c * x[i+2])
		dst[i+3] += T(c * x[i+3])
	}
	for i := len(x) &^ 3; i < len(x) && i < len(dst); i++ {
		dst[i] += T(c * x[i])
	}
}

// Exp is dst[i] = eˣ.
func (k *Kernels[T]) Exp(dst, x []T) { k.each(dst, x, math.Exp) }

// each is dst[i] = f(x[i]).
func (k *Kernels[T]) each(dst, x []T, f func(float64) float64) {
	k.pool.For(len(dst), Heavy, func(_, lo, hi int) {
		dst, x := dst[lo:hi], x[lo:hi]
		for i := range dst {
			dst[i] = T(f(float64(x[i])))
		}
	})
}

// Mask is dst[i] = w[i] where s[i] > t, else 0.
func (k *Kernels[T]) Mask(dst, w, s []T, t float64) {
	k.pool.For(len(dst), Light, func(_, lo, hi int) {
		dst, w, s, t := dst[lo:hi], w[lo:hi], s[lo:hi], T(t)
		for i := range dst {
			v := w[i]
			if !(s[i] > t) {
				v = 0
			}
			dst[i] = v
		}
	})
}
