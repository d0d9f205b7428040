package plan

import (
	"context"
	"fmt"

	"fewshot/datasets"
	"fewshot/nn/quote"
	"fewshot/rmt/clip"
	"fewshot/rmt/run"
)

// Opener opens what a run names. What it opens is used for several runs, and belongs to the plan until [Execute] returns.
type Opener interface {
	// Model opens a CLIP on the device of the execution.
	Model(ctx context.Context, m Model) (*clip.Model, error)
	// Dataset opens a whole data set, with all its images and classes, and its own templates.
	Dataset(ctx context.Context, name string, r Reading) (*datasets.Dataset, error)
}

type openSet struct {
	name    string
	reading Reading
	ds      *datasets.Dataset
}

// mostSets is how many data sets are kept open: that of the runs at hand, and what they are further tested on.
const mostSets = 4

// openModel gives the model with parameters of its own, for one run to change.
func (x *executor) openModel(m Model) (*clip.Model, error) {
	if p := m.Precision; p != "" && p != x.Dev.Precision() || p == "" && x.Dev.Precision() != "float32" {
		return nil, fmt.Errorf("the run is to be computed in %s, and the device was opened for %s: give another -precision", quote.Plain(or(p, "float32")), x.Dev.Precision())
	}
	if x.open == nil || x.model != m {
		x.closeModel()
		open, err := x.Opener.Model(x.ctx, m)
		if err != nil {
			return nil, err
		}
		x.model, x.open, x.shared = m, open, run.NewShared(open, sharedBytes)
	}
	if m.Digest != "" && m.Digest != x.open.Digest {
		return nil, fmt.Errorf("%s has weights of digest %s; the plan was made for those of %s", quote.Plain(m.Name), x.open.Digest, m.Digest)
	}
	return x.open.Share(), nil
}

// sharedBytes is how much memory features of images may take that several runs have in common: those of a few passes over the training
// images and of the test images of the largest data set by the usual models.
const sharedBytes = 512 << 20

func (x *executor) closeModel() {
	if x.shared != nil {
		x.shared.Close()
	}
	x.open, x.shared = nil, nil
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

// forget opens everything anew for the next run, as nobody knows in what state a failed one left it.
func (x *executor) forget() {
	x.closeModel()
	x.sets = nil
}

// whole opens a data set, or takes it from those that are open.
func (x *executor) whole(name string, r Reading, split string) (*datasets.Dataset, error) {
	at := -1
	for i, s := range x.sets {
		if s.name == name && s.reading == r {
			at = i
		}
	}
	var s openSet
	if at >= 0 {
		s = x.sets[at]
		x.sets = append(x.sets[:at], x.sets[at+1:]...)
	} else {
		ds, err := x.Opener.Dataset(x.ctx, name, r)
		if err != nil {
			return nil, err
		}
		s = openSet{name, r, ds}
	}
	if x.sets = append(x.sets, s); len(x.sets) > mostSets {
		x.sets = x.sets[1:]
	}
	if is := s.ds.SplitHash(); split != "" && split != is {
		return nil, fmt.Errorf("%s is another data set than the plan was made for: its split's SHA-256 is %s, in the plan it is %s", quote.Plain(name), is, split)
	}
	return s.ds, nil
}

// data opens what a run is trained and tested on.
func (x *executor) data(r *Run) (*datasets.Dataset, error) {
	ds, err := x.whole(r.Data.Name, r.Data.Reading, r.Data.Split)
	if err != nil {
		return nil, err
	}
	return r.Take(ds)
}

// Take takes what the run is trained and tested on out of the whole data set.
func (r *Run) Take(ds *datasets.Dataset) (_ *datasets.Dataset, err error) {
	if r.Data.Templates != nil {
		if ds, err = ds.WithTemplates(r.Data.Templates...); err != nil {
			return nil, err
		}
	}
	if ds, err = r.Data.prompts(ds); err != nil {
		return nil, err
	}
	if r.Method != ZeroShot {
		if err := ds.CanTrain(); err != nil {
			return nil, err
		}
		if ds, err = r.Data.draw(ds); err != nil {
			return nil, err
		}
	}
	if ds, err = ds.Subset(r.Data.Classes); err != nil || r.Method == ZeroShot {
		return ds, err
	}
	return ds, ds.CanTrain()
}

// Templates are the prompts to use on the run's data set.
func (r *Run) Templates(ds *datasets.Dataset) []string {
	if r.Data.Templates != nil {
		return r.Data.Templates
	}
	return []string{ds.Template}
}

// prompts gives a data set the prompts that its classes have for themselves, if there are such.
func (d *Data) prompts(ds *datasets.Dataset) (*datasets.Dataset, error) {
	if d.Prompts == nil {
		return ds, nil
	}
	if err := d.Prompts.check(); err != nil {
		return nil, err
	}
	return ds.WithPrompts(d.Prompts.Path)
}

// draw takes the training images.
func (d *Data) draw(ds *datasets.Dataset) (*datasets.Dataset, error) {
	if d.Sample == OfProbe {
		return ds.FewShotOfProbe(d.Shots, d.Seed)
	}
	return ds.FewShot(d.Shots, d.Seed)
}
