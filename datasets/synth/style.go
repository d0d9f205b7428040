package synth

// style is a way of making pictures: how objects are drawn, on what, and what the camera does.
type style uint8

const (
	photo style = iota
	outline
	sketch
	neon
	pastel
	blurred
	pixelated
	inverted
	night
	faded
	cartoon
	monochrome
	noisy
	silhouette
	numStyles
)

var styleWeights = [numStyles]int{
	photo: 60, outline: 5, sketch: 6, neon: 4, pastel: 4, blurred: 4, pixelated: 4, inverted: 3, night: 4, faded: 4,
	cartoon: 6, monochrome: 4, noisy: 4, silhouette: 3,
}

type groundRule uint8

const (
	onAnything groundRule = iota
	onPaper
	onBlack
	onBright
)

var styles = [numStyles]struct {
	leads      [3]string // what captions call such a picture
	ground     groundRule
	colourless bool // object colours cannot be told
	drawn      bool // about objects: makes no sense for a bare surface
}{
	photo:      {leads: [3]string{"a photo of", "a picture of", "an image of"}},
	outline:    {leads: [3]string{"an outline of", "a line drawing of", "the contour of"}, drawn: true},
	sketch:     {leads: [3]string{"a sketch of", "a pencil drawing of", "a drawing of"}, ground: onPaper, colourless: true, drawn: true},
	neon:       {leads: [3]string{"a neon sign of", "a glowing picture of", "a neon photo of"}, ground: onBlack, drawn: true},
	pastel:     {leads: [3]string{"a pastel painting of", "a painting of", "a pale painting of"}},
	blurred:    {leads: [3]string{"a blurry photo of", "a blurred image of", "an unsharp photo of"}},
	pixelated:  {leads: [3]string{"a pixelated photo of", "a low resolution photo of", "a mosaic of"}},
	inverted:   {leads: [3]string{"an inverted photo of", "a negative of", "an inverted image of"}, colourless: true},
	night:      {leads: [3]string{"a dark photo of", "a night photo of", "a dark picture of"}},
	faded:      {leads: [3]string{"a faded photo of", "an old photo of", "a washed out photo of"}},
	cartoon:    {leads: [3]string{"a cartoon of", "a comic drawing of", "a sticker of"}, drawn: true},
	monochrome: {leads: [3]string{"a black and white photo of", "a grayscale photo of", "a photo without color of"}, colourless: true},
	noisy:      {leads: [3]string{"a noisy photo of", "a bad photo of", "a grainy photo of"}},
	silhouette: {leads: [3]string{"a silhouette of", "the shadow of", "a dark shape of"}, ground: onBright, colourless: true, drawn: true},
}

// look is how objects are rendered; the zero look is a flat filled shape.
type look struct {
	finish   finish
	line     [2]int32 // range of the half line width, Q8 pixels
	edge     rgb
	wobble   int32
	pale     int32 // blend of the ink towards white, of 256
	shadow   int32 // opacity of a cast shadow, of 256
	light    int32 // strength of the lighting, of 256 to the radius
	repaint  bool  // ignore the object's colours and use paint
	paint    rgb
	hatching bool  // a sketched inside under an outline
	aspect   int32 // added to width over height, Q14
	slant    int32 // added to the shear, Q14
	bold     int32 // Q8 pixels by which everything is fatter
}

// textured says whether an object's texture can be seen.
func (l *look) textured() bool { return !l.repaint && l.finish != outlined && l.finish != glowing }

func (st style) look() look {
	switch st {
	case outline:
		return look{finish: outlined, line: [2]int32{px * 5 / 8, px * 5 / 4}}
	case sketch:
		return look{finish: outlined, line: [2]int32{px * 3 / 8, px * 3 / 4}, wobble: px, repaint: true, paint: rgb{58, 56, 60}, hatching: true}
	case neon:
		return look{finish: glowing, line: [2]int32{px / 2, px}, pale: 50}
	case pastel:
		return look{pale: 120, wobble: px / 2}
	case cartoon:
		return look{finish: bordered, line: [2]int32{px / 2, px}, edge: rgb{16, 14, 18}}
	case silhouette:
		return look{repaint: true, paint: rgb{14, 12, 18}}
	case photo, night, noisy:
		return look{light: 60, shadow: 90}
	default:
		return look{light: 30}
	}
}

// camera draws the camera of one picture. Every camera varies exposure a little and adds a little noise.
func (st style) camera(s *source) camera {
	exposure := s.between(222, 280)
	m := camera{grade: gains(exposure, exposure, exposure), noise: s.between(0, 8)}
	switch st {
	case pastel:
		m.grade = contrast(s.between(170, 210), 255)
	case blurred:
		m.soften = int(s.between(2, 5))
	case pixelated:
		m.mosaic = s.between(3, 4)
	case inverted:
		m.grade = m.grade.then(negative())
	case night:
		v := s.between(70, 120)
		m.grade = gains(v*3/4, v, v*5/4)
		m.vignette = 100
	case faded:
		m.grade = desaturate(90).then(contrast(s.between(80, 130), 205)).then(gains(256, 248, 226))
	case monochrome:
		m.grade = m.grade.then(desaturate(256))
	case noisy:
		m.noise = s.between(40, 90)
	default:
		if s.percent(12) {
			m.soften = 1
		}
	}
	return m
}
