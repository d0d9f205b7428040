package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"image"
	"image/color"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"fewshot/cmd/fewshot/internal/report"
	"fewshot/datasets"
	"fewshot/nn/checkpoint"
	"fewshot/nn/quote"
	"fewshot/nn/words"
	"fewshot/rmt/plan"
	"fewshot/rmt/run"
)

var reportCommand = command{
	example: "fewshot report runs/pets\nfewshot report plan.jsonl",
	name:    "report", args: "RUN|PLAN", summary: "make a page of a run, or of a plan: result, curves, confusion, mistakes",
	about: `Writes one HTML file about a finished run, which needs no network and no other file: result and settings, loss and training
accuracy by epoch, sparsity by layer, confusion matrix, a table of classes, reliability with ECE, the most certain mistakes, and
the commands that repeat the run. Test images are classified again, with the model and data that result.json names unless flags
name others; -evaluate=false leaves out what needs them.
Of a plan the page has the table, accuracy by shots, and every run.`,
	setup: setupReport,
}

// reportFile is where the page goes unless -out says so.
const reportFile = "report.html"

func setupReport(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var f reportFlags
	f.model.declare(fs)
	f.data.declare(fs)
	f.device.declare(fs)
	f.loader.declare(fs)
	f.data.declareTemplate(fs)
	fs.StringVar(&f.mask, "mask", "", "mask `file` under which a tuned file was trained, or its run (default: the one that result.json names)")
	out := fs.String("out", "", "HTML `file` to write (default report.html in the run's folder, over an earlier one)")
	var outputs outputs
	outputs.declare(fs)
	evaluate := fs.Bool("evaluate", true, "classify the test images again")
	runs := fs.String("runs", "", "of a plan: `folder` of the runs' folders, as -runs of run")
	anyVersion := fs.Bool("any-version", false, "of a plan: take results of other versions of this program as they are")
	return func(ctx context.Context, u *ui, args []string) error {
		if len(args) != 1 {
			return usagef("give one run or plan, not %d", len(args))
		}
		outputs.args = args
		if err := outputs.check("out", *out); err != nil {
			return err
		}
		if path := planIn(args[0]); isPlan(path) {
			return reportPlan(u, path, *runs, *out, &outputs, *anyVersion)
		}
		r, folder, err := run.ReadResult(args[0])
		if err != nil {
			return err
		}
		page := report.Run{Result: r, Folder: folder, Program: version(), Commands: repeats(r, folder)}
		if *evaluate && r.Test != nil {
			if err := asThen(fs, r); err != nil {
				return err
			}
			if page.Tested, err = f.test(ctx, u, r, folder); err != nil {
				return fmt.Errorf("%w (without classifying again: -evaluate=false)", err)
			}
		}
		path, err := writePage(*out, folder, &outputs, page.HTML)
		if err != nil {
			return err
		}
		done := reportResult{Kind: "result", File: path}
		if t := page.Tested; t != nil {
			a := run.TallyOf(t.Predictions, len(t.Classes)).Accuracy()
			_, ece := run.Reliability(t.Predictions)
			done.Test, done.ECE = &a, &ece
			if t.Same && a.Correct != r.Test.Correct {
				u.Warn("%d of %s classified rightly now, and result.json says %d; fewshot verify says why that may be", a.Correct, words.Plural(a.Images, "test image is", "test images are"), r.Test.Correct)
			}
		}
		return u.result(done, func(w io.Writer) { fmt.Fprintln(w, done.File) })
	}
}

// isPlan reports whether a path is a plan's file, and no result's.
func isPlan(path string) bool {
	s, err := os.Stat(path)
	return err == nil && s.Mode().IsRegular() && filepath.Ext(path) == ".jsonl"
}

// reportPlan makes the page of a plan's runs.
func reportPlan(u *ui, path, runs, out string, o *outputs, anyVersion bool) error {
	program := planVersion(anyVersion)
	p, err := plan.Open(path, program)
	if err != nil {
		return err
	}
	defer p.Close()
	dir := runsFolder(runs, path)
	all, err := plan.Collect(p, dir, program)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(all, func(o *plan.Outcome) bool { return o.State != plan.Missing }) {
		return fmt.Errorf("%s: none of its runs is done (%s in %s); fewshot run %s makes them", path, words.Count(len(all), "run"), dir, path)
	}
	page := report.Plan{Name: strings.TrimSuffix(filepath.Base(path), filepath.Ext(path)), Folder: dir, Outcomes: all, Table: plan.Tabulate(all), Program: version(),
		Commands: []report.Command{
			{Does: "Make the runs that are not done:", Line: quote.Shell("fewshot", "run", path)},
			{Does: "Lay the results out as a table for a paper:", Line: quote.Shell("fewshot", "collect", path, "-format", "latex")},
		}}
	file, err := writePage(out, dir, o, page.HTML)
	if err != nil {
		return err
	}
	return u.result(reportResult{Kind: "result", File: file}, func(w io.Writer) { fmt.Fprintln(w, file) })
}

// writePage writes a page into the file of -out, or over the one of that folder.
func writePage(out, folder string, o *outputs, html func(io.Writer) error) (path string, err error) {
	if path = cmp.Or(out, filepath.Join(folder, reportFile)); out != "" {
		if err := o.over("out", out); err != nil {
			return "", err
		}
	}
	return path, checkpoint.WriteFile(path, html)
}

// reportResult is the last line of -json.
type reportResult struct {
	Kind string        `json:"kind"`
	File string        `json:"file"`
	Test *run.Accuracy `json:"test,omitempty"` // as classified again
	ECE  *float64      `json:"ece,omitempty"`
}

// reportFlags say what the test images are classified with.
type reportFlags struct {
	device deviceFlags
	model  modelFlags
	data   dataFlags
	loader loaderFlags
	mask   string // under which a tuned file was trained
}

// files opens what was learned in a run's folder. A mask that it was trained under is where the run had it, unless a
// flag says where it is now.
func (f *reportFlags) files(r *run.Result, folder string) (*run.Loaded, error) {
	if r.Spec.Method == plan.ZeroShot {
		return run.OpenLoaded("", "")
	}
	file := r.Learned(folder)
	if filepath.Base(file) == run.MaskName {
		return run.OpenLoaded(file, "")
	}
	if r.Spec.Below == "" {
		return run.OpenLoaded("", file)
	}
	return run.OpenLoaded(f.mask, file)
}

// test classifies the test images again.
func (f *reportFlags) test(ctx context.Context, u *ui, r *run.Result, folder string) (*report.Tested, error) {
	if err := f.loader.validate(); err != nil {
		return nil, err
	}
	loaded, err := f.files(r, folder)
	if err != nil {
		return nil, err
	}
	defer loaded.Close()
	ds, err := f.data.open(ctx)
	if err != nil {
		return nil, err
	}
	u.about(ds)
	trial := &run.Trial{Loaded: loaded}
	if trial.Templates, err = loaded.Templates(ds, f.data.templates, false); err == nil {
		err = loaded.Prompts(ds, false)
	}
	if err != nil {
		return nil, err
	}
	dev, err := f.device.open()
	if err != nil {
		return nil, err
	}
	defer dev.Close()
	f.model.Like = loaded.Model()
	m, err := f.model.open(ctx, dev, u)
	if err != nil {
		return nil, err
	}
	request := run.Request{Dev: dev, Model: m, Data: ds, Loader: f.loader.Loader, UI: u}
	c, release, err := request.Apply(ctx, []*run.Trial{trial}, false)
	defer release()
	if err != nil {
		return nil, err
	}
	images := f.loader.InOrder(dev, u, m, ds, ds.Test, true)
	defer images.Close()
	all, err := run.Predictions(ctx, u, "test", dev, c[0], images)
	if err != nil {
		return nil, err
	}
	t := &report.Tested{Dataset: ds.Name, Device: dev.Describe(), Same: ds.Title == r.Title && f.data.classes == r.Classes && len(all) == r.Test.Images, Classes: ds.Classes, Predictions: all}
	t.Mistakes, err = mistakes(ctx, ds, all, f.loader.Workers)
	return t, err
}

// mistakes are the most certain ones, with the centres of their images.
func mistakes(ctx context.Context, ds *datasets.Dataset, all []run.Prediction, workers int) ([]report.Mistake, error) {
	worst := report.Mistakes(all, report.MostMistakes)
	if len(worst) == 0 {
		return nil, nil
	}
	var items []datasets.Item
	for _, i := range worst {
		items = append(items, ds.Test[i])
	}
	t := datasets.CLIPTransform(report.ThumbnailSize)
	var out []report.Mistake
	for b, err := range datasets.LoadImages(ctx, ds, items, t, len(items), workers) {
		if err != nil {
			return nil, err
		}
		n := len(b.Pixels) / len(b.Labels)
		for k := range b.Labels {
			i := len(out)
			out = append(out, report.Mistake{Prediction: all[worst[i]], Name: items[i].Path, Picture: thumbnail(b.Pixels[k*n:(k+1)*n], t)})
		}
	}
	return out, ctx.Err()
}

// thumbnail is normalised planes as a picture.
func thumbnail(planes []float32, t datasets.Transform) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, t.Size, t.Size))
	n := t.Size * t.Size
	level := func(c, i int) uint8 { return uint8(min(max((planes[c*n+i]*t.Std[c]+t.Mean[c])*255+0.5, 0), 255)) }
	for i := range n {
		m.SetRGBA(i%t.Size, i/t.Size, color.RGBA{level(0, i), level(1, i), level(2, i), 0xff})
	}
	return m
}

// repeats are the commands that make a run again, and that test it.
func repeats(r *run.Result, folder string) []report.Command {
	flags := flagsOf(r)
	train := []string{"fewshot", "train"}
	test := []string{"fewshot", "eval"}
	for _, name := range lasting {
		v, ok := flags[name]
		if !ok || name == "classes" && v == "all" || name == "strassen" && r.Flags["strassen"] == "" || name == "precision" && v == "float32" {
			continue
		}
		train = append(train, "-"+name, v)
		if slices.Contains(ofTraining, name) || name == "mask" {
			continue
		}
		test = append(test, "-"+name, v)
	}
	if r.Spec.Data.Prompts == "templates" {
		for _, t := range r.Spec.Data.Templates {
			train = append(train, "-template", t)
		}
	}
	if r.Spec.Method == plan.ZeroShot {
		test[1] = "zeroshot"
		return []report.Command{{Does: "Test the untouched model:", Line: quote.Shell(test...)}}
	}
	train = append(train, "-method", r.Spec.Method)
	for _, name := range slices.Sorted(maps.Keys(r.Flags)) {
		if !slices.Contains(lasting, name) { // of the method
			train = append(train, "-"+name+"="+r.Flags[name])
		}
	}
	train = append(train, "-out", "NEW-FOLDER")
	if filepath.Base(r.Learned(folder)) == run.MaskName {
		test = append(test, "-mask", folder)
	} else {
		test = append(test, "-tuned", folder)
		if m := flags["mask"]; m != "" {
			test = append(test, "-mask", m)
		}
	}
	all := []report.Command{
		{Does: "Train it again and compare the bytes:", Line: quote.Shell("fewshot", "verify", folder)},
		{Does: "Test what was learned:", Line: quote.Shell(test...)},
	}
	if r.Flags != nil { // results of older programs do not say what was given
		all = append(all, report.Command{Does: "Train it, by the flags that were given:", Line: quote.Shell(train...)})
	}
	return all
}

// ofTraining are the flags that train has and eval has not.
var ofTraining = []string{"shots", "seed", "sample", "micro-batch"}
