package nn

import (
	"math"

	"fewshot/autograd"
)

// Pool is multi-head attention of one learned query to all tokens of a sequence.
type Pool struct {
	InW, InB *Param
	Out      Linear
	heads    int
}

// NewPool asks for in_proj_weight [3·width, width], in_proj_bias and out_proj.
func NewPool(w *Weights, width, heads int) Pool {
	a := NewAttention(w, width, heads, false)
	return Pool{a.InW, a.InB, a.Out, heads}
}

// Forward maps a query [1, width], the same for all sequences, and tokens x [B, L, width] to [B, width]. As in
// [Attention.ForwardFirst] no keys and values are made of the tokens.
func (p Pool) Forward(query, x *autograd.Var) *autograd.Var {
	t, width, batch := x.Tape(), x.Value.Dim(1), x.Shape()[0]
	w, b := p.InW.On(t), p.InB.On(t)
	q := autograd.Linear(query, autograd.Rows(w, 0, width), autograd.Rows(b, 0, width)) // [1, width]
	q = autograd.TakeRows(q, make([]int32, batch))                                      // [B, width]
	u := autograd.SplitHeads(q, autograd.Rows(w, width, 2*width), p.heads)              // [B, heads, width]
	c := autograd.Attend(u, x, 1/math.Sqrt(float64(width/p.heads)))                     // [B, heads, width]
	return p.Out.Forward(autograd.JoinHeads(c, autograd.Rows(w, 2*width, 3*width), autograd.Rows(b, 2*width, 3*width)))
}
