package jpeg

// renderer makes RGB of the components, an MCU row at a time, so that no more of their samples than that is ever held.
type renderer struct {
	d       *decoder
	pix     []byte
	next    int // the row that is made next
	rows    [4][]byte
	convert func(dst []byte, rows [4][]byte)
}

func (d *decoder) newRenderer() *renderer {
	r := &renderer{d: d, pix: make([]byte, 3*d.width*d.height), convert: d.colorConverter()}
	for i := range d.components {
		c := &d.components[i]
		c.plane = make([]byte, (1+8*c.v)*c.stride)
		c.top = -1
		r.rows[i] = make([]byte, d.width+4) // room for the last sample of a component, which may reach over the edge
	}
	return r
}

// transform writes the samples of one block.
func (c *component) transform(bx, by int, block *[64]int16) {
	idct(c.plane[(8*by-c.top)*c.stride+8*bx:], c.stride, block, c.quant)
}

// fill writes the samples of a block whose DC coefficient alone is not zero.
func (c *component) fill(bx, by int, dc int16) {
	dst, v := c.plane[(8*by-c.top)*c.stride+8*bx:], flat(dc, c.quant[0])
	for range 7 {
		*(*[8]byte)(dst) = [8]byte{v, v, v, v, v, v, v, v}
		dst = dst[c.stride:]
	}
	*(*[8]byte)(dst) = [8]byte{v, v, v, v, v, v, v, v}
}

// mcuRow makes the rows that can be made once MCU row m has been transformed: all up to it but the last, which looks at
// samples below. Then it makes way for the next one.
func (r *renderer) mcuRow(m int) {
	d := r.d
	end := (m+1)*8*d.vMax - 1
	if m == d.mcuRows-1 {
		end = d.height
	}
	width := d.width
	for ; r.next < end; r.next++ {
		for i := range d.components {
			c := &d.components[i]
			c.up(c, r.next, r.rows[i])
		}
		r.convert(r.pix[3*r.next*width:][:3*width], [4][]byte{
			r.rows[0][:width], trim(r.rows[1], width), trim(r.rows[2], width), trim(r.rows[3], width)})
	}
	for i := range d.components {
		c := &d.components[i]
		copy(c.plane[:c.stride], c.plane[8*c.v*c.stride:])
		c.top += 8 * c.v
	}
}

// pixels is the picture, which is rendered now if it was buffered.
func (d *decoder) pixels() []byte {
	if !d.buffered {
		return d.out.pix
	}
	d.out = d.newRenderer()
	for m := range d.mcuRows {
		for i := range d.components {
			c := &d.components[i]
			for by := m * c.v; by < (m+1)*c.v; by++ {
				if d.smooth {
					d.smoothRow(c, m, by)
					continue
				}
				for bx := range c.blocks {
					c.transform(bx, by, (*[64]int16)(c.coefs[64*(by*c.blocks+bx):]))
				}
			}
		}
		d.out.mcuRow(m)
	}
	return d.out.pix
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
