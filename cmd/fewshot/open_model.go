package main

import (
	"bytes"
	"context"
	_ "embed"
	"flag"
	"fmt"
	"math"
	"path/filepath"
	"strconv"
	"strings"

	"fewshot/datasets"
	"fewshot/nn"
	"fewshot/nn/checkpoint"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

// embeddedName is the -model of the small CLIP in the binary, made by fewshot pretrain with its default settings.
const embeddedName = "embedded"

var (
	//go:embed embedded/model.safetensors
	embeddedWeights []byte
	//go:embed embedded/merges.txt
	embeddedMerges []byte
)

// The versions of Pillow that -pillow knows: the newest, and the last one that resized in another order of passes.
const newestPillow, oldPillow = 13, 12

// modelFlags choose a CLIP, and whose pixels it gets.
type modelFlags struct {
	path, vocab, activation, heads string

	pillow int // 0 for the newest
}

func (m *modelFlags) declare(fs *flag.FlagSet) {
	fs.StringVar(&m.path, "model", embeddedName, "CLIP `checkpoint`: an OpenAI .pt, a torch.save or safetensors file, a Hugging Face or open_clip folder, or embedded for the small one in this program")
	fs.StringVar(&m.vocab, "vocab", "", "BPE vocabulary `file`: bpe_simple_vocab_16e6.txt.gz, merges.txt or tokenizer.json (default: found beside the model)")
	fs.StringVar(&m.activation, "activation", "", "quickgelu or gelu, where the checkpoint does not say (OpenAI's weights: quickgelu)")
	fs.IntVar(&m.pillow, "pillow", newestPillow, "major `version` of Pillow whose resize is reproduced: 13, or 12 for results of that and older ones, which differ on tall images and some random crops")
	m.declareHeads(fs)
}

func (m *modelFlags) declareHeads(fs *flag.FlagSet) {
	fs.StringVar(&m.heads, "heads", "", "attention heads of the image encoder, or of both as `image,text`, where neither the checkpoint nor its width says")
}

// model is an opened CLIP.
type model struct {
	*clip
	name      string // as given to -model
	source    *checkpoint.Model
	digest    string
	transform datasets.Transform
}

// clip is both encoders over one set of weights.
type clip struct {
	weights *nn.Weights
	image   *vit.Encoder
	text    *text.Encoder   // nil if the checkpoint has no text tower
	scaleAt *nn.Param       // logit_scale
	tok     *text.Tokenizer // nil where no vocabulary was found
}

// scale is what cosines are multiplied by to make logits.
func (c *clip) scale() float64 { return math.Exp(c.scaleAt.Value.Item()) }

// teacher is a second image encoder over the same tensors, for what a mask must not change.
func (c *clip) teacher() *vit.Encoder { return vit.New(c.weights, c.image.Config) }

// open opens the checkpoint, builds the encoders on dev and reads the vocabulary.
func (m *modelFlags) open(dev *tensor.Device, u *ui) (*model, error) {
	if m.pillow != 0 && m.pillow != newestPillow && m.pillow != oldPillow {
		return nil, usagef("-pillow %d: images are resized as by Pillow 13, or as by 12 and older", m.pillow)
	}
	src, err := m.source()
	if err != nil {
		return nil, err
	}
	defer src.Close()
	a, err := m.pickActivation(src, u)
	if err != nil {
		return nil, err
	}
	vision, words, err := m.pickHeads(src)
	if err != nil {
		return nil, err
	}
	imageEps, textEps := src.Eps()
	c, err := newCLIP(dev, src, vit.Config{Activation: a, Heads: vision, Eps: imageEps}, text.Config{Activation: a, Heads: words, Eps: textEps})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", m.path, err)
	}
	out := &model{clip: c, name: m.path, source: src}
	if out.digest, err = src.Digest(); err != nil {
		return nil, err
	}
	p, _ := src.Preprocessing()
	if p, err = p.For(c.image.ImageSize); err != nil {
		return nil, fmt.Errorf("%s: %w", m.path, err)
	}
	out.transform = transform(p)
	out.transform.Pillow = m.pillow
	if c.text != nil {
		if c.tok, err = m.tokenizer(src.Vocabulary()); err != nil {
			return nil, err
		}
		if c.tok != nil && c.tok.Size() != c.text.Vocab {
			return nil, fmt.Errorf("%s: the vocabulary has %d tokens, the model %d; give the right one with -vocab", m.path, c.tok.Size(), c.text.Vocab)
		}
	}
	return out, nil
}

// transform is what prepares images as p says.
func transform(p checkpoint.Preprocessing) datasets.Transform {
	t := datasets.Transform{Size: p.Size, Resize: p.Resize, Squash: p.Mode == checkpoint.ResizeSquash, Bilinear: p.Interpolation == checkpoint.Bilinear}
	for i := range 3 {
		t.Mean[i], t.Std[i] = float32(p.Mean[i]), float32(p.Std[i])
	}
	return t
}

func (m *modelFlags) source() (*checkpoint.Model, error) {
	if m.path != embeddedName {
		return checkpoint.OpenModel(m.path)
	}
	f, err := checkpoint.NewFile(embeddedName, bytes.NewReader(embeddedWeights), int64(len(embeddedWeights)))
	if err != nil {
		return nil, err
	}
	return checkpoint.NewModel(f)
}

func (m *modelFlags) pickActivation(src *checkpoint.Model, u *ui) (tensor.Activation, error) {
	name := src.Activation()
	switch {
	case m.activation == "":
	case name != "" && name != m.activation:
		return 0, usagef("-activation %s, but %s says %s", m.activation, m.path, name)
	default:
		name = m.activation
	}
	switch name {
	case "quickgelu":
		return tensor.QuickGELU, nil
	case "gelu":
		return tensor.GELU, nil
	case "":
		u.warn("%s does not say which activation its weights were trained with; taking quickgelu, as OpenAI's were. "+
			"Most of open_clip's own want -activation gelu; the wrong one costs accuracy", m.path)
		return tensor.QuickGELU, nil
	default:
		return 0, usagef("-activation %q: there are quickgelu and gelu", name)
	}
}

// pickHeads gives the numbers of attention heads that the checkpoint or the flag says, 0 where neither does.
func (m *modelFlags) pickHeads(src *checkpoint.Model) (image, words int, err error) {
	image, words = src.Heads()
	if m.heads == "" {
		return image, words, nil
	}
	first, second, both := strings.Cut(m.heads, ",")
	for _, side := range []struct {
		encoder, asked string
		have           *int
		given          bool
	}{{"image", first, &image, true}, {"text", second, &words, both}} {
		if !side.given {
			continue
		}
		n, err := strconv.Atoi(side.asked)
		if err != nil || n < 1 || n > nn.MaxWidth {
			return 0, 0, usagef("-heads %q: give the number of the image encoder's attention heads, or of both encoders', as 16 or 16,12", m.heads)
		}
		if *side.have != 0 && *side.have != n {
			return 0, 0, usagef("-heads %s, but %s says that the %s encoder has %d", m.heads, m.path, side.encoder, *side.have)
		}
		*side.have = n
	}
	return image, words, nil
}

// maxVocabulary is more than any vocabulary file has; package text has a limit of its own for what comes out of a packed one.
const maxVocabulary = 64 << 20

// tokenizer reads the vocabulary that was asked for, or found; nil if there is none.
func (m *modelFlags) tokenizer(found checkpoint.Vocabulary) (*text.Tokenizer, error) {
	merges := found.Merges
	switch {
	case m.vocab != "":
		merges, found.IDs = m.vocab, ""
	case m.path == embeddedName:
		return text.ReadMerges("embedded/merges.txt", bytes.NewReader(embeddedMerges))
	case merges == "":
		return nil, nil
	}
	b, err := checkpoint.ReadFile(merges, maxVocabulary)
	if err != nil {
		return nil, err
	}
	tok, err := text.ReadVocabulary(merges, bytes.NewReader(b))
	if err != nil || found.IDs == "" {
		return tok, err
	}
	if b, err = checkpoint.ReadFile(found.IDs, maxVocabulary); err != nil {
		return nil, err
	}
	return tok, tok.CheckVocab(found.IDs, bytes.NewReader(b))
}

// newCLIP builds both encoders of a source with OpenAI's names, and reports all faults of its tensors together. image and words
// hold what its shapes do not tell.
func newCLIP(dev *tensor.Device, src nn.Source, image vit.Config, words text.Config) (*clip, error) {
	vc, tc, err := configs(src, image, words)
	if err != nil {
		return nil, err
	}
	w := nn.NewWeights(dev, src)
	c := &clip{weights: w, image: vit.New(w, vc)}
	if tc != nil {
		c.text = text.New(w, *tc)
		c.scaleAt = w.Param(tensor.Full, "logit_scale")
	}
	if err := w.Err(); err != nil {
		return nil, err
	}
	return c, nil
}

// configs is what a source's shapes and what else is known of it say of both encoders, of the text encoder nil if it has none. All
// that a wrong checkpoint can be refused for is checked here, before anything of it is read or built.
func configs(src nn.Shapes, image vit.Config, words text.Config) (vit.Config, *text.Config, error) {
	vc, err := vit.ConfigOf(src, image)
	if err != nil {
		return vc, nil, err
	}
	w := nn.NewCheck(src)
	vit.New(w, vc)
	var both *text.Config
	if _, ok := src.Shape("token_embedding.weight"); ok {
		tc, err := text.ConfigOf(src, words)
		if err != nil {
			return vc, nil, err
		}
		if tc.Embed != vc.Embed {
			return vc, nil, fmt.Errorf("image features have %d elements, text features %d", vc.Embed, tc.Embed)
		}
		text.New(w, tc)
		w.Param(tensor.Full, "logit_scale")
		both = &tc
	}
	if err := w.Err(); err != nil {
		return vc, nil, err
	}
	if rest := w.Unused(); len(rest) > 0 {
		return vc, nil, fmt.Errorf("%d tensors are not part of a CLIP, the first is %s; this is some other model", len(rest), rest[0])
	}
	return vc, both, nil
}

// needText is the error for commands that need class names as features.
func (m *model) needText() error {
	switch {
	case m.text == nil:
		return fmt.Errorf("%s has no text encoder, so class names cannot become a classifier; use a full CLIP checkpoint", m.name)
	case m.tok == nil:
		return usagef("no BPE vocabulary beside %s: put bpe_simple_vocab_16e6.txt.gz (from OpenAI's CLIP repository), merges.txt or tokenizer.json into %s, or name it with -vocab",
			m.name, filepath.Clean(m.source.Dir()))
	}
	return nil
}

// classifier makes the zero-shot head of a data set. The caller releases its Classes.
func (m *model) classifier(ctx context.Context, dev *tensor.Device, classes, templates []string) (*tensor.Tensor, error) {
	if err := m.needText(); err != nil {
		return nil, err
	}
	defer dev.Trim() // prompts of every length leave blocks of their own sizes
	return text.Classifier(ctx, m.text, m.tok, dev, classes, templates)
}
