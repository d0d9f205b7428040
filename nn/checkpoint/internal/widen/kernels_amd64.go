//go:build !purego

package widen

import "golang.org/x/sys/cpu"

var (
	halves, brains kernel
	finite         func(n int, x *float32) int
)

func init() {
	if cpu.X86.HasAVX2 {
		brains, finite = brainsAVX2, finiteAVX2
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
func finiteAVX2(n int, x *float32) int
