//go:build !purego

package imaging

import "golang.org/x/sys/cpu"

// useAVX2 says that the kernels in assembly can run. They give the bytes that those in Go give.
var useAVX2 = cpu.X86.HasAVX2

//go:noescape
func alongAVX2(n int, dst, src *uint8, taps *taps, weights *int32, first int)

//go:noescape
func turnAVX2(n int, dst *uint8, dstStride, dstStep int, src *uint8, srcStride, srcStep int)

//go:noescape
func acrossAVX2(n int, dst, src *uint8, stride int, weights *int32, taps int)
