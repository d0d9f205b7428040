package paper

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"math"
	"slices"
	"strings"

	"fewshot/rmt/plan"
)

// Options are what a table is made for.
type Options struct {
	World World
	Seeds []uint64 // nil: 1, 2, 3
	Shots []int    // of tables that have several, which others refuse; nil: all of them
	Only  []string // rows to make, as r-amt or coop+r-amt; nil: all
	Sets  []string // data sets of tables that have several, which others refuse; nil: all of them
	// Budget is how many images a run may see, 0 for as many as published: methods that see more get fewer epochs.
	Budget int

	digests map[plan.Model]string
	splits  map[string]string
	made    map[string][]plan.Run
}

func (o *Options) seeds() []uint64 {
	if o.Seeds == nil {
		return []uint64{1, 2, 3}
	}
	return o.Seeds
}

// sets are those of several that are asked for, in their order.
func (o *Options) sets(several []Set) []Set {
	if o.Sets == nil {
		return several
	}
	return slices.DeleteFunc(slices.Clone(several), func(s Set) bool { return !slices.Contains(o.Sets, s.ID) })
}

// shots are those that are asked for, or all that a table has.
func (o *Options) shots(all []int) []int {
	if o.Shots == nil {
		return all
	}
	return o.Shots
}

// Quantity is what of a run's result a cell shows.
type Quantity int

// What a result has.
const (
	Accuracy  Quantity = iota // percent of test images
	Sparsity                  // percent of the masked weights
	TrainRate                 // images a second
	EvalRate                  // images a second
	TrainTime                 // seconds an image of training
	Size                      // megabytes of the file
	Kilobytes                 // of the file
	Processor                 // seconds that processors spent on the run
)

// Measure is a quantity of a setup, over all seeds.
type Measure struct {
	Setup    Setup
	Test     Test
	Quantity Quantity
}

// Stat is what was measured.
type Stat struct {
	Mean, SD float64 // over seeds, dividing by their number, as CoOp does
	N        int     // values
	Of       int     // that were asked for
}

// known reports whether there is anything.
func (s Stat) known() bool { return s.N > 0 && s.N == s.Of }

// Cell is a place in a table.
type Cell struct {
	Measures []Measure // what is shown is the mean of their means; ± where it is one, and the cell not plain
	Plain    bool
	// Derive computes it from other cells, which stand at their row and column, in place of Measures.
	Derive func(at func(row, column int) Stat) Stat
	Signed bool     // a gain, where the column's others are none
	Fixed  *float64 // a number that needs no run
	Paper  *Figure
}

// Column is one of a table.
type Column struct {
	Title  string `json:"title"`
	Digits int    `json:"digits"`           // behind the point
	Signed bool   `json:"signed,omitempty"` // a gain
	Best   bool   `json:"-"`                // the highest is shown to be so
}

// Row is one of a table.
type Row struct {
	Labels []string
	Name   string // as Options.Only has it
	Cells  []Cell
}

// Table is one of the paper, or of the same form.
type Table struct {
	Name    string // as "Table 3"
	Title   string
	Heads   []string // of the labels
	Columns []Column
	Rows    []Row
	Notes   []string // what differs in setting
	options *Options
	shots   []int           // where it has several
	several []Set           // data sets, where one may choose among them
	barred  map[string]bool // why setups are not trained
}

// keep says whether a row is asked for.
func (o *Options) keep(row string) bool { return o.Only == nil || slices.Contains(o.Only, row) }

// setups are those of the table that can be trained, with what they are tested on.
func (t *Table) setups() (all []Measure) {
	t.barred = map[string]bool{}
	for _, r := range t.Rows {
		for _, c := range r.Cells {
			for _, m := range c.Measures {
				if why := t.options.possible(m.Setup); why != "" {
					t.barred[why] = true
					continue
				}
				all = append(all, m)
			}
		}
	}
	return all
}

// seedsOf are those of a setup: the untouched model has none.
func (o *Options) seedsOf(s Setup) []uint64 {
	if s.Method == plan.ZeroShot {
		return []uint64{0}
	}
	return o.seeds()
}

// Plan is all runs of the table, each once, those of a model and a data set together, which are then opened once. A table that asks for
// none has an empty plan.
func (t *Table) Plan() (*plan.Plan, error) {
	var all []plan.Run
	wanted := t.setups()
	slices.SortStableFunc(wanted, func(a, b Measure) int {
		return cmp.Or(strings.Compare(a.Setup.Backbone, b.Setup.Backbone), strings.Compare(a.Setup.Set, b.Setup.Set))
	})
	for _, m := range wanted {
		for _, seed := range t.options.seedsOf(m.Setup) {
			var tests []plan.Evaluation
			if e, ok := t.options.evaluation(m.Test); ok {
				tests = append(tests, e)
			}
			runs, err := t.options.runs(m.Setup, seed, tests...)
			switch {
			case errors.Is(err, fs.ErrNotExist) && t.several != nil:
				return nil, fmt.Errorf("%s: %w; -sets takes the data sets that are there", t.Name, err)
			case err != nil:
				return nil, fmt.Errorf("%s: %w", t.Name, err)
			}
			all = append(all, runs...)
		}
	}
	return plan.New(all)
}

// Names is the plan of what is not opened: it counts runs, and their ids are no run's.
func (t *Table) Names() (*plan.Plan, error) {
	o := *t.options
	o.World.Resolve, o.digests, o.splits, o.made = nil, nil, nil, nil
	of := *t
	of.options = &o
	return of.Plan()
}

// Results finds outcomes by id.
type Results map[string]*plan.Outcome

// Collect indexes outcomes.
func Collect(all []*plan.Outcome) Results {
	r := Results{}
	for _, o := range all {
		r[o.ID] = o
	}
	return r
}

// measure is what the results say of a measure.
func (o *Options) measure(m Measure, results Results) (s Stat, err error) {
	if o.possible(m.Setup) != "" {
		return Stat{Of: 1}, nil
	}
	var values []float64
	for _, seed := range o.seedsOf(m.Setup) {
		runs, err := o.runs(m.Setup, seed)
		if err != nil {
			return s, err
		}
		s.Of++
		out := results[runs[len(runs)-1].ID()]
		if out == nil || out.Result == nil {
			continue
		}
		if v, ok := o.value(m, out); ok {
			values = append(values, v)
		}
	}
	s.N = len(values)
	s.Mean, s.SD = meanSD(values)
	return s, nil
}

// value is a quantity of one result.
func (o *Options) value(m Measure, out *plan.Outcome) (v float64, ok bool) {
	r := out.Result
	switch m.Quantity {
	case Sparsity:
		if r.Percent == nil {
			return 0, false
		}
		return *r.Percent, true
	case TrainRate:
		return r.TrainRate, r.TrainRate > 0
	case TrainTime:
		return 1 / r.TrainRate, r.TrainRate > 0
	case EvalRate:
		return r.EvalRate, r.EvalRate > 0
	case Size:
		return float64(r.FileBytes) / 1e6, true
	case Kilobytes:
		return float64(r.FileBytes) / 1e3, true
	case Processor:
		return r.CPU, r.CPU > 0
	}
	test := r.Test
	if e, other := o.evaluation(m.Test); other {
		test = out.Test(e)
	}
	if test == nil {
		return 0, false
	}
	return test.Accuracy, true
}

// meanSD divides by the number of values.
func meanSD(v []float64) (mean, sd float64) {
	if len(v) == 0 {
		return 0, 0
	}
	for _, x := range v {
		mean += x / float64(len(v))
	}
	for _, x := range v {
		sd += (x - mean) * (x - mean) / float64(len(v))
	}
	return mean, math.Sqrt(sd)
}

// stats are what the results say of every cell.
func (t *Table) stats(results Results) ([][]Stat, error) {
	all := make([][]Stat, len(t.Rows))
	for i, r := range t.Rows {
		all[i] = make([]Stat, len(t.Columns))
		for j, c := range r.Cells {
			if c.Fixed != nil {
				all[i][j] = Stat{Mean: *c.Fixed, N: 1, Of: 1}
			}
			var means Stat
			for _, m := range c.Measures {
				s, err := t.options.measure(m, results)
				if err != nil {
					return nil, err
				}
				if len(c.Measures) == 1 {
					means = s
					break
				}
				means.Of++
				if s.known() {
					means.N++
					means.Mean += s.Mean / float64(len(c.Measures))
				}
			}
			if len(c.Measures) > 0 {
				all[i][j] = means
			}
		}
	}
	at := func(row, column int) Stat { return all[row][column] }
	for i, r := range t.Rows {
		for j, c := range r.Cells {
			if c.Derive != nil {
				all[i][j] = c.Derive(at)
			}
		}
	}
	return all, nil
}

// harmonic is the harmonic mean of two percentages.
func harmonic(a, b float64) float64 {
	if a+b == 0 {
		return 0
	}
	return 2 * a * b / (a + b)
}
