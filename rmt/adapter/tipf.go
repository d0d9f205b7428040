package adapter

import (
	"fmt"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt/probe"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// TipFConfig are the settings of Tip-Adapter-F beyond Tip-Adapter's.
type TipFConfig struct {
	Epochs int     `json:"epochs"`
	LR     float64 `json:"lr"`
	Eps    float64 `json:"adam_eps"`
	Decay  float64 `json:"weight_decay"`
	Batch  int     `json:"batch"`
}

// DefaultTipF has the settings published for a data set.
func DefaultTipF(dataset string) TipFConfig {
	c := TipFConfig{Epochs: 20, LR: 1e-3, Eps: 1e-4, Decay: 0.01, Batch: 256}
	if dataset == "eurosat" {
		c.Epochs = 100
	}
	return c
}

// Validate reports the first setting that makes no sense.
func (c TipFConfig) Validate() error { return validate(c.Epochs, c.LR, c.Decay, c.Batch) }

// Schedule is the learning rate by step: a cosine to 0 over all of them.
func (c TipFConfig) Schedule(batches int) optim.Schedule { return optim.Cosine(c.LR, c.Epochs*batches) }

// validate looks at what most methods have.
func validate(epochs int, lr, decay float64, batch int) error {
	switch {
	case epochs < 1:
		return fmt.Errorf("epochs %d: at least 1", epochs)
	case !(lr > 0):
		return fmt.Errorf("learning rate %g must be positive", lr)
	case !(decay >= 0):
		return fmt.Errorf("weight decay %g must not be negative", decay)
	case batch < 1:
		return fmt.Errorf("batch %d: at least 1", batch)
	}
	return nil
}

// TipF trains the keys of a cache, with α and β as they are in it, and keeps those of the best epoch.
type TipF struct {
	train.Base
	Tip     *Tip
	encoder train.Encoder
	choose  probe.Features // of validation images
	group   train.Group

	best    *tensor.Tensor // keys of the best epoch so far
	correct *tensor.Tensor // [2]: validation images that they get right, −1 before the first epoch; which epoch that was, from 1
}

// NewTipF trains the keys of a cache of NewTip's on an encoder's features of new crops. The best epoch is that with
// most of the validation images right, of several the first. (The released program looks at test images here.)
func NewTipF(tip *Tip, e train.Encoder, val probe.Features, c TipFConfig) (*TipF, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if val.X == nil || len(val.Labels) == 0 {
		return nil, fmt.Errorf("tip-adapter-f chooses its epoch by validation images, and there are none")
	}
	if err := val.Check("validation", tip.Text.Shape()[0], false); err != nil {
		return nil, err
	}
	adam := optim.NewAdamW(c.Decay)
	adam.Eps = c.Eps
	dev := tip.Keys.Device()
	l := &TipF{Tip: tip, encoder: e, choose: val, best: dev.New(tensor.Full, tip.Keys.Shape()...), correct: dev.New(tensor.Full, 2),
		group: train.Group{Params: []*nn.Param{{Name: "keys", Value: tip.Keys}}, Optimizer: adam}}
	tensor.Copy(l.best, tip.Keys)
	l.correct.Set([]float32{-1, 0})
	if err := dev.Sync(); err != nil {
		l.Release()
		return nil, err
	}
	return l, nil
}

// Release gives back what is kept of the best epoch.
func (l *TipF) Release() {
	l.best.Release()
	l.correct.Release()
}

// Groups are the keys.
func (l *TipF) Groups() []train.Group { return []train.Group{l.group} }

// Plan has one loss.
func (l *TipF) Plan() train.Plan { return train.Plan{Classes: l.Tip.Text.Shape()[0], Lanes: 1} }

// Losses are the cross-entropy.
func (l *TipF) Losses(t *autograd.Tape, p train.Part) ([]*autograd.Var, *autograd.Var) {
	f := autograd.L2Normalize(l.encoder.Encode(t.Const(p.Images)))
	logits := l.Tip.learnable(f, l.group.Params[0].On(t))
	return []*autograd.Var{autograd.CrossEntropy(logits, p.Labels)}, logits
}

// EndEpoch keeps the keys if they are better than all before.
func (l *TipF) EndEpoch(epoch int) {
	if n := float32(l.Tip.Correct(l.choose)); n > l.correct.Floats()[0] {
		tensor.Copy(l.best, l.Tip.Keys)
		l.correct.Set([]float32{n, float32(epoch + 1)})
	}
}

// State is the best epoch's keys and how good they are.
func (l *TipF) State() []optim.Named {
	return []optim.Named{{Name: "best", Tensor: l.best}, {Name: "best_correct", Tensor: l.correct}}
}

// Best puts the keys of the best epoch into the cache and says which it was, from 1, and how many validation images they get right.
func (l *TipF) Best() (epoch, correct int) {
	tensor.Copy(l.Tip.Keys, l.best)
	v := l.correct.Floats()
	return int(v[1]), int(v[0])
}
