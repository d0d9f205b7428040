package synth

import "sync"

// shape is something that can be drawn and named.
type shape struct {
	name, plural string
	detail       string // "with six points": tells variants of one name apart
	lean         int32  // largest everyday rotation to either side, in degrees
	parts        []part
	field        func() *field
}

// shapes are the everyday ones first, then the variants of families, then the glyphs.
var shapes = catalogue()

// Positions in shapes.
const (
	numEveryday  = 48
	numPerFamily = 4
	firstVariant = numEveryday
	numVariants  = 3 * numPerFamily
	firstGlyph   = firstVariant + numVariants
	numGlyphs    = 36
	firstDigit   = firstGlyph + 26
)

// families lists everyday shapes that have countable details; their variants stand in this order.
var families = [...]int{shapeNamed("star"), shapeNamed("flower"), shapeNamed("gear")}

func shapeNamed(name string) int {
	for i := range shapes[:numEveryday] {
		if shapes[i].name == name {
			return i
		}
	}
	panic("synth: no shape named " + name)
}

func catalogue() []shape {
	all := everyday()
	variant := func(of, detail string, parts ...part) {
		all = append(all, shape{name: of, plural: of + "s", detail: detail, lean: 20, parts: parts})
	}
	variant("star", "with four points", spokes(4, 98, 36))
	variant("star", "with five points", spokes(5, 98, 42))
	variant("star", "with six points", spokes(6, 98, 54))
	variant("star", "with eight points", spokes(8, 98, 62))
	variant("flower", "with three petals", flower(3)...)
	variant("flower", "with four petals", flower(4)...)
	variant("flower", "with five petals", flower(5)...)
	variant("flower", "with seven petals", flower(7)...)
	variant("gear", "with five teeth", gear(5)...)
	variant("gear", "with six teeth", gear(6)...)
	variant("gear", "with eight teeth", gear(8)...)
	variant("gear", "with ten teeth", gear(10)...)
	all = append(all, glyphs()...)
	for i := range all {
		s := &all[i]
		s.field = sync.OnceValue(func() *field { return render(s.parts) })
	}
	return all
}

func everyday() []shape {
	plain := func(name string, lean int32, parts ...part) shape {
		return shape{name: name, plural: name + "s", lean: lean, parts: parts}
	}
	irregular := func(name, plural string, lean int32, parts ...part) shape {
		return shape{name: name, plural: plural, lean: lean, parts: parts}
	}
	const all = 180
	return []shape{
		plain("circle", all, disc(0, 0, 90)),
		plain("square", 12, box(-78, -78, 78, 78)),
		plain("triangle", 15, area(0, -90, 94, 74, -94, 74)),
		plain("star", 25, spokes(5, 98, 42)),
		irregular("cross", "crosses", 10, box(-28, -92, 28, 92), box(-92, -28, 92, 28)),
		plain("heart", 20, disc(-44, -34, 47), disc(44, -34, 47), area(-82, -8, -40, -50, 0, -36, 40, -50, 82, -8, 0, 92)),
		plain("ring", all, disc(0, 0, 92), disc(0, 0, 56).cutting()),
		plain("crescent", 30, disc(-6, 0, 92), disc(38, -14, 78).cutting()),
		plain("hexagon", 15, spokes(6, 96)),
		plain("arrow", all, area(-95, -24, 8, -24, 8, -68, 96, 0, 8, 68, 8, 24, -95, 24)),
		plain("diamond", 10, area(0, -98, 62, 0, 0, 98, -62, 0)),
		plain("pentagon", 12, spokes(5, 98)),
		plain("gear", all, gear(8)...),
		plain("house", 8, box(-66, -10, 66, 90), area(0, -94, 94, -6, -94, -6), box(-18, 30, 18, 91).cutting()),
		plain("tree", 8, box(-12, 50, 12, 97), area(0, -98, 44, -34, -44, -34), area(0, -62, 60, 14, -60, 14),
			area(0, -20, 76, 62, -76, 62)),
		irregular("fish", "fish", 18, oval(18, 0, 78, 46), area(-40, 0, -96, -48, -80, 0, -96, 48),
			area(0, -36, 30, -74, 44, -34), disc(56, -12, 10).cutting()),
		plain("key", all, disc(-52, 0, 42), disc(-54, 0, 21).cutting(), box(-16, -11, 96, 11), box(76, 0, 96, 44),
			box(42, 0, 60, 36)),
		plain("cup", 10, area(-74, -62, 44, -62, 30, 74, -60, 74), arc(10, 44, -8, 38, 36, -90, 90)),
		plain("mushroom", 12, pie(0, 4, 94, 88, 180, 360), area(-26, 0, 26, 0, 34, 92, -34, 92)),
		plain("flower", all, flower(5)...),
		plain("boat", 12, area(-92, 30, 92, 30, 56, 82, -60, 82), box(-8, -92, 4, 32), area(10, -88, 78, 18, 10, 18),
			area(-14, -60, -66, 18, -14, 18)),
		plain("umbrella", 20, pie(0, 0, 96, 88, 180, 360), oval(-64, 4, 30, 16).cutting(), oval(0, 4, 30, 16).cutting(),
			oval(64, 4, 30, 16).cutting(), stroke(6, 0, -20, 0, 74), arc(6, 18, 74, 18, 18, 180, 20)),
		irregular("bolt", "bolts", 15, area(18, -98, -58, 14, -8, 14, -26, 98, 62, -26, 6, -26, 44, -98)),
		plain("drop", 15, disc(0, 34, 60), area(0, -98, 53, 8, 0, 30, -53, 8)),
		plain("oval", 15, oval(0, 0, 96, 58)),
		plain("rectangle", 10, box(-96, -48, 96, 48)),
		plain("cloud", 8, disc(-52, 22, 40), disc(48, 20, 44), disc(-16, -18, 48), disc(34, -12, 40), box(-52, 10, 48, 62)),
		plain("sun", all, append(rays(), disc(0, 0, 48))...),
		irregular("leaf", "leaves", 60, disc(-58, 0, 108), disc(58, 0, 108).clipping(), stroke(6, 0, 60, 0, 100),
			stroke(4, 0, -50, 0, 72).cutting()),
		irregular("butterfly", "butterflies", 25, oval(-50, -36, 44, 40), oval(50, -36, 44, 40), oval(-38, 42, 32, 38),
			oval(38, 42, 32, 38), stroke(9, 0, -50, 0, 64), stroke(4, 0, -50, -26, -92), stroke(4, 0, -50, 26, -92)),
		plain("bird", 12, oval(-6, 16, 62, 42), disc(46, -34, 32), area(70, -44, 100, -30, 70, -20),
			area(-50, 0, -98, -34, -84, 34), stroke(5, -16, 50, -16, 90), stroke(5, 14, 50, 14, 90),
			disc(54, -40, 8).cutting()),
		plain("car", 8, box(-96, -6, 96, 46), area(-62, 0, -40, -54, 34, -54, 60, 0), disc(-50, 48, 28), disc(50, 48, 28),
			box(-42, -40, -8, -8).cutting(), box(4, -40, 34, -8).cutting()),
		plain("bottle", 15, box(-40, -20, 40, 94), area(-40, -18, -15, -54, 15, -54, 40, -18), box(-16, -96, 16, -40)),
		plain("bell", 15, pie(0, -14, 52, 72, 180, 360), area(-52, -16, 52, -16, 60, 36, 86, 60, -86, 60, -60, 36),
			disc(0, 74, 18), disc(0, -88, 12)),
		plain("crown", 12, area(-88, 70, -94, -56, -46, 4, 0, -78, 46, 4, 94, -56, 88, 70), disc(-94, -60, 12),
			disc(0, -82, 12), disc(94, -60, 12)),
		plain("anchor", 15, disc(0, -74, 24), disc(0, -74, 10).cutting(), stroke(9, 0, -52, 0, 84), stroke(9, -42, -30, 42, -30),
			arc(10, 0, 14, 74, 74, 10, 170), area(-98, 24, -72, -8, -48, 26), area(98, 24, 72, -8, 48, 26)),
		plain("apple", 15, disc(-28, 14, 54), disc(28, 14, 54), oval(0, 60, 44, 30), stroke(6, 0, -30, 12, -88),
			oval(40, -66, 28, 14)),
		plain("lamp", 8, area(-34, -92, 34, -92, 78, 2, -78, 2), box(-8, 0, 8, 78), box(-50, 74, 50, 94)),
		plain("flag", 10, box(-72, -96, -56, 98), area(-58, -90, 20, -78, 92, -92, 92, 0, 20, 12, -58, 0)),
		plain("ghost", 10, pie(0, -20, 68, 74, 180, 360), area(-68, -22, 68, -22, 68, 94, 44, 66, 22, 94, 0, 66, -22, 94, -44, 66, -68, 94),
			disc(-26, -26, 15).cutting(), disc(26, -26, 15).cutting()),
		plain("cat", 12, oval(0, 18, 78, 66), area(-76, 4, -72, -90, -14, -40), area(76, 4, 72, -90, 14, -40),
			disc(-32, 4, 13).cutting(), disc(32, 4, 13).cutting(), area(-12, 34, 12, 34, 0, 48).cutting()),
		irregular("snowman", "snowmen", 8, disc(0, 52, 46), disc(0, -14, 34), box(-24, -96, 24, -50), box(-40, -58, 40, -46),
			disc(-12, -18, 6).cutting(), disc(12, -18, 6).cutting()),
		plain("rocket", 30, oval(0, -14, 36, 84), area(-30, 10, -72, 70, -28, 56), area(30, 10, 72, 70, 28, 56),
			area(-20, 62, 20, 62, 0, 98), disc(0, -30, 15).cutting()),
		plain("hammer", 40, box(-12, -40, 12, 98), box(-74, -92, 50, -40), area(48, -92, 88, -60, 48, -40)),
		plain("candle", 8, box(-28, -22, 28, 90), disc(0, -54, 18), area(0, -98, 16, -60, -16, -60), stroke(4, 0, -40, 0, -20),
			box(-64, 76, 64, 96)),
		irregular("hourglass", "hourglasses", 10, area(-62, -86, 62, -86, 6, 0, 62, 86, -62, 86, -6, 0), box(-78, -98, 78, -80),
			box(-78, 80, 78, 98)),
		plain("clover", all, append(ringOf(3, 46, 44), stroke(8, 0, 0, 20, 96))...),
		plain("spiral", all, spiral()),
	}
}

func rays() []part {
	all := make([]part, 8)
	for i := range all {
		a := int32(i) * turn / 8
		at := func(r int32) point { return point{percentOf(r) * cos(a) / one, percentOf(r) * sin(a) / one} }
		all[i] = part{points: []point{at(66), at(92)}, half: percentOf(8)}
	}
	return all
}

// spiral winds out from the centre two and a half times.
func spiral() part {
	const steps = 48
	p := make([]point, steps+1)
	for i := range p {
		a, r := int32(i)*turn*5/2/steps, percentOf(4+int32(i)*86/steps)
		p[i] = point{r * cos(a) / one, r * sin(a) / one}
	}
	return part{points: p, half: percentOf(10)}
}
