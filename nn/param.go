package nn

import (
	"fewshot/autograd"
	"fewshot/tensor"
)

// Param is a named tensor as layers see it.
type Param struct {
	Name      string // checkpoint name, as visual.conv1.weight
	Value     *tensor.Tensor
	Trainable bool // a leaf of recording tapes; otherwise constant

	view func(*autograd.Tape, *autograd.Var) *autograd.Var

	// The Var last made, so that layers that share the parameter share it on a tape too.
	tape *autograd.Tape
	on   *autograd.Var
}

// Parametrize makes layers see the parameter through f, as torch.nn.utils.parametrize does; nil takes the
// view off again. Whoever uses the parameter cannot tell.
func (p *Param) Parametrize(f func(*autograd.Tape, *autograd.Var) *autograd.Var) {
	p.view, p.tape, p.on = f, nil, nil
}

// Pack prepares the parameter, a layer's weight, for inputs of few rows, and if grad for their gradients too; see [tensor.Pack]. One
// with a view is left alone, as layers do not see its value.
func (p *Param) Pack(grad bool) {
	if p.view != nil {
		return
	}
	tensor.Pack(p.Value, true)
	if grad {
		tensor.Pack(p.Value, false)
	}
}

// On is the parameter as a tape sees it.
func (p *Param) On(t *autograd.Tape) *autograd.Var {
	if p.tape == t {
		return p.on
	}
	v := t.Const(p.Value)
	if p.Trainable {
		v = t.Leaf(p.Value)
	}
	if p.view != nil {
		v = t.Keep(func() *autograd.Var { return p.view(t, v) })
	}
	p.tape, p.on = t, v
	return v
}
