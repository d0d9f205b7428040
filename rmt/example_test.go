package rmt_test

import (
	"context"
	"fmt"
	"iter"
	"log"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// linear is the smallest encoder: images of one pixel times a weight.
type linear struct{ weight *nn.Param }

func (e linear) Encode(images *autograd.Var) *autograd.Var {
	return autograd.Linear(autograd.FirstToken(autograd.Patches(images, 1)), e.weight.On(images.Tape()), nil)
}

// pixels are two images: the first is red, the second green, and both are very blue.
type pixels struct{}

func (pixels) Batches() int { return 1 }

func (pixels) Epoch(context.Context, int, int) iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) {
		yield(train.Batch{Size: 1, Pixels: []float32{1, 0, 5, 0, 1, 5}, Labels: []int32{0, 1}}, nil)
	}
}

// A model that takes everything blue for red is cured by switching one weight off.
func Example() {
	dev, err := tensor.Open("cpu", tensor.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	weight := dev.From([]float32{
		1, 0, 3, // red looks like red, and so does blue
		0, 1, 0, // green looks like green
	}, 2, 3)
	student, teacher := linear{&nn.Param{Name: "weight", Value: weight}}, linear{&nn.Param{Name: "weight", Value: weight}}
	head := train.Head{Classes: dev.From([]float32{1, 0, 0, 1}, 2, 2), Scale: 10}

	config, err := rmt.Defaults("amt", "paper", "pixels", 1, false)
	if err != nil {
		log.Fatal(err)
	}
	if config.Epochs, err = config.EnoughEpochs(pixels{}.Batches()); err != nil {
		log.Fatal(err)
	}
	picked, err := rmt.Select([]*nn.Param{student.weight}, []string{"weight"})
	if err != nil {
		log.Fatal(err)
	}
	masks := rmt.Attach(picked, config.Init, config.Threshold)
	trainer := rmt.NewTrainer(dev, rmt.NewLearner(student, teacher, head, masks, config.Rule()), config)
	run := train.Run{Trainer: trainer, Epochs: config.Epochs, Schedule: config.Schedule(), Data: pixels{}}
	if err := run.Train(context.Background()); err != nil {
		log.Fatal(err)
	}
	fmt.Println("kept:", masks[0].Bits())
	fmt.Println("off:", rmt.SparsityOf(masks))
	labels(dev, "untouched", teacher, head)
	labels(dev, "masked", student, head)
	// Output:
	// kept: [true true false true true true]
	// off: 16.67 % (1 of 6)
	// untouched [0 0]
	// masked [0 1]
}

func labels(dev *tensor.Device, name string, e train.Encoder, head train.Head) {
	for l, err := range train.Predict(context.Background(), dev, train.Model{Encoder: e, Head: head}, pixels{}.Epoch(context.Background(), 0, 0)) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(name, l)
	}
}
