package probe

import (
	"fmt"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

// own is a parameter of an encoder that is trained itself, in memory of its own: what else is built over the same weights does not see
// it, and the encoder can be given its own back.
type own struct {
	param   *nn.Param
	trained *nn.Param      // the same, or where numbers of its kind are too short to train, one of the same name
	before  *tensor.Tensor // the encoder's
}

// take gives an encoder a copy of a parameter to train. Where the encoder computes with shorter numbers than are trained, layers see it
// rounded.
func take(p *nn.Param) (own, error) {
	if p.Parametrized() {
		return own{}, fmt.Errorf("%s is under a mask; a method that trains the weight itself cannot go on top of that", p.Name)
	}
	dev, kind := p.Value.Device(), p.Value.Kind()
	value := dev.New(kind, p.Value.Shape()...)
	if kind != tensor.Full {
		if full := dev.New(tensor.Full, p.Value.Shape()...); full.Buf().Size > value.Buf().Size {
			value.Release()
			value = full
		} else {
			full.Release()
		}
	}
	tensor.Copy(value, p.Value)
	o := own{param: p, trained: p, before: p.Value}
	if value.Kind() == kind {
		p.Value = value
		return o, nil
	}
	o.trained = &nn.Param{Name: p.Name, Value: value}
	p.Parametrize(func(t *autograd.Tape, _ *autograd.Var) *autograd.Var {
		x := o.trained.On(t)
		out := t.New(kind, x.Shape()...)
		tensor.Copy(out, x.Value)
		return t.Record(out, []*autograd.Var{x}, nil, func(s *autograd.Sweep, ct *tensor.Tensor) { s.Pass(x, ct) })
	})
	return o, nil
}

// value is what is being trained.
func (o own) value() *tensor.Tensor { return o.trained.Value }

// give is the inverse of take.
func (o own) give() {
	o.value().Release()
	o.param.Value, o.param.Trainable = o.before, false
	o.param.Parametrize(nil) // which forgets the copy on any tape, too
}
