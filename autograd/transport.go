package autograd

import "fewshot/tensor"

// Transport weighs similarities s [B, M, N, C] by an optimal transport plan between the M rows and N columns of each
// image and class: Σ plan·s, [B, C]. The plan is a constant for the gradient (see [tensor.Sinkhorn]).
func Transport(s *Var, o tensor.SinkhornOptions) *Var {
	t, shape := s.tape, s.Shape()
	b, pairs, c := shape[0], shape[1]*shape[2], shape[3]
	plan := t.New(tensor.Full, shape...)
	tensor.Sinkhorn(plan, s.Value, o)
	weighed := t.dev.New(tensor.Full, b, pairs, c)
	tensor.Mul(weighed, plan.View(b, pairs, c), s.Value.View(b, pairs, c))
	out := t.New(tensor.Full, b, c)
	tensor.SumTo(out, weighed)
	weighed.Release()
	return t.Record(out, []*Var{s}, []*tensor.Tensor{plan}, func(w *Sweep, ct *tensor.Tensor) {
		ds := w.New(s)
		for i := range w.lanes * b {
			tensor.CopyBlocks(ds, ct, pairs, c, i*pairs*c, c, i*c, 0)
		}
		tensor.Mul(ds, ds, plan)
		w.Give(s, ds)
	})
}
