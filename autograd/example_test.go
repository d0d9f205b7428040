package autograd_test

import (
	"fmt"

	"fewshot/autograd"
	"fewshot/tensor"
)

// Two losses of one network: their gradients come out of one sweep, side by side.
func ExampleBackward() {
	dev, err := tensor.Open("ref", tensor.Options{Workers: 1})
	if err != nil {
		panic(err)
	}
	defer dev.Close()
	w := dev.From([]float32{1, 0, 0, 1}, 2, 2)
	x := dev.From([]float32{2, 1}, 1, 2)

	tape := autograd.NewTape(dev)
	defer tape.Release()
	logits := autograd.Linear(tape.Const(x), tape.Leaf(w), nil)
	first := autograd.CrossEntropy(logits, []int32{0})
	second := autograd.CrossEntropy(logits, []int32{1})
	g := autograd.Backward(first, second).Of(w)

	fmt.Println(g.Shape())
	fmt.Printf("%.3f\n%.3f\n", g.Index(0).Floats(), g.Index(1).Floats())
	// Output:
	// [2 2 2]
	// [-0.538 -0.269 0.538 0.269]
	// [1.462 0.731 -1.462 -0.731]
}
