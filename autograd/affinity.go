package autograd

import "fewshot/tensor"

// ClassAffinities is the sum by class of the affinities of features f [B, D] to keys [N, D] of which labels [N] are the
// classes: [B, C] with
//
//	out[b, c] = Σ exp(−β(1 − f_b·key_n)) over n with labels[n] = c
//
// (Zhang et al., Tip-Adapter, equation 5, whose one-hot values make a sum by class of a product). Affinities are
// computed with the keys as rows: then a class's are rows to be added up, the cotangent of a row is that of its class,
// and no product has a transposed left factor.
func ClassAffinities(f, keys *Var, labels []int32, classes int, beta float64) *Var {
	t := f.tape
	n, b := keys.Shape()[0], f.Shape()[0]
	sharp, shift := t.New(f.Value.Kind(), f.Shape()...), t.New(tensor.Full, b)
	tensor.Scale(sharp, f.Value, beta)
	tensor.Fill(shift, -beta) // before the exponential: e^(−β)·e^(β·A) would overflow for a large β
	e := t.New(tensor.Full, n, b)
	tensor.Gemm(e, keys.Value, sharp, tensor.GemmOptions{TransB: true, Bias: shift})
	tensor.Exp(e, e)
	sums, out := t.dev.New(tensor.Full, 1, classes, b), t.New(tensor.Full, b, classes)
	tensor.Fill(sums, 0)
	tensor.ScatterAdd(sums, e.View(1, n, b), labels)
	transpose(out, sums, 1, classes, b)
	sums.Release()
	return t.Record(out, []*Var{f, keys}, []*tensor.Tensor{e, sharp, keys.Value}, func(s *Sweep, ct *tensor.Tensor) {
		byClass, da := s.NewLike(tensor.Full, classes, b), s.NewLike(tensor.Full, n, b)
		transpose(byClass, ct, s.lanes, b, classes)
		for k := range s.lanes {
			tensor.Gather(da.Index(k), byClass.Index(k), labels)
		}
		byClass.Release()
		tensor.Mul(da, da, e)
		if keys.NeedsGrad() {
			s.Accumulate(keys, tensor.Full, func(dk *tensor.Tensor, add bool) {
				for k := range s.lanes {
					tensor.Gemm(dk.Index(k), da.Index(k), sharp, tensor.GemmOptions{Add: onto(dk.Index(k), add)})
				}
			})
		}
		if f.NeedsGrad() {
			df := s.New(f)
			for k := range s.lanes {
				tensor.Gemm(df.Index(k), da.Index(k), keys.Value, tensor.GemmOptions{TransA: true})
			}
			tensor.Scale(df, df, beta)
			s.Give(f, df)
		}
		da.Release()
	})
}
