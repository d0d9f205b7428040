package simd

import "fewshot/tensor/internal/par"

// A task of Peak is about so many operations, some half a millisecond, and there are so many tasks for each worker: one
// that is held up takes fewer.
const (
	peakTaskFLOP = 1 << 26
	peakTasks    = 32
)

// PeakFLOP is the number of operations that Peak does in a number format, "float32" or "bf16", where a multiplication and
// addition are two. It is 0 where the instruction set in use has none for the format.
func PeakFLOP(p *par.Pool, format string) float64 {
	if peakKernel(active, format) == nil {
		return 0
	}
	flop, steps := active.peakSteps(format)
	return float64(flop) * float64(steps) * peakTasks * float64(p.Workers())
}

// Peak keeps all workers of p busy for some ten milliseconds with multiply-adds of registers alone: no kernel can do more
// of them in a second. It panics where PeakFLOP is 0.
func Peak(p *par.Pool, format string) {
	kernel := peakKernel(active, format)
	if kernel == nil {
		panic("simd: Peak: there is no kernel for " + format)
	}
	_, steps := active.peakSteps(format)
	p.For(peakTasks*p.Workers(), 1, func(int, int, int) { kernel(steps) })
}

// peakSteps are the operations in a step of the kernel and the steps of a task.
func (v *variant) peakSteps(format string) (flop, steps int) {
	flop = 2 * v.rows * v.width
	if format == "bf16" {
		flop *= 2 // an instruction takes pairs
	}
	return flop, peakTaskFLOP / flop
}
