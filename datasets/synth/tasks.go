package synth

import "strings"

// What the tasks show, label by label.

// things leaves out what a rotation, a squeeze or a line drawing would turn into something else.
var things = func() []int {
	var all []int
	for i := range numEveryday {
		switch shapes[i].name {
		case "oval", "rectangle", "square", "diamond", "pentagon", "hexagon", "ring", "circle", "clover", "snowman", "hourglass", "drop":
		default:
			all = append(all, i)
		}
	}
	return all
}()

func names(of []int) []string {
	all := make([]string, len(of))
	for i, k := range of {
		all[i] = shapes[k].name
	}
	return all
}

// subject makes a single object that stands out from the backdrop.
func (p *picture) subject(s *source, shape int, lo, hi int32) *object {
	o := &p.objects[0]
	o.shape = shape
	o.colour = p.setting.clear(s)
	o.turn(s)
	o.radius = s.between(lo, hi)
	o.settle(s)
	return o
}

func (o *object) pattern(s *source) {
	o.texture = texture(1 + s.below(int(numTextures)-1))
	o.second = distinct(s, colours[o.colour].rgb)
}

func composeThing(p *picture, s *source, label int) {
	o := p.subject(s, things[label], 11*px, 18*px)
	if s.percent(60) {
		o.pattern(s)
	}
}

var (
	compoundColours = [...]colour{red, orange, yellow, green, blue, purple, pink, cyan}
	compoundShapes  = [...]int{shapeNamed("star"), shapeNamed("heart"), shapeNamed("fish"), shapeNamed("house"), shapeNamed("cup")}
)

func compoundNames() (all []string) {
	for _, k := range compoundColours {
		for _, sh := range compoundShapes {
			all = append(all, colours[k].name+" "+shapes[sh].name)
		}
	}
	return all
}

func composeCompound(p *picture, s *source, label int) {
	n := len(compoundShapes)
	o := p.subject(s, compoundShapes[label%n], 10*px, 17*px)
	o.colour = compoundColours[label/n]
	for !p.setting.isScene && apart(p.setting.mean(), colours[o.colour].rgb) <= 170 {
		p.setting.colour = colour(s.below(int(numColours)))
	}
}

func textureNames() []string {
	all := make([]string, numTextures-1)
	for i := range all {
		all[i] = textures[i+1].name
	}
	return all
}

func composeTexture(p *picture, s *source, label int) {
	p.count = 0
	p.setting.texture = texture(label + 1)
	p.setting.colour, p.setting.second = twoColours(s)
}

func countNames() (all []string) {
	for n := 1; n <= maxObjects; n++ {
		for _, size := range []string{"small", "large"} {
			noun := "shapes"
			if n == 1 {
				noun = "shape"
			}
			all = append(all, strings.Join([]string{numbers[n], size, noun}, " "))
		}
	}
	return all
}

func composeCount(p *picture, s *source, label int) {
	p.count = 1 + label/2
	lo, hi := int32(5*px/2), int32(7*px/2)
	if label%2 == 1 {
		lo, hi = 6*px, 15*px/2
	}
	seats := grid{cells: 3}
	shape, hue := s.below(numEveryday), p.setting.clear(s)
	for i := range p.count {
		o := &p.objects[i]
		o.shape, o.colour = shape, hue
		o.turn(s)
		o.radius = s.between(lo, hi)
		seats.place(s, o)
	}
}

var placeShapes = [...]int{shapeNamed("star"), shapeNamed("circle")}

func placeNames() (all []string) {
	for k := middle; k <= bottomRight; k++ {
		for _, sh := range placeShapes {
			all = append(all, shapes[sh].name+" "+places[k].name)
		}
	}
	return all
}

func composePlace(p *picture, s *source, label int) {
	n := len(placeShapes)
	p.objects[0].place = middle + place(label/n)
	p.subject(s, placeShapes[label%n], 6*px, 10*px)
}

func composeLetter(p *picture, s *source, label int) {
	o := p.subject(s, firstGlyph+label, 12*px, 17*px)
	o.bold = s.between(o.radius/12, o.radius/6)
	if s.percent(50) {
		o.pattern(s)
	}
}

func sceneNames() []string {
	all := make([]string, numScenes)
	for i := range all {
		all[i] = scenes[i].name
	}
	return all
}

func composeScene(p *picture, s *source, label int) {
	p.setting = backdrop{isScene: true, scene: scene(label)}
	p.subject(s, s.below(numEveryday), 9*px, 13*px)
}

func partNames() []string {
	all := make([]string, numVariants)
	for i := range all {
		v := &shapes[firstVariant+i]
		all[i] = v.name + " " + v.detail
	}
	return all
}

func composePart(p *picture, s *source, label int) {
	p.subject(s, firstVariant+label, 14*px, 20*px)
}

func composeDigit(p *picture, s *source, label int) {
	o := p.subject(s, firstDigit+label, 12*px, 17*px)
	o.bold = s.between(o.radius/12, o.radius/6)
}

var (
	patternTextures = [...]texture{striped, dotted, checked, zigzag, scaly}
	patternShapes   = [...]int{shapeNamed("circle"), shapeNamed("house"), shapeNamed("cup"), shapeNamed("mushroom")}
)

func patternNames() (all []string) {
	for _, t := range patternTextures {
		for _, sh := range patternShapes {
			all = append(all, textures[t].name+" "+shapes[sh].name)
		}
	}
	return all
}

func composePatterned(p *picture, s *source, label int) {
	n := len(patternShapes)
	o := p.subject(s, patternShapes[label%n], 14*px, 19*px)
	o.texture = patternTextures[label/n]
	o.second = distinct(s, colours[o.colour].rgb)
}

var stackShapes = [...]int{shapeNamed("star"), shapeNamed("heart"), shapeNamed("fish"), shapeNamed("cup"), shapeNamed("tree")}

// stacksOf calls yield with the two shapes of every label: each of stackShapes above each other one.
func stacksOf(yield func(upper, lower int)) {
	for _, a := range stackShapes {
		for _, b := range stackShapes {
			if a != b {
				yield(a, b)
			}
		}
	}
}

func stackNames() (all []string) {
	stacksOf(func(upper, lower int) {
		all = append(all, strings.Join([]string{shapes[upper].name, relations[above].name, article(shapes[lower].name), shapes[lower].name}, " "))
	})
	return all
}

func composeStack(p *picture, s *source, label int) {
	p.count = 2
	n := len(stackShapes) - 1
	upper, lower := label/n, label%n
	if lower >= upper {
		lower++
	}
	gap, drift := s.between(11*px, 13*px), s.around(5*px)
	for i, k := range [...]int{upper, lower} {
		o := &p.objects[i]
		o.shape = stackShapes[k]
		o.colour = p.setting.clear(s)
		o.turn(s)
		o.radius = s.between(7*px, 10*px)
		side := int32(2*i - 1)
		o.x, o.y = centre+side*drift, centre+side*gap
	}
}
