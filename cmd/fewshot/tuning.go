package main

import (
	"context"
	"fmt"

	"fewshot/datasets"
	"fewshot/rmt"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/vit"
)

// tuning is a model with masks on it, and what it takes to train them.
type tuning struct {
	train.Run
	student *vit.Encoder
	masks   []*rmt.Mask
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
func startTuning(dev *tensor.Device, m *model, head train.Head, images *source, c rmt.Config) (*tuning, error) {
	picked, err := rmt.Select(m.image.Params(), c.Patterns)
	if err != nil {
		return nil, usagef("%v", err)
	}
	masks, teacher := rmt.Attach(picked, c.Init, c.Threshold), m.teacher()
	packFew(m.image, teacher, c)
	l := rmt.NewLearner(m.image, teacher, head, masks, c.Rule())
	return &tuning{student: m.image, masks: masks, Run: train.Run{
		Trainer: rmt.NewTrainer(dev, l, c), Epochs: c.Epochs, Schedule: c.Schedule(), Data: images,
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
	batches := t.Data.Batches()
	advance, finish := u.progress(what, t.Epochs*batches)
	defer finish()
	t.Step = func(p train.Position, s train.Stats) error {
		advance(p.Epoch*batches+p.Batch, fmt.Sprintf("loss %.3f  %.0f images/s", s.Loss, t.rate()))
		return nil
	}
	return t.Train(ctx)
}

// rate is in images a second.
func (t *tuning) rate() float64 { return float64(t.Done.Images) / max(t.Done.Seconds.Seconds(), 1e-9) }

// close takes the masks off the model.
func (t *tuning) close() {
	t.student.Unpack()
	for _, k := range t.masks {
		k.Detach()
	}
}
