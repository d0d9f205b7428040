package main

import (
	"context"
	"flag"
	"iter"

	"fewshot/datasets"
	"fewshot/rmt"
	"fewshot/tensor"
)

// loaderFlags say how images are read; they have no influence on results.
type loaderFlags struct {
	workers  int
	cacheMiB int64
	batch    int
}

func (l *loaderFlags) declare(fs *flag.FlagSet) {
	fs.IntVar(&l.workers, "decoders", 0, "images decoded at the same time, 0 for one a core")
	fs.Int64Var(&l.cacheMiB, "cache", 2048, "memory for decoded training images, in MiB")
	fs.IntVar(&l.batch, "eval-batch", 100, "images a batch in evaluation")
}

func (l *loaderFlags) validate() error {
	if l.workers < 0 || l.cacheMiB < 0 || l.batch < 1 {
		return usagef("-decoders %d, -cache %d, -eval-batch %d: numbers must not be negative, and a batch has an image", l.workers, l.cacheMiB, l.batch)
	}
	return nil
}

// training is a data set's training images as the tuner sees them.
type training struct {
	*datasets.Loader
	size int
}

func (t training) Epoch(ctx context.Context, epoch, from int) iter.Seq2[rmt.Batch, error] {
	return adapt(t.Loader.Epoch(ctx, epoch, from), t.size)
}

// adapt gives the loader's batches in the tuner's terms.
func adapt(batches iter.Seq2[*datasets.Batch, error], size int) iter.Seq2[rmt.Batch, error] {
	return func(yield func(rmt.Batch, error) bool) {
		for b, err := range batches {
			if err != nil {
				yield(rmt.Batch{}, err)
				return
			}
			if !yield(rmt.Batch{Pixels: b.Pixels, Labels: b.Labels, Size: size}, nil) {
				return
			}
		}
	}
}

// accuracy is the outcome of classifying a set of images.
type accuracy struct {
	Accuracy float64 `json:"accuracy"` // percent
	MacroF1  float64 `json:"macro_f1"` // percent, mean over the labels that occur
	Correct  int     `json:"correct"`
	Images   int     `json:"images"`
}

// evaluate classifies items with an encoder.
func (l *loaderFlags) evaluate(ctx context.Context, u *ui, what string, dev *tensor.Device, m *model, e rmt.Encoder, head rmt.Head, ds *datasets.Dataset, items []datasets.Item) (accuracy, error) {
	advance, finish := u.progress(what, len(items))
	defer finish()
	classes := len(ds.Classes)
	hit, said, is := make([]int, classes), make([]int, classes), make([]int, classes)
	var a accuracy
	batches := adapt(datasets.LoadImages(ctx, ds, items, m.transform, l.batch, l.workers), m.transform.Size)
	for labels, err := range rmt.Predict(dev, e, head, batches) {
		if err != nil {
			return a, err
		}
		for _, p := range labels {
			want := items[a.Images].Label
			said[p]++
			is[want]++
			if p == want {
				hit[p]++
				a.Correct++
			}
			a.Images++
		}
		advance(a.Images, "")
	}
	if err := ctx.Err(); err != nil {
		return a, err
	}
	a.Accuracy = 100 * float64(a.Correct) / float64(max(a.Images, 1))
	present := 0
	for c := range classes {
		if is[c] == 0 {
			continue
		}
		present++
		a.MacroF1 += 100 * 2 * float64(hit[c]) / float64(said[c]+is[c])
	}
	a.MacroF1 /= float64(max(present, 1))
	return a, nil
}
