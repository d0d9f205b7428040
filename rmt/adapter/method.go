package adapter

import (
	"context"
	"flag"
	"fmt"
	"strings"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt/method"
	"fewshot/rmt/probe"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Methods are the rows of this package in the table of methods.
func Methods() []*method.Method {
	return []*method.Method{
		{
			Name: "clip-adapter", Summary: "two layers behind the image encoder",
			Defaults: func(t method.Task) (method.Settings, error) {
				return &ClipAdapterSettings{DefaultClipAdapter(t.Dataset, t.Shots), method.Augment{CropMin: 0.08, Flip: 0.5}}, nil
			},
			Settings: method.Parse[ClipAdapterSettings], Begin: beginClipAdapter, Load: loadClipAdapter,
		},
		{
			Name: "tip-adapter", Summary: "a cache of training images beside the text classifier, without training", Validates: true, Epochs: method.NoEpochs.Always(),
			Defaults: func(t method.Task) (method.Settings, error) {
				return &TipSettings{DefaultTip(t.Dataset), 10, method.Augment{CropMin: 0.5, Flip: 0.5}}, nil
			},
			Settings: method.Parse[TipSettings], Begin: beginTip, Load: loadTip,
		},
		{
			Name: "tip-adapter-f", Summary: "that cache, its keys trained", Validates: true, Epochs: method.LastEpoch.Always(),
			Defaults: func(t method.Task) (method.Settings, error) {
				return &TipFSettings{TipSettings{DefaultTip(t.Dataset), 10, method.Augment{CropMin: 0.5, Flip: 0.5}}, DefaultTipF(t.Dataset)}, nil
			},
			Settings: method.Parse[TipFSettings], Begin: beginTipF, Load: loadTip,
		},
		{
			Name: "tip-adapter-f-test-selected", Summary: "tip-adapter-f as released: its epoch is chosen on the test images", Validates: true, Peeks: true, Epochs: method.LastEpoch.Always(),
			Defaults: func(t method.Task) (method.Settings, error) {
				return &TipFSettings{TipSettings{DefaultTip(t.Dataset), 10, method.Augment{CropMin: 0.5, Flip: 0.5}}, DefaultTipF(t.Dataset)}, nil
			},
			Settings: method.Parse[TipFSettings], Begin: beginTipFOnTest, Load: loadTip,
		},
		{
			Name: "taskres", Summary: "a learned residual on the text classifier",
			Defaults: func(t method.Task) (method.Settings, error) {
				return &TaskResSettings{DefaultTaskRes(t.Dataset, t.Shots), method.Augment{CropMin: 0.08, Flip: 0.5}}, nil
			},
			Settings: method.Parse[TaskResSettings], Begin: beginTaskRes, Load: loadTaskRes,
		},
		{
			Name: "clip-lora", Summary: "paths of low rank beside the attention of both encoders",
			Defaults: func(t method.Task) (method.Settings, error) {
				return &LoRASettings{DefaultLoRA(t.Shots), method.Augment{CropMin: 0.08, Flip: 0.5}}, nil
			},
			Settings: method.Parse[LoRASettings], Begin: beginLoRA, Load: loadLoRA,
		},
	}
}

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

func declareLoop(fs *flag.FlagSet, epochs *int, lr, decay *float64, batch *int) {
	fs.IntVar(epochs, "epochs", *epochs, "epochs")
	fs.Float64Var(lr, "lr", *lr, "learning rate")
	fs.Float64Var(decay, "wd", *decay, "weight decay")
	fs.IntVar(batch, "batch-size", *batch, "images a step")
}

// Validate reports the first setting that makes no sense.
func (c *ClipAdapterSettings) Validate() error {
	if err := c.ClipAdapterConfig.Validate(); err != nil {
		return err
	}
	return c.Augment.Validate()
}

// behindLearned is something learned behind the image encoder for the job's classes.
type behindLearned struct {
	job     *method.Job
	classes []string
	tensors []optim.Named
	head    interface {
		Logits(features *autograd.Var) *autograd.Var
	}
	of   func(ctx context.Context, classes []string) (train.Classifier, error) // for other classes; nil where there is nothing to carry over
	owns []interface{ Release() }
}

func (l *behindLearned) Tensors() []optim.Named { return l.tensors }

// Close gives back all that it owns.
func (l *behindLearned) Close() {
	for _, x := range l.owns {
		x.Release()
	}
	l.owns = nil
}

func (l *behindLearned) Classifier(ctx context.Context, classes []string) (train.Classifier, error) {
	err := method.SameClasses(l.classes, classes)
	if err != nil && l.of != nil {
		return l.of(ctx, classes)
	}
	return method.Behind{Encoder: l.job.Model.Image, Head: l.head}, err
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

// TipSettings are those of tip-adapter with the images that its cache is made of.
type TipSettings struct {
	TipConfig
	Passes int `json:"passes"`
	method.Augment
}

// Declare declares a flag for each setting.
func (c *TipSettings) Declare(fs *flag.FlagSet) {
	fs.Float64Var(&c.Scale, "scale", c.Scale, "of the text classifier's cosines")
	fs.Float64Var(&c.MostAlpha, "most-alpha", c.MostAlpha, "end of the search for the cache's weight")
	fs.Float64Var(&c.MostBeta, "most-beta", c.MostBeta, "end of the search for the affinities' sharpness")
	fs.IntVar(&c.AlphaSteps, "alpha-steps", c.AlphaSteps, "points of that search")
	fs.IntVar(&c.BetaSteps, "beta-steps", c.BetaSteps, "points of that search")
	fs.IntVar(&c.Passes, "passes", c.Passes, "augmented passes over the training images, whose mean is a key")
	c.Augment.Declare(fs)
}

// Validate reports the first setting that makes no sense.
func (c *TipSettings) Validate() error {
	if err := c.TipConfig.Validate(); err != nil {
		return err
	}
	return method.ValidatePasses(c.Passes, c.Augment)
}

// cached is a learned cache.
type cached struct {
	behindLearned
	tip    *Tip
	val    probe.Features
	source TipSettings

	chooseOn method.Split // the images by which α and β are chosen
}

// make makes the cache, and the features by which it is tuned.
func (l *cached) make(ctx context.Context) error {
	j := l.job
	head, err := j.Head(ctx) // a name that is too long is to be known before images are encoded
	if err != nil {
		return err
	}
	passes, err := j.Passes(ctx, l.source.Passes, l.source.Augment)
	if err != nil {
		return err
	}
	defer passes.Release()
	if l.tip, err = NewTip(passes, j.Data.Labels(method.Train), head.Classes, l.source.TipConfig); err != nil {
		return err
	}
	l.owns = append(l.owns, l.tip)
	l.val, err = l.features(ctx, l.chooseOn)
	return err
}

// features are those of a split, as they are evaluated.
func (l *cached) features(ctx context.Context, s method.Split) (probe.Features, error) {
	x, err := l.job.Data.Features(ctx, s, method.Augment{}, 0)
	if err != nil {
		return probe.Features{}, err
	}
	l.owns = append(l.owns, x)
	return probe.Features{X: x, Labels: l.job.Data.Labels(s)}, nil
}

// search chooses α and β, of which it tells, and makes the cache the classifier.
func (l *cached) search(figures map[string]float64) error {
	s, err := l.tip.Search(l.val, l.source.TipConfig)
	if err != nil {
		return err
	}
	if s.Correct > 0 {
		l.tip.Alpha, l.tip.Beta = s.Alpha, s.Beta
	}
	l.finish()
	figures["alpha"], figures["beta"] = l.tip.Alpha, l.tip.Beta
	return nil
}

func (l *cached) finish() {
	blend := l.job.Dev.From([]float32{float32(l.tip.Alpha), float32(l.tip.Beta)}, 2)
	l.owns = append(l.owns, blend)
	l.tip.Alpha, l.tip.Beta = float64(float32(l.tip.Alpha)), float64(float32(l.tip.Beta)) // as the file has them
	l.head = l.tip
	l.tensors = []optim.Named{{Name: "keys", Tensor: l.tip.Keys}, {Name: "values", Tensor: l.tip.Values}, {Name: "alpha_beta", Tensor: blend}}
}

func beginTip(ctx context.Context, j *method.Job) (*method.Training, error) {
	if err := j.NeedImages("tip-adapter", "alpha and beta"); err != nil {
		return nil, err
	}
	if _, err := j.Head(ctx); err != nil {
		return nil, err
	}
	l := &cached{behindLearned: behindLearned{job: j, classes: j.Classes}, source: *j.Settings.(*TipSettings), chooseOn: method.Val}
	t := &method.Training{Learned: l, Figures: map[string]float64{}}
	t.Solve = func(ctx context.Context) error {
		if err := l.make(ctx); err != nil {
			return err
		}
		return l.search(t.Figures)
	}
	return t, nil
}

// TipFSettings are those of tip-adapter-f.
type TipFSettings struct {
	TipSettings
	Train TipFConfig `json:"train"`
}

// Declare declares a flag for each setting.
func (c *TipFSettings) Declare(fs *flag.FlagSet) {
	c.TipSettings.Declare(fs)
	declareLoop(fs, &c.Train.Epochs, &c.Train.LR, &c.Train.Decay, &c.Train.Batch)
}

// Validate reports the first setting that makes no sense.
func (c *TipFSettings) Validate() error {
	if err := c.TipSettings.Validate(); err != nil {
		return err
	}
	return c.Train.Validate()
}

func beginTipF(ctx context.Context, j *method.Job) (*method.Training, error) {
	c := j.Settings.(*TipFSettings)
	if err := j.NeedImages("tip-adapter-f", "its epoch, alpha and beta"); err != nil {
		return nil, err
	}
	data, encoder, err := j.Data.Frozen(c.Train.Batch, c.Augment)
	if err != nil {
		return nil, err
	}
	l := &cached{behindLearned: behindLearned{job: j, classes: j.Classes}, source: c.TipSettings, chooseOn: method.Val}
	if err := l.make(ctx); err != nil {
		l.Close()
		return nil, err
	}
	f, err := NewTipF(l.tip, encoder, l.val, c.Train)
	if err != nil {
		l.Close()
		return nil, err
	}
	l.owns = append(l.owns, f)
	t := &method.Training{Learned: l, Figures: map[string]float64{},
		Run: &train.Run{Trainer: train.New(j.Dev, f, j.Key("tip-adapter-f"), j.Micro(c.Train.Batch)), Epochs: c.Train.Epochs, PerStep: true,
			Schedule: c.Train.Schedule(data.Batches()), Data: data}}
	t.Solve = func(context.Context) error {
		epoch, _ := f.Best()
		t.Figures["best_epoch"] = float64(epoch)
		return l.search(t.Figures)
	}
	return t, nil
}

func loadTip(ctx context.Context, j *method.Job, read func(string) (*tensor.Tensor, error)) (method.Learned, error) {
	head, err := j.Head(ctx)
	if err != nil {
		return nil, err
	}
	l := &cached{behindLearned: behindLearned{job: j, classes: j.Classes}}
	var of [3]*tensor.Tensor
	for i, name := range []string{"keys", "values", "alpha_beta"} {
		if of[i], err = read(name); err != nil {
			l.Close()
			return nil, err
		}
		l.owns = append(l.owns, of[i])
	}
	keys, values, blend := of[0], of[1], of[2]
	if keys.Rank() != 2 || values.Rank() != 2 || blend.Len() != 2 || keys.Shape()[0] != values.Shape()[0] || keys.Dim(1) != head.Classes.Dim(1) || values.Dim(1) != len(j.Classes) {
		l.Close()
		return nil, fmt.Errorf("keys %v and values %v are no cache for %d classes", keys.Shape(), values.Shape(), len(j.Classes))
	}
	scale := 100.0
	switch c := j.Settings.(type) {
	case *TipSettings:
		scale = c.Scale
	case *TipFSettings:
		scale = c.Scale
	}
	ab := blend.Floats()
	l.tip = &Tip{Text: head.Classes, Keys: keys, Values: values, Scale: scale, Alpha: float64(ab[0]), Beta: float64(ab[1])}
	l.finish()
	return l, nil
}

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
