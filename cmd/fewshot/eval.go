package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"fewshot/datasets"
	"fewshot/nn/words"
	"fewshot/rmt"
	"fewshot/rmt/run"
)

var evalCommand = command{
	example: "fewshot eval -model ViT-B/16 -data DATA -dataset oxford_pets -mask runs/pets",
	name:    "eval", summary: "test a mask or a tuned file on a data set",
	about: `Puts what train wrote on the model it was learned on, and classifies the test images with the prompt of the training. A
file of other weights is refused, and so is a model that is used in another way than then.
With -classes new this is the base-to-new protocol, with another -dataset the shift of domain.
Several files are tested in one pass over the images, and each has a result, as if it were tested alone. One of
them may be the mask that another was trained under; such a mask is not tested by itself.`,
	setup: setupEval,
}

func setupEval(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var f evalFlags
	f.declare(fs)
	f.data.declareTemplate(fs)
	f.declareFile(fs, "mask", "mask `file` to test, or the folder of the run that wrote it; may be given several times, as -tuned")
	f.declareFile(fs, "tuned", "tuned `file` of another method to test, or the folder of its run; with -mask where it was trained under one")
	fs.BoolVar(&f.force, "force", false, "use prompts, activation or preprocessing that contradict the file; the result says so")
	return func(ctx context.Context, u *ui, args []string) error {
		switch {
		case len(args) > 0:
			return usagef("unexpected argument %q", args[0])
		case len(f.files) == 0:
			return usagef("-mask or -tuned is missing: what shall be tested? (the untouched model: fewshot zeroshot)")
		}
		return f.run(ctx, u, func(*datasets.Dataset) []string { return f.data.templates })
	}
}

// evalFlags are what commands share that only test.
type evalFlags struct {
	device   deviceFlags
	model    modelFlags
	data     dataFlags
	loader   loaderFlags
	perClass bool

	files []run.Given
	force bool
}

// declareFile declares a flag that names files of what was trained.
func (f *evalFlags) declareFile(fs *flag.FlagSet, name, usage string) {
	fs.Func(name, usage, func(path string) error {
		if path == "" {
			return fmt.Errorf("names no file")
		}
		f.files = append(f.files, run.Given{Path: path, Mask: name == "mask"})
		return nil
	})
}

func (f *evalFlags) declare(fs *flag.FlagSet) {
	f.model.declare(fs)
	f.data.declare(fs)
	f.device.tests(fs)
	f.loader.declare(fs)
	fs.BoolVar(&f.perClass, "per-class", false, "print the accuracy of every class")
}

// evalResult is the last line of -json.
type evalResult struct {
	Kind      string       `json:"kind"`
	Model     string       `json:"model"`
	Backbone  string       `json:"backbone"` // digest of the weights
	Dataset   string       `json:"dataset"`
	Synthetic bool         `json:"synthetic"` // drawn by this program: not comparable with published figures
	Classes   string       `json:"classes"`
	NumClass  int          `json:"num_classes"`
	Templates []string     `json:"templates"`
	Prompts   string       `json:"prompts_sha256"`               // of those that each class has for itself; "templates" without
	Instead   string       `json:"instead_of_prompts,omitempty"` // a learned context, say; there are no templates and prompts then
	Split     string       `json:"split_sha256"`
	Test      run.Accuracy `json:"test"`
	// Mask and sparsity are missing for the untouched model.
	Mask     string              `json:"mask,omitempty"`
	Sparsity *rmt.Sparsity       `json:"sparsity,omitempty"`
	Percent  *float64            `json:"sparsity_percent,omitempty"`
	Tuned    string              `json:"tuned,omitempty"`
	Method   string              `json:"method,omitempty"` // of the tuned file
	Forced   []string            `json:"forced,omitempty"` // what contradicts the files, on the user's word
	PerClass []run.ClassAccuracy `json:"per_class,omitempty"`
	Rate     float64             `json:"eval_images_per_second"` // of all files that are tested
	Seconds  float64             `json:"seconds"`
	Device   string              `json:"device"`
	Program  string              `json:"program"`
}

// run tests the model, with what was trained on it if there is something, and with the prompts that the user gives for a data set, nil
// for none in particular.
func (f *evalFlags) run(ctx context.Context, u *ui, prompts func(*datasets.Dataset) []string) error {
	start := time.Now()
	if err := f.loader.validate(); err != nil {
		return err
	}
	all, err := run.OpenEach(f.files)
	if err != nil {
		return err
	}
	for _, l := range all {
		defer l.Close()
	}
	ds, err := f.data.open(ctx)
	if err != nil {
		return err
	}
	u.about(ds)
	var trials []*run.Trial
	for _, l := range all {
		t := &run.Trial{Loaded: l}
		if t.Templates, err = l.Templates(ds, prompts(ds), f.force); err == nil {
			err = l.Prompts(ds, f.force)
		}
		if err != nil {
			return err
		}
		trials = append(trials, t)
	}
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	f.model.Like = all[0].Model()
	m, err := f.model.open(ctx, dev, u)
	if err != nil {
		return err
	}
	request := run.Request{Dev: dev, Model: m, Data: ds, Loader: f.loader.Loader, UI: u, Own: true}
	cs, release, err := request.Apply(ctx, trials, f.force)
	defer release()
	if err != nil {
		return err
	}
	began := time.Now()
	images := f.loader.InOrder(dev, u, m, ds, ds.Test, true)
	defer images.Close()
	tallies, err := run.ClassifyEach(ctx, u, "test", dev, cs, m.Image, images)
	if err != nil {
		return err
	}
	rate := float64(len(trials)*len(ds.Test)) / time.Since(began).Seconds()
	for i, t := range trials {
		r := &evalResult{Kind: "result", Model: m.Name, Backbone: m.Digest, Dataset: ds.Name, Synthetic: strings.HasPrefix(ds.Name, synthPrefix),
			Classes: f.data.classes, NumClass: len(ds.Classes), Templates: t.Templates, Prompts: ds.PromptsHash(), Split: ds.SplitHash(),
			Test: tallies[i].Accuracy(), Rate: rate, Device: dev.Describe(), Program: version()}
		if r.Instead, err = t.Instead(ds.Classes); err != nil {
			return err
		}
		if r.Instead != "" {
			r.Templates, r.Prompts = []string{}, "none"
		}
		r.describe(t)
		if f.perClass {
			r.PerClass = tallies[i].PerClass(ds.Classes)
		}
		r.Seconds = time.Since(start).Seconds()
		if err := u.result(r, func(w io.Writer) { r.print(w) }); err != nil {
			return err
		}
	}
	return nil
}

// describe says what was tested.
func (r *evalResult) describe(t *run.Trial) {
	if t.Mask != nil {
		percent := t.Sparsity.Percent()
		r.Mask, r.Sparsity, r.Percent = t.Mask.Path, t.Sparsity, &percent
	}
	if t.Tuned != nil {
		r.Tuned, r.Method = t.Tuned.Path, t.Tuned.Spec.Method
	}
	r.Forced = slices.Clone(t.Forced)
}

func (r *evalResult) print(w io.Writer) {
	what := "untouched model"
	if r.Sparsity != nil {
		what = fmt.Sprintf("mask %s, sparsity %v", r.Mask, *r.Sparsity)
	}
	if r.Tuned != "" {
		what = fmt.Sprintf("%s of %s", r.Method, r.Tuned)
		if r.Mask != "" {
			what += ", under the mask " + r.Mask
		}
	}
	fmt.Fprintf(w, "%s on %s, %s classes: %s\n", r.Model, r.Dataset, r.Classes, what)
	switch {
	case r.Instead != "":
		fmt.Fprintf(w, "  prompt     none: %s\n", r.Instead)
	case r.Prompts != "templates":
		fmt.Fprintln(w, "  prompts    of each class")
	case len(r.Templates) == 1:
		fmt.Fprintf(w, "  prompt     %q\n", r.Templates[0])
	default:
		fmt.Fprintf(w, "  prompts    ensemble of %d\n", len(r.Templates))
	}
	fmt.Fprintf(w, "  accuracy   %6.2f %%  (%d of %s, %s)\n", r.Test.Accuracy, r.Test.Correct, words.Count(r.Test.Images, "image"), words.Count(r.NumClass, "class"))
	for _, s := range r.Forced {
		fmt.Fprintf(w, "  forced     %s\n", s)
	}
	fmt.Fprintf(w, "  macro-F1   %6.2f %%\n", r.Test.MacroF1)
	fmt.Fprintf(w, "  speed      %6.1f images/s\n", r.Rate)
	if r.Synthetic {
		fmt.Fprintln(w, "  (a synthetic task: not comparable with published figures)")
	}
	if len(r.PerClass) == 0 {
		return
	}
	fmt.Fprintf(w, "\n  accuracy       F1  images  class\n")
	for _, c := range r.PerClass {
		accuracy := "       –"
		if c.Accuracy != nil {
			accuracy = fmt.Sprintf("%6.2f %%", *c.Accuracy)
		}
		fmt.Fprintf(w, "  %s %6.2f %%  %6d  %s\n", accuracy, c.F1, c.Images, c.Class)
	}
}
