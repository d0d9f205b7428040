package tensor_test

import (
	"testing"

	"fewshot/tensor/internal/simd"
	"fewshot/tensor/tensortest"
)

// The kernels of every instruction set that this machine has, and the portable ones in float32, against the
// definitions. The best are what TestConformance runs.
func TestConformanceOfVariants(t *testing.T) {
	for _, v := range simd.Variants()[1:] {
		t.Run("kernels="+v, func(t *testing.T) {
			defer simd.Use(v)()
			tensortest.Run(t, opener("cpu", 2))
		})
	}
}
