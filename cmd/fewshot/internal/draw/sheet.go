package draw

import (
	"gonum.org/v1/plot/vg"
	vgdraw "gonum.org/v1/plot/vg/draw"
)

// Sheet is several figures under one title, in rows from the left.
type Sheet struct {
	Title   string
	Columns int // 0 for 3
	Figures []Figure
}

func (f Sheet) columns() int {
	n := f.Columns
	if n <= 0 {
		n = 3
	}
	return max(1, min(n, len(f.Figures)))
}

// tile is the size that all figures get: that of the largest.
func (f Sheet) tile() (w, h vg.Length) {
	for _, g := range f.Figures {
		a, b := g.size()
		w, h = max(w, a), max(h, b)
	}
	return w, h
}

// room for the title.
func (f Sheet) room() vg.Length {
	if f.Title == "" {
		return 0
	}
	return 3 * titleSize
}

func (f Sheet) size() (w, h vg.Length) {
	w, h = f.tile()
	rows := (len(f.Figures) + f.columns() - 1) / f.columns()
	return max(200, w*vg.Length(f.columns())), max(60, h*vg.Length(rows)+f.room())
}

func (f Sheet) on(c vgdraw.Canvas) {
	frame(c, f.Title, nil)
	if len(f.Figures) == 0 {
		nothing(c)
		return
	}
	w, h := f.tile()
	for i, g := range f.Figures {
		x := c.Min.X + vg.Length(i%f.columns())*w
		y := c.Max.Y - f.room() - vg.Length(i/f.columns()+1)*h
		g.on(vgdraw.Canvas{Canvas: c.Canvas, Rectangle: vg.Rectangle{Min: vg.Point{X: x, Y: y}, Max: vg.Point{X: x + w, Y: y + h}}})
	}
}
