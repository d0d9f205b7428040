package rmt

import (
	"errors"
	"fmt"
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
	n := sort.Search(len(s.labels), func(n int) bool {
		part := *s
		part.images, part.labels, part.taught = s.images.Rows(0, n+1), s.labels[:n+1], t.Rule.NeedsTeacher()
		return t.dev.Measure(func() { t.describe(&part) }) > free
	})
	switch n {
	case len(s.labels): // so it is not by the size of the batch
		return err
	case 0:
		return fmt.Errorf("the step does not fit the device, not even on a single image: %w", err)
	}
	return fmt.Errorf("a step on %d images does not fit the device, one on %d would: %w", len(s.labels), n, err)
}

// describe asks for what a sweep does.
func (t *Tuner) describe(s *sweep) error {
	tape := autograd.NewTape(t.dev)
	var target *tensor.Tensor
	if s.taught {
		target = t.teacherLogits(s.images)
	}
	logits := s.head.Logits(t.Student.Encode(tape.Const(s.images)))
	losses := []*autograd.Var{autograd.CrossEntropy(logits, s.labels)}
	if s.taught {
		losses = append(losses, autograd.SoftCrossEntropy(logits, target))
		target.Release()
	}
	var watched []*Mask
	if s.watch {
		watched = t.Masks
	}
	s.tell(t.dev, losses, watched, logits.Value)
	s.lanes = nil
	grads := autograd.Backward(losses...)
	for _, m := range t.Masks {
		g := grads.Of(m.Scores)
		if g == nil {
			return fmt.Errorf("mask on %s got no gradient: the encoder does not use the parameter", m.Param.Name)
		}
		lanes := [2]*tensor.Tensor{g.Index(0)}
		if s.taught {
			lanes[1] = g.Index(1)
		}
		s.lanes = append(s.lanes, lanes)
	}
	return nil
}

// tell puts together what the host will read.
func (s *sweep) tell(dev *tensor.Device, losses []*autograd.Var, watched []*Mask, logits *tensor.Tensor) {
	n, kept := len(losses), len(losses)+counts(watched)
	s.report = dev.New(tensor.Full, kept+logits.Len())
	for i, l := range losses {
		tensor.Copy(s.report.Index(i), l.Value)
	}
	countKept(s.report.Rows(n, kept), watched)
	tensor.Copy(s.report.Rows(kept, s.report.Len()), logits)
	s.values = make([]float64, s.report.Len())
	s.losses, s.kept, s.logits = s.values[:n], s.values[n:kept], s.values[kept:]
	s.elements = 0
	for _, m := range watched {
		s.elements += m.Scores.Len()
	}
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
