package paper

import (
	"fmt"
	"slices"
)

// builder makes a table.
type builder struct {
	Table
	source  *Source
	offered []string // rows that there are
	err     error
}

// sets are those asked for of several that the table has, in their order.
func (b *builder) sets(several []Set) []Set {
	b.several = several
	return b.options.sets(several)
}

// ofSets is a column of the paper's that is a mean over the data sets; "", which is none, where not all of them are asked for.
func (b *builder) ofSets(column string) string {
	if b.options.Sets != nil {
		return ""
	}
	return column
}

// columns are the table's, of digits behind the point.
func (b *builder) columns(digits int, titles ...string) {
	for _, t := range titles {
		b.Columns = append(b.Columns, Column{Title: t, Digits: digits})
	}
}

// accuracies are columns in percent, the highest of which is shown to be so.
func (b *builder) accuracies(titles ...string) {
	b.columns(2, titles...)
	for i := range titles {
		b.Columns[len(b.Columns)-1-i].Best = true
	}
}

// row appends a row, if it is asked for. at names it in the paper's table, and columns the paper's columns of its cells, "" for none.
func (b *builder) row(name string, labels, at, columns []string, cells ...Cell) bool {
	if !slices.Contains(b.offered, name) {
		b.offered = append(b.offered, name)
	}
	if !b.options.keep(name) {
		return false
	}
	for i := range cells {
		if f, ok := b.source.Figure(at, columns[i]); ok && columns[i] != "" {
			cells[i].Paper = &f
		}
	}
	b.Rows = append(b.Rows, Row{Labels: labels, Name: name, Cells: cells})
	return true
}

func (b *builder) note(format string, a ...any) { b.Notes = append(b.Notes, fmt.Sprintf(format, a...)) }

// of measures a setup.
func of(q Quantity, s Setup) Cell { return Cell{Measures: []Measure{{Setup: s, Quantity: q}}} }

// mean is of what other cells measure.
func mean(cells ...Cell) Cell {
	var all Cell
	for _, c := range cells {
		all.Measures = append(all.Measures, c.Measures...)
	}
	return all
}

// gain is by how much a cell of a column is above that of another row.
func gain(row, before, column int) Cell {
	return Cell{Derive: func(at func(row, column int) Stat) Stat {
		a, b := at(row, column), at(before, column)
		return Stat{Mean: a.Mean - b.Mean}.whole(a, b)
	}}
}

// whole is known where all of its parts are.
func (s Stat) whole(parts ...Stat) Stat {
	s.N, s.Of = 0, 0
	for _, p := range parts {
		s.Of++
		if p.known() {
			s.N++
		}
	}
	return s
}

// h is the harmonic mean of two cells of its row.
func h(row, base, fresh int) Cell {
	return Cell{Derive: func(at func(row, column int) Stat) Stat {
		b, n := at(row, base), at(row, fresh)
		return Stat{Mean: harmonic(b.Mean, n.Mean)}.whole(b, n)
	}}
}

// imagenet is a setup of 16 shots of ImageNet.
func (b *builder) imagenet(row string) Setup { return b.options.setup(row, "imagenet", 16) }

// setColumns are a column a data set, and one of their average.
func (b *builder) setColumns(sets []Set) {
	b.accuracies(append(titles(b.options.World, sets), "average")...)
}

// bySet are a row's cells of data sets, and their average.
func (b *builder) bySet(sets []Set, setup func(set string) Setup) (cells []Cell, columns []string) {
	for _, s := range sets {
		cells, columns = append(cells, of(Accuracy, setup(s.ID))), append(columns, s.ID)
	}
	return append(cells, mean(cells...)), append(columns, b.ofSets("average"))
}
