package draw

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"strconv"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
)

// Heat is a matrix whose cells are the darker the larger their values are, as a confusion matrix, or the overlap of
// masks. NaN is an empty cell.
type Heat struct {
	Title, X, Y   string
	Rows, Columns []string // names; the first row is on top
	Values        [][]float64
	From, To      float64 // values of the lightest and the darkest cell; both 0 for the smallest and the largest
	Format        string  // of a cell's number, as %.2f, where there is room; "" for none

	W, H float64 // in points; 0 for what the cells need
}

// The most cells along a side that are named, that hold numbers, and that are drawn one by one.
const (
	mostNamed    = 60
	mostNumbered = 20
	mostCells    = 80
)

func (f Heat) size() (w, h vg.Length) {
	cell := func(n int) float64 { return math.Min(math.Max(float64(n)*18, 160), 520) }
	return sizeOr(f.W, f.H, 150+cell(len(f.Columns)), 130+cell(len(f.Rows)))
}

func (f Heat) on(c vgdraw.Canvas) {
	if len(f.Values) != len(f.Rows) {
		panic(fmt.Sprintf("draw: %q has %d rows of values and %d names", f.Title, len(f.Values), len(f.Rows)))
	}
	for i, row := range f.Values {
		if len(row) != len(f.Columns) {
			panic(fmt.Sprintf("draw: row %d of %q has %d values and there are %d columns", i, f.Title, len(row), len(f.Columns)))
		}
	}
	c = frame(c, f.Title, nil)
	from, to, ok := span(f.Values...)
	if !ok {
		nothing(c)
		return
	}
	if f.From != 0 || f.To != 0 {
		from, to = f.From, f.To
	}
	p := newPlot(f.X, f.Y)
	p.X.Min, p.X.Max = -0.5, float64(len(f.Columns))-0.5
	p.Y.Min, p.Y.Max = -0.5-float64(len(f.Rows)-1), 0.5
	p.X.Padding, p.Y.Padding = 0, 0
	p.X.LineStyle.Width, p.Y.LineStyle.Width = 0, 0
	p.X.Tick.Length, p.Y.Tick.Length = 4, 3
	p.X.Tick.Marker, p.Y.Tick.Marker = nameTicks(f.Columns, 1), nameTicks(f.Rows, -1)
	if len(f.Columns) <= mostNamed {
		p.X.Tick.Label.Rotation, p.X.Tick.Label.XAlign, p.X.Tick.Label.YAlign = math.Pi/2, text.XRight, text.YCenter
	}
	if n := max(len(f.Rows), len(f.Columns)); n > 40 {
		p.X.Tick.Label.Font.Size, p.Y.Tick.Label.Font.Size = tickSize-1, tickSize-1
	}
	p.Add(cells{f, from, to})
	main := vgdraw.Crop(c, 0, -44, 0, 0)
	p.Draw(main)
	data := p.DataCanvas(main)
	scale(c, vg.Rectangle{Min: vg.Point{X: data.Max.X + 10, Y: data.Min.Y}, Max: vg.Point{X: data.Max.X + 18, Y: data.Max.Y}}, from, to)
}

// nameTicks are names at whole numbers, or without room for them some numbers, from 1.
func nameTicks(names []string, sign float64) plot.ConstantTicks {
	var all plot.ConstantTicks
	every := max(1, len(names)/10)
	for i, n := range names {
		t := plot.Tick{Value: sign * float64(i), Label: name(n)}
		if len(names) > mostNamed {
			t.Label = fmt.Sprint(i + 1)
			if i%every != 0 {
				continue
			}
		}
		all = append(all, t)
	}
	return all
}

// scale draws what the shades mean.
func scale(c vgdraw.Canvas, r vg.Rectangle, from, to float64) {
	const steps = 64
	h := (r.Max.Y - r.Min.Y) / steps
	for i := range steps {
		c.SetColor(shade((float64(i) + 0.5) / steps))
		y := r.Min.Y + vg.Length(i)*h
		c.Fill(vg.Rectangle{Min: vg.Point{X: r.Min.X, Y: y}, Max: vg.Point{X: r.Max.X, Y: y + h*1.05}}.Path())
	}
	s := style(tickSize-1, ink)
	s.YAlign = text.YCenter
	for i := range 5 {
		v := float64(i) / 4
		c.FillText(s, vg.Point{X: r.Max.X + 3, Y: r.Min.Y + vg.Length(v)*(r.Max.Y-r.Min.Y)}, strconv.FormatFloat(from+v*(to-from), 'g', 3, 64))
	}
}

// shades go from light to dark in about equal steps of lightness, blue.
var shades = []color.RGBA{rgb(0xf5f9fc), rgb(0xc9dcee), rgb(0x8fb8dc), rgb(0x4b86bd), rgb(0x1f5a94), rgb(0x0b2c52)}

// shade is the colour of a value from 0 to 1.
func shade(v float64) color.RGBA {
	v = math.Min(math.Max(v, 0), 1) * float64(len(shades)-1)
	i := min(int(v), len(shades)-2)
	a, b, t := shades[i], shades[i+1], v-float64(i)
	mix := func(a, b uint8) uint8 { return uint8(math.Round(float64(a) + t*(float64(b)-float64(a)))) }
	return color.RGBA{mix(a.R, b.R), mix(a.G, b.G), mix(a.B, b.B), 0xff}
}

type cells struct {
	Heat
	from, to float64
}

func (f cells) shade(v float64) (float64, bool) {
	if !finite(v) {
		return 0, false
	}
	if f.to == f.from {
		return 0, true
	}
	return (v - f.from) / (f.to - f.from), true
}

// Plot makes it a plotter.
func (f cells) Plot(c vgdraw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	if max(len(f.Rows), len(f.Columns)) > mostCells {
		c.DrawImage(c.Rectangle, f.raster())
		return
	}
	s := style(tickSize-1, dark)
	s.XAlign, s.YAlign = text.XCenter, text.YCenter
	for i, row := range f.Values {
		for j, v := range row {
			t, ok := f.shade(v)
			if !ok {
				continue
			}
			r := vg.Rectangle{Min: vg.Point{X: x(float64(j) - 0.5), Y: y(-float64(i) - 0.5)}, Max: vg.Point{X: x(float64(j) + 0.5), Y: y(-float64(i) + 0.5)}}
			c.SetColor(shade(t))
			c.Fill(r.Path())
			if f.Format == "" || max(len(f.Rows), len(f.Columns)) > mostNumbered {
				continue
			}
			s.Color = dark
			if t > 0.55 {
				s.Color = light
			}
			if n := fmt.Sprintf(f.Format, v); s.Width(n) < r.Max.X-r.Min.X {
				c.FillText(s, vg.Point{X: (r.Min.X + r.Max.X) / 2, Y: (r.Min.Y + r.Max.Y) / 2}, n)
			}
		}
	}
	c.StrokeLines(vgdraw.LineStyle{Color: ink, Width: 0.6}, []vg.Point{c.Min, {X: c.Max.X, Y: c.Min.Y}, c.Max, {X: c.Min.X, Y: c.Max.Y}, c.Min})
}

// raster is one pixel a cell, enlarged.
func (f cells) raster() image.Image {
	m := image.NewRGBA(image.Rect(0, 0, len(f.Columns), len(f.Rows)))
	for i, row := range f.Values {
		for j, v := range row {
			if t, ok := f.shade(v); ok {
				m.SetRGBA(j, i, shade(t))
			}
		}
	}
	return enlarged(m, 500)
}
