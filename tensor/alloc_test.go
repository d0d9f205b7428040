package tensor_test

import (
	"testing"

	"fewshot/tensor"
)

// An operation costs the garbage collector no more than the closures it hands to the workers, so that a
// step's thousands of operations do not add up.
func TestOperationsHardlyAllocate(t *testing.T) {
	d, err := tensor.Open("cpu", tensor.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	x, y, row := d.Zeros(tensor.Full, 64, 768), d.Zeros(tensor.Full, 64, 768), d.Zeros(tensor.Full, 768)
	stats, w := d.Zeros(tensor.Full, 64, 2), d.Zeros(tensor.Full, 768, 768)
	total, all := row.View(1, 768), x.View(1, 64, 768)
	for name, f := range map[string]func(){
		"Add":          func() { tensor.Add(y, x, row) },
		"Mask":         func() { tensor.Mask(y, x, x, 0) },
		"Activate":     func() { tensor.Activate(y, x, tensor.QuickGELU) },
		"ActivateGrad": func() { tensor.ActivateGrad(y, y, x, tensor.QuickGELU) },
		"LayerNorm":    func() { tensor.LayerNorm(y, stats, x, row, row, 1e-5) },
		"Gemm":         func() { tensor.Gemm(y, x, w, tensor.GemmOptions{Bias: row}) },
		"SumTo":        func() { tensor.SumTo(total, all) },
		"New":          func() { d.New(tensor.Full, 64, 768).Release() },
	} {
		f() // scratch memory grows once
		if n := testing.AllocsPerRun(20, f); n > 2 {
			t.Errorf("%s: %v allocations", name, n)
		}
	}
}
