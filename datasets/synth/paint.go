package synth

// setting draws the details of a backdrop that words leave open.
func (b *backdrop) open(s *source, pale int32) setting {
	g := setting{isScene: b.isScene, scene: b.scene, salt: s.bits(), zoom: s.between(200, 340)}
	if b.isScene {
		g.tint = rgb{s.around(12), s.around(12), s.around(12)}
		return g
	}
	white := colours[white].rgb
	g.surface = openInk(s, b.texture, b.colour, b.second, 24*px)
	g.surface.fore, g.surface.back = g.surface.fore.mix(white, pale), g.surface.back.mix(white, pale)
	if b.texture == plain && s.percent(50) {
		// Light falls off across even the plainest wall.
		g.surface.texture, g.surface.back = shaded, g.surface.fore.lift(s.around(40)).limited()
		g.surface.aim(s.between(0, turn-1), whole)
	}
	return g
}

// openInk chooses the shades of named colours and the direction and grain of a texture for a surface of a radius.
func openInk(s *source, t texture, fore, back colour, radius int32) ink {
	k := ink{
		texture: t,
		fore:    colours[fore].rgb.jitter(s, 16), back: colours[back].rgb.jitter(s, 16),
		phase: point{s.between(0, 255), s.between(0, 255)}, salt: s.bits(),
	}
	angle := s.around(turn / 16)
	if s.percent(30) {
		angle = s.between(0, turn-1)
	}
	period := s.between(7*px/2, 8*px)
	switch t {
	case shaded:
		angle, period = s.between(0, turn-1), radius+radius/2
	case dotted, checked, hatched, plaid:
		period = s.between(9*px/2, 9*px)
	case scaly:
		period = s.between(7*px, 11*px)
	case zigzag, wavy, marbled:
		period = s.between(9*px/2, 8*px)
	}
	if t == scaly {
		angle = s.around(turn / 32)
	}
	k.aim(angle, period)
	return k
}

// render draws the picture. Words left the shades, grains and lines open; s fills them in.
func (p *picture) render(c canvas, s *source) {
	l := p.style.look()
	g := p.setting.open(s, l.pale)
	c.paint(&g)
	sun := s.between(0, turn-1)
	for i := p.count - 1; i >= 0; i-- { // the container of an inner object comes first
		l.place(c, &p.objects[i], s, sun)
	}
	m := p.style.camera(s)
	c.shoot(&m, s.bits())
}

// place draws one object in this look, lit from an angle.
func (l *look) place(c canvas, o *object, s *source, sun int32) {
	st := stamp{
		field: shapes[o.shape].field(),
		x:     o.x, y: o.y, radius: o.radius, angle: o.angle,
		aspect: l.aspect + s.between(one*12/13, one*14/13), slant: l.slant + s.around(one/20),
		bold: o.bold + l.bold, finish: l.finish, edge: l.edge, alpha: 256, salt: s.bits(), wobble: l.wobble,
	}
	st.ink = openInk(s, o.texture, o.colour, o.second, o.radius)
	st.line = s.between(l.line[0], l.line[1])
	if l.repaint {
		st.ink.fore = l.paint.jitter(s, 10)
	}
	if !l.textured() {
		st.ink.texture = plain
	}
	if l.pale > 0 {
		st.ink.fore, st.ink.back = st.ink.fore.mix(rgb{255, 255, 255}, l.pale), st.ink.back.mix(rgb{255, 255, 255}, l.pale)
	}
	if l.hatching && s.percent(60) {
		inside := st
		inside.finish, inside.alpha = filled, s.between(40, 130)
		inside.ink.texture, inside.ink.back = striped, rgb{236, 236, 232}
		inside.ink.aim(s.between(0, turn-1), s.between(2*px, 4*px))
		c.draw(&inside)
	}
	if l.shadow > 0 && s.percent(60) {
		shade := st
		drop := o.radius/8 + px/2
		shade.x -= drop * cos(sun) / one
		shade.y -= drop * sin(sun) / one
		shade.alpha, shade.finish, shade.ink = l.shadow, filled, ink{}
		c.draw(&shade)
	}
	if l.light > 0 {
		st.light = point{l.light * cos(sun) / one, l.light * sin(sun) / one}
	}
	c.draw(&st)
}
