package simd

import "math"

// The kernels of this file work on the calling goroutine. Slices of one call are equally long; dst may
// be the first input, but must not overlap an input otherwise. They panic while Kernels is "".

// same panics unless all lengths are n.
func same(op string, n int, lengths ...int) {
	for _, l := range lengths {
		if l != n {
			panic("simd." + op + ": slices of different lengths")
		}
	}
}

// Exp is dst[i] = exp(x[i]), correct to one unit in the last place, denormal results included.
func Exp(dst, x []float32) {
	v := kernels()
	same("Exp", len(dst), len(x))
	if len(dst) > 0 {
		v.exp(len(dst), &dst[0], &x[0])
	}
}

// QuickGELU is dst[i] = x[i]·σ(1.702·x[i]), CLIP's activation.
func QuickGELU(dst, x []float32) {
	v := kernels()
	same("QuickGELU", len(dst), len(x))
	if len(dst) > 0 {
		v.quickGELU(len(dst), &dst[0], &x[0])
	}
}

// QuickGELUGrad is dst[i] = ct[i]·s·(1 + 1.702·x[i]·(1−s)) with s = σ(1.702·x[i]).
func QuickGELUGrad(dst, ct, x []float32) {
	v := kernels()
	same("QuickGELUGrad", len(dst), len(ct), len(x))
	if len(dst) > 0 {
		v.quickGELUGrad(len(dst), &dst[0], &ct[0], &x[0])
	}
}

// GELU is dst[i] = x[i]·Φ(x[i]), Φ the normal distribution function: within four units in the last place.
func GELU(dst, x []float32) {
	v := kernels()
	same("GELU", len(dst), len(x))
	if len(dst) > 0 {
		v.gelu(len(dst), &dst[0], &x[0])
	}
}

// GELUGrad is dst[i] = ct[i]·(Φ(x[i]) + x[i]·φ(x[i])), φ(z) = exp(−z²/2)/√(2π).
func GELUGrad(dst, ct, x []float32) {
	v := kernels()
	same("GELUGrad", len(dst), len(ct), len(x))
	if len(dst) > 0 {
		v.geluGrad(len(dst), &dst[0], &ct[0], &x[0])
	}
}

// Add is dst[i] = x[i] + y[i]. dst may be y, too.
func Add(dst, x, y []float32) {
	v := kernels()
	same("Add", len(dst), len(x), len(y))
	if len(dst) > 0 {
		v.add(len(dst), &dst[0], &x[0], &y[0])
	}
}

// Mul is dst[i] = x[i]·y[i]. dst may be y, too.
func Mul(dst, x, y []float32) {
	v := kernels()
	same("Mul", len(dst), len(x), len(y))
	if len(dst) > 0 {
		v.mul(len(dst), &dst[0], &x[0], &y[0])
	}
}

// Scale is dst[i] = c·x[i].
func Scale(dst, x []float32, c float32) {
	v := kernels()
	same("Scale", len(dst), len(x))
	if len(dst) > 0 {
		v.scale(len(dst), &dst[0], &x[0], c)
	}
}

// AXPY is dst[i] = c·x[i] + dst[i], rounded once.
func AXPY(dst []float32, c float32, x []float32) {
	v := kernels()
	same("AXPY", len(dst), len(x))
	if len(dst) > 0 {
		v.axpy(len(dst), &dst[0], &x[0], c)
	}
}

// Mask is dst[i] = w[i] where s[i] > t, else 0. dst may be s, too.
func Mask(dst, w, s []float32, t float32) {
	v := kernels()
	same("Mask", len(dst), len(w), len(s))
	if len(dst) > 0 {
		v.mask(len(dst), &dst[0], &w[0], &s[0], t)
	}
}

// ReLU is dst[i] = max(x[i], 0).
func ReLU(dst, x []float32) {
	v := kernels()
	same("ReLU", len(dst), len(x))
	if len(dst) > 0 {
		v.relu(len(dst), &dst[0], &x[0])
	}
}

// SoftmaxRow is dst = softmax(x).
func SoftmaxRow(dst, x []float32) {
	v := kernels()
	same("SoftmaxRow", len(dst), len(x))
	if n := len(dst); n > 0 {
		_, sum := v.powersBelowMax(n, &dst[0], &x[0], math.Log2E)
		v.scale(n, &dst[0], &dst[0], 1/sum)
	}
}

// SoftmaxGradRow is dst = y·(ct − Σ ct·y), where y is the result of SoftmaxRow.
func SoftmaxGradRow(dst, ct, y []float32) {
	v := kernels()
	same("SoftmaxGradRow", len(dst), len(ct), len(y))
	if n := len(dst); n > 0 {
		v.softmaxGrad(n, &dst[0], &ct[0], &y[0], v.dot(n, &ct[0], &y[0]), 1)
	}
}

// LayerNormRow is dst[i] = (x[i] − mean)·rstd·w[i] + b[i], where mean is the average of x, and
// rstd = 1/√(var + eps), var its biased variance. The variance is taken about the mean, in a second pass.
func LayerNormRow(dst, x, w, b []float32, eps float32) (mean, rstd float32) {
	v := kernels()
	same("LayerNormRow", len(dst), len(x), len(w), len(b))
	n := len(dst)
	if n == 0 {
		return 0, 0
	}
	mean = v.sum(n, &x[0]) / float32(n)
	variance := v.sumSquares(n, &x[0], mean) / float32(n)
	rstd = float32(1 / math.Sqrt(float64(variance)+float64(eps)))
	v.normalize(n, &dst[0], &x[0], &w[0], &b[0], mean, rstd)
	return mean, rstd
}

// LayerNormGradRow is dst = rstd·(g − mean(g) − x̂·mean(g·x̂)) with g = ct·w and x̂ = (x − mean)·rstd.
func LayerNormGradRow(dst, ct, x, w []float32, mean, rstd float32) {
	v := kernels()
	same("LayerNormGradRow", len(dst), len(ct), len(x), len(w))
	n := len(dst)
	if n == 0 {
		return
	}
	sumG, sumGX := v.normalizeGradSums(n, &ct[0], &x[0], &w[0], mean, rstd)
	v.normalizeGrad(n, &dst[0], &ct[0], &x[0], &w[0], mean, rstd, sumG/float32(n), sumGX/float32(n))
}
