//go:build !purego

package simd

// peakKernel is the kernel of Peak for a variant and a number format, nil if there is none.
func peakKernel(v *variant, format string) func(n int) {
	switch {
	case v == &avx512 && format == "float32":
		return peakFloat32AVX512
	case v == &avx512 && format == "bf16" && v.bf16 != nil:
		return peakBF16AVX512
	case v == &avx2 && format == "float32":
		return peakFloat32AVX2
	}
	return nil
}
