//go:build !purego

package widen

import "golang.org/x/sys/cpu"

var halves, brains, floats kernel

// bytes is the reverse of floats, of any numbers.
var bytes func(n int, dst *byte, src *float32)

func init() {
	if cpu.X86.HasAVX2 {
		brains, floats, bytes = brainsAVX2, floatsAVX2, bytesAVX2
		if cpu.X86.HasF16C {
			halves = halvesF16C
		}
	}
}

//go:noescape
func halvesF16C(n int, dst *float32, src *byte) int

//go:noescape
func brainsAVX2(n int, dst *float32, src *byte) int

//go:noescape
func floatsAVX2(n int, dst *float32, src *byte) int

//go:noescape
func bytesAVX2(n int, dst *byte, src *float32)
