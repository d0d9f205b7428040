//go:build !purego

package jpeg

import "golang.org/x/sys/cpu"

// useAVX2 says that the kernels in assembly can run. They give the bytes that those in Go give.
var useAVX2 = cpu.X86.HasAVX2

//go:noescape
func idctAVX2(dst *byte, stride int, coefs *int16, quant *uint16)

//go:noescape
func triangleAVX2(n int, dst, near, far *byte, even, odd uint16)

//go:noescape
func yccToRGBAVX2(n int, dst, y, cb, cr *byte)
