//go:build purego || (!amd64 && !arm64)

package simd

// machine is empty: no assembly is written for this architecture, or purego asked for none.
var machine []*variant
