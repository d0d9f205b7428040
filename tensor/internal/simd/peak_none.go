//go:build purego || (!amd64 && !arm64)

package simd

// peakKernel is nil: there is no assembly.
func peakKernel(*variant, string) func(n int) { return nil }
