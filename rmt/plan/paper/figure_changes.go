package paper

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"fewshot/nn/words"
	"fewshot/rmt"
)

// changes is PMT, which is cross-entropy alone on all weights, on all data sets. Its rows are made when results tell what layers there are.
func changes(b *builder) {
	b.Heads = []string{"data set"}
	b.columns(2, "accuracy", "sparsity, %")
	for _, s := range b.sets(Sets()) {
		setup := b.options.setup("pmt", s.ID, 16)
		b.row(s.ID, []string{b.options.World.title(s)}, nil, []string{"", ""}, of(Accuracy, setup), of(Sparsity, setup))
	}
	b.note("Both quantities are means over a layer's scores, then over data sets and seeds. |M − M₀| is how far scores are from where they began, M₀ = 0.01, at the end of training. Σ γ·∂L/∂M, the sum over the steps, with γ the learning rate, " +
		"is the paper's Δ to the letter: what plain gradient descent would have moved them by, downwards. With Adam, which the paper trains with, scores move otherwise; and what rises and what falls cancels in its mean. The paper does not say which its figure shows.")
}

// kinds of weights whose changes are compared.
var kinds = []struct {
	title string
	parts []string
}{
	{"attention", []string{"attn.in_proj_weight", "attn.out_proj.weight"}},
	{"MLP", []string{"mlp.c_fc.weight", "mlp.c_proj.weight"}},
}

// moves are the two readings of how far a layer's scores move.
var moves = []struct {
	title  string
	unit   float64 // that values are printed in, spelt with what fonts of pictures have
	digits int
	of     func(t rmt.TensorSparsity) *float64
}{
	{"mean |M − M₀|", 1, 6, func(t rmt.TensorSparsity) *float64 { return t.Change }},
	{"mean Σ γ·∂L/∂M, 1e-6", 1e-6, 3, func(t rmt.TensorSparsity) *float64 { return t.GradientSum }},
}

const blockPrefix = "visual.transformer.resblocks."

// placeOf is the block and the kind of a weight; ok is false for those of no kind.
func placeOf(name string) (block, kind int, ok bool) {
	rest, ok := strings.CutPrefix(name, blockPrefix)
	number, part, _ := strings.Cut(rest, ".")
	block, err := strconv.Atoi(number)
	for k, of := range kinds {
		if ok && err == nil && block >= 0 && slices.Contains(of.parts, part) {
			return block, k, true
		}
	}
	return 0, 0, false
}

// layerMean is a mean over the scores of a kind of a block, over runs.
type layerMean struct{ sum, scores float64 }

// drawChanges has the moves of the attention and of the MLP of each block, a panel each. The sheet has a row a block, instead of the runs'.
func drawChanges(g *Graph, s *Sheet, results Results) ([]Panel, error) {
	p, err := g.Plan()
	if err != nil {
		return nil, err
	}
	var blocks [][]layerMean // of each block, by move and then by kind
	silent := 0              // runs that do not tell of all moves
	for i := range p.Len() {
		o := results[p.ID(i)]
		if o == nil || o.Result == nil {
			continue
		}
		tells := true
		for _, t := range o.Result.Tensors {
			block, kind, ok := placeOf(t.Name)
			if !ok {
				continue
			}
			for len(blocks) <= block {
				blocks = append(blocks, make([]layerMean, len(moves)*len(kinds)))
			}
			for m, move := range moves {
				v := move.of(t)
				if tells = tells && v != nil; v == nil {
					continue
				}
				at := &blocks[block][m*len(kinds)+kind]
				at.sum += *v / move.unit * float64(t.Total)
				at.scores += float64(t.Total)
			}
		}
		if !tells {
			silent++
		}
	}
	if silent > 0 {
		s.Notes = append(s.Notes, fmt.Sprintf("%s of older versions of this program did not add up γ·∂L/∂M, and are not in its means.", words.Count(silent, "run")))
	}
	s.Heads = []string{"block"}
	s.Columns, s.Lines = nil, nil
	for b := range blocks {
		s.Lines = append(s.Lines, Line{Labels: []string{strconv.Itoa(b + 1)}})
	}
	var all []Panel
	for m, move := range moves {
		panel := Panel{Title: move.title, X: "block", Y: move.title}
		for k, kind := range kinds {
			s.Columns = append(s.Columns, Column{Title: kind.title + ", " + move.title, Digits: move.digits})
			line := Series{Name: kind.title}
			for b := range blocks {
				at, v := blocks[b][m*len(kinds)+k], (*Shown)(nil)
				if at.scores > 0 {
					v = &Shown{Mean: at.sum / at.scores, Digits: move.digits}
					line.X, line.Y = append(line.X, float64(b+1)), append(line.Y, v.Mean)
				}
				s.Lines[b].Cells = append(s.Lines[b].Cells, v)
			}
			panel.Lines = append(panel.Lines, line)
		}
		all = append(all, panel)
	}
	return all, nil
}
