package rmt

import (
	"context"
	"errors"
	"iter"
	"math"
	"slices"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

// train runs a fresh tuner to its end and returns the scores and reports.
func (b *bench) train(t *testing.T) ([]float32, []EpochReport) {
	t.Helper()
	tuner := b.tuner()
	defer tuner.Masks[0].Detach()
	var reports []EpochReport
	run := Training{Tuner: tuner, Config: b.config, Data: b.data, Epoch: func(e EpochReport) error {
		reports = append(reports, e)
		return nil
	}}
	if err := run.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	return tuner.Masks[0].Scores.Floats(), reports
}

func TestTraining(t *testing.T) {
	b := newBench(t, "cpu")
	tuner := b.tuner()
	var steps, saves []Position
	var reports []EpochReport
	run := Training{Tuner: tuner, Config: b.config, Data: b.data,
		Step: func(p Position, s Stats) error {
			steps = append(steps, p)
			if s.Correct < 0 || s.Correct > 4 || math.IsNaN(s.Loss) {
				t.Errorf("step %v: %+v", p, s)
			}
			return nil
		},
		Epoch: func(e EpochReport) error { reports = append(reports, e); return nil },
		Save:  func(p Position) error { saves = append(saves, p); return nil },
	}
	if err := run.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(steps) != 12 || len(saves) != 12 || len(reports) != 3 || tuner.Optimizer.Steps() != 12 {
		t.Fatalf("%d steps, %d saves, %d reports", len(steps), len(saves), len(reports))
	}
	for i, p := range steps {
		if p.Epoch != i/4 || p.Batch != i%4+1 || p.Images != 4*p.Batch {
			t.Errorf("step %d is at %+v", i, p)
		}
		// An epoch that is done is saved as the beginning of the next.
		want := p
		if p.Batch == 4 {
			want = Position{Epoch: p.Epoch + 1}
		}
		if saves[i] != want {
			t.Errorf("after step %d saved %+v, want %+v", i, saves[i], want)
		}
	}
	for i, e := range reports {
		done := steps[4*i+3]
		if e.Epoch != i+1 || e.Images != 16 || e.LR != b.config.Schedule()(i) || e.Accuracy != 100*float64(done.Correct)/16 || e.Loss != done.Loss/16 {
			t.Errorf("epoch %d: %+v", i, e)
		}
		if len(e.Tensors) != 1 || e.Tensors[0].Sparsity != e.Sparsity || e.Sparsity.Total != toyEmbed*toyIn {
			t.Errorf("epoch %d: %+v", i, e.Tensors)
		}
	}
	if s := SparsityOf(tuner.Masks); s.Off == 0 || s.Off == s.Total || s != reports[2].Sparsity {
		t.Errorf("a mask that does not move tests nothing: %v", s)
	}
}

// filled hands out what its data does as functions that fill tensors.
type filled struct{ Data }

func (f filled) Epoch(ctx context.Context, epoch, from int) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		for b, err := range f.Data.Epoch(ctx, epoch, from) {
			pixels := b.Pixels
			b.Pixels, b.Fill = nil, func(images *tensor.Tensor) { images.Set(pixels) }
			if !yield(b, err) {
				return
			}
		}
	}
}

// Who fills the tensor of the images makes no difference.
func TestTrainingFilled(t *testing.T) {
	b := newBench(t, "cpu")
	want, _ := b.train(t)
	data := filled{b.data}
	tuner := b.tuner()
	defer tuner.Masks[0].Detach()
	if err := (&Training{Tuner: tuner, Config: b.config, Data: data}).Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := tuner.Masks[0].Scores.Floats(); !slices.Equal(got, want) {
		t.Error("other scores")
	}
}

// The first epochs have no distillation loss, the last ones do; what is reported is the mean over the images that had it.
func TestReportedDistillation(t *testing.T) {
	b := newBench(t, "cpu")
	b.config.LR = 4e-4
	_, reports := b.train(t)
	if d := reports[0].Distill; !math.IsNaN(d) {
		t.Errorf("no weight is off, and the distillation loss is %g", d)
	}
	b.config.LR = 4e-3
	_, reports = b.train(t)
	for _, e := range reports {
		// A soft cross-entropy lies above the teacher's entropy, hence above 0, and about log 5 here.
		if !(e.Distill > 0 && e.Distill < 10) {
			t.Errorf("epoch %d: distillation loss %g", e.Epoch, e.Distill)
		}
	}
}

// A run that stops after any number of steps, and goes on in another process from what was saved, ends with the same bits.
func TestResumeAnywhere(t *testing.T) {
	b := newBench(t, "cpu")
	want, reports := b.train(t)
	run := map[string]string{"what": "toy"}
	for stop := 1; stop <= 12; stop++ {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		first := b.tuner()
		n := 0
		training := Training{Tuner: first, Config: b.config, Data: b.data,
			Step: func(Position, Stats) error {
				if n++; n == stop {
					cancel()
				}
				return nil
			},
			Save: func(p Position) error {
				if ctx.Err() == nil {
					return nil
				}
				return SaveState(dir, first, p, run)
			},
		}
		err := training.Run(ctx)
		if err != nil && !errors.Is(err, context.Canceled) || err == nil && stop < 12 {
			t.Fatalf("stopped after %d steps: %v", stop, err)
		}
		first.Masks[0].Detach()

		second := b.tuner()
		at, found, err := RestoreState(dir, second, run, func(path string, err error) { t.Error(path, err) })
		if err != nil || !found || second.Optimizer.Steps() != stop {
			t.Fatalf("stopped after %d steps: found %v with %d steps, %v", stop, found, second.Optimizer.Steps(), err)
		}
		var last EpochReport
		training = Training{Tuner: second, Config: b.config, Data: b.data, At: at, Epoch: func(e EpochReport) error { last = e; return nil }}
		if err := training.Run(t.Context()); err != nil {
			t.Fatal(err)
		}
		second.Masks[0].Detach()
		if got := second.Masks[0].Scores.Floats(); !slices.Equal(got, want) {
			t.Errorf("stopped after %d steps: other scores", stop)
		}
		end := reports[2]
		if stop < 12 && (last.Loss != end.Loss || last.Accuracy != end.Accuracy || last.Distill != end.Distill && !math.IsNaN(end.Distill)) {
			t.Errorf("stopped after %d steps: the last epoch is %+v, undisturbed %+v", stop, last, end)
		}
	}
}

// Errors of the data and of the callbacks end the run and come out as they went in.
func TestTrainingErrors(t *testing.T) {
	b := newBench(t, "cpu")
	broken := errors.New("broken")
	for name, run := range map[string]Training{
		"data":  {Data: &toyData{batches: 3, size: 4, fail: broken}},
		"step":  {Data: b.data, Step: func(p Position, _ Stats) error { return broken }},
		"epoch": {Data: b.data, Epoch: func(EpochReport) error { return broken }},
		"save":  {Data: b.data, Save: func(Position) error { return broken }},
	} {
		run.Tuner, run.Config = b.tuner(), b.config
		if err := run.Run(t.Context()); !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
		run.Tuner.Masks[0].Detach()
	}
	// An interruption is saved; if that fails, that is the error.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, want := range []error{nil, broken} {
		saved := false
		run := Training{Tuner: b.tuner(), Config: b.config, Data: b.data, Save: func(p Position) error {
			saved = p == Position{}
			return want
		}}
		if want == nil {
			want = context.Canceled
		}
		if err := run.Run(ctx); !errors.Is(err, want) || !saved {
			t.Errorf("%v, saved %v; want %v", err, saved, want)
		}
		run.Tuner.Masks[0].Detach()
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
					images := fill(b.dev, nil, batch)
					s, err := tuner.Step(images, batch.Labels, b.config.LR)
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

// Parts of a batch come to the losses, the logits and the gradients of the batch, for any size of parts. An image's share is
// computed with other roundings, a handful, and the sum has another order.
func TestMicroBatches(t *testing.T) {
	const bound = 16 * 0x1p-52
	b := newBench(t, "ref")
	b.data.size = taughtTogether + 2
	for batch := range b.data.Epoch(t.Context(), 0, 0) {
		images := fill(b.dev, nil, batch)
		for _, taught := range []bool{false, true} {
			var want Stats
			var grads [2][]float64
			for micro := range len(batch.Labels) + 2 {
				b.config.MicroBatch = micro
				tuner := b.tuner()
				if taught {
					scores := tuner.Masks[0].Scores
					scores.Rows(0, 1).Set(make([]float32, toyIn))
					tuner.flipped = true
				}
				got, err := tuner.run(images, batch.Labels)
				if err != nil {
					t.Fatal(err)
				}
				if micro == 0 {
					want = got
				}
				if got.Correct != want.Correct || relative(got.Loss, want.Loss) > bound || taught && relative(got.Distill, want.Distill) > bound {
					t.Errorf("parts of %d, taught %t: %+v, want %+v", micro, taught, got, want)
				}
				for lane, g := range tuner.sweep.lanes[0] {
					if g == nil {
						continue
					}
					v := g.Float64s()
					if micro == 0 {
						grads[lane] = v
					}
					var off, all float64
					for i, x := range v {
						off += (x - grads[lane][i]) * (x - grads[lane][i])
						all += x * x
					}
					if !(off <= bound*bound*all) {
						t.Errorf("parts of %d, taught %t: gradient %d is off by %g", micro, taught, lane, math.Sqrt(off/all))
					}
				}
				if err := tuner.Release(); err != nil {
					t.Fatal(err)
				}
				tuner.Masks[0].Detach()
			}
		}
		images.Release()
		return
	}
}

func relative(x, y float64) float64 { return math.Abs(x-y) / math.Abs(y) }

// The teacher is there in the first step after the one that switches the first weight off, and in no step before.
func TestTeacherIsCalledInTime(t *testing.T) {
	b := newBench(t, "cpu")
	tuner := b.tuner()
	steps := map[bool]int{}
	for epoch := range 3 {
		for batch := range b.data.Epoch(t.Context(), epoch, 0) {
			off := SparsityOf(tuner.Masks).Off > 0
			images := fill(b.dev, nil, batch)
			s, err := tuner.Step(images, batch.Labels, b.config.LR)
			images.Release()
			if err != nil || math.IsNaN(s.Distill) == off {
				t.Fatalf("step %d, some weights off %t: %+v, %v", tuner.Optimizer.Steps(), off, s, err)
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
	_, reports := b.train(t)
	if s := reports[2].Sparsity; s.Off == 0 || !math.IsNaN(reports[2].Distill) {
		t.Errorf("%v, distillation %g", s, reports[2].Distill)
	}
}

// A loss that is no number ends the run before anything is changed.
func TestNonFinite(t *testing.T) {
	b := newBench(t, "cpu")
	b.head.Scale = math.Inf(1)
	tuner := b.tuner()
	before := tuner.Masks[0].Scores.Floats()
	run := Training{Tuner: tuner, Config: b.config, Data: b.data}
	if err := run.Run(t.Context()); !errors.Is(err, ErrNonFinite) {
		t.Error(err)
	}
	if !slices.Equal(tuner.Masks[0].Scores.Floats(), before) || tuner.Optimizer.Steps() != 0 {
		t.Error("the scores have changed")
	}
}

// A mask on something that the encoder does not use is an error, not a mask that never moves.
func TestUnusedWeight(t *testing.T) {
	b := newBench(t, "cpu")
	idle := &nn.Param{Name: "visual.idle", Value: b.dev.Zeros(tensor.Compute, 2, 2)}
	tuner := NewTuner(b.dev, b.student, b.teacher, b.head, Attach([]*nn.Param{idle}, 0.01, 0.005), b.config)
	tuner.Masks = append(tuner.Masks, Attach([]*nn.Param{b.student.weight}, 0.01, 0.005)...)
	for batch := range b.data.Epoch(t.Context(), 0, 0) {
		if _, err := tuner.Step(fill(b.dev, nil, batch), batch.Labels, 1e-3); err == nil {
			t.Error("no error")
		}
		break
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
		images, labels = fill(b.dev, nil, batch), batch.Labels
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
