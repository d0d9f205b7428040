package prompt

import (
	"fmt"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// CoCoOpConfig are the settings of CoCoOp.
type CoCoOpConfig struct {
	Context int    `json:"context"` // vectors
	Words   string `json:"words"`   // to start from, a vector each; "" starts from N(0, 0.02²)
	Recipe
}

// DefaultCoCoOp has the published settings: 4 vectors from "a photo of a", 10 epochs, one image at a time.
func DefaultCoCoOp() CoCoOpConfig {
	c := CoCoOpConfig{Context: 4, Words: "a photo of a", Recipe: coopRecipe("", 16)}
	c.Epochs, c.Batch = 10, 1
	return c
}

// Validate reports the first setting that makes no sense.
func (c CoCoOpConfig) Validate() error {
	return ContextConfig{Context: c.Context, Words: c.Words, Position: "end", Recipe: c.Recipe}.Validate()
}

// CoCoOp learns a context to which a small network adds the same to each vector, made of the image's feature. Its parameters are ctx
// [n, Width] and those of the network, meta_net. For each image all classes are encoded; what they share for it is once.
type CoCoOp struct {
	train.Base
	clip    *CLIP
	classes []string
	context promptContext
	ctx     *nn.Param
	meta    [2]nn.Linear
	groups  []train.Group
	texts   map[int]*texts // by images
	prompts family
}

// NewCoCoOp starts a context and its network for classes.
func NewCoCoOp(m *CLIP, classes []string, c CoCoOpConfig) (*CoCoOp, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d := m.Text.Embed
	middle := d / 16
	if middle == 0 {
		return nil, fmt.Errorf("features of %d numbers are too short for CoCoOp's network, which is 16 times narrower", d)
	}
	l := &CoCoOp{clip: m, classes: classes, context: newContext(c.Context, "end", false), texts: map[int]*texts{}}
	var err error
	if l.ctx, err = m.start(&l.context, c.Words, c.Seed, "cocoop"); err != nil {
		return nil, err
	}
	if l.prompts, err = l.family(classes); err != nil {
		l.ctx.Value.Release()
		return nil, err
	}
	l.meta = [2]nn.Linear{m.linear(c.Seed, "cocoop", "meta_net.linear1", d, middle), m.linear(c.Seed, "cocoop", "meta_net.linear2", middle, m.Text.Width)}
	l.groups = c.group(nil, l.ctx, l.meta[0].W, l.meta[0].B, l.meta[1].W, l.meta[1].B)
	return l, nil
}

func (l *CoCoOp) family(classes []string) (family, error) {
	prompts, shared, err := l.context.prompts(l.clip, classes)
	return family{shared, prompts}, err
}

func (l *CoCoOp) beside() []*tensor.Tensor { return nil }

// Groups are the context and the network.
func (l *CoCoOp) Groups() []train.Group { return l.groups }

// Plan has one loss.
func (l *CoCoOp) Plan() train.Plan { return train.Plan{Classes: len(l.classes), Lanes: 1} }

// Losses are the cross-entropy.
func (l *CoCoOp) Losses(t *autograd.Tape, p train.Part) ([]*autograd.Var, *autograd.Var) {
	n := len(p.Labels)
	if l.texts[n] == nil {
		l.texts[n] = l.forImages(l.prompts, n)
	}
	logits := l.logits(t.Const(p.Images), l.texts[n])
	return []*autograd.Var{autograd.CrossEntropy(logits, p.Labels)}, logits
}

// forImages lays out the prompts of all classes for each of n images, whose contexts follow each other among the vectors.
func (l *CoCoOp) forImages(f family, n int) *texts {
	var all []family
	for i := range n {
		own := family{shared: f.shared}
		for _, p := range f.prompts {
			own.prompts = append(own.prompts, p.shift(i*l.context.vectors))
		}
		all = append(all, own)
	}
	return newTexts(l.clip.Text, all, chunkRows)
}

// logits are [N, C], by texts for N images. No gradient goes to the image's feature.
func (l *CoCoOp) logits(images *autograd.Var, texts *texts) *autograd.Var {
	t := images.Tape()
	v := autograd.L2Normalize(l.clip.Image.Encode(images))                          // [N, Embed]
	bias := l.meta[1].Forward(autograd.Activate(l.meta[0].Forward(v), tensor.ReLU)) // [N, Width]
	n, d := v.Shape()[0], l.clip.Text.Width
	var vectors []*autograd.Var
	for i := range n {
		vectors = append(vectors, autograd.Add(l.ctx.On(t), autograd.Reshape(autograd.Rows(bias, i, i+1), d)))
	}
	features := autograd.L2Normalize(texts.features(t, autograd.JoinTokens(vectors...))) // [N·C, Embed]
	classes := features.Shape()[0] / n
	var logits []*autograd.Var
	for i := range n {
		logits = append(logits, autograd.Linear(autograd.Rows(v, i, i+1), autograd.Rows(features, i*classes, (i+1)*classes), nil))
	}
	return autograd.Scale(autograd.JoinTokens(logits...), l.clip.Scale)
}

// Classifier puts the contexts before other names.
func (l *CoCoOp) Classifier(classes []string) (train.Classifier, func(), error) {
	f, err := l.family(classes)
	if err != nil {
		return nil, nil, err
	}
	return byImage{l, f}, func() {}, nil
}

// byImage is CoCoOp for some classes.
type byImage struct {
	l *CoCoOp
	f family
}

// Logits are [N, C], of one image after the other: contexts of all images at once would take the memory of all.
func (c byImage) Logits(images *autograd.Var) *autograd.Var {
	t := images.Tape()
	one := c.l.forImages(c.f, 1)
	var all []*autograd.Var
	for i := range images.Shape()[0] {
		all = append(all, t.Scope(func() *autograd.Var { return c.l.logits(autograd.Rows(images, i, i+1), one) }))
	}
	return autograd.JoinTokens(all...)
}
