package vit

import (
	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

// Encoder is CLIP's vision transformer.
type Encoder struct {
	Config
	conv        *nn.Param // patch embedding [Width, 3, Patch, Patch], no bias
	class       *nn.Param // class token [Width]
	position    *nn.Param // [1 + grid², Width]
	pre, post   nn.LayerNorm
	transformer nn.Transformer
	proj        *nn.Param // [Width, Embed]
	params      []*nn.Param
}

// New builds an encoder over the tensors below visual. in w; faults are in w.Err.
func New(w *nn.Weights, c Config) *Encoder {
	before := len(w.Params())
	w = w.In("visual")
	grid := c.ImageSize / c.Patch
	e := &Encoder{
		Config:   c,
		conv:     w.Param(tensor.Compute, "conv1.weight", c.Width, 3, c.Patch, c.Patch),
		class:    w.Param(tensor.Full, "class_embedding", c.Width),
		position: w.Param(tensor.Full, "positional_embedding", grid*grid+1, c.Width),
		pre:      nn.NewLayerNorm(w.In("ln_pre"), c.Width, c.Eps),
		post:     nn.NewLayerNorm(w.In("ln_post"), c.Width, c.Eps),
		transformer: nn.NewTransformer(w.In("transformer"), nn.TransformerConfig{
			Width: c.Width, Layers: c.Layers, Heads: c.Heads, MLP: c.MLP, Eps: c.Eps, Activation: c.Activation}),
		proj: w.Param(tensor.Compute, "proj", c.Width, c.Embed),
	}
	e.params = w.Params()[before:len(w.Params()):len(w.Params())]
	return e
}

// Params are the encoder's parameters.
func (e *Encoder) Params() []*nn.Param { return e.params }

// Pack prepares the weights for batches of a few images (see [tensor.Pack]), for as much memory again, and if grad for training on
// such batches, for twice as much. Weights under masks are left alone.
func (e *Encoder) Pack(grad bool) {
	e.conv.Pack(false) // no gradient goes to images
	e.transformer.Pack(grad)
}

// Unpack undoes Pack.
func (e *Encoder) Unpack() {
	for _, p := range e.params {
		tensor.Unpack(p.Value)
	}
}

// Prompts are tokens that a method adds to the sequence of each image. Nothing but the class token's attention sees where they
// stand: they are at its end, have no positions, and are no part of any result.
type Prompts struct {
	Input  *autograd.Var   // [n, Width], or [N, n, Width] by image: joined to the sequence before ln_pre; or nil
	Before []*autograd.Var // such tokens by block, that take their place before it; before the first block without Input, they are joined there
}

// Encode maps normalised images [N, 3, ImageSize, ImageSize] to features [N, Embed], not normalised. Of the
// last block only the class token is computed, which nobody can tell from the result.
func (e *Encoder) Encode(images *autograd.Var) *autograd.Var { return e.EncodeWith(images, Prompts{}) }

// EncodeWith is Encode with prompts.
func (e *Encoder) EncodeWith(images *autograd.Var, p Prompts) *autograd.Var {
	stack, x := e.start(images, p)
	x = stack.ForwardFirst(x) // [N, Width]
	return autograd.MatMul(e.post.Forward(x), e.proj.On(images.Tape()))
}

// EncodeTokens is Encode for all tokens of the images: [N, 1+grid², Embed], the class token's feature first, then local ones
// in the order of rows. They are what ln_post and the projection make of a token, as they are of the class token.
func (e *Encoder) EncodeTokens(images *autograd.Var) *autograd.Var {
	stack, x := e.start(images, Prompts{})
	return autograd.MatMul(e.post.Forward(stack.Forward(x)), e.proj.On(images.Tape()))
}

// Tokens is how many an image has, the class token's included.
func (c Config) Tokens() int { return 1 + c.ImageSize/c.Patch*(c.ImageSize/c.Patch) }

// start is what goes into the first block, and the blocks with the prompts in them.
func (e *Encoder) start(images *autograd.Var, p Prompts) (nn.Transformer, *autograd.Var) {
	t := images.Tape()
	x := t.Scope(func() *autograd.Var {
		patches := autograd.Patches(images, e.Patch)                           // [N, grid², 3·Patch²]
		x := autograd.Linear(patches, autograd.Matrix(e.conv.On(t)), nil)      // [N, grid², Width]
		x = autograd.Add(autograd.Prepend(e.class.On(t), x), e.position.On(t)) // [N, 1+grid², Width]
		if p.Input != nil {
			x = autograd.JoinTokens(x, p.Input)
		}
		return e.pre.Forward(x)
	})
	before := p.Before
	if p.Input == nil && len(before) > 0 {
		y := autograd.JoinTokens(x, before[0])
		t.Done(x)
		x, before = y, append([]*autograd.Var{nil}, before[1:]...)
	}
	return e.transformer.With(nn.Prompts{At: e.Tokens(), Before: before}), x
}
