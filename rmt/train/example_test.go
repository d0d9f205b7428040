package train_test

import (
	"context"
	"fmt"
	"iter"
	"log"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// probe is a method: a linear classifier of images of one pixel.
type probe struct {
	train.Base
	weight *nn.Param // [classes, 3]
}

func (p *probe) Groups() []train.Group {
	return []train.Group{{Params: []*nn.Param{p.weight}, Optimizer: optim.NewSGD(0, 0)}}
}

func (p *probe) Plan() train.Plan { return train.Plan{Lanes: 1, Classes: p.weight.Value.Shape()[0]} }

func (p *probe) Losses(t *autograd.Tape, part train.Part) ([]*autograd.Var, *autograd.Var) {
	logits := p.Logits(t.Const(part.Images))
	return []*autograd.Var{autograd.CrossEntropy(logits, part.Labels)}, logits
}

// Logits makes it a classifier: what is trained is what is tested.
func (p *probe) Logits(images *autograd.Var) *autograd.Var {
	rgb := autograd.Reshape(images, images.Shape()[0], 3)
	return autograd.Linear(rgb, p.weight.On(images.Tape()), nil)
}

// colours are a batch of a red, a green and a blue pixel.
type colours struct{}

func (colours) Batches() int { return 1 }

func (colours) Epoch(context.Context, int, int) iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) {
		yield(train.Batch{Size: 1, Pixels: []float32{1, 0, 0, 0, 1, 0, 0, 0, 1}, Labels: []int32{0, 1, 2}}, nil)
	}
}

// A method says what it trains and what it loses; the loop is the same for all.
func Example() {
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	p := &probe{weight: &nn.Param{Name: "weight", Value: dev.Zeros(tensor.Full, 3, 3)}}
	run := train.Run{
		Trainer: train.New(dev, p, tensor.NewKey(1), 0), Epochs: 3, Schedule: optim.Constant(1), Data: colours{},
		EndEpoch: func(e train.Epoch) error {
			_, err := fmt.Printf("epoch %d: loss %.3f, %.0f %% right\n", e.Epoch, e.Loss, e.Accuracy)
			return err
		},
	}
	ctx := context.Background()
	if err := run.Train(ctx); err != nil {
		log.Fatal(err)
	}
	for labels, err := range train.Predict(ctx, dev, p, colours{}.Epoch(ctx, 0, 0)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(labels)
	}
	// Output:
	// epoch 1: loss 1.099, 33 % right
	// epoch 2: loss 0.889, 100 % right
	// epoch 3: loss 0.726, 100 % right
	// [0 1 2]
}
