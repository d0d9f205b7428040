package adapter

import (
	"fmt"
	"math"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// TaskResConfig are the settings of TaskRes.
type TaskResConfig struct {
	Alpha  float64 `json:"alpha"` // of the residual in the sum
	Epochs int     `json:"epochs"`
	LR     float64 `json:"lr"`
	L2     float64 `json:"l2"` // Dassl's weight decay, which Adam adds to the gradient
	Batch  int     `json:"batch"`
}

// DefaultTaskRes has the settings of the released scripts with the regular base, for a data set and a number of shots.
func DefaultTaskRes(dataset string, shots int) TaskResConfig {
	c := TaskResConfig{Alpha: 0.5, Epochs: 100, LR: 2e-3, L2: 5e-4, Batch: 256}
	if dataset == "oxford_flowers" {
		c.Alpha = 1
	}
	if dataset == "imagenet" {
		c.LR = 2e-4
	}
	if shots <= 0 || shots >= 8 {
		c.Epochs = 200
	}
	return c
}

// Validate reports the first setting that makes no sense.
func (c TaskResConfig) Validate() error {
	if c.Alpha == 0 || math.IsNaN(c.Alpha) || math.IsInf(c.Alpha, 0) {
		return fmt.Errorf("alpha %g: the residual needs a factor other than 0", c.Alpha)
	}
	return validate(c.Epochs, c.LR, c.L2, c.Batch)
}

// Schedule is the learning rate by epoch: a cosine after an epoch of warm-up.
func (c TaskResConfig) Schedule() optim.Schedule {
	return optim.Warmup(warmupEpochs, warmupLR, optim.Cosine(c.LR, c.Epochs))
}

// TaskRes is a text classifier with something learned added: class c's features are base_c + alpha·residual_c, divided by their
// length. The base is what the text encoder gives, not divided by its length; alpha is relative to that.
type TaskRes struct {
	Residual *nn.Param      // text_feature_residuals [C, D]
	Base     *tensor.Tensor // [C, D]
	Alpha    float64
	Scale    float64 // of the cosines
}

// NewTaskRes starts from a residual of zeros.
func NewTaskRes(base *tensor.Tensor, scale float64, c TaskResConfig) (*TaskRes, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	zeros := base.Device().Zeros(tensor.Full, base.Shape()...)
	return &TaskRes{Residual: &nn.Param{Name: "text_feature_residuals", Value: zeros}, Base: base, Alpha: c.Alpha, Scale: scale}, nil
}

// Logits are [N, C] for features [N, D] as the encoder gives them.
func (r *TaskRes) Logits(features *autograd.Var) *autograd.Var {
	classes := r.features(features.Tape())
	return autograd.Scale(autograd.Linear(autograd.L2Normalize(features), classes, nil), r.Scale)
}

// features are the classes', [C, D], of length 1.
func (r *TaskRes) features(t *autograd.Tape) *autograd.Var {
	return autograd.L2Normalize(autograd.Add(autograd.Scale(r.Residual.On(t), r.Alpha), t.Const(r.Base)))
}

// Formula makes r [train.Stated].
func (r *TaskRes) Formula() nn.Formula {
	t := autograd.NoGrad(r.Base.Device())
	defer t.Release()
	return nn.Formula{Classes: r.features(t).Value.Floats(), Scale: r.Scale}
}

// Learner trains the residual on an encoder's features.
func (r *TaskRes) Learner(e train.Encoder, c TaskResConfig) train.Learner {
	adam := optim.NewAdam()
	adam.L2 = c.L2
	return &behind{encoder: e, logits: r.Logits, classes: r.Base.Shape()[0],
		group: train.Group{Params: []*nn.Param{r.Residual}, Optimizer: adam}}
}
