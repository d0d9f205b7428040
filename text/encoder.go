package text

import (
	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

// Encoder is CLIP's text encoder: a causal transformer whose feature is read at the end-of-text token.
type Encoder struct {
	Config
	tokens      *nn.Param // [Vocab, Width]
	position    *nn.Param // [Context, Width]
	transformer nn.Transformer
	final       nn.LayerNorm
	proj        *nn.Param // [Width, Embed]
	params      []*nn.Param
}

// New builds an encoder over the top-level tensors of w; faults are in w.Err.
func New(w *nn.Weights, c Config) *Encoder {
	before := len(w.Params())
	e := &Encoder{
		Config:   c,
		tokens:   w.Param(tensor.Full, "token_embedding.weight", c.Vocab, c.Width),
		position: w.Param(tensor.Full, "positional_embedding", c.Context, c.Width),
		transformer: nn.NewTransformer(w.In("transformer"), nn.TransformerConfig{
			Width: c.Width, Layers: c.Layers, Heads: c.Heads, MLP: c.MLP, Eps: c.Eps, Causal: true, Activation: c.Activation}),
		final: nn.NewLayerNorm(w.In("ln_final"), c.Width, c.Eps),
		proj:  w.Param(tensor.Compute, "text_projection", c.Width, c.Embed),
	}
	e.params = w.Params()[before:len(w.Params()):len(w.Params())]
	return e
}

// Params are the encoder's parameters.
func (e *Encoder) Params() []*nn.Param { return e.params }

// Pack prepares the weights for a few texts at a time (see [tensor.Pack]), for as much memory again.
func (e *Encoder) Pack() { e.transformer.Pack(false) }

// Encode maps tokenised texts, of any lengths up to Context, to features [N, Embed], not normalised.
//
// As in CLIP the feature is read at the first occurrence of the largest token id, the end-of-text token. No
// position sees a later one, so the texts are run only as far as the last of these positions: exact, and five
// to seven times cheaper than 77 tokens for the usual prompts.
func (e *Encoder) Encode(t *autograd.Tape, texts [][]int32) *autograd.Var {
	end := make([]int32, len(texts))
	length := 0
	for i, ids := range texts {
		for j, id := range ids {
			if id > ids[end[i]] {
				end[i] = int32(j)
			}
		}
		length = max(length, int(end[i])+1)
	}
	flat := make([]int32, len(texts)*length) // what lies beyond a text's end is never looked at; 0 will do
	for i, ids := range texts {
		copy(flat[i*length:(i+1)*length], ids)
	}
	x := t.Scope(func() *autograd.Var {
		x := autograd.Gather(e.tokens.On(t), flat, len(texts), length) // [N, L, Width]
		return autograd.Add(x, autograd.Rows(e.position.On(t), 0, length))
	})
	x = e.transformer.Forward(x)
	x = autograd.TakeTokens(x, end) // layer norm works on rows, so the others need none
	return autograd.MatMul(e.final.Forward(x), e.proj.On(t))
}
