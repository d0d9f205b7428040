package synth

// picture is what a pre-training pair shows: everything that its caption may mention, and where things stand.
type picture struct {
	kind     kind
	style    style
	setting  backdrop
	objects  [maxObjects]object
	count    int
	sizeWord size // of several objects together
	relation relation
	mixed    mixture
}

const maxObjects = 5

type kind uint8

const (
	single  kind = iota // one object
	several             // one to five objects of a kind
	pair                // two different objects and how they stand
	glyph               // a letter or a digit
	view                // a scene and nothing else
	pattern             // a texture and nothing else
)

// object is one thing in a picture.
type object struct {
	shape        int
	colour       colour
	second       colour
	texture      texture
	size         size
	place        place
	x, y, radius int32 // Q8 pixels
	angle        int32
	bold         int32 // stroke weight of a glyph, Q8 pixels
}

// backdrop is a picture's setting in words.
type backdrop struct {
	isScene bool
	scene   scene
	colour  colour
	second  colour
	texture texture
}

// mean is the colour that objects have to stand out from.
func (b *backdrop) mean() rgb {
	if b.isScene {
		return scenes[b.scene].mean
	}
	return colours[b.colour].rgb
}

type size uint8

const (
	unsized size = iota
	tiny
	small
	large
	huge
)

var sizes = [...]struct {
	name, other string
	lo, hi      int32 // radius of a single object, Q8 pixels
}{
	unsized: {"", "", 12 * px, 16 * px},
	tiny:    {"tiny", "very small", 7 * px / 2, 11 * px / 2},
	small:   {"small", "little", 7 * px, 10 * px},
	large:   {"large", "big", 16 * px, 19 * px},
	huge:    {"huge", "very large", 19 * px, 22 * px},
}

// place is where in the picture a single object stands.
type place uint8

const (
	anywhere place = iota // not worth a word: about the middle
	middle
	left
	right
	top
	bottom
	topLeft
	topRight
	bottomLeft
	bottomRight
)

var places = [...]struct {
	name, other string
	x, y        int32 // -1, 0, 1
}{
	anywhere:    {},
	middle:      {"in the middle", "in the center", 0, 0},
	left:        {"on the left", "at the left side", -1, 0},
	right:       {"on the right", "at the right side", 1, 0},
	top:         {"at the top", "on top", 0, -1},
	bottom:      {"at the bottom", "at the lower edge", 0, 1},
	topLeft:     {"in the top left corner", "at the top left", -1, -1},
	topRight:    {"in the top right corner", "at the top right", 1, -1},
	bottomLeft:  {"in the bottom left corner", "at the bottom left", -1, 1},
	bottomRight: {"in the bottom right corner", "at the bottom right", 1, 1},
}

type relation uint8

const (
	above relation = iota
	below
	leftOf
	rightOf
	inside
	numRelations
)

var relations = [numRelations]struct{ name, other string }{
	above:   {"above", "over"},
	below:   {"below", "under"},
	leftOf:  {"to the left of", "left of"},
	rightOf: {"to the right of", "right of"},
	inside:  {"inside", "in"},
}

// mixture says whether several objects differ.
type mixture uint8

const (
	alike mixture = iota
	mixedColours
	mixedShapes // and colours
)
