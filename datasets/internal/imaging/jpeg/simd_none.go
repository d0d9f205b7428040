//go:build purego || !amd64

package jpeg

// No kernels are written in assembly for this architecture, or purego asked for none.
const useAVX2 = false

func idctAVX2(dst *byte, stride int, coefs *int16, quant *uint16) {}
func triangleAVX2(n int, dst, near, far *byte, even, odd uint16)  {}
func yccToRGBAVX2(n int, dst, y, cb, cr *byte)                    {}
