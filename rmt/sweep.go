package rmt

import (
	"errors"
	"fmt"
	"iter"
	"sort"

	"fewshot/autograd"
	"fewshot/tensor"
)

// sweep is a step up to its gradients, recorded: the teacher if it is needed, the student, the losses and the
// backward pass. It serves all steps on batches in the same tensor.
type sweep struct {
	images *tensor.Tensor
	head   Head
	taught bool    // by the teacher: two losses
	watch  bool    // whether the masks hide anything by now, so that a teacher is needed
	labels []int32 // of the batch, written before each run

	program *tensor.Program
	lanes   [][2]*tensor.Tensor // gradients by mask and loss; nil for a loss that is not there
	report  *tensor.Tensor      // all that the host reads, in one piece: losses, counts of what is watched, logits

	values               []float64 // the report, read out
	losses, kept, logits []float64 // its parts
	elements             int       // of the masks that are watched
}

// serves reports whether the sweep is that of a step.
func (s *sweep) serves(images *tensor.Tensor, labels []int32, head Head, taught, watch bool) bool {
	return s != nil && s.images == images && len(s.labels) == len(labels) && s.head == head && s.taught == taught && s.watch == watch
}

// record makes the sweep over images, for this many labels.
func (t *Tuner) record(images *tensor.Tensor, labels int, taught, watch bool) (*sweep, error) {
	s := &sweep{images: images, head: t.Head, taught: taught, watch: watch, labels: make([]int32, labels)}
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

// fitting adds to a device's error that the memory of a sweep does not fit which batch would, with a teacher if there ever is
// one. Of what is free, Adam's moments need some, if there are none yet, and partial results and the driver a little.
func (t *Tuner) fitting(err error, s *sweep) error {
	var memory *tensor.OutOfMemory
	if !errors.As(err, &memory) {
		return err
	}
	free := memory.Free - memory.Free/32 - 4<<20
	for _, m := range t.Masks {
		if t.Optimizer.Steps() == 0 {
			free -= 2 * 4 * int64(m.Scores.Len())
		}
	}
	fits := func(images, micro int) bool {
		part, tuner := *s, *t
		part.images, part.labels, part.taught = s.images.Rows(0, images), s.labels[:images], t.Rule.NeedsTeacher()
		tuner.MicroBatch = micro
		return t.dev.Measure(func() { tuner.describe(&part) }) <= free
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

// describe asks for what a sweep does. The masked weights are common to all parts of the batch, and so are their gradients, in which
// the parts add up.
func (t *Tuner) describe(s *sweep) error {
	s.prepare(t)
	tape := autograd.NewTape(t.dev)
	defer tape.Release()
	for _, m := range t.Masks {
		m.Param.On(tape)
	}
	found := autograd.BackwardParts(tape, len(s.losses), t.parts(s, tape))
	s.lanes = nil
	for _, m := range t.Masks {
		g := found.Of(m.Scores)
		if g == nil {
			return fmt.Errorf("mask on %s got no gradient: the encoder does not use the parameter", m.Param.Name)
		}
		g.Retain()
		lanes := [2]*tensor.Tensor{g.Index(0)}
		if s.taught {
			lanes[1] = g.Index(1)
		}
		s.lanes = append(s.lanes, lanes)
	}
	return nil
}

// taughtTogether is how many parts of a batch the teacher sees at a time: it keeps nothing for a way back, and so takes less memory for
// a few of them, in CLIP's deep networks, than the student for one.
const taughtTogether = 4

// parts are the losses of the parts of a batch.
func (t *Tuner) parts(s *sweep, tape *autograd.Tape) iter.Seq[[]*autograd.Var] {
	n, parts := len(s.labels), 1
	if t.MicroBatch > 0 {
		parts = (n + t.MicroBatch - 1) / t.MicroBatch
	}
	first := func(part int) int { return part * n / parts }
	return func(yield func([]*autograd.Var) bool) {
		for i := 0; i < parts; i += taughtTogether {
			next := min(i+taughtTogether, parts)
			var targets *tensor.Tensor // of parts i to next
			if s.taught {
				targets = t.teacherLogits(s.images.Rows(first(i), first(next)))
			}
			for j := i; j < next; j++ {
				lo, hi := first(j), first(j+1)
				var target *tensor.Tensor
				if s.taught {
					target = targets.Rows(lo-first(i), hi-first(i))
				}
				if !yield(t.part(s, tape, lo, hi, target)) {
					return
				}
			}
			if s.taught {
				targets.Release()
			}
		}
	}
}

// part is the losses of images lo to hi, with the teacher's logits on them if there is one. Those of the batch are means, so
// a part's count by its share.
func (t *Tuner) part(s *sweep, tape *autograd.Tape, lo, hi int, target *tensor.Tensor) []*autograd.Var {
	logits := s.head.Logits(t.Student.Encode(tape.Const(s.images.Rows(lo, hi))))
	losses := []*autograd.Var{autograd.CrossEntropy(logits, s.labels[lo:hi])}
	if target != nil {
		losses = append(losses, autograd.SoftCrossEntropy(logits, target))
	}
	if n := len(s.labels); hi-lo < n {
		for i, l := range losses {
			losses[i] = autograd.Scale(l, float64(hi-lo)/float64(n))
		}
	}
	s.tell(losses, logits.Value, lo)
	return losses
}

// prepare makes room for what the host will read, and counts what is watched.
func (s *sweep) prepare(t *Tuner) {
	var watched []*Mask
	if s.watch {
		watched = t.Masks
	}
	n := 1
	if s.taught {
		n = 2
	}
	kept := n + counts(watched)
	s.report = t.dev.New(tensor.Full, kept+len(s.labels)*s.head.Classes.Dim(2))
	countKept(s.report.Rows(n, kept), watched)
	s.values = make([]float64, s.report.Len())
	s.losses, s.kept, s.logits = s.values[:n], s.values[n:kept], s.values[kept:]
	s.elements = 0
	for _, m := range watched {
		s.elements += m.Scores.Len()
	}
}

// tell adds the losses of a part of the batch, whose first image is the given one, to what the host will read, and its logits.
func (s *sweep) tell(losses []*autograd.Var, logits *tensor.Tensor, first int) {
	for i, l := range losses {
		sum := s.report.Index(i)
		if first == 0 {
			tensor.Copy(sum, l.Value)
		} else {
			tensor.Add(sum, sum, l.Value)
		}
	}
	at := len(s.losses) + len(s.kept) + first*logits.Dim(1)
	tensor.Copy(s.report.Rows(at, at+logits.Len()), logits)
}

// run makes the sweep and reads its report, which is what waits for the device.
func (s *sweep) run() {
	s.program.Run()
	s.report.ReadFloat64s(s.values)
}

// off reports whether a watched mask hides anything.
func (s *sweep) off() bool { return int(sum(s.kept)) < s.elements }

// correct counts the rows whose largest logit is the label's; ties go to the lowest index.
func (s *sweep) correct() (n int) {
	width := len(s.logits) / len(s.labels)
	for i, label := range s.labels {
		if argmax(s.logits[i*width:][:width]) == int(label) {
			n++
		}
	}
	return n
}
