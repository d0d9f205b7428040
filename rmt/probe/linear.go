package probe

import (
	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

// Linear is a linear classifier: logits x·Wᵀ + b of features x, of length 1 if Unit.
type Linear struct {
	W, B *tensor.Tensor // [C, D] and [C]
	Unit bool           // features are divided by their length first
}

// Logits are [N, C] for features [N, D] as the encoder gives them. They are not differentiated.
func (l Linear) Logits(features *autograd.Var) *autograd.Var {
	t := features.Tape()
	if l.Unit {
		features = autograd.L2Normalize(features)
	} else if x := features.Value; x.Kind() != tensor.Full {
		full := t.New(tensor.Full, x.Shape()...) // or logits would be of the features' kind
		tensor.Copy(full, x)
		features = t.Const(full)
	}
	return autograd.Linear(features, t.Const(l.W), t.Const(l.B))
}

// Formula is the classifier in numbers.
func (l Linear) Formula() nn.Formula {
	return nn.Formula{Raw: !l.Unit, Classes: l.W.Floats(), Scale: 1, Bias: l.B.Floats()}
}

// Correct counts the images that the classifier gets right.
func (l Linear) Correct(f Features) int {
	t := autograd.NoGrad(f.X.Device())
	defer t.Release()
	return Correct(l.Logits(t.Const(f.X)).Value, f.Labels)
}

func (l Linear) retain() {
	l.W.Retain()
	l.B.Retain()
}

// Release gives the classifier's memory back.
func (l Linear) Release() {
	l.W.Release()
	l.B.Release()
}

// newLinear makes a classifier of host values.
func newLinear(dev *tensor.Device, w, b []float64, unit bool) Linear {
	l := Linear{dev.New(tensor.Full, len(b), len(w)/len(b)), dev.New(tensor.Full, len(b)), unit}
	l.W.SetFloat64(w)
	l.B.SetFloat64(b)
	return l
}
