package train

import (
	"errors"
	"iter"
	"math"
	"slices"
	"testing"

	"fewshot/tensor"
)

// Ties go to the lowest label.
func TestArgmax(t *testing.T) {
	dev := newBench(t, "cpu").dev
	x := dev.From([]float32{
		1, 2, 3,
		3, 2, 3,
		-1, -1, -1,
		0, 5, 5,
	}, 4, 3)
	if got := Argmax(x); !slices.Equal(got, []int32{2, 0, 0, 1}) {
		t.Errorf("%v", got)
	}
	s := sweep{logits: x.Float64s(), labels: []int32{2, 2, 0, 1}, plan: Plan{Classes: 3}}
	if got := s.correct(); got != 3 {
		t.Errorf("%d right", got)
	}
}

// No label follows from logits that are no numbers.
func TestPredictNonFinite(t *testing.T) {
	b := newBench(t, "cpu")
	zero := b.learner() // its features have no direction
	tensor.Fill(zero.weight.Value, 0)
	for _, c := range []Model{{b.learner(), Head{b.head.Classes, math.Inf(1)}}, {b.learner(), Head{b.head.Classes, math.NaN()}}, {zero, b.head}} {
		for labels, err := range Predict(t.Context(), b.dev, c, batchesOf([]float32{1, 2}, 2)) {
			if labels != nil || !errors.Is(err, ErrLogits) {
				t.Errorf("scale %g: %v, %v", c.Head.Scale, labels, err)
			}
		}
	}
}

// batchesOf gives images whose first numbers are the values, size at a time.
func batchesOf(values []float32, size int) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for part := range slices.Chunk(values, size) {
			b := Batch{Size: toySize, Pixels: make([]float32, len(part)*toyIn), Labels: make([]int32, len(part))}
			for i, v := range part {
				b.Pixels[i*toyIn] = v
				b.Pixels[i*toyIn+1] = 1
			}
			if !yield(b, nil) {
				return
			}
		}
	}
}

func TestPredict(t *testing.T) {
	b := newBench(t, "cpu")
	values := []float32{-3, -2, -1, 0, 1, 2, 3}
	all := func(e Encoder, size int) (labels []int32) {
		t.Helper()
		for l, err := range Predict(t.Context(), b.dev, Model{e, b.head}, batchesOf(values, size)) {
			if err != nil {
				t.Fatal(err)
			}
			labels = append(labels, l...)
		}
		return labels
	}
	want := all(b.learner(), 7)
	for _, size := range []int{1, 2, 3, 10} {
		if got := all(b.learner(), size); !slices.Equal(got, want) {
			t.Errorf("in batches of %d: %v, want %v", size, got, want)
		}
	}
}

func TestFeatures(t *testing.T) {
	b := newBench(t, "cpu")
	w := b.weight.Floats()
	row := 0
	values := []float32{2, -1, 0.5}
	for f, err := range Features(t.Context(), b.dev, b.learner(), batchesOf(values, 2)) {
		if err != nil {
			t.Fatal(err)
		}
		got := f.Floats()
		for i := 0; i < len(got); i += toyEmbed {
			for j := range toyEmbed {
				// The products are exact to 2⁻²³ relative; two of them are added.
				if want := values[row]*w[j*toyIn] + w[j*toyIn+1]; abs(got[i+j]-want) > 1e-6*(1+abs(want)) {
					t.Errorf("image %d, element %d: %g, want %g", row, j, got[i+j], want)
				}
			}
			row++
		}
	}
	if row != 3 {
		t.Errorf("%d features", row)
	}
}

func abs(x float32) float32 { return max(x, -x) }

// Whoever stops listening gets no more, an error ends the batches, and all memory comes back.
func TestPredictStops(t *testing.T) {
	b := newBench(t, "cpu")
	model := Model{b.learner(), b.head}
	broken := errors.New("broken")
	failing := func(yield func(Batch, error) bool) {
		for batch := range batchesOf([]float32{1}, 1) {
			if !yield(batch, nil) {
				return
			}
		}
		yield(Batch{}, broken)
	}
	n := 0
	var got error
	for _, err := range Predict(t.Context(), b.dev, model, failing) {
		n++
		got = err
	}
	if n != 2 || !errors.Is(got, broken) {
		t.Errorf("%d results, %v", n, got)
	}
	for range 2 {
		for range Predict(t.Context(), b.dev, model, batchesOf([]float32{1, 2, 3}, 1)) {
			break
		}
	}
	before := b.dev.PeakBytes()
	for range 10 {
		for range Predict(t.Context(), b.dev, model, batchesOf([]float32{1, 2, 3}, 1)) {
			break
		}
	}
	if after := b.dev.PeakBytes(); after != before {
		t.Errorf("memory grows from %d to %d bytes", before, after)
	}
}
