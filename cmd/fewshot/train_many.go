package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"fewshot/nn/words"
	"fewshot/rmt/plan"
	"fewshot/rmt/run"
)

// many reports whether the command line asks for several runs. A list of one seed is that seed.
func (f *trainFlags) many(fs *flag.FlagSet) (bool, error) {
	if f.seeds != "" {
		var given bool
		fs.Visit(func(g *flag.Flag) { given = given || g.Name == "seed" })
		if given {
			return false, usagef("-seed and -seeds exclude each other")
		}
		all, err := seedList(f.seeds)
		if err != nil {
			return false, err
		}
		if f.data.seed = all[0]; len(all) > 1 {
			return true, nil
		}
	}
	return len(f.data.counts) > 1 || strings.Contains(f.method, ","), nil
}

// grid is what lists on the command line ask for.
func (f *trainFlags) grid(ctx context.Context, u *ui) (*plan.Grid, error) {
	switch {
	case f.from != "":
		return nil, usagef("-from makes one run again: leave lists out")
	case f.data.name == "":
		return nil, usagef("-dataset is missing: which data set, folder or synth:TASK?")
	case f.resume:
		return nil, usagef("-resume is for single runs; several go on by themselves when the command is given again")
	}
	if _, err := f.data.options(); err != nil { // which reads -template-file
		return nil, err
	}
	p := planFlags{model: f.model, precision: f.device.precision, root: f.data.root, open: true, mask: f.mask, data: f.data.name, classes: f.data.classes,
		methods: f.method, shots: "16", seeds: f.seeds, models: []string{f.model.Path}, prompts: f.data}
	if f.choose != "" {
		p.choose = []string{f.choose}
	}
	p.grids = f.axes
	if f.zero {
		p.methods = plan.ZeroShot + "," + p.methods
	}
	if p.seeds == "" { // one, of -seed
		p.seeds = strconv.FormatUint(f.data.seed, 10)
	}
	if f.data.counts != nil {
		var all []string
		for _, n := range f.data.counts {
			all = append(all, strconv.Itoa(n))
		}
		p.shots = strings.Join(all, ",")
	}
	p.reading = plan.Reading{Division: f.data.split, DivisionSeed: f.data.splitSeed, ClassNames: f.data.classNames, LabelColumn: f.data.labelColumn, ClassLevel: f.data.level}
	g, err := p.grid(ctx, u)
	if err == nil && len(f.given) > 0 {
		g.SettingsOf = map[string][]map[string]string{}
		for _, m := range list(f.method) {
			g.SettingsOf[m] = []map[string]string{f.given}
		}
	}
	return g, err
}

// manyResult is the last line of -json.
type manyResult struct {
	Kind   string         `json:"kind"`
	Dir    string         `json:"dir"`
	Plan   string         `json:"plan"`
	Table  *plan.Table    `json:"table"`
	Paired []*plan.Paired `json:"paired,omitempty"`
	plan.Report
}

// runMany makes the runs of lists as a plan, and tells their means; of several methods, how the others differ from the first.
func (f *trainFlags) runMany(ctx context.Context, u *ui) error {
	g, err := f.grid(ctx, u)
	if err != nil {
		return err
	}
	p, err := g.Plan()
	if err != nil {
		return usageError{err.Error()}
	}
	dir := f.out
	if dir == "" {
		dir = filepath.Join("runs", strings.ReplaceAll(f.data.canonical(), ":", "-"), "plan")
	}
	path := filepath.Join(dir, run.PlanName)
	if err := overPlan(p, path, false, "fewshot run "+path+" goes on with that one; give another -out for this comparison"); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	if err := p.Save(path, version()); err != nil {
		return err
	}
	dir = runsFolder("", path)
	rf := runFlags{device: f.device, loader: f.loader, micro: f.micro, model: f.model, root: f.data.root, every: f.every, shared: defaultShared, log: f.log}
	report, err := rf.execute(ctx, u, p, dir, nil)
	if err != nil {
		return err
	}
	all, err := plan.Collect(p, dir, version())
	if err != nil {
		return err
	}
	r := manyResult{Kind: "result", Dir: dir, Plan: path, Table: plan.Tabulate(all), Report: report}
	if methods := list(f.method); len(methods) > 1 {
		first := rowOf(all, methods[0])
		for _, m := range methods[1:] {
			if c, err := r.Table.Compare(rowOf(all, m), first); err == nil { // else one of them has failed, as is said
				r.Paired = append(r.Paired, c)
			}
		}
	}
	var written error
	if err := u.result(r, func(w io.Writer) {
		fmt.Fprintln(w)
		if written = r.Table.Write(w, "text", false); written != nil {
			return
		}
		for _, c := range r.Paired {
			fmt.Fprintln(w)
			if written = c.Write(w); written != nil {
				return
			}
		}
		fmt.Fprintf(w, "\nfewshot collect %s lays this out otherwise\n", path)
	}); err != nil {
		return err
	}
	switch {
	case written != nil:
		return written
	case report.Unfinished() > 0:
		return fmt.Errorf("%s in other processes' hands; give the command again when that is done", words.Plural(report.Unfinished(), "run is", "runs are"))
	case report.Failed > 0:
		return fmt.Errorf("%d of %s failed; %s", report.Failed, words.Count(p.Len(), "run"), whyFailed)
	}
	return nil
}

// rowOf is the name of a method's row.
func rowOf(all []*plan.Outcome, method string) string {
	for i, name := range plan.RowNames(all) {
		if all[i].Run.Method == method {
			return name
		}
	}
	return method
}
