package probe

import (
	"context"
	"flag"
	"slices"

	"fewshot/optim"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// FinetuneSettings are those of finetune with how its images are varied.
type FinetuneSettings struct {
	FinetuneConfig
	method.Augment
}

// Declare declares a flag for each setting.
func (c *FinetuneSettings) Declare(fs *flag.FlagSet) {
	fs.IntVar(&c.Epochs, "epochs", c.Epochs, "epochs")
	fs.Float64Var(&c.LR, "lr", c.LR, "learning rate of AdamW")
	fs.Float64Var(&c.Decay, "wd", c.Decay, "weight decay")
	fs.IntVar(&c.Batch, "batch-size", c.Batch, "images a step")
	fs.Float64Var(&c.Wise, "wise", c.Wise, "how far from the weights before to those after training, 0 to 1")
	c.Augment.Declare(fs)
}

// Validate reports the first setting that makes no sense.
func (c *FinetuneSettings) Validate() error {
	if err := c.FinetuneConfig.Validate(); err != nil {
		return err
	}
	return c.Augment.Validate()
}

// finetuned is an image encoder with weights of its own.
type finetuned struct {
	job *method.Job
	*Finetune
}

// Close gives the encoder its own weights back.
func (l finetuned) Close() { l.Detach() }

func (l finetuned) Tensors() []optim.Named { return method.Named(l.Weights()) }

func (l finetuned) Classifier(ctx context.Context, classes []string) (train.Classifier, error) {
	head, err := l.job.HeadOf(ctx, classes)
	return train.Model{Encoder: l.image, Head: head}, err
}

func beginFinetune(ctx context.Context, j *method.Job) (*method.Training, error) {
	c := j.Settings.(*FinetuneSettings)
	data, err := j.Data.Batches(c.Batch, c.Augment)
	if err != nil {
		return nil, err
	}
	head, err := j.Head(ctx)
	if err != nil {
		return nil, err
	}
	l, err := NewFinetune(j.Model.Image, head, c.FinetuneConfig)
	if err != nil {
		return nil, err
	}
	t := &method.Training{Learned: finetuned{j, l}, TextDone: true,
		Run: &train.Run{Trainer: train.New(j.Dev, l, j.Key("finetune"), j.Micro(c.Batch)), Epochs: c.Epochs, Schedule: c.Schedule(), Data: data}}
	if c.Wise != 1 {
		t.Solve = func(context.Context) error {
			l.Interpolate(c.Wise)
			return nil
		}
	}
	return t, nil
}

func loadFinetune(_ context.Context, j *method.Job, read func(string) (*tensor.Tensor, error)) (method.Learned, error) {
	l, err := NewFinetune(j.Model.Image, train.Head{}, j.Settings.(*FinetuneSettings).FinetuneConfig)
	if err != nil {
		return nil, err
	}
	return finetuned{j, l}, method.Fill(finetuned{j, l}, read)
}

// TwoStageSettings are those of 2sfs with how its images are varied.
type TwoStageSettings struct {
	TwoStageConfig
	method.Augment
}

// Declare declares a flag for each setting.
func (c *TwoStageSettings) Declare(fs *flag.FlagSet) {
	fs.IntVar(&c.Iterations, "iterations", c.Iterations, "steps of both stages (300 a shot)")
	fs.Float64Var(&c.First, "first-stage", c.First, "share of them that the first stage has")
	fs.StringVar(&c.LN, "ln", c.LN, "layer norms of the first stage: released, those of the blocks, or all, as the paper says")
	fs.Float64Var(&c.LR, "lr", c.LR, "learning rate of AdamW in either stage")
	fs.Float64Var(&c.Decay, "wd", c.Decay, "weight decay")
	fs.IntVar(&c.Batch, "batch-size", c.Batch, "images a step")
	c.Augment.Declare(fs)
}

// Validate reports the first setting that makes no sense.
func (c *TwoStageSettings) Validate() error {
	if err := c.TwoStageConfig.Validate(); err != nil {
		return err
	}
	return c.Augment.Validate()
}

// staged is both encoders with norms of their own, and a classifier of the classes that it was trained on.
type staged struct {
	method.Held
	*TwoStage
	job     *method.Job
	learned []string
}

// Close gives the encoders their own norms back.
func (l *staged) Close() {
	l.Forget()
	l.Detach()
}

func (l *staged) Tensors() []optim.Named {
	var all []optim.Named
	for _, g := range l.Groups() {
		all = append(all, method.Named(g.Params)...)
	}
	return all
}

// Classifier takes the trained classifier for trained classes, and the tuned text encoder for others.
func (l *staged) Classifier(_ context.Context, classes []string) (train.Classifier, error) {
	prompts, err := l.job.Tokens("2sfs", classes)
	if err != nil {
		return nil, err
	}
	m := l.Model(prompts, places(l.learned, classes))
	l.Hold(m.Head.Classes.Release)
	return m, nil
}

// places are where classes stand among the learned ones, −1 for one that does not. Of several classes of one name the first is the first learned
// one, and so on.
func places(learned, classes []string) (all []int) {
	next := map[string]int{} // where to look for a name
	for _, c := range classes {
		i := slices.Index(learned[next[c]:], c)
		if i >= 0 {
			i += next[c]
			next[c] = i + 1
		}
		all = append(all, i)
	}
	return all
}

func newStaged(j *method.Job) (*staged, error) {
	prompts, err := j.Tokens("2sfs", j.Classes)
	if err != nil {
		return nil, err
	}
	l, err := NewTwoStage(j.Model.Image, j.Model.Text, prompts, j.Model.Scale(), j.Settings.(*TwoStageSettings).TwoStageConfig)
	if err != nil {
		return nil, err
	}
	return &staged{TwoStage: l, job: j, learned: j.Classes}, nil
}

func beginTwoStage(_ context.Context, j *method.Job) (*method.Training, error) {
	c := j.Settings.(*TwoStageSettings)
	data, err := j.Data.Batches(c.Batch, c.Augment)
	if err != nil {
		return nil, err
	}
	l, err := newStaged(j)
	if err != nil {
		return nil, err
	}
	return &method.Training{Learned: l, Run: train.ForSteps(train.New(j.Dev, l.TwoStage, j.Key("2sfs"), j.Micro(c.Batch)), c.Iterations, c.Schedule(), data)}, nil
}

func loadTwoStage(_ context.Context, j *method.Job, read func(string) (*tensor.Tensor, error)) (method.Learned, error) {
	l, err := newStaged(j)
	if err != nil {
		return nil, err
	}
	l.second = true
	return l, method.Fill(l, read)
}
