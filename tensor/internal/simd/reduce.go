package simd

import (
	"sync/atomic"

	"fewshot/tensor/internal/par"
)

// The reductions of this file work on all workers of p, and panic while Kernels is "".

// sums are partial sums, one a task.
type sums struct{ x []float64 }

var idleSums free[sums]

// Dot is Σ x[i]·y[i]: in float32, in several chains, within a task, and in float64 from task to task.
func Dot(p *par.Pool, x, y []float32) float32 {
	v := kernels()
	same("Dot", len(x), len(y))
	s := idleSums.take()
	defer idleSums.give(s)
	s.x = append(s.x[:0], make([]float64, par.Chunks(len(x), task))...)
	p.For(len(x), task, func(_, lo, hi int) { s.x[lo/task] = float64(v.dot(hi-lo, &x[lo], &y[lo])) })
	total := 0.0
	for _, sum := range s.x {
		total += sum
	}
	return float32(total)
}

// CountAbove is how many x[i] > t.
func CountAbove(p *par.Pool, x []float32, t float32) int {
	v := kernels()
	var total atomic.Int64
	p.For(len(x), task, func(_, lo, hi int) { total.Add(int64(v.countAbove(hi-lo, &x[lo], t))) })
	return int(total.Load())
}
