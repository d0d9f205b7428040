package autograd

import (
	"fmt"

	"fewshot/tensor"
)

// Linear is x·wᵀ + b for x [..., in], w [out, in] and b [out] or nil, as torch.nn.functional.linear.
func Linear(x, w, b *Var) *Var { return LinearAdd(x, w, b, nil) }

// LinearAdd is x·wᵀ + b + r, for a residual r [..., out] or nil, which is added as the product is made: no pass over
// memory of its own.
func LinearAdd(x, w, b, r *Var) *Var { return linear(x.Value.Kind(), x, w, b, r) }

// linear is LinearAdd with a result of the given kind.
func linear(k tensor.Kind, x, w, b, r *Var) *Var {
	t := x.tape
	out := t.New(k, replaceLast(x.Shape(), w.Shape()[0])...)
	o := tensor.GemmOptions{TransB: true}
	inputs := []*Var{x, w}
	if b != nil {
		o.Bias = b.Value
		inputs = append(inputs, b)
	}
	if r != nil {
		o.Add = matrix(r.Value)
		inputs = append(inputs, r)
	}
	tensor.Gemm(matrix(out), matrix(x.Value), w.Value, o)
	return t.Record(out, inputs, keepFactors(x, w), func(s *Sweep, ct *tensor.Tensor) {
		if x.NeedsGrad() {
			dx := s.New(x)
			tensor.Gemm(matrix(dx), matrix(ct), w.Value, tensor.GemmOptions{})
			s.Give(x, dx)
		}
		if w.NeedsGrad() {
			// The lanes' weight gradients stay apart: one product a lane over all rows.
			xs := s.recall(x)
			s.Accumulate(w, tensor.Full, func(dw *tensor.Tensor, add bool) {
				tensor.Gemm(dw, lanes(ct), matrix(xs), tensor.GemmOptions{TransA: true, Add: onto(dw, add)})
			})
			xs.Release()
		}
		if b != nil {
			s.Pass(b, ct)
		}
		if r != nil {
			s.Pass(r, ct)
		}
	})
}

// MatMul is x·p for x [..., in] and p [in, out]: CLIP's projections are stored that way round.
func MatMul(x, p *Var) *Var {
	t := x.tape
	out := t.New(x.Value.Kind(), replaceLast(x.Shape(), p.Shape()[1])...)
	tensor.Gemm(matrix(out), matrix(x.Value), p.Value, tensor.GemmOptions{})
	return t.Record(out, []*Var{x, p}, keepFactors(x, p), func(s *Sweep, ct *tensor.Tensor) {
		if x.NeedsGrad() {
			dx := s.New(x)
			tensor.Gemm(matrix(dx), matrix(ct), p.Value, tensor.GemmOptions{TransB: true})
			s.Give(x, dx)
		}
		if p.NeedsGrad() {
			xs := s.recall(x)
			s.Accumulate(p, tensor.Full, func(dp *tensor.Tensor, add bool) {
				tensor.Gemm(dp, matrix(xs), lanes(ct), tensor.GemmOptions{TransA: true, Add: onto(dp, add)})
			})
			xs.Release()
		}
	})
}

// onto is what a product is added to: dst itself, or nothing.
func onto(dst *tensor.Tensor, add bool) *tensor.Tensor {
	if add {
		return dst
	}
	return nil
}

// keepFactors lists what the gradient of a product reads: w, and what x is recalled from, each if the other needs a
// gradient.
func keepFactors(x, w *Var) []*tensor.Tensor {
	var keep []*tensor.Tensor
	if x.NeedsGrad() {
		keep = append(keep, w.Value)
	}
	if w.NeedsGrad() {
		keep = append(keep, x.sources()...)
	}
	return keep
}

// matrix views [..., n] as [rows, n].
func matrix(x *tensor.Tensor) *tensor.Tensor {
	n := x.Dim(1)
	return x.View(x.Len()/n, n)
}

// lanes views a cotangent [K, ..., n] as [K, rows, n].
func lanes(ct *tensor.Tensor) *tensor.Tensor {
	k, n := ct.Shape()[0], ct.Dim(1)
	return ct.View(k, ct.Len()/(k*n), n)
}

func replaceLast(shape []int, n int) []int {
	if len(shape) == 0 {
		panic(fmt.Sprintf("autograd: a product needs at least one axis, got %v", shape))
	}
	return append(append([]int{}, shape[:len(shape)-1]...), n)
}
