package train

import (
	"context"
	"errors"
	"iter"
	"math"
	"slices"
	"strings"
	"testing"

	"fewshot/nn"
	"fewshot/optim"
	"fewshot/tensor"
)

func TestRun(t *testing.T) {
	b := newBench(t, "cpu")
	trainer := b.trainer()
	before := weights(trainer)
	var steps, saves []Position
	var reports []Epoch
	run := b.run(trainer)
	run.Step = func(p Position, s Stats) error {
		steps = append(steps, p)
		if s.Correct < 0 || s.Correct > 4 || math.IsNaN(s.Loss) || !math.IsNaN(s.Distill) {
			t.Errorf("step %v: %+v", p, s)
		}
		return nil
	}
	run.EndEpoch = func(e Epoch) error { reports = append(reports, e); return nil }
	run.Save = func(p Position) error { saves = append(saves, p); return nil }
	if err := run.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	if len(steps) != 12 || len(saves) != 12 || len(reports) != 3 || trainer.Steps() != 12 || run.Done.Images != 48 || !slices.Equal(run.Done.Epochs, reports) {
		t.Fatalf("%d steps, %d saves, %d reports, %+v", len(steps), len(saves), len(reports), run.Done)
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
		if e.Epoch != i+1 || e.Images != 16 || e.LR != run.Schedule(i) || e.Accuracy != 100*float64(done.Correct)/16 || e.Loss != done.Loss/16 || e.Distill != nil {
			t.Errorf("epoch %d: %+v", i, e)
		}
	}
	if slices.Equal(weights(trainer), before) || reports[2].Loss >= reports[0].Loss {
		t.Errorf("nothing was learned: %+v", reports)
	}
	l := trainer.Learner.(*toy)
	if !slices.Equal(l.ended, []int{0, 1, 2}) || !slices.Equal(l.began, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}) {
		t.Errorf("epochs %v ended, steps %v began", l.ended, l.began)
	}
}

// A schedule by step gives every step a rate of its own.
func TestScheduleByStep(t *testing.T) {
	b := newBench(t, "cpu")
	var asked []int
	run := b.run(b.trainer())
	run.PerStep, run.Schedule = true, func(i int) float64 { asked = append(asked, i); return 1e-3 }
	if err := run.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	if asked = slices.Compact(asked); !slices.Equal(asked, []int{0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}) {
		t.Errorf("rates of steps %v", asked)
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
func TestFilled(t *testing.T) {
	b := newBench(t, "cpu")
	var got [2][]float32
	for i, data := range []Data{b.data, filled{b.data}} {
		trainer := b.trainer()
		run := b.run(trainer)
		run.Data = data
		if err := run.Train(t.Context()); err != nil {
			t.Fatal(err)
		}
		got[i] = weights(trainer)
	}
	if !slices.Equal(got[0], got[1]) {
		t.Error("other weights")
	}
}

// A run that stops after any number of steps, and goes on in another process from what was saved, ends with the same
// bits, and with the history of all of it.
func TestResumeAnywhere(t *testing.T) {
	b := newBench(t, "cpu")
	b.taught = true
	whole := b.run(b.trainer())
	if err := whole.Train(t.Context()); err != nil {
		t.Fatal(err)
	}
	want, reports := weights(whole.Trainer), whole.Done.Epochs
	identity := map[string]string{"what": "toy"}
	for stop := 1; stop <= 12; stop++ {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		first := b.run(b.trainer())
		n := 0
		first.Step = func(Position, Stats) error {
			if n++; n == stop {
				cancel()
			}
			return nil
		}
		first.Save = func(p Position) error {
			if ctx.Err() == nil {
				return nil
			}
			return SaveState(dir, first.Trainer, p, first.Done, identity)
		}
		err := first.Train(ctx)
		if err != nil && !errors.Is(err, context.Canceled) || err == nil && stop < 12 {
			t.Fatalf("stopped after %d steps: %v", stop, err)
		}
		second := b.run(b.trainer())
		s, found, err := RestoreState(dir, second.Trainer, identity, func(path string, err error) { t.Error(path, err) })
		if err != nil || !found || second.Trainer.Steps() != stop {
			t.Fatalf("stopped after %d steps: found %v with %d steps, %v", stop, found, second.Trainer.Steps(), err)
		}
		second.At, second.Done = s.At, s.Done
		if err := second.Train(t.Context()); err != nil {
			t.Fatal(err)
		}
		if got := weights(second.Trainer); !slices.Equal(got, want) {
			t.Errorf("stopped after %d steps: other weights", stop)
		}
		if second.Done.Images != whole.Done.Images || len(second.Done.Epochs) != len(reports) {
			t.Fatalf("stopped after %d steps: %+v, undisturbed %+v", stop, second.Done, whole.Done)
		}
		for i, e := range second.Done.Epochs {
			want := reports[i]
			if *e.Distill != *want.Distill {
				t.Errorf("stopped after %d steps: distillation loss %g, undisturbed %g", stop, *e.Distill, *want.Distill)
			}
			if e.Distill = want.Distill; e != want {
				t.Errorf("stopped after %d steps: epoch %+v, undisturbed %+v", stop, e, want)
			}
		}
	}
}

// Errors of the data and of the callbacks end the run and come out as they went in.
func TestRunErrors(t *testing.T) {
	b := newBench(t, "cpu")
	broken := errors.New("broken")
	for name, change := range map[string]func(*Run){
		"data":  func(r *Run) { r.Data = &toyData{batches: 3, size: 4, fail: broken} },
		"step":  func(r *Run) { r.Step = func(Position, Stats) error { return broken } },
		"epoch": func(r *Run) { r.EndEpoch = func(Epoch) error { return broken } },
		"save":  func(r *Run) { r.Save = func(Position) error { return broken } },
	} {
		run := b.run(b.trainer())
		change(&run)
		if err := run.Train(t.Context()); !errors.Is(err, broken) {
			t.Errorf("%s: %v", name, err)
		}
	}
	// An interruption is saved; if that fails, that is the error.
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, want := range []error{nil, broken} {
		saved := false
		run := b.run(b.trainer())
		run.Save = func(p Position) error {
			saved = p == Position{}
			return want
		}
		if want == nil {
			want = context.Canceled
		}
		if err := run.Train(ctx); !errors.Is(err, want) || !saved {
			t.Errorf("%v, saved %v; want %v", err, saved, want)
		}
	}
}

// interruptedInside ends a context while a sweep is under way.
type interruptedInside struct {
	*toy
	at     int
	cancel context.CancelFunc
}

func (l *interruptedInside) Begin(step int) {
	if step == l.at {
		l.cancel()
	}
}

// A step that is interrupted in its middle is not made: what is saved is the state before it.
func TestInterruptedInside(t *testing.T) {
	b := newBench(t, "cpu")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	trainer := New(b.dev, &interruptedInside{b.learner(), 5, cancel}, tensor.NewKey(7), 0)
	savedAt(t, b, ctx, trainer, 5, Position{Epoch: 1, Batch: 1})
}

// savedAt trains until ctx ends, and looks whether what is saved then is the state of an undisturbed run after so
// many steps.
func savedAt(t *testing.T, b *bench, ctx context.Context, trainer *Trainer, steps int, at Position) {
	t.Helper()
	run := b.run(trainer)
	var saved Position
	run.Save = func(p Position) error {
		saved = p
		return nil
	}
	if err := run.Train(ctx); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	undisturbed, enough := b.trainer(), errors.New("enough")
	run = b.run(undisturbed)
	var want []float32
	run.Step = func(Position, Stats) error {
		if undisturbed.Steps() == steps {
			want = weights(undisturbed)
			return enough
		}
		return nil
	}
	if err := run.Train(t.Context()); !errors.Is(err, enough) {
		t.Fatal(err)
	}
	if saved.Epoch != at.Epoch || saved.Batch != at.Batch || trainer.Steps() != steps || !slices.Equal(weights(trainer), want) {
		t.Errorf("saved at %+v after %d steps, want %+v after %d", saved, trainer.Steps(), at, steps)
	}
}

// together is a rule that asks for all gradients of a group at once, and does what it would do by one.
type together struct{ optim.Sum }

func (r together) Over([]*tensor.Tensor, []*tensor.Tensor, []*tensor.Tensor) optim.Rule { return r.Sum }

// Updates in the middle of the sweep, each when its gradient is there, are those that follow it, to the bit.
func TestUpdatesInside(t *testing.T) {
	b := newBench(t, "cpu")
	b.taught = true
	for _, b.micro = range []int{0, 3} {
		var want []float32
		for _, rule := range []optim.Rule{together{optim.Sum{Weight: 0.5}}, optim.Sum{Weight: 0.5}} {
			l := b.learner()
			l.group.Rule = rule
			trainer := New(b.dev, l, tensor.NewKey(7), b.micro)
			inside := false
			run := b.run(trainer)
			run.Step = func(Position, Stats) error {
				inside = trainer.sweep.updated[0]
				return nil
			}
			if err := run.Train(t.Context()); err != nil {
				t.Fatal(err)
			}
			if want == nil {
				want = weights(trainer)
			} else if !slices.Equal(weights(trainer), want) || !inside {
				t.Errorf("parts of %d: inside %t, %v, want %v", b.micro, inside, weights(trainer), want)
			}
		}
	}
}

// From the first update on nothing is cut short: a run that is interrupted then is saved behind the step.
func TestInterruptedByUpdate(t *testing.T) {
	b := newBench(t, "cpu")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	l := b.learner()
	var trainer *Trainer
	l.group.Watch = func(int, float64, *tensor.Tensor) {
		if trainer.Steps() == 6 {
			cancel()
		}
	}
	trainer = New(b.dev, l, tensor.NewKey(7), 0)
	savedAt(t, b, ctx, trainer, 6, Position{Epoch: 1, Batch: 2})
}

// Parts of a batch come to the losses, the logits and the gradients of the batch, for any size of parts. An image's
// share is computed with other roundings, a handful, and the sum has another order.
func TestMicroBatches(t *testing.T) {
	const bound = 16 * 0x1p-52
	b := newBench(t, "ref")
	b.data.size = taughtTogether + 2
	for batch := range b.data.Epoch(t.Context(), 0, 0) {
		images := batch.Put(b.dev, nil)
		for _, b.taught = range []bool{false, true} {
			var want Stats
			var grads [2][]float64
			for micro := range len(batch.Labels) + 2 {
				b.micro = micro
				trainer := b.trainer()
				got, lanes, err := trainer.Gradients(t.Context(), images, batch.Labels)
				if err != nil {
					t.Fatal(err)
				}
				if micro == 0 {
					want = got
				}
				if got.Correct != want.Correct || relative(got.Loss, want.Loss) > bound || b.taught && relative(got.Distill, want.Distill) > bound {
					t.Errorf("parts of %d, taught %t: %+v, want %+v", micro, b.taught, got, want)
				}
				for lane, g := range lanes[0] {
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
						t.Errorf("parts of %d, taught %t: gradient %d is off by %g", micro, b.taught, lane, math.Sqrt(off/all))
					}
				}
				if err := trainer.Release(); err != nil {
					t.Fatal(err)
				}
			}
		}
		images.Release()
		return
	}
}

func relative(x, y float64) float64 { return math.Abs(x-y) / math.Abs(y) }

// A loss that is no number ends the run before anything is changed.
func TestNonFiniteLoss(t *testing.T) {
	b := newBench(t, "cpu")
	b.head.Scale = math.Inf(1)
	trainer := b.trainer()
	before := weights(trainer)
	run := b.run(trainer)
	if err := run.Train(t.Context()); !errors.Is(err, ErrNonFinite) || !strings.Contains(err.Error(), "cross-entropy loss of step 1") {
		t.Error(err)
	}
	if !slices.Equal(weights(trainer), before) || trainer.Steps() != 0 {
		t.Error("the weights have changed")
	}
}

// spoiler makes what is trained, or the optimizer's state of it, infinite in one update.
type spoiler struct {
	optim.Optimizer
	at    int
	state bool
}

func (s *spoiler) Update(w, g *tensor.Tensor) {
	s.Optimizer.Update(w, g)
	if s.Steps() == s.at {
		if s.state {
			w = s.State(w)[1].Tensor
		}
		tensor.Fill(w.Rows(1, 2), math.Inf(1))
	}
}

// What a step has spoilt is named, with the step, and is not saved over what was good.
func TestNonFiniteState(t *testing.T) {
	for _, c := range []struct {
		at    int
		state bool
		want  string
	}{
		{6, false, "weight after step 6 is not finite"},
		{8, false, "trained/weight after step 8 is not finite"}, // the last of an epoch, found at its end
		{6, true, "v/weight after step 8 is not finite"},        // shows in no loss
	} {
		b := newBench(t, "cpu")
		l := b.learner()
		l.group.Optimizer = &spoiler{l.group.Optimizer, c.at, c.state}
		dir := t.TempDir()
		run := b.run(New(b.dev, l, tensor.NewKey(7), 0))
		run.Save = func(p Position) error {
			if p.Batch != 0 {
				return nil
			}
			return SaveState(dir, run.Trainer, p, run.Done, nil)
		}
		if err := run.Train(t.Context()); !errors.Is(err, ErrNonFinite) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v", c, err)
		}
		if err := SaveState(dir, run.Trainer, Position{}, Progress{}, nil); !errors.Is(err, ErrNonFinite) {
			t.Errorf("%+v: saved, %v", c, err)
		}
		fresh := b.trainer()
		if s, found, err := RestoreState(dir, fresh, nil, none(t)); err != nil || !found || s.Steps != 4 {
			t.Errorf("%+v: %+v, %v, %v", c, s, found, err)
		}
	}
}

// A parameter that no loss depends on is an error, not one that never moves.
func TestUnusedParameter(t *testing.T) {
	b := newBench(t, "cpu")
	l := b.learner()
	l.group.Params = append(l.group.Params, &nn.Param{Name: "idle", Value: b.dev.Zeros(tensor.Full, 2, 2)})
	trainer := New(b.dev, l, tensor.NewKey(7), 0)
	for batch := range b.data.Epoch(t.Context(), 0, 0) {
		if _, err := trainer.Step(t.Context(), batch.Put(b.dev, nil), batch.Labels, 1e-3); err == nil || !strings.Contains(err.Error(), "idle") {
			t.Errorf("%v", err)
		}
		break
	}
}
