package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"time"

	"fewshot/datasets"
	"fewshot/rmt"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

var evalCommand = command{
	name: "eval", summary: "test a mask on a data set",
	about: `Puts the masks of a file that train wrote on the model they were learned on, and classifies the test images. A mask of
other weights is refused. With -classes new this is the base-to-new protocol, with another -dataset the shift of domain.`,
	setup: setupEval,
}

func setupEval(fs *flag.FlagSet) func(context.Context, *ui, []string) error {
	var f evalFlags
	var mask string
	f.declare(fs)
	f.data.declareTemplate(fs)
	fs.StringVar(&mask, "mask", "", "mask `file` to test, as train wrote it")
	return func(ctx context.Context, u *ui, args []string) error {
		switch {
		case len(args) > 0:
			return usagef("unexpected argument %q", args[0])
		case mask == "":
			return usagef("-mask is missing: which mask shall be tested? (the untouched model: fewshot zeroshot)")
		}
		return f.run(ctx, u, mask, func(ds *datasets.Dataset) ([]string, error) { return []string{ds.Template}, nil })
	}
}

// evalFlags are what commands share that only test.
type evalFlags struct {
	device   deviceFlags
	model    modelFlags
	data     dataFlags
	loader   loaderFlags
	perClass bool
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
	Kind      string   `json:"kind"`
	Model     string   `json:"model"`
	Backbone  string   `json:"backbone"` // digest of the weights
	Dataset   string   `json:"dataset"`
	Synthetic bool     `json:"synthetic"` // drawn by this program: not comparable with published figures
	Classes   string   `json:"classes"`
	NumClass  int      `json:"num_classes"`
	Templates []string `json:"templates"`
	Split     string   `json:"split_sha256"`
	Test      accuracy `json:"test"`
	// Mask and sparsity are missing for the untouched model.
	Mask     string          `json:"mask,omitempty"`
	Sparsity *rmt.Sparsity   `json:"sparsity,omitempty"`
	Percent  *float64        `json:"sparsity_percent,omitempty"`
	PerClass []classAccuracy `json:"per_class,omitempty"`
	Rate     float64         `json:"eval_images_per_second"`
	Seconds  float64         `json:"seconds"`
	Device   string          `json:"device"`
	Program  string          `json:"program"`
}

// run tests the model, under a mask if there is one, with the prompts that are chosen for the data set.
func (f *evalFlags) run(ctx context.Context, u *ui, mask string, prompts func(*datasets.Dataset) ([]string, error)) error {
	start := time.Now()
	if err := f.loader.validate(); err != nil {
		return err
	}
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	ds, err := f.data.open()
	if err != nil {
		return err
	}
	u.about(ds)
	templates, err := prompts(ds)
	if err != nil {
		return err
	}
	m, err := f.model.open(dev, u)
	if err != nil {
		return err
	}
	r := &evalResult{Kind: "result", Model: m.name, Backbone: m.digest, Dataset: ds.Name, Synthetic: strings.HasPrefix(ds.Name, synthPrefix),
		Classes: f.data.classes, NumClass: len(ds.Classes), Templates: templates, Split: ds.SplitHash(), Mask: mask, Device: dev.Describe(), Program: version()}
	if mask != "" {
		s, err := m.mask(mask)
		if err != nil {
			return err
		}
		percent := s.Percent()
		r.Sparsity, r.Percent = &s, &percent
	}
	classes, err := m.classifier(ctx, dev, ds.Classes, templates)
	if err != nil {
		return err
	}
	defer classes.Release()
	if err := f.test(ctx, u, dev, m, classes, ds, r); err != nil {
		return err
	}
	r.Seconds = time.Since(start).Seconds()
	return u.result(r, func(w io.Writer) { r.print(w) })
}

// test classifies the test images and fills in what came out.
func (f *evalFlags) test(ctx context.Context, u *ui, dev *tensor.Device, m *model, classes *tensor.Tensor, ds *datasets.Dataset, r *evalResult) error {
	start := time.Now()
	images := f.loader.inOrder(dev, u, m, ds, ds.Test, true)
	defer images.close()
	t, err := classify(ctx, u, "test", dev, train.Model{Encoder: m.image, Head: train.Head{Classes: classes, Scale: m.scale()}}, images)
	if err != nil {
		return err
	}
	r.Rate = float64(t.done) / time.Since(start).Seconds()
	r.Test = t.accuracy()
	if f.perClass {
		r.PerClass = t.perClass(ds.Classes)
	}
	return nil
}

// mask puts the masks of a file on the image encoder.
func (m *model) mask(path string) (rmt.Sparsity, error) {
	if s, err := os.Stat(path); err == nil && s.IsDir() { // a run's folder stands for the mask in it
		path = filepath.Join(path, maskName)
	}
	f, err := rmt.OpenMasks(path)
	if err != nil {
		return rmt.Sparsity{}, err
	}
	defer f.Close()
	masks, err := f.Attach(m.image.Params(), m.digest)
	return rmt.SparsityOf(masks), err
}

func (r *evalResult) print(w io.Writer) {
	what := "untouched model"
	if r.Sparsity != nil {
		what = fmt.Sprintf("mask %s, sparsity %v", r.Mask, *r.Sparsity)
	}
	fmt.Fprintf(w, "%s on %s, %s classes: %s\n", r.Model, r.Dataset, r.Classes, what)
	if len(r.Templates) == 1 {
		fmt.Fprintf(w, "  prompt     %q\n", r.Templates[0])
	} else {
		fmt.Fprintf(w, "  prompts    ensemble of %d\n", len(r.Templates))
	}
	fmt.Fprintf(w, "  accuracy   %6.2f %%  (%d of %d images, %d classes)\n", r.Test.Accuracy, r.Test.Correct, r.Test.Images, r.NumClass)
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
		fmt.Fprintf(w, "  %6.2f %% %6.2f %%  %6d  %s\n", c.Accuracy, c.F1, c.Images, c.Class)
	}
}
