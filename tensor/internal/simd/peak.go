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

// The operands of Loop: a tile of A and a panel of B so deep, which with the tiles of C fill most of an L1 cache of 32 KiB.
const loopK, loopTiles = 96, 4

// LoopFLOP is the number of operations that Loop does; 0 where it can do nothing.
func LoopFLOP(p *par.Pool) float64 {
	if active == nil {
		return 0
	}
	flop, steps := active.loopSteps()
	return float64(flop) * float64(steps) * peakTasks * float64(p.Workers())
}

// Loop keeps all workers of p as busy as Peak does, with products of float32 tiles whose operands are in the L1 cache:
// multiply-adds as they are in Gemm, with the loads, broadcasts and addresses that go with them. Where another program
// takes half of the instructions that a core can begin, Peak does not notice, as it has few of them, and this does. It
// panics where LoopFLOP is 0.
func Loop(p *par.Pool) {
	v := kernels()
	_, steps := v.loopSteps()
	p.For(peakTasks*p.Workers(), 1, func(int, int, int) {
		var a [loopK * 14]float32
		var b [loopK * 32]float32
		var c [loopTiles * maxTile]float32
		for i := range b {
			a[i%len(a)], b[i] = 1, -1
		}
		for range steps {
			v.tiles[1][v.rows-1](loopTiles, loopK, &a[0], 0, 1, v.rows, &b[0], &c[0], v.width, nil, nil, v.width, &a[0], 0)
		}
	})
}

// loopSteps are the operations in a step of Loop and the steps of a task.
func (v *variant) loopSteps() (flop, steps int) {
	flop = 2 * v.rows * v.width * loopK * loopTiles
	return flop, peakTaskFLOP / flop
}
