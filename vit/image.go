package vit

import (
	"fmt"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

// Image is an image encoder of either kind, with its parameters.
type Image interface {
	Sizes() Sizes
	// Encode maps normalised images [N, 3, S, S] to features [N, Embed], not normalised.
	Encode(images *autograd.Var) *autograd.Var
	// Params are the parameters, in the order of the layers.
	Params() []*nn.Param
	// Pack prepares the weights for what follows, in memory of their own: for batches of a few images, and if grad for
	// training on these. Weights under masks, and weights that are trained, are left alone. Unpack undoes it. Gains
	// reports whether it gains anything for steps on so many images.
	Pack(grad bool)
	Unpack()
	Gains(images int) bool
	// Quantize makes integers of weights, on a device with precision int8; see [tensor.Quantize]. Weights under masks
	// are left alone. An encoder that has nothing to gain by it is an error.
	Quantize() error
	// Discard gives up what Quantize has made integers of, which takes four times their memory: for who computes
	// features and does nothing else with the weights any more.
	Discard()
}

// Sizes are what an encoder's callers have to know.
type Sizes struct {
	Image  int // side S of the square input, in pixels
	Embed  int // length of a feature
	Heads  int // of attention, or of the attention pool
	Tokens int // rows of its products that an image makes: a transformer's tokens, or the pixels of a ResNet's third stage
}

// Arch is an architecture with its sizes: what an [Image] is built by, as often as one likes, over one set of weights.
type Arch interface {
	Sizes() Sizes
	// Build asks for the encoder's tensors below visual. in w; faults are in w.Err.
	Build(w *nn.Weights) Image
	// Name is what people call the model, as ViT-B/16 or RN50.
	Name() string
}

// ArchOf reads the architecture and its sizes off the shapes of a checkpoint with OpenAI's names. What shapes do not
// tell is taken from c: see [ConfigOf]; of a ResNet only Heads is of interest.
func ArchOf(s nn.Shapes, c Config) (Arch, error) {
	if _, ok := s.Shape("visual.layer1.0.conv1.weight"); ok {
		r, err := ResNetConfigOf(s, c.Heads)
		return r, err
	}
	v, err := ConfigOf(s, c)
	return v, err
}

// Build is New.
func (c Config) Build(w *nn.Weights) Image { return New(w, c) }

// Build is NewResNet.
func (c ResNetConfig) Build(w *nn.Weights) Image { return NewResNet(w, c) }

// Sizes are the encoder's.
func (c Config) Sizes() Sizes {
	return Sizes{Image: c.ImageSize, Embed: c.Embed, Heads: c.Heads, Tokens: c.Tokens()}
}

// Gains is true of few rows of tokens.
func (c Config) Gains(images int) bool { return images*c.Tokens() <= tensor.FewRows }

// Sizes are the encoder's.
func (c ResNetConfig) Sizes() Sizes {
	const third = shrink / 2 // pixels of the image that make one there
	return Sizes{Image: c.ImageSize, Embed: c.Embed, Heads: c.Heads, Tokens: c.ImageSize / third * (c.ImageSize / third)}
}

// Gains is true: norms are folded once, and not for every batch.
func (c ResNetConfig) Gains(int) bool { return true }

// Name is that of OpenAI's models, as ViT-B/16, or says what it is.
func (c Config) Name() string {
	for size, known := range map[string][2]int{"B": {768, 12}, "L": {1024, 24}, "H": {1280, 32}} {
		if c.Width == known[0] && c.Layers == known[1] {
			return fmt.Sprintf("ViT-%s/%d", size, c.Patch)
		}
	}
	return "vision transformer"
}
