package optim

import "fewshot/tensor"

// Optimizer changes a parameter by its gradient.
type Optimizer interface {
	// Tick begins a step with the given learning rate; updates follow.
	Tick(lr float64)
	// Update changes w by the gradient g, of w's shape.
	Update(w, g *tensor.Tensor)
	// State is the optimizer's memory for w, made on first use; names and order are fixed.
	State(w *tensor.Tensor) []Named
	// Release gives the memory for w back, if there is any.
	Release(w *tensor.Tensor)
	// Steps is the number of Ticks so far; SetSteps restores it.
	Steps() int
	SetSteps(n int)
}

// Named is a tensor of an optimizer's state.
type Named struct {
	Name   string
	Tensor *tensor.Tensor
}

// Adam is the optimizer of Kingma and Ba (2015) as torch.optim.Adam has it; with Decay it is AdamW. L2 is what
// torch.optim.Adam, and so Dassl, calls weight_decay: L2·w is added to the gradient.
type Adam struct {
	Beta1, Beta2, Eps, Decay, L2 float64

	lr    float64
	step  int
	state map[*tensor.Tensor]moments
}

type moments struct{ m, v *tensor.Tensor }

// NewAdam has PyTorch's defaults: β = (0.9, 0.999), eps 1e-8, no decay.
func NewAdam() *Adam {
	return &Adam{Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, state: map[*tensor.Tensor]moments{}}
}

// NewAdamW is Adam with decoupled decay of the weights; torch.optim.AdamW's default is 0.01.
func NewAdamW(decay float64) *Adam {
	a := NewAdam()
	a.Decay = decay
	return a
}

// Tick begins a step.
func (a *Adam) Tick(lr float64) { a.lr, a.step = lr, a.step+1 }

// Steps counts the steps begun; bias correction depends on it.
func (a *Adam) Steps() int { return a.step }

// SetSteps restores the count.
func (a *Adam) SetSteps(n int) { a.step = n }

// Update is one step for w.
func (a *Adam) Update(w, g *tensor.Tensor) {
	s := a.moments(w)
	if a.L2 != 0 {
		sum := w.Device().New(tensor.Full, w.Shape()...)
		defer sum.Release()
		tensor.Copy(sum, g)
		tensor.AXPY(sum, a.L2, w)
		g = sum
	}
	tensor.Adam(w, s.m, s.v, g, a.args())
}

// UpdateDropped is an Update by what gradient dropout makes of the lanes ga and gb, in one pass over the
// memory; gb may be nil, which counts as zeros.
func (a *Adam) UpdateDropped(w, ga, gb *tensor.Tensor, o tensor.GradDropOptions) {
	s := a.moments(w)
	tensor.GradDropAdam(w, s.m, s.v, ga, gb, o, a.args())
}

// State is the first moment and the second.
func (a *Adam) State(w *tensor.Tensor) []Named {
	s := a.moments(w)
	return []Named{{"m", s.m}, {"v", s.v}}
}

// Release gives the moments back.
func (a *Adam) Release(w *tensor.Tensor) {
	if s, ok := a.state[w]; ok {
		s.m.Release()
		s.v.Release()
		delete(a.state, w)
	}
}

func (a *Adam) args() tensor.AdamArgs {
	return tensor.AdamArgs{LR: a.lr, Beta1: a.Beta1, Beta2: a.Beta2, Eps: a.Eps, Decay: a.Decay, Step: a.step}
}

func (a *Adam) moments(w *tensor.Tensor) moments {
	s, ok := a.state[w]
	if !ok {
		dev := w.Device()
		s = moments{dev.Zeros(tensor.Full, w.Shape()...), dev.Zeros(tensor.Full, w.Shape()...)}
		a.state[w] = s
	}
	return s
}
