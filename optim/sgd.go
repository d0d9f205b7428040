package optim

import "fewshot/tensor"

// SGD is stochastic gradient descent with momentum and L2 decay, as torch.optim.SGD.
type SGD struct {
	Momentum, Decay float64

	lr    float64
	step  int
	state map[*tensor.Tensor]*tensor.Tensor
}

// NewSGD makes one; CoOp's is momentum 0.9, decay 5e-4.
func NewSGD(momentum, decay float64) *SGD {
	return &SGD{Momentum: momentum, Decay: decay, state: map[*tensor.Tensor]*tensor.Tensor{}}
}

// Tick begins a step.
func (s *SGD) Tick(lr float64) { s.lr, s.step = lr, s.step+1 }

// Steps counts the steps begun.
func (s *SGD) Steps() int { return s.step }

// SetSteps restores the count.
func (s *SGD) SetSteps(n int) { s.step = n }

// Update is one step for w.
func (s *SGD) Update(w, g *tensor.Tensor) {
	tensor.SGD(w, s.State(w)[0].Tensor, g, s.lr, s.Momentum, s.Decay)
}

// State is the momentum.
func (s *SGD) State(w *tensor.Tensor) []Named {
	v := s.state[w]
	if v == nil {
		v = w.Device().Zeros(tensor.Full, w.Shape()...)
		s.state[w] = v
	}
	return []Named{{"momentum", v}}
}

// Release gives the momentum back.
func (s *SGD) Release(w *tensor.Tensor) {
	if v := s.state[w]; v != nil {
		v.Release()
		delete(s.state, w)
	}
}
