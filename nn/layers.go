package nn

import (
	"cmp"
	"math"

	"fewshot/autograd"
	"fewshot/tensor"
)

// Linear is x·wᵀ + b.
type Linear struct{ W, B *Param }

// NewLinear asks for weight [out, in] and bias [out].
func NewLinear(w *Weights, in, out int) Linear {
	return Linear{w.Param(tensor.Compute, "weight", out, in), w.Bias("bias", out)}
}

// Forward maps [..., in] to [..., out].
func (l Linear) Forward(x *autograd.Var) *autograd.Var {
	return l.W.product(x, l.B.On(x.Tape()), nil)
}

// ForwardAdd is Forward plus a residual [..., out], in one operation.
func (l Linear) ForwardAdd(x, residual *autograd.Var) *autograd.Var {
	return l.W.product(x, l.B.On(x.Tape()), residual)
}

// Pack prepares the layer's weight (see [Param.Pack]); so do the other layers' methods of this name.
func (l Linear) Pack(grad bool) { l.W.Pack(grad) }

// LayerNormEps is the epsilon of the layer norms of CLIP, and of all of its relatives that do not say another.
const LayerNormEps = 1e-5

// LayerNorm normalises the last axis.
type LayerNorm struct {
	W, B *Param
	Eps  float64
}

// NewLayerNorm asks for weight and bias [width]. An eps of 0 is [LayerNormEps].
func NewLayerNorm(w *Weights, width int, eps float64) LayerNorm {
	return LayerNorm{w.Param(tensor.Full, "weight", width), w.Param(tensor.Full, "bias", width), cmp.Or(eps, LayerNormEps)}
}

// Forward keeps the shape of x [..., width].
func (l LayerNorm) Forward(x *autograd.Var) *autograd.Var {
	return autograd.LayerNorm(x, l.W.On(x.Tape()), l.B.On(x.Tape()), l.Eps)
}

// Attention is multi-head self-attention with one packed input projection, rows ordered q, k, v.
type Attention struct {
	InW, InB *Param
	Out      Linear
	inner    LayerNorm // of the heads' results, before Out; in EVA-02
	heads    int
	causal   bool
	rotary   *rotary // nil in CLIP
}

// NewAttention asks for in_proj_weight [3·width, width], in_proj_bias and out_proj.
func NewAttention(w *Weights, width, heads int, causal bool) Attention {
	return Attention{InW: w.Param(tensor.Compute, "in_proj_weight", 3*width, width), InB: w.Bias("in_proj_bias", 3*width),
		Out: NewLinear(w.In("out_proj"), width, width), heads: heads, causal: causal}
}

// Forward maps [B, L, width] to the same shape, and adds the residual, of that shape too, unless it is nil.
func (a Attention) Forward(x, residual *autograd.Var) *autograd.Var {
	return a.out(autograd.Attention(a.project(x), a.heads, a.causal), residual)
}

// project makes queries, keys and values [..., 3·width].
func (a Attention) project(x *autograd.Var) *autograd.Var {
	return a.rotary.turn(a.InW.product(x, a.InB.On(x.Tape()), nil))
}

// out is what becomes of the heads' results.
func (a Attention) out(heads, residual *autograd.Var) *autograd.Var {
	if a.inner.W != nil {
		heads = a.inner.Forward(heads)
	}
	return a.Out.ForwardAdd(heads, residual)
}

// ForwardSequences is causal attention for the rows [R, width] of several sequences. With at, not nil, it is these rows
// of it alone, [len(at), width]. The residual, of the result's shape, is added unless it is nil. With keys, not nil,
// row r has the key and the value of row keys[r].
func (a Attention) ForwardSequences(x, residual *autograd.Var, groups []autograd.Sequences, keys, at []int32) *autograd.Var {
	qkv := a.project(x) // [R, 3·width]
	if keys != nil {
		shape, thirds := qkv.Shape(), make([]int32, 0, 3*len(keys))
		for r, k := range keys {
			thirds = append(thirds, int32(3*r), 3*k+1, 3*k+2)
		}
		qkv = autograd.Reshape(autograd.TakeRows(autograd.Reshape(qkv, 3*len(keys), shape[1]/3), thirds), shape...)
	}
	heads := autograd.CausalAttention(qkv, a.heads, groups)
	if at != nil {
		heads = autograd.TakeRows(heads, at)
	}
	return a.out(heads, residual)
}

// ForwardFirst is token 0 of Forward, [B, width], with that of the residual, for attention that is not causal. One
// query a sequence needs no keys and values of all tokens, which would be nearly all of the work. With head i's rows
// Wkᵢ, Wvᵢ of the weights, and tokens x_j,
//
//	qᵢ·(Wkᵢ·x_j + bkᵢ) = uᵢ·x_j + qᵢ·bkᵢ         with uᵢ = qᵢ·Wkᵢ
//	Σ_j pᵢⱼ·(Wvᵢ·x_j + bvᵢ) = Wvᵢ·cᵢ + bvᵢ       with cᵢ = Σ_j pᵢⱼ·x_j, as Σ_j pᵢⱼ = 1
//
// and the softmax over j does not see qᵢ·bkᵢ, so that bk has no part in this. Each head is a query u to the tokens
// themselves. A second path of low rank, h·wᵀ, makes tokens [x_j h_j] and weights [W w] of these. Not so where keys are
// turned, each in its own way.
func (a Attention) ForwardFirst(x, residual *autograd.Var) *autograd.Var {
	t, d := x.Tape(), x.Value.Dim(1)
	if a.rotary != nil {
		return a.out(autograd.FirstToken(autograd.Attention(a.project(x), a.heads, a.causal)), residual)
	}
	x, w := a.InW.beside(x)
	b := a.InB.On(t)
	q := autograd.Linear(autograd.FirstToken(x), autograd.Rows(w, 0, d), autograd.Rows(b, 0, d)) // [B, width]
	u := autograd.SplitHeads(q, autograd.Rows(w, d, 2*d), a.heads)                               // [B, heads, width + rank]
	c := autograd.Attend(u, x, 1/math.Sqrt(float64(d/a.heads)))                                  // [B, heads, width + rank]
	heads := autograd.JoinHeads(c, autograd.Rows(w, 2*d, 3*d), autograd.Rows(b, 2*d, 3*d))       // [B, width]
	return a.out(heads, residual)
}

// Pack prepares the layer's weights.
func (a Attention) Pack(grad bool) {
	a.InW.Pack(grad)
	a.Out.Pack(grad)
}

// MLP is the pointwise half of a transformer block: Proj(act(FC(x))), or with a gate Proj(silu(Gate(x)) ⊙ FC(x)).
type MLP struct {
	FC, Proj   Linear
	Gate       Linear    // in EVA-02
	ln         LayerNorm // before Proj; in EVA-02
	activation tensor.Activation
}

// NewMLP asks for c_fc [inner, width] and c_proj [width, inner].
func NewMLP(w *Weights, width, inner int, a tensor.Activation) MLP {
	return MLP{FC: NewLinear(w.In("c_fc"), width, inner), Proj: NewLinear(w.In("c_proj"), inner, width), activation: a}
}

// newMLP is NewMLP with c_gate and ln where the source has them.
func newMLP(w *Weights, c TransformerConfig) MLP {
	inner := cmp.Or(c.MLP, 4*c.Width)
	m := NewMLP(w, c.Width, inner, c.Activation)
	if w.Has("c_gate.weight") {
		m.Gate = NewLinear(w.In("c_gate"), c.Width, inner)
	}
	if w.Has("ln.weight") {
		m.ln = NewLayerNorm(w.In("ln"), inner, c.Eps)
	}
	return m
}

// Forward keeps the shape of x [..., width], and adds the residual, of that shape too, unless it is nil.
func (m MLP) Forward(x, residual *autograd.Var) *autograd.Var {
	y := m.FC.Forward(x)
	if m.Gate.W != nil {
		y = autograd.Mul(y, silu(m.Gate.Forward(x)))
	} else {
		y = autograd.Activate(y, m.activation)
	}
	if m.ln.W != nil {
		y = m.ln.Forward(y)
	}
	return m.Proj.ForwardAdd(y, residual)
}

// silu is x·sigmoid(x), by way of QuickGELU, which is x·sigmoid(1.702·x).
func silu(x *autograd.Var) *autograd.Var {
	const c = 1.702
	return autograd.Scale(autograd.Activate(autograd.Scale(x, 1/c), tensor.QuickGELU), c)
}

// weights are the matrices.
func (m MLP) weights() []*Param {
	if m.Gate.W != nil {
		return []*Param{m.Gate.W, m.FC.W, m.Proj.W}
	}
	return []*Param{m.FC.W, m.Proj.W}
}

// Pack prepares the layer's weights.
func (m MLP) Pack(grad bool) {
	for _, w := range m.weights() {
		w.Pack(grad)
	}
}

// Block is a residual attention block, with norms before attention and MLP, or behind them.
type Block struct {
	LN1, LN2 LayerNorm
	Attn     Attention
	MLP      MLP
	LS1, LS2 *Param // what each half is multiplied by, [width] (layer scale); nil in nearly all models
	post     bool   // norms are of what attention and MLP make
}

// NewBlock asks for ln_1, attn, ln_2 and mlp, and for ls_1.gamma, ls_2.gamma, attn.ln_inner, mlp.c_gate and mlp.ln
// where the source has them.
func NewBlock(w *Weights, c TransformerConfig) Block {
	b := Block{
		LN1: NewLayerNorm(w.In("ln_1"), c.Width, c.Eps), Attn: NewAttention(w.In("attn"), c.Width, c.Heads, c.Causal),
		LN2: NewLayerNorm(w.In("ln_2"), c.Width, c.Eps), MLP: newMLP(w.In("mlp"), c), post: c.PostNorm,
	}
	if w.Has("attn.ln_inner.weight") {
		b.Attn.inner = NewLayerNorm(w.In("attn", "ln_inner"), c.Width, c.Eps)
	}
	if w.Has("ls_1.gamma") {
		b.LS1, b.LS2 = w.Param(tensor.Full, "ls_1.gamma", c.Width), w.Param(tensor.Full, "ls_2.gamma", c.Width)
	}
	b.Attn.rotary = newRotary(w, c.Rotary, c.Before, c.Grid, c.Width, c.Heads)
	return b
}

// half is x, or residual where that is other rows, with a half of the block added, f, which adds a residual itself
// unless that is nil.
func (b Block) half(norm LayerNorm, scale *Param, x, residual *autograd.Var, f func(x, residual *autograd.Var) *autograd.Var) *autograd.Var {
	switch {
	case b.post:
		return autograd.Add(norm.Forward(f(x, nil)), residual)
	case scale != nil:
		return autograd.Add(autograd.Mul(f(norm.Forward(x), nil), scale.On(x.Tape())), residual)
	}
	return f(norm.Forward(x), residual)
}

// Forward is x + attention, then + MLP, each half in the memory of its own scope, and added by its last product.
func (b Block) Forward(x *autograd.Var) *autograd.Var {
	return b.mlp(x.Tape().Scope(func() *autograd.Var { return b.half(b.LN1, b.LS1, x, x, b.Attn.Forward) }))
}

// ForwardFirst is token 0 of Forward, [B, width]: all that is needed of a last block whose other tokens
// nobody reads.
func (b Block) ForwardFirst(x *autograd.Var) *autograd.Var {
	return b.mlp(x.Tape().Scope(func() *autograd.Var {
		return b.half(b.LN1, b.LS1, x, autograd.FirstToken(x), b.Attn.ForwardFirst)
	}))
}

// ForwardSequences is Forward for the rows [R, width] of several causal sequences; with at, not nil, for these rows
// of the result alone: all that is needed of a last block. keys are [Attention.ForwardSequences]'.
func (b Block) ForwardSequences(x *autograd.Var, groups []autograd.Sequences, keys, at []int32) *autograd.Var {
	return b.mlp(x.Tape().Scope(func() *autograd.Var {
		residual := x
		if at != nil {
			residual = autograd.TakeRows(x, at)
		}
		return b.half(b.LN1, b.LS1, x, residual, func(x, residual *autograd.Var) *autograd.Var {
			return b.Attn.ForwardSequences(x, residual, groups, keys, at)
		})
	}))
}

// mlp is the second half; x is an intermediate of the block's and ends here.
func (b Block) mlp(x *autograd.Var) *autograd.Var {
	y := x.Tape().Scope(func() *autograd.Var { return b.half(b.LN2, b.LS2, x, x, b.MLP.Forward) })
	x.Tape().Done(x)
	return y
}

// TransformerConfig are the sizes of a stack of blocks.
type TransformerConfig struct {
	Width, Layers, Heads int
	MLP                  int     // width inside the MLPs; 0 for four times Width, as in CLIP
	Eps                  float64 // of the layer norms; 0 for [LayerNormEps]
	Causal               bool
	Activation           tensor.Activation
	PostNorm             bool // norms are of what attention and MLP make, as in EVA-02's largest; else of what goes into them

	Rotary       RotaryConfig // of the tokens of a Grid×Grid grid that stand behind Before others
	Before, Grid int
}

// Transformer is a stack of blocks.
type Transformer struct {
	Blocks  []Block
	prompts Prompts
}

// Prompts are tokens of a caller's own that take the place of others on their way through a transformer.
type Prompts struct {
	At     int             // the first that they replace, in each sequence
	Before []*autograd.Var // [n, width], or [B, n, width]: before block i; where nil or missing, what the block before has made of them goes on
}

// into replaces tokens of x, which ends, before a block.
func (p Prompts) into(x *autograd.Var, block int) *autograd.Var {
	if block >= len(p.Before) || p.Before[block] == nil {
		return x
	}
	y := autograd.ReplaceTokens(x, p.Before[block], p.At)
	x.Tape().Done(x)
	return y
}

// With is the transformer with prompts in it.
func (t Transformer) With(p Prompts) Transformer {
	t.prompts = p
	return t
}

// NewTransformer asks for resblocks.0, resblocks.1, ….
func NewTransformer(w *Weights, c TransformerConfig) Transformer {
	var t Transformer
	for i := range c.Layers {
		t.Blocks = append(t.Blocks, NewBlock(w.In("resblocks", i), c))
	}
	return t
}

// Forward keeps the shape of x [B, L, width]. x is given up: see [autograd.Tape.Done].
func (t Transformer) Forward(x *autograd.Var) *autograd.Var {
	return t.blocks(x, len(t.Blocks), Block.Forward)
}

// ForwardFirst is token 0 of Forward, [B, width]. x is given up: see [autograd.Tape.Done].
func (t Transformer) ForwardFirst(x *autograd.Var) *autograd.Var {
	last := len(t.Blocks) - 1
	x = t.prompts.into(t.blocks(x, last, Block.Forward), last)
	y := t.Blocks[last].ForwardFirst(x)
	x.Tape().Done(x)
	return y
}

// ForwardSequences takes the rows x [R, width] of several causal sequences through all blocks, and then the rows at
// of them: [len(at), width]. x is given up: see [autograd.Tape.Done]. Places of prompts are rows. keys are
// [Attention.ForwardSequences]', or nil.
func (t Transformer) ForwardSequences(x *autograd.Var, groups []autograd.Sequences, keys, at []int32) *autograd.Var {
	last := len(t.Blocks) - 1
	x = t.prompts.into(t.blocks(x, last, func(b Block, x *autograd.Var) *autograd.Var {
		return b.ForwardSequences(x, groups, keys, nil)
	}), last)
	y := t.Blocks[last].ForwardSequences(x, groups, keys, at)
	x.Tape().Done(x)
	return y
}

// blocks takes x, which ends, through the first n.
func (t Transformer) blocks(x *autograd.Var, n int, forward func(Block, *autograd.Var) *autograd.Var) *autograd.Var {
	for i, b := range t.Blocks[:n] {
		x = t.prompts.into(x, i)
		y := forward(b, x)
		x.Tape().Done(x)
		x = y
	}
	return x
}

// Pack prepares the weights of all blocks.
func (t Transformer) Pack(grad bool) {
	for _, b := range t.Blocks {
		b.Attn.Pack(grad)
		b.MLP.Pack(grad)
	}
}

// Quantize makes integers of the weights of all blocks; see [Param.Quantize].
func (t Transformer) Quantize() {
	for _, b := range t.Blocks {
		for _, w := range append([]*Param{b.Attn.InW, b.Attn.Out.W}, b.MLP.weights()...) {
			w.Quantize()
		}
	}
}

// Discard gives up what Quantize has made integers of, but for the last block's input projection, of which
// [Attention.ForwardFirst] takes rows.
func (t Transformer) Discard() {
	for i, b := range t.Blocks {
		if i < len(t.Blocks)-1 {
			b.Attn.InW.Discard()
		}
		for _, w := range append([]*Param{b.Attn.Out.W}, b.MLP.weights()...) {
			w.Discard()
		}
	}
}
