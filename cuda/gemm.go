//go:build cuda

package cuda

import (
	"fewshot/cuda/internal/driver"
	"fewshot/tensor"
)

// Gemm goes to cuBLASLt, and to the package's own kernel for what that does not take.
func (b *backend) Gemm(g tensor.GemmArgs) {
	if b.err != nil || g.M == 0 || g.N == 0 || g.Batch == 0 {
		return
	}
	if g.K > 0 && b.about().CuBLASLt != 0 && b.multiply(g) {
		return
	}
	const tile = 64
	launch(b, "gemm", g.Batch*parts(g.M, tile)*parts(g.N, tile), struct {
		dst, x, y, add, bias                                     mem
		m, n, k, lda, ldb, ldc, batch, strideA, strideB, strideC int64
		transA, transB                                           int32
	}{
		dst: at(g.Dst), x: at(g.A), y: at(g.B), add: at(g.Add), bias: at(g.Bias),
		m: int64(g.M), n: int64(g.N), k: int64(g.K), lda: int64(g.LDA), ldb: int64(g.LDB), ldc: int64(g.LDC),
		batch: int64(g.Batch), strideA: int64(g.StrideA), strideB: int64(g.StrideB), strideC: int64(g.StrideC),
		transA: bit(g.TransA), transB: bit(g.TransB),
	})
}

// BiasKind: cuBLASLt adds a bias in the format of the product. To convert it takes a small kernel, which with an
// image or a few is felt.
func (b *backend) BiasKind() tensor.Kind { return tensor.Compute }

func (b *backend) about() driver.About { return b.dev.About() }

func bit(v bool) int32 {
	if v {
		return 1
	}
	return 0
}

// multiply reports whether cuBLASLt took the product. It wants both factors in one format, and the bias in
// that of the result: a factor that is narrower is widened first, which loses nothing, and a bias is converted.
func (b *backend) multiply(g tensor.GemmArgs) bool {
	b.scratch.reset(b)
	p := driver.Product{C: g.Add.Ptr, D: g.Dst.Ptr, M: g.M, N: g.N, K: g.K, LDA: g.LDA, LDB: g.LDB, LDD: g.LDC, Batch: g.Batch,
		StrideA: g.StrideA, StrideB: g.StrideB, StrideD: g.StrideC, TransA: g.TransA, TransB: g.TransB,
		Narrow: g.A.Size == 2 && g.B.Size == 2, NarrowD: g.Dst.Size == 2}
	size := uint8(4)
	if p.Narrow {
		size = 2
	}
	p.A, p.B = b.as(g.A, size), b.as(g.B, size)
	if g.Bias.N != 0 {
		p.Bias = b.as(g.Bias, g.Dst.Size)
	}
	if b.err != nil {
		return true
	}
	done, err := b.dev.Multiply(&p)
	b.fail("gemm", err)
	return done
}

// as is where x is in a format of this size: where it lies, or in scratch memory.
func (b *backend) as(x tensor.Buf, size uint8) uintptr {
	if x.Size == size {
		return x.Ptr
	}
	m := mem{p: uint64(b.scratch.take(b, x.N*int(size))), n: int64(x.N)}
	if size == 2 {
		m.bf16 = 1
	}
	b.copy2D(m, at(x), 1, x.N, x.N, x.N)
	return uintptr(m.p)
}
