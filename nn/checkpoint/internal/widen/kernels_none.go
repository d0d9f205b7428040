//go:build purego || (!amd64 && !arm64)

package widen

var (
	halves, brains, floats kernel
	bytes                  func(n int, dst *byte, src *float32)
)
