package main

import (
	"context"
	"fmt"
	"io"

	"fewshot/datasets"
	"fewshot/nn/words"
	"fewshot/rmt/clip"
	"fewshot/rmt/run"
	"fewshot/tensor"
)

// predictSettings determine the rows, whatever the images: those that an output file is gone on with must be these.
type predictSettings struct {
	Model       clip.Spec       `json:"model"`
	Compute     run.ComputeSpec `json:"compute"`
	Mask        string          `json:"mask_sha256,omitempty"`
	Tuned       string          `json:"tuned_sha256,omitempty"`
	Spec        string          `json:"spec_sha256,omitempty"` // of the run that wrote the last of these
	Classes     []string        `json:"classes"`
	Templates   []string        `json:"templates"`
	Prompts     string          `json:"prompts_sha256"`
	Instead     string          `json:"instead_of_prompts,omitempty"` // a learned context, say; there are no templates and prompts then
	Format      string          `json:"format"`
	Top         int             `json:"top"`
	Batch       int             `json:"batch_size"`
	Temperature float64         `json:"temperature"`
	Calibration *calibration    `json:"calibration,omitempty"`
}

func (f *predictFlags) settings(dev *tensor.Device, m *clip.Model, l *run.Loaded, ds *datasets.Dataset, templates []string) (*predictSettings, error) {
	spec, err := m.Spec()
	if err != nil {
		return nil, err
	}
	s := &predictSettings{Model: spec, Compute: run.ComputeOf(dev), Classes: ds.Classes, Templates: templates, Prompts: ds.PromptsHash(),
		Format: f.format, Top: min(f.top, len(ds.Classes)), Batch: f.batch, Temperature: f.temperature}
	if s.Instead, err = l.Instead(ds.Classes); err != nil {
		return nil, err
	}
	if s.Instead != "" { // templates have no part in the rows then
		s.Templates, s.Prompts = []string{}, "none"
	}
	if l.Mask != nil {
		s.Mask = l.Mask.Sum
	}
	if l.Tuned != nil {
		s.Tuned = l.Tuned.Sum
	}
	if trained, _ := l.Trained(); trained != nil {
		s.Spec = trained.Hash()
	}
	return s, nil
}

// classes are a data set of the classes, and of the name of the training's data where they are the training's.
func (f *predictFlags) classes(ctx context.Context, u *ui, l *run.Loaded) (*datasets.Dataset, error) {
	spec, names := l.Trained()
	title := ""
	switch {
	case f.data.name != "":
		ds, err := f.data.whole(ctx)
		if err != nil {
			return nil, err
		}
		u.about(ds)
		return ds.Subset(f.data.classes)
	case f.data.classes != "all":
		return nil, usagef("-classes %s takes a part of a data set's classes: give -dataset", f.data.classes)
	case f.classesFile != "":
		var err error
		if names, err = datasets.ReadClassNames(f.classesFile); err != nil {
			return nil, err
		}
		if spec != nil && f.data.templates == nil && f.data.templateFile == "" && f.data.prompts == "" {
			title = spec.Data.Title // and of its prompts
		}
	case names == nil:
		return nil, usagef("the mask does not say what its classes are: give -classes-file, or the -dataset of the training")
	default:
		title = spec.Data.Title
	}
	if _, err := f.data.options(); err != nil { // reads the file of templates
		return nil, err
	}
	ds, err := datasets.OfClasses(title, names)
	if err != nil || f.data.prompts == "" {
		return ds, err
	}
	return ds.WithPrompts(f.data.prompts)
}

// templates are the prompts: those given, else those of the training, else the data set's.
func (f *predictFlags) templates(l *run.Loaded, ds *datasets.Dataset) ([]string, error) {
	templates, err := l.Templates(ds, f.data.templates, f.force)
	if err == nil {
		err = l.Prompts(ds, f.force)
	}
	return templates, err
}

// predictResult is the last line of -json.
type predictResult struct {
	Kind        string       `json:"kind"`
	Model       string       `json:"model"`
	Mask        string       `json:"mask,omitempty"`
	Tuned       string       `json:"tuned,omitempty"`
	NumClass    int          `json:"num_classes"`
	Out         string       `json:"out,omitempty"`
	Format      string       `json:"format"`
	Images      int          `json:"images"`  // rows, those of processes before among them
	Failed      int          `json:"failed"`  // of these, without a prediction
	Resumed     int          `json:"resumed"` // rows of processes before
	Temperature float64      `json:"temperature"`
	Calibration *calibration `json:"calibration,omitempty"`
	Forced      []string     `json:"forced,omitempty"`
	Rate        float64      `json:"images_per_second"`
	Seconds     float64      `json:"seconds"`
	Device      string       `json:"device"`
	Program     string       `json:"program"`
}

func (r *predictResult) print(w io.Writer) {
	fmt.Fprintf(w, "%s, %s", words.Count(r.Images, "image"), words.Count(r.NumClass, "class"))
	switch {
	case r.Resumed > 0 && r.Resumed == r.Images:
		fmt.Fprint(w, ", all of them before")
	case r.Resumed > 0:
		fmt.Fprintf(w, ", %.1f images/s, %d of them before", r.Rate, r.Resumed)
	default:
		fmt.Fprintf(w, ", %.1f images/s", r.Rate)
	}
	if r.Failed > 0 {
		fmt.Fprintf(w, ", %d without a prediction", r.Failed)
	}
	if r.Out != "" {
		fmt.Fprintf(w, ": %s", r.Out)
	}
	fmt.Fprintln(w)
}
