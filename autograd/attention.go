package autograd

import "fewshot/tensor"

// Attention is multi-head self-attention over a packed projection qkv [B, L, 3D]: softmax(q·kᵀ/√(D/heads))·v
// by heads, merged to [B, L, D]. Causal hides later positions.
func Attention(qkv *Var, heads int, causal bool) *Var {
	d := qkv.Value.Dim(1) / 3
	o := tensor.AttentionOptions{Heads: heads, K: d, V: 2 * d, Causal: causal}
	t, shape := qkv.tape, replaceLast(qkv.Shape(), d)
	out, lse := t.New(qkv.Value.Kind(), shape...), t.New(tensor.Full, heads*tensor.Len(shape)/d) // lse: softmax denominators
	tensor.Attention(out, lse, qkv.Value, qkv.Value, o)
	return t.Record(out, []*Var{qkv}, []*tensor.Tensor{qkv.Value, out, lse}, func(s *Sweep, ct *tensor.Tensor) {
		g := s.New(qkv)
		tensor.AttentionGrad(g, g, ct, qkv.Value, qkv.Value, out, lse, o)
		s.Give(qkv, g)
	})
}
