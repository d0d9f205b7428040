package tensor_test

import (
	"testing"

	"fewshot/tensor"
	"fewshot/tensor/internal/simd"
)

func TestPeak(t *testing.T) {
	for _, kernels := range simd.Variants() {
		for _, precision := range []string{"float32", "bf16"} {
			restore := simd.Use(kernels)
			d, err := tensor.Open("cpu", tensor.Options{Workers: 2, Precision: precision})
			if err != nil {
				t.Fatal(err)
			}
			for format, has := range map[string]bool{"float32": kernels != "", "bf16": simd.HasBF16(), "float12": false} {
				flop, run := d.Peak(format)
				if (flop > 0) != has || (run != nil) != has {
					t.Errorf("kernels %q, precision %s: %g operations in %s", kernels, precision, flop, format)
				} else if has {
					run()
				}
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
			restore()
		}
	}
	ref, err := tensor.Open("ref", tensor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer ref.Close()
	if flop, run := ref.Peak("float32"); flop != 0 || run != nil {
		t.Errorf("ref: %g operations", flop)
	}
}
