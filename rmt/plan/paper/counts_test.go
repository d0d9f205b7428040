package paper

import (
	"maps"
	"slices"
	"testing"

	"fewshot/rmt/plan"
)

// drawnWorld is the synthetic world with a model of each kind.
func drawnWorld() World {
	w := World{Synthetic: true, Model: plan.Model{Name: "embedded"}, Backbones: map[string]plan.Model{}}
	for _, m := range Backbones() {
		w.Backbones[m] = plan.Model{Name: "small/" + m}
	}
	w.Backbones["ViT-B/16"] = w.Model
	return w
}

// realWorld is the paper's.
func realWorld() World {
	w := World{Model: plan.Model{Name: "ViT-B/16"}, Backbones: map[string]plan.Model{}}
	for _, m := range Backbones() {
		w.Backbones[m] = plan.Model{Name: m}
	}
	return w
}

// count is how many runs of each kind a plan has.
func count(p *plan.Plan) (own, compared, zero int) {
	for _, r := range p.All() {
		switch {
		case r.Method == plan.ZeroShot:
			zero++
		case isMask(r.Method) || r.Below != "":
			own++
		default:
			compared++
		}
	}
	return own, compared, zero
}

// The plans have as many trainings as the paper's tables take: of its own methods and stacks on them, of others, and of none.
func TestRuns(t *testing.T) {
	type counts struct{ own, compared, zero int }
	var all []*plan.Plan
	for name, want := range map[string]counts{
		"1":  {66, 99, 11},
		"2":  {6, 12, 1},
		"3":  {33 + 2*33, 66, 11}, // the stacks need R-AMT's masks, which are a row of it
		"4":  {132, 0, 0},
		"5":  {3*3 + 3 + 15, 0, 0},
		"6":  {9, 0, 0},
		"7":  {},
		"8":  {6, 9, 0},
		"9":  {12, 3, 1},
		"10": {6 + 12, 3*1 + 12 + 12 + 12 + 3 + 3, 4},
		"11": {6, 6, 1},
		"12": {3*4 + 3 + 3, 0, 0},
		"13": {9, 0, 0},
		"14": {9, 0, 1},
		"15": {132, 0, 0},
		"16": {66, 99, 11},
		"17": {330, 6 * 165, 11},
	} {
		table, err := New(name, Options{World: drawnWorld()})
		if err != nil {
			t.Fatal(err)
		}
		p, err := table.Plan()
		if err != nil {
			t.Fatal(err)
		}
		var got counts
		got.own, got.compared, got.zero = count(p)
		if got != want {
			t.Errorf("table %s has %+v runs, want %+v", name, got, want)
		}
		all = append(all, p)
	}
	union, err := plan.Union(all...)
	if err != nil {
		t.Fatal(err)
	}
	// 330 (17) + 66 (1, 16) + 99 (4, 15) + 24 (5, 12) + 6 (6) + 12 (9, stacks and all) + 15 (10; 3 of R-PMT at ViT-B/16 are Table 4's) − 3
	// + 6 (13) + 6 (14) + 66 (3, stacks).
	if own, _, _ := count(union); own != 330+66+99+24+6+12+15-3+6+6+66 {
		t.Errorf("all tables have %d runs of the paper's own methods", own)
	}
}

// The paper's world has the same runs but for methods that choose on validation images, which ImageNet does not have.
func TestRunsOfThePaper(t *testing.T) {
	for name, want := range map[string][3]int{"17": {330, 990 - 2*15, 11}, "2": {6, 6, 1}, "4": {132, 0, 0}} {
		table, err := New(name, Options{World: realWorld()})
		if err != nil {
			t.Fatal(err)
		}
		p, err := table.Plan()
		if err != nil {
			t.Fatal(err)
		}
		own, compared, zero := count(p)
		if got := [3]int{own, compared, zero}; got != want {
			t.Errorf("table %s has %v runs, want %v", name, got, want)
		}
	}
}

// Every row can be left out, and what is not there is refused.
func TestOnly(t *testing.T) {
	for name := range maps.Keys(forms) {
		table, err := New(name, Options{World: drawnWorld()})
		if err != nil {
			t.Fatal(err)
		}
		if name == "17" || name == "16" || name == "1" { // large, and made as others are
			continue
		}
		for _, r := range table.Rows {
			only, err := New(name, Options{World: drawnWorld(), Only: []string{r.Name}, Seeds: []uint64{1}})
			if err != nil {
				t.Fatal(err)
			}
			if slices.ContainsFunc(only.Rows, func(of Row) bool { return of.Name != r.Name }) || len(only.Rows) == 0 {
				t.Errorf("table %s, row %s alone: %d rows", name, r.Name, len(only.Rows))
			}
			if _, err := only.Fill(nil); err != nil {
				t.Errorf("table %s, row %s: %v", name, r.Name, err)
			}
		}
	}
	for _, name := range []string{"dtd", "textures"} { // as the sheet prints it, too
		if f, err := NewFigure("5", false, Options{World: drawnWorld(), Only: []string{name}, Seeds: []uint64{1}}); err != nil || len(f.Rows) != 1 || f.Rows[0].Name != "dtd" {
			t.Errorf("%s: %v", name, err)
		}
	}
	if f, err := NewFigure("5", false, Options{World: realWorld(), Only: []string{"DTD"}}); err != nil || len(f.Rows) != 1 || f.Rows[0].Name != "dtd" {
		t.Errorf("DTD: %v", err)
	}
	if _, err := New("17", Options{World: drawnWorld(), Only: []string{"r-amt", "coca"}}); err == nil {
		t.Error("a row that is not there is accepted")
	}
	if _, err := New("18", Options{World: drawnWorld()}); err == nil {
		t.Error("there is a table 18")
	}
	if _, err := New("10", Options{World: World{Synthetic: true, Model: plan.Model{Name: "embedded"}}}); err == nil {
		t.Error("table 10 needs no backbones")
	}
}
