package autograd

import "fewshot/tensor"

// SplitHeads multiplies head by head: with heads equal parts x_i of the last axis of x [..., D], and w_i of the rows of
// w [D, E], the result [..., heads, E] has the rows x_i·w_i.
func SplitHeads(x, w *Var, heads int) *Var {
	t := x.tape
	out := t.New(x.Value.Kind(), append(replaceLast(x.Shape(), heads), w.Value.Dim(1))...)
	tensor.SplitHeads(out, x.Value, w.Value)
	return t.Record(out, []*Var{x, w}, keepFactors(x, w), func(s *Sweep, ct *tensor.Tensor) {
		if x.NeedsGrad() {
			dx := s.New(x)
			tensor.JoinHeads(dx, ct, w.Value)
			s.Give(x, dx)
		}
		if w.NeedsGrad() {
			xs := s.recall(x)
			s.Accumulate(w, tensor.Full, func(dw *tensor.Tensor, add bool) {
				for k := range s.lanes {
					tensor.HeadsGrad(dw.Index(k), xs, ct.Index(k), add)
				}
			})
			xs.Release()
		}
	})
}

// JoinHeads goes the other way: for y [..., heads, E], w [D, E] and b [D] part i of the result [..., D], which is of
// w's kind, is y_i·w_iᵀ + b_i.
func JoinHeads(y, w, b *Var) *Var {
	t := y.tape
	shape := y.Shape()
	shape = replaceLast(shape[:len(shape)-1], w.Shape()[0])
	sum, out := t.New(tensor.Full, shape...), t.New(w.Value.Kind(), shape...)
	tensor.JoinHeads(sum, y.Value, w.Value)
	tensor.Add(out, sum, b.Value)
	return t.Record(out, []*Var{y, w, b}, keepFactors(y, w), func(s *Sweep, ct *tensor.Tensor) {
		if y.NeedsGrad() {
			dy := s.NewLike(ct.Kind(), y.Shape()...)
			tensor.SplitHeads(dy, ct, w.Value)
			s.Give(y, dy)
		}
		if w.NeedsGrad() {
			ys := s.recall(y)
			s.Accumulate(w, tensor.Full, func(dw *tensor.Tensor, add bool) {
				for k := range s.lanes {
					tensor.HeadsGrad(dw.Index(k), ct.Index(k), ys, add)
				}
			})
			ys.Release()
		}
		s.Pass(b, ct)
	})
}

// Attend lets queries q [B, Q, D] attend to x [B, L, D], which is both their keys and their values:
// softmax(scale·q·xᵀ)·x. The result and the probabilities are Full, and so is the gradient of q: there are few
// queries, and each stands for many tokens.
func Attend(q, x *Var, scale float64) *Var {
	t := q.tape
	p, out := t.New(tensor.Full, replaceLast(q.Shape(), x.Value.Dim(2))...), t.New(tensor.Full, q.Shape()...)
	tensor.Gemm(p, q.Value, x.Value, tensor.GemmOptions{TransB: true})
	tensor.Scale(p, p, scale)
	tensor.Softmax(p, p)
	tensor.Gemm(out, p, x.Value, tensor.GemmOptions{})
	return t.Record(out, []*Var{q, x}, []*tensor.Tensor{q.Value, x.Value, p}, func(s *Sweep, ct *tensor.Tensor) {
		ds := s.NewLike(tensor.Full, p.Shape()...) // of q·xᵀ
		for k := range s.lanes {
			tensor.Gemm(ds.Index(k), ct.Index(k), x.Value, tensor.GemmOptions{TransB: true})
		}
		tensor.SoftmaxGrad(ds, ds, p)
		tensor.Scale(ds, ds, scale)
		if q.NeedsGrad() {
			dq := s.NewLike(tensor.Full, q.Shape()...)
			for k := range s.lanes {
				tensor.Gemm(dq.Index(k), ds.Index(k), x.Value, tensor.GemmOptions{})
			}
			s.Give(q, dq)
		}
		if x.NeedsGrad() {
			// pᵀ·ct + dsᵀ·q as one product: nothing as large as x is read again, or rounded twice.
			dx, left, right := s.New(x), s.stack(p, ds), s.stack(ct, q.Value)
			tensor.Gemm(dx, left, right, tensor.GemmOptions{TransA: true})
			left.Release()
			right.Release()
			s.Give(x, dx)
		}
		ds.Release()
	})
}

// stack puts the matrices of upper [B, R, n] above those of lower, for each lane: [K, B, 2R, n]. Either may have
// lanes of its own.
func (s *Sweep) stack(upper, lower *tensor.Tensor) *tensor.Tensor {
	r, n := upper.Dim(2), upper.Dim(1)
	b := upper.Dim(3)
	out := s.NewLike(tensor.Compute, b, 2*r, n)
	for i, half := range []*tensor.Tensor{upper, lower} {
		for k := range s.lanes {
			from := half
			if half.Rank() > 3 {
				from = half.Index(k)
			}
			tensor.CopyBlocks(out.Index(k), from, b, r*n, i*r*n, 2*r*n, 0, r*n)
		}
	}
	return out
}
