package cpu

import (
	"math"

	"fewshot/tensor/internal/par"
)

// Softmax is dst = softmax of each row of x.
func (k *Kernels[T]) Softmax(dst, x []T, width int) {
	ForRows(k.pool, len(dst), width, Heavy, func(r int) { softmax(Row(dst, r, width), Row(x, r, width)) })
}

// softmax returns the logarithm of the denominator.
func softmax[T Float](dst, x []T) (logZ float64) {
	top := x[0]
	for _, v := range x {
		top = max(top, v)
	}
	sum := 0.0
	for i, v := range x {
		e := math.Exp(float64(v - top))
		dst[i] = T(e)
		sum += e
	}
	for i := range dst {
		dst[i] = T(float64(dst[i]) / sum)
	}
	return float64(top) + math.Log(sum)
}

// SoftmaxGrad is dst = y·(ct − Σ ct·y).
func (k *Kernels[T]) SoftmaxGrad(dst, ct, y []T, width int) {
	ForRows(k.pool, len(dst), width, Light, func(r int) {
		dst, ct, y := Row(dst, r, width), Row(ct, r, width), Row(y, r, width)
		mean := T(dot(ct, y))
		for i := range dst {
			dst[i] = y[i] * (ct[i] - mean)
		}
	})
}

// LayerNorm is dst = (x−µ)·r·w + b with r = 1/√(var+eps); stats holds µ, r a row. The variance is
// taken about the mean in a second pass, as Σx²−µ² would cancel.
func (k *Kernels[T]) LayerNorm(dst, stats, x, w, b []T, width int, eps float64) {
	ForRows(k.pool, len(dst), width, Light, func(r int) {
		dst, x, w, b := Row(dst, r, width), Row(x, r, width), w[:width], b[:width]
		sum := 0.0
		for _, v := range x {
			sum += float64(v)
		}
		mean := sum / float64(width)
		sum = 0
		for _, v := range x {
			d := float64(v) - mean
			sum += float64(d * d)
		}
		rstd := 1 / math.Sqrt(sum/float64(width)+eps)
		stats[2*r], stats[2*r+1] = T(mean), T(rstd)
		for i := range dst {
			dst[i] = T(T((float64(x[i])-mean)*rstd)*w[i]) + b[i]
		}
	})
}

// LayerNormGrad is dst = r·(g − mean(g) − x̂·mean(g·x̂)), g = ct·w, x̂ = (x−µ)·r.
func (k *Kernels[T]) LayerNormGrad(dst, ct, x, stats, w []T, width int) {
	ForRows(k.pool, len(dst), width, Light, func(r int) {
		dst, ct, x, w, stats := Row(dst, r, width), Row(ct, r, width), Row(x, r, width), w[:width], Row(stats, r, 2)
		mean, rstd := float64(stats[0]), float64(stats[1])
		sum, cross := 0.0, 0.0
		for i := range x {
			g, h := float64(float64(ct[i])*float64(w[i])), (float64(x[i])-mean)*rstd
			sum += g
			cross += float64(g * h)
		}
		sum, cross = sum/float64(width), cross/float64(width)
		for i := range dst {
			g, h := float64(float64(ct[i])*float64(w[i])), (float64(x[i])-mean)*rstd
			dst[i] = T(rstd * (g - sum - float64(h*cross)))
		}
	})
}

// LayerNormParamGrad is, for each lane k, dw[k] = Σ_rows ct·x̂ and db[k] = Σ_rows ct.
func (k *Kernels[T]) LayerNormParamGrad(dw, db, ct, x, stats []T, width, lanes int) {
	if width == 0 {
		return
	}
	rows := len(x) / width
	n := blocks(rows, rowGrain(width, Light))
	each := max(par.Chunks(rows, n), 1)
	sums := k.partials(lanes * n * 2 * width) // [lanes, n, 2, width]
	k.pool.For(lanes*n, 1, func(_, lo, hi int) {
		for t := lo; t < hi; t++ {
			lane, first := t/n, t%n*each
			dw, db := Row(sums, 2*t, width), Row(sums, 2*t+1, width)
			clear(dw)
			clear(db)
			for r := first; r < min(first+each, rows); r++ {
				ct, x := Row(ct, lane*rows+r, width), Row(x, r, width)
				mean, rstd := float64(stats[2*r]), float64(stats[2*r+1])
				dw, db, x := dw[:len(ct)], db[:len(ct)], x[:len(ct)]
				for i, c := range ct {
					dw[i] += float64(float64(c) * ((float64(x[i]) - mean) * rstd))
					db[i] += float64(c)
				}
			}
		}
	})
	for lane := range lanes {
		part := sums[lane*n*2*width:][:n*2*width]
		addUp(dw[lane*width:][:width], part, 2*width)
		addUp(db[lane*width:][:width], part[width:], 2*width)
	}
}

// L2Normalize is dst = x/‖x‖₂; norm holds ‖x‖₂ a row.
func (k *Kernels[T]) L2Normalize(dst, norm, x []T, width int) {
	DoRows(k.pool, len(dst), width, Light, l2Normalize[T]{dst, norm, x, width})
}

type l2Normalize[T Float] struct {
	dst, norm, x []T
	width        int
}

func (k *l2Normalize[T]) Row(r int) {
	dst, x := Row(k.dst, r, k.width), Row(k.x, r, k.width)
	n := math.Sqrt(dot(x, x))
	k.norm[r] = T(n)
	for i := range dst {
		dst[i] = T(float64(x[i]) / n)
	}
}

// L2NormalizeGrad is dst = (ct − y·Σ ct·y)/‖x‖.
func (k *Kernels[T]) L2NormalizeGrad(dst, ct, y, norm []T, width int) {
	DoRows(k.pool, len(dst), width, Light, l2NormalizeGrad[T]{dst, ct, y, norm, width})
}

type l2NormalizeGrad[T Float] struct {
	dst, ct, y, norm []T
	width            int
}

func (k *l2NormalizeGrad[T]) Row(r int) {
	dst, ct, y, norm := Row(k.dst, r, k.width), Row(k.ct, r, k.width), Row(k.y, r, k.width), float64(Row(k.norm, r, 1)[0])
	along := dot(ct, y)
	for i := range dst {
		dst[i] = T((float64(ct[i]) - float64(float64(y[i])*along)) / norm)
	}
}
