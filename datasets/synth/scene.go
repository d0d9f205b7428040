package synth

type scene uint8

const (
	sky scene = iota
	grass
	sea
	sand
	nightSky
	bricks
	wood
	paper
	snow
	tiles
	leaves
	lava
	city
	numScenes
)

// scenes gives each scene its name, the words that put an object there, and its mean colour.
var scenes = [numScenes]struct {
	name, other string // with article where the language wants one
	in, alsoIn  string
	mean        rgb
}{
	sky:      {"the sky", "a blue sky with clouds", "in the sky", "in front of clouds", rgb{140, 190, 235}},
	grass:    {"grass", "a green lawn", "on grass", "on the lawn", rgb{80, 140, 55}},
	sea:      {"the sea", "ocean waves", "in the sea", "on the water", rgb{30, 105, 150}},
	sand:     {"sand", "a sandy beach", "on sand", "on the beach", rgb{220, 195, 140}},
	nightSky: {"the night sky", "stars at night", "in the night sky", "among the stars", rgb{14, 16, 44}},
	bricks:   {"a brick wall", "bricks", "on a brick wall", "on bricks", rgb{155, 75, 60}},
	wood:     {"wood", "wooden planks", "on wood", "on a wooden table", rgb{150, 105, 60}},
	paper:    {"paper", "lined paper", "on paper", "on a sheet of paper", rgb{240, 238, 228}},
	snow:     {"snow", "a snowy field", "in the snow", "on snow", rgb{228, 234, 244}},
	tiles:    {"tiles", "a tiled floor", "on tiles", "on a tiled floor", rgb{175, 185, 190}},
	leaves:   {"leaves", "a bush", "on leaves", "in a bush", rgb{45, 95, 40}},
	lava:     {"lava", "hot lava", "on lava", "in lava", rgb{90, 30, 20}},
	city:     {"a city", "tall buildings", "in a city", "in front of buildings", rgb{95, 100, 120}},
}

// setting is what the objects stand in front of: a scene, or a surface of its own.
type setting struct {
	scene   scene
	isScene bool
	salt    uint32
	zoom    int32 // Q8: the scene's grain, 256 is everyday
	tint    rgb   // added to the scene's colours
	surface ink
}

func (c canvas) paint(g *setting) {
	if !g.isScene {
		c.fill(&g.surface)
		return
	}
	if g.scene == leaves {
		c.paintLeaves(g)
		return
	}
	i := 0
	for y := range int32(Size) {
		for x := range int32(Size) {
			at := g.colour(x*px*px/g.zoom, y*px*px/g.zoom, y)
			c.set(i, rgb{at.r + g.tint.r, at.g + g.tint.g, at.b + g.tint.b})
			i += 3
		}
	}
}

// colour is the scene at (x, y), in Q8 pixels of everyday grain; row is the true row, for what depends on the horizon.
func (g *setting) colour(x, y, row int32) rgb {
	salt := g.salt
	switch g.scene {
	case sky:
		base := rgb{84, 150, 232}.mix(rgb{192, 222, 246}, row*256/Size)
		cloud := smooth(x/12, y/7, salt)*2/3 + smooth(x/5, y/4, salt+1)/3
		return base.mix(rgb{248, 250, 252}, share((cloud-130)*5))
	case grass:
		blade := int32(hash32(x>>8, (y>>8+int32(hash32(x>>8, 0, salt)&3))/3, salt) >> 26)
		return rgb{66, 118, 40}.mix(rgb{104, 170, 70}, row*200/Size).lift(blade - 32)
	case sea:
		crest := triangle(y/5+smooth(x/8, y/6, salt)) + smooth(x/4, y/2, salt+1)/4
		return rgb{18, 74, 124}.mix(rgb{40, 140, 176}, row*256/Size).mix(rgb{214, 236, 240}, share((crest-118)*5))
	case sand:
		grain := int32(hash32(x>>8, y>>8, salt) >> 27)
		return rgb{226, 200, 144}.lift(grain - 16 + smooth(x/14, y/5, salt)/8 - 16)
	case nightSky:
		star := hash32(x>>8, y>>8, salt)
		base := rgb{8, 10, 34}.mix(rgb{34, 30, 76}, smooth(x/20, y/20, salt))
		if star&63 == 0 {
			return base.lift(90 + int32(star>>25))
		}
		return base
	case bricks:
		const height, width = 7 * px, 15 * px
		y += int32(salt & 2047)
		line := y / height
		x += int32(salt>>12&2047) + line&1*width/2
		if y%height < px+px/4 || x%width < px+px/4 {
			return rgb{196, 186, 176}
		}
		return rgb{150, 66, 50}.lift(int32(hash32(x/width, line, salt)>>27) - 16)
	case wood:
		const plank = 15 * px
		y += int32(salt & 4095)
		if y%plank < px {
			return rgb{78, 48, 24}
		}
		board := y / plank
		grain := triangle(smooth(x/22, y/3+board*771, salt)*4 + smooth(x/9, y, salt+1)/2)
		return rgb{150, 100, 54}.lift(int32(hash32(board, 7, salt)>>27) - 16 + (grain-64)/3)
	case paper:
		if (y+int32(salt&2047))%(6*px) < px {
			return rgb{176, 198, 228}
		}
		return rgb{246, 244, 234}.lift(-smooth(x/10, y/10, salt) / 24)
	case snow:
		if hash32(x>>8, y>>8, salt)&31 == 0 {
			return rgb{255, 255, 255}
		}
		return rgb{232, 238, 248}.lift(-smooth(x/12, y/6, salt) / 5)
	case tiles:
		const side = 11 * px
		x, y = x+int32(salt&2047), y+int32(salt>>12&2047)
		if x%side < px || y%side < px {
			return rgb{110, 116, 122}
		}
		return rgb{196, 204, 208}.lift(-((x/side + y/side) & 1) * 52)
	case lava:
		crack := abs(smooth(x/9, y/9, salt)-128) + abs(smooth(x/4, y/4, salt+1)-128)/4
		return rgb{255, 170, 40}.mix(rgb{60, 16, 14}, share(crack*7))
	case city:
		const width = 8 * px
		block := (x + int32(salt&2047)) / width
		roof := int32(8 + hash32(block, 1, salt)%22)
		if row < roof {
			return rgb{150, 170, 205}.mix(rgb{232, 206, 190}, row*7)
		}
		wall := rgb{70, 74, 88}.lift(int32(hash32(block, 2, salt)>>27) * 2)
		wx, wy := (x+int32(salt&2047))%width/px, row-roof
		if wx&1 == 1 && wx < 7 && wy%3 == 1 {
			if hash32(block*8+wx, wy, salt)&3 == 0 {
				return rgb{252, 226, 130}
			}
			return wall.lift(-30)
		}
		return wall
	}
	return rgb{}
}

var leafShape = shapeNamed("leaf")

// paintLeaves covers the canvas with leaves, row over row.
func (c canvas) paintLeaves(g *setting) {
	c.fill(&ink{fore: rgb{26, 62, 26}})
	step := 8 * g.zoom
	for y := -step / 2; y < whole+step; y += step {
		for x := -step / 2; x < whole+step; x += step {
			h := hash32(x, y, g.salt)
			s := stamp{
				field: shapes[leafShape].field(), aspect: one, alpha: 256,
				x: x + int32(h&1023), y: y + int32(h>>10&1023),
				radius: step*3/4 + int32(h>>20&255), angle: int32(h >> 18 & (turn - 1)),
			}
			s.ink.fore = rgb{40, 100, 34}.mix(rgb{110, 170, 70}, int32(h>>24))
			s.ink.fore = rgb{s.ink.fore.r + g.tint.r, s.ink.fore.g + g.tint.g, s.ink.fore.b + g.tint.b}
			c.draw(&s)
		}
	}
}
