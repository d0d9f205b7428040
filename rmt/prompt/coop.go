package prompt

import (
	"fmt"
	"slices"
	"strings"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// ContextConfig are the settings of a learned context.
type ContextConfig struct {
	Context  int    `json:"context"`  // vectors
	Position string `json:"position"` // of the class name: of Positions
	Specific bool   `json:"class_specific"`
	Words    string `json:"words"` // to start from, a vector each; "" starts from N(0, 0.02²)
	Recipe
}

// DefaultCoOp has the settings published for a data set and a number of shots: 16 vectors, or 4 from "a photo of a" where the context is
// to carry over from base to new classes.
func DefaultCoOp(dataset string, shots int, baseToNew bool) ContextConfig {
	c := ContextConfig{Context: 16, Position: "end", Recipe: coopRecipe(dataset, shots)}
	if baseToNew {
		c.Context, c.Words = 4, "a photo of a"
	}
	return c
}

// Validate reports the first setting that makes no sense.
func (c ContextConfig) Validate() error {
	switch {
	case c.Words != "" && c.Specific:
		return fmt.Errorf("class-specific contexts start from random vectors: with the words %q the published program ignores that they are asked for; give -words \"\", or leave -class-specific out", c.Words)
	case c.Words != "" && c.Context != len(strings.Fields(c.Words)):
		return fmt.Errorf("the words %q make a context of %d vectors, not of %d", c.Words, len(strings.Fields(c.Words)), c.Context)
	case c.Context < 1:
		return fmt.Errorf("a context of %d vectors: at least 1", c.Context)
	}
	if err := oneOf("position", c.Position, Positions()...); err != nil {
		return err
	}
	return c.Recipe.Validate()
}

// CoOp learns a context: vectors in the place of a template's words. Its parameter is ctx, [n, Width] or by class [C, n, Width].
type CoOp struct {
	train.Base
	clip     *CLIP
	classes  []string
	context  promptContext
	ctx      *nn.Param
	texts    *texts
	groups   []train.Group
	features *autograd.Var // [C, Embed], of the sweep that is being recorded

	// Of methods that look at zero-shot CLIP; nil or 0 without.
	teacher *train.Head
	soft    float64        // temperature of the teacher's softmax
	anchors *tensor.Tensor // [C, Embed], rows of length 1, that class features are held to
	weight  float64        // by so much
}

// NewCoOp starts a context for classes.
func NewCoOp(m *CLIP, classes []string, c ContextConfig) (*CoOp, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	l := &CoOp{clip: m, classes: classes, context: newContext(c.Context, c.Position, c.Specific)}
	if c.Specific {
		l.ctx = m.normal(c.Seed, "coop", "ctx", len(classes), c.Context, m.Text.Width)
	} else {
		var err error
		if l.ctx, err = m.start(&l.context, c.Words, c.Seed, "coop"); err != nil {
			return nil, err
		}
	}
	if err := l.begin(c.Recipe, nil); err != nil {
		return nil, err
	}
	return l, nil
}

// begin lays the prompts out. If they cannot be, the context is given back.
func (l *CoOp) begin(r Recipe, rule optim.Rule) (err error) {
	if l.texts, err = l.context.layout(l.clip, l.classes); err != nil {
		l.ctx.Value.Release()
		return err
	}
	l.groups = r.group(rule, l.ctx)
	return nil
}

func (l *CoOp) beside() (all []*tensor.Tensor) {
	if l.teacher != nil {
		all = append(all, l.teacher.Classes)
	}
	if l.anchors != nil {
		all = append(all, l.anchors)
	}
	return all
}

// Groups are the context.
func (l *CoOp) Groups() []train.Group { return l.groups }

// Plan has one loss, or two with a teacher.
func (l *CoOp) Plan() train.Plan {
	p := train.Plan{Classes: len(l.classes), Lanes: 1}
	if l.teacher != nil {
		p.Lanes, p.Targets = 2, true
	}
	return p
}

// Shared computes the class features, which are those of all parts of a batch.
func (l *CoOp) Shared(t *autograd.Tape) {
	l.features = autograd.L2Normalize(l.texts.features(t, rows(l.ctx.On(t))))
}

// Losses are the cross-entropy to the labels and, with a teacher, that to its softmax.
func (l *CoOp) Losses(t *autograd.Tape, p train.Part) ([]*autograd.Var, *autograd.Var) {
	logits := l.clip.logits(l.clip.Image.Encode(t.Const(p.Images)), l.features)
	loss := autograd.CrossEntropy(logits, p.Labels)
	if l.anchors != nil {
		loss = autograd.Add(loss, apart(l.features, l.anchors, l.weight))
	}
	losses := []*autograd.Var{loss}
	if p.Targets != nil {
		losses = append(losses, autograd.Scale(autograd.SoftCrossEntropy(autograd.Scale(logits, 1/l.soft), p.Targets), l.soft*l.soft))
	}
	return losses, logits
}

// Targets are the teacher's logits over its temperature, [N, C].
func (l *CoOp) Targets(images *tensor.Tensor) *tensor.Tensor {
	return frozen(images.Device(), func(t *autograd.Tape) *autograd.Var {
		return autograd.Scale(l.teacher.Logits(l.clip.Image.Encode(t.Const(images))), 1/l.soft)
	})
}

// logits are [N, C] for image features [N, Embed] and class features [C, Embed] of length 1.
func (m *CLIP) logits(images, classes *autograd.Var) *autograd.Var {
	return autograd.Scale(autograd.Linear(autograd.L2Normalize(images), classes, nil), m.Scale)
}

// apart is weight times the mean over rows of 1 minus their cosine, a scalar, for rows of length 1.
func apart(x *autograd.Var, y *tensor.Tensor, weight float64) *autograd.Var {
	t, n := x.Tape(), x.Value.Len()
	sum := autograd.Linear(autograd.Reshape(x, 1, n), t.Const(y.View(1, n)), nil)
	one := t.New(tensor.Full)
	tensor.Fill(one, weight)
	return autograd.Add(autograd.Scale(autograd.Reshape(sum), -weight/float64(x.Shape()[0])), t.Const(one))
}

// Classifier puts the context before other names. One that is class-specific has none for other classes.
func (l *CoOp) Classifier(classes []string) (train.Classifier, func(), error) {
	if l.context.specific && !slices.Equal(classes, l.classes) {
		return nil, nil, fmt.Errorf("with a context for each class %w", method.ErrClasses)
	}
	texts, err := l.context.layout(l.clip, classes)
	if err != nil {
		return nil, nil, err
	}
	features := frozen(l.clip.Device, func(t *autograd.Tape) *autograd.Var {
		return autograd.L2Normalize(texts.features(t, rows(t.Const(l.ctx.Value))))
	})
	return train.Model{Encoder: l.clip.Image, Head: train.Head{Classes: features, Scale: l.clip.Scale}}, features.Release, nil
}
