package probe

import (
	"fmt"
	"math"
	"strings"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/vit"
)

// FinetuneConfig are the settings of fine-tuning the whole image encoder. There is no published recipe: these are ours.
type FinetuneConfig struct {
	Epochs int     `json:"epochs"`
	LR     float64 `json:"lr"`
	Decay  float64 `json:"weight_decay"`
	Batch  int     `json:"batch"`
	// Wise is how far the result goes from the weights before to those after training: 1 is these, less is WiSE-FT's interpolation
	// (Wortsman et al., CVPR 2022), which keeps more of what the model could do before.
	Wise float64 `json:"wise"`
}

// DefaultFinetune has them for a data set.
func DefaultFinetune(dataset string) FinetuneConfig {
	c := FinetuneConfig{Epochs: 30, LR: 1e-5, Decay: 0.01, Batch: 32, Wise: 1}
	if dataset == "imagenet" {
		c.Epochs = 10
	}
	return c
}

// Validate reports the first setting that makes no sense.
func (c FinetuneConfig) Validate() error {
	switch {
	case c.Epochs < 1:
		return fmt.Errorf("epochs %d: at least 1", c.Epochs)
	case !(c.LR > 0) || math.IsInf(c.LR, 0):
		return fmt.Errorf("learning rate %g must be positive", c.LR)
	case !(c.Decay >= 0):
		return fmt.Errorf("weight decay %g must not be negative", c.Decay)
	case c.Batch < 1:
		return fmt.Errorf("batch %d: at least 1", c.Batch)
	case !(c.Wise >= 0 && c.Wise <= 1):
		return fmt.Errorf("wise %g must lie in [0, 1]", c.Wise)
	}
	return nil
}

// Schedule is the learning rate by epoch.
func (c FinetuneConfig) Schedule() optim.Schedule { return optim.Cosine(c.LR, c.Epochs) }

// Finetune trains all parameters of the image encoder, before a frozen text classifier. Batch norms use their running statistics.
//
// The gradient of the keys' biases is set to zero: softmax does not see them, so that it is rounding noise, which Adam would make full
// steps of.
type Finetune struct {
	train.Base
	Head train.Head

	image  vit.Image
	taken  []own
	groups []train.Group
	ends   []*tensor.Tensor // weights after training, while the encoder has interpolated ones
}

// NewFinetune takes the encoder's parameters; Detach gives them back.
func NewFinetune(image vit.Image, head train.Head, c FinetuneConfig) (*Finetune, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	group := func() train.Group { return train.Group{Optimizer: optim.NewAdamW(c.Decay)} }
	all, thirds, unseen := group(), group(), group()
	thirds.Rule, unseen.Rule, unseen.Unseen = keyBias{}, zero{}, true
	l := &Finetune{Head: head, image: image}
	for _, p := range image.Params() {
		o, err := take(p)
		if err != nil {
			l.Detach()
			return nil, err
		}
		l.taken = append(l.taken, o)
		switch {
		case strings.HasSuffix(p.Name, ".attn.in_proj_bias"):
			thirds.Params = append(thirds.Params, o.trained)
		case strings.HasSuffix(p.Name, ".k_proj.bias"):
			unseen.Params = append(unseen.Params, o.trained)
		default:
			all.Params = append(all.Params, o.trained)
		}
	}
	for _, g := range []train.Group{all, thirds, unseen} {
		if len(g.Params) > 0 {
			l.groups = append(l.groups, g)
		}
	}
	return l, nil
}

// keyBias is the rule of a packed bias, of whose gradient the second third, that of the keys, is zero.
type keyBias struct{}

func (keyBias) NeedsTeacher() bool { return false }

func (keyBias) Apply(o optim.Optimizer, w, a, _ *tensor.Tensor, _ tensor.Key) {
	n := w.Len() / 3
	tensor.Fill(a.Rows(n, 2*n), 0)
	o.Update(w, a)
}

// zero is the rule of a parameter without gradient.
type zero struct{}

func (zero) NeedsTeacher() bool { return false }

func (zero) Apply(o optim.Optimizer, w, a, _ *tensor.Tensor, _ tensor.Key) {
	tensor.Fill(a, 0)
	o.Update(w, a)
}

// Groups are all parameters, those of keys apart.
func (l *Finetune) Groups() []train.Group { return l.groups }

// Plan has one loss.
func (l *Finetune) Plan() train.Plan { return train.Plan{Classes: l.Head.Classes.Shape()[0], Lanes: 1} }

// Losses are the cross-entropy.
func (l *Finetune) Losses(t *autograd.Tape, p train.Part) ([]*autograd.Var, *autograd.Var) {
	logits := l.Head.Logits(l.image.Encode(t.Const(p.Images)))
	return []*autograd.Var{autograd.CrossEntropy(logits, p.Labels)}, logits
}

// Model is the classifier as it stands.
func (l *Finetune) Model() train.Model { return train.Model{Encoder: l.image, Head: l.Head} }

// Interpolate gives the encoder the weights (1−wise)·before + wise·after training. It may be called again, with another factor; 1 is the
// end of training, to the bit.
func (l *Finetune) Interpolate(wise float64) {
	if l.ends == nil {
		for _, o := range l.taken {
			end := o.value().Device().New(o.value().Kind(), o.value().Shape()...)
			tensor.Copy(end, o.value())
			l.ends = append(l.ends, end)
		}
	}
	for i, o := range l.taken {
		tensor.Copy(o.value(), l.ends[i])
		if wise != 1 {
			before := o.value().Device().New(o.value().Kind(), o.value().Shape()...)
			tensor.Copy(before, o.before)
			tensor.Scale(o.value(), o.value(), wise)
			tensor.AXPY(o.value(), 1-wise, before)
			before.Release()
		}
	}
}

// Weights are what was learned, by name.
func (l *Finetune) Weights() []*nn.Param {
	var all []*nn.Param
	for _, o := range l.taken {
		all = append(all, o.trained)
	}
	return all
}

// Detach gives the encoder its own parameters back.
func (l *Finetune) Detach() {
	for _, o := range l.taken {
		o.give()
	}
	for _, x := range l.ends {
		x.Release()
	}
	l.taken, l.ends = nil, nil
}
