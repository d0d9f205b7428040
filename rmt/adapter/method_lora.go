package adapter

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"fewshot/optim"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// LoRASettings are those of clip-lora with how its images are varied.
type LoRASettings struct {
	LoRAConfig
	method.Augment
}

// Declare declares a flag for each setting.
func (c *LoRASettings) Declare(fs *flag.FlagSet) {
	fs.StringVar(&c.Encoder, "encoder", c.Encoder, strings.Join(LoRAEncoders(), ", "))
	fs.Func("params", fmt.Sprintf("comma-separated projections of attention that get a path: q, k, v, o (default %s)", strings.Join(c.Params, ",")), func(s string) error {
		c.Params = strings.Split(s, ",")
		return nil
	})
	fs.IntVar(&c.Rank, "r", c.Rank, "rank")
	fs.Float64Var(&c.Alpha, "alpha", c.Alpha, "what a path says counts by alpha/√r")
	fs.Float64Var(&c.Dropout, "dropout", c.Dropout, "of the paths' inputs")
	fs.Float64Var(&c.LogitScale, "logit-scale", c.LogitScale, "cosines are multiplied by it, as published whatever the model; 0 for the model's own")
	fs.IntVar(&c.Iterations, "iterations", c.Iterations, "steps (500 a shot)")
	fs.Float64Var(&c.LR, "lr", c.LR, "learning rate of AdamW")
	fs.Float64Var(&c.Decay, "wd", c.Decay, "weight decay")
	fs.IntVar(&c.Batch, "batch-size", c.Batch, "images a step")
	c.Augment.Declare(fs)
}

// Validate reports the first setting that makes no sense.
func (c *LoRASettings) Validate() error {
	if err := c.LoRAConfig.Validate(); err != nil {
		return err
	}
	return c.Augment.Validate()
}

// paths are both encoders with LoRA's paths.
type paths struct {
	method.Held
	*LoRA
	job *method.Job
}

// Close takes the paths off.
func (l *paths) Close() {
	l.Forget()
	l.Release()
}

func (l *paths) Tensors() []optim.Named { return method.Named(l.Groups()[0].Params) }

// Classifier encodes the classes by the text encoder with its paths, if it has any.
func (l *paths) Classifier(ctx context.Context, classes []string) (train.Classifier, error) {
	if l.Config.Encoder == "vision" {
		head, err := l.job.HeadOf(ctx, classes)
		head.Scale = l.Head.Scale
		return train.Model{Encoder: l.job.Model.Image, Head: head}, err
	}
	prompts, err := l.job.Tokens("clip-lora", classes)
	if err != nil {
		return nil, err
	}
	m := l.ModelOf(prompts)
	l.Hold(m.Head.Classes.Release)
	return m, nil
}

// Scale is what cosines are multiplied by; see [method.Scaled].
func (l *paths) Scale() float64 { return l.Head.Scale }

func newPaths(ctx context.Context, j *method.Job) (*paths, error) {
	c := j.Settings.(*LoRASettings)
	c.Seed = j.Seed
	var prompts [][]int32 // of the text encoder, where it has paths
	if c.Encoder != "vision" {
		var err error
		if prompts, err = j.Tokens("clip-lora", j.Classes); err != nil {
			return nil, err
		}
	}
	head, err := j.Head(ctx)
	if err != nil {
		return nil, err
	}
	l, err := NewLoRA(j.Model.Image, j.Model.Text, prompts, head, c.LoRAConfig)
	if err != nil {
		return nil, err
	}
	return &paths{LoRA: l, job: j}, nil
}

func beginLoRA(ctx context.Context, j *method.Job) (*method.Training, error) {
	c := j.Settings.(*LoRASettings)
	data, err := j.Data.Batches(c.Batch, c.Augment)
	if err != nil {
		return nil, err
	}
	l, err := newPaths(ctx, j)
	if err != nil {
		return nil, err
	}
	return &method.Training{Learned: l, Run: train.ForSteps(train.New(j.Dev, l.LoRA, j.Key("clip-lora"), j.Micro(c.Batch)), c.Iterations, c.Schedule(), data)}, nil
}

func loadLoRA(ctx context.Context, j *method.Job, read func(string) (*tensor.Tensor, error)) (method.Learned, error) {
	l, err := newPaths(ctx, j)
	if err != nil {
		return nil, err
	}
	return l, method.Fill(l, read)
}
