package rmt

import (
	"context"
	"iter"
	"math"

	"fewshot/tensor"
)

// Data is a training set in batches. The order of an epoch is fixed by the data's own seed and the epoch's
// number, so that a run can go on from any batch.
type Data interface {
	Batches() int // per epoch
	// Epoch yields the batches of an epoch from the given one on. A batch is valid until the next.
	Epoch(ctx context.Context, epoch, from int) iter.Seq2[Batch, error]
}

// Batch is a number of normalised images [N, 3, Size, Size] with their labels: Pixels, or else Fill, which puts the
// images into a tensor of kind Compute.
type Batch struct {
	Pixels []float32
	Fill   func(images *tensor.Tensor)
	Labels []int32
	Size   int
}

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

// EpochReport sums up an epoch.
type EpochReport struct {
	Epoch    int // from 1
	LR       float64
	Loss     float64 // mean cross-entropy of the augmented training images
	Distill  float64 // mean distillation loss; NaN where no batch needed it
	Accuracy float64 // percent of the augmented training images
	Images   int
	Sparsity Sparsity
	Tensors  []TensorSparsity
}

// TensorSparsity is the sparsity of one mask.
type TensorSparsity struct {
	Name string `json:"name"`
	Sparsity
}

// Training is a run of the tuner over epochs.
type Training struct {
	Tuner  *Tuner
	Config Config
	Data   Data
	At     Position // where to start: the zero value, or what Restore returned

	// Step, if set, is called after every step, Epoch after every epoch. Save is called when the run
	// could be continued from a position; it decides whether it is time to. An error ends the run.
	Step  func(Position, Stats) error
	Epoch func(EpochReport) error
	Save  func(Position) error
}

// Run trains to the last epoch. When ctx ends it saves, through Save, and returns ctx's error.
func (r *Training) Run(ctx context.Context) (err error) {
	schedule := r.Config.Schedule()
	var images *tensor.Tensor
	defer func() {
		if images != nil {
			images.Release()
		}
		if e := r.Tuner.Release(); err == nil {
			err = e
		}
	}()
	for at := &r.At; at.Epoch < r.Config.Epochs; {
		lr := schedule(at.Epoch)
		for b, err := range r.Data.Epoch(ctx, at.Epoch, at.Batch) {
			if ctx.Err() != nil {
				return r.interrupted(ctx)
			}
			if err != nil {
				return err
			}
			images = fill(r.Tuner.dev, images, b)
			s, err := r.Tuner.Step(images, b.Labels, lr)
			if err != nil {
				return err
			}
			at.add(s, len(b.Labels))
			if err := call(r.Step, *at, s); err != nil {
				return err
			}
			if at.Batch < r.Data.Batches() && r.Save != nil {
				if err := r.Save(*at); err != nil {
					return err
				}
			}
		}
		if ctx.Err() != nil {
			return r.interrupted(ctx)
		}
		if err := r.Tuner.dev.Sync(); err != nil { // of the last update
			return err
		}
		report := r.report(lr)
		*at = Position{Epoch: at.Epoch + 1}
		if r.Epoch != nil {
			if err := r.Epoch(report); err != nil {
				return err
			}
		}
		if r.Save != nil {
			if err := r.Save(*at); err != nil {
				return err
			}
		}
	}
	return nil
}

func (r *Training) interrupted(ctx context.Context) error {
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

func (r *Training) report(lr float64) EpochReport {
	at, n := r.At, float64(r.At.Images)
	e := EpochReport{Epoch: at.Epoch + 1, LR: lr, Loss: at.Loss / n, Distill: at.Distill / float64(at.Taught),
		Accuracy: 100 * float64(at.Correct) / n, Images: at.Images}
	for i, s := range sparsities(r.Tuner.Masks) {
		e.Tensors = append(e.Tensors, TensorSparsity{r.Tuner.Masks[i].Param.Name, s})
		e.Sparsity.Off += s.Off
		e.Sparsity.Total += s.Total
	}
	return e
}

func call(f func(Position, Stats) error, at Position, s Stats) error {
	if f == nil {
		return nil
	}
	return f(at, s)
}

// fill puts a batch on the device, into the tensor of the batch before where that has the right size.
func fill(dev *tensor.Device, x *tensor.Tensor, b Batch) *tensor.Tensor {
	n := len(b.Labels)
	if x != nil && x.Shape()[0] != n {
		x.Release()
		x = nil
	}
	if x == nil {
		x = dev.New(tensor.Compute, n, 3, b.Size, b.Size)
	}
	if b.Fill != nil {
		b.Fill(x)
	} else {
		x.Set(b.Pixels)
	}
	return x
}
