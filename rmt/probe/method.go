package probe

import (
	"context"
	"flag"
	"fmt"

	"fewshot/optim"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Methods are the rows of this package in the table of methods.
func Methods() []*method.Method {
	return []*method.Method{
		{
			Name: "linear-probe", Summary: "logistic regression on features, with C chosen on validation images (lpclip)", Validates: true,
			Defaults: func(method.Task) (method.Settings, error) { c := DefaultSearch(); return &c, nil },
			Settings: method.Parse[SearchConfig], Begin: beginLinear, Load: loadLinear(false),
		},
		{
			Name: "lp++", Summary: "a linear probe that blends text in, with step sizes of its own (LP++)", Validates: true,
			Defaults: func(method.Task) (method.Settings, error) { c := DefaultLPP(); return &c, nil },
			Settings: method.Parse[LPPConfig], Begin: beginLPP, Load: loadLinear(true),
		},
		{
			Name: "gda", Summary: "Gaussian discriminants beside the text classifier, in closed form", Validates: true,
			Defaults: func(method.Task) (method.Settings, error) {
				c := DefaultGDA()
				return &GDASettings{c, 10, 0.5, 0.5}, nil
			},
			Settings: method.Parse[GDASettings], Begin: beginGDA, Load: loadLinear(true),
		},
		{
			Name: "finetune", Summary: "all weights of the image encoder; -wise interpolates with those before (WiSE-FT)",
			Defaults: func(t method.Task) (method.Settings, error) {
				c := DefaultFinetune(t.Dataset)
				return &FinetuneSettings{c, 0.5, 0.5}, nil
			},
			Settings: method.Parse[FinetuneSettings], Begin: beginFinetune, Load: loadFinetune,
		},
		{
			Name: "2sfs", Summary: "layer norms of both encoders first, then the classifier",
			Defaults: func(t method.Task) (method.Settings, error) {
				return &TwoStageSettings{DefaultTwoStage(t.Shots), 0.05, 0.5}, nil
			},
			Settings: method.Parse[TwoStageSettings], Begin: beginTwoStage, Load: loadTwoStage,
		},
	}
}

// Declare declares a flag for each setting.
func (c *SearchConfig) Declare(fs *flag.FlagSet) {
	fs.IntVar(&c.Rounds, "rounds", c.Rounds, "halvings of the range of C after the coarse list")
	fs.Float64Var(&c.Tol, "tol", c.Tol, "a fit ends where no element of the gradient is larger; 1e-8 goes to the minimum, which scikit-learn's stopping rule does not")
	fs.IntVar(&c.MaxIter, "max-iter", c.MaxIter, "iterations of L-BFGS, at most")
}

// Declare declares a flag for each setting.
func (c *LPPConfig) Declare(fs *flag.FlagSet) {
	fs.IntVar(&c.Epochs, "epochs", c.Epochs, "epochs, of which the best on validation images is kept")
	fs.Float64Var(&c.Momentum, "momentum", c.Momentum, "of the weights' steps")
	fs.IntVar(&c.Every, "alpha-every", c.Every, "epochs from one step of the blend to the next")
	fs.BoolVar(&c.Fresh, "alpha-fresh", c.Fresh, "take the blend's gradient from the last epoch; the released code adds up all epochs'")
}

// GDASettings are those of gda with the images that it learns from.
type GDASettings struct {
	GDAConfig
	Passes  int     `json:"passes"` // augmented passes over the training images
	CropMin float64 `json:"rrc_scale_min"`
	Flip    float64 `json:"flip"`
}

// Declare declares a flag for each setting.
func (c *GDASettings) Declare(fs *flag.FlagSet) {
	fs.Float64Var(&c.Scale, "scale", c.Scale, "of the text classifier's cosines")
	fs.IntVar(&c.Nearest, "nearest", c.Nearest, "training images from which a new class is made")
	fs.IntVar(&c.TextSame, "text-same", c.TextSame, "copies of a new class's text beside them")
	declarePasses(fs, &c.Passes, &c.CropMin, &c.Flip)
}

// Validate reports the first setting that makes no sense.
func (c *GDASettings) Validate() error {
	if err := c.GDAConfig.Validate(); err != nil {
		return err
	}
	return method.ValidatePasses(c.Passes, c.CropMin, c.Flip)
}

func declarePasses(fs *flag.FlagSet, passes *int, crop, flip *float64) {
	fs.IntVar(passes, "passes", *passes, "augmented passes over the training images")
	method.DeclareAugment(fs, crop, flip)
}

// linear is a learned linear classifier.
type linear struct {
	job *method.Job
	Linear
	classes []string
}

func (l *linear) Tensors() []optim.Named {
	return []optim.Named{{Name: "weight", Tensor: l.W}, {Name: "bias", Tensor: l.B}}
}

func (l *linear) Classifier(_ context.Context, classes []string) (train.Classifier, error) {
	return method.Behind{Encoder: l.job.Model.Image, Head: l.Linear}, method.SameClasses(l.classes, classes)
}

func (l *linear) close() {
	if l.W != nil {
		l.Release()
	}
}

// loadLinear reads one back.
func loadLinear(unit bool) func(context.Context, *method.Job, func(string) (*tensor.Tensor, error)) (method.Learned, error) {
	return func(_ context.Context, j *method.Job, read func(string) (*tensor.Tensor, error)) (method.Learned, error) {
		w, err := read("weight")
		if err != nil {
			return nil, err
		}
		b, err := read("bias")
		if err != nil {
			return nil, err
		}
		if w.Rank() != 2 || b.Rank() != 1 || w.Shape()[0] != len(j.Classes) || b.Len() != len(j.Classes) || w.Dim(1) != j.Model.Image.Sizes().Embed {
			return nil, fmt.Errorf("weights %v and biases %v are no classifier of %d classes on features of %d", w.Shape(), b.Shape(), len(j.Classes), j.Model.Image.Sizes().Embed)
		}
		return &linear{j, Linear{w, b, unit}, j.Classes}, nil
	}
}

// solved is a training whose head comes out of features: of passes over the training images, and of the validation images.
func solved(j *method.Job, passes int, a method.Augment, solve func(ctx context.Context, train, val Features) (Linear, map[string]float64, error)) *method.Training {
	l := &linear{job: j, classes: j.Classes}
	t := &method.Training{Learned: l, Close: l.close, Figures: map[string]float64{}}
	t.Solve = func(ctx context.Context) error {
		all, err := j.Passes(ctx, passes, a)
		if err != nil {
			return err
		}
		defer all.Release()
		val, err := j.Data.Features(ctx, method.Val, method.Augment{}, 0)
		if err != nil {
			return err
		}
		defer val.Release()
		var figures map[string]float64
		l.Linear, figures, err = solve(ctx, Stack(all, j.Data.Labels(method.Train)), Features{val, j.Data.Labels(method.Val)})
		for k, v := range figures {
			t.Figures[k] = v
		}
		return err
	}
	return t
}

func beginLinear(_ context.Context, j *method.Job) (*method.Training, error) {
	c := *j.Settings.(*SearchConfig)
	if err := j.NeedVal("linear-probe", "C"); err != nil {
		return nil, err
	}
	return solved(j, 1, method.Augment{}, func(_ context.Context, train, val Features) (Linear, map[string]float64, error) {
		h, s, err := SearchC(train, val, len(j.Classes), c)
		return h, map[string]float64{"c": s.Best.C}, err
	}), nil
}

func beginLPP(_ context.Context, j *method.Job) (*method.Training, error) {
	c := j.Settings.(*LPPConfig)
	c.Seed = j.Seed
	if err := j.NeedVal("lp++", "its epoch"); err != nil {
		return nil, err
	}
	return solved(j, 1, method.Augment{}, func(ctx context.Context, train, val Features) (Linear, map[string]float64, error) {
		head, err := j.Head(ctx)
		if err != nil {
			return Linear{}, nil, err
		}
		h, fit, err := FitLPP(train, val, head.Classes, *c)
		return h, map[string]float64{"best_epoch": float64(fit.Epoch)}, err
	}), nil
}

func beginGDA(_ context.Context, j *method.Job) (*method.Training, error) {
	c := j.Settings.(*GDASettings)
	if err := j.NeedVal("gda", "its weight"); err != nil {
		return nil, err
	}
	return solved(j, c.Passes, method.Augment{CropMin: c.CropMin, Flip: c.Flip}, func(ctx context.Context, train, val Features) (Linear, map[string]float64, error) {
		head, err := j.Head(ctx)
		if err != nil {
			return Linear{}, nil, err
		}
		h, fit, err := FitGDA(train, val, head.Classes, c.GDAConfig)
		return h, map[string]float64{"alpha": fit.Alpha}, err
	}), nil
}
