package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"fewshot/nn/checkpoint"
	"fewshot/nn/words"
	"fewshot/rmt/clip"
	"fewshot/rmt/plan"
	"fewshot/rmt/plan/paper"
)

var tableCommand = command{
	example: `fewshot table 5 -dry-run
fewshot table 17 -data DATA -model ViT-B/16 -rows amt,r-amt
fewshot table 3 -seeds 1 -format markdown -out table3.md`,
	name: "table", args: "NUMBER", summary: "make a table of the R-AMT paper: plan, run, lay out",
	about: `Makes the runs that a table of the paper takes, those that are not done yet, and lays their results out as the paper does, with
its own figures beside them and what differs below. Tables 1 to 17, and methods: all methods of this program on three drawn
tasks. -data synth, the default, takes the synthetic world, where eleven drawn tasks stand in for the paper's data sets; with
-data ROOT -model ViT-B/16 these are used themselves. Runs that two tables need are made once. An interrupted command goes on
where it was when it is given again; -plan leaves the runs to other machines. In Markdown and LaTeX the best accuracy of those
made here is bold.`,
	setup: setupTable,
}

// paperFlags are what tables and figures share.
type paperFlags struct {
	runFlags
	model     string
	backbones string
	seeds     string
	shots     string
	rows      string
	sets      string
	budget    int
	dry       bool
	collect   bool
	plan      string
	format    string
	file      string
	outputs   outputs
}

// synthData is the -data that means the synthetic world.
const synthData = "synth"

func (f *paperFlags) declare(fs *flag.FlagSet) {
	fs.StringVar(&f.root, "data", synthData, "`root` folder of the data sets, in CoOp's layout; synth for the drawn tasks that stand in for them")
	fs.StringVar(&f.model, "model", clip.Embedded, "CLIP `checkpoint`, as train's; the paper's is ViT-B/16")
	fs.StringVar(&f.backbones, "backbones", "", "`folder` of the models of Table 10, in folders RN50, RN101 and ViT-B-32; small ones are made by pretrain -arch (default with -data ROOT: the models of these names)")
	fs.StringVar(&f.seeds, "seeds", "1,2,3", "comma-separated seeds; the sheet says if they are not the paper's")
	fs.StringVar(&f.shots, "shots", "", "comma-separated numbers of labelled images per class, where the table has several (default 1,2,4,8,16; of methods 4,16)")
	fs.StringVar(&f.sets, "sets", "", "comma-separated data sets, as oxford_pets,dtd, where the table has several (default all; of methods three): means are then of these")
	fs.StringVar(&f.rows, "rows", "", "comma-separated rows to make, as amt,r-amt,coop+r-amt (default all)")
	fs.IntVar(&f.budget, "max-images", 0, "training images that a run may see at most: methods that would see more have fewer epochs than published, and the sheet says so; 0 for no limit")
	fs.BoolVar(&f.dry, "dry-run", false, "say how many runs there are, how many are done, and about how long the others take here, from some steps of each method")
	fs.BoolVar(&f.collect, "collect", false, "make no runs: lay out what is done")
	fs.StringVar(&f.plan, "plan", "", "write the runs into this `file`, for fewshot run, and make none")
	fs.StringVar(&f.out, "runs", "", "`folder` of the runs' folders, which tables share (default runs/synth or runs/paper)")
	f.runFlags.model.declareOffline(fs)
	f.micro.declare(fs)
	f.device.declare(fs)
	f.loader.declare(fs)
	f.declareShared(fs)
	fs.DurationVar(&f.every, "save-every", 2*time.Minute, "how often to write a checkpoint to resume from")
	fs.BoolVar(&f.any, "any-version", false, "take results of other versions of this program as they are")
}

func setupTable(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var f paperFlags
	f.declare(fs)
	fs.StringVar(&f.format, "format", "text", strings.Join(paper.Formats(), ", "))
	fs.StringVar(&f.file, "out", "", "`file` for the table (default standard output)")
	f.outputs.declare(fs)
	return func(ctx context.Context, u *ui, args []string) error {
		if len(args) != 1 {
			return usagef("give the number of one table: %s", strings.Join(paper.Numbers(), ", "))
		}
		if !slices.Contains(paper.Formats(), f.format) {
			return usagef("-format %q: there are %s", f.format, strings.Join(paper.Formats(), ", "))
		}
		o, err := f.options(ctx, u)
		if err != nil {
			return err
		}
		t, err := paper.New(tableName(args[0]), o)
		if err != nil {
			return usageError{err.Error()}
		}
		return f.table(ctx, u, t)
	}
}

// options are what the flags say.
func (f *paperFlags) options(ctx context.Context, u *ui) (o paper.Options, err error) {
	if f.budget < 0 {
		return o, usagef("-max-images %d: a number of images, or 0", f.budget)
	}
	if err := f.loader.validate(); err != nil {
		return o, err
	}
	if err := trainable(f.device.precision); err != nil {
		return o, err
	}
	if err := f.outputs.check("out", f.file); err != nil {
		return o, err
	}
	if o.Seeds, err = numbers("seeds", f.seeds, func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) }); err != nil {
		return o, err
	}
	if f.shots != "" {
		if o.Shots, err = numbers("shots", f.shots, positive); err != nil {
			return o, err
		}
	}
	if f.rows != "" {
		o.Only = list(f.rows)
	}
	if f.sets != "" {
		o.Sets = list(f.sets)
	}
	o.Budget = f.budget
	w := &o.World
	w.Synthetic = f.root == synthData
	precision := f.device.precision
	if precision == "float32" {
		precision = ""
	}
	named := func(name string) plan.Model { return plan.Model{Name: name, Precision: precision} }
	if w.Model = named(f.model); w.Synthetic {
		w.Layers = defaultPretrain().TextLayers
	} else if f.model == clip.Embedded {
		return o, usagef("-data %s without -model: the embedded model is for drawn tasks alone; the paper's is ViT-B/16", f.root)
	}
	if f.rootless() && !f.dry && !f.collect && f.plan == "" {
		return o, usagef("-data %s: there is no such folder", f.root)
	}
	w.Backbones = map[string]plan.Model{}
	for _, name := range paper.Backbones() {
		switch folder := filepath.Join(f.backbones, strings.ReplaceAll(name, "/", "-")); {
		case name == "ViT-B/16":
			w.Backbones[name] = w.Model
		case f.backbones == "" && !w.Synthetic:
			w.Backbones[name] = named(name)
		case f.backbones == "":
		default:
			if _, err := os.Stat(folder); errors.Is(err, fs.ErrNotExist) {
				return o, usagef("-backbones %s: there is no folder %s in it; fewshot pretrain -arch %s -out %s makes a small model for it", f.backbones, filepath.Base(folder), name, folder)
			}
			w.Backbones[name] = named(folder)
		}
	}
	w.Resolve = &resolver{ctx, u, f.root, f.runFlags.model}
	if f.out == "" {
		f.out = filepath.Join("runs", "paper")
		if w.Synthetic {
			f.out = filepath.Join("runs", synthData)
		}
	}
	return o, nil
}

// rootless reports whether the folder of the data sets is not there.
func (f *paperFlags) rootless() bool {
	if f.root == synthData {
		return false
	}
	_, err := os.Stat(f.root)
	return errors.Is(err, fs.ErrNotExist)
}

func positive(s string) (int, error) {
	n, err := strconv.Atoi(s)
	if err == nil && n < 1 {
		err = fmt.Errorf("at least 1")
	}
	return n, err
}

// table makes a table's runs and lays it out.
func (f *paperFlags) table(ctx context.Context, u *ui, t *paper.Table) error {
	p, err := t.Plan()
	if err != nil {
		return f.unopened(ctx, u, t, err)
	}
	results, ready, err := f.results(ctx, u, t.Name, p)
	if err != nil && results == nil || ready {
		return err
	}
	s, fault := t.Fill(results)
	if fault == nil {
		fault = f.write(u, s, func(w io.Writer) error { return s.Write(w, f.format) })
	}
	return errors.Join(err, fault)
}

// unopened is what to say where models or data cannot be opened: a dry run counts all the same.
func (f *paperFlags) unopened(ctx context.Context, u *ui, t *paper.Table, why error) error {
	if !f.dry || ctx.Err() != nil {
		return why
	}
	p, err := t.Names()
	if err != nil {
		return err
	}
	if f.rootless() {
		why = fmt.Errorf("there is no folder %s (-data)", f.root)
	}
	d := dryRun{Kind: "dry-run", Name: t.Name, Runs: p.Len(), Unknown: []string{fmt.Sprintf("any time, and what is done: %v", why)}}
	for _, r := range p.All() {
		d.count(r)
	}
	return u.result(d, d.print)
}

// results makes the runs that are wanted and reads what there is. ready says that this was all that was asked for. With failed runs there are
// results and an error.
func (f *paperFlags) results(ctx context.Context, u *ui, name string, p *plan.Plan) (r paper.Results, ready bool, err error) {
	switch {
	case f.plan != "" && p.Len() == 0:
		return nil, false, usagef("-plan %s: %s takes no runs, and there is nothing to plan", f.plan, name)
	case f.plan != "":
		return nil, true, writePlan(u, p, f.plan, f.outputs.force, "-force replaces it, or name another file")
	case f.dry:
		return nil, true, f.estimate(ctx, u, name, p)
	case !f.collect && p.Len() > 0:
		report, fault := f.execute(ctx, u.notesToErr(), p, f.out, nil)
		if fault != nil {
			return nil, false, fault
		}
		if n := report.Failed + report.Unfinished(); n > 0 {
			err = fmt.Errorf("%d of %s not done; of what failed, %s, in %s", n, words.Plural(p.Len(), "run is", "runs are"), whyFailed, f.out)
		}
	}
	u.notesToErr().Note("the runs are in %s", f.out)
	all, fault := plan.Collect(p, f.out, planVersion(f.any))
	if fault != nil {
		return nil, false, fault
	}
	return paper.Collect(all), false, err
}

// notesToErr is a ui that tells people of the runs where the table does not go.
func (u *ui) notesToErr() *ui {
	of := *u
	if !u.json {
		of.out = u.errw
	}
	return &of
}

// write writes what write does to the file or to standard output, or as JSON.
func (f *paperFlags) write(u *ui, result any, write func(io.Writer) error) error {
	if f.file != "" {
		if err := f.outputs.over("out", f.file); err != nil {
			return err
		}
		if err := checkpoint.WriteFile(f.file, write); err != nil {
			return err
		}
		return u.result(result, func(w io.Writer) { fmt.Fprintf(w, "written to %s\n", f.file) })
	}
	var fault error
	if err := u.result(result, func(w io.Writer) { fault = write(w) }); err != nil {
		return err
	}
	return fault
}

// tableName is a table's number as people write it, 05 being 5.
func tableName(s string) string {
	if len(s) > 1 {
		return strings.TrimPrefix(s, "0")
	}
	return s
}
