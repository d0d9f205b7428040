package rmt

import (
	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Learner learns masks: its trained parameters are their scores, under the names of the masked weights.
//
// It has one loss, the cross-entropy to the labels, until some weight is off; from then on a second, to the untouched
// network, where the rule asks for one. So long student and teacher are the same network and the distillation
// gradient is exactly zero: neither the teacher nor its lane is computed, which changes no bit.
type Learner struct {
	train.Base
	Student, Teacher train.Encoder // over the same weights; only the student sees the masks
	Head             train.Head
	Masks            []*Mask
	// Text, if not nil, gives the classes' features as a masked text encoder has them, rows of length 1, at each step
	// anew. The head's are then those without masks, which the teacher keeps.
	Text        func(t *autograd.Tape) *autograd.Var
	Temperature float64 // T of the distillation, whose logits are divided by it and whose loss is multiplied by T²; 0 is 1

	groups    []train.Group
	gradients *gradientSums
	taught    bool          // the rule asks for a teacher
	flipped   bool          // some weight is off, so student and teacher differ, as far as is known
	classes   *autograd.Var // of Text, on the tape that is being recorded
}

// NewLearner learns masks with Adam, as the paper does, by the given rule.
func NewLearner(student, teacher train.Encoder, head train.Head, masks []*Mask, rule optim.Rule) *Learner {
	scores := train.Group{Optimizer: optim.NewAdam(), Rule: rule}
	for _, m := range masks {
		scores.Params = append(scores.Params, &nn.Param{Name: m.Param.Name, Value: m.Scores})
	}
	sums := newGradientSums(masks)
	for i, m := range masks {
		m.gradients = sums.of[i]
	}
	scores.Watch = sums.add
	l := &Learner{Student: student, Teacher: teacher, Head: head, Masks: masks, groups: []train.Group{scores}, taught: rule.NeedsTeacher(), gradients: sums}
	l.Restored()
	return l
}

// NewTrainer makes the steps of a learner of masks by the settings.
func NewTrainer(dev *tensor.Device, l *Learner, c Config) *train.Trainer {
	return train.New(dev, l, tensor.NewKey(c.Seed).Name("rmt"), c.MicroBatch)
}

// Groups are the scores of all masks.
func (l *Learner) Groups() []train.Group { return l.groups }

// State are the sums of the gradients, which are none of what a mask does.
func (l *Learner) State() []optim.Named {
	return []optim.Named{{Name: "gradient-sums", Tensor: l.gradients.sums}}
}

// Release gives back what the learner has but the masks.
func (l *Learner) Release() {
	for _, m := range l.Masks {
		m.gradients = nil
	}
	l.gradients.release()
}

// Plan has a teacher from the first weight on that is off, and until then watches for it.
func (l *Learner) Plan() train.Plan {
	p := train.Plan{Classes: l.Head.Classes.Dim(2), Lanes: 1}
	switch {
	case !l.taught:
	case l.flipped:
		p.Lanes, p.Targets = 2, true
	default:
		p.Watched = counts(l.Masks)
	}
	return p
}

// Shared applies the masks.
func (l *Learner) Shared(t *autograd.Tape) {
	for _, m := range l.Masks {
		m.Param.On(t)
	}
	if l.classes = nil; l.Text != nil {
		l.classes = l.Text(t)
	}
}

// logits are the student's.
func (l *Learner) logits(images *autograd.Var) *autograd.Var {
	features := l.Student.Encode(images)
	if l.classes == nil {
		return l.Head.Logits(features)
	}
	return autograd.Scale(autograd.Linear(autograd.L2Normalize(features), l.classes, nil), l.Head.Scale)
}

// Losses are the cross-entropy to the labels and, with a teacher, that to its softmax.
func (l *Learner) Losses(t *autograd.Tape, p train.Part) ([]*autograd.Var, *autograd.Var) {
	logits := l.logits(t.Const(p.Images))
	losses := []*autograd.Var{autograd.CrossEntropy(logits, p.Labels)}
	switch t := l.Temperature; {
	case p.Targets == nil:
	case t == 0:
		losses = append(losses, autograd.SoftCrossEntropy(logits, p.Targets))
	default:
		losses = append(losses, autograd.Scale(autograd.SoftCrossEntropy(autograd.Scale(logits, 1/t), p.Targets), t*t))
	}
	return losses, logits
}

// Targets are the teacher's logits [N, C], by the temperature.
func (l *Learner) Targets(images *tensor.Tensor) *tensor.Tensor {
	tape := autograd.NoGrad(images.Device())
	defer tape.Release()
	z := l.Head.Logits(l.Teacher.Encode(tape.Const(images))).Value
	if l.Temperature != 0 {
		tensor.Scale(z, z, 1/l.Temperature)
	}
	z.Retain()
	return z
}

// Count counts what the masks let through.
func (l *Learner) Count(dst *tensor.Tensor) { countKept(dst, l.Masks) }

// Counted finds out, once the sweep is done, whether the last update switched the first weight off.
func (l *Learner) Counted(kept []float64) (again bool) {
	if len(kept) == 0 {
		return false
	}
	elements := 0
	for _, m := range l.Masks {
		elements += m.Scores.Len()
	}
	l.flipped = int(sum(kept)) < elements
	return l.flipped
}

// Restored finds out anew whether any weight is off.
func (l *Learner) Restored() { l.flipped = SparsityOf(l.Masks).Off > 0 }
