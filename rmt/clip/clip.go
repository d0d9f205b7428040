// Package clip is CLIP as a whole: both encoders over one set of weights, the tokenizer, and what images go through
// before the encoder sees them. [Options.Open] opens one from its files, and [Model.Spec] says what of it determines
// results.
package clip

import (
	"context"
	"fmt"
	"math"
	"path/filepath"

	"fewshot/datasets"
	"fewshot/nn"
	"fewshot/nn/checkpoint"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

// CLIP is both encoders over one set of weights.
type CLIP struct {
	Weights    *nn.Weights
	Arch       vit.Arch // of Image
	Image      vit.Image
	Text       *text.Encoder  // nil if the checkpoint has no text tower
	LogitScale *nn.Param      // the logarithm of Scale; nil without a text tower
	Tokenizer  text.Tokenizer // nil where no vocabulary was found
}

// Scale is what cosines are multiplied by to make logits.
func (c *CLIP) Scale() float64 { return math.Exp(c.LogitScale.Value.Item()) }

// Teacher is a second image encoder over the same tensors, for what a mask must not change.
func (c *CLIP) Teacher() vit.Image { return c.Arch.Build(c.Weights) }

// Model is a CLIP that was opened from its files.
type Model struct {
	*CLIP
	Name       string // as given
	Activation tensor.Activation
	Source     *checkpoint.Model
	Digest     string // of all weights; "" where nobody wanted it
	Transform  datasets.Transform

	Preprocessing Preprocessing // what Transform does, in words
	Ensemble      text.Order    // how features of several prompts become a class's
}

// Share is the model once more, over the same tensors: what is put on the encoders of one, as masks are, the other
// does not see.
func (m *Model) Share() *Model {
	out, c := *m, *m.CLIP
	out.CLIP = &c
	c.Weights = m.Weights.Fork()
	c.Image = c.Arch.Build(c.Weights)
	if m.Text != nil {
		c.Text = text.New(c.Weights, m.Text.Config)
		c.LogitScale = c.Weights.Param(tensor.Full, "logit_scale")
	}
	return &out
}

// ReleaseText gives the text encoder's weights back, for a process that encodes no text any more. What else there is
// to know of the encoder stays.
func (m *Model) ReleaseText() { m.Weights.Release(m.Text.Params()) }

// Parameters counts the model's weights.
func (m *Model) Parameters() int {
	n := 0
	for _, name := range m.Source.Names() {
		shape, _ := m.Source.Shape(name)
		n += tensor.Len(shape)
	}
	return n
}

// Config is what the shapes of a model's tensors do not tell: activation, heads, epsilons; see [vit.ConfigOf] and
// [text.ConfigOf].
type Config struct {
	Image vit.Config
	Text  text.Config
}

// New builds both encoders of a source with OpenAI's names, and reports all faults of its tensors together.
func New(dev *tensor.Device, src nn.Source, c Config) (*CLIP, error) { return build(dev, src, c, true) }

// NewImages is New without the text encoder, of which nothing is read.
func NewImages(dev *tensor.Device, src nn.Source, c Config) (*CLIP, error) {
	return build(dev, src, c, false)
}

func build(dev *tensor.Device, src nn.Source, c Config, withText bool) (*CLIP, error) {
	arch, tc, err := c.Sizes(src)
	if err != nil {
		return nil, err
	}
	w := nn.NewWeights(dev, src)
	m := &CLIP{Weights: w, Arch: arch, Image: arch.Build(w)}
	if tc != nil && withText {
		m.Text = text.New(w, *tc)
		m.LogitScale = w.Param(tensor.Full, "logit_scale")
	}
	if err := w.Err(); err != nil {
		return nil, err
	}
	return m, nil
}

// Sizes is what a source's shapes and what else is known of it say of both encoders, of the text encoder nil if it
// has none. All that a wrong checkpoint can be refused for is checked here, before anything of it is read or built.
func (c Config) Sizes(src nn.Shapes) (vit.Arch, *text.Config, error) {
	arch, err := vit.ArchOf(src, c.Image)
	if err != nil {
		return nil, nil, err
	}
	w := nn.NewCheck(src)
	arch.Build(w)
	var words *text.Config
	if _, ok := src.Shape("token_embedding.weight"); ok {
		tc, err := text.ConfigOf(src, c.Text)
		if err != nil {
			return nil, nil, err
		}
		if embed := arch.Sizes().Embed; tc.Embed != embed {
			return nil, nil, fmt.Errorf("image features have %d elements, text features %d", embed, tc.Embed)
		}
		text.New(w, tc)
		w.Param(tensor.Full, "logit_scale")
		words = &tc
	}
	if err := w.Err(); err != nil {
		return nil, nil, err
	}
	if rest := w.Unused(); len(rest) > 0 {
		return nil, nil, fmt.Errorf("%d tensors are not part of a CLIP, the first is %s; this is some other model", len(rest), rest[0])
	}
	return arch, words, nil
}

// NeedText is the error for commands that need class names as features.
func (m *Model) NeedText() error {
	switch {
	case m.Text == nil:
		return fmt.Errorf("%s has no text encoder, so class names cannot become a classifier; use a full CLIP checkpoint", m.Name)
	case m.Tokenizer == nil && m.Source.Settings().Text.Tokenizer != "":
		return optionf("no tokenizer beside %s, whose texts are cut by %q: put that one's tokenizer.json, spiece.model, tokenizer.model or vocab.txt into %s, or name it with -vocab",
			m.Name, m.Source.Settings().Text.Tokenizer, filepath.Clean(m.Source.Dir()))
	case m.Tokenizer == nil:
		return optionf("no BPE vocabulary beside %s: put bpe_simple_vocab_16e6.txt.gz (it lies in OpenAI's CLIP repository, and in the Python packages clip and open_clip), merges.txt or tokenizer.json into %s, or name it with -vocab",
			m.Name, filepath.Clean(m.Source.Dir()))
	}
	return nil
}

// PromptClassifier makes the zero-shot head of classes that have prompts for themselves. The caller releases it.
func (m *Model) PromptClassifier(ctx context.Context, dev *tensor.Device, prompts [][]string) (*tensor.Tensor, error) {
	if err := m.NeedText(); err != nil {
		return nil, err
	}
	defer dev.Trim()
	return text.PromptClassifier(ctx, m.Text, m.Tokenizer, dev, prompts, m.Ensemble)
}

// Classifier makes the zero-shot head of a data set. The caller releases its Classes.
func (m *Model) Classifier(ctx context.Context, dev *tensor.Device, classes, templates []string) (*tensor.Tensor, error) {
	if err := m.NeedText(); err != nil {
		return nil, err
	}
	defer dev.Trim() // prompts of every length leave blocks of their own sizes
	return text.Classifier(ctx, m.Text, m.Tokenizer, dev, classes, templates, m.Ensemble)
}
