package tests

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"math"
	"testing"

	"fewshot/optim"
	"fewshot/rmt"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// TestSameBits trains R-AMT for ten steps and wants the same scores to the bit, whoever computes them: work is cut
// into pieces by its own size, never by the number of workers, and no sum's order depends on who was first. So it is
// with batches in parts.
func TestSameBits(t *testing.T) {
	for _, micro := range []int{0, 2} {
		want, off := trained(t, 1, micro)
		if off == 0 {
			t.Fatal("no weight was switched off in ten steps: the run shows too little")
		}
		for _, workers := range []int{1, 2, 3, 7} {
			if got, _ := trained(t, workers, micro); got != want {
				t.Errorf("micro-batch %d: %d workers give losses and scores of digest %s, one gave %s", micro, workers, got, want)
			}
		}
	}
}

// trained is the digest of losses and scores after ten steps of R-AMT, and how many weights are off.
func trained(t *testing.T, workers, micro int) (digest string, off int) {
	t.Helper()
	const batch, steps = 3, 10
	dev := open(t, "cpu", workers)
	c := newCLIP(t, dev, newTinyCLIP(), tensor.QuickGELU, 0, 0)
	cfg, err := rmt.Defaults("r-amt", "released", "", 1, false)
	if err != nil {
		t.Fatal(err)
	}
	cfg.MicroBatch = micro
	masks := c.mask(t, cfg.Patterns, func(string, int) float64 { return cfg.Init })
	classes := dev.New(tensor.Full, 3, 8)
	tensor.Normal(classes, tensor.NewKey(1))
	norms := dev.New(tensor.Full, 3)
	tensor.L2Normalize(classes, norms, classes)
	tuner := rmt.NewTrainer(dev, rmt.NewLearner(c.student, c.teacher, train.Head{Classes: classes, Scale: 10}, masks, cfg.Rule()), cfg)
	h := sha256.New()
	schedule := optim.Cosine(1.5e-3, steps)
	for i := range steps {
		images := dev.New(tensor.Compute, batch, 3, paritySize, paritySize)
		tensor.Normal(images, tensor.NewKey(2).Fold(uint64(i)))
		s, err := tuner.Step(t.Context(), images, []int32{0, 1, 2}, schedule(i))
		if err != nil {
			t.Fatal(err)
		}
		images.Release()
		binary.Write(h, binary.LittleEndian, []uint64{math.Float64bits(s.Loss), math.Float64bits(s.Distill), uint64(s.Correct)})
	}
	for _, m := range masks {
		binary.Write(h, binary.LittleEndian, m.Scores.Floats())
	}
	return hex.EncodeToString(h.Sum(nil)), rmt.SparsityOf(masks).Off
}
