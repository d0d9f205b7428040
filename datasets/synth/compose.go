package synth

// albumSize consecutive pairs form an album: pictures in one style, in front of one backdrop and often with subjects
// of one colour. A contrastive batch of neighbours then holds negatives that only the subject tells apart; from
// independent pictures a small model learns colours and scenes first and shapes very late.
const albumSize = 16

// A stream begins simply: most of its first albums are plain, one upright subject of one colour on another, and the
// share falls to that of the rest. A small model learns in these what shapes and letters are; amid everything else it
// would need several times as many pictures.
const (
	nursery    = 400_000 // pairs until the share has fallen
	plainFirst = 90      // percent of albums at the beginning
	plainRest  = 40      // percent of albums after the nursery
)

// plainShare is the share of plain albums at index, in percent.
func plainShare(index uint64) int {
	return plainFirst - int(min(index, nursery)*(plainFirst-plainRest)/nursery)
}

// composePlain draws a plain picture.
func (p *picture) composePlain(s *source) {
	p.kind = kind(s.pick([]int{single: 50, several: 14, glyph: 25, pattern: 11}))
	switch p.kind {
	case several:
		p.composeSeveral(s)
		return
	case pattern:
		p.composePattern(s)
		return
	}
	p.count = 1
	o := &p.objects[0]
	if p.kind == glyph {
		o.shape = firstGlyph + s.below(26)
		if s.percent(15) {
			o.shape = firstDigit + s.below(10)
		}
		o.colour = p.setting.clear(s)
	} else {
		o.dress(s, &p.setting)
		o.texture = plain
	}
	o.angle = s.around(degrees(min(shapes[o.shape].lean, 12)))
	o.radius = s.between(14*px, 18*px)
	o.bold = s.between(o.radius/10, o.radius/5) + px/4
	o.settle(s)
}

// compose draws the content of pair index, and returns the stream that its caption goes on with: the grammar of the
// pre-training world.
func (p *picture) compose(seed, index uint64) source {
	album := newSource(seed, pairAlbum, index/albumSize)
	content := newSource(seed, pairContent, index)
	s := &content
	if album.percent(plainShare(index / albumSize * albumSize)) {
		*p = picture{style: photo, setting: backdrop{colour: colour(album.below(int(numColours)))}}
		p.composePlain(s)
		return content
	}
	*p = picture{style: style(album.pick(styleWeights[:]))}
	p.setting.compose(&album, p.style)
	hue, shared := p.setting.clear(&album), album.percent(50)
	p.kind = kind(s.pick([]int{single: 54, several: 12, pair: 10, glyph: 14, view: 3, pattern: 7}))
	if (p.kind == view || p.kind == pattern) && styles[p.style].drawn {
		p.kind = single // there would be nothing to draw a line around
	}
	switch p.kind {
	case single:
		p.count = 1
		o := &p.objects[0]
		o.dress(s, &p.setting)
		o.turn(s)
		o.size = size(s.pick([]int{unsized: 44, tiny: 4, small: 18, large: 24, huge: 10}))
		o.radius = s.between(sizes[o.size].lo, sizes[o.size].hi)
		o.place = anywhere
		if o.radius < 11*px {
			o.place = place(s.pick([]int{anywhere: 20, middle: 10, left: 9, right: 9, top: 9, bottom: 9,
				topLeft: 6, topRight: 6, bottomLeft: 6, bottomRight: 6}))
		}
		o.settle(s)
	case several:
		p.composeSeveral(s)
	case pair:
		p.composePair(s)
	case glyph:
		p.count = 1
		o := &p.objects[0]
		o.dress(s, &p.setting)
		o.shape = firstGlyph + s.below(numGlyphs)
		o.texture = plain
		o.turn(s)
		o.size = size(s.pick([]int{unsized: 56, small: 10, large: 34}))
		o.radius = s.between(sizes[o.size].lo, sizes[o.size].hi)
		o.bold = s.between(o.radius/12, o.radius/5) + px/4
		o.settle(s)
	case view:
		p.setting.isScene = true
		p.setting.scene = scene(s.below(int(numScenes)))
	case pattern:
		p.composePattern(s)
	}
	if shared && (p.kind == single || p.kind == glyph) {
		o := &p.objects[0]
		o.colour = hue
		if apart(colours[hue].rgb, colours[o.second].rgb) <= 170 {
			o.second = distinct(s, colours[hue].rgb)
		}
	}
	return content
}

func (p *picture) composePattern(s *source) {
	p.setting.isScene = false
	p.setting.texture = texture(1 + s.below(int(numTextures)-1))
	p.setting.colour, p.setting.second = twoColours(s)
}

func (p *picture) composeSeveral(s *source) {
	p.count = 1 + s.pick([]int{10, 24, 24, 22, 20})
	p.sizeWord = size(s.pick([]int{unsized: 50, small: 25, large: 25}))
	p.mixed = mixture(s.pick([]int{alike: 62, mixedColours: 20, mixedShapes: 18}))
	seats := grid{cells: 3}
	lo, hi := int32(4*px), int32(7*px)
	switch {
	case p.sizeWord == small:
		lo, hi = 3*px, 4*px
	case p.sizeWord == large:
		lo, hi = 6*px, 8*px
	case p.count <= 4 && s.percent(40):
		seats.cells, lo, hi = 2, 7*px, 11*px
	}
	radius := s.between(lo, hi)
	for i := range p.count {
		o := &p.objects[i]
		switch {
		case i == 0 || p.mixed == mixedShapes:
			o.dress(s, &p.setting)
		case p.mixed == mixedColours:
			*o = p.objects[0]
			o.colour = p.setting.clear(s)
		default:
			*o = p.objects[0]
		}
		o.turn(s)
		o.radius = radius + s.around(px/2)
		seats.place(s, o)
	}
}

// grid divides the picture into cells by cells squares, each for one object.
type grid struct {
	cells int
	taken [9]bool
}

// place puts the object anywhere inside a free square.
func (g *grid) place(s *source, o *object) {
	cell := s.below(g.cells * g.cells)
	for g.taken[cell] {
		cell = s.below(g.cells * g.cells)
	}
	g.taken[cell] = true
	side := whole / int32(g.cells)
	slack := max(side/2-o.radius, 0)
	o.x = int32(cell%g.cells)*side + side/2 + s.around(slack)
	o.y = int32(cell/g.cells)*side + side/2 + s.around(slack)
}

func (p *picture) composePair(s *source) {
	p.count = 2
	p.relation = relation(s.below(int(numRelations)))
	if p.style == silhouette && p.relation == inside {
		p.relation = above // black in black shows nothing
	}
	a, b := &p.objects[0], &p.objects[1]
	b.dress(s, &p.setting)
	a.dress(s, &p.setting)
	for range 8 {
		if a.shape != b.shape || a.colour != b.colour {
			break
		}
		a.dress(s, &p.setting)
	}
	a.turn(s)
	b.turn(s)
	if p.relation == inside {
		// The container is drawn first and has to be roomy.
		b.shape = roomy[s.below(len(roomy))]
		b.texture = plain
		b.radius = s.between(18*px, 22*px)
		b.x, b.y = centre+s.around(2*px), centre+s.around(2*px)
		a.radius = s.between(5*px, 8*px)
		a.x, a.y = b.x+s.around(px), b.y+s.around(px)
		for range 8 {
			if apart(colours[a.colour].rgb, colours[b.colour].rgb) > 170 {
				break
			}
			a.colour = p.setting.clear(s)
		}
		return
	}
	a.radius, b.radius = s.between(7*px, 10*px), s.between(7*px, 10*px)
	gap, drift := s.between(11*px, 13*px), s.around(5*px)
	dx, dy := drift, -gap
	switch p.relation {
	case below:
		dy = gap
	case leftOf:
		dx, dy = -gap, drift
	case rightOf:
		dx, dy = gap, drift
	}
	a.x, a.y = centre+dx, centre+dy
	b.x, b.y = centre-dx, centre-dy
}

// roomy lists shapes that can hold another one.
var roomy = [...]int{shapeNamed("circle"), shapeNamed("square"), shapeNamed("hexagon"), shapeNamed("cloud"), shapeNamed("heart")}

// dress chooses shape, colours and texture so that the object stands out.
func (o *object) dress(s *source, b *backdrop) {
	o.shape = s.below(numEveryday)
	if s.percent(8) {
		o.shape = families[s.below(len(families))]
	}
	for i, f := range families {
		if o.shape == f && s.percent(60) {
			o.shape = firstVariant + i*numPerFamily + s.below(numPerFamily)
		}
	}
	o.colour = b.clear(s)
	if s.percent(24) {
		o.texture = texture(1 + s.below(int(numTextures)-1))
		o.second = distinct(s, colours[o.colour].rgb)
	}
}

// turn rotates the object as far as its shape usually leans.
func (o *object) turn(s *source) { o.angle = s.around(degrees(shapes[o.shape].lean)) }

// settle puts the object where its place says, wholly inside the picture.
func (o *object) settle(s *source) {
	slack := max(whole/2-o.radius-px/2, 0)
	if o.place == anywhere {
		drift := min(slack, 4*px)
		o.x, o.y = centre+s.around(drift), centre+s.around(drift)
		return
	}
	axis := func(side int32) int32 {
		if side == 0 {
			return centre + s.around(2*px)
		}
		return centre + side*(slack-s.between(0, 3*px))
	}
	at := &places[o.place]
	o.x, o.y = axis(at.x), axis(at.y)
}

// clear returns a colour that stands out from the backdrop.
func (b *backdrop) clear(s *source) colour {
	for {
		k := distinct(s, b.mean())
		if b.isScene || b.texture == plain || apart(colours[k].rgb, colours[b.second].rgb) > 110 {
			return k
		}
	}
}

// distinct returns a colour that can be told from c.
func distinct(s *source, c rgb) colour {
	for {
		if k := colour(s.below(int(numColours))); apart(colours[k].rgb, c) > 170 {
			return k
		}
	}
}

func twoColours(s *source) (a, b colour) {
	a = colour(s.below(int(numColours)))
	return a, distinct(s, colours[a].rgb)
}

func (b *backdrop) compose(s *source, st style) {
	b.isScene, b.texture = false, plain
	switch styles[st].ground {
	case onPaper:
		b.colour = white
	case onBlack:
		b.colour = black
	case onBright:
		b.colour = [...]colour{white, yellow, orange, pink, cyan}[s.below(5)]
	default:
		switch s.pick([]int{60, 30, 10}) {
		case 0:
			b.colour = colour(s.below(int(numColours)))
		case 1:
			b.isScene, b.scene = true, scene(s.below(int(numScenes)))
		default:
			b.texture = texture(1 + s.below(int(numTextures)-1))
			b.colour, b.second = twoColours(s)
		}
	}
}
