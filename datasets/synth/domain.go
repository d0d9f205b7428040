package synth

// domain is the style of a downstream task's pictures: fixed for the task, and away from anything pre-training shows.
// What a pre-trained model has learnt still applies, shifted in a way that some labelled examples reveal.
//
// The knobs of difficulty are all here. Three kinds of them move the results differently:
//
//   - grade, look, aspect and slant shift every picture the same way: zero-shot suffers, tuning wins it back;
//   - noise, clutter, bars and lean differ from picture to picture: they limit what anyone can reach;
//   - soften and mosaic take detail away for good.
type domain struct {
	look    look
	grounds [3]int   // weights of plain, scene and textured backdrops
	palette []colour // of plain and textured backdrops; any if empty
	clutter int      // up to so many small foreign shapes behind the subject
	bars    int      // up to so many strips laid over the picture
	lean    int32    // rotation to either side beyond a shape's own, degrees
	sway    int32    // exposure varies by this share, of 256
	camera  camera
}

var (
	// Prints from a worn block: things in hatching on brown paper, seen under a greenish lamp.
	woodcut = domain{
		look:    look{finish: bordered, line: [2]int32{px / 2, px}, edge: rgb{60, 20, 60}, aspect: one / 8},
		grounds: [3]int{80, 10, 10},
		clutter: 1, lean: 8, sway: 16,
		camera: camera{grade: desaturate(80).then(contrast(200, 128)).then(gains(230, 270, 190)), lines: 40, noise: 8},
	}
	// White lines on blue, drawn by an unsteady hand.
	blueprint = domain{
		look: look{finish: outlined, line: [2]int32{px / 2, px}, wobble: px / 2, repaint: true,
			paint: rgb{225, 235, 245}, aspect: one / 8},
		grounds: [3]int{90, 0, 10}, palette: []colour{blue},
		lean: 8, sway: 16,
		camera: camera{grade: contrast(200, 110), noise: 8},
	}
	// Coloured lamps: every hue has drifted towards its neighbour.
	stage = domain{
		look:    look{light: 110, shadow: 140, aspect: -one / 8},
		grounds: [3]int{75, 20, 5},
		clutter: 1, lean: 8, sway: 20,
		camera: camera{grade: spin(80).then(contrast(215, 118)), vignette: 70, noise: 8},
	}
	// Cloth: two shades that differ little, under a violet light, softly woven.
	cloth = domain{
		grounds: [3]int{0, 0, 1},
		sway:    20,
		camera:  camera{grade: spin(60).then(contrast(180, 120)).then(gains(250, 200, 270)), noise: 12},
	}
	// A radar screen: glowing green outlines, scan lines.
	radar = domain{
		look:    look{finish: glowing, line: [2]int32{px / 2, px}, repaint: true, paint: rgb{220, 240, 220}},
		grounds: [3]int{85, 0, 15}, palette: []colour{black, green, blue, brown},
		lean: 15, sway: 16,
		camera: camera{grade: desaturate(220).then(gains(120, 280, 140)), lines: 60, noise: 8},
	}
	// Bold slanted characters cut out of patterned paper, in negative.
	poster = domain{
		look:    look{finish: bordered, line: [2]int32{px / 2, px}, edge: rgb{240, 240, 200}, slant: one / 6, aspect: one / 6, bold: px / 2},
		grounds: [3]int{70, 15, 15},
		clutter: 1, lean: 6, sway: 16,
		camera: camera{grade: negative().then(contrast(190, 128)), noise: 8},
	}
	// Half a century in a drawer: brown, dark at the rim, things lying on top.
	postcard = domain{
		look:    look{shadow: 120},
		grounds: [3]int{0, 1, 0},
		clutter: 2, bars: 1, sway: 24,
		camera: camera{grade: desaturate(190).then(contrast(190, 120)).then(gains(280, 240, 180)), vignette: 90, noise: 12},
	}
	// Engravings: thin double lines, squeezed, on stone.
	engraving = domain{
		look:    look{finish: bordered, line: [2]int32{px / 2, px}, edge: rgb{30, 30, 30}, aspect: -one / 6, slant: -one / 8},
		grounds: [3]int{85, 15, 0},
		lean:    10, sway: 16,
		camera: camera{grade: desaturate(140).then(contrast(200, 118)), lines: 30, noise: 8},
	}
	// Seen through water on a tiled floor: bent lines, a cyan cast, no detail.
	puddle = domain{
		look:    look{wobble: px, slant: one / 8, aspect: -one / 8, shadow: 100},
		grounds: [3]int{20, 80, 0},
		lean:    10, sway: 24,
		camera: camera{soften: 2, grade: contrast(200, 140).then(gains(200, 260, 280)), vignette: 60, noise: 12},
	}
	// Enamel plates that have rusted: dark cracked edges, a reddish cast, rivets and dirt.
	plate = domain{
		look:    look{finish: bordered, line: [2]int32{px / 2, px}, edge: rgb{110, 50, 20}, aspect: -one / 6, slant: -one / 8, wobble: px / 2},
		grounds: [3]int{85, 0, 15},
		clutter: 2, lean: 10, sway: 20,
		camera: camera{grade: desaturate(120).then(contrast(190, 110)).then(gains(290, 220, 180)), noise: 12},
	}
	// Wallpaper in the evening: drawn by hand, everything in green and gold.
	wallpaper = domain{
		look:    look{finish: bordered, line: [2]int32{px / 2, px}, edge: rgb{40, 70, 40}, wobble: px / 2, aspect: one / 8},
		grounds: [3]int{90, 10, 0},
		lean:    10, sway: 20,
		camera: camera{grade: spin(50).then(contrast(190, 120)).then(gains(260, 260, 170)), lines: 30, noise: 10},
	}
	// Slides that were kept in the sun: magenta and pale.
	slide = domain{
		look:    look{finish: bordered, line: [2]int32{px / 2, px}, edge: rgb{90, 40, 90}, slant: one / 10},
		grounds: [3]int{85, 15, 0},
		lean:    8, sway: 20,
		camera: camera{grade: desaturate(110).then(contrast(170, 160)).then(gains(275, 215, 265)), vignette: 50, noise: 10},
	}
)

// backdrop chooses what is behind the subject.
func (d *domain) backdrop(s *source) (b backdrop) {
	hue := func() colour {
		if len(d.palette) > 0 {
			return d.palette[s.below(len(d.palette))]
		}
		return colour(s.below(int(numColours)))
	}
	b.colour = hue()
	switch s.pick(d.grounds[:]) {
	case 1:
		b.isScene, b.scene = true, scene(s.below(int(numScenes)))
	case 2:
		b.texture = texture(1 + s.below(int(numTextures)-1))
		b.second = distinct(s, colours[b.colour].rgb)
		if len(d.palette) > 0 {
			b.second = b.colour // two shades of it
		}
	}
	return b
}

// render draws p's backdrop and objects in the domain.
func (d *domain) render(c canvas, p *picture, s *source) {
	g := p.setting.open(s, 0)
	c.paint(&g)
	sun := s.between(0, turn-1)
	for range s.below(d.clutter + 1) {
		o := object{shape: s.below(numEveryday), colour: colour(s.below(int(numColours))),
			x: s.between(0, whole), y: s.between(0, whole), radius: s.between(3*px, 5*px)}
		o.turn(s)
		(&look{}).place(c, &o, s, sun)
	}
	for i := range p.count {
		o := p.objects[i]
		o.angle += s.around(degrees(d.lean))
		d.look.place(c, &o, s, sun)
	}
	for range s.below(d.bars + 1) {
		bar := stamp{
			field: shapes[barShape].field(), x: s.between(0, whole), y: s.between(0, whole),
			radius: s.between(4*px, 6*px), angle: s.between(0, turn-1), aspect: 12 * one, alpha: 256,
		}
		bar.ink.fore = colours[s.below(int(numColours))].rgb.jitter(s, 16)
		c.draw(&bar)
	}
	m := d.camera
	exposure := 256 + s.around(d.sway)
	m.grade = gains(exposure, exposure, exposure).then(m.grade)
	c.shoot(&m, s.bits())
}

var barShape = shapeNamed("rectangle")
