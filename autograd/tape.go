package autograd

import (
	"slices"

	"fewshot/tensor"
)

// Tape is the list of what was computed, in order, and the owner of the memory it was computed in.
// A tape serves one sweep: record, Backward, read the gradients, Release. BackwardParts records while it sweeps.
type Tape struct {
	dev    *tensor.Device
	record bool
	nodes  []node
	leaves map[*tensor.Tensor]*Var
	live   []*tensor.Tensor // held by the tape, oldest first; a Scope gives back what it created
	kept   []*tensor.Tensor // held until Release
	inKeep bool
	last   bool // part of BackwardParts
	swept  bool
}

// node is one recorded operation: where its cotangent goes, and what that takes.
type node struct {
	value  *Var
	inputs []*Var
	pull   Pull
	keep   []*tensor.Tensor
	users  int  // recorded operations that it is an input of, until a sweep has passed them
	passed bool // by a sweep: its cotangent is gone
}

// Var is a value on a tape.
type Var struct {
	Value *tensor.Tensor
	tape  *Tape
	id    int // index of the node; constant if negative
	again *again
}

// again is how a value that costs little is computed once more when the sweep needs it, instead of being kept until
// then.
type again struct {
	from    []*tensor.Tensor // what compute reads
	compute func(out *tensor.Tensor)
}

// orAgain lets a sweep compute v again from these tensors, most of which the operation that made v keeps anyway.
func (v *Var) orAgain(from []*tensor.Tensor, compute func(out *tensor.Tensor)) *Var {
	if v.NeedsGrad() {
		v.again = &again{from, compute}
	}
	return v
}

// sources are what must be kept for a pullback that recalls v.
func (v *Var) sources() []*tensor.Tensor {
	if v.again != nil {
		return v.again.from
	}
	return []*tensor.Tensor{v.Value}
}

// NewTape starts an empty tape on a device.
func NewTape(dev *tensor.Device) *Tape {
	return &Tape{dev: dev, record: true, leaves: map[*tensor.Tensor]*Var{}}
}

// NoGrad starts a tape that records nothing: its leaves are constants, and a Scope frees everything but
// its result.
func NoGrad(dev *tensor.Device) *Tape { return &Tape{dev: dev} }

// Device is where the tape computes.
func (t *Tape) Device() *tensor.Device { return t.dev }

// Recording reports whether the tape can be swept.
func (t *Tape) Recording() bool { return t.record }

// Leaf puts a tensor on the tape as something to differentiate by. The same tensor gives the same Var.
func (t *Tape) Leaf(x *tensor.Tensor) *Var {
	if !t.record {
		return t.Const(x)
	}
	if v := t.leaves[x]; v != nil {
		return v
	}
	v := &Var{Value: x, tape: t, id: len(t.nodes)}
	t.nodes = append(t.nodes, node{value: v})
	t.leaves[x] = v
	return v
}

// Const puts a tensor on the tape as a constant.
func (t *Tape) Const(x *tensor.Tensor) *Var { return &Var{Value: x, tape: t, id: -1} }

// New makes a tensor that the tape holds.
func (t *Tape) New(k tensor.Kind, shape ...int) *tensor.Tensor {
	x := t.dev.New(k, shape...)
	if t.inKeep {
		t.kept = append(t.kept, x)
	} else {
		t.live = append(t.live, x)
	}
	return x
}

// Record puts the result of an operation on the tape: its value, the inputs it depends on, how to pull a
// cotangent back to them, and the tensors that this will read. Where no input is differentiated by,
// nothing is recorded and nothing is kept.
func (t *Tape) Record(value *tensor.Tensor, inputs []*Var, keep []*tensor.Tensor, pull Pull) *Var {
	v := &Var{Value: value, tape: t, id: -1}
	if !t.record || !slices.ContainsFunc(inputs, (*Var).NeedsGrad) {
		return v
	}
	v.id = len(t.nodes)
	for _, x := range keep {
		x.Retain()
	}
	for _, x := range inputs {
		if x.NeedsGrad() {
			t.nodes[x.id].users++
		}
	}
	t.nodes = append(t.nodes, node{value: v, inputs: inputs, pull: pull, keep: keep})
	return v
}

// Scope runs f and gives back all memory that f took, except its result and what recorded operations
// keep for the sweep. A transformer puts each half of a block in a scope.
func (t *Tape) Scope(f func() *Var) *Var {
	mark := len(t.live)
	out := f()
	keep := t.live[:mark]
	for _, x := range t.live[mark:] {
		if x.SameMemory(out.Value) {
			keep = append(keep, x)
		} else {
			x.Release()
		}
	}
	t.live = keep
	return out
}

// Done tells the tape that nobody but recorded operations will read v again.
func (t *Tape) Done(v *Var) {
	for i := len(t.live) - 1; i >= 0; i-- {
		if x := t.live[i]; x.SameMemory(v.Value) {
			x.Release()
			t.live = slices.Delete(t.live, i, i+1)
			return
		}
	}
}

// ownsAlone reports whether the tape holds x, and nobody else does.
func (t *Tape) ownsAlone(x *tensor.Tensor) bool {
	return !x.Shared() && slices.ContainsFunc(t.live, x.SameMemory)
}

// Keep runs f outside all scopes: what it takes is held until Release. Parametrised weights are made so,
// because several layers in different scopes may use one.
func (t *Tape) Keep(f func() *Var) *Var {
	was := t.inKeep
	t.inKeep = true
	out := f()
	t.inKeep = was
	return out
}

// LastPart says that what is recorded from here on is the last part of [BackwardParts], so that what was common to
// all parts can go.
func (t *Tape) LastPart() { t.last = true }

// Spend is Done for a value that was made by Keep, in the last part; before, it does nothing and returns false.
func (t *Tape) Spend(v *Var) bool {
	if !t.last {
		return false
	}
	i := slices.IndexFunc(t.kept, v.Value.SameMemory)
	if i < 0 {
		return false
	}
	t.kept[i].Release()
	t.kept = slices.Delete(t.kept, i, i+1)
	return true
}

// Release gives back everything the tape holds. Its Vars and its gradients are dead afterwards.
func (t *Tape) Release() {
	for _, n := range t.nodes {
		for _, x := range n.keep {
			x.Release()
		}
	}
	t.drop()
	t.nodes, t.leaves = nil, nil
}

// drop gives back all values that no recorded operation reads. Vars keep their shapes.
func (t *Tape) drop() {
	for _, x := range t.live {
		x.Release()
	}
	for _, x := range t.kept {
		x.Release()
	}
	t.live, t.kept = nil, nil
}

// NeedsGrad reports whether the sweep reaches v.
func (v *Var) NeedsGrad() bool { return v.id >= 0 }

// Tape is where v was computed.
func (v *Var) Tape() *Tape { return v.tape }

// Shape is the shape of the value.
func (v *Var) Shape() []int { return v.Value.Shape() }
