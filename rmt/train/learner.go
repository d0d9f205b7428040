package train

import (
	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/tensor"
)

// Learner is what a method gives the loop. [Base] has all but the first three methods.
type Learner interface {
	// Groups are the trained parameters, those of a group with the same rule and optimizer. Names are unique and stay
	// the same from run to run, and so does the order: a checkpoint knows tensors by name, and dropped gradients draw by
	// it.
	Groups() []Group

	// Plan says what the next sweep is made of.
	Plan() Plan

	// Losses are those of a part of a batch, as many as the plan has, means over its images, and its logits [N, C].
	Losses(t *autograd.Tape, p Part) (losses []*autograd.Var, logits *autograd.Var)

	// Shared puts on the tape what is made of trained parameters alone, and so is common to all parts of a batch, as a
	// masked weight. The parameters themselves are on it already.
	Shared(t *autograd.Tape)

	// Targets are what a frozen teacher says of images [N, 3, S, S]: a tensor whose first axis is N, held by the caller.
	// They are asked for where the plan has Targets.
	Targets(images *tensor.Tensor) *tensor.Tensor

	// Count writes the numbers that the plan watches into dst [Watched], before anything else of the sweep. Counted is
	// given what they were; if it returns true, the plan has changed, and the sweep is made anew.
	Count(dst *tensor.Tensor)
	Counted(values []float64) (again bool)

	// Begin is called before the sweep of each step, counted from 0 in a run: here a method fills tensors that its
	// losses read and that are others at each step, as those of dropout.
	Begin(step int)

	// EndEpoch is called after the last step of an epoch, counted from 0.
	EndEpoch(epoch int)

	// State are further tensors that change as the run goes on, and that are saved with the trained ones.
	State() []optim.Named

	// Restored is called when parameters and state have been set from a checkpoint.
	Restored()
}

// Group is trained parameters that are updated alike.
type Group struct {
	Params    []*nn.Param
	Optimizer optim.Optimizer
	Rule      optim.Rule // what becomes of several losses' gradients; nil: the first one's counts, as it is
	Factor    float64    // of the run's learning rate; 0 is 1
	// Unseen says that parameters may have no part in any loss. Their gradient is zero then, and their update by it is
	// made; otherwise that is an error.
	Unseen bool
	// Watch, if set, is shown the gradient of the first loss by each of Params, and the learning rate, before the update
	// of each step. It may keep a tensor only to compare it with the next step's.
	Watch func(i int, lr float64, gradient *tensor.Tensor)
}

// Plan says what a sweep is made of. While a learner returns equal plans, the recorded sweep is run again.
type Plan struct {
	Classes int  // C of the logits
	Lanes   int  // losses, each with gradients of its own: 1 or 2
	Targets bool // a teacher is asked
	Watched int  // numbers that the learner counts
	// Rests has a bit for each group that rests: it is neither differentiated by nor updated, and its optimizer counts
	// no steps.
	Rests uint64
}

// Part is some images of a batch, with what belongs to them.
type Part struct {
	Images  *tensor.Tensor // [N, 3, S, S], normalised
	Labels  []int32        // of the images; a program reads them at each run
	First   int            // index of the first image in the batch
	Batch   int            // images of the batch
	Targets *tensor.Tensor // those of the images; nil if the plan has none
}

// Base is a learner without a teacher, with nothing to watch and nothing to keep but its parameters.
type Base struct{}

// Shared puts nothing on the tape.
func (Base) Shared(*autograd.Tape) {}

// Targets are never asked for.
func (Base) Targets(*tensor.Tensor) *tensor.Tensor {
	panic("train: a learner without a teacher has no targets")
}

// Count counts nothing.
func (Base) Count(*tensor.Tensor) {}

// Counted changes nothing.
func (Base) Counted([]float64) bool { return false }

// Begin does nothing.
func (Base) Begin(int) {}

// EndEpoch does nothing.
func (Base) EndEpoch(int) {}

// State is empty.
func (Base) State() []optim.Named { return nil }

// Restored does nothing.
func (Base) Restored() {}

// firstLane is the rule of a group without one.
type firstLane struct{}

func (firstLane) NeedsTeacher() bool { return false }

func (firstLane) Apply(o optim.Optimizer, w, a, _ *tensor.Tensor, _ tensor.Key) { o.Update(w, a) }
