//go:build purego || (!amd64 && !arm64)

package simd

const compiled = false
