package nn

import (
	"slices"

	"fewshot/autograd"
	"fewshot/tensor"
)

// Param is a named tensor as layers see it.
type Param struct {
	Name      string // checkpoint name, as visual.conv1.weight
	Value     *tensor.Tensor
	Trainable bool // a leaf of recording tapes; otherwise constant

	view func(*autograd.Tape, *autograd.Var) *autograd.Var
	path func(x *autograd.Var) (h, w *autograd.Var)

	changes int // of view and path

	// The Var last made, so that layers that share the parameter share it on a tape too.
	tape *autograd.Tape
	on   *autograd.Var
}

// Parametrize makes layers see the parameter through f, as torch.nn.utils.parametrize does; nil takes the
// view off again. Whoever uses the parameter cannot tell.
func (p *Param) Parametrize(f func(*autograd.Tape, *autograd.Var) *autograd.Var) {
	p.view, p.tape, p.on = f, nil, nil
	p.changes++
}

// State is what layers see of a parameter, to be compared with a later one's: while they are equal nothing was put on
// the parameter or taken off it. What is in its tensors may be another.
type State struct {
	value   *tensor.Tensor
	changes int
}

// State is the parameter's.
func (p *Param) State() State { return State{p.Value, p.changes} }

// Settle makes what layers see of the parameter its value, in memory of its own, and takes the view off: for weights
// that will not change any more, which can then be packed. The caller releases that value; nil where there was no
// view.
func (p *Param) Settle() *tensor.Tensor {
	if p.view == nil {
		return nil
	}
	t := autograd.NoGrad(p.Value.Device())
	value := p.On(t).Value
	value.Retain()
	t.Release()
	p.Value, p.Trainable = value, false
	p.Parametrize(nil)
	return value
}

// Changed reports whether layers see anything but the tensor of the source that was loaded: a view, a second path, or
// another value.
func (p *Param) Changed(loaded *tensor.Tensor) bool {
	return p.view != nil || p.path != nil || p.Value != loaded
}

// Parametrized reports whether layers see the parameter through something.
func (p *Param) Parametrized() bool { return p.view != nil }

// Extend gives the parameter, a layer's weight W [out, in], a second path of low rank: a layer that makes x·Wᵀ of its
// input x [..., in] adds h·wᵀ to that, with h [..., rank] and w [out, rank] from f, as LoRA does. nil takes it off
// again. A view and a path do not know of each other.
func (p *Param) Extend(f func(x *autograd.Var) (h, w *autograd.Var)) {
	p.path = f
	p.changes++
}

// product is x·Wᵀ + b + residual, either of which may be nil, with what the second path makes of x.
func (p *Param) product(x, b, residual *autograd.Var) *autograd.Var {
	if p.path != nil {
		h, w := p.path(x)
		residual = autograd.LowRankAdd(h, w, residual, x.Value.Kind())
	}
	return autograd.LinearAdd(x, p.On(x.Tape()), b, residual)
}

// beside is x and the parameter such that x·Wᵀ is all that product makes of them: with a second path both have the
// columns of its factors, too.
func (p *Param) beside(x *autograd.Var) (wider, weight *autograd.Var) {
	weight = p.On(x.Tape())
	if p.path == nil {
		return x, weight
	}
	h, w := p.path(x)
	return autograd.Concat(x, h), autograd.Concat(weight, w)
}

// Pack prepares the parameter, a layer's weight, for inputs of few rows, and if grad for their gradients too; see
// [tensor.Pack]. One with a view is left alone, as layers do not see its value.
func (p *Param) Pack(grad bool) {
	if p.view != nil {
		return
	}
	tensor.Pack(p.Value, true)
	if grad {
		tensor.Pack(p.Value, false)
	}
}

// Quantize makes integers of the parameter, a layer's weight, where the device computes with such; see
// [tensor.Quantize]. One with a view is left alone.
func (p *Param) Quantize() {
	if p.view == nil {
		tensor.Quantize(p.Value)
	}
}

// Discard gives up what Quantize has made integers of; see [tensor.Discard].
func (p *Param) Discard() {
	if p.view == nil {
		tensor.Discard(p.Value)
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

// spend tells the tape that its caller, the only layer of the parameter, has made something else of what it saw through
// a view, which need not be in memory any longer, where nothing follows that would see it too. Who asks for it all the
// same has it made again.
func (p *Param) spend(t *autograd.Tape) {
	if p.view != nil && p.tape == t && t.Spend(p.on) {
		p.tape, p.on = nil, nil
	}
}

// Folded is the matrix [out, in] that a layer multiplies its input by in all: the weight as layers see it and, added
// to it, what the second path makes of the unit vectors. Of any other parameter it is the tensor as layers see it.
func (p *Param) Folded(t *autograd.Tape) []float32 {
	w := slices.Clone(p.On(t).Value.Floats())
	if p.path == nil {
		return w
	}
	out, in := p.Value.Shape()[0], p.Value.Shape()[1]
	units := make([]float32, in*in)
	for i := range in {
		units[i*in+i] = 1
	}
	h, b := p.path(t.Const(p.Value.Device().From(units, in, in)))
	columns := autograd.LowRankAdd(h, b, nil, tensor.Full).Value.Floats() // [in, out]
	for o := range out {
		for i := range in {
			w[o*in+i] += columns[i*out+o]
		}
	}
	return w
}
