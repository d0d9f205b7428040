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
	"fewshot/nn/words"
)

var dataCheckCommand = command{
	example: "fewshot data check -data DATA -dataset oxford_pets",
	name:    "data check", summary: "look whether a data set is complete, and what to fetch",
	about: `Opens a data set and looks at each of its images. Reports counts, images that are missing or unreadable by name, and for
what is missing which file to fetch from where. Without -dataset, or of a folder that holds several, each is a line. The exit
code is 1 unless all is there and good.`,
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
		if d.name == "" {
			if !exists(d.root) {
				return usagef("-dataset is missing, and there is no folder %s: name that of the data sets with -data, or a data set with -dataset", quote.Plain(d.root))
			}
			return checkRoot(ctx, u, d.root, opts)
		}
		return checkData(ctx, u, d.root, d.name, opts)
	}
}

// checkOne looks at a data set, with a bar.
func checkOne(ctx context.Context, u *ui, root, name string, opts datasets.CheckOptions) (*datasets.Report, error) {
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
	return r, err
}

func checkData(ctx context.Context, u *ui, root, name string, opts datasets.CheckOptions) error {
	r, err := checkOne(ctx, u, root, name, opts)
	if err != nil {
		return err
	}
	if r.Several != "" {
		return checkRoot(ctx, u, r.Several, opts)
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

// rootResult is the last line of -json for a folder of data sets.
type rootResult struct {
	Kind string             `json:"kind"`
	OK   bool               `json:"ok"`
	Root string             `json:"root"`
	Sets []*datasets.Report `json:"sets"`
}

// checkRoot looks at all data sets of a folder.
func checkRoot(ctx context.Context, u *ui, root string, opts datasets.CheckOptions) error {
	names, err := datasets.In(root)
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return fmt.Errorf("%s holds no data sets; name a folder with -data, or a data set with -dataset", quote.Plain(root))
	}
	all := rootResult{Kind: "result", OK: true, Root: root}
	bad := 0
	for _, name := range names {
		r, err := checkOne(ctx, u, root, name, opts)
		if err != nil {
			return err
		}
		all.Sets = append(all.Sets, r)
		if !r.OK() {
			all.OK = false
			bad++
		}
	}
	err = u.result(all, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s\n", quote.Plain(root), words.Count(len(names), "data set"))
		for i, r := range all.Sets {
			fmt.Fprintf(w, "  %-22s %s\n", quote.Plain(names[i]), summary(r))
		}
		if bad > 0 {
			fmt.Fprintf(w, "fewshot data check -data %s -dataset NAME says of one what to do\n", quote.Plain(root))
		}
	})
	if err == nil && bad > 0 {
		err = fmt.Errorf("%d of %s in %s are not complete", bad, words.Count(len(names), "data set"), quote.Plain(root))
	}
	return err
}

// sizes are a data set's, in words.
func sizes(n datasets.Counts) string {
	return fmt.Sprintf("%s, %d training, %d validation and %s", words.Count(n.Classes, "class"), n.Train, n.Val, words.Count(n.Test, "test image"))
}

// summary is what was found, in a line.
func summary(r *datasets.Report) string {
	if r.Problem != "" {
		return "does not open: " + strings.Join(strings.Fields(r.Problem), " ")
	}
	s := sizes(r.Got)
	for _, f := range []struct {
		what string
		n    int
	}{{"missing", r.Missing.Total}, {"unreadable", r.Unreadable.Total}} {
		if f.n > 0 {
			s += fmt.Sprintf("; %d are %s", f.n, f.what)
		}
	}
	return s
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
	return func(ctx context.Context, u *ui, args []string) error {
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
		return exportData(ctx, u, task, out)
	}
}

func exportData(ctx context.Context, u *ui, task, out string) error {
	ds, err := synthetic(ctx, task)
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
		fmt.Fprintf(w, "%s: %s\n", dir, sizes(n))
		fmt.Fprintf(w, "train on it with: fewshot train -data %s -dataset %s\n", out, folder)
	})
}

// exportName is the folder that a task is exported to, in the style of CoOp's oxford_pets.
func exportName(task string) string { return "synth_" + task }
