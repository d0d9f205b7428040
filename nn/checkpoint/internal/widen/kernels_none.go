//go:build purego || !amd64

package widen

var (
	halves, brains, floats kernel
	bytes                  func(n int, dst *byte, src *float32) int
	finite                 func(n int, x *float32) int
)
