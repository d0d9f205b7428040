package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"

	"fewshot/cmd/fewshot/internal/draw"
	"fewshot/rmt/plan"
	"fewshot/rmt/plan/paper"
	"fewshot/rmt/run"
)

var figureCommand = command{
	example: `fewshot figure 5 -seeds 1 -picture figure5.svg
fewshot figure 4 -rows zero-shot,amt,r-amt -format csv -out figure4.csv`,
	name: "figure", args: "NUMBER", summary: "make a figure of the R-AMT paper: plan, run, draw",
	about: `As table, of the figures with data: 3 (how far scores move by layer), 4 (few-shot curves), 5 (gain and sparsity by data set) and
7 (overlap of masks); and methods, as table methods. The data are printed, -picture draws them;
figures 1, 2 and 6 are diagrams and are explained.`,
	setup: setupFigure,
}

func setupFigure(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var f paperFlags
	var picture string
	var kept bool
	f.declare(fs)
	fs.StringVar(&f.format, "format", "text", strings.Join(paper.Formats(), ", ")+", of the data")
	fs.StringVar(&f.file, "out", "", "`file` for the data (default standard output)")
	f.outputs.declare(fs)
	fs.StringVar(&picture, "picture", "", "draw the figure into this .svg or .png `file`")
	fs.BoolVar(&kept, "kept", false, "figure 7 compares the weights that masks keep; by default those that they switch off, as nearly all are kept")
	return func(ctx context.Context, u *ui, args []string) error {
		if len(args) != 1 {
			return usagef("give the number of one figure: %s", strings.Join(paper.FigureNumbers(), ", "))
		}
		if text, ok := paper.Diagram(args[0]); ok {
			return u.result(map[string]any{"kind": "result", "name": "Figure " + args[0], "text": text}, func(w io.Writer) { fmt.Fprintln(w, text) })
		}
		if !slices.Contains(paper.Formats(), f.format) {
			return usagef("-format %q: there are %s", f.format, strings.Join(paper.Formats(), ", "))
		}
		if err := f.outputs.picture("picture", picture); err != nil {
			return err
		}
		if picture != "" && filepath.Clean(picture) == filepath.Clean(f.file) {
			return usagef("-picture and -out both name %s", picture)
		}
		o, err := f.options(ctx, u)
		if err != nil {
			return err
		}
		g, err := paper.NewFigure(args[0], kept, o)
		if err != nil {
			return usageError{err.Error()}
		}
		return f.figure(ctx, u, g, picture)
	}
}

// figure makes a figure's runs and draws it.
func (f *paperFlags) figure(ctx context.Context, u *ui, g *paper.Graph, picture string) error {
	p, err := g.Plan()
	if err != nil {
		return f.unopened(ctx, u, &g.Table, err)
	}
	results, ready, err := f.results(ctx, u, g.Name, p)
	if err != nil && results == nil || ready {
		return err
	}
	var shapes func(string) ([]int, bool)
	g.Masks = func(o *plan.Outcome) (map[string]paper.Zeros, error) {
		if shapes == nil {
			m := modelFlagsOf(o.Run.Model)
			src, err := m.Source()
			if err != nil {
				return nil, err
			}
			defer src.Close()
			all := map[string][]int{}
			for _, name := range src.Names() {
				all[name], _ = src.Shape(name)
			}
			shapes = func(name string) ([]int, bool) { s, ok := all[name]; return s, ok }
		}
		return paper.ZerosOf(filepath.Join(f.out, o.ID, run.MaskName), shapes)
	}
	d, fault := g.Draw(results)
	if fault != nil {
		return fault
	}
	if picture != "" {
		if fault := f.outputs.over("picture", picture); fault != nil {
			return fault
		}
		if fault := draw.WriteFile(picture, drawn(d)); fault != nil {
			return fault
		}
		u.notesToErr().Note("drawn into %s", picture)
	} else {
		u.notesToErr().Note("-picture FILE.svg draws it")
	}
	if fault := f.write(u, d.JSON(), func(w io.Writer) error { return d.Write(w, f.format) }); fault != nil {
		return fault
	}
	return err
}

// drawn is a figure as pictures of one sheet.
func drawn(d *paper.Drawing) draw.Figure {
	s := draw.Sheet{Title: d.Name + ". " + d.Title}
	for _, n := range d.Notes {
		if strings.HasPrefix(n, "SYNTHETIC") && !strings.Contains(s.Title, "drawn tasks") {
			s.Title += " (synthetic tasks)"
		}
	}
	for _, p := range d.Panels {
		var of draw.Figure
		switch {
		case p.Matrix != nil:
			of = draw.Heat{Title: p.Title, Rows: p.Names, Columns: p.Names, Values: p.Matrix, Format: "%.2f"}
		case p.Bars != nil:
			b := draw.Bars{Title: p.Title, Y: p.Y, Groups: p.Groups, Across: true, Format: "%.2f", Longest: 60}
			for _, v := range p.Bars {
				b.Series = append(b.Series, draw.Bar{Name: v.Name, Values: v.Y, Err: v.Err})
			}
			of = b
		default:
			c := draw.Curves{Title: p.Title, X: p.X, Y: p.Y, Log: p.Log, Whole: !p.Log}
			for _, v := range p.Lines {
				c.Lines = append(c.Lines, draw.Line{Name: v.Name, X: v.X, Y: v.Y, Err: v.Err})
				if p.Log {
					c.Ticks = v.X
				}
			}
			of = c
		}
		s.Figures = append(s.Figures, of)
	}
	if len(s.Figures) < 3 {
		s.Columns = len(s.Figures)
	}
	return s
}
