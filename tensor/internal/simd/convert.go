package simd

import "fewshot/tensor/internal/bf16"

// Widen is dst[i] = src[i], from bfloat16.
func Widen(dst []float32, src []uint16) {
	if n := len(dst); n > 0 {
		widenRows(1, n, dst, n, src, n)
	}
}

// Narrow is dst[i] = src[i] in bfloat16, to the nearest, ties to even; NaN stays NaN.
func Narrow(dst []uint16, src []float32) {
	if n := len(dst); n > 0 {
		narrowRows(1, n, dst, n, src, n)
	}
}

// widenRows is Widen for n ≥ 1 numbers of each of some rows, whose distances are ldd and lds.
func widenRows(rows, n int, dst []float32, ldd int, src []uint16, lds int) {
	v := kernels()
	dst, src = dst[:(rows-1)*ldd+n], src[:(rows-1)*lds+n]
	whole := n - n%v.lanes
	if whole > 0 {
		v.widen(rows, whole, &dst[0], ldd, &src[0], lds)
	}
	if whole < n {
		for r := range rows {
			bf16.Widen(dst[r*ldd:][whole:n], src[r*lds:][whole:n])
		}
	}
}

// narrowRows is the same of Narrow.
func narrowRows(rows, n int, dst []uint16, ldd int, src []float32, lds int) {
	v := kernels()
	dst, src = dst[:(rows-1)*ldd+n], src[:(rows-1)*lds+n]
	whole := n - n%v.lanes
	if whole > 0 {
		v.narrow(rows, whole, &dst[0], ldd, &src[0], lds)
	}
	if whole < n {
		for r := range rows {
			bf16.Narrow(dst[r*ldd:][whole:n], src[r*lds:][whole:n])
		}
	}
}
