package paper

import (
	"fmt"
	"math"
	"slices"
	"strings"

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
	s.settleNotes()
	return &Drawing{*s, panels}, err
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
