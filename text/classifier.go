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
	features := dev.New(tensor.Full, len(prompts), e.Embed)
	for lo := 0; lo < len(prompts); lo += promptBatch {
		hi := min(lo+promptBatch, len(prompts))
		t := autograd.NoGrad(dev)
		f := autograd.L2Normalize(e.Encode(t, prompts[lo:hi]))
		tensor.Copy(features.Rows(lo, hi), f.Value)
		t.Release()
	}
	if len(templates) == 1 {
		return features, nil
	}
	// The mean's length does not matter, it is normalised away: a sum will do.
	k := len(templates)
	sums, norm := dev.New(tensor.Full, len(classes), e.Embed), dev.New(tensor.Full, len(classes))
	tensor.SumTo(sums, features.View(len(classes), k, e.Embed))
	tensor.L2Normalize(sums, norm, sums)
	features.Release()
	norm.Release()
	return sums, nil
}
