package prompt

import (
	"fmt"
	"strings"

	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt/train"
)

// ProGradConfig are the settings of ProGrad.
type ProGradConfig struct {
	Template    string  `json:"template"` // of the teacher, and of the context's start
	Lambda      float64 `json:"lambda"`
	Temperature float64 `json:"temperature"`
	FromWords   bool    `json:"from_template"` // the context starts from zeros and then the template's words
	ContextConfig
}

// progradTemplates are those of the released program, which are CLIP's in another order, so that the class name comes last.
var progradTemplates = map[string]string{
	"oxford_pets":    "a type of pet, a photo of a {}.",
	"oxford_flowers": "a type of flower, a photo of a {}.",
	"fgvc_aircraft":  "a type of aircraft, a photo of a {}.",
	"dtd":            "a texture of {}.",
	"eurosat":        "a centered satellite photo of {}.",
	"food101":        "a type of food, a photo of {}.",
	"ucf101":         "a photo of a person doing {}.",
}

// DefaultProGrad has the published settings. The authors ask for a lambda of 0.8 at 8 and 16 shots on three data sets.
func DefaultProGrad(dataset string, shots int, baseToNew bool) ProGradConfig {
	c := ProGradConfig{Template: "a photo of a {}.", Lambda: 1, Temperature: 1, FromWords: true, ContextConfig: DefaultCoOp(dataset, shots, false)}
	if t := progradTemplates[dataset]; t != "" {
		c.Template = t
	}
	switch dataset {
	case "oxford_flowers", "dtd", "eurosat":
		if shots >= 8 {
			c.Lambda = 0.8
		}
	}
	if baseToNew && dataset != "imagenet" {
		c.Epochs = 100
	}
	return c
}

// Validate reports the first setting that makes no sense.
func (c ProGradConfig) Validate() error {
	before, _, ok := strings.Cut(c.Template, " {}")
	switch {
	case !ok:
		return fmt.Errorf("template %q has no {} for the class name after a space", c.Template)
	case c.Words != "":
		return fmt.Errorf("a context starts from the template's words or from random vectors; drop the words %q", c.Words)
	case c.FromWords && c.Specific:
		return fmt.Errorf("class-specific contexts start from random vectors: with the template's words the published program ignores that they are asked for; give -from-template=false, or leave -class-specific out")
	case c.FromWords && len(strings.Fields(before)) > c.Context:
		return fmt.Errorf("a context of %d vectors has no room for the %d words of %q", c.Context, len(strings.Fields(before)), before)
	case !(c.Lambda >= 0):
		return fmt.Errorf("lambda %g must not be negative", c.Lambda)
	case !(c.Temperature > 0):
		return fmt.Errorf("temperature %g must be positive", c.Temperature)
	}
	return c.ContextConfig.Validate()
}

// NewProGrad starts a context whose gradient is held to the direction of zero-shot CLIP's: what points against that of the soft
// cross-entropy to its softmax is taken off, tensor by tensor, before momentum and decay.
//
// From a template the context is zeros and then the embeddings of the template's k words. Where one is two tokens, as before a comma, the
// vectors take k tokens and the last stays among the frozen ones behind them, as in the released program.
func NewProGrad(m *CLIP, classes []string, c ProGradConfig) (*CoOp, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	head, err := m.head(classes, c.Template)
	if err != nil {
		return nil, err
	}
	l := &CoOp{clip: m, classes: classes, context: newContext(c.Context, c.Position, c.Specific),
		teacher: &train.Head{Classes: head, Scale: m.Scale}, soft: c.Temperature}
	shape := []int{c.Context, m.Text.Width}
	switch {
	case c.FromWords:
		words, _, _ := strings.Cut(c.Template, " {}")
		k := len(strings.Fields(words))
		l.context.blank, l.context.words = c.Context-k, words
		x, err := l.context.embeddings(m)
		if err != nil {
			head.Release()
			return nil, err
		}
		l.ctx = &nn.Param{Name: "ctx", Value: x}
	case c.Specific:
		l.ctx = m.normal(c.Seed, "prograd", "ctx", append([]int{len(classes)}, shape...)...)
	default:
		l.ctx = m.normal(c.Seed, "prograd", "ctx", shape...)
	}
	if err := l.begin(c.Recipe, optim.ProGrad{Lambda: c.Lambda}); err != nil {
		head.Release()
		return nil, err
	}
	return l, nil
}

// KgCoOpConfig are the settings of KgCoOp.
type KgCoOpConfig struct {
	Template string  `json:"template"`
	Weight   float64 `json:"weight"` // of the distance between learned and template features in the loss
	ContextConfig
}

// kgcoopTemplates are those of the released program where they are not CLIP's.
var kgcoopTemplates = map[string]string{"dtd": "a photo of a {}, a type of texture."}

// DefaultKgCoOp has the settings of the released scripts: 4 vectors from "a photo of a", 100 epochs, batches of 128, weight 8. template is
// the data set's.
func DefaultKgCoOp(dataset, template string) KgCoOpConfig {
	c := KgCoOpConfig{Template: template, Weight: 8, ContextConfig: DefaultCoOp(dataset, 16, true)}
	if t := kgcoopTemplates[dataset]; t != "" {
		c.Template = t
	}
	c.Epochs, c.Batch = 100, 128
	return c
}

// Validate reports the first setting that makes no sense.
func (c KgCoOpConfig) Validate() error {
	if !(c.Weight >= 0) {
		return fmt.Errorf("weight %g must not be negative", c.Weight)
	}
	return c.ContextConfig.Validate()
}

// NewKgCoOp starts a context whose class features are held to those of a template: the loss is the cross-entropy plus weight times the
// mean over classes of 1 minus the cosine of the two.
func NewKgCoOp(m *CLIP, classes []string, c KgCoOpConfig) (*CoOp, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	anchors, err := m.head(classes, c.Template)
	if err != nil {
		return nil, err
	}
	l, err := NewCoOp(m, classes, c.ContextConfig)
	if err != nil {
		anchors.Release()
		return nil, err
	}
	l.anchors, l.weight = anchors, c.Weight
	return l, nil
}
