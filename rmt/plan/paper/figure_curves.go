package paper

import (
	"math"
	"slices"
	"strconv"
)

// drawCurves has a panel for each data set, with a line a method, and one of the averages.
func drawCurves(g *Graph, s *Sheet, _ Results) (all []Panel, err error) {
	for j, c := range s.Columns {
		p := Panel{Title: c.Title, X: "shots", Y: "accuracy, %", Log: true}
		at := map[string]int{}
		zero := math.NaN()
		for _, l := range s.Lines {
			v := l.Cells[j]
			if l.Paper || v == nil {
				continue
			}
			shots, err := strconv.ParseFloat(l.Labels[0], 64)
			if err != nil {
				return nil, err
			}
			if shots == 0 {
				zero = v.Mean
				continue
			}
			name := l.Labels[1]
			if _, ok := at[name]; !ok {
				at[name] = len(p.Lines)
				p.Lines = append(p.Lines, Series{Name: name})
			}
			line := &p.Lines[at[name]]
			// Shots grow along the axis, and go down in the table.
			line.X, line.Y, line.Err = slices.Insert(line.X, 0, shots), slices.Insert(line.Y, 0, v.Mean), slices.Insert(line.Err, 0, v.SD)
		}
		if !math.IsNaN(zero) && len(p.Lines) > 0 {
			x := slices.Clone(p.Lines[0].X)
			y := make([]float64, len(x))
			for i := range y {
				y[i] = zero
			}
			p.Lines = slices.Insert(p.Lines, 0, Series{Name: titleOf("zero-shot"), X: x, Y: y})
		}
		all = append(all, p)
	}
	return all, nil
}
