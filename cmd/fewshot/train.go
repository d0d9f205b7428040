package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"fewshot/datasets"
	"fewshot/rmt/method"
	"fewshot/rmt/run"
)

var trainCommand = command{
	example: `fewshot train -model ViT-B/16 -data DATA -dataset oxford_pets -shots 16 -out runs/pets
fewshot train -model ViT-B/16 -dataset MY/FOLDER -shots 16 -out runs/mine`,
	name: "train", summary: "adapt CLIP to a task from a few labelled images a class",
	about: `Trains a method on a few images a class, evaluates it on the test images, and writes into the output folder what was learned
(of masks mask.safetensors, one bit a weight, compressed; of other methods tuned.safetensors) and result.json: settings, data,
accuracy, timings. Settings default to those published for the data set and the number of shots; -method NAME -help lists those
of a method. An interrupted run goes on with -resume and ends with the same file, to the byte, as an undisturbed one.`,
	setup: setupTrain,
	check: knowsMethod,
}

// trainFlags are the settings of a run.
type trainFlags struct {
	device deviceFlags
	model  modelFlags
	data   dataFlags
	loader loaderFlags
	micro  microBatch
	method string
	mask   string
	out    string
	resume bool
	every  time.Duration
	zero   bool
	given  map[string]string // flags of the method, as given
	flags  map[string]string // that the result keeps, the method's among them
	log    logdir
	choose string // what epoch and settings are chosen by
	axes   grid
	from   string
	then   *run.Result // of -from; nil without
	seeds  string
	other  []string // what of it the command line has changed
}

func setupTrain(fs *flag.FlagSet, args []string) func(context.Context, *ui, []string) error {
	var f trainFlags
	f.model.declare(fs)
	f.data.declare(fs)
	f.data.declareTemplate(fs)
	f.data.several = true
	f.data.declareSample(fs)
	fs.StringVar(&f.seeds, "seeds", "", "comma-separated `seeds`, for a run with each: their mean and standard deviation (of the sample) are told")
	unknown := f.declareMethod(fs, args)
	f.micro.declare(fs)
	f.device.declare(fs)
	f.loader.declare(fs)
	fs.StringVar(&f.mask, "mask", "", "mask `file`, or the folder of the run that made it: train another method on the masked encoder")
	fs.StringVar(&f.choose, "select", "", "val: choose the epoch by the accuracy on validation images, and no other")
	fs.Var(&f.axes, "grid", "choose `settings` by validation images too, as lr=1e-3,1e-4; of several, all combinations")
	fs.StringVar(&f.from, "from", "", "`result.json` of a run, or its folder: make it again, with the changes that further flags say")
	fs.StringVar(&f.out, "out", "", "output `folder` (default runs/DATASET/METHOD-SHOTSshots-seedSEED)")
	fs.BoolVar(&f.resume, "resume", false, "go on with the run in the output folder")
	fs.DurationVar(&f.every, "save-every", 2*time.Minute, "how often to write a checkpoint to resume from")
	fs.BoolVar(&f.zero, "zeroshot", true, "evaluate the untouched model too")
	f.log.declare(fs)
	return func(ctx context.Context, u *ui, rest []string) error {
		if len(rest) > 0 {
			return usagef("unexpected argument %q", rest[0])
		}
		if unknown != nil {
			return usageError{unknown.Error()}
		}
		if f.every < 0 {
			return usagef("-save-every %v: a time cannot be negative", f.every)
		}
		if f.choose != "" && f.choose != "val" {
			return usagef("-select %q: there is val", f.choose)
		}
		f.method = methodOf(args)
		if f.from != "" {
			if err := f.follow(fs); err != nil {
				return err
			}
		}
		if many, err := f.many(fs); err != nil || many {
			if err == nil {
				err = f.runMany(ctx, u)
			}
			return err
		}
		f.flags = lastingFlags(fs)
		if f.then != nil && f.then.Spec.Method == f.method {
			maps.Copy(f.flags, settingFlags(f.then))
		}
		maps.Copy(f.flags, f.given)
		return f.run(ctx, u)
	}
}

// knowsMethod refuses a method that is not in the table.
func knowsMethod(args []string) error {
	var name string
	var err error
	for _, name = range strings.Split(methodOf(args), ",") {
		if _, err = run.Lookup(name); err != nil {
			break
		}
	}
	if err == nil {
		return nil
	}
	var names []string
	for _, m := range run.Methods() {
		names = append(names, m.Name)
	}
	if near := nearest(name, names); near != "" {
		return usagef("%v; did you mean %s?", err, near)
	}
	return usageError{err.Error()}
}

// defaultMethod is the paper's.
const defaultMethod = "r-amt"

// declareMethod declares -method and the settings of the method that the command line names, with the defaults for the data set and the
// shots that it names. Those of a run are found when its data are known; what was given is set then.
func (f *trainFlags) declareMethod(fs *flag.FlagSet, args []string) error {
	fs.StringVar(&f.method, "method", defaultMethod, "what is learned: "+methodNames()+"; several with commas are compared")
	f.given = map[string]string{}
	for _, name := range strings.Split(methodOf(args), ",") {
		m, err := run.Lookup(name)
		if err != nil {
			return err
		}
		if err := f.declareSettings(fs, args, m); err != nil {
			return err
		}
	}
	return nil
}

// declareSettings declares those of a method, but for flags that a method before it has declared.
func (f *trainFlags) declareSettings(fs *flag.FlagSet, args []string, m *method.Method) error {
	task := method.Task{Dataset: named(args, "dataset", ""), Published: true, Shots: 16, BaseToNew: named(args, "classes", "all") == "base", Recipe: "paper"}
	if spec, ok := datasets.Lookup(task.Dataset); ok {
		task.Dataset = spec.Name
	}
	if n, err := strconv.Atoi(named(args, "shots", "16")); err == nil && n > 0 {
		task.Shots = n
	}
	s, err := m.Defaults(task)
	if err != nil {
		return err
	}
	of := flag.NewFlagSet("", flag.ContinueOnError)
	s.Declare(of)
	of.VisitAll(func(g *flag.Flag) {
		if before := fs.Lookup(g.Name); before != nil {
			if _, shared := before.Value.(*setting); shared {
				return
			}
			panic("method " + m.Name + " has a flag that train has: -" + g.Name)
		}
		fs.Var(&setting{g.Value, g.Name, m.Name, named(args, "method", "") != "", f.given}, g.Name, g.Usage)
		fs.Lookup(g.Name).DefValue = g.DefValue
	})
	return nil
}

// named is the last value that the arguments give a flag, before they are parsed.
func named(args []string, name, fallback string) string {
	for i, a := range args {
		a, dashed := strings.CutPrefix(a, "-")
		a = strings.TrimPrefix(a, "-")
		value, equals := strings.CutPrefix(a, name+"=")
		switch {
		case !dashed:
		case equals:
			fallback = value
		case a == name && i+1 < len(args):
			fallback = args[i+1]
		}
	}
	return fallback
}

// setting is a flag of a method, and keeps what it was given.
type setting struct {
	flag.Value
	name   string
	method string
	named  bool // the command line names the method
	given  map[string]string
}

// Set makes it a flag.Value.
func (r *setting) Set(s string) error {
	if err := r.Value.Set(s); err != nil {
		return err
	}
	r.given[r.name] = s
	return nil
}

// String is the value's; package flag asks it of one that was never made.
func (r *setting) String() string {
	if r.Value == nil {
		return ""
	}
	return r.Value.String()
}

// IsBoolFlag lets a boolean flag stand without a value.
func (r *setting) IsBoolFlag() bool {
	b, ok := r.Value.(interface{ IsBoolFlag() bool })
	return ok && b.IsBoolFlag()
}

// settings are the published ones for the data, with the user's changes.
func (f *trainFlags) settings(m *method.Method) (method.Settings, error) {
	_, published := datasets.Lookup(f.data.name)
	recipe := f.given["recipe"]
	if recipe == "" {
		recipe = "paper"
	}
	s, err := m.Defaults(method.Task{Dataset: f.data.canonical(), Published: published, Shots: f.data.shots, BaseToNew: f.data.classes == "base", Recipe: recipe})
	if err != nil {
		return nil, usagef("%v", err)
	}
	return f.change(s)
}

// change makes the changes to settings that the command line says.
func (f *trainFlags) change(s method.Settings) (method.Settings, error) {
	of := flag.NewFlagSet("", flag.ContinueOnError)
	s.Declare(of)
	for _, name := range method.Order(s, f.given) {
		if of.Lookup(name) == nil {
			return nil, usagef("%s has no setting %s", f.method, name)
		}
		if err := of.Set(name, f.given[name]); err != nil {
			return nil, usagef("-%s %s: %v", name, f.given[name], err)
		}
	}
	if err := method.Check(s); err != nil {
		return nil, usagef("%v", err)
	}
	return s, nil
}

func methodNames() string {
	var names []string
	for _, m := range run.Methods() {
		names = append(names, m.Name)
	}
	return strings.Join(names, ", ")
}

func (f *trainFlags) run(ctx context.Context, u *ui) error {
	if err := f.loader.validate(); err != nil {
		return err
	}
	m, err := run.Lookup(f.method)
	if err != nil {
		return usageError{err.Error()}
	}
	settings := f.settings
	if f.then != nil {
		settings = f.settingsThen
	}
	if err := f.early(m); err != nil {
		return err
	}
	r, close, err := f.request(ctx, u, m, func() (method.Settings, error) { return settings(m) })
	if err != nil {
		return err
	}
	defer close()
	if r.Select, err = f.selection(); err == nil && r.Select != nil {
		r.Variants, err = f.variants(m, r.Select)
	}
	if err != nil {
		return err
	}
	f.sayOther(u)
	if r.Out == "" {
		r.Out = filepath.Join("runs", strings.ReplaceAll(r.Data.Name, ":", "-"), fmt.Sprintf("%s-%dshots-seed%d", m.Name, f.data.shots, f.data.seed))
	}
	r.Record = f.log.recorder(r.Out)
	result, err := r.Run(ctx)
	if err != nil {
		return err
	}
	return u.result(result, result.Print)
}

// early finds what can be found wrong with the flags before data and model are opened, which may be fetched and large.
func (f *trainFlags) early(m *method.Method) error {
	if f.data.name == "" {
		return nil // which the data say
	}
	own := *f // settings are made again when the data are known
	settings := own.settings
	if f.then != nil {
		settings = own.settingsThen
	}
	with, err := settings(m)
	if err != nil {
		return err
	}
	if w, ok := with.(method.Whole); ok && w.WholeBatch() && f.micro.given && f.micro.images > 0 {
		return usagef("-micro-batch %d: with these settings what %s learns from an image depends on the whole batch, which is computed as one: leave it out", f.micro.images, m.Name)
	}
	s, err := own.selection()
	if err != nil {
		return err
	}
	if err := s.For(m, with); err != nil {
		return err
	}
	if s != nil {
		if _, err := own.variants(m, s); err != nil {
			return err
		}
	}
	if f.out == "" {
		return nil
	}
	return run.MayUse(f.out, f.resume)
}

// request opens data, device and model for a run of a method. The caller closes them.
func (f *trainFlags) request(ctx context.Context, u *ui, m *method.Method, settings func() (method.Settings, error)) (r *run.Request, close func(), err error) {
	ds, err := f.data.open(ctx)
	if err != nil {
		return nil, nil, err
	}
	u.about(ds)
	s, err := settings()
	if err != nil {
		return nil, nil, err
	}
	dev, err := f.device.open()
	if err != nil {
		return nil, nil, err
	}
	model, err := f.model.open(ctx, dev, u)
	if err != nil {
		dev.Close()
		return nil, nil, err
	}
	return &run.Request{Dev: dev, Model: model, Method: m, Settings: s, Data: ds, Classes: f.data.classes, Templates: f.data.chosen(ds),
		Shots: f.data.shots, Seed: f.data.seed, Below: f.mask, Micro: f.micro.on(dev, model), Synthetic: strings.HasPrefix(ds.Name, synthPrefix), Own: true,
		Loader: f.loader.Loader, Out: f.out, Resume: f.resume, SaveEvery: f.every, ZeroShot: f.zero, Program: version(), Flags: f.flags, UI: u}, func() { dev.Close() }, nil
}
