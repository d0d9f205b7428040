package autograd

import "fewshot/tensor"

// CrossEntropy is the mean over rows of −log softmax(logits)[label], a scalar.
func CrossEntropy(logits *Var, labels []int32) *Var {
	t := logits.tape
	loss, p := t.New(tensor.Full), t.New(tensor.Full, logits.Shape()...)
	tensor.CrossEntropy(loss, p, logits.Value, labels)
	return t.Record(loss, []*Var{logits}, []*tensor.Tensor{p}, func(s *Sweep, ct *tensor.Tensor) {
		g := s.New(logits)
		tensor.CrossEntropyGrad(g, ct, p, labels)
		s.Give(logits, g)
	})
}

// SoftCrossEntropy is the mean over rows of −Σ softmax(target)·log softmax(logits), a scalar; target is
// constant. Its gradient is that of the KL divergence from target to logits.
func SoftCrossEntropy(logits *Var, target *tensor.Tensor) *Var {
	t := logits.tape
	loss, p, q := t.New(tensor.Full), t.New(tensor.Full, logits.Shape()...), t.New(tensor.Full, logits.Shape()...)
	tensor.SoftCrossEntropy(loss, p, q, logits.Value, target)
	return t.Record(loss, []*Var{logits}, []*tensor.Tensor{p, q}, func(s *Sweep, ct *tensor.Tensor) {
		g := s.New(logits)
		tensor.SoftCrossEntropyGrad(g, ct, p, q)
		s.Give(logits, g)
	})
}
