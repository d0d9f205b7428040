package synth

type texture uint8

const (
	plain texture = iota
	striped
	dotted
	checked
	shaded
	hatched
	wavy
	speckled
	zigzag
	ringed
	scaly
	marbled
	plaid
	numTextures
)

// textures gives each texture its adjective, a synonym, and the noun that follows "with".
var textures = [numTextures]struct{ name, other, noun string }{
	plain:    {"plain", "plain", ""},
	striped:  {"striped", "stripy", "stripes"},
	dotted:   {"dotted", "spotted", "dots"},
	checked:  {"checked", "checkered", "checks"},
	shaded:   {"shaded", "gradient", "a gradient"},
	hatched:  {"hatched", "gridded", "thin lines"},
	wavy:     {"wavy", "wavy", "waves"},
	speckled: {"speckled", "grainy", "speckles"},
	zigzag:   {"zigzag", "zigzag", "zigzags"},
	ringed:   {"ringed", "banded", "rings"},
	scaly:    {"scaly", "scaly", "scales"},
	marbled:  {"marbled", "swirly", "swirls"},
	plaid:    {"plaid", "tartan", "a plaid pattern"},
}

// ink colours a surface: two colours, and a texture that says how much of each is where.
type ink struct {
	texture    texture
	fore, back rgb
	cos, sin   int32 // Q14 periods to the pixel, along the texture's axes
	period     int32 // Q8 pixels
	phase      point // 1/256 periods
	salt       uint32
}

// aim sets the texture's direction and period.
func (k *ink) aim(angle, period int32) {
	k.period = period
	k.cos, k.sin = cos(angle)*px/period, sin(angle)*px/period
}

// at returns the colour at (x, y), in Q8 pixels from the surface's centre.
func (k *ink) at(x, y int32) rgb {
	if k.texture == plain {
		return k.fore
	}
	return k.fore.mix(k.back, k.weight(x, y))
}

// edge turns v, in 1/256 periods past an edge, into a weight that is antialiased over one pixel.
func (k *ink) edge(v int32) int32 { return share(128 + v*k.period>>8) }

// weight is the share of the second colour.
func (k *ink) weight(x, y int32) int32 {
	u := (x*k.cos+y*k.sin)>>14 + k.phase.x
	v := (y*k.cos-x*k.sin)>>14 + k.phase.y
	switch k.texture {
	case striped:
		return k.edge(triangle(v) - 64)
	case dotted:
		fu, fv := u&255-128, v&255-128
		return 256 - k.edge((fu*fu+fv*fv-84*84)/(2*84))
	case checked:
		a, b := k.edge(triangle(u)-64), k.edge(triangle(v)-64)
		return (a*(256-b) + b*(256-a)) >> 8
	case shaded:
		return share(128 + (v-k.phase.y)/2)
	case hatched:
		return max(k.edge(triangle(u)-100), k.edge(triangle(v)-100))
	case wavy:
		return k.edge(triangle(v+sin(u*turn/512)*56/one) - 64)
	case speckled:
		if hash32((x+64*px)>>9, (y+64*px)>>9, k.salt)&255 < 84 {
			return 256
		}
		return 0
	case zigzag:
		return k.edge(triangle(v+triangle(u*3/4)) - 64)
	case ringed:
		fu, fv := u-k.phase.x, v-k.phase.y
		return k.edge(triangle(root(fu*fu+fv*fv)+k.phase.x) - 64)
	case scaly:
		// Rows of discs half a period apart, each covering the row below it: only the lower rims show.
		row := v >> 7
		fu, fv := (u+row&1<<7)&255-128, v&127
		if d := root(fu*fu + fv*fv); d < 128 {
			return k.edge(d - 100)
		}
		return 0
	case marbled:
		return k.edge(triangle(v+smooth(u*3/4, v*3/4, k.salt)*2) - 64)
	case plaid:
		a, b := k.edge(triangle(u)-64), k.edge(triangle(v)-64)
		thin := max(k.edge(triangle(u+64)-116), k.edge(triangle(v+64)-116))
		return max((a+b)/2, thin)
	}
	return 0
}
