package adapter

import (
	"context"
	"flag"
	"fmt"

	"fewshot/optim"
	"fewshot/rmt/method"
	"fewshot/rmt/probe"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

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
