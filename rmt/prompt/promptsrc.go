package prompt

import (
	"flag"
	"fmt"
	"math"
	"strings"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

// PromptSRCConfig are the settings of PromptSRC.
type PromptSRCConfig struct {
	Context     int      `json:"context"` // vectors of class prompts, of each layer
	Words       string   `json:"words"`   // whose first tokens the context starts from; "" starts from N(0, 0.02²)
	Prompts     int      `json:"prompts"` // tokens of images, of each layer
	TextDepth   int      `json:"text_depth"`
	ImageDepth  int      `json:"image_depth"`
	TextWeight  float64  `json:"text_weight"`  // of the distance of class features from CLIP's in the loss
	ImageWeight float64  `json:"image_weight"` // and of image features
	Mean        float64  `json:"average_mean"` // of the Gaussian over epochs, from 1, by which prompts are averaged
	Deviation   float64  `json:"average_deviation"`
	Templates   []string `json:"templates"` // whose mean CLIP's class features are
	Recipe
}

// DefaultPromptSRC has the settings of the released program: 20 epochs for base to new classes, else 50, in batches of 4.
func DefaultPromptSRC(dataset string, baseToNew bool) PromptSRCConfig {
	c := PromptSRCConfig{Context: 4, Words: "a photo of a", Prompts: 4, TextDepth: 9, ImageDepth: 9, TextWeight: 25, ImageWeight: 10, Mean: 30, Deviation: 30,
		Templates: strings.Split(promptsrcTemplates, "\n"), Recipe: coopRecipe("", 16)}
	c.Epochs, c.Batch, c.LR = 50, 4, 2.5e-3
	switch dataset {
	case "stanford_cars", "oxford_flowers", "fgvc_aircraft", "dtd", "eurosat":
		c.Mean, c.Deviation = 45, 5
	}
	if baseToNew {
		c.Epochs, c.Mean, c.Deviation = 20, 15, 1
	}
	return c
}

// promptsrcTemplates are the first of CLIP's for ImageNet, behind the usual one.
const promptsrcTemplates = `a photo of a {}.
a bad photo of a {}.
a photo of many {}.
a sculpture of a {}.
a photo of the hard to see {}.
a low resolution photo of the {}.
a rendering of a {}.
graffiti of a {}.
a bad photo of the {}.
a cropped photo of the {}.
a tattoo of a {}.
the embroidered {}.
a photo of a hard to see {}.
a bright photo of a {}.
a photo of a clean {}.
a photo of a dirty {}.
a dark photo of the {}.
a drawing of a {}.
a photo of my {}.
the plastic {}.
a photo of the cool {}.
a close-up photo of a {}.
a black and white photo of the {}.
a painting of the {}.
a painting of a {}.
a pixelated photo of the {}.
a sculpture of the {}.
a bright photo of the {}.
a cropped photo of a {}.
a plastic {}.
a photo of the dirty {}.
a jpeg corrupted photo of a {}.
a blurry photo of the {}.
a photo of the {}.
a good photo of the {}.
a rendering of the {}.
a {} in a video game.
a photo of one {}.
a doodle of a {}.
a close-up photo of the {}.
the origami {}.
the {} in a video game.
a sketch of a {}.
a doodle of the {}.
a origami {}.
a low resolution photo of a {}.
the toy {}.
a rendition of the {}.
a photo of the clean {}.
a photo of a large {}.
a rendition of a {}.
a photo of a nice {}.
a photo of a weird {}.
a blurry photo of a {}.
a cartoon {}.
art of a {}.
a sketch of the {}.
a embroidered {}.
a pixelated photo of a {}.
itap of the {}.`

// Declare declares them.
func (c *PromptSRCConfig) Declare(fs *flag.FlagSet) {
	fs.IntVar(&c.Context, "context", c.Context, "vectors of class prompts, of each layer")
	fs.StringVar(&c.Words, "words", c.Words, "words whose first tokens the context starts from; none: random numbers")
	fs.IntVar(&c.Prompts, "prompts", c.Prompts, "tokens of images, of each layer")
	fs.IntVar(&c.TextDepth, "text-depth", c.TextDepth, "layers of the text encoder with vectors of their own")
	fs.IntVar(&c.ImageDepth, "image-depth", c.ImageDepth, "layers of the image encoder with tokens of their own")
	fs.Float64Var(&c.TextWeight, "text-weight", c.TextWeight, "weight of the distance of class features from CLIP's")
	fs.Float64Var(&c.ImageWeight, "image-weight", c.ImageWeight, "weight of the distance of image features from CLIP's")
	fs.Float64Var(&c.Mean, "average-mean", c.Mean, "epoch at which prompts count most in their average")
	fs.Float64Var(&c.Deviation, "average-deviation", c.Deviation, "epochs from there at which they count less")
	c.Recipe.Declare(fs)
}

// Validate reports the first setting that makes no sense.
func (c PromptSRCConfig) Validate() error {
	switch {
	case c.Context < 1 || c.Prompts < 1:
		return fmt.Errorf("a context of %d vectors and %d tokens of images: at least 1 of each", c.Context, c.Prompts)
	case c.Words != "" && c.Context > 4:
		return fmt.Errorf("a context of %d vectors does not start from words: the published program has up to 4; give -words \"\"", c.Context)
	case c.TextDepth < 1 || c.ImageDepth < 1:
		return fmt.Errorf("depths %d and %d: at least 1", c.TextDepth, c.ImageDepth)
	case !(c.TextWeight >= 0) || !(c.ImageWeight >= 0):
		return fmt.Errorf("weights %g and %g must not be negative", c.TextWeight, c.ImageWeight)
	case !(c.Deviation > 0) || math.IsNaN(c.Mean):
		return fmt.Errorf("an average about epoch %g with deviation %g: it must be positive", c.Mean, c.Deviation)
	case len(c.Templates) == 0:
		return fmt.Errorf("no template: class features are held to those of some")
	}
	return c.Recipe.Validate()
}

// PromptSRC learns vectors of class prompts and tokens of images, each at several depths and apart from each other, and is held to
// zero-shot CLIP: the loss is the cross-entropy, the weighed mean distances of class and image features of length 1 from CLIP's, number by number,
// and the divergence of logits from CLIP's over their number. At the end prompts are an average of those after each epoch, by a Gaussian.
//
// Parameters have the names of the released program, where the first tokens of images are VPT and later ones resblocks.i.VPT_shallow.
type PromptSRC struct {
	train.Base
	clip    *CLIP
	image   *vit.Encoder
	config  PromptSRCConfig
	classes []string
	context promptContext
	texts   *texts

	vectors, tokens []*nn.Param // by layer
	groups          []train.Group
	fixed           *tensor.Tensor   // CLIP's class features [C, Embed], of length 1
	average         []*tensor.Tensor // of the parameters
	features        *autograd.Var    // of the sweep that is being recorded
	prompts         vit.Prompts
}

// NewPromptSRC starts prompts for both encoders.
func NewPromptSRC(m *CLIP, classes []string, c PromptSRCConfig) (*PromptSRC, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	image, err := m.transformer("promptsrc")
	if err != nil {
		return nil, err
	}
	if c.TextDepth > m.Text.Layers || c.ImageDepth > image.Layers {
		return nil, fmt.Errorf("depths %d and %d: the encoders of texts and images have %d and %d layers; give fewer by -text-depth and -image-depth", c.TextDepth, c.ImageDepth, m.Text.Layers, image.Layers)
	}
	l := &PromptSRC{clip: m, image: image, config: c, classes: classes, context: newContext(c.Context, "end", false)}
	ctx, err := m.start(&l.context, c.Words, c.Seed, "promptsrc")
	if err != nil {
		return nil, err
	}
	if l.texts, err = l.context.layout(l.clip, classes); err != nil {
		ctx.Value.Release()
		return nil, err
	}
	if l.fixed, err = m.ensemble(classes, c.Templates); err != nil {
		ctx.Value.Release()
		return nil, err
	}
	l.vectors = []*nn.Param{ctx}
	for i := 1; i < c.TextDepth; i++ {
		l.vectors = append(l.vectors, m.normal(c.Seed, "promptsrc", fmt.Sprintf("text_encoder.transformer.resblocks.%d.VPT_shallow", i), c.Context, m.Text.Width))
	}
	for i := range c.ImageDepth {
		name := "image_encoder.VPT"
		if i > 0 {
			name = fmt.Sprintf("image_encoder.transformer.resblocks.%d.VPT_shallow", i)
		}
		l.tokens = append(l.tokens, m.normal(c.Seed, "promptsrc", name, c.Prompts, image.Width))
	}
	all := append(append([]*nn.Param{}, l.vectors...), l.tokens...)
	for _, p := range all {
		l.average = append(l.average, m.Device.Zeros(tensor.Full, p.Value.Shape()...))
	}
	l.groups = c.group(nil, all...)
	return l, nil
}

// ensemble are class features of several templates, their mean as it is and then of length 1.
func (m *CLIP) ensemble(classes, templates []string) (*tensor.Tensor, error) {
	var prompts [][]int32
	for _, c := range classes {
		for _, t := range templates {
			ids, err := m.tokens(fill(t, c), c)
			if err != nil {
				return nil, err
			}
			prompts = append(prompts, ids)
		}
	}
	return text.Ensemble(m.Text, m.Device, prompts, len(templates), text.MeanFirst), nil
}

func (l *PromptSRC) beside() []*tensor.Tensor { return append([]*tensor.Tensor{l.fixed}, l.average...) }

// Groups are the prompts.
func (l *PromptSRC) Groups() []train.Group { return l.groups }

// Plan has one loss, and what CLIP says of images.
func (l *PromptSRC) Plan() train.Plan {
	return train.Plan{Classes: len(l.classes), Lanes: 1, Targets: true}
}

// Targets are CLIP's features of images, of length 1.
func (l *PromptSRC) Targets(images *tensor.Tensor) *tensor.Tensor {
	return frozen(images.Device(), func(t *autograd.Tape) *autograd.Var { return autograd.L2Normalize(l.image.Encode(t.Const(images))) })
}

func (l *PromptSRC) visual(t *autograd.Tape) vit.Prompts {
	all := on(t, l.tokens)
	return vit.Prompts{Input: all[0], Before: append([]*autograd.Var{nil}, all[1:]...)}
}

func (l *PromptSRC) textual(t *autograd.Tape, texts *texts) *autograd.Var {
	all := on(t, l.vectors)
	return autograd.L2Normalize(texts.deep(all[0], all[1:]))
}

// Shared are the prompts and the class features.
func (l *PromptSRC) Shared(t *autograd.Tape) {
	l.prompts, l.features = l.visual(t), l.textual(t, l.texts)
}

// Losses are the sum of all four.
func (l *PromptSRC) Losses(t *autograd.Tape, p train.Part) ([]*autograd.Var, *autograd.Var) {
	f := autograd.L2Normalize(l.image.EncodeWith(t.Const(p.Images), l.prompts))
	scale := l.clip.Scale
	logits := autograd.Scale(autograd.Linear(f, l.features, nil), scale)
	theirs := autograd.Scale(autograd.Linear(t.Const(p.Targets), t.Const(l.fixed), nil), scale)
	loss := autograd.CrossEntropy(logits, p.Labels)
	loss = autograd.Add(loss, distance(l.features, l.fixed, l.config.TextWeight))
	loss = autograd.Add(loss, distance(f, p.Targets, l.config.ImageWeight))
	// The divergence is the soft cross-entropy less that of the target with itself.
	each := 1 / float64(len(l.classes))
	loss = autograd.Add(loss, autograd.Scale(autograd.SoftCrossEntropy(logits, theirs.Value), each))
	loss = autograd.Add(loss, autograd.Scale(autograd.SoftCrossEntropy(theirs, theirs.Value), -each))
	return []*autograd.Var{loss}, logits
}

// distance is weight times the mean of |x − y|, a scalar.
func distance(x *autograd.Var, y *tensor.Tensor, weight float64) *autograd.Var {
	t, n := x.Tape(), x.Value.Len()
	minus, ones := t.New(tensor.Full, y.Shape()...), t.New(tensor.Full, 1, n)
	tensor.Scale(minus, y, -1)
	tensor.Fill(ones, weight/float64(n))
	d := autograd.Add(x, t.Const(minus))
	size := autograd.Add(autograd.Activate(d, tensor.ReLU), autograd.Activate(autograd.Scale(d, -1), tensor.ReLU))
	return autograd.Reshape(autograd.Linear(autograd.Reshape(size, 1, n), t.Const(ones), nil))
}

// EndEpoch adds the prompts to their average, and after the last epoch puts it in their place.
func (l *PromptSRC) EndEpoch(epoch int) {
	gauss := func(e int) float64 {
		z := (float64(e) - l.config.Mean) / l.config.Deviation
		return math.Exp(-z * z / 2)
	}
	sum := 0.0
	for e := 1; e <= l.config.Epochs; e++ {
		sum += gauss(e)
	}
	for i, p := range l.groups[0].Params {
		if sum > 0 {
			tensor.AXPY(l.average[i], gauss(epoch+1)/sum, p.Value)
		}
		if epoch+1 == l.config.Epochs && sum > 0 {
			tensor.Copy(p.Value, l.average[i])
		}
	}
}

// State is the average.
func (l *PromptSRC) State() (all []optim.Named) {
	for i, p := range l.groups[0].Params {
		all = append(all, optim.Named{Name: "average/" + p.Name, Tensor: l.average[i]})
	}
	return all
}

// Classifier puts the context before other names.
func (l *PromptSRC) Classifier(classes []string) (train.Classifier, func(), error) {
	texts, err := l.context.layout(l.clip, classes)
	if err != nil {
		return nil, nil, err
	}
	features := frozen(l.clip.Device, func(t *autograd.Tape) *autograd.Var { return l.textual(t, texts) })
	return train.Model{Encoder: prompted(func(images *autograd.Var) *autograd.Var {
		return l.image.EncodeWith(images, l.visual(images.Tape()))
	}), Head: train.Head{Classes: features, Scale: l.clip.Scale}}, features.Release, nil
}
