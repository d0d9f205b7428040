package draw

import (
	"fmt"
	"math"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
)

// Cloud is a group of points.
type Cloud struct {
	Name   string
	X, Y   []float64
	Labels []string // of each point; nil for none
}

// Points are groups of points, with labels or without.
type Points struct {
	Title, X, Y string
	Clouds      []Cloud
	Zero        bool // draw the line y = 0

	W, H float64 // in points; 0 for 420 by 280
}

func (f Points) size() (w, h vg.Length) { return sizeOr(f.W, f.H, 420, 280) }

func (f Points) on(c vgdraw.Canvas) {
	var keys []key
	var xs, ys [][]float64
	for i, g := range f.Clouds {
		if len(g.X) != len(g.Y) || g.Labels != nil && len(g.Labels) != len(g.X) {
			panic(fmt.Sprintf("draw: points %q have %d x, %d y, %d labels", g.Name, len(g.X), len(g.Y), len(g.Labels)))
		}
		keys = append(keys, key{g.Name, func(c vgdraw.Canvas, at vg.Rectangle) {
			c.DrawGlyph(pointOf(i), vg.Point{X: (at.Min.X + at.Max.X) / 2, Y: (at.Min.Y + at.Max.Y) / 2})
		}})
		xs, ys = append(xs, g.X), append(ys, g.Y)
	}
	if len(f.Clouds) == 1 && f.Clouds[0].Name == "" {
		keys = nil
	}
	c = frame(c, f.Title, keys)
	x0, x1, ok := span(xs...)
	y0, y1, ok2 := span(ys...)
	if !ok || !ok2 {
		nothing(c)
		return
	}
	if f.Zero {
		y0, y1 = math.Min(y0, 0), math.Max(y1, 0)
	}
	p := newPlot(f.X, f.Y)
	p.X.Min, p.X.Max = padded(x0, x1)
	p.Y.Min, p.Y.Max = padded(y0, y1)
	p.X.Tick.Marker, p.Y.Tick.Marker = ticks{}, ticks{}
	p.Add(grid{x: true, y: true}, clouds{f})
	p.Draw(c)
}

func pointOf(i int) vgdraw.GlyphStyle {
	s := markOf(i)
	s.Radius = 3
	return s
}

type clouds struct{ Points }

// Plot makes it a plotter. A label goes to the first place beside its point where it covers no other label; one that has none is left out.
func (f clouds) Plot(c vgdraw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	if f.Zero {
		c.StrokeLine2(vgdraw.LineStyle{Color: ink, Width: 0.7}, c.Min.X, y(0), c.Max.X, y(0))
	}
	var taken []vg.Rectangle
	free := func(r vg.Rectangle) bool {
		if r.Min.X < c.Min.X || r.Max.X > c.Max.X || r.Min.Y < c.Min.Y || r.Max.Y > c.Max.Y {
			return false
		}
		for _, t := range taken {
			if r.Min.X < t.Max.X && t.Min.X < r.Max.X && r.Min.Y < t.Max.Y && t.Min.Y < r.Max.Y {
				return false
			}
		}
		return true
	}
	each := func(do func(i, k int, at vg.Point)) {
		for i, g := range f.Clouds {
			for k := range g.X {
				if finite(g.X[k]) && finite(g.Y[k]) {
					do(i, k, vg.Point{X: x(g.X[k]), Y: y(g.Y[k])})
				}
			}
		}
	}
	each(func(i, _ int, at vg.Point) {
		c.DrawGlyph(pointOf(i), at)
		taken = append(taken, vg.Rectangle{Min: vg.Point{X: at.X - 2, Y: at.Y - 2}, Max: vg.Point{X: at.X + 2, Y: at.Y + 2}})
	})
	s := style(tickSize-1, ink)
	s.YAlign = text.YBottom
	each(func(i, k int, at vg.Point) {
		if f.Clouds[i].Labels == nil {
			return
		}
		n := name(f.Clouds[i].Labels[k])
		w, h := s.Width(n), s.Font.Size
		for _, d := range []vg.Point{{X: 5, Y: -h / 2}, {X: -5 - w, Y: -h / 2}, {X: -w / 2, Y: 5}, {X: -w / 2, Y: -5 - h}, {X: 4, Y: 3}, {X: 4, Y: -3 - h}, {X: -4 - w, Y: 3}, {X: -4 - w, Y: -3 - h}} {
			r := vg.Rectangle{Min: at.Add(d), Max: at.Add(d).Add(vg.Point{X: w, Y: h})}
			if free(r) {
				taken = append(taken, r)
				c.FillText(s, r.Min, n)
				return
			}
		}
	})
}
