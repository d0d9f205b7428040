package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"

	"fewshot/rmt/plan"
)

var collectCommand = command{
	example: "fewshot collect plan.jsonl\nfewshot collect plan.jsonl -format latex -ci95",
	name:    "collect", args: "PLAN", summary: "tell what is done of a plan, and lay its results out as a table",
	about: `Says which runs of a plan are done, missing or failed, and prints the accuracies: methods by row, data by column, mean
and standard deviation over seeds (of the sample, with n-1). In Markdown and LaTeX the best of a column is bold.`,
	setup: setupCollect,
}

// collectResult is the last line of -json.
type collectResult struct {
	Kind   string             `json:"kind"`
	Dir    string             `json:"dir"`
	States map[plan.State]int `json:"states"`
	Table  *plan.Table        `json:"table"`
}

func setupCollect(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var out, format string
	var ci95, any bool
	fs.StringVar(&out, "out", "", "`folder` of the runs' folders, as run's")
	fs.StringVar(&format, "format", "text", strings.Join(plan.Formats(), ", "))
	fs.BoolVar(&ci95, "ci95", false, "the 95 % confidence interval of each mean too, by Student's t")
	fs.BoolVar(&any, "any-version", false, "take plans and results of other versions of this program as they are")
	return func(_ context.Context, u *ui, args []string) error {
		if len(args) != 1 {
			return usagef("give one plan, not %d", len(args))
		}
		if !slices.Contains(plan.Formats(), format) {
			return usagef("-format %q: there are %s", format, strings.Join(plan.Formats(), ", "))
		}
		program := version()
		if any {
			program = ""
		}
		p, err := plan.Open(args[0], program)
		if err != nil {
			return err
		}
		defer p.Close()
		dir := runsFolder(out, args[0])
		all, err := plan.Collect(p, dir, program)
		if err != nil {
			return err
		}
		r := collectResult{"result", dir, map[plan.State]int{}, plan.Tabulate(all)}
		for _, o := range all {
			r.States[o.State]++
			if o.State == plan.Failed || o.State == plan.Foreign {
				u.Warn("%s: %s: %s", o.ID, &o.Run, o.Reason())
			}
		}
		if n := len(all) - r.States[plan.Done]; n > 0 {
			u.Warn("%d of %d runs are done, %d partial, %d failed, %d missing, %d of other versions", r.States[plan.Done], len(all), r.States[plan.Partial], r.States[plan.Failed], r.States[plan.Missing], r.States[plan.Foreign])
		}
		var written error
		if err := u.result(r, func(w io.Writer) { written = r.Table.Write(w, format, ci95) }); err != nil {
			return err
		}
		if written != nil {
			return fmt.Errorf("the table could not be written: %w", written)
		}
		return nil
	}
}
