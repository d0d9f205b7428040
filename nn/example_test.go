package nn_test

import (
	"fmt"
	"log"
	"maps"
	"slices"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

// tensors is a checkpoint in memory: tensors by name.
type tensors map[string]struct {
	shape  []int
	values []float32
}

func (c tensors) Names() []string { return slices.Sorted(maps.Keys(c)) }

func (c tensors) Shape(name string) ([]int, bool) {
	t, ok := c[name]
	return t.shape, ok
}

func (c tensors) Read(name string, dst []float32) error {
	copy(dst, c[name].values)
	return nil
}

func device() *tensor.Device {
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		log.Fatal(err)
	}
	return dev
}

// A layer asks for its tensors by their names in the checkpoint, and is ready when it is made.
func ExampleNewLinear() {
	dev := device()
	defer dev.Close()

	w := nn.NewWeights(dev, tensors{
		"visual.head.weight": {[]int{2, 3}, []float32{1, 0, 0, 0, 1, 1}}, // [out, in]
		"visual.head.bias":   {[]int{2}, []float32{10, 20}},
	})
	head := nn.NewLinear(w.In("visual", "head"), 3, 2)
	if err := w.Err(); err != nil {
		log.Fatal(err)
	}
	tape := autograd.NoGrad(dev)
	defer tape.Release()
	x := tape.Const(dev.From([]float32{1, 2, 3}, 1, 3)) // [B, in]
	fmt.Println(head.Forward(x).Value.Floats())
	// Output: [11 25]
}

// What a checkpoint lacks, and what has another shape than it should have, is reported together, once all layers are
// made.
func ExampleWeights_Err() {
	dev := device()
	defer dev.Close()

	w := nn.NewWeights(dev, tensors{"head.weight": {[]int{2, 4}, make([]float32, 8)}})
	nn.NewLinear(w.In("head"), 3, 2)
	fmt.Println(w.Err())
	// Output:
	// head.weight: has shape [2 4], want [2 3]
	// head.bias: missing, want shape [2]
}

// A parametrisation changes what layers see of a parameter, as a mask does, and not the parameter.
func ExampleParam_Parametrize() {
	dev := device()
	defer dev.Close()

	p := &nn.Param{Name: "weight", Value: dev.From([]float32{1, 2, 3}, 3)}
	keep := dev.From([]float32{1, 0, 1}, 3)
	seen := func() []float32 {
		tape := autograd.NoGrad(dev)
		defer tape.Release()
		return p.On(tape).Value.Floats()
	}
	p.Parametrize(func(t *autograd.Tape, w *autograd.Var) *autograd.Var { return autograd.Mul(w, t.Const(keep)) })
	fmt.Println(seen(), p.Value.Floats())
	p.Parametrize(nil)
	fmt.Println(seen())
	// Output:
	// [1 0 3] [1 2 3]
	// [1 2 3]
}
