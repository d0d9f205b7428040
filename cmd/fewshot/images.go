package main

import (
	"flag"
	"iter"

	"fewshot/datasets"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
)

// loaderFlags say how images are read; they have no influence on results.
type loaderFlags struct{ run.Loader }

func (l *loaderFlags) declare(fs *flag.FlagSet) {
	fs.IntVar(&l.Workers, "decoders", 0, "images decoded at the same time, 0 for one a core")
	fs.Int64Var(&l.CacheMiB, "cache", 2048, "memory for decoded training images, in MiB")
	fs.StringVar(&l.Store, "store", "auto", "where decoded images are kept and cropped: host, device, or auto: on a GPU, if they take at most an eighth of its memory")
	fs.IntVar(&l.Batch, "eval-batch", 100, "images a batch in evaluation, at most")
}

func (l *loaderFlags) validate() error {
	if err := l.Validate(); err != nil {
		return usageError{err.Error()}
	}
	return nil
}

// adapt gives the loader's batches in the terms of package train.
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
