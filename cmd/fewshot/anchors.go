package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strings"
	"text/tabwriter"

	"fewshot/datasets"
	"fewshot/nn/quote"
	"fewshot/rmt/clip"
	"fewshot/rmt/plan/paper"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// anchorTolerance is how many points a zero-shot accuracy may be off from the published one. Half precision on a GPU,
// and other releases of Pillow, move a few images in a thousand; a wrong tokenizer, prompt or preprocessing moves more.
const anchorTolerance = 0.3

// An anchor is a published zero-shot accuracy.
type anchor struct {
	Dataset   string   `json:"dataset"`
	Classes   string   `json:"classes"`
	Published float64  `json:"published"`
	Source    string   `json:"source"`
	Accuracy  *float64 `json:"accuracy"` // null where it could not be measured
	Images    int      `json:"images,omitempty"`
	// Verdict is agrees, differs, missing, other images or failed.
	Verdict string `json:"verdict"`
	Why     string `json:"why,omitempty"`
}

// anchorResult is the last line of -json.
type anchorResult struct {
	Kind      string   `json:"kind"`
	Agrees    bool     `json:"agrees"` // all that could be measured do, and something could
	Backbone  string   `json:"backbone"`
	Digest    string   `json:"digest"`
	Tolerance float64  `json:"tolerance"`
	Anchors   []anchor `json:"anchors"`
	Device    string   `json:"device"`
	Program   string   `json:"program"`
}

// tipAnchors are the zero-shot accuracies of RN50 in the log of Tip-Adapter's repository, by one prompt a class. Its
// ImageNet is of seven prompts, and so is left out.
var tipAnchors = map[string]float64{"sun397": 58.52, "oxford_pets": 85.83, "eurosat": 37.52, "caltech101": 85.92, "dtd": 42.20, "fgvc_aircraft": 17.10,
	"food101": 77.32, "oxford_flowers": 66.02, "ucf101": 61.35, "stanford_cars": 55.74}

// anchorsOf are those of a backbone, by the names that OpenAI's have.
func anchorsOf(backbone string, baseToNew bool) (all []anchor, err error) {
	add := func(table, source string, row []string, column, dataset, classes string) {
		s, e := paper.Published(table)
		if e != nil {
			err = e
			return
		}
		if f, ok := s.Figure(row, column); ok {
			all = append(all, anchor{Dataset: dataset, Classes: classes, Published: f.Mean, Source: source})
		}
	}
	add("table10", "R-AMT, Table 10", []string{"zero-shot"}, backbone, "imagenet", "all")
	switch backbone {
	case "RN50":
		for _, name := range datasets.Names() {
			if v, ok := tipAnchors[name]; ok {
				all = append(all, anchor{Dataset: name, Classes: "all", Published: v, Source: "Tip-Adapter's log"})
			}
		}
	case "ViT-B/16":
		for _, name := range datasets.Names() {
			switch name {
			case "imagenet":
			case "imagenetv2", "imagenet_sketch":
				add("table02", "R-AMT, Table 2", []string{"zero-shot"}, name, name, "all")
			default:
				add("table03", "R-AMT, Table 3", []string{"zero-shot"}, name, name, "all")
			}
		}
		for _, name := range datasets.Names() {
			for _, half := range []string{"base", "new"} {
				if baseToNew {
					add("table16", "CoCoOp, R-AMT's Table 16", []string{name, "zero-shot"}, half, name, half)
				}
			}
		}
	}
	return all, err
}

// anchors measures the zero-shot accuracies that are published.
func (f *trainFlags) anchors(ctx context.Context, u *ui, baseToNew bool) error {
	if err := f.loader.validate(); err != nil {
		return err
	}
	wanted := strings.FieldsFunc(f.data.name, func(r rune) bool { return r == ',' })
	for i, name := range wanted {
		spec, ok := datasets.Lookup(name)
		if !ok {
			return usagef("-dataset %s: there is no published accuracy of it", name)
		}
		wanted[i] = spec.Name
	}
	if f.model.Pillow == 0 {
		f.model.Pillow = clip.OldPillow // that of the publications
	}
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	m, err := f.model.open(ctx, dev, u)
	if err != nil {
		return err
	}
	r := &anchorResult{Kind: "result", Backbone: m.Arch.Name(), Digest: m.Digest, Tolerance: anchorTolerance, Device: dev.Describe(), Program: version()}
	all, err := anchorsOf(r.Backbone, baseToNew)
	if err != nil {
		return err
	}
	switch {
	case len(all) == 0:
		return fmt.Errorf("%s is %s, of which no zero-shot accuracies are known here; there are those of OpenAI's RN50, RN101, ViT-B/16 and ViT-B/32", m.Name, r.Backbone)
	case m.Activation != tensor.QuickGELU && !strings.HasPrefix(r.Backbone, "RN"):
		return fmt.Errorf("%s has the activation %v, and the published accuracies are of OpenAI's weights, which have quickgelu", m.Name, m.Activation)
	}
	if len(wanted) > 0 {
		all = slices.DeleteFunc(all, func(a anchor) bool { return !slices.Contains(wanted, a.Dataset) })
	}
	return f.measure(ctx, u, dev, m, r, all)
}

// measure measures what anchors say, and prints the two side by side.
func (f *trainFlags) measure(ctx context.Context, u *ui, dev *tensor.Device, m *clip.Model, r *anchorResult, all []anchor) error {
	measured := false
	for _, a := range all {
		if err := f.anchor(ctx, u, dev, m, &a); err != nil {
			return err
		}
		measured = measured || a.Verdict != "missing"
		r.Anchors = append(r.Anchors, a)
		if err := u.Event(struct {
			Kind string `json:"kind"`
			anchor
		}{"anchor", a}); err != nil {
			return err
		}
	}
	r.Agrees = measured && !slices.ContainsFunc(r.Anchors, func(a anchor) bool { return a.Verdict != "agrees" && a.Verdict != "missing" })
	if err := u.result(r, r.print); err != nil {
		return err
	}
	switch {
	case !measured:
		return fmt.Errorf("none of the data sets is in %s; fewshot data check says what belongs there", quote.Plain(f.data.root))
	case !r.Agrees:
		return errors.New("not all zero-shot accuracies are the published ones")
	}
	return nil
}

// anchor measures one, and gives its verdict. What is wrong with a data set is a verdict; what is wrong with the device
// or the model, an error.
func (f *trainFlags) anchor(ctx context.Context, u *ui, dev *tensor.Device, m *clip.Model, a *anchor) error {
	ds, err := openDataset(ctx, f.data.root, a.Dataset, datasets.Options{})
	if err == nil {
		err = ds.CanTest()
	}
	if err != nil {
		a.Verdict, a.Why = "failed", err.Error()
		if errors.Is(err, fs.ErrNotExist) {
			a.Verdict = "missing"
		}
		return nil
	}
	spec, _ := datasets.Lookup(a.Dataset)
	why := fmt.Sprintf("%d test images of %d classes, and published are %d of %d", len(ds.Test), len(ds.Classes), spec.Counts.Test, spec.Counts.Classes)
	part, err := ds.Subset(a.Classes)
	if err != nil {
		return err
	}
	request := run.Request{Dev: dev, Model: m, Data: part, Templates: []string{ds.Template}, Loader: f.loader.Loader, UI: u}
	job, release := request.Job(false)
	defer release()
	head, err := job.Head(ctx)
	if err != nil {
		return err
	}
	images := f.loader.InOrder(dev, u, m, part, part.Test, true)
	defer images.Close()
	got, err := run.Evaluate(ctx, u, a.Dataset, dev, train.Model{Encoder: m.Image, Head: head}, images)
	var broken *datasets.Error
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case errors.As(err, &broken): // an image
		a.Verdict, a.Why = "failed", err.Error()
		return nil
	case err != nil:
		return err
	}
	a.Accuracy, a.Images = &got.Accuracy, got.Images
	if a.Verdict = verdict(len(ds.Test), len(ds.Classes), spec, got.Accuracy, a.Published); a.Verdict == "other images" {
		a.Why = why
	}
	return nil
}

// verdict of an accuracy on so many test images of so many classes.
func verdict(images, classes int, of datasets.Spec, got, published float64) string {
	switch {
	case images != of.Counts.Test || classes != of.Counts.Classes:
		return "other images"
	case math.Abs(got-published) <= anchorTolerance+1e-9:
		return "agrees"
	}
	return "differs"
}

func (r *anchorResult) print(w io.Writer) {
	fmt.Fprintf(w, "zero-shot %s beside the published accuracies, tolerance %.1f points\n", r.Backbone, r.Tolerance)
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "data set\tclasses\tpublished\there\tdifference\t\tfrom")
	for _, a := range r.Anchors {
		here, difference := "–", ""
		if a.Accuracy != nil {
			here, difference = fmt.Sprintf("%.2f", *a.Accuracy), fmt.Sprintf("%+.2f", *a.Accuracy-a.Published)
		}
		fmt.Fprintf(t, "%s\t%s\t%.2f\t%s\t%s\t%s\t%s\n", a.Dataset, a.Classes, a.Published, here, difference, a.Verdict, a.Source)
	}
	t.Flush()
	missing := false
	for _, a := range r.Anchors {
		switch {
		case a.Verdict == "missing":
			missing = true
		case a.Why != "" && a.Classes == "all":
			fmt.Fprintf(w, "  %s: %s\n", a.Dataset, strings.Split(a.Why, "\n")[0])
		}
	}
	if missing {
		fmt.Fprintln(w, "  missing: fewshot data check -dataset NAME says what belongs where")
	}
}
