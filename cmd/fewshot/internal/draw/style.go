package draw

import (
	"image/color"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	stdfont "golang.org/x/image/font"
	"gonum.org/v1/plot"
	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"

	"fewshot/nn/quote"
)

func rgb(v uint32) color.RGBA { return color.RGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 0xff} }

var (
	paper = rgb(0xffffff)
	ink   = rgb(0x24292f) // text, axes
	faint = rgb(0xd8dee4) // grid
)

// series are the colours of lines and bars. Each has a contrast of at least 3 to the paper, and their neighbours differ
// for all kinds of colour vision; what they have not in common with a grey print is said by dashes, marks and hatching.
var series = []color.RGBA{rgb(0x1f4e79), rgb(0xd1661f), rgb(0x2a8a7c), rgb(0x7b3fa0), rgb(0x96700a), rgb(0x6b7280)}

// variables are the colours that a dark page has otherwise, by the names of their CSS variables.
var variables = []struct {
	name        string
	light, dark color.RGBA
}{
	{"fig-paper", paper, rgb(0x16191d)}, {"fig-ink", ink, rgb(0xe2e6ea)}, {"fig-faint", faint, rgb(0x3a4149)},
	{"fig-0", series[0], rgb(0x7db3e8)}, {"fig-1", series[1], rgb(0xf0935a)}, {"fig-2", series[2], rgb(0x5cc4b4)},
	{"fig-3", series[3], rgb(0xc39ae0)}, {"fig-4", series[4], rgb(0xd9b64e)}, {"fig-5", series[5], rgb(0xa5adb8)},
}

// On cells, whose colours are the same on all pages.
var (
	dark  = rgb(0x0b0e12)
	light = rgb(0xfdfdfd)
)

var dashes = [][]vg.Length{nil, {6, 3}, {2, 2}, {8, 3, 2, 3}, {4, 2}, {1, 3}}

var marks = []vgdraw.GlyphDrawer{vgdraw.CircleGlyph{}, vgdraw.SquareGlyph{}, vgdraw.PyramidGlyph{}, vgdraw.BoxGlyph{}, vgdraw.RingGlyph{}, vgdraw.PlusGlyph{}}

func colour(i int) color.RGBA { return series[i%len(series)] }

func lineOf(i int) vgdraw.LineStyle {
	return vgdraw.LineStyle{Color: colour(i), Width: 1.4, Dashes: dashes[i%len(dashes)]}
}

func markOf(i int) vgdraw.GlyphStyle {
	return vgdraw.GlyphStyle{Color: colour(i), Radius: 2.2, Shape: marks[i%len(marks)]}
}

// Sizes of type and space, in points.
const (
	titleSize = 11
	labelSize = 9
	tickSize  = 8
	margin    = 8
	gap       = 6
)

func style(size vg.Length, c color.Color) text.Style {
	return text.Style{Color: c, Font: font.Font{Typeface: "Liberation", Variant: "Sans", Size: size}, Handler: plot.DefaultTextHandler}
}

func bold(size vg.Length) text.Style {
	s := style(size, ink)
	s.Font.Weight = stdfont.WeightBold
	return s
}

// clean is a stranger's text on one line, of at most n characters.
func clean(s string, n int) string {
	s = quote.Text(strings.Join(strings.Fields(s), " "))
	if utf8.RuneCountInString(s) > n {
		s = strings.TrimSpace(string([]rune(s)[:n-1])) + "…"
	}
	return s
}

// nameLength is how much of a name is shown.
const nameLength = 28

func name(s string) string { return clean(s, nameLength) }

// newPlot is a plot with axes and a grid in the style.
func newPlot(x, y string) *plot.Plot {
	p := plot.New()
	p.BackgroundColor = nil
	for _, a := range []*plot.Axis{&p.X, &p.Y} {
		a.Label.TextStyle = style(labelSize, ink)
		a.Label.TextStyle.XAlign, a.Label.TextStyle.YAlign = text.XCenter, text.YBottom
		a.Label.Padding = 3
		a.LineStyle = vgdraw.LineStyle{Color: ink, Width: 0.6}
		a.Tick.LineStyle = vgdraw.LineStyle{Color: ink, Width: 0.6}
		a.Tick.Length = 3
		a.Padding = 2
	}
	p.X.Tick.Label, p.Y.Tick.Label = style(tickSize, ink), style(tickSize, ink)
	p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = text.XCenter, text.YTop
	p.Y.Tick.Label.XAlign, p.Y.Tick.Label.YAlign = text.XRight, text.YCenter
	p.X.Label.Text, p.Y.Label.Text = clean(x, 60), clean(y, 60)
	return p
}

// grid draws lines at an axis's ticks.
type grid struct{ x, y bool }

// Plot makes it a plotter.
func (g grid) Plot(c vgdraw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	s := vgdraw.LineStyle{Color: faint, Width: 0.5}
	if g.y {
		for _, t := range p.Y.Tick.Marker.Ticks(p.Y.Min, p.Y.Max) {
			if at := y(t.Value); !t.IsMinor() && c.ContainsY(at) {
				c.StrokeLine2(s, c.Min.X, at, c.Max.X, at)
			}
		}
	}
	if g.x {
		for _, t := range p.X.Tick.Marker.Ticks(p.X.Min, p.X.Max) {
			if at := x(t.Value); !t.IsMinor() && c.ContainsX(at) {
				c.StrokeLine2(s, at, c.Min.Y, at, c.Max.Y)
			}
		}
	}
}

// number is a number with so many digits after the point as it is worth.
func number(v float64) string { return strconv.FormatFloat(v, 'g', 4, 64) }

// ticks are those of round numbers, without half steps between whole ones.
type ticks struct{ whole bool }

// Ticks makes it a ticker.
func (t ticks) Ticks(from, to float64) []plot.Tick {
	if !(to > from) {
		return []plot.Tick{{Value: from, Label: number(from)}}
	}
	step := math.Pow(10, math.Floor(math.Log10((to-from)/4)))
	for _, m := range []float64{1, 2, 5, 10} {
		if (to-from)/(step*m) <= 6 {
			step *= m
			break
		}
	}
	if t.whole {
		step = math.Max(1, math.Round(step))
	}
	var all []plot.Tick
	for k := math.Ceil(from/step - 1e-9); k*step <= to+step*1e-9; k++ {
		v := k * step
		if math.Abs(v) < step*1e-9 {
			v = 0
		}
		all = append(all, plot.Tick{Value: v, Label: number(v)})
	}
	return all
}

// key is an entry of a legend.
type key struct {
	name string
	draw func(c vgdraw.Canvas, at vg.Rectangle)
}

// frame draws title and legend at the top of a canvas, and is what is left of it.
func frame(c vgdraw.Canvas, title string, keys []key) vgdraw.Canvas {
	c = vgdraw.Crop(c, margin, -margin, margin, -margin)
	y := c.Max.Y
	if title != "" {
		s := bold(titleSize)
		s.YAlign = text.YTop
		for _, line := range wrap(clean(title, 300), s, c.Max.X-c.Min.X) {
			c.FillText(s, vg.Point{X: c.Min.X, Y: y}, line)
			y -= titleSize * 1.25
		}
		y -= gap / 2
	}
	if len(keys) > 0 {
		s := style(labelSize, ink)
		s.YAlign = text.YCenter
		const symbol, height = 20, labelSize * 1.4
		x := c.Min.X
		for _, k := range keys {
			n := name(k.name)
			width := symbol + 4 + s.Width(n)
			if x > c.Min.X && x+width > c.Max.X {
				x, y = c.Min.X, y-height
			}
			k.draw(c, vg.Rectangle{Min: vg.Point{X: x, Y: y - height + 2}, Max: vg.Point{X: x + symbol, Y: y - 2}})
			c.FillText(s, vg.Point{X: x + symbol + 4, Y: y - height/2}, n)
			x += width + 14
		}
		y -= height
	}
	if title != "" || len(keys) > 0 {
		y -= gap
	}
	return vgdraw.Crop(c, 0, 0, 0, y-c.Max.Y)
}

// wrap breaks a text at spaces.
func wrap(s string, st text.Style, width vg.Length) (lines []string) {
	line := ""
	for _, word := range strings.Fields(s) {
		switch {
		case line == "":
			line = word
		case st.Width(line+" "+word) <= width:
			line += " " + word
		default:
			lines = append(lines, line)
			line = word
		}
	}
	return append(lines, line)
}

// nothing says that there is nothing to show.
func nothing(c vgdraw.Canvas) {
	s := style(labelSize, ink)
	s.XAlign, s.YAlign = text.XCenter, text.YCenter
	c.FillText(s, c.Center(), "nothing to show")
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }

// span is the range of the finite ones among values; ok is false without any.
func span(values ...[]float64) (from, to float64, ok bool) {
	from, to = math.Inf(1), math.Inf(-1)
	for _, v := range values {
		for _, x := range v {
			if finite(x) {
				from, to = math.Min(from, x), math.Max(to, x)
			}
		}
	}
	return from, to, from <= to
}

// padded is a range with a little room at both ends.
func padded(from, to float64) (float64, float64) {
	room := 0.04 * (to - from)
	if room == 0 {
		room = math.Max(math.Abs(from)*0.05, 0.5)
	}
	return from - room, to + room
}
