package main

import (
	"context"
	"fmt"
	"time"

	"fewshot/datasets"
	"fewshot/rmt"
	"fewshot/tensor"
	"fewshot/vit"
)

// tuning is a model with masks on it, and what it takes to train them.
type tuning struct {
	rmt.Training
	student *vit.Encoder
	batches int           // an epoch
	trained int           // images so far
	took    time.Duration // training them
}

// training is a source of random crops of a data set's training images.
func (l *loaderFlags) training(dev *tensor.Device, u *ui, m *model, ds *datasets.Dataset, c rmt.Config) (*source, error) {
	if len(ds.Train) == 0 {
		return nil, fmt.Errorf("%s has no training images; it is for evaluation only", ds.Name)
	}
	crop := datasets.RandomResizedCrop(c.CropMin)
	crop.Flip = c.Flip
	return l.source(dev, u, ds, ds.Train, datasets.LoaderOptions{
		Transform: m.transform, Augment: crop, BatchSize: c.Batch, Shuffle: true, DropLast: true, Seed: c.Seed, CacheBytes: l.cacheMiB << 20,
	}, false), nil
}

// startTuning puts fresh masks on the model's image encoder. close takes them off.
func startTuning(dev *tensor.Device, m *model, head rmt.Head, images *source, c rmt.Config) (*tuning, error) {
	picked, err := rmt.Select(m.image.Params(), c.Patterns)
	if err != nil {
		return nil, usagef("%v", err)
	}
	masks, teacher := rmt.Attach(picked, c.Init, c.Threshold), m.teacher()
	packFew(m.image, teacher, c)
	return &tuning{batches: images.Batches(), student: m.image, Training: rmt.Training{
		Tuner: rmt.NewTuner(dev, m.image, teacher, head, masks, c), Config: c, Data: images,
	}}, nil
}

// packFew packs the frozen weights if steps are on so few images that it gains. (Who asks for parts of few images wants to save memory.)
func packFew(student, teacher *vit.Encoder, c rmt.Config) {
	if c.Batch*tokens(student.Config) > tensor.FewRows {
		return
	}
	student.Pack(true)
	if c.Rule().NeedsTeacher() {
		teacher.Pack(false) // what the masks hide from the student
	}
}

// run trains to the end, with a progress bar.
func (t *tuning) run(ctx context.Context, u *ui, what string) error {
	advance, finish := u.progress(what, t.Config.Epochs*t.batches)
	defer finish()
	began, before := time.Now(), t.At
	t.Step = func(p rmt.Position, s rmt.Stats) error {
		if p.Epoch != before.Epoch {
			before = rmt.Position{Epoch: p.Epoch}
		}
		t.trained += p.Images - before.Images
		before = p
		t.took = time.Since(began)
		advance(p.Epoch*t.batches+p.Batch, fmt.Sprintf("loss %.3f  %.0f images/s", s.Loss, t.rate()))
		return nil
	}
	return t.Run(ctx)
}

// rate is in images a second.
func (t *tuning) rate() float64 { return float64(t.trained) / max(t.took.Seconds(), 1e-9) }

// close takes the masks off the model.
func (t *tuning) close() {
	t.student.Unpack()
	for _, k := range t.Tuner.Masks {
		k.Detach()
	}
}
