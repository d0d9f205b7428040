package train

import (
	"errors"
	"fmt"
	"iter"
	"sort"

	"fewshot/autograd"
	"fewshot/tensor"
)

// sweep is a step up to its gradients, recorded: the teacher if there is one, the learner's losses and the
// backward pass. It serves all steps on batches in the same tensor.
//
// Where programs can call functions, it also updates each parameter whose gradient is all that its rule has to see as
// soon as that is there, so that few gradients are in memory at a time. Before the first update the trainer judges the
// losses, and none is made of those that are no good.
type sweep struct {
	images  *tensor.Tensor
	plan    Plan
	updates bool    // parameters, on its way
	labels  []int32 // of the batch, written before each run

	program *tensor.Program
	lanes   [][2]*tensor.Tensor // gradients by parameter and loss; nil for a loss that is not there, and of a parameter that is updated by then
	updated []bool              // by parameter
	report  *tensor.Tensor      // all that the host reads, in one piece

	values                          []float64 // the report, read out
	losses, counts, squares, logits []float64 // its parts
}

// serves reports whether the sweep is that of a step.
func (s *sweep) serves(images *tensor.Tensor, labels []int32, plan Plan, updates bool) bool {
	return s != nil && s.images == images && len(s.labels) == len(labels) && s.plan == plan && s.updates == updates
}

// record makes the sweep over images, for this many labels.
func (t *Trainer) record(images *tensor.Tensor, labels int, plan Plan, updates bool) (*sweep, error) {
	if plan.Lanes < 1 || plan.Lanes > 2 {
		panic(fmt.Sprintf("train: a learner of %d losses", plan.Lanes))
	}
	s := &sweep{images: images, plan: plan, updates: updates, labels: make([]int32, labels)}
	var unused error
	program, err := t.dev.Record(func() { unused = t.describe(s) })
	if err != nil {
		return nil, t.fitting(err, s)
	}
	if s.program = program; unused != nil {
		return nil, errors.Join(unused, program.Release())
	}
	return s, nil
}

// fitting adds to a device's error that the memory of a sweep does not fit which batch would, with all losses and the
// teacher. Of what is free, optimizers' moments need some, if there are none yet, and partial results and the driver
// a little.
func (t *Trainer) fitting(err error, s *sweep) error {
	var memory *tensor.OutOfMemory
	if !errors.As(err, &memory) {
		return err
	}
	free := memory.Free - memory.Free/32 - 4<<20
	if t.steps == 0 {
		for _, p := range t.params {
			free -= 2 * 4 * int64(p.Value.Len())
		}
	}
	fits := func(images, micro int) bool {
		part, trainer := *s, *t
		part.images, part.labels, part.plan = s.images.Rows(0, images), s.labels[:images], t.fullest(s.plan)
		trainer.MicroBatch = micro
		return t.dev.Measure(func() { _ = trainer.describe(&part) }) <= free
	}
	all := len(s.labels)
	n := sort.Search(all, func(n int) bool { return !fits(n+1, t.MicroBatch) })
	switch n {
	case all: // so it is not by the size of the batch
		return err
	case 0:
		return fmt.Errorf("the step does not fit the device, not even on a single image: %w", err)
	}
	text := fmt.Sprintf("a step on %d images does not fit the device, one on %d would", all, n)
	if micro := sort.Search(all, func(n int) bool { return !fits(all, n+1) }); micro > 0 {
		text += fmt.Sprintf(", and so would all with micro-batches of %d", micro)
	}
	return fmt.Errorf("%s: %w", text, err)
}

// fullest is the plan with most to compute that the run can come to: some rule asks for a second loss as soon as it
// is there.
func (t *Trainer) fullest(p Plan) Plan {
	for _, g := range t.groups {
		if g.Rule.NeedsTeacher() {
			p.Lanes, p.Targets = 2, true
			return p
		}
	}
	return p
}

// describe asks for what a sweep does. What is made of the parameters alone is common to all parts of the batch, and
// so are the parameters' gradients, in which the parts add up.
func (t *Trainer) describe(s *sweep) error {
	tape := autograd.NewTape(t.dev)
	defer tape.Release()
	s.prepare(t)
	for i, g := range t.groups {
		for _, p := range g.Params {
			p.Trainable = !s.plan.rests(i)
			p.On(tape)
		}
	}
	t.Learner.Shared(tape)
	s.lanes, s.updated = make([][2]*tensor.Tensor, len(t.params)), make([]bool, len(t.params))
	found := autograd.BackwardParts(tape, s.plan.Lanes, t.parts(s, tape), t.updating(s))
	for i := range t.params {
		if s.updated[i] {
			continue
		}
		var err error
		if s.lanes[i], err = t.lanesOf(s, i, found); err != nil {
			return err
		}
	}
	return nil
}

// updating has the sweep update parameters whose gradients are there; it is nil where there are to be none of these
// updates.
func (t *Trainer) updating(s *sweep) func(leaf, g *tensor.Tensor) bool {
	if !s.updates {
		return nil
	}
	at := map[*tensor.Tensor]int{}
	for i, p := range t.params {
		at[p.Value] = i
	}
	return func(leaf, g *tensor.Tensor) bool {
		i, ok := at[leaf]
		if !ok || t.groups[t.groupOf[i]].overall() {
			return false
		}
		lanes := byLane(g)
		t.dev.Call(func() bool {
			t.update(i, lanes)
			return true
		})
		s.updated[i] = true
		return true
	}
}

// lanesOf are a parameter's gradients.
func (t *Trainer) lanesOf(s *sweep, i int, found *autograd.Grads) (lanes [2]*tensor.Tensor, err error) {
	p, group := t.params[i], t.groupOf[i]
	g := found.Of(p.Value)
	switch {
	case s.plan.rests(group):
		return lanes, nil
	case g != nil:
		g.Retain()
	case t.groups[group].Unseen:
		g = t.dev.New(tensor.Full, append([]int{s.plan.Lanes}, p.Value.Shape()...)...)
		tensor.Fill(g, 0)
	default:
		return lanes, fmt.Errorf("%s is to be trained and got no gradient: no loss depends on it", p.Name)
	}
	return byLane(g), nil
}

// byLane are the gradients of each loss.
func byLane(g *tensor.Tensor) (lanes [2]*tensor.Tensor) {
	for k := range g.Shape()[0] {
		lanes[k] = g.Index(k)
	}
	return lanes
}

// rests reports whether a group does.
func (p Plan) rests(group int) bool { return p.Rests>>group&1 != 0 }

// prepare makes room for what the host will read, and asks for what does not depend on the batch.
func (s *sweep) prepare(t *Trainer) {
	counts := s.plan.Lanes
	squares := counts + s.plan.Watched
	logits := squares + len(t.params)
	s.report = t.dev.New(tensor.Full, logits+len(s.labels)*s.plan.Classes)
	if s.plan.Watched > 0 {
		t.Learner.Count(s.report.Rows(counts, squares))
	}
	for i, p := range t.params { // which tells whether all of it is finite
		tensor.SumSquares(s.report.Index(squares+i), p.Value)
	}
	s.values = make([]float64, s.report.Len())
	s.losses, s.counts, s.squares, s.logits = s.values[:counts], s.values[counts:squares], s.values[squares:logits], s.values[logits:]
}

// taughtTogether is how many parts of a batch the teacher sees at a time: it keeps nothing for a way back, and so
// takes less memory for a few of them, in CLIP's deep networks, than the student for one.
const taughtTogether = 4

// parts are the losses of the parts of a batch.
func (t *Trainer) parts(s *sweep, tape *autograd.Tape) iter.Seq[[]*autograd.Var] {
	n, parts := len(s.labels), 1
	if t.MicroBatch > 0 {
		parts = (n + t.MicroBatch - 1) / t.MicroBatch
	}
	first := func(part int) int { return part * n / parts }
	return func(yield func([]*autograd.Var) bool) {
		for i := 0; i < parts; i += taughtTogether {
			next := min(i+taughtTogether, parts)
			var targets *tensor.Tensor // of parts i to next
			if s.plan.Targets {
				targets = t.Learner.Targets(s.images.Rows(first(i), first(next)))
			}
			for j := i; j < next; j++ {
				lo, hi := first(j), first(j+1)
				p := Part{Images: s.images.Rows(lo, hi), Labels: s.labels[lo:hi], First: lo, Batch: n}
				if targets != nil {
					p.Targets = targets.Rows(lo-first(i), hi-first(i))
				}
				if hi == n {
					tape.LastPart()
				}
				losses := t.part(s, tape, p)
				if hi == n && s.updates {
					t.dev.Call(t.judge)
				}
				if !yield(losses) {
					return
				}
			}
			if targets != nil {
				targets.Release()
			}
		}
	}
}

// part is the losses of a part of the batch. Those of the batch are means, so a part's count by its share. They are
// added to what the host will read, and the part's logits put there.
func (t *Trainer) part(s *sweep, tape *autograd.Tape, p Part) []*autograd.Var {
	losses, logits := t.Learner.Losses(tape, p)
	if len(losses) != s.plan.Lanes || logits.Value.Len() != len(p.Labels)*s.plan.Classes {
		panic(fmt.Sprintf("train: %d losses and logits %v of %d images for the plan %+v", len(losses), logits.Shape(), len(p.Labels), s.plan))
	}
	if n := len(p.Labels); n < p.Batch {
		for i, l := range losses {
			losses[i] = autograd.Scale(l, float64(n)/float64(p.Batch))
		}
	}
	for i, l := range losses {
		sum := s.report.Index(i)
		if p.First == 0 {
			tensor.Copy(sum, l.Value)
		} else {
			tensor.Add(sum, sum, l.Value)
		}
	}
	at := len(s.values) - len(s.logits) + p.First*s.plan.Classes
	tensor.Copy(s.report.Rows(at, at+logits.Value.Len()), logits.Value)
	return losses
}

// correct counts the rows whose largest logit is the label's; ties go to the lowest index.
func (s *sweep) correct() (n int) {
	width := s.plan.Classes
	for i, label := range s.labels {
		if argmax(s.logits[i*width:][:width]) == int(label) {
			n++
		}
	}
	return n
}
