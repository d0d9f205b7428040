package paper

import (
	"encoding/json"
	"math"
	"slices"
	"strings"
	"testing"

	"fewshot/rmt/plan"
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
				o.Result.Tensors[i].Change = &change
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
