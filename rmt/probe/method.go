package probe

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"slices"

	"fewshot/nn/quote"
	"fewshot/optim"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Methods are the rows of this package in the table of methods.
func Methods() []*method.Method {
	return []*method.Method{
		{
			Name: "linear-probe", Summary: "logistic regression on features, with C chosen on validation images (lpclip)", Validates: true, Epochs: method.NoEpochs.Always(),
			Defaults: func(method.Task) (method.Settings, error) { c := DefaultSearch(); return &c, nil },
			Settings: method.Parse[SearchConfig], Instead: classifier, Begin: beginLinear, Load: loadLinear(false),
		},
		{
			Name: "lp++", Summary: "a linear probe that blends text in, with step sizes of its own (LP++)", Validates: true, Epochs: method.NoEpochs.Always(),
			Defaults: func(method.Task) (method.Settings, error) {
				return &LPPSettings{DefaultLPP(), method.Augment{CropMin: 0.5, Flip: 0.5}}, nil
			},
			Settings: method.Parse[LPPSettings], Instead: classifier, Begin: beginLPP, Load: loadLinear(true),
		},
		{
			Name: "gda", Summary: "Gaussian discriminants beside the text classifier, in closed form", Validates: true, Epochs: method.NoEpochs.Always(),
			Defaults: func(t method.Task) (method.Settings, error) {
				return &GDASettings{DefaultGDA(), 10, method.Augment{CropMin: 0.5, Flip: 0.5}, t.BaseToNew}, nil
			},
			Settings: method.Parse[GDASettings], Instead: classifierOfSame, Begin: beginGDA, Load: loadGDA,
		},
		{
			Name: "finetune", Summary: "all weights of the image encoder; -wise interpolates with those before (WiSE-FT)",
			Defaults: func(t method.Task) (method.Settings, error) {
				return &FinetuneSettings{DefaultFinetune(t.Dataset), method.Augment{CropMin: 0.5, Flip: 0.5}}, nil
			},
			Epochs: func(s method.Settings) method.Epochs {
				if s.(*FinetuneSettings).Wise != 1 {
					return method.LastEpoch // after which it interpolates
				}
				return method.AnyEpoch
			},
			Settings: method.Parse[FinetuneSettings], Begin: beginFinetune, Load: loadFinetune,
		},
		{
			Name: "2sfs", Epochs: method.LastEpoch.Always(), Summary: "layer norms of both encoders first, then the classifier",
			Defaults: func(t method.Task) (method.Settings, error) {
				return &TwoStageSettings{DefaultTwoStage(t.Shots), method.Augment{CropMin: 0.08, Flip: 0.5}}, nil
			},
			Settings: method.Parse[TwoStageSettings], Instead: classifierOfSome, Begin: beginTwoStage, Load: loadTwoStage,
		},
	}
}

// classifier is what stands in the place of templates where nothing carries over to other classes.
func classifier(method.Settings, []string, []string) string { return method.LearnedClassifier }

// classifierOfSame is what does where other classes than all those learned are made of their text.
func classifierOfSame(_ method.Settings, learned, classes []string) string {
	if method.SameClasses(learned, classes) != nil {
		return ""
	}
	return method.LearnedClassifier
}

// classifierOfSome is what does where each class that was not learned is made of its text.
func classifierOfSome(_ method.Settings, learned, classes []string) string {
	for _, c := range classes {
		if !slices.Contains(learned, c) {
			return ""
		}
	}
	return method.LearnedClassifier
}

// Declare declares a flag for each setting.
func (c *SearchConfig) Declare(fs *flag.FlagSet) {
	fs.IntVar(&c.Rounds, "rounds", c.Rounds, "halvings of the range of C after the coarse list")
	fs.Float64Var(&c.Tol, "tol", c.Tol, "a fit ends where no element of the gradient is larger; 1e-8 goes to the minimum, which scikit-learn's stopping rule does not")
	fs.IntVar(&c.MaxIter, "max-iter", c.MaxIter, "iterations of L-BFGS, at most")
}

// LPPSettings are those of lp++ with how its one pass over the images varies them.
type LPPSettings struct {
	LPPConfig
	method.Augment
}

// Validate reports the first setting that makes no sense.
func (c *LPPSettings) Validate() error {
	if err := c.LPPConfig.Validate(); err != nil {
		return err
	}
	return c.Augment.Validate()
}

// Declare declares a flag for each setting.
func (c *LPPSettings) Declare(fs *flag.FlagSet) {
	c.Augment.Declare(fs)
	fs.IntVar(&c.Epochs, "epochs", c.Epochs, "epochs, of which the best on validation images is kept")
	fs.Float64Var(&c.Momentum, "momentum", c.Momentum, "of the weights' steps")
	fs.IntVar(&c.Every, "alpha-every", c.Every, "epochs from one step of the blend to the next")
	fs.BoolVar(&c.Fresh, "alpha-fresh", c.Fresh, "take the blend's gradient from the last epoch; the released code adds up all epochs'")
}

// GDASettings are those of gda with the images that it learns from.
type GDASettings struct {
	GDAConfig
	Passes int `json:"passes"` // augmented passes over the training images
	method.Augment
	New bool `json:"new_classes"` // the covariance is estimated as the authors do for base classes, and features are kept for others
}

// Declare declares a flag for each setting.
func (c *GDASettings) Declare(fs *flag.FlagSet) {
	fs.Float64Var(&c.Scale, "scale", c.Scale, "of the text classifier's cosines")
	fs.IntVar(&c.Nearest, "nearest", c.Nearest, "training images from which a new class is made")
	fs.IntVar(&c.TextSame, "text-same", c.TextSame, "copies of a new class's text beside them")
	fs.BoolVar(&c.New, "new-classes", c.New, "estimate as the authors do for base classes, and keep the features that classes without images are made of (default from base to new)")
	fs.IntVar(&c.Passes, "passes", c.Passes, "augmented passes over the training images")
	c.Augment.Declare(fs)
}

// Validate reports the first setting that makes no sense.
func (c *GDASettings) Validate() error {
	if err := c.GDAConfig.Validate(); err != nil {
		return err
	}
	return method.ValidatePasses(c.Passes, c.Augment)
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

// Close gives the weights back, if there are any yet.
func (l *linear) Close() {
	if l.W != nil {
		l.Release()
	}
	l.Linear = Linear{}
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
			w.Release()
			return nil, err
		}
		l := &linear{j, Linear{w, b, unit}, j.Classes}
		if w.Rank() != 2 || b.Rank() != 1 || w.Shape()[0] != len(j.Classes) || b.Len() != len(j.Classes) || w.Dim(1) != j.Model.Image.Sizes().Embed {
			defer l.Close()
			return nil, fmt.Errorf("weights %v and biases %v are no classifier of %d classes on features of %d", w.Shape(), b.Shape(), len(j.Classes), j.Model.Image.Sizes().Embed)
		}
		return l, nil
	}
}

// solved is a training whose head comes out of features: of passes over the training images, and of the validation images.
func solved(j *method.Job, passes int, a method.Augment, solve func(ctx context.Context, train, val Features) (Linear, map[string]float64, error)) *method.Training {
	l := &linear{job: j, classes: j.Classes}
	t := &method.Training{Learned: l, Figures: map[string]float64{}}
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
		maps.Copy(t.Figures, figures)
		return err
	}
	return t
}

func beginLinear(_ context.Context, j *method.Job) (*method.Training, error) {
	c := *j.Settings.(*SearchConfig)
	if err := j.NeedImages("linear-probe", "C"); err != nil {
		return nil, err
	}
	return solved(j, 1, method.Augment{}, func(_ context.Context, train, val Features) (Linear, map[string]float64, error) {
		h, s, err := SearchC(train, val, len(j.Classes), c)
		return h, map[string]float64{"c": s.Best.C}, err
	}), nil
}

func beginLPP(ctx context.Context, j *method.Job) (*method.Training, error) {
	c := j.Settings.(*LPPSettings)
	c.Seed = j.Seed
	if err := j.NeedImages("lp++", "its epoch"); err != nil {
		return nil, err
	}
	if _, err := j.Head(ctx); err != nil {
		return nil, err
	}
	return solved(j, 1, c.Augment, func(ctx context.Context, train, val Features) (Linear, map[string]float64, error) {
		head, err := j.Head(ctx)
		if err != nil {
			return Linear{}, nil, err
		}
		h, fit, err := FitLPP(train, val, head.Classes, c.LPPConfig)
		return h, map[string]float64{"best_epoch": float64(fit.Epoch)}, err
	}), nil
}

// discriminant is a learned linear classifier, and what classes without images are made of.
type discriminant struct {
	method.Held
	*linear
	settings GDASettings
	features *tensor.Tensor // [N, D] of all passes; nil where they are not kept
	alpha    *tensor.Tensor // [1], the discriminant's weight
}

func (g *discriminant) Tensors() []optim.Named {
	all := g.linear.Tensors()
	if g.features != nil {
		all = append(all, optim.Named{Name: "features", Tensor: g.features}, optim.Named{Name: "alpha", Tensor: g.alpha})
	}
	return all
}

// Classifier makes other classes of the training features nearest to their text.
func (g *discriminant) Classifier(ctx context.Context, classes []string) (train.Classifier, error) {
	c, err := g.linear.Classifier(ctx, classes)
	if err == nil || g.features == nil {
		return c, err
	}
	head, err := g.job.HeadOf(ctx, classes)
	if err != nil {
		return nil, err
	}
	l, _, err := FitGDANew(Features{g.features, make([]int32, g.features.Shape()[0])}, head.Classes, g.alpha.Item(), g.settings.GDAConfig)
	if err != nil {
		return nil, err
	}
	g.Hold(l.Release)
	return method.Behind{Encoder: g.job.Model.Image, Head: l}, nil
}

// Close gives the weights back, and what is kept for other classes.
func (g *discriminant) Close() {
	g.Forget()
	g.linear.Close()
	for _, x := range []*tensor.Tensor{g.features, g.alpha} {
		if x != nil {
			x.Release()
		}
	}
	g.features, g.alpha = nil, nil
}

func beginGDA(ctx context.Context, j *method.Job) (*method.Training, error) {
	c := j.Settings.(*GDASettings)
	if err := j.NeedImages("gda", "its weight"); err != nil {
		return nil, err
	}
	if n := c.Passes * j.Data.Count(method.Train); c.New && n < c.Nearest {
		return nil, fmt.Errorf("gda makes a new class of the %d nearest training features, and %d passes over %d images give %d: more shots or -passes, or a smaller -nearest", c.Nearest, c.Passes, j.Data.Count(method.Train), n)
	}
	if c.New && c.Passes == 1 {
		images := make([]int, len(j.Classes))
		for _, l := range j.Data.Labels(method.Train) {
			images[l]++
		}
		if i := slices.Index(images, 1); i >= 0 {
			return nil, fmt.Errorf("gda takes the covariance of each class for new ones, and %s has one image in one pass: more shots or -passes", quote.String(j.Classes[i]))
		}
	}
	if _, err := j.Head(ctx); err != nil {
		return nil, err
	}
	g := &discriminant{settings: *c}
	t := solved(j, c.Passes, c.Augment, func(ctx context.Context, train, val Features) (Linear, map[string]float64, error) {
		head, err := j.Head(ctx)
		if err != nil {
			return Linear{}, nil, err
		}
		fit := FitGDA
		if c.New {
			fit = FitGDABase
		}
		h, found, err := fit(train, val, head.Classes, c.GDAConfig)
		if err == nil && c.New {
			g.features, g.alpha = j.Dev.New(tensor.Full, train.X.Shape()...), j.Dev.New(tensor.Full, 1)
			tensor.Copy(g.features, train.X)
			tensor.Fill(g.alpha, found.Alpha)
		}
		return h, map[string]float64{"alpha": found.Alpha}, err
	})
	g.linear = t.Learned.(*linear)
	t.Learned = g
	return t, nil
}

func loadGDA(ctx context.Context, j *method.Job, read func(string) (*tensor.Tensor, error)) (method.Learned, error) {
	l, err := loadLinear(true)(ctx, j, read)
	if err != nil {
		return nil, err
	}
	g := &discriminant{linear: l.(*linear), settings: *j.Settings.(*GDASettings)}
	if !g.settings.New {
		return g, nil
	}
	for _, x := range []struct {
		name string
		into **tensor.Tensor
	}{{"features", &g.features}, {"alpha", &g.alpha}} {
		if *x.into, err = read(x.name); err != nil {
			*x.into = nil
			g.Close()
			return nil, err
		}
	}
	if g.features.Rank() != 2 || g.features.Dim(1) != g.W.Dim(1) || g.alpha.Len() != 1 {
		defer g.Close()
		return nil, fmt.Errorf("features %v and alpha %v beside weights %v", g.features.Shape(), g.alpha.Shape(), g.W.Shape())
	}
	return g, nil
}
