package prompt

import (
	"context"
	"flag"
	"fmt"

	"fewshot/optim"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// settings are those of a method of this package, as pointers.
type settings[T any] interface {
	*T
	method.Settings
	recipe() *Recipe
}

func (r *Recipe) recipe() *Recipe { return r }

// like takes the job's template where none is given.
func (c *VPTConfig) like(method string, j *method.Job) error {
	return oneTemplate(method, "-vpt-template", &c.Template, j)
}

func (c *KgCoOpConfig) like(method string, j *method.Job) error {
	return oneTemplate(method, "-kg-template", &c.Template, j)
}

func oneTemplate(name, flag string, t *string, j *method.Job) error {
	switch {
	case *t != "":
		return nil
	case j.Prompts != nil:
		return fmt.Errorf("%s has class features of one template, and no use for prompts by class: leave these out, or give a template by %s", name, flag)
	}
	if err := method.OneTemplate(name, j.Templates); err != nil {
		return err
	}
	*t = j.Templates[0]
	return nil
}

// instead is the context that is learned, but with prompts of the image encoder alone, which leave the text encoder a template: the settings'
// own where they have one.
func instead(s method.Settings, _, _ []string) string {
	c, ok := s.(interface{ template() string })
	switch {
	case !ok:
		return method.LearnedContext
	case c.template() != "":
		return fmt.Sprintf("own template %q", c.template())
	}
	return ""
}

func (c *VPTConfig) template() string { return c.Template }

// shallowVPT are the settings of tokens before the first layer, which have no depth.
type shallowVPT struct{ VPTConfig }

// Declare declares them.
func (c *shallowVPT) Declare(fs *flag.FlagSet) { c.declare(fs, false) }

// Validate reports the first setting that makes no sense.
func (c shallowVPT) Validate() error {
	if c.Depth != 1 {
		return fmt.Errorf("depth %d: vpt-shallow has tokens before the first layer; those of more layers are vpt-deep", c.Depth)
	}
	return c.VPTConfig.Validate()
}

// row makes one of the table from a method's defaults and constructor. The constructor gets settings with the job's seed.
func row[T any, P settings[T]](name, summary string, defaults func(t method.Task) (T, error), start func(m *CLIP, classes []string, c T) (Learner, error)) *method.Method {
	begin := func(ctx context.Context, j *method.Job) (*learned, P, error) {
		m, err := of(j)
		if err != nil {
			return nil, nil, err
		}
		c := j.Settings.(P)
		c.recipe().Seed = j.Seed
		if of, ok := any(c).(interface {
			like(name string, j *method.Job) error
		}); ok {
			if err := of.like(name, j); err != nil {
				return nil, nil, err
			}
		}
		end := j.Dev.Interruptible(ctx)
		l, err := start(m, j.Classes, *c)
		interrupted := end()
		switch x := (&learned{m: m, l: l}); {
		case err == nil && !interrupted:
			return x, c, nil
		case err == nil:
			x.Close()
		}
		if interrupted {
			err = ctx.Err()
		}
		return nil, nil, err
	}
	return &method.Method{
		Name: name, Summary: summary, Settings: method.Parse[T, P], Instead: instead,
		Defaults: func(t method.Task) (method.Settings, error) {
			c, err := defaults(t)
			return P(&c), err
		},
		Begin: func(ctx context.Context, j *method.Job) (*method.Training, error) {
			x, c, err := begin(ctx, j)
			if err != nil {
				return nil, err
			}
			r := c.recipe()
			data, err := j.Data.Batches(r.Batch, r.Augment)
			if err != nil {
				x.Close()
				return nil, err
			}
			run := &train.Run{Trainer: train.New(j.Dev, x.l, j.Key(name), j.Parts(r.Batch)), Epochs: r.Epochs, Schedule: r.Schedule(), Data: data}
			if s, ok := any(c).(interface {
				Total() int
				Schedule() optim.Schedule
			}); ok {
				run.Epochs, run.Schedule = s.Total(), s.Schedule()
			}
			return &method.Training{Run: run, Learned: x, Warnings: method.WarmupAlone(r.Epochs, r.Warmup, r.WarmupLR, r.LR)}, nil
		},
		Load: func(ctx context.Context, j *method.Job, read func(name string) (*tensor.Tensor, error)) (method.Learned, error) {
			x, _, err := begin(ctx, j)
			if err != nil {
				return nil, err
			}
			if err := method.Fill(x, read); err != nil {
				return nil, err
			}
			x.l.Restored()
			return x, nil
		},
	}
}

// of is a job's model.
func of(j *method.Job) (*CLIP, error) {
	if err := j.Model.NeedText(); err != nil {
		return nil, err
	}
	return fromModel(j.Dev, j.Model), nil
}

func fromModel(dev *tensor.Device, m *clip.Model) *CLIP {
	return &CLIP{Device: dev, Image: m.Image, Text: m.Text, Tokenizer: m.Tokenizer, Scale: m.Scale()}
}

// learned is what a method of this package leaves.
type learned struct {
	method.Held
	m *CLIP
	l Learner
}

// Tensors are the trained ones and what changed beside them, as averages over epochs or the stage.
func (x *learned) Tensors() []optim.Named {
	all := x.trained()
	for _, s := range x.l.State() {
		all = append(all, optim.Named{Name: "state/" + s.Name, Tensor: s.Tensor})
	}
	return all
}

func (x *learned) trained() (all []optim.Named) {
	for _, g := range x.l.Groups() {
		all = append(all, method.Named(g.Params)...)
	}
	return all
}

// Classifier is for any classes, where the method carries over.
func (x *learned) Classifier(ctx context.Context, classes []string) (train.Classifier, error) {
	end := x.m.Device.Interruptible(ctx)
	c, release, err := x.l.Classifier(classes)
	if end() {
		err = ctx.Err()
	}
	if release != nil {
		x.Hold(release)
	}
	return c, err
}

// Close gives back the method's tensors, and what classifiers hold.
func (x *learned) Close() {
	x.Forget()
	for _, t := range x.trained() {
		t.Tensor.Release()
	}
	for _, t := range x.l.beside() {
		t.Release()
	}
}

// Methods are this package's rows of the table of methods.
func Methods() []*method.Method {
	return []*method.Method{
		row("coop", "a context of vectors in the place of a template's words",
			func(t method.Task) (ContextConfig, error) { return DefaultCoOp(t.Dataset, t.Shots, t.BaseToNew), nil },
			func(m *CLIP, classes []string, c ContextConfig) (Learner, error) { return NewCoOp(m, classes, c) }),
		row("cocoop", "a context that depends on the image",
			func(method.Task) (CoCoOpConfig, error) { return DefaultCoCoOp(), nil },
			func(m *CLIP, classes []string, c CoCoOpConfig) (Learner, error) { return NewCoCoOp(m, classes, c) }),
		row("prograd", "a context whose gradient does not go against what zero-shot CLIP says",
			func(t method.Task) (ProGradConfig, error) {
				return DefaultProGrad(t.Dataset, t.Shots, t.BaseToNew), nil
			},
			func(m *CLIP, classes []string, c ProGradConfig) (Learner, error) { return NewProGrad(m, classes, c) }),
		row("kgcoop", "a context whose class features stay near those of a template",
			func(t method.Task) (KgCoOpConfig, error) { return DefaultKgCoOp(t.Dataset, ""), nil },
			func(m *CLIP, classes []string, c KgCoOpConfig) (Learner, error) { return NewKgCoOp(m, classes, c) }),
		row("plot", "several contexts, matched with an image's parts by optimal transport; on transformers not by the authors",
			func(t method.Task) (PLOTConfig, error) { return DefaultPLOT(t.Dataset, t.Shots), nil },
			func(m *CLIP, classes []string, c PLOTConfig) (Learner, error) { return NewPLOT(m, classes, c) }),
		row("plot++", "several contexts, and sets of tokens of images, matched by optimal transport",
			func(t method.Task) (PLOTPlusConfig, error) { return DefaultPLOTPlus("both", t.Dataset, t.Shots), nil },
			func(m *CLIP, classes []string, c PLOTPlusConfig) (Learner, error) { return NewPLOTPlus(m, classes, c) }),
		row("vpt-shallow", "tokens before the first layer of the image encoder",
			func(t method.Task) (shallowVPT, error) {
				c, err := DefaultVPT("upt", false, t.Dataset, "", t.Shots)
				return shallowVPT{c}, err
			},
			func(m *CLIP, classes []string, c shallowVPT) (Learner, error) { return NewVPT(m, classes, c.VPTConfig) }),
		row("vpt-deep", "tokens before every layer of the image encoder",
			func(t method.Task) (VPTConfig, error) { return DefaultVPT("upt", true, t.Dataset, "", t.Shots) },
			func(m *CLIP, classes []string, c VPTConfig) (Learner, error) { return NewVPT(m, classes, c) }),
		row("upt", "prompts of both encoders out of one small network",
			func(t method.Task) (UPTConfig, error) { return DefaultUPT(t.Dataset, t.Shots), nil },
			func(m *CLIP, classes []string, c UPTConfig) (Learner, error) { return NewUPT(m, classes, c) }),
		row("upt-mvlpt", "the same as MVLPT's authors have it, through a block of CLIP's kind",
			func(t method.Task) (MVLPTConfig, error) { return DefaultMVLPT(t.Dataset, t.Shots), nil },
			func(m *CLIP, classes []string, c MVLPTConfig) (Learner, error) { return NewMVLPT(m, classes, c) }),
		row("maple", "vectors at several depths of the text encoder, and tokens of images made of them",
			func(method.Task) (MaPLeConfig, error) { return DefaultMaPLe(), nil },
			func(m *CLIP, classes []string, c MaPLeConfig) (Learner, error) { return NewMaPLe(m, classes, c) }),
		row("promptsrc", "vectors and tokens at several depths of both encoders, held to zero-shot CLIP and averaged over epochs",
			func(t method.Task) (PromptSRCConfig, error) { return DefaultPromptSRC(t.Dataset, t.BaseToNew), nil },
			func(m *CLIP, classes []string, c PromptSRCConfig) (Learner, error) {
				return NewPromptSRC(m, classes, c)
			}),
	}
}
