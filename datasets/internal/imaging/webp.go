package imaging

import (
	"bytes"
	"image"

	"golang.org/x/image/webp"
)

// webpConfig reads the size. An animation has no picture that x/image/webp could find; it is refused by name.
func webpConfig(data []byte) (w, h int, err error) {
	const flags, animation = 20, 1 << 1
	if len(data) > flags && string(data[12:16]) == "VP8X" && data[flags]&animation != 0 {
		return 0, 0, reason{Unsupported, "animated; save its first frame as a still picture"}
	}
	c, err := webp.DecodeConfig(bytes.NewReader(data))
	return c.Width, c.Height, err
}

func decodeWebP(data []byte) (*RGB, error) {
	m, err := webp.Decode(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	switch m := m.(type) {
	case *image.YCbCr:
		return fromVP8(m), nil
	case *image.NYCbCrA:
		return fromVP8(&m.YCbCr), nil
	}
	return fromImage(m)
}

// fromVP8 converts the 4:2:0 planes of lossy WebP as libwebp does: chroma goes through a 9:3:3:1 triangle filter, then the
// matrix of BT.601 with limited range is applied in 14-bit fixed point. At the edges the nearest chroma sample is repeated.
func fromVP8(m *image.YCbCr) *RGB {
	w, h := m.Rect.Dx(), m.Rect.Dy()
	cw, ch := (w+1)/2, (h+1)/2
	out := NewRGB(w, h)
	for y := range h {
		near := y / 2
		far := min(max(near-1+2*(y&1), 0), ch-1)
		luma := m.Y[y*m.YStride:][:w]
		cb0, cb1 := m.Cb[near*m.CStride:][:cw], m.Cb[far*m.CStride:][:cw]
		cr0, cr1 := m.Cr[near*m.CStride:][:cw], m.Cr[far*m.CStride:][:cw]
		d := out.Pix[3*y*w:]
		for x, l := range luma {
			i := x / 2
			j := min(max(i-1+2*(x&1), 0), cw-1)
			cb := mix(cb0[i], cb0[j], cb1[i], cb1[j])
			cr := mix(cr0[i], cr0[j], cr1[i], cr1[j])
			d[3*x], d[3*x+1], d[3*x+2] = vp8ToRGB(int(l), cb, cr)
		}
	}
	return out
}

// mix weighs the nearest sample, its two neighbours and the one across 9:3:3:1.
func mix(near, side, below, across uint8) int {
	return (9*int(near) + 3*int(side) + 3*int(below) + int(across) + 8) >> 4
}

func vp8ToRGB(y, u, v int) (r, g, b uint8) {
	// Coefficients with 14 fractional bits; each product loses 8 of them, which is part of the definition.
	l := y * 19077 >> 8
	return clip6(l + v*26149>>8 - 14234), clip6(l - u*6419>>8 - v*13320>>8 + 8708), clip6(l + u*33050>>8 - 17685)
}

// clip6 drops 6 fractional bits and clamps.
func clip6(v int) uint8 { return uint8(min(max(v>>6, 0), 255)) }
