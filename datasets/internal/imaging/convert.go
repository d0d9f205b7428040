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
	// take never writes ahead of what it reads.
	if pix := straightSamples(m); pix != nil && w*h > largePixels {
		return &RGB{W: w, H: h, Pix: pix[:3*w*h]}, convert(pix[:3*w*h], m, w, h)
	}
	out := NewRGB(w, h)
	return out, convert(out.Pix, m, w, h)
}

// straightSamples are the samples of the image types that are longer than RGB.
func straightSamples(m image.Image) []uint8 {
	switch m := m.(type) {
	case *image.RGBA:
		return m.Pix
	case *image.NRGBA:
		return m.Pix
	case *image.RGBA64:
		return m.Pix
	case *image.NRGBA64:
		return m.Pix
	}
	return nil
}

func convert(d []uint8, m image.Image, w, h int) error {
	switch m := m.(type) {
	case *image.Gray:
		for y := range h {
			for _, v := range m.Pix[y*m.Stride:][:w] {
				d[0], d[1], d[2] = v, v, v
				d = d[3:]
			}
		}
	case *image.Gray16:
		clampGray16(d, m.Pix, m.Stride, 2, w, h)
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
			return err
		}
		for y := range h {
			for _, i := range m.Pix[y*m.Stride:][:w] {
				copy(d[:3], palette[i][:])
				d = d[3:]
			}
		}
	default:
		return reason{Unsupported, fmt.Sprintf("decodes to %T", m)}
	}
	return nil
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
		case color.RGBA64: // of TIFF
			rgb[i] = [3]uint8{uint8(c.R >> 8), uint8(c.G >> 8), uint8(c.B >> 8)}
		case color.Gray:
			rgb[i] = [3]uint8{c.Y, c.Y, c.Y}
		default:
			return rgb, reason{Unsupported, fmt.Sprintf("palette of %T", c)}
		}
	}
	return rgb, nil
}

// clampGray16 is Pillow's conversion of 16-bit grey, which clamps to 255 where that of 16-bit colour takes the high byte. The
// big-endian samples lie pixel bytes apart.
func clampGray16(d, src []uint8, stride, pixel, w, h int) {
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
}
