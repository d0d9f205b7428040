package run

import (
	"context"
	"fmt"
	"iter"

	"fewshot/datasets"
	"fewshot/nn/quote"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Accuracy is the outcome of classifying a set of images.
type Accuracy struct {
	Accuracy float64 `json:"accuracy"` // percent
	MacroF1  float64 `json:"macro_f1"` // percent, mean over the labels that occur
	Correct  int     `json:"correct"`
	Images   int     `json:"images"`
}

// ClassAccuracy is the outcome for one class.
type ClassAccuracy struct {
	Class    string   `json:"class"`
	Accuracy *float64 `json:"accuracy"` // percent of its images; null without any
	F1       float64  `json:"f1"`       // percent; 0 where the class neither occurs nor is predicted
	Correct  int      `json:"correct"`
	Images   int      `json:"images"`
}

// Tally counts predictions by class.
type Tally struct {
	hit, said, is []int // predicted rightly, predicted, there
	done          int
}

func (t *Tally) add(want, predicted int32) {
	t.said[predicted]++
	t.is[want]++
	if predicted == want {
		t.hit[want]++
	}
	t.done++
}

// f1 is the harmonic mean of precision and recall of a class, in percent.
func (t *Tally) f1(class int) float64 { return percent(2*t.hit[class], t.said[class]+t.is[class]) }

// Accuracy is the outcome so far.
func (t *Tally) Accuracy() Accuracy {
	a := Accuracy{Images: t.done}
	present := 0
	for c := range t.is {
		a.Correct += t.hit[c]
		if t.is[c] > 0 {
			present++
			a.MacroF1 += t.f1(c)
		}
	}
	a.Accuracy = percent(a.Correct, a.Images)
	a.MacroF1 /= float64(max(present, 1))
	return a
}

// PerClass is the outcome by class, of the given names.
func (t *Tally) PerClass(names []string) []ClassAccuracy {
	var all []ClassAccuracy
	for c, name := range names {
		a := ClassAccuracy{Class: name, F1: t.f1(c), Correct: t.hit[c], Images: t.is[c]}
		if a.Images > 0 {
			p := percent(a.Correct, a.Images)
			a.Accuracy = &p
		}
		all = append(all, a)
	}
	return all
}

// percent is 0 of nothing.
func percent(part, of int) float64 { return 100 * float64(part) / float64(max(of, 1)) }

// Evaluate classifies images.
func Evaluate(ctx context.Context, u UI, what string, dev *tensor.Device, c train.Classifier, images *Source) (Accuracy, error) {
	t, err := Classify(ctx, u, what, dev, c, images)
	if err != nil {
		return Accuracy{}, err
	}
	return t.Accuracy(), nil
}

// Classify is Evaluate, class by class. There is no outcome of no images: that is an error.
func Classify(ctx context.Context, u UI, what string, dev *tensor.Device, c train.Classifier, images *Source) (*Tally, error) {
	all, err := ClassifyEach(ctx, u, what, dev, []train.Classifier{c}, nil, images)
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// ClassifyEach is Classify by several classifiers, for which the images are read once, and encoded once by what they have in common: see
// [train.PredictEach].
func ClassifyEach(ctx context.Context, u UI, what string, dev *tensor.Device, cs []train.Classifier, backbone train.Encoder, images *Source) ([]*Tally, error) {
	return classify(ctx, u, what, dev, cs, backbone, images.ds, images.items, images.Epoch(ctx, 0, 0))
}

// classify counts what classifiers say of items, which come in batches.
func classify(ctx context.Context, u UI, what string, dev *tensor.Device, cs []train.Classifier, backbone train.Encoder, ds *datasets.Dataset, items []datasets.Item,
	batches iter.Seq2[train.Batch, error]) ([]*Tally, error) {
	if len(items) == 0 {
		return nil, fmt.Errorf("%s has no images to test on", quote.Plain(ds.Name))
	}
	advance, finish := u.Progress(what, len(items))
	defer finish()
	// Blocks of training sizes are of no use here, nor the other way round.
	dev.Trim()
	defer dev.Trim()
	classes := len(ds.Classes)
	all := make([]*Tally, len(cs))
	for i := range all {
		all[i] = &Tally{hit: make([]int, classes), said: make([]int, classes), is: make([]int, classes)}
	}
	for labels, err := range train.PredictEach(ctx, dev, cs, backbone, batches) {
		if err != nil {
			return nil, err
		}
		for i, t := range all {
			for _, p := range labels[i] {
				t.add(items[t.done].Label, p)
			}
		}
		advance(all[0].done, "")
	}
	return all, ctx.Err()
}
