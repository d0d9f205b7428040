package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strconv"
	"strings"

	"fewshot/datasets"
	"fewshot/nn/quote"
	"fewshot/nn/words"
	"fewshot/rmt/clip"
	"fewshot/rmt/plan"
	"fewshot/rmt/run"
)

var planCommand = command{
	example: `fewshot plan -methods zero-shot,r-amt,tip-adapter -datasets synth:things,synth:letters -seeds 1,2,3 -out plan.jsonl
fewshot plan -methods tip-adapter -below none,r-amt -datasets dtd,eurosat -model ViT-B/16 -data DATA -seeds 1,2,3`,
	name: "plan", summary: "list the runs of a comparison, for run and collect",
	about: `Writes the product of methods, settings, models, data sets, classes, shots and seeds as a plan: JSON lines, one a run,
whose id is the hash of what determines its result. Models and data sets are opened, so that the plan is of these weights
and splits and no others; -open=false leaves that to run. -below trains every method under the mask of another one as well,
-test-classes and -test-datasets test each result further.`,
	setup: setupPlan,
}

// planFlags are a grid.
type planFlags struct {
	methods, data, shots, seeds, classes, below string
	models                                      []string
	model                                       modelFlags
	sets, belowSets                             settingLists
	setsOf                                      map[string]*settingLists // by method
	prompts                                     dataFlags                // -template
	reading                                     plan.Reading
	mask, precision                             string
	choose                                      []string // as -select
	grids                                       grid     // of all methods
	gridsOf                                     map[string]*grid
	testClasses, testData                       string
	root                                        string
	open                                        bool
	out                                         string
}

// settingLists are the values that settings take.
type settingLists struct {
	names  []string
	values map[string][]string
}

// add takes NAME=VALUE.
func (l *settingLists) add(s string) error {
	name, value, ok := strings.Cut(s, "=")
	if !ok || name == "" {
		return fmt.Errorf("want NAME=VALUE, NAME a flag of the method")
	}
	if l.values == nil {
		l.values = map[string][]string{}
	}
	if l.values[name] == nil {
		l.names = append(l.names, name)
	}
	l.values[name] = append(l.values[name], value)
	return nil
}

// product is every choice of one value a setting; one choice, of nothing, without settings.
func (l *settingLists) product() []map[string]string {
	all := []map[string]string{nil}
	for _, name := range l.names {
		var more []map[string]string
		for _, m := range all {
			for _, v := range l.values[name] {
				with := map[string]string{name: v}
				for k, old := range m {
					with[k] = old
				}
				more = append(more, with)
			}
		}
		all = more
	}
	return all
}

func setupPlan(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var f planFlags
	f.declare(fs)
	fs.StringVar(&f.out, "out", "plan.jsonl", "`file` for the plan, - for standard output")
	force := fs.Bool("force", false, "replace another plan in -out")
	return func(ctx context.Context, u *ui, args []string) error {
		if len(args) > 0 {
			return usagef("unexpected argument %q", args[0])
		}
		g, err := f.grid(ctx, u)
		if err != nil {
			return err
		}
		p, err := g.Plan()
		if err != nil {
			return usagef("%v", err)
		}
		return writePlan(u, p, f.out, *force, "-force replaces it, or give another -out")
	}
}

func (f *planFlags) declare(fs *flag.FlagSet) {
	fs.StringVar(&f.methods, "methods", defaultMethod, "comma-separated methods: "+plan.ZeroShot+", "+methodNames())
	fs.StringVar(&f.data, "datasets", "", "comma-separated data sets, folders or synth:TASK, as train's -dataset")
	fs.StringVar(&f.shots, "shots", "16", "comma-separated numbers of labelled images per class; 0 for all")
	fs.StringVar(&f.seeds, "seeds", "1", "comma-separated seeds")
	fs.StringVar(&f.classes, "classes", "all", "comma-separated classes to train on: all, base, new")
	fs.Func("model", "CLIP `checkpoint`, as train's -model; again for several (default embedded)", func(s string) error {
		f.models = append(f.models, s)
		return nil
	})
	fs.StringVar(&f.model.Activation, "activation", "", "quickgelu or gelu, where the checkpoints do not say")
	fs.StringVar(&f.model.Heads, "heads", "", "attention heads, where the checkpoints do not say")
	fs.IntVar(&f.model.Pillow, "pillow", 0, "major `version` of Pillow whose resize is reproduced: 13, or 12 (default 13)")
	f.model.declareEnsemble(fs)
	fs.IntVar(&f.model.ImageSize, "image-size", 0, "side of the images that the encoder gets, in `pixels` (default: that of the checkpoint)")
	fs.StringVar(&f.precision, "precision", "float32", "number format that the runs are computed in: float32 or bf16")
	f.model.declareOffline(fs)
	fs.Func("set", "`NAME=VALUE`: a setting of the methods, as their flag of train, or METHOD:NAME=VALUE of one of them; again with the same name for one run a value", f.set)
	fs.Func("select", "val: choose each run's epoch by the accuracy on validation images; `METHOD:val` for one method, again for several", func(s string) error {
		f.choose = append(f.choose, s)
		return nil
	})
	fs.Func("grid", "choose settings by validation images too, as `lr=1e-3,1e-4`, or METHOD:lr=1e-3,1e-4 of one method; of several, all combinations", f.axis)
	fs.StringVar(&f.below, "below", "", "comma-separated methods of masks; each method is trained under the mask of each on the same data, none for without")
	fs.Func("below-set", "`NAME=VALUE`: a setting of the methods below", f.belowSets.add)
	fs.StringVar(&f.mask, "mask", "", "mask `file`, or the folder of its run, that all are trained under")
	f.prompts.declareTemplates(fs)
	fs.StringVar(&f.prompts.prompts, "class-prompts", "", "JSON `file` of prompts for each class, as CuPL has them, in place of -template")
	fs.StringVar(&f.prompts.sample, "sample", "", "lpclip: draw images as CoOp's linear probe does")
	fs.StringVar(&f.testClasses, "test-classes", "", "comma-separated classes of the same data to test each result on as well: all, base, new")
	fs.StringVar(&f.testData, "test-datasets", "", "comma-separated data sets to test each result on as well")
	fs.StringVar(&f.root, "data", "data", "`root` folder of the data sets, in CoOp's layout")
	fs.StringVar(&f.reading.Division, "split", "", "how your own folders are divided; see train")
	fs.Uint64Var(&f.reading.DivisionSeed, "split-seed", 1, "seed of that division")
	fs.StringVar(&f.reading.ClassNames, "class-names", "", "`file` of folders or labels and what they are called (default classes.txt)")
	fs.StringVar(&f.reading.LabelColumn, "label-column", "", "`name` of the column of labels of a table")
	fs.IntVar(&f.reading.ClassLevel, "class-level", 0, "`number` of the level that is the classes, where folders lie in folders")
	fs.BoolVar(&f.open, "open", true, "open models and data sets, so that the plan holds their digests")
}

// axis takes values to choose among, of all methods or of one.
func (f *planFlags) axis(s string) error {
	name, _, _ := strings.Cut(s, "=")
	of, _, ok := strings.Cut(name, ":")
	if !ok {
		return f.grids.Set(s)
	}
	if f.gridsOf == nil {
		f.gridsOf = map[string]*grid{}
	}
	if f.gridsOf[of] == nil {
		f.gridsOf[of] = &grid{}
	}
	return f.gridsOf[of].Set(strings.TrimPrefix(s, of+":"))
}

// selections are what -select and -grid ask for, by method; nil for nothing.
func (f *planFlags) selections(methods []string) (map[string]*run.Selection, error) {
	all := map[string]*run.Selection{}
	known := func(flag, of string) error {
		if of != "" && !slices.Contains(methods, of) {
			return usagef("%s %s: %s is not among -methods", flag, of, of)
		}
		return nil
	}
	chosen := map[string]bool{}
	for _, c := range f.choose {
		of, on, ok := strings.Cut(c, ":")
		if !ok {
			of, on = "", c
		}
		if on != "val" {
			return nil, usagef("-select %q: there is val, and METHOD:val", c)
		}
		if err := known("-select", of); err != nil {
			return nil, err
		}
		chosen[of] = true
	}
	for of := range f.gridsOf {
		if err := known("-grid", of); err != nil {
			return nil, err
		}
	}
	for _, m := range methods {
		s := &run.Selection{On: "val", Grid: slices.Clone([]run.Axis(f.grids))}
		if own := f.gridsOf[m]; own != nil {
			s.Grid = append(s.Grid, *own...)
		}
		if len(s.Grid) == 0 {
			s.Grid = nil
		}
		if m != plan.ZeroShot && (chosen[""] || chosen[m] || s.Grid != nil) {
			all[m] = s
		}
	}
	return all, nil
}

// set takes a setting, of all methods or of one.
func (f *planFlags) set(s string) error {
	name, _, _ := strings.Cut(s, "=")
	of, _, ok := strings.Cut(name, ":")
	if !ok {
		return f.sets.add(s)
	}
	if f.setsOf == nil {
		f.setsOf = map[string]*settingLists{}
	}
	if f.setsOf[of] == nil {
		f.setsOf[of] = &settingLists{}
	}
	return f.setsOf[of].add(strings.TrimPrefix(s, of+":"))
}

// grid is what the flags say.
func (f *planFlags) grid(ctx context.Context, u *ui) (*plan.Grid, error) {
	if f.data == "" {
		return nil, usagef("-datasets is missing: which data sets, folders or synth:TASK?")
	}
	seen := map[string]bool{}
	for _, m := range list(f.methods) {
		if seen[m] {
			return nil, usagef("-methods %q: %s twice", f.methods, m)
		}
		seen[m] = true
	}
	g := &plan.Grid{Methods: list(f.methods), Data: list(f.data), Classes: list(f.classes), Templates: f.prompts.templates, Settings: f.sets.product(), Reading: f.reading}
	if g.Reading.Division == "" {
		g.Reading.DivisionSeed = 0
	}
	for of, l := range f.setsOf {
		if !slices.Contains(g.Methods, of) {
			return nil, usagef("-set %s:...: %s is not among -methods", of, of)
		}
		if g.SettingsOf == nil {
			g.SettingsOf = map[string][]map[string]string{}
		}
		g.SettingsOf[of] = l.product()
	}
	var err error
	if g.Select, err = f.selections(g.Methods); err != nil {
		return nil, err
	}
	if g.Sample = f.prompts.sample; g.Sample != "" && g.Sample != plan.OfProbe {
		return nil, usagef("-sample %s: a plan has CoOp's own sample, or %s; a file's is for single runs", quote.Plain(g.Sample), plan.OfProbe)
	}
	if f.prompts.prompts != "" {
		if f.prompts.templates != nil {
			return nil, usagef("-class-prompts takes the place of -template: leave one out")
		}
		if g.Prompts, err = plan.OpenPrompts(f.prompts.prompts); err != nil {
			return nil, err
		}
	}
	if err := trainable(f.precision); err != nil {
		return nil, err
	}
	if f.precision != "float32" && f.precision != "bf16" {
		return nil, usagef("-precision %q: there are float32 and bf16", f.precision)
	}
	if g.Shots, err = numbers("shots", f.shots, func(s string) (int, error) { return strconv.Atoi(s) }); err != nil {
		return nil, err
	}
	if g.Seeds, err = seedList(f.seeds); err != nil {
		return nil, err
	}
	if f.models == nil {
		f.models = []string{clip.Embedded}
	}
	for _, name := range f.models {
		m := plan.Model{Name: name, Activation: f.model.Activation, Heads: f.model.Heads, Pillow: f.model.Pillow, ImageSize: f.model.ImageSize, Ensemble: f.model.Ensemble, Precision: f.precision}
		if m.Precision == "float32" {
			m.Precision = ""
		}
		g.Models = append(g.Models, m)
	}
	if below := f.belowSets.product(); len(below) > 1 {
		return nil, usagef("-below-set: one value a setting")
	} else {
		g.BelowSettings = below[0]
	}
	for _, b := range list(f.below) {
		if b == "none" {
			b = ""
		}
		g.Below = append(g.Below, b)
	}
	for _, c := range list(f.testClasses) {
		g.Evaluate = append(g.Evaluate, plan.Evaluation{Classes: c})
	}
	for _, d := range list(f.testData) {
		g.Evaluate = append(g.Evaluate, plan.Evaluation{Data: d, Classes: "all"})
	}
	if f.mask != "" {
		if g.Mask, err = plan.OpenMask(f.mask); err != nil {
			return nil, err
		}
	}
	if f.open {
		g.Resolve = &resolver{ctx, u, f.root, f.model}
	}
	return g, nil
}

// list divides at commas.
func list(s string) []string {
	if s == "" {
		return nil
	}
	return strings.Split(s, ",")
}

func seedList(s string) ([]uint64, error) {
	return numbers("seeds", s, func(s string) (uint64, error) { return strconv.ParseUint(s, 10, 64) })
}

// numbers reads a list without repetitions.
func numbers[T comparable](flag, s string, parse func(string) (T, error)) ([]T, error) {
	var all []T
	for _, w := range list(s) {
		n, err := parse(w)
		if err != nil {
			return nil, usagef("-%s %q: want numbers with commas", flag, s)
		}
		if slices.Contains(all, n) {
			return nil, usagef("-%s %q: %v twice", flag, s, n)
		}
		all = append(all, n)
	}
	if all == nil {
		return nil, usagef("-%s: want numbers with commas", flag)
	}
	return all, nil
}

// resolver opens models and data sets for their digests.
type resolver struct {
	ctx   context.Context
	u     *ui
	root  string
	model modelFlags
}

// ModelDigest is that of a model's weights.
func (r *resolver) ModelDigest(m plan.Model) (string, error) {
	f := modelFlagsOf(m)
	f.offline = r.model.offline
	if err := f.fetch(r.ctx, r.u); err != nil {
		return "", err
	}
	src, err := f.Source()
	if err != nil {
		return "", err
	}
	defer src.Close()
	if err := f.Check(src); err != nil {
		return "", err
	}
	return src.Digest()
}

// SplitHash is that of a whole data set.
func (r *resolver) SplitHash(name string, reading plan.Reading) (string, error) {
	ds, err := openWhole(r.ctx, r.root, name, reading)
	if err != nil {
		return "", err
	}
	return ds.SplitHash(), nil
}

// modelFlagsOf are the flags that a plan's model was given by.
func modelFlagsOf(m plan.Model) modelFlags {
	return modelFlags{Options: clip.Options{Path: m.Name, Activation: m.Activation, Heads: m.Heads, Pillow: m.Pillow, ImageSize: m.ImageSize, Ensemble: m.Ensemble}}
}

// openWhole opens a plan's data set.
func openWhole(ctx context.Context, root, name string, r plan.Reading) (*datasets.Dataset, error) {
	d := dataFlags{split: r.Division, splitSeed: r.DivisionSeed, classNames: r.ClassNames, labelColumn: r.LabelColumn, level: r.ClassLevel}
	o, err := d.options()
	if err != nil {
		return nil, err
	}
	return openDataset(ctx, root, name, o)
}

// planResult is the last line of -json.
type planResult struct {
	Kind string `json:"kind"`
	Path string `json:"path"`
	Runs int    `json:"runs"`
	Sum  string `json:"sha256"`
}

// writePlan writes a plan's file, over nothing but the same plan; with force, over another one too. otherwise says what to do where one is.
func writePlan(u *ui, p *plan.Plan, path string, force bool, otherwise string) error {
	if path == "-" {
		return p.Write(u.out, version())
	}
	if err := overPlan(p, path, force, otherwise); err != nil {
		return err
	}
	if err := p.Save(path, version()); err != nil {
		return err
	}
	return u.result(planResult{"result", path, p.Len(), p.Hash()}, func(w io.Writer) {
		them := "them"
		if p.Len() == 1 {
			them = "it"
		}
		fmt.Fprintf(w, "%s: %s; fewshot run %s makes %s, fewshot collect %s tells of %s\n", path, words.Count(p.Len(), "run"), path, them, path, them)
	})
}

// has reports whether a plan has all runs of another, with their further evaluations: what it may take the place of, as with a seed more.
func has(p, was *plan.Plan) bool {
	for i := range was.Len() {
		at := p.Index(was.ID(i))
		if at < 0 {
			return false
		}
		old, err := was.Run(i)
		if err != nil {
			return false
		}
		now, err := p.Run(at)
		if err != nil || len(now.With(old.Evaluate...).Evaluate) != len(now.With().Evaluate) {
			return false
		}
	}
	return true
}

// overPlan refuses to write a plan over anything but one whose runs it all has, or with force over anything but a plan.
func overPlan(p *plan.Plan, path string, force bool, otherwise string) error {
	_, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return err
	}
	runs, err := plan.OpenHeader(path)
	if err != nil {
		return fmt.Errorf("%s is there and is no plan; give another -out", path)
	}
	if force {
		return nil
	}
	was, err := plan.Open(path, "") // one of another version of the program may have the same runs
	if err == nil {
		defer was.Close()
		if has(p, was) {
			return nil
		}
	}
	return fmt.Errorf("%s is another plan, of %s; %s", path, words.Count(runs, "run"), otherwise)
}
