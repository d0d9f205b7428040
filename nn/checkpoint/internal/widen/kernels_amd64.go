//go:build !purego

package widen

import "golang.org/x/sys/cpu"

var halves, brains, floats kernel

// finite is how many of the first n numbers, a multiple of block, lie in whole blocks without one that is not finite.
var finite func(n int, x *float32) int

// bytes is the reverse of floats.
var bytes func(n int, dst *byte, src *float32) int

func init() {
	if cpu.X86.HasAVX2 {
		brains, floats, bytes, finite = brainsAVX2, floatsAVX2, bytesAVX2, finiteAVX2
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
func finiteAVX2(n int, x *float32) int

//go:noescape
func bytesAVX2(n int, dst *byte, src *float32) int
