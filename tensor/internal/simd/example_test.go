package simd_test

import (
	"fmt"

	"fewshot/tensor/internal/par"
	"fewshot/tensor/internal/simd"
)

// What there is no kernel for is computed by the portable loop.
func ExampleGemm() {
	p := par.New(2)
	defer p.Close()
	x := []float32{1, 2, 3, 4, 5, 6}          // [2, 3]
	w := []float32{1, 0, 1, 0, 2, 0, 1, 1, 1} // [3, 3], a row for each output
	y := make([]float32, 6)                   // [2, 3] = x·wᵀ + bias
	bias := []float32{10, 20, 30}             // [3]
	done := simd.Gemm(p, &simd.GemmArgs{Dst: y, A: x, B: w, Bias: bias, M: 2, N: 3, K: 3, TransB: true, LDA: 3, LDB: 3, LDC: 3, Batch: 1})
	if !done {
		for i := range y {
			y[i] = bias[i%3]
			for k := range 3 {
				y[i] += x[i/3*3+k] * w[i%3*3+k]
			}
		}
	}
	fmt.Println(y)
	// Output: [14 24 36 20 30 45]
}
