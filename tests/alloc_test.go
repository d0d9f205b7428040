package tests

import (
	"context"
	"runtime"
	"strings"
	"testing"

	"fewshot/rmt"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// TestStepsDoNotAllocate: once its sweep is recorded, a training step leaves nothing to the garbage collector, in
// either precision, with the teacher or without, at once or in parts, which take less memory. The portable kernels are
// not held to that: they make a closure for each loop.
func TestStepsDoNotAllocate(t *testing.T) {
	for _, precision := range []string{"float32", "bf16"} {
		peaks := map[int]int64{} // by micro-batch
		for _, of := range []struct {
			off   bool // some weights
			micro int
		}{{off: false}, {off: true}, {off: true, micro: 10}} {
			dev, err := tensor.Open("cpu", tensor.Options{Workers: 2, Precision: precision})
			if err != nil {
				t.Fatal(err)
			}
			defer dev.Close()
			c := newCLIP(t, dev, newTinyCLIP(), tensor.QuickGELU, 0, 0)
			cfg, err := rmt.Defaults("r-amt", "paper", "", 16, false)
			if err != nil {
				t.Fatal(err)
			}
			cfg.MicroBatch = of.micro
			masks := c.mask(t, cfg.Patterns, func(_ string, i int) float64 {
				if of.off && i%40 == 0 {
					return 0
				}
				return cfg.Init
			})
			classes, norms := dev.New(tensor.Full, 3, 8), dev.New(tensor.Full, 3)
			tensor.Normal(classes, tensor.NewKey(1))
			tensor.L2Normalize(classes, norms, classes)
			tuner := rmt.NewTrainer(dev, rmt.NewLearner(c.student, c.teacher, train.Head{Classes: classes, Scale: 10}, masks, cfg.Rule()), cfg)
			images, labels := dev.New(tensor.Compute, 64, 3, paritySize, paritySize), make([]int32, 64)
			tensor.Normal(images, tensor.NewKey(2))
			step := func() {
				if _, err := tuner.Step(context.Background(), images, labels, 0); err != nil {
					t.Fatal(err)
				}
			}
			step()
			runtime.GC() // finds no garbage of other tests to clean up after while it counts
			n := testing.AllocsPerRun(10, step)
			for try := 0; n != 0 && try < 4; try++ { // On a busy machine a worker may get its first work, and the memory for it, late.
				n = testing.AllocsPerRun(10, step)
			}
			if n != 0 && !strings.HasSuffix(dev.Describe(), "portable") {
				t.Errorf("%s, weights off %v, micro-batch %d: %v allocations a step", precision, of.off, of.micro, n)
			}
			peaks[of.micro] = dev.PeakBytes()
			if err := tuner.Release(); err != nil {
				t.Error(err)
			}
		}
		if peaks[10] >= peaks[0] {
			t.Errorf("%s: %d bytes in parts, %d at once", precision, peaks[10], peaks[0])
		}
	}
}
