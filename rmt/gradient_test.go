package rmt

import (
	"math"
	"testing"

	"fewshot/tensor"
)

// Two gradients of a mask of 2 × 3 scores, by hand: means 2 and -½, at the rates 0.1 and 0.2.
func TestGradientSumByHand(t *testing.T) {
	b := newBench(t, "ref")
	scores, g := b.dev.New(tensor.Full, 2, 3), b.dev.New(tensor.Full, 2, 3)
	sums := newGradientSums([]*Mask{{Scores: scores}, {Scores: b.dev.New(tensor.Full, 3, 3)}})
	defer sums.release()
	g.Set([]float32{1, 2, 3, 4, 5, -3})
	sums.add(0, 0.1, g)
	g.Set([]float32{0, 0, -8, 0, 5, 0})
	sums.add(0, 0.2, g)
	if got, want := sums.of[0].Item(), 0.1*2-0.2/2; math.Abs(got-want) > 1e-15 || sums.of[1].Item() != 0 {
		t.Errorf("%g, want %g, and of the other mask %g", got, want, sums.of[1].Item())
	}
}

// What a training adds up is what its steps' gradients say, whatever becomes of them, for scores of weights, filters
// and channels.
func TestGradientSumOfTraining(t *testing.T) {
	for _, granularity := range Granularities() {
		b := newBench(t, "ref")
		b.config.LR = 4e-3 // far enough that a second lane comes in
		tuner := b.tunerOf(granularity)
		want := 0.0
		for epoch := range 2 {
			for batch := range b.data.Epoch(t.Context(), epoch, 0) {
				images, lr := batch.Put(b.dev, nil), b.config.LR/float64(1+epoch)
				_, gradients, err := tuner.Gradients(t.Context(), images, batch.Labels)
				if err != nil {
					t.Fatal(err)
				}
				a := gradients[0][0].Float64s()
				want += lr * sum(a) / float64(len(a))
				if _, err := tuner.Step(t.Context(), images, batch.Labels, lr); err != nil {
					t.Fatal(err)
				}
				images.Release()
			}
		}
		of := Sparsities(tuner.Masks)[0]
		// ref computes in float64: eight steps' roundings of sums of at most 288 elements.
		if of.GradientSum == nil || math.Abs(*of.GradientSum-want) > 1e-12*math.Abs(want) || want == 0 || of.Off == 0 {
			t.Errorf("%s: %v, want %g; %d off", granularity, of.GradientSum, want, of.Off)
		}
		tuner.Learner.Release()
		if s := Sparsities(tuner.Masks)[0].GradientSum; s != nil {
			t.Errorf("%s: %g without a learner", granularity, *s)
		}
	}
}
