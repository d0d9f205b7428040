package autograd

import "fewshot/tensor"

// Attention is multi-head self-attention over a packed projection qkv [B, L, 3D]: softmax(q·kᵀ/√(D/heads))·v
// by heads, merged to [B, L, D]. Causal hides later positions.
func Attention(qkv *Var, heads int, causal bool) *Var {
	d := qkv.Value.Dim(1) / 3
	o := tensor.AttentionOptions{Heads: heads, K: d, V: 2 * d, Causal: causal}
	t := qkv.tape
	out, lse := newAttention(t, qkv, d, heads)
	tensor.Attention(out, lse, qkv.Value, qkv.Value, o)
	return t.Record(out, []*Var{qkv}, []*tensor.Tensor{qkv.Value, out, lse}, func(s *Sweep, ct *tensor.Tensor) {
		g := s.New(qkv)
		tensor.AttentionGrad(g, g, ct, qkv.Value, qkv.Value, out, lse, o)
		s.Give(qkv, g)
	})
}

// CrossAttention lets queries q [B, Lq, D] attend to keys and values packed in kv [B, Lk, 2D]. A q of [B, D]
// is one query a sequence: all that a last block owes its class token.
func CrossAttention(q, kv *Var, heads int) *Var {
	d := q.Value.Dim(1)
	o := tensor.AttentionOptions{Heads: heads, V: d}
	t := q.tape
	out, lse := newAttention(t, q, d, heads)
	tensor.Attention(sequences(out, 0), lse, sequences(q.Value, 0), kv.Value, o)
	return t.Record(out, []*Var{q, kv}, []*tensor.Tensor{q.Value, kv.Value, out, lse}, func(s *Sweep, ct *tensor.Tensor) {
		dq, dkv := s.New(q), s.New(kv)
		tensor.AttentionGrad(sequences(dq, 1), dkv, sequences(ct, 1), sequences(q.Value, 0), kv.Value, sequences(out, 0), lse, o)
		s.Give(q, dq)
		s.Give(kv, dkv)
	})
}

// sequences views [..., B, D], behind the given number of lane axes, as sequences of length one.
func sequences(x *tensor.Tensor, lead int) *tensor.Tensor {
	if x.Rank() != lead+2 {
		return x
	}
	s := x.Shape()
	return x.View(append(append([]int{}, s[:lead+1]...), 1, s[lead+1])...)
}

// newAttention makes the result, shaped like the queries but d wide, and room for its softmax denominators.
func newAttention(t *Tape, q *Var, d, heads int) (out, lse *tensor.Tensor) {
	shape := replaceLast(q.Shape(), d)
	return t.New(q.Value.Kind(), shape...), t.New(tensor.Full, heads*tensor.Len(shape)/d)
}
