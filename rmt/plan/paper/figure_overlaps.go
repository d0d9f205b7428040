package paper

import (
	"fmt"
	"math"

	"fewshot/rmt"
)

// Zeros are the weights that a mask switches off.
type Zeros struct {
	Places []int // in order
	Total  int
}

// overlapping are the methods whose masks are compared.
var overlapping = []string{"amt", "r-amt"}

// overlaps needs the masks of AMT and R-AMT on all data sets.
func overlaps(b *builder) {
	b.Heads = []string{"data set", "method"}
	b.columns(2, "accuracy", "sparsity, %")
	for _, name := range overlapping {
		for _, s := range b.sets(Sets()) {
			setup := b.options.setup(name, s.ID, 16)
			b.row(name, []string{b.options.World.title(s), titleOf(name)}, nil, []string{"", ""}, of(Accuracy, setup), of(Sparsity, setup))
		}
	}
}

// drawOverlaps has the matrix of each method: the mean of |A∩B| / |A∪B| over pairs of seeds; on the diagonal over pairs of different seeds.
func drawOverlaps(g *Graph, s *Sheet, results Results) (all []Panel, err error) {
	what := "the weights that they switch off"
	if g.kept {
		what = "the weights that they keep, nearly all, so that everything overlaps"
	}
	s.Notes = append(s.Notes, "Overlap is |A∩B| / |A∪B| of "+what+", the mean over pairs of seeds; on the diagonal over pairs of different seeds, and empty with one. The paper does not say of which.")
	s.Heads, s.Columns, s.Lines = []string{"method", "data set"}, nil, nil
	sets := g.options.sets(Sets())
	for _, set := range sets {
		s.Columns = append(s.Columns, Column{Title: g.options.World.title(set), Digits: 3})
	}
	for _, name := range overlapping {
		if !g.options.keep(name) {
			continue
		}
		p := Panel{Title: titleOf(name)}
		masks := make([][]map[string]Zeros, len(sets)) // by data set and seed
		for i, set := range sets {
			p.Names = append(p.Names, g.options.World.title(set))
			for _, seed := range g.options.seeds() {
				runs, err := g.options.runs(g.options.setup(name, set.ID, 16), seed)
				if err != nil {
					return nil, err
				}
				o := results[runs[len(runs)-1].ID()]
				if o == nil || o.Result == nil {
					masks[i] = append(masks[i], nil)
					continue
				}
				m, err := g.Masks(o)
				if err != nil {
					return nil, err
				}
				masks[i] = append(masks[i], m)
			}
		}
		for i := range masks {
			row := make([]float64, len(masks))
			line := Line{Labels: []string{titleOf(name), p.Names[i]}}
			for j := range masks {
				row[j] = overlapOf(masks[i], masks[j], i == j, g.kept)
				var v *Shown
				if !math.IsNaN(row[j]) {
					v = &Shown{Mean: row[j], Digits: 3}
				}
				line.Cells = append(line.Cells, v)
			}
			p.Matrix = append(p.Matrix, row)
			s.Lines = append(s.Lines, line)
		}
		all = append(all, p)
	}
	return all, nil
}

// overlapOf is the mean over pairs of seeds; NaN without any.
func overlapOf(a, b []map[string]Zeros, same, kept bool) float64 {
	sum, n := 0.0, 0
	for i := range a {
		for j := range b {
			if a[i] == nil || b[j] == nil || same && i >= j {
				continue
			}
			sum += overlap(a[i], b[j], kept)
			n++
		}
	}
	return sum / float64(n)
}

// overlap is |A∩B| / |A∪B| over all weights; 0 of nothing.
func overlap(a, b map[string]Zeros, kept bool) float64 {
	both, either, total := 0, 0, 0
	for name, x := range a {
		y := b[name]
		n := intersection(x.Places, y.Places)
		both += n
		either += len(x.Places) + len(y.Places) - n
		total += x.Total
	}
	if kept { // what is in neither set of zeros is kept by both, and what is not in both by one
		both, either = total-either, total-both
	}
	if either == 0 {
		return 0
	}
	return float64(both) / float64(either)
}

// intersection counts what two ordered lists have in common.
func intersection(a, b []int) (n int) {
	for i, j := 0, 0; i < len(a) && j < len(b); {
		switch {
		case a[i] < b[j]:
			i++
		case a[i] > b[j]:
			j++
		default:
			n, i, j = n+1, i+1, j+1
		}
	}
	return n
}

// ZerosOf reads the weights that a mask file switches off. shape gives those of the backbone's weights, by name.
func ZerosOf(path string, shape func(name string) ([]int, bool)) (map[string]Zeros, error) {
	f, err := rmt.OpenMasks(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	all := map[string]Zeros{}
	for _, t := range f.Tensors {
		s, ok := shape(t.Name)
		if !ok {
			return nil, fmt.Errorf("%s: the model has no weight %s", path, t.Name)
		}
		keep, err := f.Keep(t, s)
		if err != nil {
			return nil, err
		}
		z := Zeros{Total: len(keep)}
		for i, k := range keep {
			if !k {
				z.Places = append(z.Places, i)
			}
		}
		all[t.Name] = z
	}
	return all, nil
}
