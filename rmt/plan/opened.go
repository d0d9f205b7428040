package plan

import (
	"cmp"
	"context"
	"fmt"
	"slices"

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
	split   string // its hash
}

// mostSets is how many data sets are kept open: that of the runs at hand, and what they are further tested on.
const mostSets = 4

// enter gives up what the runs before had in common, and this one has not with them.
func (x *executor) enter(r *Run) {
	was := x.scope
	if x.scope = r.scope(); x.scope == was {
		return
	}
	if x.scope.data == was.data {
		if x.shared != nil {
			x.shared.NextSample()
		}
		return
	}
	tested := func(name string) bool {
		return slices.ContainsFunc(r.Evaluate, func(e Evaluation) bool { return e.Data == name })
	}
	x.sets = slices.DeleteFunc(x.sets, func(s openSet) bool { return s.name != r.Data.Name && !tested(s.name) })
	switch elsewhere := func(e Evaluation) bool { return e.Data != r.Data.Name }; {
	case x.shared == nil:
	case slices.ContainsFunc(r.Evaluate, elsewhere): // on sets that the runs before may have been tested on, too
		x.shared.NextSample()
	default:
		x.shared.NextDataset()
	}
}

// openModel gives the model with parameters of its own, for one run to change.
func (x *executor) openModel(m Model) (*clip.Model, error) {
	if p := m.Precision; p != "" && p != x.Dev.Precision() || p == "" && x.Dev.Precision() != "float32" {
		return nil, fmt.Errorf("the run is to be computed in %s, and the device was opened for %s: give another -precision", quote.Plain(cmp.Or(p, "float32")), x.Dev.Precision())
	}
	if x.open == nil || x.model != m {
		x.closeModel()
		open, err := x.Opener.Model(x.ctx, m)
		if err != nil {
			return nil, err
		}
		x.model, x.open, x.shared = m, open, run.NewShared(open, x.Shared)
	}
	if m.Digest != "" && m.Digest != x.open.Digest {
		return nil, fmt.Errorf("%s has weights of digest %s; the plan was made for those of %s", quote.Plain(m.Name), x.open.Digest, m.Digest)
	}
	return x.open.Share(), nil
}

func (x *executor) closeModel() {
	if x.shared != nil {
		x.shared.Close()
	}
	x.open, x.shared = nil, nil
}

// forget opens everything anew for the next run, as nobody knows in what state a failed one left it.
func (x *executor) forget() {
	x.closeModel()
	x.sets = nil
}

// whole opens a data set, or takes it from those that are open.
func (x *executor) whole(name string, r Reading, split string) (*datasets.Dataset, error) {
	var s openSet
	if at := slices.IndexFunc(x.sets, func(s openSet) bool { return s.name == name && s.reading == r }); at >= 0 {
		s = x.sets[at]
		x.sets = slices.Delete(x.sets, at, at+1)
	} else {
		ds, err := x.Opener.Dataset(x.ctx, name, r)
		if err != nil {
			return nil, err
		}
		s = openSet{name, r, ds, ds.SplitHash()}
	}
	if x.sets = append(x.sets, s); len(x.sets) > mostSets {
		x.sets = slices.Delete(x.sets, 0, 1) // which leaves no reference behind, as a slice of the rest would
	}
	if split != "" && split != s.split {
		return nil, fmt.Errorf("%s is another data set than the plan was made for: its split's SHA-256 is %s, in the plan it is %s", quote.Plain(name), s.split, split)
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
