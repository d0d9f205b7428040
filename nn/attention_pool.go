package nn

import (
	"math"

	"fewshot/autograd"
	"fewshot/tensor"
)

// Pool is multi-head attention of one learned query to all tokens of a sequence.
type Pool struct {
	InW     *Param // [3·width, width]; nil where tokens have another width than the query
	Q, K, V *Param // then these, [width, width] and [width, context]
	InB     *Param // [3·width]
	Out     Linear
	heads   int
}

// NewPool asks for in_proj_weight [3·width, width], in_proj_bias and out_proj.
func NewPool(w *Weights, width, heads int) Pool {
	a := NewAttention(w, width, heads, false)
	return Pool{InW: a.InW, InB: a.InB, Out: a.Out, heads: heads}
}

// NewPoolOf is NewPool for tokens of the width context, for which it asks as PyTorch's MultiheadAttention names them:
// where the widths differ, for q_proj_weight [width, width], k_proj_weight and v_proj_weight [width, context].
func NewPoolOf(w *Weights, width, context, heads int) Pool {
	if width == context {
		return NewPool(w, width, heads)
	}
	return Pool{Q: w.Param(tensor.Compute, "q_proj_weight", width, width), K: w.Param(tensor.Compute, "k_proj_weight", width, context),
		V: w.Param(tensor.Compute, "v_proj_weight", width, context), InB: w.Bias("in_proj_bias", 3*width),
		Out: NewLinear(w.In("out_proj"), width, width), heads: heads}
}

// Forward maps a query [1, width], the same for all sequences, and tokens x [B, L, context] to [B, width]. As in
// [Attention.ForwardFirst] no keys and values are made of the tokens.
func (p Pool) Forward(query, x *autograd.Var) *autograd.Var {
	t, width, batch := x.Tape(), query.Value.Dim(1), x.Shape()[0]
	var wq, wk, wv *autograd.Var
	if p.InW != nil {
		w := p.InW.On(t)
		wq, wk, wv = autograd.Rows(w, 0, width), autograd.Rows(w, width, 2*width), autograd.Rows(w, 2*width, 3*width)
	} else {
		wq, wk, wv = p.Q.On(t), p.K.On(t), p.V.On(t)
	}
	b := p.InB.On(t)
	q := autograd.Linear(query, wq, autograd.Rows(b, 0, width))     // [1, width]
	q = autograd.TakeRows(q, make([]int32, batch))                  // [B, width]
	u := autograd.SplitHeads(q, wk, p.heads)                        // [B, heads, context]
	c := autograd.Attend(u, x, 1/math.Sqrt(float64(width/p.heads))) // [B, heads, context]
	return p.Out.Forward(autograd.JoinHeads(c, wv, autograd.Rows(b, 2*width, 3*width)))
}
