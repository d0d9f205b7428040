package clip

import (
	"bytes"
	"cmp"
	_ "embed"
	"fmt"
	"strconv"
	"strings"

	"fewshot/nn"
	"fewshot/nn/checkpoint"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/text/subword"
	"fewshot/vit"
)

// Embedded is the Path of the small CLIP in the program, made by fewshot pretrain with its default settings.
const Embedded = "embedded"

var (
	//go:embed embedded/model.safetensors
	embeddedWeights []byte
	//go:embed embedded/merges.txt
	embeddedMerges []byte
)

// The versions of Pillow that Options.Pillow knows: the newest, and the last one that resized in another order of
// passes.
const NewestPillow, OldPillow = 13, 12

// Options say which model, and settle what its files leave open. They carry the names of the command's flags in their
// errors.
type Options struct {
	Path       string // checkpoint file or folder, or Embedded
	Name       string // what results call it; Path where it is ""
	Vocab      string // vocabulary file; "" for the one found beside the model
	Activation string // quickgelu or gelu, where the files do not say
	Heads      string // "image" or "image,text", where neither the files nor their widths say
	Pillow     int    // whose pixels images get; 0 for the newest
	ImageSize  int    // side of the images that the encoder gets, in pixels; 0 for the checkpoint's own
	Ensemble   string // order of an ensemble of prompts: normalize-first, as CLIP, or mean-first, as R-AMT's authors; "" for CLIP's

	ImagesOnly bool // the text encoder is checked, but neither read nor built
	NoDigest   bool // nothing is to be compared with the model's digest, which reads all weights

	// Like is how the model was used before, for what its files and these options leave open; nil if nobody knows.
	Like *Spec

	Warn func(format string, a ...any) // told what was guessed; nil for nobody
}

// An OptionError is a fault in what a user asked for, rather than in a file.
type OptionError struct{ Problem string }

// Error names the option as a flag.
func (e *OptionError) Error() string { return e.Problem }

func optionf(format string, a ...any) error { return &OptionError{fmt.Sprintf(format, a...)} }

func (o Options) warn(format string, a ...any) {
	if o.Warn != nil {
		o.Warn(format, a...)
	}
}

// Open opens the checkpoint, builds the encoders on dev and reads the vocabulary. Another model than the one that
// Like is of may be no such model as could be used like it: then it is opened as it is, for whoever compares digests
// to refuse.
func (o Options) Open(dev *tensor.Device) (*Model, error) {
	m, err := o.open(dev)
	if err == nil || o.Like == nil || o.NoDigest {
		return m, err
	}
	own := o
	own.Like, own.Warn = nil, nil
	if other, failed := own.open(dev); failed == nil && other.Digest != o.Like.Digest {
		return other, nil
	}
	return nil, err
}

func (o Options) open(dev *tensor.Device) (*Model, error) {
	src, err := o.Source()
	if err != nil {
		return nil, err
	}
	defer src.Close()
	fit, err := o.fit(src)
	if err != nil {
		return nil, err
	}
	if !o.NoDigest {
		src.KeepDigests()
	}
	build, vocabulary := New, o.readTokenizer(src)
	if o.ImagesOnly {
		build = NewImages
	}
	c, err := build(dev, fit.tensors, fit.known)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", o.Path, err)
	}
	out := &Model{CLIP: c, Name: cmp.Or(o.Name, o.Path), Activation: fit.activation, Source: src}
	if !o.NoDigest {
		if out.Digest, err = src.Digest(); err != nil {
			return nil, err
		}
	}
	p, _ := src.Preprocessing()
	if fit.size != 0 {
		p = p.Resized(fit.size)
	}
	if p, err = p.For(c.Image.Sizes().Image); err != nil {
		return nil, fmt.Errorf("%s: %w", o.Path, err)
	}
	out.Preprocessing = Preprocessing{p, o.Pillow}
	if o.Pillow == 0 {
		out.Preprocessing.Pillow = NewestPillow
		if o.Like != nil {
			out.Preprocessing.Pillow = o.Like.Preprocessing.Pillow
		}
	}
	out.Transform = out.Preprocessing.transform()
	if out.Ensemble, err = o.ensemble(); err != nil {
		return nil, err
	}
	if c.Text != nil {
		c.Text.Quantize()
		if src.Settings().Text.Tokenizer != "" {
			err = o.relativesTokenizer(c, src)
		} else {
			c.Tokenizer, err = vocabulary()
			if err == nil && c.Tokenizer != nil && c.Tokenizer.Size() != c.Text.Vocab {
				err = fmt.Errorf("%s: the vocabulary has %d tokens, the model %d; give the right one with -vocab", o.Path, c.Tokenizer.Size(), c.Text.Vocab)
			}
		}
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

// Check finds what is wrong with the options for a checkpoint that is open, before weights are read.
func (o Options) Check(src *checkpoint.Model) error {
	fit, err := o.fit(src)
	if err == nil {
		_, err = o.ensemble()
	}
	if err == nil {
		if _, _, err = fit.known.Sizes(fit.tensors); err != nil {
			err = fmt.Errorf("%s: %w", o.Path, err)
		}
	}
	return err
}

// fitted is how a checkpoint is built, as far as shapes do not say it.
type fitted struct {
	activation tensor.Activation
	known      Config
	size       int       // of images, where it is not the checkpoint's
	tensors    nn.Source // for images of that size
}

func (o Options) fit(src *checkpoint.Model) (f fitted, err error) {
	if o.Pillow != 0 && o.Pillow != NewestPillow && o.Pillow != OldPillow {
		return f, optionf("-pillow %d: images are resized as by Pillow 13, or as by 12 and older", o.Pillow)
	}
	if f.activation, err = o.pickActivation(src); err != nil {
		return f, err
	}
	f.known = Config{Image: vit.Known(src.Settings(), f.activation), Text: text.Known(src.Settings(), f.activation)}
	if f.known.Image.Heads, f.known.Text.Heads, err = o.HeadsOf(src); err != nil {
		return f, err
	}
	if f.size, err = o.imageSize(); err != nil {
		return f, err
	}
	if f.size == f.known.Image.ImageSize { // as configured: a patch embedding may drop what is left over
		f.size = 0
	} else if f.size != 0 {
		f.known.Image.ImageSize = f.size
	}
	if f.tensors, err = vit.Resized(src, f.size); err != nil {
		return f, optionf("-image-size: %v", err)
	}
	return f, nil
}

// ensemble is the order that was asked for, or that the model was used with before.
func (o Options) ensemble() (text.Order, error) {
	name := o.Ensemble
	if name == "" && o.Like != nil {
		name = o.Like.Ensemble
	}
	if name == "" {
		return text.NormalizeFirst, nil
	}
	order, err := text.ParseOrder(name)
	if err != nil {
		return 0, optionf("-ensemble-order: %v", err)
	}
	return order, nil
}

// imageSize is the size of images that was asked for, or that the model was used with before; 0 for its own.
func (o Options) imageSize() (int, error) {
	switch {
	case o.ImageSize < 0:
		return 0, optionf("-image-size %d: a number of pixels", o.ImageSize)
	case o.ImageSize == 0 && o.Like != nil:
		return o.Like.Preprocessing.Size, nil
	}
	return o.ImageSize, nil
}

// Source opens the files alone.
func (o Options) Source() (*checkpoint.Model, error) {
	if o.Path != Embedded {
		return checkpoint.OpenModel(o.Path)
	}
	f, err := checkpoint.NewFile(Embedded, bytes.NewReader(embeddedWeights), int64(len(embeddedWeights)))
	if err != nil {
		return nil, err
	}
	return checkpoint.NewModel(f)
}

func (o Options) pickActivation(src *checkpoint.Model) (tensor.Activation, error) {
	name := src.Activation()
	if name == "" && o.Activation == "" && o.Like != nil {
		name = o.Like.Activation
	}
	switch {
	case o.Activation == "":
	case name != "" && name != o.Activation:
		return 0, optionf("-activation %s, but %s says %s", o.Activation, o.Path, name)
	default:
		name = o.Activation
	}
	if name == "" {
		o.warn("%s does not say which activation its weights were trained with; taking quickgelu, as OpenAI's were. "+
			"Most of open_clip's own want -activation gelu; the wrong one costs accuracy", o.Path)
		return tensor.QuickGELU, nil
	}
	a, err := nn.ActivationNamed(name)
	if err != nil {
		return 0, optionf("-activation %q: %v", name, err)
	}
	return a, nil
}

// HeadsOf gives the numbers of attention heads that the checkpoint or the flag says, 0 where neither does.
func (o Options) HeadsOf(src *checkpoint.Model) (image, words int, err error) {
	image, words = src.Heads()
	if o.Path == Embedded && o.Heads != "" {
		return 0, 0, optionf("-heads %s: those of the model in the program are known; leave it out", o.Heads)
	}
	if o.Like != nil && o.Heads == "" && image == 0 && words == 0 {
		return o.Like.ImageHeads, o.Like.TextHeads, nil
	}
	if o.Heads == "" {
		return image, words, nil
	}
	first, second, both := strings.Cut(o.Heads, ",")
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
			return 0, 0, optionf("-heads %q: give the number of the image encoder's attention heads, or of both encoders', as 16 or 16,12", o.Heads)
		}
		if *side.have != 0 && *side.have != n {
			return 0, 0, optionf("-heads %s, but %s says that the %s encoder has %d", o.Heads, o.Path, side.encoder, *side.have)
		}
		*side.have = n
	}
	return image, words, nil
}

// readTokenizer begins to read the vocabulary, which takes one processor as long as a fifth of a small model's
// weights, and returns who waits for it.
func (o Options) readTokenizer(src *checkpoint.Model) func() (text.Tokenizer, error) {
	_, words := src.Shape("token_embedding.weight")
	if o.ImagesOnly || !words || src.Settings().Text.Tokenizer != "" { // of a relative's all is known once it is built
		return nil
	}
	found := src.Vocabulary()
	type read struct {
		tokenizer text.Tokenizer
		err       error
	}
	done := make(chan read, 1)
	go func() {
		t, err := o.tokenizer(found)
		done <- read{t, err}
	}()
	return func() (text.Tokenizer, error) {
		r := <-done
		return r.tokenizer, r.err
	}
}

// maxVocabulary is more than any vocabulary file has; package text has a limit of its own for what comes out of a
// packed one.
const maxVocabulary = 64 << 20

// tokenizer reads the vocabulary that was asked for, or found; nil if there is none.
func (o Options) tokenizer(found checkpoint.Vocabulary) (text.Tokenizer, error) {
	merges := found.Merges
	switch {
	case o.Vocab != "":
		merges, found.IDs = o.Vocab, ""
	case o.Path == Embedded:
		return known(text.ReadMerges("embedded/merges.txt", bytes.NewReader(embeddedMerges)))
	case merges == "":
		return nil, nil
	}
	b, err := checkpoint.ReadFile(merges, maxVocabulary)
	if err != nil {
		return nil, err
	}
	tok, err := text.ReadVocabulary(merges, bytes.NewReader(b))
	if err != nil || found.IDs == "" {
		return known(tok, err)
	}
	if b, err = checkpoint.ReadFile(found.IDs, maxVocabulary); err != nil {
		return nil, err
	}
	return known(tok, tok.CheckVocab(found.IDs, bytes.NewReader(b)))
}

// known makes sure that there is no tokenizer where there is an error.
func known[T text.Tokenizer](tok T, err error) (text.Tokenizer, error) {
	if err != nil {
		return nil, err
	}
	return tok, nil
}

// relativesTokenizer reads the tokenizer of a relative of CLIP's that was asked for, or found, if there is one, and
// pads texts as it says.
func (o Options) relativesTokenizer(c *CLIP, src *checkpoint.Model) error {
	found, settings := src.Vocabulary(), src.Settings().Text
	f := text.TokenizerFile{Name: found.Tokenizer, Clean: text.Cleaning(settings.Clean), StripSep: settings.StripSep, Rows: c.Text.Vocab}
	if o.Vocab != "" {
		f.Name = o.Vocab
	}
	if f.Name == "" {
		return nil
	}
	var err error
	if f.Data, err = checkpoint.ReadFile(f.Name, subword.MaxFile); err != nil {
		return err
	}
	if found.Config != "" {
		if f.Config, err = checkpoint.ReadFile(found.Config, maxVocabulary); err != nil {
			return err
		}
	}
	tok, err := text.ReadTokenizer(f)
	if err != nil {
		return err
	}
	if pad, ok := tok.Pad(); ok {
		c.Text.Pad = pad
	}
	c.Tokenizer = tok
	return nil
}
