package prompt

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

// CLIP is the frozen model that prompts are learned for. Its image encoder may be under masks.
type CLIP struct {
	Device    *tensor.Device
	Image     train.Encoder
	Text      *text.Encoder
	Tokenizer text.Tokenizer
	Scale     float64 // of the cosines
}

// Transformer is an image encoder that takes prompts, as [vit.Encoder].
type Transformer interface {
	train.Encoder
	EncodeWith(images *autograd.Var, p vit.Prompts) *autograd.Var
}

// Learner is a method of this package.
type Learner interface {
	train.Learner
	// Classifier is what has been learned so far, for the classes that it is learned on or for others. release gives its memory back.
	// A method that does not carry over to other classes refuses them.
	Classifier(classes []string) (c train.Classifier, release func(), err error)
	// beside are tensors that the method keeps beside its trained ones.
	beside() []*tensor.Tensor
}

// name is a class's in a prompt.
func name(class string) string { return strings.ReplaceAll(class, "_", " ") }

// fill is a template with a class in it.
func fill(template, class string) string { return strings.ReplaceAll(template, "{}", name(class)) }

// tokens are those of a class's prompt, from start to end.
func (m *CLIP) tokens(prompt, class string) ([]int32, error) {
	ids, err := m.Tokenizer.Tokenize(prompt, m.Text.Context, false)
	if err != nil {
		return nil, fmt.Errorf("class %q: %w", class, err)
	}
	return ids, nil
}

// head is the zero-shot classifier of a template, [C, Embed], rows of length 1. The caller releases it.
func (m *CLIP) head(classes []string, template string) (*tensor.Tensor, error) {
	if !strings.Contains(template, "{}") {
		return nil, fmt.Errorf("template %q has no {} for the class name", template)
	}
	var prompts [][]int32
	for _, c := range classes {
		ids, err := m.tokens(fill(template, c), c)
		if err != nil {
			return nil, err
		}
		prompts = append(prompts, ids)
	}
	return text.Ensemble(m.Text, m.Device, prompts, 1, text.NormalizeFirst), nil
}

// normal is a trained parameter of numbers from N(0, 0.02²), as all of these methods begin.
func (m *CLIP) normal(seed uint64, method, name string, shape ...int) *nn.Param {
	x := m.Device.New(tensor.Full, shape...)
	tensor.Normal(x, tensor.NewKey(seed).Name(method).Name(name))
	tensor.Scale(x, x, 0.02)
	return &nn.Param{Name: name, Value: x}
}

// uniform is one of numbers from U(−bound, bound).
func (m *CLIP) uniform(seed uint64, method, name string, bound float64, shape ...int) *nn.Param {
	x, offset := m.Device.New(tensor.Full, shape...), m.Device.New(tensor.Full)
	tensor.Uniform(x, tensor.NewKey(seed).Name(method).Name(name))
	tensor.Scale(x, x, 2*bound)
	tensor.Fill(offset, -bound)
	tensor.Add(x, x, offset)
	offset.Release()
	return &nn.Param{Name: name, Value: x}
}

// constant is one of a constant.
func (m *CLIP) constant(name string, c float64, shape ...int) *nn.Param {
	x := m.Device.New(tensor.Full, shape...)
	tensor.Fill(x, c)
	return &nn.Param{Name: name, Value: x}
}

// start makes a context from words, or from N(0, 0.02²) without.
func (m *CLIP) start(c *promptContext, words string, seed uint64, method string) (*nn.Param, error) {
	if words == "" {
		return m.normal(seed, method, "ctx", c.vectors, m.Text.Width), nil
	}
	*c = c.of(words)
	x, err := c.embeddings(m)
	if err != nil {
		return nil, err
	}
	return &nn.Param{Name: "ctx", Value: x}, nil
}

// linear is a layer with torch's first weights: U(±1/√in), the bias too.
func (m *CLIP) linear(seed uint64, method, name string, in, out int) nn.Linear {
	bound := 1 / math.Sqrt(float64(in))
	return nn.Linear{W: m.uniform(seed, method, name+".weight", bound, out, in), B: m.uniform(seed, method, name+".bias", bound, out)}
}

// unique are the different ids, sorted.
func unique(ids []int32) []int32 {
	ids = slices.Clone(ids)
	slices.Sort(ids)
	return slices.Compact(ids)
}
