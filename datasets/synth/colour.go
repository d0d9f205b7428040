package synth

// rgb is a colour; channels may leave 0…255 while it is being computed.
type rgb struct{ r, g, b int32 }

func (c rgb) mix(d rgb, w int32) rgb {
	return rgb{c.r + (d.r-c.r)*w>>8, c.g + (d.g-c.g)*w>>8, c.b + (d.b-c.b)*w>>8}
}

// scale multiplies by w/256.
func (c rgb) scale(w int32) rgb { return rgb{c.r * w >> 8, c.g * w >> 8, c.b * w >> 8} }

func (c rgb) lift(v int32) rgb { return rgb{c.r + v, c.g + v, c.b + v} }

func (c rgb) limited() rgb { return rgb{clamp(c.r, 0, 255), clamp(c.g, 0, 255), clamp(c.b, 0, 255)} }

// jitter moves every channel by up to a, and all of them together by up to a.
func (c rgb) jitter(s *source, a int32) rgb {
	all := s.around(a)
	return rgb{c.r + all + s.around(a), c.g + all + s.around(a), c.b + all + s.around(a)}.limited()
}

// apart is the distance by which colours are told from each other.
func apart(c, d rgb) int32 { return abs(c.r-d.r) + abs(c.g-d.g) + abs(c.b-d.b) }

type colour uint8

const (
	red colour = iota
	orange
	yellow
	green
	blue
	purple
	pink
	brown
	black
	white
	grey
	cyan
	numColours
)

var colours = [numColours]struct {
	name, other string // other: a synonym, used now and then
	rgb         rgb
}{
	red:    {"red", "red", rgb{212, 38, 40}},
	orange: {"orange", "orange", rgb{240, 132, 22}},
	yellow: {"yellow", "yellow", rgb{243, 212, 44}},
	green:  {"green", "green", rgb{48, 158, 62}},
	blue:   {"blue", "blue", rgb{38, 84, 208}},
	purple: {"purple", "violet", rgb{124, 52, 176}},
	pink:   {"pink", "pink", rgb{246, 146, 186}},
	brown:  {"brown", "brown", rgb{118, 70, 36}},
	black:  {"black", "black", rgb{24, 24, 28}},
	white:  {"white", "white", rgb{244, 244, 242}},
	grey:   {"grey", "gray", rgb{136, 136, 140}},
	cyan:   {"cyan", "turquoise", rgb{46, 196, 206}},
}
