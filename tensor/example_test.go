package tensor_test

import (
	"fmt"
	"log"

	"fewshot/tensor"
)

func open() *tensor.Device {
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 2})
	if err != nil {
		log.Fatal(err)
	}
	return dev
}

// A linear layer: weights lie as in checkpoints, one row an output.
func ExampleGemm() {
	dev := open()
	defer dev.Close()

	x := dev.From([]float32{1, 2, 3, 4, 5, 6}, 2, 3) // [B, in]
	w := dev.From([]float32{1, 0, 0, 0, 1, 1}, 2, 3) // [out, in]
	bias := dev.From([]float32{10, 20}, 2)           // [out]
	y := dev.New(tensor.Full, 2, 2)                  // [B, out]
	tensor.Gemm(y, x, w, tensor.GemmOptions{TransB: true, Bias: bias})
	fmt.Println(y.Floats())
	// Output: [11 25 14 31]
}

// The only broadcast: the shape of the last operand is the tail of the other's.
func ExampleAdd() {
	dev := open()
	defer dev.Close()

	x := dev.From([]float32{1, 2, 3, 4, 5, 6}, 3, 2)
	tensor.Add(x, x, dev.From([]float32{10, 20}, 2))
	fmt.Println(x.Floats())
	// Output: [11 22 13 24 15 26]
}

// A weight as its mask lets it through: where the score exceeds the threshold.
func ExampleMask() {
	dev := open()
	defer dev.Close()

	w := dev.From([]float32{1, 2, 3, 4}, 4)
	scores := dev.From([]float32{0.01, 0.004, 0.005, 0.006}, 4)
	masked, kept := dev.New(tensor.Compute, 4), dev.New(tensor.Full)
	tensor.Mask(masked, w, scores, 0.005)
	tensor.CountAbove(kept, scores, 0.005)
	fmt.Println(masked.Floats(), kept.Item())
	// Output: [1 0 0 4] 2
}

// Two losses, one sweep: the saved softmax y serves both lanes of the cotangent.
func ExampleSoftmaxGrad() {
	dev := open()
	defer dev.Close()

	y := dev.New(tensor.Full, 2)
	tensor.Softmax(y, dev.From([]float32{0, 0}, 2))
	ct := dev.From([]float32{1, 0, 0, 2}, 2, 2) // [K, 2]
	tensor.SoftmaxGrad(ct, ct, y)
	fmt.Println(ct.Floats())
	// Output: [0.25 -0.25 -0.5 0.5]
}

// The i-th number of a key does not depend on what was drawn before.
func ExampleKey() {
	dev := open()
	defer dev.Close()

	k := tensor.NewKey(1).Name("dropout").Fold(7)
	u := dev.New(tensor.Full, 1000)
	tensor.Uniform(u, k)
	fmt.Println(u.Floats()[999] == float32(k.Uniform(999)))
	// Output: true
}

// Views share memory; Release returns it to the pool once.
func ExampleTensor_Index() {
	dev := open()
	defer dev.Close()

	lanes := dev.Zeros(tensor.Full, 2, 3) // [K, 3]
	tensor.Fill(lanes.Index(1), 5)
	fmt.Println(lanes.Floats())
	lanes.Release()
	// Output: [0 0 0 5 5 5]
}

func ExampleShapeError() {
	dev := open()
	defer dev.Close()

	defer func() { fmt.Println(recover()) }()
	tensor.Add(dev.Zeros(tensor.Full, 4), dev.Zeros(tensor.Full, 4), dev.Zeros(tensor.Full, 3))
	// Output: tensor: Add: dst like x, y a suffix of x; dst[4] x[4] y[3]
}

func ExampleOpen() {
	_, err := tensor.Open("cpu", tensor.Options{Precision: "fp8"})
	fmt.Println(err)
	// Output: device "cpu": precision "fp8" is not offered; this device computes in float32, bf16 or int8
}
