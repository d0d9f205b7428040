package main

import (
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"path/filepath"
	"runtime"
	"strings"

	"fewshot/datasets"
	"fewshot/nn/quote"
)

var dataCheckCommand = command{
	example: "fewshot data check -data DATA -dataset oxford_pets",
	name:    "data check", summary: "look whether a data set is complete, and what to fetch",
	about: `Opens a data set and looks at each of its images. Reports counts, images that are missing or unreadable by name, and for
what is missing which file to fetch from where. The exit code is 1 unless all is there and good.`,
	setup: setupDataCheck,
}

// checkResult is the last line of -json.
type checkResult struct {
	Kind string `json:"kind"`
	OK   bool   `json:"ok"`
	*datasets.Report
}

func setupDataCheck(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var d dataFlags
	opts := datasets.CheckOptions{Workers: runtime.GOMAXPROCS(0)}
	fs.StringVar(&d.root, "data", "data", "`root` folder of the data sets, in CoOp's layout")
	fs.StringVar(&d.name, "dataset", "", "data set: "+strings.Join(datasets.Names(), ", ")+"; or a folder of your own images")
	d.declareReading(fs)
	fs.IntVar(&opts.Names, "names", 20, "how many files of each kind are named")
	decode := fs.Bool("decode", false, "decode every image, not only look at its first bytes")
	return func(ctx context.Context, u *ui, args []string) error {
		switch {
		case len(args) > 0:
			return usagef("unexpected argument %q", args[0])
		case d.name == "":
			return usagef("-dataset is missing: which data set, or which folder?")
		case strings.HasPrefix(d.name, synthPrefix):
			return usagef("-dataset %s is drawn by this program; there are no files to check", d.name)
		case opts.Names < 1:
			return usagef("-names %d: at least 1", opts.Names)
		}
		if *decode {
			opts.Decode = datasets.CheckImage
		}
		var err error
		if opts.Open, err = d.options(); err != nil {
			return err
		}
		return checkData(ctx, u, d.root, d.name, opts)
	}
}

func checkData(ctx context.Context, u *ui, root, name string, opts datasets.CheckOptions) error {
	var advance func(int, string)
	finish := func() {}
	opts.Progress = func(done, total int) {
		if advance == nil {
			advance, finish = u.Progress("check", total)
		}
		advance(done, "")
	}
	r, err := datasets.Check(ctx, root, name, opts)
	finish()
	if err != nil {
		return err
	}
	var written error
	err = u.result(checkResult{"result", r.OK(), r}, func(w io.Writer) { written = r.WriteText(w) })
	if err := cmp.Or(err, written); err != nil {
		return err
	}
	if !r.OK() {
		return fmt.Errorf("%s is not complete", quote.Plain(r.Name))
	}
	return nil
}

var dataExportCommand = command{
	example: "fewshot data export -dataset synth:textures -out DATA",
	name:    "data export", summary: "write a synthetic task as files in CoOp's layout",
	about: `Writes the images and the split of a synthetic task into a folder of its own below -out, which then serves as -data for
this program and any other that reads CoOp's layout. Training on the files gives the same mask file, to the byte, as
training on the task itself.`,
	setup: setupDataExport,
}

// exportResult is the last line of -json.
type exportResult struct {
	Kind    string `json:"kind"`
	Dir     string `json:"dir"`
	Data    string `json:"data"`    // for -data
	Dataset string `json:"dataset"` // for -dataset
	Classes int    `json:"classes"`
	Train   int    `json:"train"`
	Val     int    `json:"val"`
	Test    int    `json:"test"`
	Split   string `json:"split_sha256"`
}

func setupDataExport(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var name, out string
	fs.StringVar(&name, "dataset", "", "synthetic task: "+synthPrefix+strings.Join(taskNames(), ", "+synthPrefix))
	fs.StringVar(&out, "out", "", "`root` folder of data sets to write into")
	return func(_ context.Context, u *ui, args []string) error {
		task, synthetic := strings.CutPrefix(name, synthPrefix)
		switch {
		case len(args) > 0:
			return usagef("unexpected argument %q", args[0])
		case name == "":
			return usagef("-dataset is missing: which task?")
		case !synthetic:
			return usagef("-dataset %s is no synthetic task; there are %s%s", name, synthPrefix, strings.Join(taskNames(), ", "+synthPrefix))
		case out == "":
			return usagef("-out is missing: where shall the files go?")
		}
		return exportData(u, task, out)
	}
}

func exportData(u *ui, task, out string) error {
	ds, err := synthetic(task)
	if err != nil {
		return err
	}
	folder := exportName(task)
	dir := filepath.Join(out, folder)
	if err := datasets.Export(dir, ds); err != nil {
		return err
	}
	n := ds.Counts()
	r := exportResult{"result", dir, out, folder, n.Classes, n.Train, n.Val, n.Test, ds.SplitHash()}
	return u.result(r, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %d classes, %d training, %d validation and %d test images\n", dir, n.Classes, n.Train, n.Val, n.Test)
		fmt.Fprintf(w, "train on it with: fewshot train -data %s -dataset %s\n", out, folder)
	})
}

// exportName is the folder that a task is exported to, in the style of CoOp's oxford_pets.
func exportName(task string) string { return "synth_" + task }
