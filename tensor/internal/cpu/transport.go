package cpu

import "math"

// SinkhornShape is tensor.SinkhornArgs: Batch × Classes problems of Rows × Columns.
type SinkhornShape struct {
	Batch, Rows, Columns, Classes int
	Eps, Threshold                float64
	Most                          int
	Together                      bool
}

// scaling are the factors of the rows and the columns of an image's problems, [Rows, Classes] and [Columns, Classes],
// and of each problem how far the rows' moved last, summed, and whether it goes on.
type scaling struct {
	r, q, moved []float64
	on          []bool
}

// Sinkhorn: see tensor.Backend. Sums and factors are float64, which e^(2/Eps) must fit.
func (k *Kernels[T]) Sinkhorn(dst, s []T, a SinkhornShape) {
	each := a.Rows * a.Columns * a.Classes
	images := make([]scaling, a.Batch)
	k.pool.For(a.Batch, 1, func(_, lo, hi int) {
		for b := lo; b < hi; b++ {
			x := &images[b]
			*x = scaling{make([]float64, a.Rows*a.Classes), make([]float64, a.Columns*a.Classes), make([]float64, a.Classes), make([]bool, a.Classes)}
			for i := range x.r {
				x.r[i] = 1
			}
			for i := range x.q {
				x.q[i] = 1
			}
			for c := range x.on {
				x.on[c] = true
			}
			for i, v := range Row(s, b, each) {
				dst[b*each+i] = T(math.Exp((float64(v) - 1) / a.Eps))
			}
			for n := 0; !a.Together && n < a.Most && iterate(Row(dst, b, each), x, &a); n++ {
			}
		}
	})
	for n := 0; a.Together && n < a.Most; n++ {
		k.pool.For(a.Batch, 1, func(_, lo, hi int) {
			for b := lo; b < hi; b++ {
				iterate(Row(dst, b, each), &images[b], &a)
			}
		})
		moved := 0.0
		for b := range images {
			for _, d := range images[b].moved {
				moved += d
			}
		}
		if moved/float64(a.Batch*a.Rows*a.Classes) < a.Threshold {
			break
		}
	}
	k.pool.For(a.Batch, 1, func(_, lo, hi int) {
		for b := lo; b < hi; b++ {
			x := &images[b]
			at := Row(dst, b, each)
			for m := range a.Rows {
				for j := range a.Columns {
					r, q := Row(x.r, m, a.Classes), Row(x.q, j, a.Classes)
					for c, v := range Row(at, m*a.Columns+j, a.Classes) {
						at[(m*a.Columns+j)*a.Classes+c] = T(r[c] * float64(v) * q[c])
					}
				}
			}
		}
	})
}

// iterate scales rows, and then columns, of the problems of an image that go on. It reports whether any does.
func iterate[T Float](kernel []T, x *scaling, a *SinkhornShape) (any bool) {
	sum := make([]float64, a.Classes)
	for c := range x.moved {
		x.moved[c] = 0
	}
	for m := range a.Rows {
		clear(sum)
		for j := range a.Columns {
			q := Row(x.q, j, a.Classes)
			for c, v := range Row(kernel, m*a.Columns+j, a.Classes) {
				sum[c] += float64(v) * q[c]
			}
		}
		r := Row(x.r, m, a.Classes)
		for c := range sum {
			if x.on[c] {
				was := r[c]
				r[c] = 1 / (float64(a.Rows) * sum[c])
				x.moved[c] += math.Abs(r[c] - was)
			}
		}
	}
	for j := range a.Columns {
		clear(sum)
		for m := range a.Rows {
			r := Row(x.r, m, a.Classes)
			for c, v := range Row(kernel, m*a.Columns+j, a.Classes) {
				sum[c] += float64(v) * r[c]
			}
		}
		q := Row(x.q, j, a.Classes)
		for c := range sum {
			if x.on[c] {
				q[c] = 1 / (float64(a.Columns) * sum[c])
			}
		}
	}
	for c := range x.on {
		if !a.Together && x.moved[c]/float64(a.Rows) < a.Threshold {
			x.on[c] = false
		}
		any = any || x.on[c]
	}
	return any
}
