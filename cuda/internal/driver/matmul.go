//go:build cuda

package driver

// #include "shim.h"
import "C"

import "fmt"

// Product is d[i] = op(a[i])·op(b[i]) (+ c[i]) (+ bias on each row), on row-major matrices. c has d's layout and
// format, and is d itself or apart from it.
type Product struct {
	A, B, C, D, Bias          uintptr // C 0, Bias 0: none; Bias has D's format
	M, N, K                   int
	LDA, LDB, LDD             int
	Batch                     int
	StrideA, StrideB, StrideD int
	TransA, TransB            bool
	Narrow, NarrowD           bool // A and B, D are bfloat16, not float32
}

// Multiply queues a product on cuBLASLt. It reports false where that library is not in use or does not take
// the product.
func (d *Device) Multiply(p *Product) (bool, error) {
	if d.lt == 0 {
		return false, nil
	}
	flag := func(b bool, yes C.int32_t) C.int32_t {
		if b {
			return yes
		}
		return 0
	}
	s := C.lt_shape{m: C.int64_t(p.M), n: C.int64_t(p.N), k: C.int64_t(p.K), lda: C.int64_t(p.LDA), ldb: C.int64_t(p.LDB), ldd: C.int64_t(p.LDD),
		batch: C.int64_t(p.Batch), stride_a: C.int64_t(p.StrideA), stride_b: C.int64_t(p.StrideB), stride_d: C.int64_t(p.StrideD),
		trans_a: flag(p.TransA, 1), trans_b: flag(p.TransB, 1), has_bias: flag(p.Bias != 0, 1),
		type_ab: flag(p.Narrow, C.LT_BFLOAT16), type_d: flag(p.NarrowD, C.LT_BFLOAT16)}
	status := C.lt_matmul(d.context, d.lt, d.stream, &s, C.uint64_t(p.A), C.uint64_t(p.B), C.uint64_t(p.C), C.uint64_t(p.D),
		C.uint64_t(p.Bias), C.uint64_t(d.workspace), workspaceBytes, C.int(flag(!d.capturing, 1)))
	switch status {
	case 0:
		return true, nil
	case C.LT_REFUSED:
		return false, nil
	case C.LT_UNPLANNED:
		return true, fmt.Errorf("a product of %d×%d×%d was not made before it was recorded", p.M, p.N, p.K)
	}
	return true, fmt.Errorf("cublasLtMatmul: status %d", int(status))
}
