package rmt

import (
	"math"
	"slices"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// train runs a fresh tuner to its end and returns the sparsity and reports.
func (b *bench) train(t *testing.T) (Sparsity, []train.Epoch) {
	t.Helper()
	tuner := b.tuner()
	defer tuner.Masks[0].Detach()
	run := train.Run{Trainer: tuner.Trainer, Epochs: b.config.Epochs, Schedule: b.config.Schedule(), Data: b.data}
	if err := run.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	s := SparsityOf(tuner.Masks)
	if s.Off == s.Total {
		t.Errorf("a mask that hides everything tests nothing: %v", s)
	}
	return s, run.Done.Epochs
}

// The first epochs have no distillation loss, the last ones do; what is reported is the mean over the images that had
// it.
func TestReportedDistillation(t *testing.T) {
	b := newBench(t, "cpu")
	b.config.LR = 4e-4
	_, reports := b.train(t)
	if d := reports[0].Distill; d != nil {
		t.Errorf("no weight is off, and the distillation loss is %g", *d)
	}
	b.config.LR = 4e-3
	_, reports = b.train(t)
	for _, e := range reports {
		// A soft cross-entropy lies above the teacher's entropy, hence above 0, and about log 5 here.
		if e.Distill == nil || !(*e.Distill > 0 && *e.Distill < 10) {
			t.Errorf("epoch %d: distillation loss %v", e.Epoch, e.Distill)
		}
	}
}

// While no weight is off, to leave out teacher and distillation changes no bit.
func TestSkippingIsExact(t *testing.T) {
	for _, leak := range []float64{0.3, 1} {
		b := newBench(t, "cpu")
		b.config.Leak, b.config.LR = leak, 3e-4
		var got [2][]float32
		for i, force := range []bool{false, true} {
			tuner := b.tuner()
			for range 5 {
				tuner.flipped = tuner.flipped || force
				for batch := range b.data.Epoch(t.Context(), 0, 0) {
					images := batch.Put(b.dev, nil)
					s, err := tuner.Step(t.Context(), images, batch.Labels, b.config.LR)
					images.Release()
					if err != nil || math.IsNaN(s.Distill) == force {
						t.Fatalf("%+v, %v", s, err)
					}
					if SparsityOf(tuner.Masks).Off > 0 {
						break
					}
				}
				if SparsityOf(tuner.Masks).Off > 0 {
					break
				}
			}
			got[i] = tuner.Masks[0].Scores.Floats()
			tuner.Masks[0].Detach()
		}
		if !slices.Equal(got[0], got[1]) {
			t.Errorf("leak %g: scores differ", leak)
		}
	}
}

// The teacher is there in the first step after the one that switches the first weight off, and in no step before.
func TestTeacherIsCalledInTime(t *testing.T) {
	b := newBench(t, "cpu")
	tuner := b.tuner()
	steps := map[bool]int{}
	for epoch := range 3 {
		for batch := range b.data.Epoch(t.Context(), epoch, 0) {
			off := SparsityOf(tuner.Masks).Off > 0
			images := batch.Put(b.dev, nil)
			s, err := tuner.Step(t.Context(), images, batch.Labels, b.config.LR)
			images.Release()
			if err != nil || math.IsNaN(s.Distill) == off {
				t.Fatalf("step %d, some weights off %t: %+v, %v", tuner.Steps(), off, s, err)
			}
			steps[off]++
		}
	}
	if steps[false] == 0 || steps[true] == 0 {
		t.Errorf("steps with weights off: %v", steps)
	}
}

// Without dropout nothing asks for a teacher.
func TestAMTHasNoTeacher(t *testing.T) {
	b := newBench(t, "cpu")
	b.config.Leak = 0
	b.teacher.weight = nil // would panic
	s, reports := b.train(t)
	if s.Off == 0 || reports[2].Distill != nil {
		t.Errorf("%v, distillation %v", s, reports[2].Distill)
	}
}

// The straight-through gradient: ∂L/∂M = ∂L/∂W' ⊙ W, also where the weight is off.
func TestMaskGradient(t *testing.T) {
	b := newBench(t, "ref")
	m := Attach([]*nn.Param{b.student.weight}, 0.01, 0.005)[0]
	scores := m.Scores.Float64s()
	for i := 0; i < len(scores); i += 3 {
		scores[i] = 0
	}
	m.Scores.SetFloat64(scores)
	if off := m.Off(); off != (len(scores)+2)/3 {
		t.Errorf("%d weights off", off)
	}
	var images *tensor.Tensor
	var labels []int32
	for batch := range b.data.Epoch(t.Context(), 0, 0) {
		images, labels = batch.Put(b.dev, nil), batch.Labels
		break
	}
	tape := autograd.NewTape(b.dev)
	grads := autograd.Backward(autograd.CrossEntropy(b.head.Logits(b.student.Encode(tape.Const(images))), labels))
	got := grads.Of(m.Scores).Index(0).Float64s()

	// The gradient of the masked weight itself, as a plain leaf.
	weight := b.student.weight.Value.Float64s()
	masked := slices.Clone(weight)
	for i := 0; i < len(masked); i += 3 {
		masked[i] = 0
	}
	w := b.dev.New(tensor.Compute, toyEmbed, toyIn)
	w.SetFloat64(masked)
	plain := &toy{&nn.Param{Name: "visual.weight", Value: w, Trainable: true}}
	tape2 := autograd.NewTape(b.dev)
	direct := autograd.Backward(autograd.CrossEntropy(b.head.Logits(plain.Encode(tape2.Const(images))), labels)).Of(w).Index(0).Float64s()
	for i := range got {
		if want := direct[i] * weight[i]; math.Abs(got[i]-want) > 1e-12*(1+math.Abs(want)) {
			t.Fatalf("element %d: %g, want %g", i, got[i], want)
		}
	}
	m.Detach()
	tape3 := autograd.NoGrad(b.dev)
	if v := b.student.weight.On(tape3); v.Value != b.student.weight.Value {
		t.Error("a weight without its mask is not the weight")
	}
}

// Scores at the threshold are off: the mask is [M > α].
func TestThreshold(t *testing.T) {
	dev := newBench(t, "cpu").dev
	p := &nn.Param{Name: "w", Value: dev.From([]float32{1, 2, 3, 4}, 2, 2)}
	m := Attach([]*nn.Param{p}, 0.75, 0.5)[0]
	m.Scores.Set([]float32{0.5, math.Nextafter32(0.5, 1), math.Nextafter32(0.5, 0), -1})
	if got := m.Bits(); !slices.Equal(got, []bool{false, true, false, false}) || m.Off() != 3 {
		t.Errorf("%v, %d off", got, m.Off())
	}
	tape := autograd.NoGrad(dev)
	if got := p.On(tape).Value.Floats(); !slices.Equal(got, []float32{0, 2, 0, 0}) {
		t.Errorf("masked weight %v", got)
	}
	if s := SparsityOf([]*Mask{m}); s.Percent() != 75 || s.String() != "75.00 % (3 of 4)" || (Sparsity{}).Percent() != 0 {
		t.Errorf("%v", s)
	}
}
