package autograd

import "fewshot/tensor"

// Activate applies a non-linearity to each element.
func Activate(x *Var, a tensor.Activation) *Var {
	t := x.tape
	out := t.New(x.Value.Kind(), x.Shape()...)
	tensor.Activate(out, x.Value, a)
	keep := []*tensor.Tensor{x.Value}
	return t.Record(out, []*Var{x}, keep, func(s *Sweep, ct *tensor.Tensor) {
		dx := s.Over(ct, x)
		tensor.ActivateGrad(dx, ct, x.Value, a)
		s.Give(x, dx)
	}).orAgain(keep, func(out *tensor.Tensor) { tensor.Activate(out, x.Value, a) })
}
