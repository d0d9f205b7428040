package imaging

import (
	"fmt"
	"image"
	"image/color"
)

// fromImage drops alpha from the image types that Go's PNG and BMP decoders return. All of them hold straight (not
// premultiplied) colours or are opaque, so that the stored samples are the colours.
func fromImage(m image.Image) (*RGB, error) {
	b := m.Bounds()
	w, h := b.Dx(), b.Dy()
	out := NewRGB(w, h)
	d := out.Pix
	switch m := m.(type) {
	case *image.Gray:
		for y := range h {
			for _, v := range m.Pix[y*m.Stride:][:w] {
				d[0], d[1], d[2] = v, v, v
				d = d[3:]
			}
		}
	case *image.Gray16:
		return fromGray16(m.Pix, m.Stride, 2, w, h), nil
	case *image.RGBA:
		take(d, m.Pix, m.Stride, w, h, 4, 1)
	case *image.NRGBA:
		take(d, m.Pix, m.Stride, w, h, 4, 1)
	case *image.RGBA64:
		take(d, m.Pix, m.Stride, w, h, 8, 2)
	case *image.NRGBA64:
		take(d, m.Pix, m.Stride, w, h, 8, 2)
	case *image.Paletted:
		palette, err := straightPalette(m.Palette)
		if err != nil {
			return nil, err
		}
		for y := range h {
			for _, i := range m.Pix[y*m.Stride:][:w] {
				copy(d[:3], palette[i][:])
				d = d[3:]
			}
		}
	default:
		return nil, reason{Unsupported, fmt.Sprintf("decodes to %T", m)}
	}
	return out, nil
}

// take copies the first byte of the first three channels: a 16-bit sample is cut to its high byte, as in Pillow.
func take(dst, src []uint8, stride, w, h, pixel, channel int) {
	for y := range h {
		row := src[y*stride:][:w*pixel]
		for x := range w {
			p := row[x*pixel:]
			dst[0], dst[1], dst[2] = p[0], p[channel], p[2*channel]
			dst = dst[3:]
		}
	}
}

// straightPalette gives the colours of a palette without alpha; missing entries are black.
func straightPalette(p color.Palette) (rgb [256][3]uint8, err error) {
	for i, c := range p {
		switch c := c.(type) {
		case color.RGBA:
			rgb[i] = [3]uint8{c.R, c.G, c.B}
		case color.NRGBA:
			rgb[i] = [3]uint8{c.R, c.G, c.B}
		case color.Gray:
			rgb[i] = [3]uint8{c.Y, c.Y, c.Y}
		default:
			return rgb, reason{Unsupported, fmt.Sprintf("palette of %T", c)}
		}
	}
	return rgb, nil
}

// fromGray16 is Pillow's conversion of 16-bit grey, which clamps to 255 where that of 16-bit colour takes the high byte. The
// big-endian samples lie pixel bytes apart.
func fromGray16(src []uint8, stride, pixel, w, h int) *RGB {
	out := NewRGB(w, h)
	d := out.Pix
	for y := range h {
		row := src[y*stride:][:w*pixel]
		for x := range w {
			v := row[x*pixel+1]
			if row[x*pixel] != 0 {
				v = 255
			}
			d[0], d[1], d[2] = v, v, v
			d = d[3:]
		}
	}
	return out
}
