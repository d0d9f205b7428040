package rmt

import (
	"errors"
	"fmt"
	"math"

	"fewshot/autograd"
	"fewshot/optim"
	"fewshot/tensor"
)

// Encoder maps images [N, 3, S, S] to features [N, D], not normalised.
type Encoder interface {
	Encode(images *autograd.Var) *autograd.Var
}

// Head turns image features into logits: Scale times the cosine to each row of Classes [C, D], which has
// length 1.
type Head struct {
	Classes *tensor.Tensor
	Scale   float64
}

// Logits are [N, C] for features [N, D].
func (h Head) Logits(features *autograd.Var) *autograd.Var {
	t := features.Tape()
	return autograd.Scale(autograd.Linear(autograd.L2Normalize(features), t.Const(h.Classes), nil), h.Scale)
}

// Tuner learns masks.
type Tuner struct {
	Student, Teacher Encoder // over the same weights; only the student sees the masks
	Head             Head
	Masks            []*Mask
	Rule             optim.Rule
	Optimizer        optim.Optimizer
	Key              tensor.Key // randomness of the whole run
	MicroBatch       int        // images of a batch that are computed at a time, 0 for all: see Config

	dev     *tensor.Device
	flipped bool // some weight is off, so student and teacher differ, as far as is known
	sweep   *sweep
}

// NewTuner makes a tuner with Adam as the paper uses it.
func NewTuner(dev *tensor.Device, student, teacher Encoder, head Head, masks []*Mask, c Config) *Tuner {
	t := &Tuner{Student: student, Teacher: teacher, Head: head, Masks: masks, Rule: c.Rule(), Optimizer: optim.NewAdam(),
		Key: tensor.NewKey(c.Seed).Name("rmt"), MicroBatch: c.MicroBatch, dev: dev}
	t.flipped = SparsityOf(masks).Off > 0
	return t
}

// Stats describe one step.
type Stats struct {
	Loss    float64 // cross-entropy to the labels
	Distill float64 // soft cross-entropy to the teacher; NaN where it was not needed
	Correct int     // of the batch, by the student
}

// ErrNonFinite says that a loss was NaN or infinite. The scores are as they were before the step.
var ErrNonFinite = errors.New("the loss is not finite")

// Step is one training step at learning rate lr on images [N, 3, S, S], normalised, with their labels.
//
// Both losses are differentiated in one sweep. While no weight is off, student and teacher are the same
// network: the distillation gradient is exactly zero, so neither the teacher nor its lane is computed.
//
// The sweep is recorded at the first step on a tensor of images and run again by those that follow on
// the same tensor, filled anew: then a step allocates nothing. It waits for the device once, between the sweep and the update,
// so that what goes wrong with the update is returned by the next step, or by the device's Sync.
func (t *Tuner) Step(images *tensor.Tensor, labels []int32, lr float64) (Stats, error) {
	s, err := t.run(images, labels)
	if err != nil {
		return s, err
	}
	key := t.Key.Fold(uint64(t.Optimizer.Steps()))
	t.Optimizer.Tick(lr)
	for i, m := range t.Masks {
		t.Rule.Apply(t.Optimizer, m.Scores, t.sweep.lanes[i][0], t.sweep.lanes[i][1], key.Name(m.Param.Name))
	}
	return s, nil
}

// run makes the gradients of a step, and reads what the sweep reports. Whether the last update switched the first weight off
// is part of that, and so found out once the sweep is done: then another one is made, with the teacher.
func (t *Tuner) run(images *tensor.Tensor, labels []int32) (Stats, error) {
	s := Stats{Distill: math.NaN()}
	needed := t.Rule.NeedsTeacher()
	taught, watch := needed && t.flipped, needed && !t.flipped
	if !t.sweep.serves(images, labels, t.Head, taught, watch) {
		if err := t.Release(); err != nil {
			return s, err
		}
		var err error
		if t.sweep, err = t.record(images, len(labels), taught, watch); err != nil {
			return s, err
		}
	}
	copy(t.sweep.labels, labels)
	t.sweep.run()
	s.Loss, s.Correct = t.sweep.losses[0], t.sweep.correct()
	if err := t.finite("cross-entropy", s.Loss); err != nil {
		return s, err
	}
	if taught {
		s.Distill = t.sweep.losses[1]
		return s, t.finite("distillation", s.Distill)
	}
	if t.sweep.off() {
		t.flipped = true
		return t.run(images, labels)
	}
	return s, nil
}

// finite is an error if a loss is no number.
func (t *Tuner) finite(name string, loss float64) error {
	if math.IsNaN(loss) || math.IsInf(loss, 0) {
		// What a broken device returns is no number either; its own error says more.
		if err := t.dev.Sync(); err != nil {
			return err
		}
		return fmt.Errorf("%s loss of step %d is %v: %w", name, t.Optimizer.Steps()+1, loss, ErrNonFinite)
	}
	return nil
}

// Release gives back what steps keep for the next: the memory of the sweep. The tuner can go on.
func (t *Tuner) Release() error {
	if t.sweep == nil {
		return nil
	}
	p := t.sweep.program
	t.sweep = nil
	return p.Release()
}

// teacherLogits are held by the caller.
func (t *Tuner) teacherLogits(images *tensor.Tensor) *tensor.Tensor {
	tape := autograd.NoGrad(t.dev)
	defer tape.Release()
	z := t.Head.Logits(t.Teacher.Encode(tape.Const(images))).Value
	z.Retain()
	return z
}

// Argmax is the index of the largest element of each row; ties go to the lowest.
func Argmax(x *tensor.Tensor) []int32 {
	v, w := x.Floats(), x.Dim(1)
	best := make([]int32, len(v)/w)
	for r := range best {
		best[r] = int32(argmax(v[r*w : (r+1)*w]))
	}
	return best
}

// argmax is the index of the largest element; the lowest, if there are several.
func argmax[T float32 | float64](row []T) (best int) {
	for j, v := range row {
		if v > row[best] {
			best = j
		}
	}
	return best
}
