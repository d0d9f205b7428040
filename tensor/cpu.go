package tensor

import (
	"fmt"
	"runtime"

	"fewshot/tensor/internal/bf16"
	"fewshot/tensor/internal/simd"
)

func init() { Register("cpu", openCPU) }

// openCPU opens the processor in float32, with assembly kernels where there are some for it; with precision bf16
// Compute tensors are bfloat16, and so are the factors of products where the processor multiplies those; with int8
// products by weights that were given to [Quantize] have integers for factors.
func openCPU(arg string, o Options) (Backend, error) {
	precision := o.Precision
	if precision == "" {
		precision = "float32"
	}
	if err := checkHost(arg, precision, "float32", "bf16", "int8"); err != nil {
		return nil, err
	}
	h, err := newHost(o, func(b Buf) []float32 { return b.F32 }, func(v []float32) Buf { return Buf{F32: v, Size: 4} })
	if err != nil {
		return nil, err
	}
	narrow, ints := precision == "bf16", precision == "int8"
	kernels, note := simd.Kernels(), ""
	fast := kernels != ""
	switch {
	case !fast:
		kernels = "portable"
	case narrow && simd.HasBF16():
		kernels += "_bf16"
	case narrow:
		note = ", which multiply float32 alone: slower than float32, in half the memory"
	case ints && simd.HasInt8():
		kernels += "_vnni"
	case ints:
		note = ", of which none are for int8: slower than float32"
	}
	if fast && !narrow && o.Strassen {
		note += ", strassen"
	}
	h.kinds = runtime.GOARCH + " " + kernels
	h.about = fmt.Sprintf("cpu %s %s, %s, %s%s", runtime.GOARCH, precision, workers(h.pool.Workers()), kernels, note)
	switch {
	case fast && ints:
		return vectorInt8Host{&vectorHost{host: h, strassen: o.Strassen}}, nil
	case ints:
		return int8Host{h}, nil
	case fast && narrow:
		return newVectorNarrowHost(h), nil
	case fast:
		return &vectorHost{host: h, strassen: o.Strassen}, nil
	case narrow:
		return &narrowHost{Backend: h, pool: h.pool, narrow: bf16.Narrow, widen: bf16.Widen}, nil
	}
	return h, nil
}
