package plan

import (
	"flag"
	"fmt"
	"maps"

	"fewshot/datasets"
	"fewshot/nn/quote"
	"fewshot/rmt/method"
	"fewshot/rmt/run"
)

// Grid is the product of its lists.
type Grid struct {
	Methods  []string
	Settings []map[string]string // each set is a run of its own; nil for one without settings
	// SettingsOf are those of one method besides.
	SettingsOf map[string][]map[string]string
	Models     []Model
	Data       []string
	Shots      []int
	Seeds      []uint64
	Classes    []string // nil for all
	Templates  []string // nil for the data set's own
	Reading    Reading
	// Select is by what methods choose their epochs and settings, by the methods' names; those without, and those below, have no choice.
	Select map[string]*run.Selection
	// Prompts are each class's own, in place of Templates.
	Prompts *PromptsFile
	Sample  string // see [Data]
	// Below are methods of masks under whose results of the same data the others are trained, but for methods of masks themselves; "" for
	// none. nil is no masks.
	Below []string
	// BelowSettings are those of the masks below.
	BelowSettings map[string]string
	Mask          *MaskFile    // that all are trained under
	Evaluate      []Evaluation // of each result; without Data, on the run's own
	// Resolve completes a model and a data set by what is found when they are opened: digests. nil leaves that to be checked.
	Resolve Resolver
}

// Resolver finds the digests of what is opened.
type Resolver interface {
	ModelDigest(Model) (string, error)
	SplitHash(name string, r Reading) (string, error)
}

// Plan is the list of all runs of the grid, masks below first.
func (g Grid) Plan() (*Plan, error) {
	runs, err := g.Runs()
	if err != nil {
		return nil, err
	}
	return New(runs)
}

// Runs are those of the grid, each before those trained under its mask.
func (g Grid) Runs() ([]Run, error) {
	classes, below := g.Classes, g.Below
	if classes == nil {
		classes = []string{"all"}
	}
	if below == nil {
		below = []string{""}
	}
	var all []Run
	for _, model := range g.Models {
		for _, name := range g.Data {
			m, d, err := g.resolve(model, name)
			if err != nil {
				return nil, err
			}
			for _, c := range classes {
				for _, shots := range g.Shots {
					for _, seed := range g.Seeds {
						d.Classes, d.Shots, d.Seed = c, shots, seed
						for _, under := range below {
							runs, err := g.onSample(m, d, under)
							if err != nil {
								return nil, err
							}
							all = append(all, runs...)
						}
					}
				}
			}
		}
	}
	return all, nil
}

// onSample are the runs of all methods on one sample, as they are or under the mask of the method below, whose run comes first.
func (g Grid) onSample(m Model, d Data, below string) (all []Run, err error) {
	mask := ""
	if below != "" {
		r := Run{Method: below, Settings: g.BelowSettings, Model: m, Data: d}
		if err := r.Settle(); err != nil {
			return nil, err
		}
		all, mask = append(all, r), r.ID()
	}
	for _, name := range g.Methods {
		if below != "" && leavesMask(name) { // which needs the weights as they are
			continue
		}
		for _, s := range g.settingsOf(name) {
			r := Run{Method: name, Settings: s, Select: g.Select[name], Model: m, Data: d, Below: mask, Mask: g.Mask}
			if name == ZeroShot {
				r.Settings, r.Select, r.Below, r.Mask, r.Data.Shots, r.Data.Sample, r.Data.Seed = nil, nil, "", nil, 0, "", 0
			}
			if err := r.Settle(); err != nil {
				return nil, err
			}
			more, err := g.evaluations(&r)
			if err != nil {
				return nil, err
			}
			all = append(all, r.With(more...))
		}
	}
	return all, nil
}

// settingsOf are all sets of settings that a method runs with.
func (g Grid) settingsOf(name string) []map[string]string {
	all, own := g.Settings, g.SettingsOf[name]
	if len(all) == 0 {
		all = []map[string]string{nil}
	}
	if len(own) == 0 || name == ZeroShot {
		return all
	}
	var both []map[string]string
	for _, a := range all {
		for _, b := range own {
			m := maps.Clone(b)
			for k, v := range a {
				if _, given := m[k]; !given {
					m[k] = v
				}
			}
			both = append(both, m)
		}
	}
	return both
}

// evaluations are those of a run, without the one that its result is.
func (g Grid) evaluations(r *Run) ([]Evaluation, error) {
	var all []Evaluation
	for _, e := range g.Evaluate {
		if e.Data == "" || e.Data == r.Data.Name {
			e.Data, e.Split = r.Data.Name, r.Data.Split
			if e.Classes == r.Data.Classes && e.Templates == nil {
				continue
			}
		} else if _, d, err := g.resolve(r.Model, e.Data); err != nil {
			return nil, err
		} else {
			e.Data, e.Split = d.Name, d.Split
		}
		all = append(all, e)
	}
	return all, nil
}

// resolve asks for what is known of a model and a data set.
func (g Grid) resolve(m Model, name string) (Model, Data, error) {
	d := Data{Name: name, Templates: g.Templates, Prompts: g.Prompts, Sample: g.Sample, Reading: g.Reading}
	if spec, ok := datasets.Lookup(name); ok {
		d.Name = spec.Name
	}
	if g.Resolve == nil {
		return m, d, nil
	}
	var err error
	if m.Digest == "" {
		if m.Digest, err = g.Resolve.ModelDigest(m); err != nil {
			return m, d, err
		}
	}
	d.Split, err = g.Resolve.SplitHash(d.Name, d.Reading)
	return m, d, err
}

// Settle brings the settings into their one form, so that equal runs have equal ids: numbers as their flags write them, and without
// those that say what is the default for the data. It refuses settings that the method does not have or cannot take.
func (r *Run) Settle() error {
	if r.Data.Classes == "" {
		r.Data.Classes = "all"
	}
	if err := r.Check(); err != nil || r.Method == ZeroShot {
		return err
	}
	if len(r.Settings) == 0 {
		_, err := r.variants()
		return err
	}
	s, err := r.defaults()
	if err != nil {
		return err
	}
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	s.Declare(fs)
	settled := map[string]string{}
	for _, name := range method.Order(s, r.Settings) {
		f := fs.Lookup(name)
		if f == nil {
			return fmt.Errorf("%s has no setting %s", r.Method, quote.Plain(name))
		}
		was, given := f.Value.String(), r.Settings[name]
		if err := f.Value.Set(given); err != nil {
			return fmt.Errorf("%s %s: %v", name, quote.Plain(given), err)
		}
		is := f.Value.String()
		switch {
		case is == "" || f.Value.Set(is) != nil || f.Value.String() != is: // flags that do not say what they hold
			settled[name] = given
		case is != was || name == "recipe" && is != "paper":
			settled[name] = is
		}
	}
	if r.Settings = settled; len(settled) == 0 {
		r.Settings = nil
	}
	if _, err = r.Chosen(); err == nil {
		_, err = r.variants()
	}
	return err
}

// defaults are the published settings for the run's data.
func (r *Run) defaults() (method.Settings, error) {
	m, err := lookup(r.Method)
	if err != nil {
		return nil, err
	}
	t := method.Task{Dataset: r.Data.Name, Shots: r.Data.Shots, BaseToNew: r.Data.Classes == "base", Recipe: r.Settings["recipe"]}
	if spec, ok := datasets.Lookup(r.Data.Name); ok {
		t.Dataset, t.Published = spec.Name, true
	}
	if t.Recipe == "" {
		t.Recipe = "paper"
	}
	return m.Defaults(t)
}

// Chosen are the settings: the published ones with those that were given.
func (r *Run) Chosen() (method.Settings, error) {
	s, err := r.defaults()
	if err != nil {
		return nil, err
	}
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	s.Declare(fs)
	for _, name := range method.Order(s, r.Settings) {
		if fs.Lookup(name) == nil {
			return nil, fmt.Errorf("%s has no setting %s", r.Method, quote.Plain(name))
		}
		if err := fs.Set(name, r.Settings[name]); err != nil {
			return nil, fmt.Errorf("%s %s: %v", name, quote.Plain(r.Settings[name]), err)
		}
	}
	return s, method.Check(s)
}
