// Package bf16 is numbers in bfloat16: the upper halves of float32 numbers, with their range and 8 bits of precision. What is
// written here defines what the kernels of package simd speed up.
package bf16

import (
	"math"
	"unsafe"
)

// From is x rounded to the nearest, ties to even. NaN stays NaN.
func From(x float32) uint16 {
	b := math.Float32bits(x)
	if x != x {
		return uint16(b>>16 | 0x40)
	}
	return uint16((b + 0x7fff + b>>16&1) >> 16)
}

// To is the number h stands for.
func To(h uint16) float32 { return math.Float32frombits(uint32(h) << 16) }

// Narrow is dst[i] = From(src[i]).
func Narrow(dst []uint16, src []float32) {
	for i := range dst {
		dst[i] = From(src[i])
	}
}

// Widen is dst[i] = To(src[i]).
func Widen(dst []float32, src []uint16) {
	for i := range dst {
		dst[i] = To(src[i])
	}
}

// Over is the memory of x as room for twice as many numbers.
func Over(x []float32) []uint16 {
	if len(x) == 0 {
		return []uint16{}
	}
	return unsafe.Slice((*uint16)(unsafe.Pointer(&x[0])), 2*len(x))
}

// Pairs is x as numbers of 32 bits, two to one, but for an odd one at the end.
func Pairs(x []uint16) []float32 {
	if len(x) < 2 {
		return nil
	}
	return unsafe.Slice((*float32)(unsafe.Pointer(&x[0])), len(x)/2)
}
