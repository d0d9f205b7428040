package plan

import (
	"fmt"
	"io"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"fewshot/nn/quote"
	"fewshot/nn/words"
)

// Pair is a difference between two methods, measured on the same data with the same seed.
type Pair struct {
	Column string  `json:"column"`
	Seed   uint64  `json:"seed"`
	A      float64 `json:"a"` // percent
	B      float64 `json:"b"`
}

// Paired compares two methods by what they do on the same samples: the differences vary less than the accuracies, of which seeds that draw
// good images raise both.
type Paired struct {
	A     string `json:"a"`
	B     string `json:"b"`
	Pairs []Pair `json:"pairs"`
}

// Differences are those of all pairs, A's accuracy less B's.
func (p *Paired) Differences() Sample {
	var s Sample
	for _, x := range p.Pairs {
		s = append(s, x.A-x.B)
	}
	return s
}

// Compare pairs the rows of two names, or of methods that have one row each. A method without seeds, as the untouched model, is compared with every seed of the other.
func (t *Table) Compare(a, b string) (*Paired, error) {
	row := func(name string) (*Row, error) {
		var names []string
		var of []*Row // the method, with settings
		for i := range t.Rows {
			r := &t.Rows[i]
			if r.Name == name {
				return r, nil
			}
			if strings.HasPrefix(r.Name, name+" ") {
				of = append(of, r)
			}
			names = append(names, r.Name)
		}
		if len(of) == 1 {
			return of[0], nil
		}
		return nil, fmt.Errorf("there is no row %s in the table; there are %s", quote.String(name), strings.Join(quoted(names), "; "))
	}
	first, err := row(a)
	if err != nil {
		return nil, err
	}
	second, err := row(b)
	if err != nil {
		return nil, err
	}
	p := &Paired{A: first.Name, B: second.Name}
	for j, column := range t.Columns {
		if column == MeanColumn {
			continue
		}
		x, y := &first.Cells[j], &second.Cells[j]
		seeds := x.Seeds
		if x.Unseeded {
			seeds = y.Seeds
		}
		for _, seed := range seeds {
			va, okA := x.of(seed)
			vb, okB := y.of(seed)
			if okA && okB {
				p.Pairs = append(p.Pairs, Pair{column, seed, va, vb})
			}
		}
	}
	if len(p.Pairs) == 0 {
		return nil, fmt.Errorf("%s and %s were not measured on the same data with the same seed", quote.Plain(a), quote.Plain(b))
	}
	return p, nil
}

// of is the value of a seed.
func (c *Cell) of(seed uint64) (float64, bool) {
	if i := slices.Index(c.Seeds, seed); i >= 0 {
		return c.Values[i], true
	}
	if c.Unseeded {
		return c.Values[0], true
	}
	return 0, false
}

// Write writes the differences by data and seed, their mean, and its 95 % confidence interval by Student's t; where there are several columns,
// of each of them, too.
func (p *Paired) Write(w io.Writer) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintf(tw, "data\tseed\t%s\t%s\tdifference\t\n", quote.Text(p.A), quote.Text(p.B))
	columns := newNames()
	of := map[string]*Paired{}
	for _, x := range p.Pairs {
		fmt.Fprintf(tw, "%s\t%d\t%.2f\t%.2f\t%+.2f\t\n", quote.Text(x.Column), x.Seed, x.A, x.B, x.A-x.B)
		if columns.index(x.Column); of[x.Column] == nil {
			of[x.Column] = &Paired{A: p.A, B: p.B}
		}
		of[x.Column].Pairs = append(of[x.Column].Pairs, x)
	}
	if err := tw.Flush(); err != nil {
		return err
	}
	if len(columns.all) > 1 && len(p.Pairs) > len(columns.all) {
		for _, c := range columns.all {
			if err := of[c].writeMean(w, " on "+c); err != nil {
				return err
			}
		}
	}
	return p.writeMean(w, "")
}

// writeMean writes the mean difference, and how sure it is.
func (p *Paired) writeMean(w io.Writer, on string) error {
	d := p.Differences()
	fmt.Fprintf(w, "%s less %s%s: %+.2f", quote.Text(p.A), quote.Text(p.B), quote.Text(on), d.Mean())
	if ci := d.CI95(); !math.IsNaN(ci) {
		fmt.Fprintf(w, ", 95 %% interval %+.2f to %+.2f", d.Mean()-ci, d.Mean()+ci)
	}
	_, err := fmt.Fprintf(w, " (%s)\n", words.Count(len(d), "pair"))
	return err
}
