package simd

import "fewshot/tensor/internal/bf16"

// Widen is dst[i] = src[i], from bfloat16.
func Widen(dst []float32, src []uint16) {
	v, n := kernels(), len(dst)
	src = src[:n]
	whole := n - n%v.lanes
	if whole > 0 {
		v.widen(whole, &dst[0], &src[0])
	}
	bf16.Widen(dst[whole:], src[whole:])
}

// Narrow is dst[i] = src[i] in bfloat16, to the nearest, ties to even; NaN stays NaN.
func Narrow(dst []uint16, src []float32) {
	v, n := kernels(), len(dst)
	src = src[:n]
	whole := n - n%v.lanes
	if whole > 0 {
		v.narrow(whole, &dst[0], &src[0])
	}
	bf16.Narrow(dst[whole:], src[whole:])
}
