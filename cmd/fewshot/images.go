package main

import (
	"context"
	"flag"
	"iter"
	"slices"

	"fewshot/datasets"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// loaderFlags say how images are read; they have no influence on results.
type loaderFlags struct {
	workers  int
	cacheMiB int64
	store    string
	batch    int
}

func (l *loaderFlags) declare(fs *flag.FlagSet) {
	fs.IntVar(&l.workers, "decoders", 0, "images decoded at the same time, 0 for one a core")
	fs.Int64Var(&l.cacheMiB, "cache", 2048, "memory for decoded training images, in MiB")
	fs.StringVar(&l.store, "store", "auto", "where decoded images are kept and cropped: host, device, or auto: on a GPU, if they take at most an eighth of its memory")
	fs.IntVar(&l.batch, "eval-batch", 100, "images a batch in evaluation")
}

func (l *loaderFlags) validate() error {
	if l.workers < 0 || l.cacheMiB < 0 || l.batch < 1 {
		return usagef("-decoders %d, -cache %d, -eval-batch %d: numbers must not be negative, and a batch has an image", l.workers, l.cacheMiB, l.batch)
	}
	if !slices.Contains([]string{"auto", "host", "device"}, l.store) {
		return usagef("-store %q: there are auto, host and device", l.store)
	}
	return nil
}

// adapt gives the loader's batches in the tuner's terms.
func adapt(batches iter.Seq2[*datasets.Batch, error], size int) iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) {
		for b, err := range batches {
			if err != nil {
				yield(train.Batch{}, err)
				return
			}
			if !yield(train.Batch{Pixels: b.Pixels, Labels: b.Labels, Size: size}, nil) {
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

// classAccuracy is the outcome for one class.
type classAccuracy struct {
	Class    string  `json:"class"`
	Accuracy float64 `json:"accuracy"` // percent of its images; 0 without any
	F1       float64 `json:"f1"`       // percent; 0 where the class neither occurs nor is predicted
	Correct  int     `json:"correct"`
	Images   int     `json:"images"`
}

// tally counts predictions by class.
type tally struct {
	hit, said, is []int // predicted rightly, predicted, there
	done          int
}

func (t *tally) add(want, predicted int32) {
	t.said[predicted]++
	t.is[want]++
	if predicted == want {
		t.hit[want]++
	}
	t.done++
}

// f1 is the harmonic mean of precision and recall of a class, in percent.
func (t *tally) f1(class int) float64 { return percent(2*t.hit[class], t.said[class]+t.is[class]) }

func (t *tally) accuracy() accuracy {
	a := accuracy{Images: t.done}
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

func (t *tally) perClass(names []string) []classAccuracy {
	var all []classAccuracy
	for c, name := range names {
		all = append(all, classAccuracy{name, percent(t.hit[c], t.is[c]), t.f1(c), t.hit[c], t.is[c]})
	}
	return all
}

// percent is 0 of nothing.
func percent(part, of int) float64 { return 100 * float64(part) / float64(max(of, 1)) }

// evaluate classifies images.
func evaluate(ctx context.Context, u *ui, what string, dev *tensor.Device, c train.Classifier, images *source) (accuracy, error) {
	t, err := classify(ctx, u, what, dev, c, images)
	return t.accuracy(), err
}

// classify is evaluate, class by class.
func classify(ctx context.Context, u *ui, what string, dev *tensor.Device, c train.Classifier, images *source) (*tally, error) {
	advance, finish := u.progress(what, len(images.items))
	defer finish()
	// Blocks of training sizes are of no use here, nor the other way round.
	dev.Trim()
	defer dev.Trim()
	classes := len(images.ds.Classes)
	t := &tally{hit: make([]int, classes), said: make([]int, classes), is: make([]int, classes)}
	for labels, err := range train.Predict(ctx, dev, c, images.Epoch(ctx, 0, 0)) {
		if err != nil {
			return t, err
		}
		for _, p := range labels {
			t.add(images.items[t.done].Label, p)
		}
		advance(t.done, "")
	}
	return t, ctx.Err()
}
