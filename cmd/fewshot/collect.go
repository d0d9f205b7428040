package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"fewshot/nn/words"
	"fewshot/rmt/plan"
)

var collectCommand = command{
	example: "fewshot collect plan.jsonl\nfewshot collect plan.jsonl -format latex -ci95",
	name:    "collect", args: "PLAN", summary: "tell what is done of a plan, and lay its results out as a table",
	about: `Says which runs of a plan are done, missing or failed, and prints the accuracies: methods by row, data by column, mean
and standard deviation over seeds (of the sample, with n-1). In Markdown and LaTeX the best of a column is bold.
Exit code 0: there is a result, be it one of many; what is missing is said. 1: there is none yet.`,
	setup: setupCollect,
}

// collectResult is the last line of -json.
type collectResult struct {
	Kind   string             `json:"kind"`
	Dir    string             `json:"dir"`
	States map[plan.State]int `json:"states"`
	Table  *plan.Table        `json:"table"`
	Paired *plan.Paired       `json:"paired,omitempty"`
	Logs   int                `json:"logs,omitempty"` // files of CoOp's form
}

// formatCoOp of -format is not a table but files, for scripts that read CoOp's logs.
const formatCoOp = "coop"

// collectFlags are those of collect.
type collectFlags struct {
	out, format, to, compare string
	ci95, any                bool
}

func setupCollect(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var f collectFlags
	declareRuns(fs, &f.out, "`folder` of the runs' folders, as run's")
	fs.StringVar(&f.format, "format", "text", strings.Join(plan.Formats(), ", ")+"; or "+formatCoOp+": logs as CoOp writes them, for scripts that read these, in the folder -to")
	fs.StringVar(&f.to, "to", "", "`folder` for -format "+formatCoOp+": it gets ROW/COLUMN/seedN/log.txt")
	fs.StringVar(&f.compare, "compare", "", "`A,B`: two rows of the table, by name, compared on the same data with the same seeds")
	fs.BoolVar(&f.ci95, "ci95", false, "the 95 % confidence interval of each mean too, by Student's t")
	fs.BoolVar(&f.any, "any-version", false, "take plans and results of other versions of this program as they are")
	return func(_ context.Context, u *ui, args []string) error {
		a, b, two := strings.Cut(f.compare, ",")
		switch {
		case len(args) != 1:
			return usagef("give one plan, not %d", len(args))
		case f.format != formatCoOp && !slices.Contains(plan.Formats(), f.format):
			return usagef("-format %q: there are %s, %s", f.format, strings.Join(plan.Formats(), ", "), formatCoOp)
		case f.format == formatCoOp && f.to == "":
			return usagef("-format %s: -to is missing, the folder for the logs", formatCoOp)
		case f.format != formatCoOp && f.to != "":
			return usagef("-to is for -format %s", formatCoOp)
		case f.compare != "" && !two:
			return usagef("-compare %s: want two rows with a comma between", f.compare)
		case two && a == b:
			return usagef("-compare %s: a row does not differ from itself; give two", f.compare)
		}
		return f.run(u, planIn(args[0]), a, b)
	}
}

func (f *collectFlags) run(u *ui, path, a, b string) error {
	program := planVersion(f.any)
	p, err := plan.Open(path, program)
	if err != nil {
		return err
	}
	defer p.Close()
	dir := runsFolder(f.out, path)
	all, err := plan.Collect(p, dir, program)
	if err != nil {
		return err
	}
	r := collectResult{Kind: "result", Dir: dir, States: map[plan.State]int{}, Table: plan.Tabulate(all)}
	for _, o := range all {
		r.States[o.State]++
		if o.State == plan.Failed || o.State == plan.Foreign {
			u.Warn("%s: %s: %s", o.ID, &o.Run, o.Reason())
		}
	}
	if n := len(all) - r.States[plan.Done]; n > 0 {
		u.Warn("%d of %s done, %d partial, %d failed, %d missing, %d of other versions", r.States[plan.Done], words.Plural(len(all), "run is", "runs are"), r.States[plan.Partial], r.States[plan.Failed], r.States[plan.Missing], r.States[plan.Foreign])
	}
	if f.compare != "" {
		if r.Paired, err = r.Table.Compare(a, b); err != nil {
			return err
		}
	}
	if f.format == formatCoOp {
		if r.Logs, err = plan.WriteCoOp(f.to, all); err != nil {
			return err
		}
	}
	var written error
	if err := u.result(r, func(w io.Writer) { written = f.print(w, &r) }); err != nil {
		return err
	}
	if written != nil {
		return fmt.Errorf("the table could not be written: %w", written)
	}
	if !slices.ContainsFunc(all, func(o *plan.Outcome) bool { return o.Result != nil }) {
		return fmt.Errorf("%s: there is no result in %s; fewshot run %s makes them, and -runs names the folder where they lie elsewhere", path, dir, path)
	}
	return nil
}

func (f *collectFlags) print(w io.Writer, r *collectResult) error {
	if f.format == formatCoOp {
		fmt.Fprintf(w, "%d logs in %s; parse_test_res.py reads a folder ROW/COLUMN, and with --multi-exp a folder ROW\n", r.Logs, f.to)
	} else if err := r.Table.Write(w, f.format, f.ci95); err != nil {
		return err
	}
	if r.Paired == nil {
		return nil
	}
	fmt.Fprintln(w)
	return r.Paired.Write(w)
}
