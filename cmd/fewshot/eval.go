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
	"fewshot/rmt"
	"fewshot/rmt/run"
)

var evalCommand = command{
	example: "fewshot eval -model ViT-B/16 -data DATA -dataset oxford_pets -mask runs/pets",
	name:    "eval", summary: "test a mask or a tuned file on a data set",
	about: `Puts what train wrote on the model it was learned on, and classifies the test images with the prompt of the training. A
file of other weights is refused, and so is a model that is used in another way than then.
With -classes new this is the base-to-new protocol, with another -dataset the shift of domain.`,
	setup: setupEval,
}

func setupEval(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var f evalFlags
	f.declare(fs)
	f.data.declareTemplate(fs)
	fs.StringVar(&f.mask, "mask", "", "mask `file` to test, or the folder of the run that wrote it")
	fs.StringVar(&f.tuned, "tuned", "", "tuned `file` of another method to test, or the folder of its run; with -mask where it was trained under one")
	fs.BoolVar(&f.force, "force", false, "use prompts, activation or preprocessing that contradict the file; the result says so")
	return func(ctx context.Context, u *ui, args []string) error {
		switch {
		case len(args) > 0:
			return usagef("unexpected argument %q", args[0])
		case f.mask == "" && f.tuned == "":
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

	mask, tuned string
	force       bool
}

func (f *evalFlags) declare(fs *flag.FlagSet) {
	f.model.declare(fs)
	f.data.declare(fs)
	f.device.declare(fs)
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
	Prompts   string       `json:"prompts_sha256"` // of those that each class has for itself; "templates" without
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
	Rate     float64             `json:"eval_images_per_second"`
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
	loaded, err := run.OpenLoaded(f.mask, f.tuned)
	if err != nil {
		return err
	}
	defer loaded.Close()
	ds, err := f.data.open()
	if err != nil {
		return err
	}
	u.about(ds)
	templates, err := loaded.Templates(ds.Title, prompts(ds), []string{ds.Template}, f.force)
	if err == nil {
		err = loaded.Prompts(ds, f.force)
	}
	if err != nil {
		return err
	}
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	f.model.Like = loaded.Model()
	m, err := f.model.open(ctx, dev, u)
	if err != nil {
		return err
	}
	r := &evalResult{Kind: "result", Model: m.Name, Backbone: m.Digest, Dataset: ds.Name, Synthetic: strings.HasPrefix(ds.Name, synthPrefix),
		Classes: f.data.classes, NumClass: len(ds.Classes), Templates: templates, Prompts: ds.PromptsHash(), Split: ds.SplitHash(), Device: dev.Describe(), Program: version()}
	request := run.Request{Dev: dev, Model: m, Data: ds, Templates: templates, Loader: f.loader.Loader, UI: u}
	job, release := request.Job(false)
	defer release()
	c, sparsity, err := loaded.Apply(ctx, job, f.force)
	if err != nil {
		return err
	}
	r.describe(loaded, sparsity)
	began := time.Now()
	images := f.loader.InOrder(dev, u, m, ds, ds.Test, true)
	defer images.Close()
	t, err := run.Classify(ctx, u, "test", dev, c, images)
	if err != nil {
		return err
	}
	r.Test = t.Accuracy()
	r.Rate = float64(r.Test.Images) / time.Since(began).Seconds()
	if f.perClass {
		r.PerClass = t.PerClass(ds.Classes)
	}
	r.Seconds = time.Since(start).Seconds()
	return u.result(r, func(w io.Writer) { r.print(w) })
}

// describe says what was tested.
func (r *evalResult) describe(l *run.Loaded, sparsity *rmt.Sparsity) {
	if l.Mask != nil {
		percent := sparsity.Percent()
		r.Mask, r.Sparsity, r.Percent = l.Mask.Path, sparsity, &percent
	}
	if l.Tuned != nil {
		r.Tuned, r.Method = l.Tuned.Path, l.Tuned.Spec.Method
	}
	r.Forced = slices.Clone(l.Forced)
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
	case r.Prompts != "templates":
		fmt.Fprintln(w, "  prompts    of each class")
	case len(r.Templates) == 1:
		fmt.Fprintf(w, "  prompt     %q\n", r.Templates[0])
	default:
		fmt.Fprintf(w, "  prompts    ensemble of %d\n", len(r.Templates))
	}
	fmt.Fprintf(w, "  accuracy   %6.2f %%  (%d of %d images, %d classes)\n", r.Test.Accuracy, r.Test.Correct, r.Test.Images, r.NumClass)
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
