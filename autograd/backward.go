package autograd

import (
	"fmt"
	"iter"
	"slices"

	"fewshot/tensor"
)

// Pull sends the cotangent of a result on to the inputs, by Give or Pass on the sweep. ct has the
// result's shape behind the lane axis: [K, shape…]. It must not be written to.
type Pull func(s *Sweep, ct *tensor.Tensor)

// Sweep is a backward pass in progress.
type Sweep struct {
	tape  *Tape
	lanes int
	cts   []*tensor.Tensor                  // by node
	grads *Grads                            // so far
	take  func(leaf, g *tensor.Tensor) bool // see BackwardParts
	early int                               // nodes before it are passed as soon as nothing more is coming to them
}

// Grads are the gradients of K losses with respect to the leaves of a tape, held by the tape.
type Grads struct {
	lanes  int
	byLeaf map[*tensor.Tensor]*tensor.Tensor
}

// Lanes is the number of losses.
func (g *Grads) Lanes() int { return g.lanes }

// Of is the gradient [K, shape…] with respect to a leaf, one lane a loss, or nil if no loss depends on it.
func (g *Grads) Of(leaf *tensor.Tensor) *tensor.Tensor { return g.byLeaf[leaf] }

// Backward differentiates scalar losses by every leaf, all in one sweep: lane k belongs to losses[k].
func Backward(losses ...*Var) *Grads {
	s := newSweep(losses[0].tape, len(losses))
	s.seed(losses)
	s.run(0)
	return s.grads
}

// BackwardParts is Backward for losses that are sums over parts, of which only one at a time is in memory: parts
// records the losses of one after the other, as many as there are lanes, on a tape that has all the leaves already.
// When it has yielded those of a part, the tape gives back what was recorded for them but for what their sweep reads,
// and they are swept; lane k adds up the k-th of all parts. What the tape held before the first part, as parametrised
// weights, is common to all: it is computed once, and swept once, after the last part, or with it, if parts has said by
// [Tape.LastPart] that it is: then each as soon as nothing more is coming to it.
//
// A leaf's gradient is shown to take, unless that is nil, when nothing more is coming to it and no operation still to
// be swept reads the leaf, which may then be changed. If take returns true it is done with the gradient, which is
// given back, and Of is nil.
func BackwardParts(t *Tape, lanes int, parts iter.Seq[[]*Var], take func(leaf, g *tensor.Tensor) bool) *Grads {
	s := newSweep(t, lanes)
	s.take = take
	common, live := len(t.nodes), len(t.live)
	for losses := range parts {
		if len(losses) != lanes {
			panic(fmt.Sprintf("autograd: BackwardParts: %d losses for %d lanes", len(losses), lanes))
		}
		for _, n := range t.nodes[common:] {
			if n.pull == nil {
				panic(fmt.Sprintf("autograd: BackwardParts: leaf %v came with a part; put it on the tape before the first one", n.value.Shape()))
			}
		}
		s.seed(losses)
		if t.last {
			s.early = common
			t.drop()
		} else {
			for _, x := range t.live[live:] {
				x.Release()
			}
			t.live = t.live[:live]
		}
		s.run(common)
		t.nodes, s.cts = t.nodes[:common], s.cts[:common]
	}
	s.run(0)
	return s.grads
}

// seed starts lane k at losses[k].
func (s *Sweep) seed(losses []*Var) {
	s.cts = append(s.cts, make([]*tensor.Tensor, len(s.tape.nodes)-len(s.cts))...)
	for k, l := range losses {
		if l.tape != s.tape || l.Value.Len() != 1 {
			panic(fmt.Sprintf("autograd: Backward: loss %d has shape %v; losses are scalars of one tape", k, l.Shape()))
		}
		if !l.NeedsGrad() {
			continue
		}
		seed := s.tape.dev.Zeros(tensor.Full, s.lanes)
		tensor.Fill(seed.Rows(k, k+1), 1)
		s.Give(l, seed)
	}
}

// Pullback is Backward from any value, with a stack of cotangents [K, shape…] instead of ones.
func Pullback(v *Var, cts *tensor.Tensor) *Grads {
	s := newSweep(v.tape, cts.Shape()[0])
	if !slices.Equal(cts.Shape()[1:], v.Shape()) {
		panic(fmt.Sprintf("autograd: Pullback: cotangents %v for a value %v; want a lane axis before the value's shape", cts.Shape(), v.Shape()))
	}
	if v.NeedsGrad() {
		s.Pass(v, cts)
	}
	s.run(0)
	return s.grads
}

func newSweep(t *Tape, lanes int) *Sweep {
	if !t.record || t.swept {
		panic("autograd: a tape that does not record, or was swept before, has nothing to sweep")
	}
	t.swept = true
	return &Sweep{tape: t, lanes: lanes, cts: make([]*tensor.Tensor, len(t.nodes)),
		grads: &Grads{lanes: lanes, byLeaf: map[*tensor.Tensor]*tensor.Tensor{}}}
}

// run walks from the last node to the given one: recording order is a topological order already.
func (s *Sweep) run(first int) {
	for i := len(s.tape.nodes) - 1; i >= first; i-- {
		s.pass(i)
	}
}

// pass sends a node's cotangent on, once.
func (s *Sweep) pass(i int) {
	n, ct := &s.tape.nodes[i], s.cts[i]
	if n.passed {
		return
	}
	n.passed, s.cts[i] = true, nil
	if n.pull == nil {
		s.arrive(n.value.Value, ct)
		return
	}
	if ct != nil {
		n.pull(s, ct)
		ct.Release()
	}
	for _, x := range n.keep {
		x.Release()
	}
	inputs := n.inputs
	n.keep, n.pull, n.inputs = nil, nil, nil
	for _, x := range inputs {
		if !x.NeedsGrad() {
			continue
		}
		before := &s.tape.nodes[x.id]
		if before.users--; before.users == 0 && x.id < s.early {
			s.pass(x.id)
		}
	}
}

// arrive is what becomes of a leaf's gradient, nil where no loss depends on the leaf.
func (s *Sweep) arrive(leaf, g *tensor.Tensor) {
	switch {
	case g == nil:
	case s.take != nil && !leaf.Shared() && s.take(leaf, g):
		g.Release()
	default:
		s.grads.byLeaf[leaf] = g
		s.tape.kept = append(s.tape.kept, g)
	}
}

// Lanes is the number of losses, the length of every cotangent's first axis.
func (s *Sweep) Lanes() int { return s.lanes }

// New makes room for a cotangent of v: [K, v's shape…], in v's kind. Give hands it over.
func (s *Sweep) New(v *Var) *tensor.Tensor { return s.NewLike(v.Value.Kind(), v.Shape()...) }

// NewLike makes a tensor [K, shape…] that the caller must Give or Release.
func (s *Sweep) NewLike(k tensor.Kind, shape ...int) *tensor.Tensor {
	return s.tape.dev.New(k, append([]int{s.lanes}, shape...)...)
}

// recall is the value of v, whose sources were kept. The caller must Release it.
func (s *Sweep) recall(v *Var) *tensor.Tensor {
	if v.again == nil {
		v.Value.Retain()
		return v.Value
	}
	x := s.tape.dev.New(v.Value.Kind(), v.Shape()...)
	v.again.compute(x)
	return x
}

// Over is ct to be overwritten with a cotangent of v, where it can be and nobody else reads it, else New(v). Give
// hands it over.
func (s *Sweep) Over(ct *tensor.Tensor, v *Var) *tensor.Tensor {
	if ct.Shared() || ct.Kind() != v.Value.Kind() || ct.Len() != s.lanes*v.Value.Len() {
		return s.New(v)
	}
	ct.Retain()
	return ct
}

// Accumulate lets f write a cotangent of v of the given kind, or, with add, add one to what dst holds: where there is a
// cotangent already, that spares room for the new one and a pass over both.
func (s *Sweep) Accumulate(v *Var, k tensor.Kind, f func(dst *tensor.Tensor, add bool)) {
	if have := s.cts[v.id]; have != nil && !have.Shared() && have.Kind() == k {
		f(have, true)
		return
	}
	g := s.NewLike(k, v.Shape()...)
	f(g, false)
	s.Give(v, g)
}

// Give adds g to the cotangent of v and takes over the caller's hold on g. Where g has more axes than
// [K, v's shape…], v was broadcast and the extra ones are summed.
func (s *Sweep) Give(v *Var, g *tensor.Tensor) {
	if !v.NeedsGrad() {
		g.Release()
		return
	}
	if g.Rank() != v.Value.Rank()+1 {
		sum := s.NewLike(g.Kind(), v.Shape()...)
		tensor.SumTo(sum, g)
		g.Release()
		g = sum
	}
	if s.tape.nodes[v.id].passed {
		panic(fmt.Sprintf("autograd: a cotangent of %v from an operation that does not have it among its inputs", v.Shape()))
	}
	have := s.cts[v.id]
	switch {
	case have == nil:
		s.cts[v.id] = g
	case !have.Shared():
		tensor.Add(have, have, g)
		g.Release()
	case !g.Shared():
		tensor.Add(g, g, have)
		have.Release()
		s.cts[v.id] = g
	default:
		sum := s.New(v)
		tensor.Add(sum, have, g)
		have.Release()
		g.Release()
		s.cts[v.id] = sum
	}
}

// Pass is Give of a cotangent that others hold too, usually the incoming one.
func (s *Sweep) Pass(v *Var, g *tensor.Tensor) {
	if v.NeedsGrad() {
		g.Retain()
		s.Give(v, g)
	}
}
