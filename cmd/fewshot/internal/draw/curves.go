package draw

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
)

// Line is a curve.
type Line struct {
	Name string
	X, Y []float64
	Err  []float64 // half lengths of error bars; nil for none
}

// Curves are lines over a common axis.
type Curves struct {
	Title, X, Y string
	Lines       []Line

	Whole    bool      // X counts something, as epochs: no ticks between whole numbers
	Log      bool      // X goes by factors
	Ticks    []float64 // of X; nil for round numbers
	From, To float64   // range of Y; both 0 for that of the values
	Diagonal bool      // draw y = x, as a reliability diagram has it

	W, H float64 // in points; 0 for 360 by 240
}

func sizeOr(w, h, width, height float64) (vg.Length, vg.Length) {
	if w > 0 {
		width = w
	}
	if h > 0 {
		height = h
	}
	return vg.Length(width), vg.Length(height)
}

func (f Curves) size() (w, h vg.Length) { return sizeOr(f.W, f.H, 360, 240) }

func (f Curves) on(c vgdraw.Canvas) {
	var keys []key
	var xs, ys [][]float64
	for i, l := range f.Lines {
		if len(l.X) != len(l.Y) || l.Err != nil && len(l.Err) != len(l.Y) {
			panic(fmt.Sprintf("draw: line %q has %d x, %d y, %d error bars", l.Name, len(l.X), len(l.Y), len(l.Err)))
		}
		keys = append(keys, key{l.Name, func(c vgdraw.Canvas, at vg.Rectangle) {
			y := (at.Min.Y + at.Max.Y) / 2
			c.StrokeLine2(lineOf(i), at.Min.X, y, at.Max.X, y)
			c.DrawGlyph(markOf(i), vg.Point{X: (at.Min.X + at.Max.X) / 2, Y: y})
		}})
		xs, ys = append(xs, l.X), append(ys, l.Y)
		for k, e := range l.Err {
			ys = append(ys, []float64{l.Y[k] - e, l.Y[k] + e})
		}
	}
	if len(f.Lines) == 1 && f.Lines[0].Name == "" {
		keys = nil
	}
	c = frame(c, f.Title, keys)
	x0, x1, ok := span(xs...)
	y0, y1, ok2 := span(ys...)
	if !ok || !ok2 || f.Log && x0 <= 0 {
		nothing(c)
		return
	}
	p := newPlot(f.X, f.Y)
	y0, y1 = padded(y0, y1)
	if f.From != 0 || f.To != 0 {
		y0, y1 = f.From, f.To
	}
	p.Y.Min, p.Y.Max, p.Y.Tick.Marker = y0, y1, ticks{}
	p.X.Tick.Marker = ticks{f.Whole}
	if f.Log {
		p.X.Scale = plot.LogScale{}
		p.X.Tick.Marker = plot.LogTicks{}
		p.X.Min, p.X.Max = x0/1.1, x1*1.1
	} else {
		p.X.Min, p.X.Max = padded(x0, x1)
	}
	if f.Ticks != nil {
		var at plot.ConstantTicks
		for _, v := range f.Ticks {
			at = append(at, plot.Tick{Value: v, Label: number(v)})
		}
		p.X.Tick.Marker = at
	}
	p.Add(grid{x: false, y: true})
	if f.Diagonal {
		p.Add(diagonal{})
	}
	for i, l := range f.Lines {
		p.Add(curve{i, l})
	}
	p.Draw(c)
}

// diagonal is the line y = x.
type diagonal struct{}

// Plot makes it a plotter.
func (diagonal) Plot(c vgdraw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	from, to := math.Max(p.X.Min, p.Y.Min), math.Min(p.X.Max, p.Y.Max)
	c.StrokeLine2(vgdraw.LineStyle{Color: ink, Width: 0.7, Dashes: []vg.Length{3, 2}}, x(from), y(from), x(to), y(to))
}

// mostMarks is how many points of a line are marked.
const mostMarks = 24

type curve struct {
	index int
	Line
}

// Plot makes it a plotter.
func (l curve) Plot(c vgdraw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	var run []vg.Point
	flush := func() {
		c.StrokeLines(lineOf(l.index), c.ClipLinesXY(run)...)
		run = nil
	}
	every := (len(l.X) + mostMarks - 1) / mostMarks
	for i := range l.X {
		if !finite(l.X[i]) || !finite(l.Y[i]) {
			flush()
			continue
		}
		at := vg.Point{X: x(l.X[i]), Y: y(l.Y[i])}
		run = append(run, at)
		if l.Err != nil && shown(l.Err[i], l.Y[i]) {
			errorBar(c, vgdraw.LineStyle{Color: colour(l.index), Width: 0.9}, at, y(l.Y[i]-l.Err[i]), y(l.Y[i]+l.Err[i]), false)
		}
		if i%every == 0 || i == len(l.X)-1 {
			c.DrawGlyph(markOf(l.index), at)
		}
	}
	flush()
}

// shown reports whether an error is more than what rounding leaves of equal values.
func shown(err, value float64) bool { return finite(err) && err > 1e-9*(1+math.Abs(value)) }

// errorBar goes from one end to the other, through a point, along x or y.
func errorBar(c vgdraw.Canvas, s vgdraw.LineStyle, at vg.Point, from, to vg.Length, alongX bool) {
	const cap = 2.5
	var bars [][]vg.Point
	if alongX {
		from, to = max(from, c.Min.X), min(to, c.Max.X)
		bars = [][]vg.Point{{{X: from, Y: at.Y}, {X: to, Y: at.Y}}, {{X: from, Y: at.Y - cap}, {X: from, Y: at.Y + cap}}, {{X: to, Y: at.Y - cap}, {X: to, Y: at.Y + cap}}}
	} else {
		from, to = max(from, c.Min.Y), min(to, c.Max.Y)
		bars = [][]vg.Point{{{X: at.X, Y: from}, {X: at.X, Y: to}}, {{X: at.X - cap, Y: from}, {X: at.X + cap, Y: from}}, {{X: at.X - cap, Y: to}, {X: at.X + cap, Y: to}}}
	}
	c.StrokeLines(s, bars...)
}
