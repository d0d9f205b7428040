// Package widen makes float32 of the number formats that checkpoints have, as fast as memory takes them. The loops in Go define what is right;
// kernels in assembly do whole blocks of finite numbers, and leave a block with any other to these.
package widen

import (
	"encoding/binary"
	"math"

	"fewshot/tensor"
)

// block is how many numbers the kernels take at a time.
const block = 32

// kernel does the first n numbers, a multiple of block, and returns how many it did: it stops before a block with a number that is not finite.
// finite does so where there is nothing to be widened.
type kernel func(n int, dst *float32, src *byte) int

// Halves widens len(dst) numbers of IEEE 754 binary16, little-endian, and reports whether all are finite. NaNs keep their bits.
func Halves(dst []float32, src []byte) bool {
	return all(halves, dst, src, 2, func(dst []float32, src []byte) {
		for i := range dst {
			dst[i] = Half(binary.LittleEndian.Uint16(src[2*i:]))
		}
	})
}

// Brains is Halves for bfloat16.
func Brains(dst []float32, src []byte) bool {
	return all(brains, dst, src, 2, func(dst []float32, src []byte) {
		for i := range dst {
			dst[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(src[2*i:])) << 16)
		}
	})
}

// Floats is Halves for float32.
func Floats(dst []float32, src []byte) bool {
	src = src[:4*len(dst)]
	if memory := tensor.FileBytes(dst); memory != nil {
		copy(memory, src)
	} else {
		for i := range dst {
			dst[i] = math.Float32frombits(binary.LittleEndian.Uint32(src[4*i:]))
		}
	}
	return Finite(dst)
}

// Finite reports whether all of x are.
func Finite(x []float32) bool {
	if n := len(x) &^ (block - 1); finite != nil && n > 0 {
		x = x[finite(n, &x[0]):]
	}
	return NonFinite(x) < 0
}

// all does what the kernel leaves by the loop, a block at a time.
func all(k kernel, dst []float32, src []byte, size int, loop func(dst []float32, src []byte)) (finite bool) {
	src = src[:size*len(dst)]
	finite = true
	for len(dst) > 0 {
		done := run(k, dst, src)
		dst, src = dst[done:], src[size*done:]
		n := min(len(dst), block)
		loop(dst[:n], src)
		finite = finite && NonFinite(dst[:n]) < 0
		dst, src = dst[n:], src[size*n:]
	}
	return finite
}

// Bytes is the reverse of Floats: it fills the first 4·len(src) bytes of dst.
func Bytes(dst []byte, src []float32) {
	dst = dst[:4*len(src)]
	if memory := tensor.FileBytes(src); memory != nil {
		copy(dst, memory)
		return
	}
	for i, v := range src {
		binary.LittleEndian.PutUint32(dst[4*i:], math.Float32bits(v))
	}
}

// run is a kernel on as many whole blocks as there are; nil does none.
func run(k kernel, dst []float32, src []byte) int {
	n := len(dst) &^ (block - 1)
	if k == nil || n == 0 {
		return 0
	}
	return k(n, &dst[0], &src[0])
}

// NonFinite is the index of the first number that is infinite or none, or -1.
func NonFinite(x []float32) int {
	for i, v := range x {
		if math.Float32bits(v)&0x7f800000 == 0x7f800000 {
			return i
		}
	}
	return -1
}

// Half widens one number of IEEE 754 binary16.
func Half(h uint16) float32 {
	sign := uint32(h>>15) << 31
	exponent := uint32(h >> 10 & 31)
	mantissa := uint32(h & 1023)
	switch exponent {
	case 0: // zero or subnormal: mantissa · 2⁻²⁴, exact in float32
		return math.Float32frombits(sign | math.Float32bits(float32(mantissa)*0x1p-24))
	case 31: // infinity or NaN
		return math.Float32frombits(sign | 0xff<<23 | mantissa<<13)
	}
	return math.Float32frombits(sign | (exponent+127-15)<<23 | mantissa<<13)
}
