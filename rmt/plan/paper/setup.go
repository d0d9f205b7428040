package paper

import (
	"flag"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"fewshot/rmt/method"
	"fewshot/rmt/plan"
	"fewshot/rmt/run"
)

// Setup is what a row of a table trains: the same for all seeds.
type Setup struct {
	Method   string // of ours, or zero-shot
	Settings map[string]string
	Set      string // data set of the paper
	Shots    int
	Base     bool   // on the base classes
	Backbone string // of Table 10; "" for the world's
	Ensemble bool   // seven prompts
	Below    string // method of masks under which it is trained; "" for none
}

// Test is what a setup is tested on.
type Test struct {
	Set     string // "" for the set it was trained on
	Classes string // "" for those it was trained on
}

// evaluation is a test as a plan has it; ok is false for the run's own.
func (o *Options) evaluation(t Test) (e plan.Evaluation, ok bool) {
	if t == (Test{}) {
		return e, false
	}
	e.Data, e.Classes = o.World.data(t.Set), t.Classes
	if e.Classes == "" {
		e.Classes = "all"
	}
	return e, true
}

// names are what rows are called, and the methods of ours that they are.
var names = map[string]struct{ title, method string }{
	"zero-shot": {"Zero-shot CLIP", plan.ZeroShot}, "linear-probe": {"Linear probe", "linear-probe"}, "coop": {"CoOp", "coop"},
	"cocoop": {"CoCoOp", "cocoop"}, "prograd": {"ProGrad", "prograd"}, "clip-adapter": {"CLIP-Adapter", "clip-adapter"},
	"tip": {"TIP-Adapter", "tip-adapter-f"}, "vpt-deep": {"VPT-deep", "vpt-deep"}, "upt": {"UPT", "upt"}, "plot": {"PLOT", "plot"},
	"finetune": {"Fine-tuning", "finetune"}, "amt": {"AMT", "amt"}, "r-amt": {"R-AMT", "r-amt"}, "r-mmt": {"R-MMT", "r-mmt"},
	"r-pmt": {"R-PMT", "r-pmt"}, "r-dmt": {"R-DMT", "r-dmt"}, "pmt": {"PMT", "pmt"},
}

// isMask reports whether a method learns masks.
func isMask(m string) bool {
	kind := strings.TrimPrefix(m, "r-")
	return slices.Contains([]string{"amt", "mmt", "pmt", "dmt"}, kind)
}

// cutStack takes a stack on a mask apart. (Names of methods end in + too.)
func cutStack(row string) (upper, lower string, stacked bool) {
	if i := strings.LastIndex(row, "+"); i > 0 && isMask(row[i+1:]) {
		return row[:i], row[i+1:], true
	}
	return row, "", false
}

// setup is that of a row, called as tip, or as tip+r-amt.
func (o *Options) setup(row, set string, shots int) Setup {
	upper, lower, stacked := cutStack(row)
	s := Setup{Method: names[upper].method, Set: set, Shots: shots}
	if s.Method == "" {
		s.Method = upper
	}
	if stacked {
		s.Below = lower
	}
	return s
}

// titleOf is a row's name for people.
func titleOf(row string) string {
	upper, lower, stacked := cutStack(row)
	t := names[upper].title
	if t == "" {
		t = upper
	}
	if stacked {
		t += " + " + titleOf(lower)
	}
	return t
}

// model is a setup's.
func (o *Options) model(s Setup) plan.Model {
	if s.Backbone != "" {
		return o.World.Backbones[s.Backbone]
	}
	return o.World.Model
}

// possible says why a setup cannot be trained in this world; "" where it can.
func (o *Options) possible(s Setup) string {
	if m, err := run.Lookup(s.Method); err == nil && (m.Validates || m.Peeks) && !o.World.validates(s.Set) {
		return fmt.Sprintf("%s chooses on validation images, and ImageNet has none but its test images: it is not trained here", s.Method)
	}
	return ""
}

// runs are a setup's with a seed: what it is trained under, then itself, last.
func (o *Options) runs(s Setup, seed uint64, tests ...plan.Evaluation) ([]plan.Run, error) {
	at := fmt.Sprint(s, seed) // maps are printed in order
	all, ok := o.made[at]
	if !ok {
		var err error
		if all, err = o.makeRuns(s, seed); err != nil {
			return nil, err
		}
		if o.made == nil {
			o.made = map[string][]plan.Run{}
		}
		o.made[at] = all
	}
	last := len(all) - 1
	return append(slices.Clone(all[:last]), all[last].With(tests...)), nil
}

func (o *Options) makeRuns(s Setup, seed uint64) ([]plan.Run, error) {
	r := plan.Run{Method: s.Method, Model: o.model(s), Data: plan.Data{Name: o.World.data(s.Set), Classes: "all", Shots: s.Shots, Seed: seed}}
	if s.Base {
		r.Data.Classes = "base"
	}
	if s.Ensemble {
		r.Data.Templates = o.World.ensemble()
	}
	if err := o.resolve(&r); err != nil {
		return nil, err
	}
	var all []plan.Run
	switch {
	case s.Method == plan.ZeroShot:
		r.Data.Shots, r.Data.Seed = 0, 0
	case s.Below != "":
		below := s
		below.Method, below.Below, below.Settings = s.Below, "", nil
		var err error
		if all, err = o.runs(below, seed); err != nil {
			return nil, err
		}
		r.Below = all[len(all)-1].ID()
		fallthrough
	default:
		r.Settings = o.settings(s)
	}
	if err := r.Settle(); err != nil {
		return nil, fmt.Errorf("%s on %s: %w", s.Method, s.Set, err)
	}
	return append(all, r), nil
}

// resolve asks for the digests of what a run names, once each.
func (o *Options) resolve(r *plan.Run) (err error) {
	if o.World.Resolve == nil {
		return nil
	}
	if o.digests == nil {
		o.digests, o.splits = map[plan.Model]string{}, map[string]string{}
	}
	digest, ok := o.digests[r.Model]
	if !ok {
		if digest, err = o.World.Resolve.ModelDigest(r.Model); err != nil {
			return err
		}
		o.digests[r.Model] = digest
	}
	split, ok := o.splits[r.Data.Name]
	if !ok {
		if split, err = o.World.Resolve.SplitHash(r.Data.Name, r.Data.Reading); err != nil {
			return err
		}
		o.splits[r.Data.Name] = split
	}
	r.Model.Digest, r.Data.Split = digest, split
	return nil
}

// depths are the settings that say how many layers have prompts of their own.
var depths = map[string][]string{"maple": {"depth"}, "promptsrc": {"image-depth", "text-depth"}}

// settings are a setup's own, with what the world and a budget of images change.
func (o *Options) settings(s Setup) map[string]string {
	all := map[string]string{}
	if o.World.Synthetic && isMask(s.Method) {
		all = o.World.synthMasks(s.Method, s.Set, s.Shots, s.Base, o.Budget)
	}
	if n := o.World.Layers; n > 0 {
		for _, name := range depths[s.Method] {
			all[name] = strconv.Itoa(n)
		}
	}
	if !o.World.Synthetic || !isMask(s.Method) {
		maps.Copy(all, o.cut(s, all))
	}
	maps.Copy(all, s.Settings)
	if len(all) == 0 {
		return nil
	}
	return all
}

// cut is how many epochs or steps a setup may have within the budget of images, where it has more by its settings.
func (o *Options) cut(s Setup, settings map[string]string) map[string]string {
	m, err := run.Lookup(s.Method)
	if err != nil || o.Budget == 0 {
		return nil
	}
	d, err := m.Defaults(method.Task{Dataset: o.World.data(s.Set), Published: !o.World.Synthetic, Shots: s.Shots, BaseToNew: s.Base, Recipe: "paper"})
	if err != nil {
		return nil
	}
	fs := flag.NewFlagSet("", flag.ContinueOnError)
	d.Declare(fs)
	number := func(name string) int {
		text, given := settings[name]
		if f := fs.Lookup(name); f != nil && !given {
			text = f.Value.String()
		}
		n, _ := strconv.Atoi(text)
		return n
	}
	images := o.World.trains(s.Set, s.Shots, s.Base)
	// Two epochs at least: in the first, warmed up, next to nothing is learned.
	if n := max(o.Budget/max(images, 1), 2); number("epochs") > n {
		if _, features := featuresOnly[s.Method]; !features {
			return map[string]string{"epochs": strconv.Itoa(n)}
		}
	}
	if n := max(o.Budget/max(number("batch-size"), 1), 1); number("iterations") > n && fs.Lookup("batch-size") != nil && s.Method != "plot" && s.Method != "plot++" {
		return map[string]string{"iterations": strconv.Itoa(n)}
	}
	return nil
}

// featuresOnly are the methods whose epochs are passes over features, which cost nothing beside the encoder's.
var featuresOnly = map[string]struct{}{"lp++": {}}
