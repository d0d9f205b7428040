package tensor

import (
	"fewshot/tensor/internal/par"
	"fewshot/tensor/internal/simd"
)

// peaker is what a backend implements that can show the speed of its arithmetic alone.
type peaker interface {
	peak(format string) (flop float64, run func())
}

// Peak returns a call that keeps all workers of the device busy with nothing but multiply-adds in registers, on operands
// in a number format, "float32" or "bf16", and the number of operations that it does, two for a multiplication and
// addition. What they make a second is the peak that no kernel of the device can exceed. Where the device has none, flop
// is 0 and run nil.
func (d *Device) Peak(format string) (flop float64, run func()) {
	if p, ok := d.backend.(peaker); ok {
		return p.peak(format)
	}
	return 0, nil
}

// looper is what a backend implements that can show the speed of the loop of its products alone.
type looper interface {
	loop() (flop float64, run func())
}

// Loop is as Peak, with all instructions of a product in float32 on operands that are in the nearest cache: what
// products can come to on a machine whose cores' other hardware threads are at work. Where the device has none, flop is
// 0 and run nil.
func (d *Device) Loop() (flop float64, run func()) {
	if l, ok := d.backend.(looper); ok {
		return l.loop()
	}
	return 0, nil
}

func (h *vectorHost) loop() (float64, func()) {
	flop := simd.LoopFLOP(h.pool)
	if flop == 0 {
		return 0, nil
	}
	return flop, func() { simd.Loop(h.pool) }
}

func (h *vectorHost) peak(format string) (float64, func())       { return peakOf(h.pool, format) }
func (h *vectorNarrowHost) peak(format string) (float64, func()) { return peakOf(h.pool, format) }

func peakOf(p *par.Pool, format string) (flop float64, run func()) {
	if flop = simd.PeakFLOP(p, format); flop > 0 {
		run = func() { simd.Peak(p, format) }
	}
	return flop, run
}
