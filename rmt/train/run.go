package train

import (
	"context"
	"math"
	"time"

	"fewshot/optim"
	"fewshot/tensor"
)

// Position is where a run stands: the next batch to train on, and the sums of the epoch so far.
type Position struct {
	Epoch   int     `json:"epoch"` // from 0
	Batch   int     `json:"batch"` // of the epoch, from 0
	Images  int     `json:"images"`
	Correct int     `json:"correct"`
	Loss    float64 `json:"loss"`    // sum over images
	Distill float64 `json:"distill"` // sum over images for which it was computed
	Taught  int     `json:"taught"`  // number of these
}

// Epoch sums up an epoch.
type Epoch struct {
	Epoch    int      `json:"epoch"` // from 1
	LR       float64  `json:"lr"`
	Loss     float64  `json:"loss"`           // mean of the first loss over the augmented training images
	Distill  *float64 `json:"distill"`        // mean of the second one; nil where no batch had it
	Accuracy float64  `json:"train_accuracy"` // percent of the augmented training images
	Images   int      `json:"images"`
	Val      *float64 `json:"val_accuracy,omitempty"` // percent of the validation images; nil where nobody asked
}

// Progress is what a run has behind it, over all the processes that it took.
type Progress struct {
	Epochs  []Epoch       `json:"epochs"` // those done
	Images  int           `json:"images"` // trained on
	Elapsed time.Duration `json:"nanoseconds"`
	Whole   *Cost         `json:"whole,omitempty"` // of all that the run does, training or not; nil where nobody measured it
}

// Cost is what something takes.
type Cost struct {
	Wall      time.Duration `json:"nanoseconds"`
	Processor time.Duration `json:"cpu_nanoseconds,omitempty"` // of all processors of the host; 0 where it is not known
}

// negative reports whether it is no cost of anything.
func (c *Cost) negative() bool { return c != nil && (c.Wall < 0 || c.Processor < 0) }

// Best is the epoch with the best validation accuracy, the earlier of equal ones; nil where there is none.
func (p Progress) Best() *Epoch {
	var best *Epoch
	for i := range p.Epochs {
		if e := &p.Epochs[i]; e.Val != nil && (best == nil || *e.Val > *best.Val) {
			best = e
		}
	}
	return best
}

// Run is the training of a learner over epochs.
type Run struct {
	Trainer  *Trainer
	Epochs   int
	Schedule optim.Schedule // learning rate by epoch, from 0
	PerStep  bool           // rather by step
	Steps    int            // where not 0, the run ends after so many steps, though an epoch be not
	Data     Data
	At       Position // where to start: the zero value, or what Restore returned
	Done     Progress // what came before that

	// Step, if set, is called after every step, EndEpoch after every epoch. Save is called when the run
	// could be continued from a position; it decides whether it is time to. An error ends the run.
	Step     func(Position, Stats) error
	EndEpoch func(Epoch) error
	Save     func(Position) error

	// Validate, if set, says after every epoch what it has come to, in percent of images that are not trained on. What
	// was learned by the best epoch is kept by the trainer, whose KeepBest must have been called; [Trainer.TakeBest]
	// puts it back.
	Validate func() (float64, error)

	validated time.Duration // in this process: it is no time of training
}

// Train trains to the last epoch. When ctx ends it saves, through Save, and returns ctx's error.
func (r *Run) Train(ctx context.Context) (err error) {
	var images *tensor.Tensor
	defer func() {
		if images != nil {
			images.Release()
		}
		if e := r.Trainer.Release(); err == nil {
			err = e
		}
	}()
	if d, ok := r.Data.(interface{ Last(epoch int) }); ok { // keeps something from epoch to epoch
		d.Last(r.Epochs - 1)
	}
	began, before := time.Now(), r.Done.Elapsed
	clock := func() { r.Done.Elapsed = before + time.Since(began) - r.validated }
	if n := len(r.Done.Epochs); r.Validate != nil && n > 0 && r.Done.Epochs[n-1].Val == nil { // interrupted in between
		if err := r.endValidated(ctx); err != nil {
			return err
		}
	}
	for at := &r.At; at.Epoch < r.Epochs && !r.done(); {
		if ctx.Err() != nil {
			return r.interrupted(ctx)
		}
		lr := r.rate(*at)
		for b, err := range r.Data.Epoch(ctx, at.Epoch, at.Batch) {
			if ctx.Err() != nil {
				return r.interrupted(ctx)
			}
			if err != nil {
				return err
			}
			lr = r.rate(*at)
			images = b.Put(r.Trainer.dev, images)
			s, err := r.Trainer.Step(ctx, images, b.Labels, lr)
			if err != nil && ctx.Err() != nil {
				return r.interrupted(ctx)
			}
			if err != nil {
				return err
			}
			at.add(s, len(b.Labels))
			r.Done.Images += len(b.Labels)
			clock()
			if r.Step != nil {
				if err := r.Step(*at, s); err != nil {
					return err
				}
			}
			if at.Batch < r.Data.Batches() && r.Save != nil {
				if err := r.Save(*at); err != nil {
					return err
				}
			}
			if r.done() {
				break
			}
		}
		if ctx.Err() != nil {
			return r.interrupted(ctx)
		}
		if err := r.endEpoch(ctx, lr); err != nil {
			return err
		}
	}
	return nil
}

// done reports whether all steps were made, where their number is given.
func (r *Run) done() bool { return r.Steps > 0 && r.Trainer.Steps() >= r.Steps }

// Rate is how many images a second were trained on, over all processes of the run.
func (r *Run) Rate() float64 { return float64(r.Done.Images) / max(r.Done.Elapsed.Seconds(), 1e-9) }

// endEpoch goes over to the next epoch.
func (r *Run) endEpoch(ctx context.Context, lr float64) error {
	if err := r.Trainer.Check(); err != nil { // and of the last update
		return err
	}
	e := r.At.sum(lr)
	r.Trainer.Learner.EndEpoch(r.At.Epoch)
	r.Done.Epochs = append(r.Done.Epochs, e)
	r.At = Position{Epoch: r.At.Epoch + 1}
	return r.endValidated(ctx)
}

// endValidated validates the last epoch, if that is to be, and tells of it.
func (r *Run) endValidated(ctx context.Context) error {
	e := &r.Done.Epochs[len(r.Done.Epochs)-1]
	if r.Validate != nil {
		began := time.Now()
		v, err := r.Validate()
		r.validated += time.Since(began)
		if err != nil && ctx.Err() != nil {
			return r.interrupted(ctx) // to be validated by whoever goes on
		}
		if err != nil {
			return err
		}
		if best := r.Done.Best(); best == nil || v > *best.Val {
			r.Trainer.keep()
		}
		e.Val = &v
	}
	if r.EndEpoch != nil {
		if err := r.EndEpoch(*e); err != nil {
			return err
		}
	}
	if r.Save != nil {
		return r.Save(r.At)
	}
	return nil
}

// rate is the learning rate of the next step.
func (r *Run) rate(at Position) float64 {
	if r.PerStep {
		return r.Schedule(at.Epoch*r.Data.Batches() + at.Batch)
	}
	return r.Schedule(at.Epoch)
}

func (r *Run) interrupted(ctx context.Context) error {
	if r.Save != nil {
		if err := r.Save(r.At); err != nil {
			return err
		}
	}
	return ctx.Err()
}

func (at *Position) add(s Stats, n int) {
	at.Batch++
	at.Images += n
	at.Correct += s.Correct
	at.Loss += s.Loss * float64(n)
	if !math.IsNaN(s.Distill) {
		at.Distill += s.Distill * float64(n)
		at.Taught += n
	}
}

// sum is the epoch that is at its end.
func (at Position) sum(lr float64) Epoch {
	n := float64(at.Images)
	e := Epoch{Epoch: at.Epoch + 1, LR: lr, Loss: at.Loss / n, Accuracy: 100 * float64(at.Correct) / n, Images: at.Images}
	if at.Taught > 0 {
		d := at.Distill / float64(at.Taught)
		e.Distill = &d
	}
	return e
}

// ForSteps is a run of so many steps, whose schedule goes by step.
func ForSteps(t *Trainer, steps int, s optim.Schedule, d Data) *Run {
	return &Run{Trainer: t, Epochs: (steps + d.Batches() - 1) / d.Batches(), Steps: steps, Schedule: s, PerStep: true, Data: d}
}
