package adapter

import (
	"fmt"
	"math"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// ClipAdapterConfig are the settings of CLIP-Adapter.
type ClipAdapterConfig struct {
	Ratio     float64 `json:"ratio"`     // of what the adapter says in the feature
	Reduction int     `json:"reduction"` // the middle is so many times narrower than features
	Epochs    int     `json:"epochs"`
	LR        float64 `json:"lr"`
	Decay     float64 `json:"weight_decay"`
	Batch     int     `json:"batch"`
	Seed      uint64  `json:"seed"`
}

// DefaultClipAdapter has the ratio and the reduction of the released class, which comes without a recipe, and CoOp's for the rest: it
// is built to be dropped into CoOp.
func DefaultClipAdapter(dataset string, shots int) ClipAdapterConfig {
	return ClipAdapterConfig{Ratio: 0.2, Reduction: 4, Epochs: method.CoOpEpochs(dataset, shots), LR: 2e-3, Decay: 5e-4, Batch: 32, Seed: 1}
}

// Validate reports the first setting that makes no sense.
func (c ClipAdapterConfig) Validate() error {
	switch {
	case !(c.Ratio > 0 && c.Ratio <= 1):
		return fmt.Errorf("ratio %g must lie in (0, 1]", c.Ratio)
	case c.Reduction < 1:
		return fmt.Errorf("reduction %d: at least 1", c.Reduction)
	}
	return validate(c.Epochs, c.LR, c.Decay, c.Batch)
}

// Schedule is the learning rate by epoch: CoOp's.
func (c ClipAdapterConfig) Schedule() optim.Schedule {
	return optim.Warmup(warmupEpochs, warmupLR, optim.Cosine(c.LR, c.Epochs))
}

// CoOp's first epoch has a rate of its own.
const (
	warmupEpochs = 1
	warmupLR     = 1e-5
)

// ClipAdapter is two layers without biases behind the image encoder: for features x as it gives them
//
//	y = relu(W₂·relu(W₁·x)),  feature = ratio·y + (1−ratio)·x
//
// and the feature, divided by its length, meets the text classifier.
type ClipAdapter struct {
	Down, Up *nn.Param // fc.0.weight [D/reduction, D] and fc.2.weight [D, D/reduction]
	Head     train.Head
	Ratio    float64
}

// NewClipAdapter makes one with torch's initial weights, uniform in ±1/√inputs, before a text classifier of features of length 1.
func NewClipAdapter(head train.Head, c ClipAdapterConfig) (*ClipAdapter, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	dev, d := head.Classes.Device(), head.Classes.Dim(1)
	middle := d / c.Reduction
	if middle < 1 {
		return nil, fmt.Errorf("reduction %d leaves nothing of features of %d numbers", c.Reduction, d)
	}
	key := tensor.NewKey(c.Seed).Name("clip-adapter")
	layer := func(name string, out, in int) *nn.Param {
		w := dev.New(tensor.Full, out, in)
		uniform(w, key.Name(name), 1/math.Sqrt(float64(in)))
		return &nn.Param{Name: name, Value: w}
	}
	return &ClipAdapter{Down: layer("fc.0.weight", middle, d), Up: layer("fc.2.weight", d, middle), Head: head, Ratio: c.Ratio}, nil
}

// uniform fills x with numbers in [−bound, bound).
func uniform(x *tensor.Tensor, key tensor.Key, bound float64) {
	half := x.Device().New(tensor.Full, x.Dim(1))
	tensor.Uniform(x, key)
	tensor.Scale(x, x, 2*bound)
	tensor.Fill(half, -bound)
	tensor.Add(x, x, half)
	half.Release()
}

// Logits are [N, C] for features [N, D] as the encoder gives them.
func (a *ClipAdapter) Logits(features *autograd.Var) *autograd.Var {
	t := features.Tape()
	x := full(features)
	y := autograd.Activate(autograd.Linear(x, a.Down.On(t), nil), tensor.ReLU)
	y = autograd.Activate(autograd.Linear(y, a.Up.On(t), nil), tensor.ReLU)
	return a.Head.Logits(autograd.Add(autograd.Scale(y, a.Ratio), autograd.Scale(x, 1-a.Ratio)))
}

// Formula makes a [train.Stated].
func (a *ClipAdapter) Formula() nn.Formula {
	f := a.Head.Formula()
	f.Down, f.Up, f.Ratio = a.Down.Value.Floats(), a.Up.Value.Floats(), a.Ratio
	return f
}

// full are features of a frozen encoder as numbers of kind Full, so that what is learned behind it is computed in that.
func full(features *autograd.Var) *autograd.Var {
	x := features.Value
	if x.Kind() == tensor.Full {
		return features
	}
	t := features.Tape()
	out := t.New(tensor.Full, x.Shape()...)
	tensor.Copy(out, x)
	return t.Const(out)
}

// Learner trains the adapter on an encoder's features.
func (a *ClipAdapter) Learner(e train.Encoder, c ClipAdapterConfig) train.Learner {
	return &behind{encoder: e, logits: a.Logits, classes: a.Head.Classes.Shape()[0],
		group: train.Group{Params: []*nn.Param{a.Down, a.Up}, Optimizer: optim.NewSGD(0.9, c.Decay)}}
}

// behind learns a head of features by the cross-entropy.
type behind struct {
	train.Base
	encoder train.Encoder
	logits  func(features *autograd.Var) *autograd.Var
	classes int
	group   train.Group
}

func (l *behind) Groups() []train.Group { return []train.Group{l.group} }

func (l *behind) Plan() train.Plan { return train.Plan{Classes: l.classes, Lanes: 1} }

func (l *behind) Losses(t *autograd.Tape, p train.Part) ([]*autograd.Var, *autograd.Var) {
	logits := l.logits(l.encoder.Encode(t.Const(p.Images)))
	return []*autograd.Var{autograd.CrossEntropy(logits, p.Labels)}, logits
}
