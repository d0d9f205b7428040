//go:build purego || (!amd64 && !arm64)

package widen

var (
	halves, brains kernel
	finite         func(n int, x *float32) int
)
