package synth

// canvas is the picture being drawn: Size rows of Size RGB pixels.
type canvas []uint8

const (
	centre = Size * px / 2
	whole  = Size * px
)

func (c canvas) get(i int) rgb { return rgb{int32(c[i]), int32(c[i+1]), int32(c[i+2])} }

// set writes a colour whose channels may be out of range.
func (c canvas) set(i int, v rgb) {
	c[i], c[i+1], c[i+2] = uint8(clamp(v.r, 0, 255)), uint8(clamp(v.g, 0, 255)), uint8(clamp(v.b, 0, 255))
}

// fill colours every pixel by its position in Q8 pixels from the centre.
func (c canvas) fill(k *ink) {
	i := 0
	for y := int32(px / 2); y < whole; y += px {
		for x := int32(px / 2); x < whole; x += px {
			c.set(i, k.at(x-centre, y-centre))
			i += 3
		}
	}
}

// finish is how a shape's outline and inside are rendered.
type finish uint8

const (
	filled   finish = iota
	outlined        // a line and nothing inside
	bordered        // filled, with a line in another colour
	glowing         // a line that shines into its surroundings
)

// stamp is a shape placed on the canvas.
type stamp struct {
	field  *field
	x, y   int32 // centre, Q8 pixels
	radius int32 // Q8 pixels to the unit
	angle  int32
	aspect int32 // width over height, Q14
	slant  int32 // horizontal shear, Q14
	bold   int32 // Q8 pixels by which the outline is moved outwards
	finish finish
	line   int32 // half line width, Q8 pixels
	edge   rgb   // colour of the border
	ink    ink
	light  point // how much lighter (of 256) the shape becomes over one radius to the right and down
	wobble int32 // Q8 pixels by which a hand draws off the line
	salt   uint32
	alpha  int32 // opacity, 0…256
}

// draw lays the stamp over the canvas.
func (c canvas) draw(s *stamp) {
	// The inverse map, in Q16 texels to the pixel: undo the rotation, then the shear, then the scaling.
	perPixel := int64(unit/texel) << 16 * px / int64(s.radius)
	co, si := int64(cos(s.angle)), int64(sin(s.angle))
	aspect, slant := int64(s.aspect), int64(s.slant)
	vx, vy := -si*perPixel>>14, co*perPixel>>14
	ux, uy := (co*perPixel>>14+slant*vx>>14)*one/aspect, (si*perPixel>>14+slant*vy>>14)*one/aspect

	const middle = (fieldSide*px - px) / 2
	reach := int32(int64(s.radius)*3/2*max(aspect, one)/one) + s.bold + s.line + 2*px
	x0, x1 := max((s.x-reach)>>8, 0), min((s.x+reach)>>8, Size-1)
	y0, y1 := max((s.y-reach)>>8, 0), min((s.y+reach)>>8, Size-1)
	scale := s.radius // units to Q8 pixels: ·radius/unit
	for y := y0; y <= y1; y++ {
		dx, dy := int64(x0*px+px/2-s.x), int64(y*px+px/2-s.y)
		// Q16 texels · Q8 pixels >> 16 is a position in 1/256 texels.
		u, v := ux*dx+uy*dy+middle<<16, vx*dx+vy*dy+middle<<16
		i := int(y*Size+x0) * 3
		for x := x0; x <= x1; x, i, u, v = x+1, i+3, u+ux*px, v+vx*px {
			tu, tv := u>>16, v>>16
			if uint64(tu) >= (fieldSide-1)*px || uint64(tv) >= (fieldSide-1)*px {
				continue
			}
			d := s.field.at(int32(tu), int32(tv))*scale/unit - s.bold
			if s.wobble > 0 {
				d += (smooth(x*56, y*56, s.salt) - 128) * s.wobble >> 7
			}
			a := s.cover(d)
			if a == 0 {
				continue
			}
			rx, ry := x*px+px/2-s.x, y*px+px/2-s.y
			colour := s.ink.at(rx, ry)
			if s.finish == bordered {
				colour = colour.mix(s.edge, share(128+d+2*s.line))
			}
			if s.light != (point{}) {
				colour = colour.scale(256 + clamp((rx*s.light.x+ry*s.light.y)/s.radius, -120, 120))
			}
			c.set(i, c.get(i).mix(colour, a*s.alpha>>8))
		}
	}
}

// cover is the opacity at distance d, in Q8 pixels, from the outline.
func (s *stamp) cover(d int32) int32 {
	switch s.finish {
	case outlined:
		return share(128 + s.line - abs(d))
	case glowing:
		g := share(256 - (abs(d)-s.line)/5)
		return max(share(128+s.line-abs(d)), g*g>>9)
	default:
		return share(128 - d)
	}
}
