//go:build purego || !amd64

package imaging

// No kernels are written in assembly for this architecture, or purego asked for none.
const useAVX2 = false

func alongAVX2(n int, dst, src *uint8, taps *taps, weights *int32, first int)                {}
func turnAVX2(n int, dst *uint8, dstStride, dstStep int, src *uint8, srcStride, srcStep int) {}
func acrossAVX2(n int, dst, src *uint8, stride int, weights *int32, taps int)                {}
