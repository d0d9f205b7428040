package autograd

import "fewshot/tensor"

// Add is x + y, where y's shape is a suffix of x's.
func Add(x, y *Var) *Var {
	t := x.tape
	out := t.New(x.Value.Kind(), x.Shape()...)
	tensor.Add(out, x.Value, y.Value)
	return t.Record(out, []*Var{x, y}, nil, func(s *Sweep, ct *tensor.Tensor) {
		s.Pass(x, ct)
		s.Pass(y, ct)
	})
}

// Mul is x ⊙ y, where y's shape is a suffix of x's; a scalar y scales x.
func Mul(x, y *Var) *Var {
	t := x.tape
	out := t.New(x.Value.Kind(), x.Shape()...)
	tensor.Mul(out, x.Value, y.Value)
	var keep []*tensor.Tensor
	if x.NeedsGrad() {
		keep = append(keep, y.Value)
	}
	if y.NeedsGrad() {
		keep = append(keep, x.Value)
	}
	return t.Record(out, []*Var{x, y}, keep, func(s *Sweep, ct *tensor.Tensor) {
		if x.NeedsGrad() {
			dx := s.New(x)
			tensor.Mul(dx, ct, y.Value)
			s.Give(x, dx)
		}
		if y.NeedsGrad() {
			dy := s.New(x)
			tensor.Mul(dy, ct, x.Value)
			s.Give(y, dy)
		}
	})
}

// Scale is c·x.
func Scale(x *Var, c float64) *Var {
	t := x.tape
	out := t.New(x.Value.Kind(), x.Shape()...)
	tensor.Scale(out, x.Value, c)
	return t.Record(out, []*Var{x}, nil, func(s *Sweep, ct *tensor.Tensor) {
		dx := s.Over(ct, x)
		tensor.Scale(dx, ct, c)
		s.Give(x, dx)
	})
}

// Exp is eˣ.
func Exp(x *Var) *Var {
	t := x.tape
	out := t.New(x.Value.Kind(), x.Shape()...)
	tensor.Exp(out, x.Value)
	return t.Record(out, []*Var{x}, []*tensor.Tensor{out}, func(s *Sweep, ct *tensor.Tensor) {
		dx := s.Over(ct, x)
		tensor.Mul(dx, ct, out)
		s.Give(x, dx)
	})
}
