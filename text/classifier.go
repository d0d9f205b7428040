package text

import (
	"fmt"
	"strings"

	"fewshot/autograd"
	"fewshot/tensor"
)

// promptBatch bounds the memory of building a classifier; it has no influence on the result.
const promptBatch = 64

// Classifier builds a zero-shot classifier: one feature a class, [classes, Embed], of length 1. Each
// template has the class name put in for {}. With several, each prompt's feature is normalised, the mean
// taken and normalised again, as CLIP does. The caller holds the result.
func Classifier(e *Encoder, tok *Tokenizer, dev *tensor.Device, classes, templates []string) (*tensor.Tensor, error) {
	var prompts [][]int32
	for _, c := range classes {
		for _, tmpl := range templates {
			if !strings.Contains(tmpl, "{}") {
				return nil, fmt.Errorf("template %q has no {} for the class name", tmpl)
			}
			ids, err := tok.Tokenize(strings.ReplaceAll(tmpl, "{}", c), e.Context, false)
			if err != nil {
				return nil, fmt.Errorf("class %q: %w", c, err)
			}
			prompts = append(prompts, ids)
		}
	}
	return Ensemble(e, dev, prompts, len(templates), NormalizeFirst), nil
}

// Order says what an ensemble of prompts does first with the features of a class.
type Order uint8

const (
	NormalizeFirst Order = iota // normalise each, then take the mean, as CLIP does
	MeanFirst                   // take the mean of the features as they are, as the released R-AMT does
)

// Ensemble is a classifier [classes, Embed], rows of length 1, of tokenised prompts, each of the given number a class: prompts of
// one class follow each other. The mean of their features is normalised, whatever the order. The caller holds the result.
func Ensemble(e *Encoder, dev *tensor.Device, prompts [][]int32, each int, order Order) *tensor.Tensor {
	features := dev.New(tensor.Full, len(prompts), e.Embed)
	for lo := 0; lo < len(prompts); lo += promptBatch {
		hi := min(lo+promptBatch, len(prompts))
		t := autograd.NoGrad(dev)
		f := e.Encode(t, prompts[lo:hi])
		if order == NormalizeFirst {
			f = autograd.L2Normalize(f)
		}
		tensor.Copy(features.Rows(lo, hi), f.Value)
		t.Release()
	}
	if each == 1 && order == NormalizeFirst {
		return features
	}
	// The mean's length does not matter, it is normalised away: a sum will do.
	classes := len(prompts) / each
	sums, norm := dev.New(tensor.Full, classes, e.Embed), dev.New(tensor.Full, classes)
	tensor.SumTo(sums, features.View(classes, each, e.Embed))
	tensor.L2Normalize(sums, norm, sums)
	features.Release()
	norm.Release()
	return sums
}
