package run

import (
	"context"
	"fmt"
	"math"
	"slices"

	"fewshot/nn/quote"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Prediction is what a classifier says of an image.
type Prediction struct {
	Label, Predicted int32
	Confidence       float64 // probability of what is predicted, by the softmax of the logits, 0 to 1
}

// Predictions are those of images, in their order. Logits that are not finite end it with [train.ErrLogits].
func Predictions(ctx context.Context, u UI, what string, dev *tensor.Device, c train.Classifier, images *Source) ([]Prediction, error) {
	if len(images.items) == 0 {
		return nil, fmt.Errorf("%s has no images to test on", quote.Plain(images.ds.Name))
	}
	advance, finish := u.Progress(what, len(images.items))
	defer finish()
	dev.Trim()
	defer dev.Trim()
	all := make([]Prediction, 0, len(images.items))
	for rows, err := range train.Logits(ctx, dev, c, images.Epoch(ctx, 0, 0)) {
		if err != nil {
			return nil, err
		}
		for _, row := range rows {
			if slices.ContainsFunc(row, func(v float64) bool { return math.IsNaN(v) || math.IsInf(v, 0) }) {
				return nil, fmt.Errorf("image %d: %w", len(all)+1, train.ErrLogits)
			}
			all = append(all, predict(row, images.items[len(all)].Label, 1))
		}
		advance(len(all), "")
	}
	return all, ctx.Err()
}

// predict is what logits divided by a temperature say; the lowest class, if there are several.
func predict(logits []float64, label int32, temperature float64) Prediction {
	p := Softmax(logits, temperature)
	best := 0
	for c := range logits {
		if logits[c] > logits[best] {
			best = c
		}
	}
	return Prediction{label, int32(best), p[best]}
}

// TallyOf counts predictions among so many classes.
func TallyOf(all []Prediction, classes int) *Tally {
	t := &Tally{hit: make([]int, classes), said: make([]int, classes), is: make([]int, classes)}
	for _, p := range all {
		t.add(p.Label, p.Predicted)
	}
	return t
}
