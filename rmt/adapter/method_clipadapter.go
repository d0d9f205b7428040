package adapter

import (
	"context"
	"flag"

	"fewshot/nn"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// ClipAdapterSettings are those of clip-adapter with how its images are varied.
type ClipAdapterSettings struct {
	ClipAdapterConfig
	method.Augment
}

// Declare declares a flag for each setting.
func (c *ClipAdapterSettings) Declare(fs *flag.FlagSet) {
	fs.Float64Var(&c.Ratio, "ratio", c.Ratio, "of what the adapter says in the feature")
	fs.IntVar(&c.Reduction, "reduction", c.Reduction, "the middle is so many times narrower than features")
	declareLoop(fs, &c.Epochs, &c.LR, &c.Decay, &c.Batch)
	c.Augment.Declare(fs)
}

// Validate reports the first setting that makes no sense.
func (c *ClipAdapterSettings) Validate() error {
	if err := c.ClipAdapterConfig.Validate(); err != nil {
		return err
	}
	return c.Augment.Validate()
}

// learnedAdapter carries over: the adapter is of features, and knows no classes.
func learnedAdapter(j *method.Job, a *ClipAdapter) *behindLearned {
	return &behindLearned{job: j, classes: j.Classes, tensors: method.Named([]*nn.Param{a.Down, a.Up}), head: a,
		owns: []interface{ Release() }{a.Down.Value, a.Up.Value},
		of: func(ctx context.Context, classes []string) (train.Classifier, error) {
			head, err := j.HeadOf(ctx, classes)
			other := *a
			other.Head = head
			return method.Behind{Encoder: j.Model.Image, Head: &other}, err
		}}
}

func newAdapter(ctx context.Context, j *method.Job) (*ClipAdapter, error) {
	c := j.Settings.(*ClipAdapterSettings)
	c.Seed = j.Seed
	head, err := j.Head(ctx)
	if err != nil {
		return nil, err
	}
	return NewClipAdapter(head, c.ClipAdapterConfig)
}

func beginClipAdapter(ctx context.Context, j *method.Job) (*method.Training, error) {
	c := j.Settings.(*ClipAdapterSettings)
	data, encoder, err := j.Data.Frozen(c.Batch, c.Augment)
	if err != nil {
		return nil, err
	}
	a, err := newAdapter(ctx, j)
	if err != nil {
		return nil, err
	}
	l := a.Learner(encoder, c.ClipAdapterConfig)
	learned := learnedAdapter(j, a)
	return &method.Training{Learned: learned, Warnings: method.WarmupAlone(c.Epochs, warmupEpochs, warmupLR, c.LR),
		Run: &train.Run{Trainer: train.New(j.Dev, l, j.Key("clip-adapter"), j.Micro(c.Batch)), Epochs: c.Epochs, Schedule: c.Schedule(), Data: data}}, nil
}

func loadClipAdapter(ctx context.Context, j *method.Job, read func(string) (*tensor.Tensor, error)) (method.Learned, error) {
	a, err := newAdapter(ctx, j)
	if err != nil {
		return nil, err
	}
	l := learnedAdapter(j, a)
	return l, method.Fill(l, read)
}
