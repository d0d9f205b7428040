package paper

import (
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"fewshot/rmt"
	"fewshot/rmt/plan"
	"fewshot/rmt/run"
)

// The data of every figure, of made-up numbers.
func TestFigures(t *testing.T) {
	for _, number := range FigureNumbers() {
		if text, ok := Diagram(number); ok {
			if !strings.Contains(text, "Figure "+number+" is a diagram") {
				t.Errorf("figure %s: %s", number, text)
			}
			continue
		}
		g, err := NewFigure(number, false, Options{World: drawnWorld(), Seeds: []uint64{1, 2}})
		if err != nil {
			t.Fatal(err)
		}
		p, err := g.Plan()
		if err != nil {
			t.Fatal(err)
		}
		results := inventedResults(t, p)
		for _, o := range results {
			for i := range o.Result.Tensors {
				change := 0.01 * invented(o.ID, o.Result.Tensors[i].Name, "change")
				sum := 1e-5 * (invented(o.ID, o.Result.Tensors[i].Name, "gradient") - 0.5)
				o.Result.Tensors[i].Change, o.Result.Tensors[i].GradientSum = &change, &sum
			}
		}
		g.Masks = func(o *plan.Outcome) (map[string]Zeros, error) {
			var z Zeros
			for i := range 100 {
				if invented(o.ID, string(rune(i))) < 0.3 {
					z.Places = append(z.Places, i)
				}
			}
			z.Total = 100
			return map[string]Zeros{"w": z}, nil
		}
		d, err := g.Draw(results)
		if err != nil {
			t.Fatal(err)
		}
		var text strings.Builder
		text.WriteString("MADE-UP NUMBERS of a test of the layout.\n\n")
		if err := d.Write(&text, "text"); err != nil {
			t.Fatal(err)
		}
		golden(t, "figure"+number+".txt", text.String())
		if len(d.Panels) == 0 {
			t.Errorf("figure %s has nothing to draw", number)
		}
		if _, err := json.Marshal(d.JSON()); err != nil {
			t.Errorf("figure %s: %v", number, err)
		}
		// Without results nothing is drawn, and nothing fails.
		if d, err = g.Draw(Results{}); err != nil {
			t.Fatal(err)
		}
		if _, err := json.Marshal(d.JSON()); err != nil {
			t.Errorf("figure %s, empty: %v", number, err)
		}
	}
	// The paper's runs: 11 data sets and three seeds, of one method or two; Figure 5 and 7 share them with Tables 3 and 17.
	for number, want := range map[string]int{"3": 33, "4": 330 + 6*165, "5": 33, "7": 66} {
		g, err := NewFigure(number, false, Options{World: drawnWorld()})
		if err != nil {
			t.Fatal(err)
		}
		p, err := g.Plan()
		if err != nil {
			t.Fatal(err)
		}
		if own, compared, _ := count(p); own+compared != want {
			t.Errorf("figure %s has %d trainings, want %d", number, own+compared, want)
		}
	}
}

// Figure 3 of two runs, by hand: means over scores, so that a weight of three times as many counts three times; then over runs.
func TestChangesByHand(t *testing.T) {
	g, err := NewFigure("3", false, Options{World: drawnWorld(), Seeds: []uint64{1}, Only: []string{"dtd", "oxford_pets"}})
	if err != nil {
		t.Fatal(err)
	}
	p, err := g.Plan()
	if err != nil || p.Len() != 2 {
		t.Fatalf("%d runs, %v", p.Len(), err)
	}
	tensor := func(name string, total int, change, sum float64) rmt.TensorSparsity {
		return rmt.TensorSparsity{Name: name, Sparsity: rmt.Sparsity{Total: total}, Change: &change, GradientSum: &sum}
	}
	const block = "visual.transformer.resblocks."
	first := []rmt.TensorSparsity{
		tensor(block+"0.attn.in_proj_weight", 300, 0.004, 2e-6), tensor(block+"0.attn.out_proj.weight", 100, 0.008, -6e-6),
		tensor(block+"1.mlp.c_fc.weight", 400, 0.001, -1e-6),
		tensor("visual.conv1.weight", 1000, 1, 1), tensor("transformer.resblocks.0.mlp.c_fc.weight", 1000, 1, 1), tensor(block+"x.mlp.c_fc.weight", 1000, 1, 1),
	}
	second := []rmt.TensorSparsity{tensor(block+"0.attn.in_proj_weight", 300, 0.002, 4e-6), tensor(block+"0.attn.out_proj.weight", 100, 0.002, 4e-6), tensor(block+"1.mlp.c_fc.weight", 400, 0.003, 5e-6)}
	draw := func() *Drawing {
		t.Helper()
		var all []*plan.Outcome
		for i, tensors := range [][]rmt.TensorSparsity{first, second} {
			all = append(all, &plan.Outcome{ID: p.ID(i), State: plan.Done, Result: &run.Result{Tensors: tensors}})
		}
		d, err := g.Draw(Collect(all))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	rows := func(d *Drawing) (all []string) {
		for _, row := range d.grid() {
			all = append(all, strings.Join(row, "; "))
		}
		return all
	}
	// (0.75·0.004 + 0.25·0.008 + 0.002)/2 = 0.0035, (0.75·2 − 0.25·6 + 4)/2 = 2, (−1 + 5)/2 = 2.
	want := []string{
		"block; attention, mean |M − M₀|; MLP, mean |M − M₀|; attention, mean Σ γ·∂L/∂M, 1e-6; MLP, mean Σ γ·∂L/∂M, 1e-6",
		"1; 0.003500; ; 2.000; ", "2; ; 0.002000; ; 2.000",
	}
	d := draw()
	if got := rows(d); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if len(d.Panels) != 2 || fmt.Sprintf("%.6f", d.Panels[0].Lines[0].Y) != "[0.003500]" || !slices.Equal(d.Panels[1].Lines[1].X, []float64{2}) {
		t.Errorf("%+v", d.Panels)
	}
	// A result of before gradients were added up has its part in the first quantity alone, and the sheet says so.
	for i := range second {
		second[i].GradientSum = nil
	}
	want[1], want[2] = "1; 0.003500; ; 0.000; ", "2; ; 0.002000; ; -1.000"
	d = draw()
	if got := rows(d); !slices.Equal(got, want) || !strings.Contains(strings.Join(d.Notes, "\n"), "1 run of older versions") {
		t.Errorf("%q, want %q; %q", got, want, d.Notes)
	}
}

func TestOverlap(t *testing.T) {
	of := func(places ...int) map[string]Zeros { return map[string]Zeros{"w": {Places: places, Total: 10}} }
	a, b := of(0, 1, 2), of(1, 2, 3)
	for _, c := range []struct {
		a, b map[string]Zeros
		kept bool
		want float64
	}{
		{a, b, false, 2.0 / 4}, {a, b, true, 6.0 / 8}, {a, a, false, 1}, {of(), of(), false, 0}, {of(), of(), true, 1}, {a, of(), false, 0},
	} {
		if got := overlap(c.a, c.b, c.kept); got != c.want {
			t.Errorf("overlap of %v and %v, kept %v: %v, want %v", c.a, c.b, c.kept, got, c.want)
		}
	}
	// The diagonal is over different seeds, each pair once; what is missing does not count.
	seeds := []map[string]Zeros{a, b, nil}
	if got := overlapOf(seeds, seeds, true, false); got != 0.5 {
		t.Errorf("of two seeds %v", got)
	}
	if got := overlapOf(seeds[:1], seeds[:1], true, false); !math.IsNaN(got) {
		t.Errorf("of one seed %v", got)
	}
	if got := overlapOf(seeds, seeds, false, false); got != (1+0.5+0.5+1)/4.0 {
		t.Errorf("of all pairs %v", got)
	}
	if !slices.Equal(Backbones(), []string{"RN50", "RN101", "ViT-B/16", "ViT-B/32"}) {
		t.Error(Backbones())
	}
}
