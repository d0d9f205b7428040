package draw

import (
	"fmt"
	"image"
	"image/color"
	"math"
	"unicode/utf8"

	"gonum.org/v1/plot"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
)

// Bar is a series of bars, one a group.
type Bar struct {
	Name   string
	Values []float64
	Err    []float64 // half lengths of error bars; nil for none
}

// Bars are groups of bars, one bar of each series in a group.
type Bars struct {
	Title, Y string // Y is what the lengths say
	Groups   []string
	Series   []Bar

	Across   bool            // bars go to the right, groups from top to bottom: for many groups, or long names
	Format   string          // of a number at the end of each bar, as %.1f, where there is room; "" for none
	From, To float64         // range of lengths; both 0 for 0 to that of the values
	Longest  int             // how many characters of a group's name are shown; 0 for nameLength
	Pictures [][]image.Image // examples of each group, beside its name; with Across alone

	W, H float64 // in points; 0 for what the groups need
}

func (f Bars) size() (w, h vg.Length) {
	n, k := float64(len(f.Groups)), float64(max(len(f.Series), 1))
	if !f.Across {
		return sizeOr(f.W, f.H, math.Min(math.Max(300, 60+n*(10+14*k)), 1200), 240)
	}
	row := math.Max(14, 6+9*k)
	width := 420.0
	for _, g := range f.Groups { // beyond what there is room for
		width = max(width, 420+tickSize/2*float64(min(utf8.RuneCountInString(g), f.longest())-nameLength))
	}
	if f.Pictures != nil {
		row = math.Max(row, picture+6)
		width += f.pictures()
	}
	return sizeOr(f.W, f.H, width, 80+n*row)
}

func (f Bars) longest() int { return max(f.Longest, nameLength) }

// picture is the side of one, in points.
const picture = 34

// pictures is the width of a row of them.
func (f Bars) pictures() float64 {
	most := 0
	for _, p := range f.Pictures {
		most = max(most, len(p))
	}
	return float64(most) * (picture + 2)
}

func (f Bars) on(c vgdraw.Canvas) {
	var keys []key
	var values [][]float64
	for i, s := range f.Series {
		if len(s.Values) != len(f.Groups) || s.Err != nil && len(s.Err) != len(f.Groups) {
			panic(fmt.Sprintf("draw: series %q has %d values and %d error bars for %d groups", s.Name, len(s.Values), len(s.Err), len(f.Groups)))
		}
		keys = append(keys, key{s.Name, func(c vgdraw.Canvas, at vg.Rectangle) {
			at.Max.X = at.Min.X + 16
			filled(c, at, i)
		}})
		values = append(values, s.Values)
		for k, e := range s.Err {
			values = append(values, []float64{s.Values[k] - e, s.Values[k] + e})
		}
	}
	if len(f.Series) == 1 && f.Series[0].Name == "" {
		keys = nil
	}
	c = frame(c, f.Title, keys)
	from, to, ok := span(values...)
	if !ok {
		nothing(c)
		return
	}
	from, to = math.Min(from, 0), math.Max(to, 0)
	if from == to {
		to = 1
	}
	if room := 0.04; to > 0 {
		if f.Format != "" {
			room = 0.1
		}
		to += room * (to - from)
	}
	if from < 0 {
		from -= 0.05 * (to - from)
	}
	if f.From != 0 || f.To != 0 {
		from, to = f.From, f.To
	}
	names := make(plot.ConstantTicks, len(f.Groups))
	for g, n := range f.Groups {
		names[g] = plot.Tick{Value: f.place(g), Label: clean(n, f.longest())}
	}
	p := newPlot("", f.Y)
	length, along := &p.Y, &p.X
	if f.Across {
		p = newPlot(f.Y, "")
		length, along = &p.X, &p.Y
	}
	length.Min, length.Max, length.Tick.Marker = from, to, ticks{}
	along.Min, along.Max = min(f.place(0), f.place(len(f.Groups)-1))-0.5, max(f.place(0), f.place(len(f.Groups)-1))+0.5
	along.Tick.Marker, along.Tick.Length = names, 0
	along.LineStyle.Width, along.Padding = 0, 0 // the line at 0 is enough
	if !f.Across {
		slot := (c.Max.X - c.Min.X - 40) / vg.Length(len(f.Groups))
		for _, n := range names {
			if style(tickSize, ink).Width(n.Label) > slot {
				along.Tick.Label.Rotation, along.Tick.Label.XAlign, along.Tick.Label.YAlign = math.Pi/5, text.XRight, text.YTop
				break
			}
		}
	}
	p.Add(grid{x: f.Across, y: !f.Across}, bars{f})
	if f.Pictures != nil && f.Across {
		right := vgdraw.Crop(c, vg.Length(f.pictures()), 0, 0, 0)
		p.Draw(right)
		_, y := p.Transforms(ptr(p.DataCanvas(right)))
		for g, row := range f.Pictures {
			for i, m := range row {
				x := c.Min.X + vg.Length(i*(picture+2))
				middle := y(f.place(g))
				c.DrawImage(vg.Rectangle{Min: vg.Point{X: x, Y: middle - picture/2}, Max: vg.Point{X: x + picture, Y: middle + picture/2}}, enlarged(m, 3*picture))
			}
		}
		return
	}
	p.Draw(c)
}

func ptr[T any](v T) *T { return &v }

// place of a group on its axis; the first is on the left, or on top.
func (f Bars) place(group int) float64 {
	if f.Across {
		return -float64(group)
	}
	return float64(group)
}

type bars struct{ Bars }

// Plot makes it a plotter.
func (f bars) Plot(c vgdraw.Canvas, p *plot.Plot) {
	x, y := p.Transforms(&c)
	const taken = 0.8 // of a group's room
	width := taken / float64(len(f.Series))
	label := style(tickSize-0.5, ink)
	for i, s := range f.Series {
		for g, v := range s.Values {
			if !finite(v) {
				continue
			}
			at := f.place(g)
			offset := -taken/2 + float64(i)*width
			var r vg.Rectangle
			var end vg.Point
			if f.Across {
				lo, hi := at-offset-width, at-offset
				r = vg.Rectangle{Min: vg.Point{X: x(math.Min(0, v)), Y: y(lo)}, Max: vg.Point{X: x(math.Max(0, v)), Y: y(hi)}}
				end = vg.Point{X: x(v), Y: (r.Min.Y + r.Max.Y) / 2}
			} else {
				lo, hi := at+offset, at+offset+width
				r = vg.Rectangle{Min: vg.Point{X: x(lo), Y: y(math.Min(0, v))}, Max: vg.Point{X: x(hi), Y: y(math.Max(0, v))}}
				end = vg.Point{X: (r.Min.X + r.Max.X) / 2, Y: y(v)}
			}
			r.Min.X, r.Min.Y = max(r.Min.X, c.Min.X), max(r.Min.Y, c.Min.Y)
			r.Max.X, r.Max.Y = min(r.Max.X, c.Max.X), min(r.Max.Y, c.Max.Y)
			filled(c, r, i)
			room := vg.Length(2.5)
			if s.Err != nil && shown(s.Err[g], v) {
				line := vgdraw.LineStyle{Color: ink, Width: 0.8}
				if f.Across {
					errorBar(c, line, end, x(v-s.Err[g]), x(v+s.Err[g]), true)
					room += x(v+s.Err[g]) - x(v)
				} else {
					errorBar(c, line, end, y(v-s.Err[g]), y(v+s.Err[g]), false)
					room += y(v+s.Err[g]) - y(v)
				}
			}
			if f.Format == "" {
				continue
			}
			said := fmt.Sprintf(f.Format, v)
			if f.Across {
				label.XAlign, label.YAlign = text.XLeft, text.YCenter
				end.X = max(end.X, x(0)) + room
			} else {
				label.XAlign, label.YAlign = text.XCenter, text.YBottom
				end.Y = max(end.Y, y(0)) + room
				if label.Width(said) > r.Max.X-r.Min.X { // it would cover its neighbour's
					continue
				}
			}
			c.FillText(label, end, said)
		}
	}
	line := vgdraw.LineStyle{Color: ink, Width: 0.6}
	if f.Across {
		c.StrokeLine2(line, x(0), c.Min.Y, x(0), c.Max.Y)
	} else {
		c.StrokeLine2(line, c.Min.X, y(0), c.Max.X, y(0))
	}
}

// filled draws a rectangle in the colour and with the hatching of a series.
func filled(c vgdraw.Canvas, r vg.Rectangle, i int) {
	w, h := r.Max.X-r.Min.X, r.Max.Y-r.Min.Y
	if w <= 0 || h <= 0 {
		return
	}
	c.SetColor(colour(i))
	c.Fill(r.Path())
	line := vgdraw.LineStyle{Color: paper, Width: 0.7}
	const every = 4
	switch i % len(series) {
	case 2, 4: // to the right, to the left
		for d := vg.Length(every); d < w+h; d += every {
			a, b := vg.Point{X: max(0, d-h), Y: min(d, h)}, vg.Point{X: min(d, w), Y: max(0, d-w)}
			if i%len(series) == 2 {
				a.X, b.X = w-a.X, w-b.X
			}
			c.StrokeLine2(line, r.Min.X+a.X, r.Min.Y+a.Y, r.Min.X+b.X, r.Min.Y+b.Y)
		}
	case 3:
		for d := vg.Length(every) / 2; d < h; d += every / 2. {
			c.StrokeLine2(line, r.Min.X, r.Min.Y+d, r.Max.X, r.Min.Y+d)
		}
	case 5:
		for d := vg.Length(every) / 2; d < w; d += every / 2. {
			c.StrokeLine2(line, r.Min.X+d, r.Min.Y, r.Min.X+d, r.Max.Y)
		}
	}
}

// enlarged repeats pixels until the picture is at least so wide: viewers that blur what they enlarge leave it as it is.
func enlarged(m image.Image, least int) image.Image {
	b := m.Bounds()
	if b.Empty() {
		return m
	}
	k := (least + b.Dx() - 1) / b.Dx()
	if k <= 1 {
		return m
	}
	out := image.NewRGBA(image.Rect(0, 0, b.Dx()*k, b.Dy()*k))
	for y := range b.Dy() {
		for x := range b.Dx() {
			v := color.RGBAModel.Convert(m.At(b.Min.X+x, b.Min.Y+y)).(color.RGBA)
			for j := range k {
				for i := range k {
					out.SetRGBA(x*k+i, y*k+j, v)
				}
			}
		}
	}
	return out
}
