package tensor

import (
	"fmt"
	"runtime"

	"fewshot/tensor/internal/simd"
)

func init() { Register("cpu", openCPU) }

// openCPU opens the processor in float32, with assembly kernels where there are some for it.
func openCPU(arg string, o Options) (Backend, error) {
	if err := checkHost(arg, o.Precision, "float32"); err != nil {
		return nil, err
	}
	h, err := newHost(o, func(b Buf) []float32 { return b.F32 }, func(v []float32) Buf { return Buf{F32: v, Size: 4} })
	if err != nil {
		return nil, err
	}
	describe := func(kernels string) {
		h.about = fmt.Sprintf("cpu %s float32, %s, %s", runtime.GOARCH, workers(h.pool.Workers()), kernels)
	}
	if k := simd.Kernels(); k != "" {
		describe(k)
		return &vectorHost{h}, nil
	}
	describe("portable")
	return h, nil
}
