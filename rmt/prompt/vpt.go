package prompt

import (
	"fmt"
	"math"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/vit"
)

// VPTConfig are the settings of visual prompts.
type VPTConfig struct {
	Prompts  int    `json:"prompts"`  // tokens a layer
	Depth    int    `json:"depth"`    // layers that have tokens of their own; later ones carry on with what comes out; 0 is all
	First    string `json:"first"`    // "ln_pre": the first layer's tokens join the sequence before it and are normalised; "raw": behind it
	Init     string `json:"init"`     // "normal": N(0, 0.02²); "uniform": U(±√(6/(3·patch²+width)))
	Template string `json:"template"` // of the frozen text classifier
	Recipe
}

// VPTConventions are the ways that published programs do VPT on CLIP, which differ in all settings.
func VPTConventions() []string { return []string{"upt", "maple", "kmnp"} }

// DefaultVPT has the settings of a convention: "upt" is the program of UPT's authors, "maple" that of MaPLe's, and "kmnp" the functions of
// the original VPT as MVLPT has them on CLIP, trained by the first one's recipe, as it comes with none. template is the data set's.
func DefaultVPT(convention string, deep bool, dataset, template string, shots int) (VPTConfig, error) {
	c := VPTConfig{Prompts: 4, Depth: 1, First: "ln_pre", Init: "normal", Template: template, Recipe: coopRecipe(dataset, shots)}
	switch convention {
	case "upt":
		if deep {
			c.First = "raw"
		}
	case "maple":
		c.Prompts, c.Template = 8, "a photo of a {}."
		c.Epochs, c.Batch, c.LR = 5, 4, 2.5e-3
	case "kmnp":
		c.First, c.Init = "raw", "uniform"
	default:
		return c, oneOf("convention", convention, VPTConventions()...)
	}
	if deep {
		c.Depth = 0
	}
	return c, nil
}

// Validate reports the first setting that makes no sense.
func (c VPTConfig) Validate() error {
	switch {
	case c.Prompts < 1:
		return fmt.Errorf("%d visual prompts a layer: at least 1", c.Prompts)
	case c.Depth < 0:
		return fmt.Errorf("depth %d: the number of layers with prompts of their own, or 0 for all", c.Depth)
	}
	if err := oneOf("first", c.First, "ln_pre", "raw"); err != nil {
		return err
	}
	if err := oneOf("init", c.Init, "normal", "uniform"); err != nil {
		return err
	}
	return c.Recipe.Validate()
}

// transformer is the image encoder as one that takes tokens.
func (m *CLIP) transformer(method string) (*vit.Encoder, error) {
	e, ok := m.Image.(*vit.Encoder)
	if !ok {
		return nil, fmt.Errorf("%s puts tokens into a vision transformer, and this image encoder is none", method)
	}
	return e, nil
}

// VPT learns tokens of the image encoder. Its parameter is visual_ctx, [layers, n, Width]. They have no positions, and those of a layer
// replace what the layer before has made of its own.
type VPT struct {
	train.Base
	clip    *CLIP
	image   *vit.Encoder
	config  VPTConfig
	classes []string
	head    train.Head
	prompts *nn.Param
	groups  []train.Group
}

// NewVPT starts tokens for an image encoder, before a frozen text classifier.
func NewVPT(m *CLIP, classes []string, c VPTConfig) (*VPT, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	image, err := m.transformer("vpt")
	if err != nil {
		return nil, err
	}
	if c.Depth > image.Layers {
		return nil, fmt.Errorf("depth %d: the image encoder has %d layers; give fewer by -depth", c.Depth, image.Layers)
	}
	if c.Depth == 0 {
		c.Depth = image.Layers
	}
	features, err := m.head(classes, c.Template)
	if err != nil {
		return nil, err
	}
	l := &VPT{clip: m, image: image, config: c, classes: classes, head: train.Head{Classes: features, Scale: m.Scale}}
	if c.Init == "uniform" {
		bound := math.Sqrt(6 / float64(3*image.Patch*image.Patch+image.Width))
		l.prompts = m.uniform(c.Seed, "vpt", "visual_ctx", bound, c.Depth, c.Prompts, image.Width)
	} else {
		l.prompts = m.normal(c.Seed, "vpt", "visual_ctx", c.Depth, c.Prompts, image.Width)
	}
	l.groups = c.group(nil, l.prompts)
	return l, nil
}

func (l *VPT) beside() []*tensor.Tensor { return []*tensor.Tensor{l.head.Classes} }

// Groups are the tokens.
func (l *VPT) Groups() []train.Group { return l.groups }

// Plan has one loss.
func (l *VPT) Plan() train.Plan { return train.Plan{Classes: len(l.classes), Lanes: 1} }

// Losses are the cross-entropy.
func (l *VPT) Losses(t *autograd.Tape, p train.Part) ([]*autograd.Var, *autograd.Var) {
	logits := l.head.Logits(l.encode(t.Const(p.Images), l.prompts.On(t)))
	return []*autograd.Var{autograd.CrossEntropy(logits, p.Labels)}, logits
}

func (l *VPT) encode(images, prompts *autograd.Var) *autograd.Var {
	return l.image.EncodeWith(images, layered(prompts, l.config.First))
}

// layered are prompts [layers, n, Width] where they go.
func layered(v *autograd.Var, first string) (p vit.Prompts) {
	for i := range v.Shape()[0] {
		p.Before = append(p.Before, layer(v, i))
	}
	if first == "ln_pre" {
		p.Input, p.Before[0] = p.Before[0], nil
	}
	return p
}

// layer is element i of the first axis of v [L, n, w].
func layer(v *autograd.Var, i int) *autograd.Var {
	return autograd.Reshape(autograd.Rows(v, i, i+1), v.Shape()[1:]...)
}

// Classifier puts the template's classifier behind the encoder with its tokens.
func (l *VPT) Classifier(classes []string) (train.Classifier, func(), error) {
	features, err := l.clip.head(classes, l.config.Template)
	if err != nil {
		return nil, nil, err
	}
	return train.Model{Encoder: prompted(func(images *autograd.Var) *autograd.Var {
		return l.encode(images, images.Tape().Const(l.prompts.Value))
	}), Head: train.Head{Classes: features, Scale: l.clip.Scale}}, features.Release, nil
}

// prompted is an image encoder with tokens in it.
type prompted func(images *autograd.Var) *autograd.Var

// Encode calls it.
func (f prompted) Encode(images *autograd.Var) *autograd.Var { return f(images) }
