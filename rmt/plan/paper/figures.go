package paper

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"

	"fewshot/rmt"
	"fewshot/rmt/plan"
)

// Graph is a figure of the paper: a table of its data, and what is drawn of it.
type Graph struct {
	Table
	draw func(g *Graph, s *Sheet, results Results) ([]Panel, error)
	kept bool // Figure 7 compares what masks keep
	// Masks gives the places of the weights that a run's masks switch off, by the names of the weights, and how many there are.
	Masks func(o *plan.Outcome) (map[string]Zeros, error)
}

// Zeros are the weights that a mask switches off.
type Zeros struct {
	Places []int // in order
	Total  int
}

// Drawing is a figure that was filled.
type Drawing struct {
	Sheet
	Panels []Panel `json:"panels"`
}

// Panel is one picture: Lines over X, or bars of groups, or a matrix.
type Panel struct {
	Title  string      `json:"title"`
	X      string      `json:"x,omitempty"`
	Y      string      `json:"y,omitempty"`
	Lines  []Series    `json:"lines,omitempty"`
	Log    bool        `json:"log,omitempty"` // X goes by factors
	Groups []string    `json:"groups,omitempty"`
	Bars   []Series    `json:"bars,omitempty"`
	Names  []string    `json:"names,omitempty"` // of rows and columns
	Matrix [][]float64 `json:"matrix,omitempty"`
}

// Series are values; of a line over X.
type Series struct {
	Name string    `json:"name"`
	X    []float64 `json:"x,omitempty"`
	Y    []float64 `json:"y"`
	Err  []float64 `json:"sd,omitempty"`
}

// diagrams are figures of which there is no data.
var diagrams = map[string]string{
	"1": "Figure 1 is a diagram: where prompts, adapters and masks stand in CLIP. Prompts are learned before the encoders (fewshot train -method coop), adapters behind them (tip-adapter-f), masks on the weights inside (r-amt).",
	"2": "Figure 2 is a diagram: a mask hides weights of the image encoder whose scores are not above a threshold; text features are fixed; scores are learned from the cross-entropy, of whose gradient gradient dropout keeps what does not contradict that of the distillation.",
	"6": "Figure 6 is a diagram: gradient dropout beside other rules for two gradients. Their formulas are in package optim, and fewshot table 12 compares them.",
}

// Diagram is what to say of a figure that is none of data; ok is false for others.
func Diagram(number string) (text string, ok bool) {
	text, ok = diagrams[number]
	return text, ok
}

// graphs are the figures with data.
var graphs = map[string]struct {
	form
	draw func(g *Graph, s *Sheet, results Results) ([]Panel, error)
}{
	"3": {form{"Figure 3", "How far the scores of masks move, by layer", changes}, drawChanges},
	"4": {form{"Figure 4", "Few-shot accuracy on eleven data sets", curves}, drawCurves},
	"5": {form{"Figure 5", "Gain over zero-shot CLIP, and sparsity, of R-AMT, 16 shots", gains}, drawGains},
	"7": {form{"Figure 7", "Overlap of the masks of two data sets, 16 shots", overlaps}, drawOverlaps},

	Methods: {forms[Methods], drawMethods},
}

// FigureNumbers are those of all figures.
func FigureNumbers() []string {
	return slices.Sorted(func(yield func(string) bool) {
		for n := range graphs {
			if !yield(n) {
				return
			}
		}
		for n := range diagrams {
			if !yield(n) {
				return
			}
		}
	})
}

// NewFigure makes the figure of a number. kept says that Figure 7 compares what masks keep, rather than what they switch off.
func NewFigure(number string, kept bool, o Options) (*Graph, error) {
	f, ok := graphs[number]
	if !ok {
		return nil, fmt.Errorf("there is no figure %s; there are %s", number, strings.Join(FigureNumbers(), ", "))
	}
	name := "figure" + number
	if number == "4" {
		name = "table17" // which it is drawn from
	}
	source, err := Published(name)
	if err != nil {
		return nil, err
	}
	t, err := build(f.form, source, o)
	if err != nil {
		return nil, err
	}
	return &Graph{Table: *t, draw: f.draw, kept: kept}, nil
}

// Draw fills the figure with what results there are.
func (g *Graph) Draw(results Results) (*Drawing, error) {
	s, err := g.Fill(results)
	if err != nil {
		return nil, err
	}
	panels, err := g.draw(g, s, results)
	return &Drawing{*s, panels}, err
}

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

// gains is R-AMT's by data set.
func gains(b *builder) {
	b.Heads = []string{"data set"}
	b.Columns = []Column{{"zero-shot", 2, false}, {"R-AMT", 2, false}, {"gain", 2, true}, {"sparsity, %", 2, false}}
	var zero, tuned []Cell
	line := func(id, label string, z, r Cell) {
		sparsity := Cell{}
		for _, m := range r.Measures {
			m.Quantity = Sparsity
			sparsity.Measures = append(sparsity.Measures, m)
		}
		row := len(b.Rows)
		more := Cell{Derive: func(at func(row, column int) Stat) Stat {
			before, after := at(row, 0), at(row, 1)
			return Stat{Mean: after.Mean - before.Mean}.whole(before, after)
		}}
		b.row(id, []string{label}, []string{id}, []string{"", "", "gain", "sparsity"}, z, r, more, sparsity)
	}
	for _, s := range Sets() {
		z, r := of(Accuracy, b.options.setup("zero-shot", s.ID, 16)), of(Accuracy, b.options.setup("r-amt", s.ID, 16))
		zero, tuned = append(zero, z), append(tuned, r)
		line(s.ID, b.options.World.title(s), z, r)
	}
	line("average", "average", mean(zero...), mean(tuned...))
	b.note("Sparsity is the share of the masked weights that is off.")
}

func drawGains(_ *Graph, s *Sheet, _ Results) ([]Panel, error) {
	all := []Panel{{Title: "Gain over zero-shot CLIP", Y: "points", Bars: []Series{{Name: "R-AMT"}}}, {Title: "Sparsity", Y: "% of the masked weights", Bars: []Series{{Name: "R-AMT"}}}}
	for _, l := range s.Lines {
		if l.Paper || l.Cells[2] == nil || l.Cells[3] == nil {
			continue
		}
		for i := range all {
			all[i].Groups = append(all[i].Groups, l.Labels[0])
			all[i].Bars[0].Y = append(all[i].Bars[0].Y, l.Cells[2+i].Mean)
		}
	}
	return all, nil
}

// changes is PMT, which is cross-entropy alone on all weights, on all data sets. Its rows are made when results tell what layers there are.
func changes(b *builder) {
	b.Heads = []string{"data set"}
	b.Columns = []Column{{"accuracy", 2, false}, {"sparsity, %", 2, false}}
	for _, s := range Sets() {
		setup := b.options.setup("pmt", s.ID, 16)
		b.row(s.ID, []string{b.options.World.title(s)}, nil, []string{"", ""}, of(Accuracy, setup), of(Sparsity, setup))
	}
	b.note("A layer's change is the mean of |M − M₀| over its scores, M₀ = 0.01, at the end of training; then the mean over data sets and seeds. The paper's Δ is the sum of γ·∂L/∂M over the steps, " +
		"which is what plain gradient descent would have moved them by; with Adam, which it trains with, the scores move otherwise.")
}

// drawMethods has a bar of each method's mean, for each number of shots.
func drawMethods(_ *Graph, s *Sheet, _ Results) ([]Panel, error) {
	p := Panel{Y: "accuracy, %, mean of three drawn tasks"}
	var columns []int
	for j, c := range s.Columns {
		if shots, ok := strings.CutPrefix(c.Title, meanOf); ok {
			columns = append(columns, j)
			p.Bars = append(p.Bars, Series{Name: shots})
		}
	}
	for _, l := range s.Lines {
		if slices.ContainsFunc(columns, func(j int) bool { return l.Cells[j] == nil }) {
			continue
		}
		p.Groups = append(p.Groups, l.Labels[0])
		for i, j := range columns {
			p.Bars[i].Y = append(p.Bars[i].Y, l.Cells[j].Mean)
		}
	}
	return []Panel{p}, nil
}

// kinds of weights whose changes are compared.
var kinds = []struct {
	title string
	parts []string
}{
	{"attention", []string{"attn.in_proj_weight", "attn.out_proj.weight"}},
	{"MLP", []string{"mlp.c_fc.weight", "mlp.c_proj.weight"}},
}

const blockPrefix = "visual.transformer.resblocks."

// drawChanges has the mean change of the attention and of the MLP of each block.
func drawChanges(g *Graph, s *Sheet, results Results) ([]Panel, error) {
	p, err := g.Plan()
	if err != nil {
		return nil, err
	}
	type place struct{ block, kind int }
	sums, weights := map[place]float64{}, map[place]float64{}
	for i := range p.Len() {
		o := results[p.ID(i)]
		if o == nil || o.Result == nil {
			continue
		}
		for _, t := range o.Result.Tensors {
			rest, ok := strings.CutPrefix(t.Name, blockPrefix)
			number, part, _ := strings.Cut(rest, ".")
			block, err := strconv.Atoi(number)
			if !ok || err != nil || t.Change == nil {
				continue
			}
			for k, of := range kinds {
				if slices.Contains(of.parts, part) {
					sums[place{block, k}] += *t.Change * float64(t.Total)
					weights[place{block, k}] += float64(t.Total)
				}
			}
		}
	}
	blocks := 0
	for at := range maps.Keys(sums) {
		blocks = max(blocks, at.block+1)
	}
	panel := Panel{Title: "Change of scores by layer", X: "block", Y: "mean |M − M₀|"}
	// The sheet of the data has a row a block, instead of the runs'.
	s.Heads = []string{"block"}
	s.Columns, s.Lines = nil, nil
	for _, k := range kinds {
		s.Columns = append(s.Columns, Column{Title: k.title, Digits: 6})
	}
	for k, of := range kinds {
		line := Series{Name: of.title}
		for b := range blocks {
			if w := weights[place{b, k}]; w > 0 {
				line.X, line.Y = append(line.X, float64(b+1)), append(line.Y, sums[place{b, k}]/w)
			}
		}
		panel.Lines = append(panel.Lines, line)
	}
	for b := range blocks {
		l := Line{Labels: []string{strconv.Itoa(b + 1)}}
		for k := range kinds {
			var v *Shown
			if w := weights[place{b, k}]; w > 0 {
				v = &Shown{Mean: sums[place{b, k}] / w, Digits: 6}
			}
			l.Cells = append(l.Cells, v)
		}
		s.Lines = append(s.Lines, l)
	}
	return []Panel{panel}, nil
}

// overlapping are the methods whose masks are compared.
var overlapping = []string{"amt", "r-amt"}

// overlaps needs the masks of AMT and R-AMT on all data sets.
func overlaps(b *builder) {
	b.Heads = []string{"data set", "method"}
	b.Columns = []Column{{"accuracy", 2, false}, {"sparsity, %", 2, false}}
	for _, name := range overlapping {
		for _, s := range Sets() {
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
	for _, set := range Sets() {
		s.Columns = append(s.Columns, Column{Title: g.options.World.title(set), Digits: 3})
	}
	for _, name := range overlapping {
		if !g.options.keep(name) {
			continue
		}
		p := Panel{Title: titleOf(name)}
		masks := make([][]map[string]Zeros, len(Sets())) // by data set and seed
		for i, set := range Sets() {
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

// JSON is the drawing with null for what is not known, which numbers of JSON cannot say.
func (d *Drawing) JSON() any {
	type panel struct {
		Panel
		Matrix [][]*float64 `json:"matrix,omitempty"`
	}
	out := struct {
		Sheet
		Panels []panel `json:"panels"`
	}{Sheet: d.Sheet}
	for _, p := range d.Panels {
		q := panel{Panel: p}
		for _, row := range p.Matrix {
			var r []*float64
			for _, v := range row {
				if math.IsNaN(v) {
					r = append(r, nil)
				} else {
					r = append(r, &v)
				}
			}
			q.Matrix = append(q.Matrix, r)
		}
		out.Panels = append(out.Panels, q)
	}
	return out
}
