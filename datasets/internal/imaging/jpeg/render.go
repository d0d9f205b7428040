package jpeg

// transform writes the samples of one block.
func (c *component) transform(bx, by int, block *[64]int16) {
	dst := c.plane[8*by*c.stride+8*bx:]
	idct(dst, c.stride, block, c.quant)
}

// render makes RGB of the components.
func (d *decoder) render() []byte {
	if d.buffered {
		for i := range d.components {
			c := &d.components[i]
			c.plane = make([]byte, 64*c.blocks*c.blockRows)
			for b := range c.blocks * c.blockRows {
				c.transform(b%c.blocks, b/c.blocks, (*[64]int16)(c.coefs[64*b:]))
			}
			c.coefs = nil
		}
	}
	pix := make([]byte, 3*d.width*d.height)
	var rows [4][]byte
	for i := range d.components {
		rows[i] = make([]byte, d.width+4) // room for the last sample of a component, which may reach over the edge
	}
	convert := d.colorConverter()
	for y := range d.height {
		for i := range d.components {
			c := &d.components[i]
			c.up(c, y, rows[i])
		}
		convert(pix[3*y*d.width:3*(y+1)*d.width], [4][]byte{
			rows[0][:d.width], trim(rows[1], d.width), trim(rows[2], d.width), trim(rows[3], d.width)})
	}
	return pix
}

func trim(row []byte, n int) []byte { return row[:min(n, len(row))] }

// colorConverter decides what the components mean, by the rules of libjpeg: the JFIF marker first, then Adobe's, then the
// components' numbers.
func (d *decoder) colorConverter() func(dst []byte, rows [4][]byte) {
	rgb := func(dst []byte, r [4][]byte) { interleave(dst, r[0], r[1], r[2]) }
	ycc := func(dst []byte, r [4][]byte) { yccToRGB(dst, r[0], r[1], r[2]) }
	switch {
	case len(d.components) == 1:
		return func(dst []byte, r [4][]byte) { interleave(dst, r[0], r[0], r[0]) }
	case len(d.components) == 4:
		inks := rgb
		if d.adobe && d.adobeTransform != 0 {
			inks = func(dst []byte, r [4][]byte) {
				ycc(dst, r)
				invert(dst)
			}
		}
		return func(dst []byte, r [4][]byte) {
			inks(dst, r)
			cmykToRGB(dst, r[3])
		}
	case d.jfif:
		return ycc
	case d.adobe:
		if d.adobeTransform == 0 {
			return rgb
		}
		return ycc
	case d.components[0].id == 'R' && d.components[1].id == 'G' && d.components[2].id == 'B':
		return rgb
	}
	return ycc
}
