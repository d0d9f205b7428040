package plan

import (
	"cmp"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
)

// Table is accuracies in percent: of methods by row, and of what they were trained and tested on by column.
type Table struct {
	Columns []string
	Rows    []Row
	Missing int // runs without a result
}

// Row is a method with its settings.
type Row struct {
	Name  string
	Cells []Cell
}

// Cell is what was measured with several seeds.
type Cell struct {
	Seeds    []uint64 // rising
	Values   Sample   // by seed
	Missing  int      // seeds without a result
	Unseeded bool     // nothing is random about it, as of the untouched model: its one value is that of every seed
	Problem  string   // why there is nothing, as of methods that have nothing to say of new classes
}

// MeanColumn is the column of the mean over data sets.
const MeanColumn = "mean"

// Tabulate lays out the outcomes of a plan. Rows and columns come in the plan's order; what all have in common is not named.
func Tabulate(all []*Outcome) *Table {
	t := &Table{}
	rows, columns := newNames(), newNames()
	type place struct{ row, column int }
	cells := map[place]*Cell{}
	varies := variation(all)
	at := func(row, column string) *Cell {
		p := place{rows.index(row), columns.index(column)}
		if cells[p] == nil {
			cells[p] = &Cell{}
		}
		return cells[p]
	}
	for _, o := range all {
		if o.Result == nil {
			t.Missing++
		}
		row := rowName(o, varies)
		own := Evaluation{Data: o.Run.Data.Name, Classes: o.Run.Data.Classes}
		for _, e := range append([]Evaluation{own}, o.Run.Evaluate...) {
			for _, column := range varies.columns(o, e) {
				at(row, column).take(o, e)
			}
		}
	}
	t.Columns = columns.all
	for i, name := range rows.all {
		r := Row{Name: name}
		for j := range columns.all {
			c := cells[place{i, j}]
			if c == nil {
				c = &Cell{}
			}
			c.order()
			r.Cells = append(r.Cells, *c)
		}
		t.Rows = append(t.Rows, r)
	}
	if len(t.Columns) > 1 && varies.data > 1 && varies.plain() {
		t.addMean()
	}
	return t
}

// take adds the outcome of an evaluation.
func (c *Cell) take(o *Outcome, e Evaluation) {
	if v := o.Evaluations[e.Key()]; v != nil && v.Refused != "" {
		c.Problem = v.Refused
		return
	}
	a := o.Test(e)
	if a == nil {
		c.Missing++
		return
	}
	c.Unseeded = o.Run.Method == ZeroShot
	c.Seeds, c.Values = append(c.Seeds, o.Run.Data.Seed), append(c.Values, a.Accuracy)
}

// order sorts by seed.
func (c *Cell) order() {
	by := make([]int, len(c.Seeds))
	for i := range by {
		by[i] = i
	}
	slices.SortStableFunc(by, func(a, b int) int { return cmp.Compare(c.Seeds[a], c.Seeds[b]) })
	seeds, values := make([]uint64, len(by)), make(Sample, len(by))
	for i, j := range by {
		seeds[i], values[i] = c.Seeds[j], c.Values[j]
	}
	c.Seeds, c.Values = seeds, values
}

// addMean adds the column of the mean over the others: of each seed's, where all have the same seeds.
func (t *Table) addMean() {
	t.Columns = append(t.Columns, MeanColumn)
	for i := range t.Rows {
		r := &t.Rows[i]
		var c Cell
		for j, of := range r.Cells {
			if of.Missing > 0 || len(of.Values) == 0 || j > 0 && !slices.Equal(of.Seeds, r.Cells[0].Seeds) {
				c = Cell{Missing: 1}
				break
			}
			if j == 0 {
				c.Seeds, c.Values = of.Seeds, make(Sample, len(of.Values))
			}
			for k, v := range of.Values {
				c.Values[k] += v / float64(len(r.Cells))
			}
		}
		r.Cells = append(r.Cells, c)
	}
}

// Best is the rows of a column's highest mean among complete cells: several where means are written alike with two decimals, none where there is
// but one row, or no complete cell.
func (t *Table) Best(column int) (rows []int) {
	if len(t.Rows) < 2 {
		return nil
	}
	best := math.Inf(-1)
	for i, r := range t.Rows {
		c := r.Cells[column]
		if len(c.Values) == 0 || c.Missing > 0 {
			continue
		}
		m, _ := strconv.ParseFloat(c.Values.written(), 64) // which Round of a product with 100 does not always give
		if m > best {
			best, rows = m, nil
		}
		if m == best {
			rows = append(rows, i)
		}
	}
	return rows
}

// names are names in the order in which they came.
type names struct {
	all []string
	at  map[string]int
}

func newNames() *names { return &names{at: map[string]int{}} }

func (n *names) index(s string) int {
	i, ok := n.at[s]
	if !ok {
		i = len(n.all)
		n.at[s] = i
		n.all = append(n.all, s)
	}
	return i
}

// varying says what differs among a plan's runs, so that it must be named.
type varying struct {
	models, templates, prompts bool
	data                       int
	shots                      []int // in their order, where there are several
	classes                    bool
	transfers                  bool // there are further evaluations
	below                      map[string]string
}

func variation(all []*Outcome) varying {
	v := varying{below: map[string]string{}}
	models, templates, prompts, classes, data := map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}, map[string]bool{}
	for _, o := range all {
		models[o.Run.Model.Name+fmt.Sprint(o.Run.Model.ImageSize)] = true
		templates[strings.Join(o.Run.Data.Templates, "\x00")] = true
		if n := o.Run.Data.Shots; o.Run.Method != ZeroShot && !slices.Contains(v.shots, n) {
			v.shots = append(v.shots, n)
		}
		if p := o.Run.Data.Prompts; p != nil {
			prompts[p.Sum] = true
		} else {
			prompts[""] = true
		}
		classes[o.Run.Data.Classes] = true
		data[o.Run.Data.Name] = true
		v.transfers = v.transfers || len(o.Run.Evaluate) > 0
		v.below[o.ID] = o.Run.Method
	}
	v.models, v.templates, v.prompts, v.classes, v.data = len(models) > 1, len(templates) > 1, len(prompts) > 1, len(classes) > 1, len(data)
	if len(v.shots) < 2 {
		v.shots = nil
	}
	return v
}

// plain says that columns are data sets and nothing else.
func (v varying) plain() bool { return v.shots == nil && !v.classes && !v.transfers }

// RowNames are the names of outcomes' rows in the table of all of them.
func RowNames(all []*Outcome) []string {
	varies := variation(all)
	names := make([]string, len(all))
	for i, o := range all {
		names[i] = rowName(o, varies)
	}
	return names
}

// rowName is the method with all that is special about it.
func rowName(o *Outcome, v varying) string {
	s := o.Run.Method
	for _, name := range slices.Sorted(maps.Keys(o.Run.Settings)) {
		s += " " + name + "=" + o.Run.Settings[name]
	}
	s += o.Run.chosen()
	switch {
	case o.Run.Below != "":
		s += " under " + cmp.Or(v.below[o.Run.Below], o.Run.Below)
	case o.Run.Mask != nil:
		s += " under " + o.Run.Mask.Path
	}
	if v.models {
		s += ", " + o.Run.Model.Name
		if n := o.Run.Model.ImageSize; n > 0 {
			s += fmt.Sprintf(" of %d pixels", n)
		}
	}
	if v.prompts && o.Run.Data.Prompts != nil {
		s += ", prompts of " + o.Run.Data.Prompts.Path
	}
	if v.templates && o.Run.Data.Templates != nil {
		s += fmt.Sprintf(", %d templates", len(o.Run.Data.Templates))
	}
	return s
}

// columns are what an outcome was trained and tested on. Shots are named where they vary; the untouched model, which has none, is in the
// column of each number of them.
func (v varying) columns(o *Outcome, e Evaluation) []string {
	s := e.Data
	if v.transfers && e.Data != o.Run.Data.Name {
		s = o.Run.Data.Name + "→" + e.Data
	}
	if v.classes || e.Classes != "all" {
		s += " " + e.Classes
	}
	if e.Templates != nil {
		s += fmt.Sprintf(" (%d templates)", len(e.Templates))
	}
	switch {
	case v.shots == nil:
		return []string{s}
	case o.Run.Method != ZeroShot:
		return []string{s + shots(o.Run.Data.Shots)}
	}
	var all []string
	for _, n := range v.shots {
		all = append(all, s+shots(n))
	}
	return all
}

func shots(n int) string {
	switch n {
	case 0:
		return ", all images"
	case 1:
		return ", 1 shot"
	}
	return fmt.Sprintf(", %d shots", n)
}
