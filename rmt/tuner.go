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

	dev     *tensor.Device
	flipped bool // some weight is off, so student and teacher differ
}

// NewTuner makes a tuner with Adam as the paper uses it.
func NewTuner(dev *tensor.Device, student, teacher Encoder, head Head, masks []*Mask, c Config) *Tuner {
	t := &Tuner{Student: student, Teacher: teacher, Head: head, Masks: masks, Rule: c.Rule(), Optimizer: optim.NewAdam(),
		Key: tensor.NewKey(c.Seed).Name("rmt"), dev: dev}
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
func (t *Tuner) Step(images *tensor.Tensor, labels []int32, lr float64) (Stats, error) {
	tape := autograd.NewTape(t.dev)
	defer tape.Release()
	both := t.flipped && t.Rule.NeedsTeacher()
	var target *tensor.Tensor
	if both {
		target = t.teacherLogits(images)
		defer target.Release()
	}
	logits := t.Head.Logits(t.Student.Encode(tape.Const(images)))
	losses := []*autograd.Var{autograd.CrossEntropy(logits, labels)}
	if both {
		losses = append(losses, autograd.SoftCrossEntropy(logits, target))
	}
	s := Stats{Loss: losses[0].Value.Item(), Distill: math.NaN(), Correct: correct(logits.Value, labels)}
	if both {
		s.Distill = losses[1].Value.Item()
	}
	// What a broken device returns is no number either; its own error says more.
	if err := t.dev.Sync(); err != nil {
		return s, err
	}
	for i, l := range losses {
		if v := l.Value.Item(); math.IsNaN(v) || math.IsInf(v, 0) {
			return s, fmt.Errorf("%s loss of step %d is %v: %w", []string{"cross-entropy", "distillation"}[i], t.Optimizer.Steps()+1, v, ErrNonFinite)
		}
	}
	grads := autograd.Backward(losses...)
	key := t.Key.Fold(uint64(t.Optimizer.Steps()))
	t.Optimizer.Tick(lr)
	for _, m := range t.Masks {
		g := grads.Of(m.Scores)
		if g == nil {
			return s, fmt.Errorf("mask on %s got no gradient: the encoder does not use the parameter", m.Param.Name)
		}
		var b *tensor.Tensor
		if both {
			b = g.Index(1)
		}
		t.Rule.Apply(t.Optimizer, m.Scores, g.Index(0), b, key.Name(m.Param.Name))
	}
	if !t.flipped {
		t.flipped = SparsityOf(t.Masks).Off > 0
	}
	return s, t.dev.Sync()
}

// teacherLogits are held by the caller.
func (t *Tuner) teacherLogits(images *tensor.Tensor) *tensor.Tensor {
	tape := autograd.NoGrad(t.dev)
	defer tape.Release()
	z := t.Head.Logits(t.Teacher.Encode(tape.Const(images))).Value
	z.Retain()
	return z
}

// correct counts the rows whose largest logit is the label's; ties go to the lowest index.
func correct(logits *tensor.Tensor, labels []int32) int {
	n := 0
	for i, p := range Argmax(logits) {
		if p == labels[i] {
			n++
		}
	}
	return n
}

// Argmax is the index of the largest element of each row; ties go to the lowest.
func Argmax(x *tensor.Tensor) []int32 {
	v, w := x.Floats(), x.Dim(1)
	best := make([]int32, len(v)/w)
	for r := range best {
		row := v[r*w : (r+1)*w]
		for j := range row {
			if row[j] > row[best[r]] {
				best[r] = int32(j)
			}
		}
	}
	return best
}
