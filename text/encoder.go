package text

import (
	"slices"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

// Encoder is CLIP's text encoder: a causal transformer whose feature is read at the end-of-text token; or, of a
// relative's, one without a causal mask, or read elsewhere.
type Encoder struct {
	Config
	tokens      *nn.Param // [Vocab, Width]
	position    *nn.Param // [Context, Width], with one more row for a token behind the text
	cls         *nn.Param // that token, [Width]; nil in CLIP
	transformer nn.Transformer
	final       nn.LayerNorm
	proj        *nn.Param // [Width, Embed]; nil without
	bias        *nn.Param // of the projection; nil in CLIP
	params      []*nn.Param
}

// New builds an encoder over the top-level tensors of w; faults are in w.Err.
func New(w *nn.Weights, c Config) *Encoder {
	before := len(w.Params())
	rows := c.Context
	if c.CLS {
		rows++
	}
	e := &Encoder{
		Config:   c,
		tokens:   w.Param(tensor.Full, "token_embedding.weight", c.Vocab, c.Width),
		position: w.Param(tensor.Full, "positional_embedding", rows, c.Width),
		transformer: nn.NewTransformer(w.In("transformer"), nn.TransformerConfig{
			Width: c.Width, Layers: c.Layers, Heads: c.Heads, MLP: c.MLP, Eps: c.Eps, Causal: !c.Full, Activation: c.Activation}),
		final: nn.NewLayerNorm(w.In("ln_final"), c.Width, c.Eps),
	}
	if c.CLS {
		e.cls = w.Param(tensor.Full, "cls_emb", c.Width)
	}
	if !c.NoProj {
		e.proj = w.Param(tensor.Compute, "text_projection", c.Width, c.Embed)
	}
	if c.ProjBias {
		e.bias = w.Param(tensor.Full, "text_projection.bias", c.Embed)
	}
	e.params = w.Params()[before:len(w.Params()):len(w.Params())]
	return e
}

// Params are the encoder's parameters.
func (e *Encoder) Params() []*nn.Param { return e.params }

// Pack prepares the weights for a few texts at a time (see [tensor.Pack]), for as much memory again.
func (e *Encoder) Pack() { e.transformer.Pack(false) }

// Quantize makes integers of the weights of the blocks, on a device with precision int8; see [tensor.Quantize]. What is put
// on a weight later, a mask say, is computed in float32.
func (e *Encoder) Quantize() { e.transformer.Quantize() }

// Encode maps tokenised texts, of any lengths up to Context, to features [N, Embed], not normalised.
//
// As in CLIP the feature is read at the first occurrence of the largest token id, the end-of-text token. No position
// sees a later one, so each text is run only up to there, and what texts have in common at their beginning is
// computed once: exact, and about ten times cheaper than 77 tokens for the usual prompts. Where it is read at the
// last position, or every position sees all, texts are padded to Context.
func (e *Encoder) Encode(t *autograd.Tape, texts [][]int32) *autograd.Var {
	if e.CLS {
		return e.encodeWithCLS(t, texts)
	}
	cut, ends := e.Run(texts)
	if !e.Full {
		layout, ids := layoutOf(cut)
		x := t.Scope(func() *autograd.Var { return e.Place(e.Embeddings(t, ids), layout) })
		return e.EncodeRows(x, layout, nn.Prompts{})
	}
	x := e.Embeddings(t, slices.Concat(cut...))
	return e.EncodeEmbeddings(autograd.Reshape(x, len(texts), e.Context, e.Width), ends)
}

// Run is what of tokenised texts is run, and where their features are read: each up to there, or, where every position
// sees all, padded to Context. It panics where a token behind the texts has their features.
func (e *Encoder) Run(texts [][]int32) (run [][]int32, ends []int32) {
	if e.CLS {
		panic("text: Run of an encoder whose features are those of a token behind the texts")
	}
	run, ends = make([][]int32, len(texts)), make([]int32, len(texts))
	for i, ids := range texts {
		if e.Padded() {
			ids = append(slices.Clone(ids), slices.Repeat([]int32{e.Pad}, e.Context-len(ids))...)
		}
		ends[i] = int32(e.End(ids))
		if run[i] = ids; !e.Full {
			run[i] = ids[:ends[i]+1]
		}
	}
	return run, ends
}

// Padded reports whether texts are run padded to Context: padding has an influence on their features, or is where
// they are read.
func (e *Encoder) Padded() bool { return e.Full || e.Pool == PoolLast }

// End is the position at which a text's feature is read, of ids as they are run. An id below 0 is no token: something
// else stands there.
func (e *Encoder) End(ids []int32) int {
	switch e.Pool {
	case PoolLast:
		return len(ids) - 1
	case PoolFirst:
		return 0
	case PoolEOS:
		return max(0, slices.Index(ids, e.EOS))
	}
	end := 0
	for j, id := range ids {
		if id > ids[end] {
			end = j
		}
	}
	return end
}

// partTokens is about how many tokens EncodeParts keeps in memory for a sweep: a quarter of a gigabyte in CLIP's
// smaller text encoder.
const partTokens = 1024

// EncodeParts encodes texts of any number in the memory of some, by [autograd.Checkpoint], where features are
// differentiated by parameters of the encoder's own. trained are all of these; encode gives the features of some texts,
// of which the first has the given number.
func (e *Encoder) EncodeParts(t *autograd.Tape, texts [][]int32, trained []*nn.Param, encode func(t *autograd.Tape, texts [][]int32, first int) *autograd.Var) *autograd.Var {
	starts, tokens := []int{0}, 0
	run := texts
	if !e.CLS {
		run, _ = e.Run(texts)
	}
	for i, ids := range run {
		if n := len(ids); tokens+n > partTokens && tokens > 0 {
			starts, tokens = append(starts, i), n
		} else {
			tokens += n
		}
	}
	if len(starts) == 1 || !t.Recording() {
		return encode(t, texts, 0)
	}
	var in []*autograd.Var
	for _, p := range trained {
		in = append(in, p.On(t))
	}
	ends := append(starts[1:len(starts):len(starts)], len(texts))
	return autograd.Checkpoint(in, len(starts), func(t *autograd.Tape, part int, _ []*autograd.Var) *autograd.Var {
		return encode(t, texts[starts[part]:ends[part]], starts[part])
	})
}

// Embeddings are those of tokens, [len(ids), Width], without their positions.
func (e *Encoder) Embeddings(t *autograd.Tape, ids []int32) *autograd.Var {
	return autograd.Gather(e.tokens.On(t), ids, len(ids))
}

// Place adds to embeddings [Rows, Width] those of the positions at which they stand.
func (e *Encoder) Place(x *autograd.Var, l *Layout) *autograd.Var {
	return autograd.Add(x, autograd.TakeRows(e.position.On(x.Tape()), l.positions))
}

// EncodeEmbeddings is Encode for texts of any embeddings x [N, L, Width], without their positions, L at most Context,
// whose end-of-text tokens stand at end. What comes after a text's end has no influence, but where every position
// sees all.
func (e *Encoder) EncodeEmbeddings(x *autograd.Var, end []int32) *autograd.Var {
	n, length := x.Shape()[0], x.Shape()[1]
	l := Apart(length, end)
	return e.EncodeRows(e.Place(autograd.Reshape(x, n*length, e.Width), l), l, nn.Prompts{})
}

// EncodeRows is what all of these do: features [N, Embed] of the N texts of a layout, from its rows x [Rows, Width]
// with their positions, as Place gives them. x is given up: see [autograd.Tape.Done]. With prompts, which take the
// place of rows of a prefix that all texts share. Where every position sees all, nothing can be shared: it panics if
// the layout does, or has texts of several lengths, and prompts take the place of rows of each text.
func (e *Encoder) EncodeRows(x *autograd.Var, l *Layout, p nn.Prompts) *autograd.Var {
	l.check(x, e.Width)
	if e.Full {
		if len(l.groups) != 1 || l.groups[0].Shared != 0 {
			panic("text: texts that share a prefix, in an encoder without a causal mask")
		}
		y := e.transformer.With(p).Forward(autograd.Reshape(x, l.groups[0].Count, l.groups[0].Len, e.Width))
		x = autograd.TakeRows(y, l.ends)
	} else {
		x = e.transformer.With(p).ForwardSequences(x, l.groups, l.keys, l.ends)
	}
	x = e.final.Forward(x)
	if e.proj != nil {
		x = autograd.MatMul(x, e.proj.On(x.Tape()))
	}
	if e.bias != nil {
		x = autograd.Add(x, e.bias.On(x.Tape()))
	}
	return x
}
