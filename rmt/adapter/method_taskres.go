package adapter

import (
	"context"
	"flag"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// TaskResSettings are those of taskres with how its images are varied.
type TaskResSettings struct {
	TaskResConfig
	method.Augment
}

// Declare declares a flag for each setting.
func (c *TaskResSettings) Declare(fs *flag.FlagSet) {
	fs.Float64Var(&c.Alpha, "alpha", c.Alpha, "of the residual in the sum")
	declareLoop(fs, &c.Epochs, &c.LR, &c.L2, &c.Batch)
	c.Augment.Declare(fs)
}

// Validate reports the first setting that makes no sense.
func (c *TaskResSettings) Validate() error {
	if err := c.TaskResConfig.Validate(); err != nil {
		return err
	}
	return c.Augment.Validate()
}

// newTaskRes begins with what the text encoder gives for the classes, not divided by its length.
func newTaskRes(j *method.Job) (*TaskRes, error) {
	prompts, err := j.Tokens("taskres", j.Classes)
	if err != nil {
		return nil, err
	}
	t := autograd.NoGrad(j.Dev)
	defer t.Release()
	base := j.Dev.New(tensor.Full, len(prompts), j.Model.Text.Embed)
	const some = 64
	for lo := 0; lo < len(prompts); lo += some {
		hi := min(lo+some, len(prompts))
		tensor.Copy(base.Rows(lo, hi), j.Model.Text.Encode(t, prompts[lo:hi]).Value)
	}
	r, err := NewTaskRes(base, j.Model.Scale(), j.Settings.(*TaskResSettings).TaskResConfig)
	if err != nil {
		base.Release()
	}
	return r, err
}

func learnedTaskRes(j *method.Job, r *TaskRes) *behindLearned {
	return &behindLearned{job: j, classes: j.Classes, tensors: method.Named([]*nn.Param{r.Residual}), head: r,
		owns: []interface{ Release() }{r.Residual.Value, r.Base}}
}

func beginTaskRes(_ context.Context, j *method.Job) (*method.Training, error) {
	c := j.Settings.(*TaskResSettings)
	data, encoder, err := j.Data.Frozen(c.Batch, c.Augment)
	if err != nil {
		return nil, err
	}
	r, err := newTaskRes(j)
	if err != nil {
		return nil, err
	}
	l := r.Learner(encoder, c.TaskResConfig)
	return &method.Training{Learned: learnedTaskRes(j, r), Warnings: method.WarmupAlone(c.Epochs, warmupEpochs, warmupLR, c.LR),
		Run: &train.Run{Trainer: train.New(j.Dev, l, j.Key("taskres"), j.Micro(c.Batch)), Epochs: c.Epochs, Schedule: c.Schedule(), Data: data}}, nil
}

func loadTaskRes(_ context.Context, j *method.Job, read func(string) (*tensor.Tensor, error)) (method.Learned, error) {
	r, err := newTaskRes(j)
	if err != nil {
		return nil, err
	}
	l := learnedTaskRes(j, r)
	return l, method.Fill(l, read)
}
