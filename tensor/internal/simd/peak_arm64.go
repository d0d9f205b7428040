//go:build !purego

package simd

// peakKernel is the kernel of Peak for a variant and a number format, nil if there is none.
func peakKernel(v *variant, format string) func(n int) {
	if v == &neon && format == "float32" {
		return peakFloat32NEON
	}
	return nil
}
