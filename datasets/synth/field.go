package synth

import "math"

// A shape is drawn from its distance field: for every point of a square the signed distance to the outline, negative
// inside. One table serves every size, rotation, line width, border, glow and antialiased edge, at one bilinear
// look-up a pixel. Shapes live in the box [-unit, unit]², y down; the field reaches a quarter further.
const (
	unit      = 1024
	texel     = 32 // units to a texel
	fieldSide = 80 // texels
	fieldHalf = texel * fieldSide / 2
)

type field [fieldSide * fieldSide]int16

// at returns the distance, in units, at a point in 1/256 texels from the centre of the first texel; both coordinates
// must lie in [0, (fieldSide-1)·256).
func (f *field) at(u, v int32) int32 {
	i := v>>8*fieldSide + u>>8
	fu, fv := u&255, v&255
	row := f[i : i+fieldSide+2 : i+fieldSide+2]
	a, b, c, d := int32(row[0]), int32(row[1]), int32(row[fieldSide]), int32(row[fieldSide+1])
	top, bottom := a<<8+(b-a)*fu, c<<8+(d-c)*fu
	return (top + (bottom-top)*fv>>8) >> 8
}

type point struct{ x, y int32 }

// combine says what a part does to the parts before it.
type combine uint8

const (
	add  combine = iota
	cut          // takes its inside away
	clip         // leaves only its inside
)

// part is a closed polygon, or a polyline of a width, or (a single point) a disc of that half width.
type part struct {
	combine combine
	closed  bool
	points  []point
	half    int32 // half line width or radius, in units
}

func (p part) cutting() part  { p.combine = cut; return p }
func (p part) clipping() part { p.combine = clip; return p }

// render computes the field of parts, combined in order. Distances inside a union are those to the nearest part's
// outline, which is close enough for borders a few pixels wide.
func render(parts []part) *field {
	f := new(field)
	for j := range int32(fieldSide) {
		for i := range int32(fieldSide) {
			at := point{i*texel + texel/2 - fieldHalf, j*texel + texel/2 - fieldHalf}
			d := int32(4 * unit)
			for k := range parts {
				e := parts[k].distance(at)
				switch parts[k].combine {
				case add:
					d = min(d, e)
				case cut:
					d = max(d, -e)
				case clip:
					d = max(d, e)
				}
			}
			f[j*fieldSide+i] = int16(clamp(d, math.MinInt16, math.MaxInt16))
		}
	}
	return f
}

func (p *part) distance(at point) int32 {
	n := len(p.points)
	if n == 1 {
		dx, dy := at.x-p.points[0].x, at.y-p.points[0].y
		return root(dx*dx+dy*dy) - p.half
	}
	nearest, inside := int32(math.MaxInt32), false
	first := 1
	if p.closed {
		first = 0
	}
	for i := first; i < n; i++ {
		a, b := p.points[(i+n-1)%n], p.points[i]
		ex, ey, dx, dy := b.x-a.x, b.y-a.y, at.x-a.x, at.y-a.y
		if p.closed && (a.y > at.y) != (b.y > at.y) {
			// Even-odd rule: the edge crosses the ray to the right if the point lies to its left.
			left := int64(dx)*int64(ey) < int64(dy)*int64(ex)
			if left == (ey > 0) {
				inside = !inside
			}
		}
		if length := ex*ex + ey*ey; length > 0 {
			along := clamp(dx*ex+dy*ey, 0, length)
			t := int32(int64(along) << 10 / int64(length))
			dx -= ex * t >> 10
			dy -= ey * t >> 10
		}
		nearest = min(nearest, dx*dx+dy*dy)
	}
	d := root(nearest)
	if inside {
		d = -d
	}
	return d - p.half
}
