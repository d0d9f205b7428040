package rmt

import (
	"context"
	"fmt"
	"math"
	"strings"

	"fewshot/nn"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Layer is what DMT looks at: a weight, and the mean gradient of its mask.
type Layer struct {
	Param *nn.Param
	Mean  float64 // of the cross-entropy by the scores, over elements and batches, while nothing is hidden
	// Error is how far off a mean of so many numbers may be by chance, if they were independent: the standard deviation
	// of the elements' mean gradients by the root of their number. A mean of about its size has no sign to speak of.
	Error float64
}

// Chosen says that hiding elements would lower the loss on average: the layer gets a mask.
func (l Layer) Chosen() bool { return l.Mean > 0 }

// ChooseLayers is how DMT finds the weights to mask (R-AMT, §3.3): of the parameters those whose mask has a positive
// mean gradient over an epoch of the training data, without any update. It puts no masks on.
func ChooseLayers(ctx context.Context, dev *tensor.Device, e train.Encoder, head train.Head, params []*nn.Param, data train.Data) ([]Layer, error) {
	masks := Attach(params, 1, 0.5)
	defer func() {
		for _, m := range masks {
			m.Detach()
			m.Scores.Release()
		}
	}()
	l := NewLearner(e, e, head, masks, Config{}.Rule())
	defer l.Release()
	tr := NewTrainer(dev, l, Config{})
	defer tr.Release()
	layers, sums := make([]Layer, len(params)), make([][]float64, len(params))
	for i, p := range params {
		layers[i].Param, sums[i] = p, make([]float64, p.Value.Len())
	}
	batches := 0.0
	var images *tensor.Tensor
	defer func() {
		if images != nil {
			images.Release()
		}
	}()
	for b, err := range data.Epoch(ctx, chooseEpoch, 0) {
		if err != nil {
			return nil, err
		}
		images = b.Put(dev, images)
		_, grads, err := tr.Gradients(ctx, images, b.Labels)
		if err != nil {
			return nil, err
		}
		batches++
		for i := range layers {
			for j, g := range grads[i][0].Float64s() { // in float64: what is left of a sum of so many is small
				sums[i][j] += g
			}
		}
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if batches == 0 {
		return nil, fmt.Errorf("dmt chooses layers by training images, and there are none")
	}
	chosen := 0
	for i := range layers {
		n, squares := float64(len(sums[i])), 0.0
		mean := sum(sums[i]) / n
		for _, s := range sums[i] {
			squares += (s - mean) * (s - mean)
		}
		layers[i].Mean, layers[i].Error = mean/batches, math.Sqrt(squares/n/n)/batches
		if layers[i].Chosen() {
			chosen++
		}
	}
	if chosen == 0 {
		return layers, fmt.Errorf("dmt found no layer whose mask has a positive mean gradient: there is nothing to mask")
	}
	return layers, nil
}

// chooseEpoch is the epoch whose crops ChooseLayers looks at: none that is trained on.
const chooseEpoch = 1 << 30

// ChoosesLayers reports whether the weights to mask are those that ChooseLayers finds, and not somebody's.
func (c Config) ChoosesLayers() bool {
	return strings.TrimPrefix(c.Method, "r-") == "dmt"
}

// WithLayers is c with the chosen layers' names as patterns.
func (c Config) WithLayers(layers []Layer) Config {
	c.Patterns = nil
	for _, l := range layers {
		if l.Chosen() {
			c.Patterns = append(c.Patterns, l.Param.Name)
		}
	}
	return c
}
