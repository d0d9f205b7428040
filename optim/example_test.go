package optim_test

import (
	"fmt"
	"log"

	"fewshot/optim"
	"fewshot/tensor"
)

func device() *tensor.Device {
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	return dev
}

// A step has a learning rate and then an update for each parameter. Adam's first moves each element by the rate,
// whatever the size of its gradient.
func ExampleAdam() {
	dev := device()
	defer dev.Close()

	w := dev.From([]float32{1, 1, 1}, 3)
	g := dev.From([]float32{0.5, -100, 0}, 3)
	adam := optim.NewAdam()
	adam.Tick(0.25)
	adam.Update(w, g)
	fmt.Printf("%.4f\n", w.Floats())
	// Output: [0.7500 1.2500 1.0000]
}

// Gradient dropout with l = 1. The gradient of the task's loss is taken as it is where the distillation loss agrees or
// has nothing to say; where that pulls the other way, a hundred times as hard, it is dropped, 99 times of 100.
func ExampleGradDrop() {
	dev := device()
	defer dev.Close()

	w := dev.Zeros(tensor.Full, 3)
	a := dev.From([]float32{1, 1, 1}, 3)    // of the task's loss
	b := dev.From([]float32{2, 0, -100}, 3) // of the distillation loss
	sgd := optim.NewSGD(0, 0)
	sgd.Tick(1)
	optim.GradDrop{Leak: 1}.Apply(sgd, w, a, b, tensor.NewKey(1))
	fmt.Println(w.Floats())
	// Output: [-1 -1 0]
}

// The learning rate of R-AMT's published schedule: 30 epochs from 8e-5.
func ExampleCosine() {
	lr := optim.Cosine(8e-5, 30)
	fmt.Printf("%.6e %.6e … %.6e\n", lr(0), lr(1), lr(29))
	// Output: 8.000000e-05 7.978088e-05 … 2.191242e-07
}

// CoOp's schedule: an epoch at 1e-5, then a cosine from its beginning.
func ExampleWarmup() {
	lr := optim.Warmup(1, 1e-5, optim.Cosine(0.002, 50))
	fmt.Printf("%g %g %.6f … %.2e\n", lr(0), lr(1), lr(2), lr(49))
	// Output: 1e-05 0.002 0.001998 … 7.89e-06
}
