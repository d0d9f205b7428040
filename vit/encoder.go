package vit

import (
	"cmp"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

// Encoder is CLIP's vision transformer.
type Encoder struct {
	Config
	conv        *nn.Param // patch embedding [Width, 3, Patch, Patch]
	bias        *nn.Param // of the patch embedding; nil in CLIP
	class       *nn.Param // class token [Width]; nil without
	position    *nn.Param // [1 + grid², Width], or [grid², Width]
	pre, post   nn.LayerNorm
	transformer nn.Transformer
	pool        pooling   // of PoolMAP, PoolQuery
	proj        *nn.Param // [Width, Embed], of PoolQuery [Embed, Embed]; nil without
	projBias    *nn.Param // [Embed]; nil in CLIP
	params      []*nn.Param
}

// pooling is a learned query with what makes a feature of what it attends to.
type pooling struct {
	probe  *nn.Param // [1, Width], of PoolQuery [Queries, Embed]
	attend nn.Pool
	ln     nn.LayerNorm // of PoolMAP
	mlp    nn.MLP
	q, k   nn.LayerNorm // of PoolQuery: of the query, and of the tokens
}

// New builds an encoder over the tensors below visual. in w; faults are in w.Err.
func New(w *nn.Weights, c Config) *Encoder {
	before := len(w.Params())
	w = w.In("visual")
	e := &Encoder{Config: c, conv: w.Param(tensor.Compute, "conv1.weight", c.Width, 3, c.Patch, c.Patch)}
	if c.PatchBias {
		e.bias = w.Bias("conv1.bias", c.Width)
	}
	if !c.NoClass {
		e.class = w.Param(tensor.Full, "class_embedding", c.Width)
	}
	e.position = w.Param(tensor.Full, "positional_embedding", c.Tokens(), c.Width)
	if !c.NoPre {
		e.pre = nn.NewLayerNorm(w.In("ln_pre"), c.Width, c.Eps)
	}
	pooled := c.Width
	if c.Pool == PoolQuery {
		pooled = c.Embed
	}
	e.post = nn.NewLayerNorm(w.In("ln_post"), pooled, c.Eps)
	e.transformer = nn.NewTransformer(w.In("transformer"), nn.TransformerConfig{
		Width: c.Width, Layers: c.Layers, Heads: c.Heads, MLP: c.MLP, Eps: c.Eps, Activation: c.Activation,
		PostNorm: c.PostNorm, Rotary: c.Rotary, Before: c.Tokens() - c.grid()*c.grid(), Grid: c.grid()})
	switch p := w.In("attn_pool"); c.Pool {
	case PoolMAP:
		e.pool = pooling{probe: p.Param(tensor.Full, "probe", 1, c.Width), attend: nn.NewPool(p.In("attn"), c.Width, cmp.Or(c.PoolHeads, c.Heads)),
			ln: nn.NewLayerNorm(p.In("ln"), c.Width, c.Eps), mlp: nn.NewMLP(p.In("mlp"), c.Width, cmp.Or(c.PoolMLP, c.MLP, 4*c.Width), c.Activation)}
	case PoolQuery:
		e.pool = pooling{probe: p.Param(tensor.Full, "query", c.Queries, c.Embed), attend: nn.NewPoolOf(p.In("attn"), c.Embed, c.Width, c.PoolHeads),
			q: nn.NewLayerNorm(p.In("ln_q"), c.Embed, c.Eps), k: nn.NewLayerNorm(p.In("ln_k"), c.Width, c.Eps)}
	}
	if !c.NoProj {
		e.proj = w.Param(tensor.Compute, "proj", pooled, c.Embed)
	}
	if c.ProjBias {
		e.projBias = w.Param(tensor.Full, "proj.bias", c.Embed)
	}
	e.params = w.Params()[before:len(w.Params()):len(w.Params())]
	return e
}

// Params are the encoder's parameters.
func (e *Encoder) Params() []*nn.Param { return e.params }

// Pack prepares the weights for batches of a few images (see [tensor.Pack]), for as much memory again, and if grad
// for training on such batches, for twice as much. Weights under masks are left alone.
func (e *Encoder) Pack(grad bool) {
	e.conv.Pack(false) // no gradient goes to images
	e.transformer.Pack(grad)
}

// Quantize makes integers of the weights of the blocks. The patch embedding and the projection, a hundredth of the
// work, stay as they are.
func (e *Encoder) Quantize() error {
	e.transformer.Quantize()
	return nil
}

// Discard gives up what Quantize has made integers of.
func (e *Encoder) Discard() { e.transformer.Discard() }

// Unpack undoes Pack and Quantize.
func (e *Encoder) Unpack() {
	for _, p := range e.params {
		tensor.Unpack(p.Value)
	}
}

// Prompts are tokens that a method adds to the sequence of each image. Nothing but the class token's attention sees
// where they stand: they are at its end, have no positions, and are no part of any result.
type Prompts struct {
	Input  *autograd.Var   // [n, Width], or [N, n, Width] by image: joined to the sequence before ln_pre; or nil
	Before []*autograd.Var // such tokens by block, that take their place before it; before the first block without Input, they are joined there
}

// Encode maps normalised images [N, 3, ImageSize, ImageSize] to features [N, Embed], not normalised. Where the class
// token is what is pooled, it alone is computed of the last block, which nobody can tell from the result.
func (e *Encoder) Encode(images *autograd.Var) *autograd.Var { return e.EncodeWith(images, Prompts{}) }

// EncodeWith is Encode with prompts, which an average leaves out; a learned query attends to them too.
func (e *Encoder) EncodeWith(images *autograd.Var, p Prompts) *autograd.Var {
	stack, x := e.start(images, p)
	if e.Pool == PoolToken && !e.NoClass {
		return e.project(e.post.Forward(stack.ForwardFirst(x)))
	}
	x = stack.Forward(x)
	t := x.Tape()
	switch e.Pool {
	case PoolMAP:
		x = e.post.Forward(x)
		y := e.pool.attend.Forward(e.pool.probe.On(t), x)
		return e.project(e.pool.mlp.Forward(e.pool.ln.Forward(y), y))
	case PoolQuery: // what the other queries gather is for captions
		q := e.pool.q.Forward(autograd.Rows(e.pool.probe.On(t), 0, 1))
		return e.project(e.post.Forward(e.pool.attend.Forward(q, e.pool.k.Forward(x))))
	case PoolAverage:
		if !e.NormLast {
			x = e.post.Forward(x)
		}
		x = e.average(x)
		if e.NormLast {
			x = e.post.Forward(x)
		}
		return e.project(x)
	}
	return e.project(e.post.Forward(autograd.FirstToken(x)))
}

// project makes features [N, Embed] of pooled tokens.
func (e *Encoder) project(x *autograd.Var) *autograd.Var {
	if e.proj != nil {
		x = autograd.MatMul(x, e.proj.On(x.Tape()))
	}
	if e.projBias != nil {
		x = autograd.Add(x, e.projBias.On(x.Tape()))
	}
	return x
}

// average is the mean of an image's own tokens, [N, Width]: the class token's and prompts' are left out.
func (e *Encoder) average(x *autograd.Var) *autograd.Var {
	n, length := x.Shape()[0], x.Shape()[1]
	skip, own := 1, e.Tokens()-1
	if e.NoClass {
		skip, own = 0, e.Tokens()
	}
	if own < length {
		var rows []int32
		for i := range n {
			for j := range own {
				rows = append(rows, int32(i*length+skip+j))
			}
		}
		x = autograd.Reshape(autograd.TakeRows(x, rows), n, own, e.Width)
	}
	return autograd.FirstToken(autograd.PrependMean(x))
}

// EncodeTokens is Encode for all tokens of the images: [N, 1+grid², Embed], the class token's feature first, then
// local ones in the order of rows. They are what ln_post and the projection make of a token, as they are of the class
// token. It panics unless that is what is pooled.
func (e *Encoder) EncodeTokens(images *autograd.Var) *autograd.Var {
	if e.Pool != PoolToken || e.NoClass {
		panic("vit: EncodeTokens of an encoder that does not pool the class token")
	}
	stack, x := e.start(images, Prompts{})
	return e.project(e.post.Forward(stack.Forward(x)))
}

// Tokens is how many an image has, the class token's included.
func (c Config) Tokens() int {
	n := c.grid() * c.grid()
	if !c.NoClass {
		n++
	}
	return n
}

// grid is how many patches there are on a side.
func (c Config) grid() int { return c.ImageSize / c.Patch }

// start is what goes into the first block, and the blocks with the prompts in them.
func (e *Encoder) start(images *autograd.Var, p Prompts) (nn.Transformer, *autograd.Var) {
	t := images.Tape()
	x := t.Scope(func() *autograd.Var {
		var bias *autograd.Var
		if e.bias != nil {
			bias = e.bias.On(t)
		}
		patches := autograd.Patches(images, e.Patch)                       // [N, grid², 3·Patch²]
		x := autograd.Linear(patches, autograd.Matrix(e.conv.On(t)), bias) // [N, grid², Width]
		if e.class != nil {
			x = autograd.Prepend(e.class.On(t), x)
		}
		x = autograd.Add(x, e.position.On(t)) // [N, Tokens, Width]
		if p.Input != nil {
			x = autograd.JoinTokens(x, p.Input)
		}
		if e.NoPre {
			return x
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
