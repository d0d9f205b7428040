//go:build (amd64 || arm64) && !purego

package simd

const compiled = true
