package train

import (
	"context"
	"errors"
	"slices"
	"testing"
)

// The best epoch's weights are those that are left, of equal ones the earlier's, wherever the run was interrupted: in
// an epoch, or while it was being validated.
func TestBestEpoch(t *testing.T) {
	scores := []float64{40, 60, 60}
	var want, afterSecond []float32
	identity := map[string]string{"select": "val"}
	for _, stop := range []int{0, 2, 6, 9, -1, -2, -3} { // after so many steps; in the so manieth validation
		b, dir := newBench(t, "cpu"), t.TempDir()
		ctx, cancel := context.WithCancel(t.Context())
		asked := 0
		begin := func(ctx context.Context, trainer *Trainer) *Run {
			run := b.run(trainer)
			trainer.KeepBest()
			run.Validate = func() (float64, error) {
				if asked++; asked == -stop {
					cancel()
					return 0, ctx.Err()
				}
				return scores[len(run.Done.Epochs)-1], nil
			}
			run.Save = func(p Position) error { return SaveState(dir, trainer, p, run.Done, identity) }
			return &run
		}
		run := begin(ctx, b.trainer())
		run.Step = func(Position, Stats) error {
			if run.Trainer.Steps() == stop {
				cancel()
			}
			return nil
		}
		run.EndEpoch = func(e Epoch) error {
			if e.Epoch == 2 {
				afterSecond = slices.Clone(weights(run.Trainer))
			}
			return nil
		}
		if err := run.Train(ctx); stop == 0 && err != nil || stop != 0 && !errors.Is(err, context.Canceled) {
			t.Fatalf("%d: %v", stop, err)
		}
		if stop != 0 {
			run = begin(t.Context(), b.trainer())
			s, found, err := RestoreState(dir, run.Trainer, identity, none(t))
			if err != nil || !found {
				t.Fatalf("%d: %v", stop, err)
			}
			run.At, run.Done = s.At, s.Done
			if err := run.Train(t.Context()); err != nil {
				t.Fatalf("%d: %v", stop, err)
			}
		}
		var vals []float64
		for _, e := range run.Done.Epochs {
			vals = append(vals, *e.Val)
		}
		if best := run.Done.Best(); !slices.Equal(vals, scores) || best.Epoch != 2 {
			t.Errorf("%d: %v, best %+v", stop, vals, best)
		}
		last := slices.Clone(weights(run.Trainer))
		run.Trainer.TakeBest()
		got := slices.Clone(weights(run.Trainer))
		if stop == 0 {
			if want = got; !slices.Equal(want, afterSecond) || slices.Equal(want, last) || run.Trainer.Learner.(*toy).restored != 1 {
				t.Fatal("these are not the second epoch's weights")
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("interrupted at %d it leaves other weights", stop)
		}
		cancel()
	}
}
