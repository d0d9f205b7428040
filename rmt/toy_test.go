package rmt

import (
	"context"
	"iter"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// toy is an encoder of one masked weight: features = images · weightᵀ.
type toy struct{ weight *nn.Param }

const (
	toySize  = 4               // pixels a side
	toyIn    = 3 * toySize * 4 // numbers in an image
	toyEmbed = 6
)

func (e *toy) Encode(images *autograd.Var) *autograd.Var {
	return autograd.Linear(autograd.FirstToken(autograd.Patches(images, toySize)), e.weight.On(images.Tape()), nil)
}

// bench is everything that a tuner needs, in small.
type bench struct {
	dev              *tensor.Device
	student, teacher *toy
	head             train.Head
	config           Config
	data             *toyData
}

func newBench(t *testing.T, device string) *bench {
	t.Helper()
	dev, err := tensor.Open(device, tensor.Options{Workers: 1, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	w := dev.New(tensor.Compute, toyEmbed, toyIn)
	tensor.Normal(w, tensor.NewKey(1))
	classes, norm := dev.New(tensor.Full, 5, toyEmbed), dev.New(tensor.Full, 5)
	tensor.Normal(classes, tensor.NewKey(2))
	tensor.L2Normalize(classes, norm, classes)
	c, err := Defaults("r-amt", "paper", "toy", 16, false)
	if err != nil {
		t.Fatal(err)
	}
	c.Epochs, c.LR, c.Batch = 3, 1.5e-3, 4
	return &bench{dev: dev, student: &toy{&nn.Param{Name: "visual.weight", Value: w}}, teacher: &toy{&nn.Param{Name: "visual.weight", Value: w}},
		head: train.Head{Classes: classes, Scale: 10}, config: c, data: &toyData{batches: 4, size: c.Batch}}
}

// tuner is a trainer of masks.
type tuner struct {
	*train.Trainer
	*Learner
}

// tuner puts a fresh mask on the student.
func (b *bench) tuner() tuner { return b.tunerOf("weight") }

// tunerOf does so with scores for weights, filters or channels.
func (b *bench) tunerOf(granularity string) tuner {
	masks := AttachAs([]*nn.Param{b.student.weight}, granularity, b.config.Init, b.config.Threshold)
	l := NewLearner(b.student, b.teacher, b.head, masks, b.config.Rule())
	return tuner{NewTrainer(b.dev, l, b.config), l}
}

// toyData draws the images of an epoch by its number.
type toyData struct {
	batches, size int
	fail          error // in place of the last batch
}

func (d *toyData) Batches() int { return d.batches }

func (d *toyData) Epoch(ctx context.Context, epoch, from int) iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) {
		for i := from; i < d.batches; i++ {
			b := train.Batch{Size: toySize, Pixels: make([]float32, d.size*toyIn), Labels: make([]int32, d.size)}
			key := tensor.NewKey(3).Fold(uint64(epoch)).Fold(uint64(i))
			for j := range b.Pixels {
				b.Pixels[j] = float32(key.Normal(uint64(j)))
			}
			for j := range b.Labels {
				b.Labels[j] = int32(j+i) % 5
			}
			err := ctx.Err()
			if i == d.batches-1 && err == nil {
				err = d.fail
			}
			if !yield(b, err) || err != nil {
				return
			}
		}
	}
}
