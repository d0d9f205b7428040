package paper

import (
	"slices"
	"strings"
	"testing"
)

// Whoever has some of the data sets makes the tables of these: their runs alone, means of them, and none of the paper's means, which are of
// all. Tables of one data set have no choice.
func TestSets(t *testing.T) {
	several := []string{"1", "3", "4", "7", "15", "16", "17", Methods}
	for _, name := range Numbers() {
		table, err := New(name, Options{World: realWorld(), Sets: []string{"DTD", "oxford_pets"}, Seeds: []uint64{1}})
		if slices.Contains(several, name) != (err == nil) {
			t.Errorf("table %s: %v", name, err)
		}
		if err == nil {
			ofSets(t, table)
		}
	}
	for _, name := range []string{"3", "4", "5", "7"} {
		g, err := NewFigure(name, false, Options{World: realWorld(), Sets: []string{"DTD", "oxford_pets"}, Seeds: []uint64{1}})
		if err != nil {
			t.Fatal(err)
		}
		ofSets(t, &g.Table)
		if d, err := g.Draw(nil); err != nil || name == "7" && len(d.Panels[0].Names) != 2 {
			t.Errorf("figure %s: %+v, %v", name, d, err)
		}
	}
	if _, err := New("17", Options{World: realWorld(), Sets: []string{"mnist"}}); err == nil || !strings.Contains(err.Error(), "mnist is none of the paper's data sets: ImageNet, Caltech101") {
		t.Error(err)
	}
}

func ofSets(t *testing.T, table *Table) {
	t.Helper()
	p, err := table.Plan()
	if err != nil {
		t.Fatal(err)
	}
	for _, r := range p.All() {
		if d := r.Data.Name; d != "dtd" && d != "oxford_pets" {
			t.Errorf("%s has a run on %s", table.Name, d)
		}
	}
	for _, r := range table.Rows {
		for j, c := range r.Cells {
			if c.Paper != nil && len(c.Measures) > 1 && table.Columns[j].Title != "MB stored" {
				t.Errorf("%s, %v, %s: the paper's mean of all data sets beside one of two", table.Name, r.Labels, table.Columns[j].Title)
			}
			if title := table.Columns[j].Title; c.Paper != nil && (title == "average" || title == "H" && table.Name == "Table 1") {
				t.Errorf("%s, %v: the paper's %s beside one of two", table.Name, r.Labels, title)
			}
		}
	}
	s, err := table.Fill(nil)
	if err != nil {
		t.Fatal(err)
	}
	if p.Len() > 0 && !strings.Contains(strings.Join(s.Notes, "\n"), " data sets, ") {
		t.Errorf("%s does not say of which data sets it is: %q", table.Name, s.Notes)
	}
}
