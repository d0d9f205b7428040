package autograd

import "fewshot/tensor"

// LayerNorm normalises rows of x [..., D] to mean 0 and variance 1, times w [D] plus b [D].
func LayerNorm(x, w, b *Var, eps float64) *Var {
	t := x.tape
	out := t.New(x.Value.Kind(), x.Shape()...)
	stats := t.New(tensor.Full, x.Value.Len()/x.Value.Dim(1), 2)
	tensor.LayerNorm(out, stats, x.Value, w.Value, b.Value, eps)
	keep := []*tensor.Tensor{x.Value, stats, w.Value}
	return t.Record(out, []*Var{x, w, b}, keep, func(s *Sweep, ct *tensor.Tensor) {
		if w.NeedsGrad() || b.NeedsGrad() {
			dw, db := s.NewLike(tensor.Full, w.Shape()...), s.NewLike(tensor.Full, b.Shape()...)
			tensor.LayerNormParamGrad(dw, db, ct, x.Value, stats)
			s.Give(w, dw)
			s.Give(b, db)
		}
		if x.NeedsGrad() {
			dx := s.Over(ct, x)
			tensor.LayerNormGrad(dx, ct, x.Value, stats, w.Value)
			s.Give(x, dx)
		}
	}).orAgain(append(keep, b.Value), func(out *tensor.Tensor) { // stats become what they are
		tensor.LayerNorm(out, stats, x.Value, w.Value, b.Value, eps)
	})
}

// L2Normalize divides rows by their Euclidean norm. The result is Full: logits are made of it, a hundred times as
// large.
func L2Normalize(x *Var) *Var {
	t := x.tape
	out := t.New(tensor.Full, x.Shape()...)
	norm := t.New(tensor.Full, x.Value.Len()/x.Value.Dim(1))
	tensor.L2Normalize(out, norm, x.Value)
	return t.Record(out, []*Var{x}, []*tensor.Tensor{out, norm}, func(s *Sweep, ct *tensor.Tensor) {
		dx := s.New(x)
		tensor.L2NormalizeGrad(dx, ct, out, norm)
		s.Give(x, dx)
	})
}

// Softmax is that of rows.
func Softmax(x *Var) *Var {
	t := x.tape
	out := t.New(tensor.Full, x.Shape()...)
	tensor.Softmax(out, x.Value)
	return t.Record(out, []*Var{x}, []*tensor.Tensor{out}, func(s *Sweep, ct *tensor.Tensor) {
		dx := s.New(x)
		tensor.SoftmaxGrad(dx, ct, out)
		s.Give(x, dx)
	})
}
