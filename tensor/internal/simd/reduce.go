package simd

import (
	"sync/atomic"

	"fewshot/tensor/internal/par"
)

// The reductions of this file work on all workers of p, and panic while Kernels is "".

// dot is the operands of Dot, and its partial sums, one a task.
type dot struct {
	v    *variant
	x, y []float32
	sums []float64
}

func (d *dot) Do(_, lo, hi int) { d.sums[lo/task] = float64(d.v.dot(hi-lo, &d.x[lo], &d.y[lo])) }

// sums is memory for partial sums.
type sums struct{ x []float64 }

var idleSums free[sums]

// Dot is Σ x[i]·y[i]: in float32, in several chains, within a task, and in float64 from task to task.
func Dot(p *par.Pool, x, y []float32) float32 {
	same("Dot", len(x), len(y))
	s := idleSums.take()
	defer idleSums.give(s)
	n := par.Chunks(len(x), task)
	if cap(s.x) < n {
		s.x = make([]float64, n)
	}
	par.Do(p, len(x), task, dot{kernels(), x, y, s.x[:n]})
	total := 0.0
	for _, sum := range s.x[:n] {
		total += sum
	}
	return float32(total)
}

// countAbove is the operands of CountAbove.
type countAbove struct {
	v     *variant
	x     []float32
	t     float32
	total *atomic.Int64
}

func (c *countAbove) Do(_, lo, hi int) { c.total.Add(int64(c.v.countAbove(hi-lo, &c.x[lo], c.t))) }

var idleCounts free[atomic.Int64]

// CountAbove is how many x[i] > t.
func CountAbove(p *par.Pool, x []float32, t float32) int {
	total := idleCounts.take()
	defer idleCounts.give(total)
	total.Store(0)
	par.Do(p, len(x), task, countAbove{kernels(), x, t, total})
	return int(total.Load())
}
