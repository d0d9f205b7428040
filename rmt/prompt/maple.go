package prompt

import (
	"fmt"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/vit"
)

// MaPLeConfig are the settings of multi-modal prompts.
type MaPLeConfig struct {
	Context int    `json:"context"` // vectors of class prompts, and tokens of images, of each layer
	Words   string `json:"words"`   // whose first tokens the context starts from; "" starts from N(0, 0.02²)
	Depth   int    `json:"depth"`   // layers that have prompts of their own, of both encoders
	Recipe
}

// DefaultMaPLe has the settings of the released program: 2 vectors from "a photo of a", 9 layers, 5 epochs in batches of 4.
func DefaultMaPLe() MaPLeConfig {
	c := MaPLeConfig{Context: 2, Words: "a photo of a", Depth: 9, Recipe: coopRecipe("", 16)}
	c.Epochs, c.Batch, c.LR = 5, 4, 3.5e-3
	return c
}

// Validate reports the first setting that makes no sense.
func (c MaPLeConfig) Validate() error {
	switch {
	case c.Context < 1:
		return fmt.Errorf("a context of %d vectors: at least 1", c.Context)
	case c.Words != "" && c.Context > 4:
		return fmt.Errorf("a context of %d vectors does not start from words: the published program has up to 4; give -words \"\"", c.Context)
	case c.Depth < 1:
		return fmt.Errorf("depth %d: at least 1", c.Depth)
	}
	return c.Recipe.Validate()
}

// MaPLe learns a context of class prompts, vectors that take its place before later layers of the text encoder, and products that make
// tokens of images of each of them. Parameters have the names of the released program.
type MaPLe struct {
	train.Base
	clip    *CLIP
	image   *vit.Encoder
	classes []string
	context promptContext
	texts   *texts

	ctx      *nn.Param
	proj     nn.Linear
	deep     []*nn.Param // compound_prompts_text
	projs    []nn.Linear // compound_prompt_projections
	groups   []train.Group
	features *autograd.Var // of the sweep that is being recorded
	prompts  vit.Prompts
}

// NewMaPLe starts prompts for both encoders.
func NewMaPLe(m *CLIP, classes []string, c MaPLeConfig) (*MaPLe, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	image, err := m.transformer("maple")
	if err != nil {
		return nil, err
	}
	if most := min(image.Layers, m.Text.Layers); c.Depth > most {
		return nil, fmt.Errorf("depth %d: the encoders have %d layers; give fewer by -depth", c.Depth, most)
	}
	l := &MaPLe{clip: m, image: image, classes: classes, context: newContext(c.Context, "end", false)}
	if l.ctx, err = m.start(&l.context, c.Words, c.Seed, "maple"); err != nil {
		return nil, err
	}
	if l.texts, err = l.context.layout(l.clip, classes); err != nil {
		l.ctx.Value.Release()
		return nil, err
	}
	params := []*nn.Param{l.ctx}
	add := func(name string) nn.Linear {
		x := m.linear(c.Seed, "maple", name, m.Text.Width, image.Width)
		params = append(params, x.W, x.B)
		return x
	}
	l.proj = add("proj")
	for i := range c.Depth - 1 {
		p := m.normal(c.Seed, "maple", fmt.Sprintf("compound_prompts_text.%d", i), c.Context, m.Text.Width)
		l.deep, params = append(l.deep, p), append(params, p)
	}
	for i := range c.Depth - 1 { // clones of one layer
		x := add(fmt.Sprintf("compound_prompt_projections.%d", i))
		if i > 0 {
			x.W.Value.SetFloat64(l.projs[0].W.Value.Float64s())
			x.B.Value.SetFloat64(l.projs[0].B.Value.Float64s())
		}
		l.projs = append(l.projs, x)
	}
	l.groups = c.group(nil, params...)
	return l, nil
}

func (l *MaPLe) beside() []*tensor.Tensor { return nil }

// Groups are all of the parameters.
func (l *MaPLe) Groups() []train.Group { return l.groups }

// Plan has one loss.
func (l *MaPLe) Plan() train.Plan { return train.Plan{Classes: len(l.classes), Lanes: 1} }

func (l *MaPLe) visual(t *autograd.Tape) vit.Prompts {
	p := vit.Prompts{Input: l.proj.Forward(l.ctx.On(t)), Before: []*autograd.Var{nil}}
	for i, deep := range l.deep {
		p.Before = append(p.Before, l.projs[i].Forward(deep.On(t)))
	}
	return p
}

func (l *MaPLe) textual(t *autograd.Tape, texts *texts) *autograd.Var {
	return autograd.L2Normalize(texts.deep(l.ctx.On(t), on(t, l.deep)))
}

// on are parameters on a tape.
func on(t *autograd.Tape, params []*nn.Param) (all []*autograd.Var) {
	for _, p := range params {
		all = append(all, p.On(t))
	}
	return all
}

// Shared are the prompts and the class features.
func (l *MaPLe) Shared(t *autograd.Tape) { l.prompts, l.features = l.visual(t), l.textual(t, l.texts) }

// Losses are the cross-entropy.
func (l *MaPLe) Losses(t *autograd.Tape, p train.Part) ([]*autograd.Var, *autograd.Var) {
	logits := l.clip.logits(l.image.EncodeWith(t.Const(p.Images), l.prompts), l.features)
	return []*autograd.Var{autograd.CrossEntropy(logits, p.Labels)}, logits
}

// Classifier puts the context before other names.
func (l *MaPLe) Classifier(classes []string) (train.Classifier, func(), error) {
	texts, err := l.context.layout(l.clip, classes)
	if err != nil {
		return nil, nil, err
	}
	features := frozen(l.clip.Device, func(t *autograd.Tape) *autograd.Var { return l.textual(t, texts) })
	return train.Model{Encoder: prompted(func(images *autograd.Var) *autograd.Var {
		return l.image.EncodeWith(images, l.visual(images.Tape()))
	}), Head: train.Head{Classes: features, Scale: l.clip.Scale}}, features.Release, nil
}
