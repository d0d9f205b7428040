package tensor_test

import (
	"strings"
	"testing"

	"fewshot/tensor"
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

// A processor that multiplies no bfloat16 says what that format costs there, and one that does says nothing of the kind.
func TestDescribeSlowBF16(t *testing.T) {
	for _, name := range simd.Variants() {
		if name == "" {
			continue
		}
		restore := simd.Use(name)
		for _, precision := range []string{"float32", "bf16"} {
			d, err := tensor.Open("cpu", tensor.Options{Workers: 1, Precision: precision})
			if err != nil {
				t.Fatal(err)
			}
			if got, want := strings.Contains(d.Describe(), "slower than float32"), precision == "bf16" && !simd.HasBF16(); got != want {
				t.Errorf("%s in %s: %q", name, precision, d.Describe())
			}
			if err := d.Close(); err != nil {
				t.Error(err)
			}
		}
		restore()
	}
}

// Strassen's algorithm is used by default where the table of kernels says so.
func TestStrassenPays(t *testing.T) {
	pays := map[string]bool{"avx512": true, "avx2": false, "neon": false, "": false}
	for _, name := range simd.Variants() {
		restore := simd.Use(name)
		if got := tensor.StrassenPays(); got != pays[name] {
			t.Errorf("kernels %q: %v", name, got)
		}
		restore()
	}
}
