package autograd

import (
	"fmt"

	"fewshot/tensor"
)

// Checkpoint is f of the inputs, in parts that are never in memory together: the result is their results, one above the
// other. Nothing else is kept of them; a sweep computes each part once more, on a tape of its own (Chen et al.,
// Training deep nets with sublinear memory cost, 2016). f must compute the same each time, and what it differentiates
// by must be among the inputs.
func Checkpoint(inputs []*Var, parts int, f func(t *Tape, part int, inputs []*Var) *Var) *Var {
	t := inputs[0].tape
	var results []*tensor.Tensor
	rows := 0
	for i := range parts {
		part := NoGrad(t.dev)
		y := f(part, i, on(part, inputs)).Value
		y.Retain()
		part.Release()
		results = append(results, y)
		rows += y.Shape()[0]
	}
	first := results[0]
	out := t.New(first.Kind(), append([]int{rows}, first.Shape()[1:]...)...)
	at := make([]int, parts+1)
	for i, y := range results {
		at[i+1] = at[i] + y.Shape()[0]
		tensor.Copy(out.Rows(at[i], at[i+1]), y)
		y.Release()
	}
	var keep []*tensor.Tensor
	for _, x := range inputs {
		keep = append(keep, x.Value)
	}
	return t.Record(out, inputs, keep, func(s *Sweep, ct *tensor.Tensor) {
		for i := range parts {
			part := NewTape(t.dev)
			xs := on(part, inputs)
			leaves := len(part.leaves)
			y := f(part, i, xs)
			if len(part.leaves) > leaves {
				panic(fmt.Sprintf("autograd: Checkpoint: part %d differentiates by what is no input", i))
			}
			cts := s.NewLike(ct.Kind(), y.Shape()...)
			for k := range s.lanes {
				tensor.Copy(cts.Index(k), ct.Index(k).Rows(at[i], at[i+1]))
			}
			grads := Pullback(y, cts)
			cts.Release()
			for j, x := range inputs {
				if g := grads.Of(xs[j].Value); x.NeedsGrad() && g != nil {
					s.Pass(x, g)
				}
			}
			part.Release()
		}
	})
}

// on puts values on another tape: as leaves, where they are differentiated by.
func on(t *Tape, vars []*Var) []*Var {
	all := make([]*Var, len(vars))
	for i, v := range vars {
		if all[i] = t.Const(v.Value); v.NeedsGrad() {
			all[i] = t.Leaf(v.Value)
		}
	}
	return all
}
