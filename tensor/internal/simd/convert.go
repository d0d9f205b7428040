package simd

import "math"

// Widen is dst[i] = src[i], from bfloat16.
func Widen(dst []float32, src []uint16) {
	v, n := kernels(), len(dst)
	src = src[:n]
	whole := n - n%v.lanes
	if whole > 0 {
		v.widen(whole, &dst[0], &src[0])
	}
	for i := whole; i < n; i++ {
		dst[i] = math.Float32frombits(uint32(src[i]) << 16)
	}
}

// Narrow is dst[i] = src[i] in bfloat16, to the nearest, ties to even; NaN stays NaN.
func Narrow(dst []uint16, src []float32) {
	v, n := kernels(), len(dst)
	src = src[:n]
	whole := n - n%v.lanes
	if whole > 0 {
		v.narrow(whole, &dst[0], &src[0])
	}
	for i := whole; i < n; i++ {
		dst[i] = narrow(src[i])
	}
}

func narrow(x float32) uint16 {
	b := math.Float32bits(x)
	if x != x {
		return uint16(b>>16 | 0x40)
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}
