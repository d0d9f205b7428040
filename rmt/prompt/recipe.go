package prompt

import (
	"fmt"
	"math"
	"slices"

	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
)

// Recipe is how the prompts of a method are trained: stochastic gradient descent whose rate falls as a cosine by epoch, after epochs at
// a small constant one.
type Recipe struct {
	Epochs   int     `json:"epochs"`
	LR       float64 `json:"lr"`
	Batch    int     `json:"batch"`
	Warmup   int     `json:"warmup_epochs"`
	WarmupLR float64 `json:"warmup_lr"`
	Momentum float64 `json:"momentum"`
	Decay    float64 `json:"weight_decay"` // Dassl's, of every trained tensor
	method.Augment
	Seed uint64 `json:"seed"`
}

// coopRecipe is CoOp's.
func coopRecipe(dataset string, shots int) Recipe {
	return Recipe{Epochs: method.CoOpEpochs(dataset, shots), LR: 2e-3, Batch: 32, Warmup: 1, WarmupLR: 1e-5, Momentum: 0.9, Decay: 5e-4, Augment: method.Augment{CropMin: 0.08, Flip: 0.5}, Seed: 1}
}

// Schedule is the learning rate by epoch. The cosine's period is that of all epochs, those of the warm-up included, so that it does not
// come to its end.
func (r Recipe) Schedule() optim.Schedule {
	return optim.Warmup(r.Warmup, r.WarmupLR, optim.Cosine(r.LR, r.Epochs))
}

// Validate reports the first setting that makes no sense.
func (r Recipe) Validate() error {
	for _, v := range []float64{r.LR, r.WarmupLR, r.Momentum, r.Decay} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("a setting is not a finite number")
		}
	}
	switch {
	case r.Epochs < 1:
		return fmt.Errorf("epochs %d: at least 1", r.Epochs)
	case r.LR <= 0:
		return fmt.Errorf("learning rate %g must be positive", r.LR)
	case r.Batch < 1:
		return fmt.Errorf("batch %d: at least 1", r.Batch)
	case r.Warmup < 0 || r.WarmupLR < 0:
		return fmt.Errorf("warm-up of %d epochs at %g: neither may be negative", r.Warmup, r.WarmupLR)
	case r.Momentum < 0 || r.Momentum >= 1:
		return fmt.Errorf("momentum %g must lie in [0, 1)", r.Momentum)
	case r.Decay < 0:
		return fmt.Errorf("weight decay %g must not be negative", r.Decay)
	}
	return r.Augment.Validate()
}

// group is trained parameters under the recipe's optimizer.
func (r Recipe) group(rule optim.Rule, params ...*nn.Param) []train.Group {
	return []train.Group{{Params: params, Optimizer: optim.NewSGD(r.Momentum, r.Decay), Rule: rule}}
}

// oneOf is an error unless a setting has one of its values.
func oneOf(what, value string, values ...string) error {
	if slices.Contains(values, value) {
		return nil
	}
	return fmt.Errorf("%s %q is not known; there are %q", what, value, values)
}
