package report

import (
	"bytes"
	"fmt"
	"html/template"
	"io"
	"maps"
	"math"
	"slices"
	"strings"

	"fewshot/cmd/fewshot/internal/draw"
	"fewshot/rmt/plan"
	"fewshot/rmt/run"
)

// Plan is what the page of many runs is made of.
type Plan struct {
	Name     string // of the plan
	Folder   string // of the runs' folders
	Outcomes []*plan.Outcome
	Table    *plan.Table
	Commands []Command
	Program  string // that makes the page
}

type planPage struct {
	*Plan
	Title     string
	Style     template.CSS
	Done      int
	Seeds     int // the most of a cell, if there are several
	Several   bool
	Synthetic bool
	Models    string // backbones, as they are called
	Devices   string // on which the results were made
	Rows      []row
	Bars      *figure
	Curves    []figure
}

type row struct {
	Name  string
	Cells []cell
}

type cell struct {
	Text string
	Best bool
}

// The most series of bars, and data sets with curves, that are drawn: more are not told apart, and the table has them.
const (
	mostSeries = 8
	mostCurves = 16
)

// HTML writes the page.
func (p *Plan) HTML(w io.Writer) error {
	q := &planPage{Plan: p, Title: p.Name, Style: template.CSS(draw.CSS())}
	models, devices := map[string]bool{}, map[string]bool{}
	for _, o := range p.Outcomes {
		if o.State == plan.Done {
			q.Done++
		}
		models[o.Run.Model.Name] = true
		if o.Result != nil {
			q.Synthetic = q.Synthetic || o.Result.Synthetic
			devices[o.Result.Device] = true
		}
	}
	q.Models, q.Devices = listed(models), listed(devices)
	q.rows()
	if err := q.bars(); err != nil {
		return err
	}
	if err := q.curves(); err != nil {
		return err
	}
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, "plan.html", q); err != nil {
		return err
	}
	_, err := w.Write(b.Bytes())
	return err
}

// listed is what there is, in order.
func listed(all map[string]bool) string { return strings.Join(slices.Sorted(maps.Keys(all)), "; ") }

// Untouched is the accuracy of the untouched model on what a run was tested on: the run's own figure, or that of the
// plan's run without training on the same images with the same prompts. nil if nobody measured it, and for a run under
// a mask, which has another model below.
func (q *planPage) Untouched(o *plan.Outcome) *run.Accuracy {
	switch {
	case o.Result == nil:
		return nil
	case o.Result.ZeroShot != nil:
		return o.Result.ZeroShot
	case o.Run.Below != "" || o.Run.Mask != nil:
		return nil
	}
	for _, z := range q.Outcomes {
		if z.Run.Method == plan.ZeroShot && z.Run.Below == "" && z.Run.Mask == nil && z.Result != nil && sameTest(z, o) {
			return z.Result.Test
		}
	}
	return nil
}

// sameTest reports whether two outcomes are of one model, on the same test images, with the same prompts and numbers.
// The split is the plan's: a result's has the few images that were drawn, too, and so is another with every number of
// shots and every seed.
func sameTest(a, b *plan.Outcome) bool {
	x, y := a.Result, b.Result
	return x.Backbone == y.Backbone && x.Dataset == y.Dataset && a.Run.Data.Split == b.Run.Data.Split && x.Classes == y.Classes &&
		x.Spec.Compute == y.Spec.Compute && x.Spec.Data.Prompts == y.Spec.Data.Prompts && slices.Equal(x.Templates, y.Templates) && bytes.Equal(modelOf(x), modelOf(y))
}

// modelOf is how a result's model was read.
func modelOf(r *run.Result) []byte {
	s := r.Spec
	return run.Spec{Method: "any", Settings: []byte("{}"), Model: s.Model}.JSON()
}

// rows lay the table out.
func (q *planPage) rows() {
	for i, r := range q.Table.Rows {
		out := row{Name: r.Name}
		for j, c := range r.Cells {
			text := "–"
			if n := len(c.Values); n > 0 {
				text = fmt.Sprintf("%.2f", c.Values.Mean())
				if d := c.Values.Std(); !math.IsNaN(d) {
					text += fmt.Sprintf(" ± %.2f", d)
				}
				if c.Missing > 0 {
					text += "*"
				}
				if q.Seeds = max(q.Seeds, n); n > 1 {
					q.Several = true
				}
			} else if c.Problem != "" {
				text = "n/a"
			}
			out.Cells = append(out.Cells, cell{text, slices.Contains(q.Table.Best(j), i)})
		}
		q.Rows = append(q.Rows, out)
	}
	if !q.Several {
		q.Seeds = 0
	}
}

// bars show the table.
func (q *planPage) bars() error {
	if len(q.Table.Rows) > mostSeries || len(q.Table.Columns) == 0 {
		return nil
	}
	f := draw.Bars{Y: "accuracy, %", Groups: q.Table.Columns, Across: true, Format: "%.1f", W: 620}
	for _, r := range q.Table.Rows {
		b := draw.Bar{Name: r.Name}
		for _, c := range r.Cells {
			b.Values, b.Err = append(b.Values, c.Values.Mean()), append(b.Err, c.Values.Std())
		}
		f.Series = append(f.Series, b)
	}
	caption := "The table's means"
	if q.Several {
		caption += ", with the standard deviation over seeds"
	}
	out, err := drawn(f, caption+".")
	q.Bars = &out
	return err
}

// curves show accuracy against shots, for each data set with several: a line for each row of the table, and a level one
// for the untouched model.
func (q *planPage) curves() error {
	type place struct {
		data, line string
		shots      int
	}
	values := map[place]plan.Sample{}
	type level struct{ data, line string }
	untouched := map[level]float64{}
	var data, lines, levels []string
	shots := map[string]map[int]bool{}
	names := plan.RowNames(q.Outcomes)
	for i, o := range q.Outcomes {
		if o.Result == nil || o.Result.Test == nil {
			continue
		}
		d := o.Run.Data.Name
		if o.Run.Data.Classes != "all" {
			d += ", " + o.Run.Data.Classes + " classes"
		}
		if o.Run.Method == plan.ZeroShot {
			untouched[level{d, names[i]}] = o.Result.Test.Accuracy
			if !slices.Contains(levels, names[i]) {
				levels = append(levels, names[i])
			}
			continue
		}
		if o.Run.Data.Shots < 1 {
			continue
		}
		at := place{d, names[i], o.Run.Data.Shots}
		values[at] = append(values[at], o.Result.Test.Accuracy)
		if !slices.Contains(data, d) {
			data = append(data, d)
			shots[d] = map[int]bool{}
		}
		if !slices.Contains(lines, at.line) {
			lines = append(lines, at.line)
		}
		shots[d][at.shots] = true
	}
	for _, d := range data {
		if len(shots[d]) < 2 || len(q.Curves) == mostCurves || len(lines)+len(levels) > mostSeries+1 {
			continue
		}
		f := draw.Curves{Title: d, X: "labelled images per class", Y: "accuracy, %", Log: true, W: 340, H: 240}
		all := slices.Sorted(maps.Keys(shots[d]))
		for _, n := range all {
			f.Ticks = append(f.Ticks, float64(n))
		}
		for _, name := range lines {
			l := draw.Line{Name: name}
			for _, n := range all {
				if s := values[place{d, name, n}]; len(s) > 0 {
					l.X, l.Y, l.Err = append(l.X, float64(n)), append(l.Y, s.Mean()), append(l.Err, s.Std())
				}
			}
			if len(l.X) > 0 {
				f.Lines = append(f.Lines, l)
			}
		}
		for _, name := range levels {
			if v, ok := untouched[level{d, name}]; ok {
				l := draw.Line{Name: name, X: f.Ticks}
				for range f.Ticks {
					l.Y = append(l.Y, v)
				}
				f.Lines = append(f.Lines, l)
			}
		}
		out, err := drawn(f, fmt.Sprintf("%s: accuracy by shots, %s.", text(d), strings.Trim(strings.ReplaceAll(fmt.Sprint(all), " ", ", "), "[]")))
		if err != nil {
			return err
		}
		q.Curves = append(q.Curves, out)
	}
	return nil
}
