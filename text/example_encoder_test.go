package text_test

import (
	"context"
	"fmt"
	"log"
	"slices"

	"fewshot/nn"
	"fewshot/tensor"
	"fewshot/text"
)

// ramp is a checkpoint of these shapes with some values in it.
type ramp struct{ shapes }

func (ramp) Read(_ string, dst []float32) error {
	for i := range dst {
		dst[i] = float32(i%7-3) / 8
	}
	return nil
}

// Class names become a zero-shot classifier: a row of length 1 for each.
func ExampleClassifier() {
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	defer dev.Close()
	tok, err := text.TrainBPE(slices.Values([]string{"a photo of a cat", "a photo of a dog"}), 8)
	if err != nil {
		log.Fatal(err)
	}
	src := ramp{checkpoint(tok.Size(), 16, 64, 32, 1, 256)} // 16 tokens, 64 wide, features of 32 numbers, one block
	config, err := text.ConfigOf(src, text.Config{Activation: tensor.QuickGELU})
	if err != nil {
		log.Fatal(err)
	}
	w := nn.NewWeights(dev, src)
	encoder := text.New(w, config)
	if err := w.Err(); err != nil {
		log.Fatal(err)
	}
	head, err := text.Classifier(context.Background(), encoder, tok, dev, []string{"cat", "dog"}, []string{"a photo of a {}."}, text.NormalizeFirst)
	if err != nil {
		log.Fatal(err)
	}
	defer head.Release()
	norm := dev.New(tensor.Full)
	tensor.SumSquares(norm, head.Index(0))
	fmt.Printf("%v %.3f\n", head.Shape(), norm.Item())
	// Output: [2 32] 1.000
}
