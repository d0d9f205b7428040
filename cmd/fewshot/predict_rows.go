package main

import (
	"context"
	"fmt"
	"iter"
	"os"
	"strings"
	"time"

	"fewshot/cmd/fewshot/internal/predict"
	"fewshot/datasets"
	"fewshot/nn/words"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// predictInput is the images.
type predictInput struct {
	paths iter.Seq2[string, error]
	count int // -1 where a list is to come
}

// input looks at what is named before any work is done, and counts it.
func (f *predictFlags) input(u *ui, args []string) (*predictInput, error) {
	in := &predictInput{}
	unread := 0
	var example string
	folders := map[string]bool{}
	for _, a := range args {
		if a == "-" {
			in.count = -1
			continue
		}
		info, err := os.Stat(a)
		switch {
		case err != nil && !f.going:
			_, err := datasets.ReadImage(a)
			return nil, err
		case err == nil && info.IsDir():
			folders[a] = true
			found := 0
			for _, err := range datasets.WalkImages(a, func(path string) { unread++; example = path }) {
				if err != nil && !f.going {
					return nil, fmt.Errorf("%w; -keep-going goes on without", err)
				}
				found++
			}
			if found == 0 {
				return nil, fmt.Errorf("%s: no images in this folder", a)
			}
			if in.count >= 0 {
				in.count += found
			}
		case in.count >= 0:
			in.count++
		}
	}
	if unread > 0 {
		u.Warn("pictures of kinds that are not read are passed over: %d, such as %s", unread, example)
	}
	in.paths = func(yield func(string, error) bool) {
		for _, a := range args {
			switch {
			case a == "-":
				for path, err := range predict.List(os.Stdin, f.nul) {
					if !yield(path, err) {
						return
					}
				}
			case folders[a]:
				for path, err := range datasets.WalkImages(a, nil) {
					if !yield(path, err) {
						return
					}
				}
			case !yield(a, nil):
				return
			}
		}
	}
	return in, nil
}

// predictor makes rows.
type predictor struct {
	flags    *predictFlags
	ui       *ui
	settings *predictSettings
	format   predict.Format
	write    func([]byte) error
	out      *predict.Output // nil for standard output

	rows, before int // written in all, and of these by processes before
	again        int // rows of the first batch that were written before
	failed       int
}

// all makes the rows of all images.
func (p *predictor) all(ctx context.Context, dev *tensor.Device, t datasets.Transform, c train.Classifier, in *predictInput) error {
	paths := p.out.After(in.paths, p.flags.batch)
	advance, finish := func(int, string) {}, func() {}
	if p.out != nil && in.count > 0 {
		advance, finish = p.ui.Progress("predict", in.count)
	}
	defer finish()
	began := time.Now()
	done := func() {
		rate := float64(p.rows-p.before) / max(time.Since(began).Seconds(), 1e-9)
		advance(p.rows, fmt.Sprintf("%.3g images/s", rate))
		if in.count < 0 {
			p.ui.Log("predict: %s, %.3g images/s", words.Count(p.rows, "image"), rate)
		}
	}
	var now *datasets.StreamBatch
	batches := func(yield func(train.Batch, error) bool) {
		for b, err := range datasets.Stream(ctx, paths, t, p.flags.batch, p.flags.decoders) {
			if err == nil && len(b.Pixels) == 0 {
				if err = p.batch(b.Images, nil); err == nil {
					done()
					continue
				}
			}
			if err != nil {
				yield(train.Batch{}, err)
				return
			}
			now = b
			labels := make([]int32, len(b.Pixels)/(3*t.Size*t.Size))
			if !yield(train.Batch{Pixels: b.Pixels, Labels: labels, Size: t.Size}, nil) {
				return
			}
		}
	}
	for logits, err := range train.Logits(ctx, dev, c, batches) {
		if err == nil {
			err = p.batch(now.Images, logits)
		}
		if err != nil {
			return err
		}
		done()
	}
	return ctx.Err()
}

// batch writes the rows of a batch, given the logits of those images that could be read.
func (p *predictor) batch(images []datasets.Streamed, logits [][]float64) error {
	var b []byte
	rows := 0
	var stop error
	for i, m := range images {
		var z []float64
		err := m.Err
		if err == nil {
			z, logits = logits[0], logits[1:]
			if !allFinite(z) {
				err = fmt.Errorf("%s: %w", m.Path, train.ErrLogits)
			}
		}
		if p.again > i {
			continue
		}
		if err != nil && !p.flags.going {
			stop = fmt.Errorf("%w; -keep-going goes on without", err)
			break
		}
		b = append(b, p.format.Encode(p.row(m.Path, z, err))...)
		rows++
		if err != nil {
			p.complain(err)
		}
	}
	p.again = 0
	if err := p.write(b); err != nil {
		return err
	}
	p.rows += rows
	return stop
}

func (p *predictor) row(path string, z []float64, err error) predict.Row {
	if err != nil {
		return predict.Row{Path: path, Err: strings.ReplaceAll(err.Error(), "\n", " ")}
	}
	t := p.settings.Temperature
	return predict.NewRow(path, p.settings.Classes, p.settings.Top, z, run.Softmax(z, t), t, run.LogSumExp(z, t))
}

// complain names an image that could not be read, unless there are many.
func (p *predictor) complain(err error) {
	const most = 20
	switch p.failed++; {
	case p.failed <= most:
		p.ui.Warn("%v", err)
	case p.failed == most+1:
		p.ui.Warn("further images that have no prediction are named by their rows alone")
	}
}
