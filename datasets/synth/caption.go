package synth

import "strings"

// caption is a sentence being written; words are separated by single spaces.
type caption struct {
	buf [256]byte
	n   int
}

func (c *caption) say(words ...string) {
	for _, w := range words {
		if w == "" {
			continue
		}
		if c.n > 0 {
			c.n += copy(c.buf[c.n:], " ")
		}
		c.n += copy(c.buf[c.n:], w)
	}
}

func (c *caption) stop() { c.n += copy(c.buf[c.n:], ".") }

func (c *caption) String() string { return string(c.buf[:c.n]) }

// article returns "a" or "an" for a word.
func article(word string) string {
	if strings.IndexByte("aeiou", word[0]) >= 0 || word == "hourglass" {
		return "an"
	}
	return "a"
}

// rarely chooses the synonym now and then.
func rarely(s *source, name, other string) string {
	if s.percent(20) {
		return other
	}
	return name
}

var numbers = [...]string{"zero", "one", "two", "three", "four", "five"}

// describe writes a caption of the picture. Like people's captions it says some of what is there.
func (p *picture) describe(s *source) string {
	var c caption
	p.sayLead(&c, s)
	switch p.kind {
	case single:
		if s.percent(35) {
			// What it is and nothing else, as in a zero-shot prompt.
			c.say(article(shapes[p.objects[0].shape].name), shapes[p.objects[0].shape].name)
			break
		}
		p.sayObject(&c, s, &p.objects[0], true)
		p.sayPlace(&c, s)
	case several:
		p.saySeveral(&c, s)
	case pair:
		p.sayObject(&c, s, &p.objects[0], false)
		if s.percent(80) {
			c.say(rarely(s, relations[p.relation].name, relations[p.relation].other))
		} else {
			c.say([...]string{"and", "next to", "with"}[s.below(3)])
		}
		p.sayObject(&c, s, &p.objects[1], false)
		p.saySetting(&c, s, 40)
	case glyph:
		p.sayGlyph(&c, s)
	case view:
		c.say(rarely(s, scenes[p.setting.scene].name, scenes[p.setting.scene].other))
	case pattern:
		p.sayPattern(&c, s)
	}
	if s.percent(60) {
		c.stop()
	}
	return c.String()
}

// sayLead writes how the caption begins: with the picture's style, now and then with a photo's words whatever the
// style, or, for a photo, with next to nothing.
func (p *picture) sayLead(c *caption, s *source) {
	of := p.style
	switch form := s.below(100); {
	case form < 12:
		of = photo
	case form < 36 && p.style == photo:
		if p.kind == single || p.kind == glyph {
			c.say([...]string{"", "", "this is", "here is", "there is"}[s.below(5)])
		}
		return
	}
	c.say(styles[of].leads[s.below(3)])
}

// nounPhrase is adjectives and a noun, to which the article is still to be found.
type nounPhrase struct {
	words [8]string
	n     int
}

func (np *nounPhrase) push(words ...string) {
	for _, w := range words {
		if w != "" {
			np.words[np.n] = w
			np.n++
		}
	}
}

func (c *caption) sayPhrase(np *nounPhrase) {
	c.say(article(np.words[0]))
	c.say(np.words[:np.n]...)
}

// sayObject writes the noun phrase of one object: "a large red and white striped star with six points".
func (p *picture) sayObject(c *caption, s *source, o *object, sized bool) {
	const (
		unsaid     = iota
		adjective  // "a striped star"
		twoColours // "a red and white striped star"
		attached   // "a star with stripes"
	)
	texture := unsaid
	if l := p.style.look(); o.texture != plain && l.textured() {
		texture = s.pick([]int{unsaid: 25, adjective: 35, twoColours: 15, attached: 25})
	}
	hued, afterwards := !styles[p.style].colourless && s.percent(60), s.percent(12)
	if texture == twoColours && (p.kind == pair || !hued) {
		texture = adjective
	}

	var np nounPhrase
	if sized && s.percent(75) {
		np.push(rarely(s, sizes[o.size].name, sizes[o.size].other))
	}
	hue := rarely(s, colours[o.colour].name, colours[o.colour].other)
	if hued && (!afterwards || texture != unsaid) {
		np.push(hue)
		if texture == twoColours {
			np.push("and", colours[o.second].name)
		}
	}
	if texture == adjective || texture == twoColours {
		np.push(rarely(s, textures[o.texture].name, textures[o.texture].other))
	}
	sh := &shapes[o.shape]
	if np.n > 0 && s.percent(6) {
		// Now and then the attributes are the point and the thing is any shape.
		np.push([...]string{"shape", "thing", "object"}[s.below(3)])
	} else {
		np.push(sh.name)
		if texture != attached && s.percent(55) {
			np.push(sh.detail)
		}
	}
	c.sayPhrase(&np)
	if texture == attached {
		c.say("with", textures[o.texture].noun)
	}
	if hued && afterwards && texture == unsaid {
		c.say("in", hue)
	}
}

// sayPlace writes where a single object stands, and on what.
func (p *picture) sayPlace(c *caption, s *source) {
	o := &p.objects[0]
	if o.place != anywhere && s.percent(70) {
		c.say(rarely(s, places[o.place].name, places[o.place].other))
	}
	p.saySetting(c, s, 55)
}

// saySetting writes the background, so many times in a hundred and where it is worth it.
func (p *picture) saySetting(c *caption, s *source, often int) {
	st, b := &styles[p.style], &p.setting
	if st.ground != onAnything || !s.percent(often) {
		return
	}
	hue, pattern := colours[b.colour].name, textures[b.texture].name
	switch {
	case b.isScene:
		c.say(rarely(s, scenes[b.scene].in, scenes[b.scene].alsoIn))
	case st.colourless:
	case b.texture != plain:
		c.say("on", article(pattern), pattern, "background")
	case s.percent(30):
		c.say("on", hue)
	default:
		c.say("on", article(hue), hue, "background")
	}
}

// saySeveral writes "three small red stars on grass".
func (p *picture) saySeveral(c *caption, s *source) {
	o := &p.objects[0]
	if p.count > 1 && s.percent(6) {
		c.say("some")
	} else {
		c.say(numbers[p.count])
	}
	if s.percent(80) {
		c.say(rarely(s, sizes[p.sizeWord].name, sizes[p.sizeWord].other))
	}
	if p.mixed == alike && !styles[p.style].colourless && s.percent(55) {
		c.say(rarely(s, colours[o.colour].name, colours[o.colour].other))
	}
	noun, nouns := shapes[o.shape].name, shapes[o.shape].plural
	if p.mixed == mixedShapes && p.count > 1 || s.percent(12) {
		noun = [...]string{"shape", "object", "thing"}[s.below(3)]
		nouns = noun + "s"
	}
	if p.count > 1 {
		noun = nouns
	}
	c.say(noun)
	p.saySetting(c, s, 40)
}

// sayGlyph writes "the large blue letter k on a yellow background".
func (p *picture) sayGlyph(c *caption, s *source) {
	o := &p.objects[0]
	var np nounPhrase
	bare := s.percent(45)
	if !bare && s.percent(50) {
		np.push(sizes[o.size].name)
	}
	if !bare && !styles[p.style].colourless && s.percent(60) {
		np.push(colours[o.colour].name)
	}
	if o.shape < firstDigit {
		np.push("letter")
	} else {
		np.push(rarely(s, "number", "digit"))
	}
	np.push(shapes[o.shape].name)
	if s.percent(70) {
		c.say("the")
		c.say(np.words[:np.n]...)
	} else {
		c.sayPhrase(&np)
	}
	if !bare {
		p.saySetting(c, s, 50)
	}
}

// sayPattern writes "a red and white striped pattern".
func (p *picture) sayPattern(c *caption, s *source) {
	b := &p.setting
	t := &textures[b.texture]
	adjective := rarely(s, t.name, t.other)
	noun := [...]string{"pattern", "texture", "surface", "pattern"}[s.below(4)]
	switch one, two := colours[b.colour].name, colours[b.second].name; {
	case styles[p.style].colourless || s.percent(45):
		c.say(article(adjective), adjective, noun)
	case s.percent(50):
		c.say(article(one), one, "and", two, adjective, noun)
	default:
		c.say(article(adjective), adjective, noun, "in", one, "and", two)
	}
}
