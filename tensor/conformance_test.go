package tensor_test

import (
	"testing"

	"fewshot/tensor"
	"fewshot/tensor/internal/simd"
	"fewshot/tensor/tensortest"
)

// opener opens a device for tensortest, with w workers where the test does not choose them.
func opener(name string, w int) func(o tensor.Options) (*tensor.Device, error) {
	return func(o tensor.Options) (*tensor.Device, error) {
		if o.Workers == 0 {
			o.Workers = w
		}
		return tensor.Open(name, o)
	}
}

func TestConformance(t *testing.T) {
	for _, name := range []string{"ref", "cpu"} {
		t.Run(name, func(t *testing.T) { tensortest.Run(t, opener(name, 3)) })
	}
	for _, v := range simd.Variants() {
		t.Run("cpu bf16 kernels="+v, func(t *testing.T) {
			defer simd.Use(v)()
			tensortest.Run(t, narrow(opener("cpu", 3)))
		})
	}
}

// narrow opens a device in bf16.
func narrow(open func(tensor.Options) (*tensor.Device, error)) func(tensor.Options) (*tensor.Device, error) {
	return func(o tensor.Options) (*tensor.Device, error) {
		o.Precision = "bf16"
		return open(o)
	}
}

func TestSameBitsForAnyNumberOfWorkers(t *testing.T) {
	t.Run("ref", func(t *testing.T) { tensortest.SameBits(t, opener("ref", 0), 1, 3) })
	for i, v := range simd.Variants() {
		workers := []int{1, 2, 3, 5, 16}
		if i > 0 { // they share how work is cut
			workers = []int{1, 5}
		}
		t.Run("cpu kernels="+v, func(t *testing.T) {
			defer simd.Use(v)()
			tensortest.SameBits(t, opener("cpu", 0), workers...)
		})
	}
}
