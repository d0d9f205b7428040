package plan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"syscall"
	"time"

	"fewshot/datasets"
	"fewshot/nn/checkpoint"
	"fewshot/nn/quote"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Opener opens what a run names. What it opens is used for several runs, and belongs to the plan until [Execute] returns.
type Opener interface {
	// Model opens a CLIP on the device of the execution.
	Model(ctx context.Context, m Model) (*clip.Model, error)
	// Dataset opens a whole data set, with all its images and classes, and its own templates.
	Dataset(ctx context.Context, name string, r Reading) (*datasets.Dataset, error)
}

// Options say how a plan is executed. None has an influence on results.
type Options struct {
	Dir       string // folder of the runs' folders
	Dev       *tensor.Device
	Opener    Opener
	Loader    run.Loader
	Micro     func(m *clip.Model) func(batch int) int // images of a batch that are computed at a time; nil for all
	SaveEvery time.Duration                           // between checkpoints of a run
	Program   string                                  // version; results of others are refused, unless AnyVersion
	Flags     map[string]string                       // of train that say the same as these options, for the results
	UI        run.UI

	// Record, if not nil, makes what a run in a folder is told its numbers, or nil.
	Record func(folder string) func(run.Spec) (run.Recorder, error)

	AnyVersion bool             // take results of other versions of the program as they are
	Select     func(i int) bool // the numbers of the runs to make; nil for all
	// Made is told the outcome of each run that is selected, as it is known; nil for nobody.
	Made func(i int, o *Outcome) error

	apart bool // runs have nothing in common but the model's tensors
}

// Report is what an execution came to, of the runs that were selected.
type Report struct {
	Before  int `json:"done_before"` // were done already
	Made    int `json:"made"`        // were made, or completed
	Failed  int `json:"failed"`
	Waiting int `json:"waiting"` // need a mask of a run that is not done, and that somebody else is to make
	Busy    int `json:"busy"`    // are being made by another process
}

// Unfinished are those that a later execution may find ready.
func (r Report) Unfinished() int { return r.Waiting + r.Busy }

// executor is an execution.
type executor struct {
	Options
	ctx    context.Context
	plan   *Plan
	report Report

	model  Model // the one that is open
	open   *clip.Model
	shared *run.Shared
	sets   []openSet // data sets that are open, the one used last at the end
}

type openSet struct {
	name    string
	reading Reading
	ds      *datasets.Dataset
}

// mostSets is how many data sets are kept open: that of the runs at hand, and what they are further tested on.
const mostSets = 4

// progress of a single run, which decides what follows.
type verdict int

const (
	wasDone verdict = iota
	made
	failed
	waiting
	busy
)

// errWaiting says that the run below is not done.
var errWaiting = errors.New("waits for the run whose mask it is trained under")

// Execute makes the runs of a plan that are selected and not done, in the plan's order: one that is half done goes on, one that fails is
// recorded in its folder ([FailedName]), reported and passed over; one that is being made by another process, or whose mask below another
// process is to make, is looked at again at the end. When ctx ends, the run at hand is saved where it can be, and the error is ctx's.
// Any other error is one that would meet all runs, as a full disk.
func Execute(ctx context.Context, p *Plan, o Options) (Report, error) {
	x := &executor{Options: o, ctx: ctx, plan: p}
	defer x.closeModel()
	if err := os.MkdirAll(o.Dir, 0o777); err != nil {
		return x.report, err
	}
	var later []int
	for i := range p.Len() {
		if o.Select != nil && !o.Select(i) {
			continue
		}
		v, err := x.make(i, false)
		if err != nil {
			return x.report, err
		}
		if v == waiting || v == busy {
			later = append(later, i)
			continue
		}
		x.count(v)
	}
	for _, i := range later {
		v, err := x.make(i, true)
		if err != nil {
			return x.report, err
		}
		x.count(v)
	}
	return x.report, nil
}

func (x *executor) count(v verdict) {
	*[]*int{&x.report.Before, &x.report.Made, &x.report.Failed, &x.report.Waiting, &x.report.Busy}[v]++
}

// make makes run i, or says why not. last says that nobody looks at it again.
func (x *executor) make(i int, last bool) (verdict, error) {
	if err := x.ctx.Err(); err != nil {
		return failed, err
	}
	r, err := x.plan.Run(i)
	if err != nil {
		return failed, err
	}
	o := x.load(&r)
	switch o.State {
	case Foreign:
		return failed, x.tell(i, o)
	case Done:
		if err := x.tidy(o); err != nil {
			return failed, err
		}
		return wasDone, x.tell(i, o)
	}
	if o.broken {
		return failed, x.tell(i, o)
	}
	v := made
	err = x.guarded(&r, &o)
	switch {
	case errors.Is(err, errDone): // by another process, meanwhile
		v = wasDone
		fallthrough
	case err == nil:
		if o = x.load(&r); o.State != Done {
			v = failed
		}
		return v, x.tell(i, o)
	case x.ctx.Err() != nil:
		return failed, x.ctx.Err()
	case errors.Is(err, errWaiting), errors.Is(err, run.ErrBusy):
		v = waiting
		if errors.Is(err, run.ErrBusy) {
			v = busy
		}
		if last {
			x.UI.Warn("run %d, %s: %s: %v", i+1, o.ID, &r, err)
		}
		return v, nil
	case diskFull(err):
		return failed, fmt.Errorf("%s: %w; nothing that is done is lost: run the plan again when there is room", o.ID, err)
	}
	x.forget()
	o.State, o.Problem = Failed, err.Error()
	if err := x.record(o); err != nil {
		return failed, err
	}
	return failed, x.tell(i, o)
}

// tidy removes what a process left that was killed between a run's result and its end.
func (x *executor) tidy(o *Outcome) error {
	if !o.litter {
		return nil
	}
	folder := filepath.Join(x.Dir, o.ID)
	held, err := run.TakeFolder(folder)
	if errors.Is(err, run.ErrBusy) { // which is about to do so
		return nil
	}
	if err != nil {
		return err
	}
	defer held.Close()
	return errors.Join(os.RemoveAll(filepath.Join(folder, FailedName)), train.RemoveState(folder))
}

// load reads what has become of a run. What cannot be read is a run that failed, and broken: its folder is left alone.
func (x *executor) load(r *Run) *Outcome {
	program := x.Program
	if x.AnyVersion {
		program = ""
	}
	o, err := Load(x.Dir, *r, program)
	if err != nil {
		return &Outcome{ID: r.ID(), Run: *r, State: Failed, Problem: err.Error(), broken: true}
	}
	if o.State == Foreign {
		o.Problem += "; -any-version takes it as it is, and without its folder the run is made again"
	}
	return o
}

// errDone says that another process has made a run meanwhile.
var errDone = errors.New("is done")

// tell tells of an outcome.
func (x *executor) tell(i int, o *Outcome) error {
	if o.State == Failed || o.State == Foreign {
		x.UI.Warn("run %d, %s: %s failed: %s", i+1, o.ID, &o.Run, o.Reason())
	}
	if x.Made == nil {
		return nil
	}
	return x.Made(i, o)
}

// record writes why a run failed into its folder.
func (x *executor) record(o *Outcome) error {
	folder := filepath.Join(x.Dir, o.ID)
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	err := checkpoint.WriteFile(filepath.Join(folder, FailedName), func(w io.Writer) error {
		_, err := io.WriteString(w, o.Problem+"\n")
		return err
	})
	if diskFull(err) {
		return err
	}
	if err != nil {
		x.UI.Warn("why run %s failed could not be written: %v", o.ID, err)
	}
	return nil
}

// diskFull reports whether an error would meet every other run as well.
func diskFull(err error) bool {
	return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT)
}

// guarded is one run with its evaluations. A fault of the program is one run's, too: hundreds of others may be waiting behind it.
func (x *executor) guarded(r *Run, o **Outcome) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("this is a fault of the program, please report it with the plan: %v\n%s", p, debug.Stack())
		}
	}()
	return x.one(r, o)
}

// one makes what a run lacks, in a folder that no other process is in.
func (x *executor) one(r *Run, o **Outcome) error {
	below, err := x.below(r)
	if err != nil {
		return err
	}
	folder := filepath.Join(x.Dir, r.ID())
	held, err := run.TakeFolder(folder)
	if err != nil {
		return err
	}
	defer held.Close()
	// Now nobody else changes what is there.
	switch *o = x.load(r); {
	case (*o).State == Done:
		return errDone
	case (*o).broken || (*o).State == Foreign:
		return errors.New((*o).Reason())
	}
	m, err := x.openModel(r.Model)
	if err != nil {
		return err
	}
	if (*o).Result == nil {
		if err := x.train(r, m, below, folder, held); err != nil {
			return err
		}
		if (*o).Result, err = readResult(folder); err != nil {
			return err
		}
	}
	if err := x.evaluate(r, *o, m, below, folder); err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(filepath.Join(folder, FailedName)), checkpoint.RemoveTemporary(filepath.Join(folder, FailedName))); err != nil {
		return err
	}
	return train.RemoveState(folder) // of a process that was killed when it had written the result
}

// below is the mask file that a run is trained under, "" for none.
func (x *executor) below(r *Run) (string, error) {
	if r.Mask != nil {
		f, err := OpenMask(r.Mask.Path)
		if err == nil && f.Sum != r.Mask.Sum {
			err = fmt.Errorf("%s has SHA-256 %s; the plan was made for the mask of %s", r.Mask.Path, f.Sum, r.Mask.Sum)
		}
		return r.Mask.Path, err
	}
	if r.Below == "" {
		return "", nil
	}
	under, err := x.plan.Run(x.plan.Index(r.Below))
	if err != nil {
		return "", err
	}
	switch o := x.load(&under); {
	case o.Result != nil: // it may have failed in an evaluation, which is nothing to the mask
	case o.State == Failed || o.State == Foreign:
		return "", fmt.Errorf("run %s, whose mask it is trained under, failed: %s", r.Below, o.Reason())
	default:
		return "", fmt.Errorf("%w, %s, which is not done", errWaiting, r.Below)
	}
	return filepath.Join(x.Dir, r.Below, run.MaskName), nil
}

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
	if r.Data.Templates != nil {
		if ds, err = ds.WithTemplates(r.Data.Templates...); err != nil {
			return nil, err
		}
	}
	if r.Method != ZeroShot {
		if err := ds.CanTrain(); err != nil {
			return nil, err
		}
		if ds, err = ds.FewShot(r.Data.Shots, r.Data.Seed); err != nil {
			return nil, err
		}
	}
	if ds, err = ds.Subset(r.Data.Classes); err != nil || r.Method == ZeroShot {
		return ds, err
	}
	return ds, ds.CanTrain()
}

// train makes the run's result.
func (x *executor) train(r *Run, m *clip.Model, below, folder string, held *run.Folder) error {
	ds, err := x.data(r)
	if err != nil {
		return err
	}
	templates := r.Data.Templates
	if templates == nil {
		templates = []string{ds.Template}
	}
	q := x.request(r, m, ds, templates)
	q.Out, q.Below, q.Held, q.Resume = folder, below, held, true
	if x.Record != nil {
		q.Record = x.Record(folder)
	}
	if r.Method == ZeroShot {
		_, err = q.Untouched(x.ctx, ZeroShot)
		return err
	}
	if q.Method, err = run.Lookup(r.Method); err != nil {
		return err
	}
	if q.Settings, err = r.Chosen(); err != nil {
		return err
	}
	_, err = q.Run(x.ctx)
	return err
}

func (x *executor) request(r *Run, m *clip.Model, ds *datasets.Dataset, templates []string) *run.Request {
	micro := func(int) int { return 0 }
	if x.Micro != nil {
		micro = x.Micro(m)
	}
	shared := x.shared
	if x.apart {
		shared = nil
	}
	return &run.Request{Dev: x.Dev, Model: m, Data: ds, Classes: r.Data.Classes, Templates: templates, Shots: r.Data.Shots, Seed: r.Data.Seed, Micro: micro,
		Synthetic: strings.HasPrefix(r.Data.Name, synthPrefix), Loader: x.Loader, SaveEvery: x.SaveEvery, Program: x.Program, Flags: x.flags(r), UI: quiet{x.UI, r.ID()}, Shared: shared}
}

// flags are those by which train would make the run.
func (x *executor) flags(r *Run) map[string]string {
	all := maps.Clone(x.Flags)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, r.Settings)
	number := func(n int) string {
		if n == 0 {
			return ""
		}
		return strconv.Itoa(n)
	}
	for name, v := range map[string]string{"model": r.Model.Name, "activation": r.Model.Activation, "heads": r.Model.Heads, "pillow": number(r.Model.Pillow),
		"image-size": number(r.Model.ImageSize), "precision": r.Model.Precision, "dataset": r.Data.Name, "classes": r.Data.Classes, "shots": strconv.Itoa(r.Data.Shots),
		"seed": strconv.FormatUint(r.Data.Seed, 10), "split": r.Data.Reading.Division, "class-names": r.Data.Reading.ClassNames, "label-column": r.Data.Reading.LabelColumn,
		"class-level": number(r.Data.Reading.ClassLevel)} {
		if v != "" {
			all[name] = v
		}
	}
	if r.Data.Reading.Division != "" {
		all["split-seed"] = strconv.FormatUint(r.Data.Reading.DivisionSeed, 10)
	}
	switch {
	case r.Mask != nil:
		all["mask"] = r.Mask.Path
	case r.Below != "":
		all["mask"] = filepath.Join(x.Dir, r.Below, run.MaskName)
	}
	return all
}

// evaluate makes the further evaluations that are missing.
func (x *executor) evaluate(r *Run, o *Outcome, m *clip.Model, below, folder string) error {
	if len(r.Evaluate) == 0 {
		return nil
	}
	for _, e := range r.Evaluate {
		path := filepath.Join(folder, evaluatedName(e.Key()))
		if err := checkpoint.RemoveTemporary(path); err != nil {
			return err
		}
		if _, err := os.Stat(path); err == nil {
			continue
		}
		if err := x.evaluateOn(r, o, m.Share(), below, folder, e); err != nil {
			return fmt.Errorf("evaluation on %s, %s classes: %w", quote.Plain(e.Data), e.Classes, err)
		}
	}
	return nil
}

func (x *executor) evaluateOn(r *Run, o *Outcome, m *clip.Model, below, folder string, e Evaluation) error {
	reading := Reading{}
	if e.Data == r.Data.Name {
		reading = r.Data.Reading
	}
	ds, err := x.whole(e.Data, reading, e.Split)
	if err != nil {
		return err
	}
	if ds, err = ds.Subset(e.Classes); err != nil {
		return err
	}
	if err := ds.CanTest(); err != nil {
		return err
	}
	templates := e.Templates
	switch {
	case templates != nil:
	case ds.Title == o.Result.Title:
		templates = o.Result.Templates
	default:
		templates = []string{ds.Template}
	}
	q := x.request(r, m, ds, templates)
	job, end := q.Job(false)
	defer end()
	out := Evaluated{Kind: evaluatedKind, Run: o.ID, Evaluation: e, File: o.Result.FileSum, Dataset: ds.Title, NumClass: len(ds.Classes), Templates: templates,
		Split: ds.SplitHash(), Program: x.Program}
	c, release, err := x.classifier(r, job, below, folder)
	defer release()
	switch {
	case errors.Is(err, method.ErrClasses):
		out.Refused = method.ErrClasses.Error()
	case err != nil:
		return err
	default:
		a, err := q.Test(x.ctx, "test on "+ds.Name, job, c)
		if err != nil {
			return err
		}
		out.Test = &a
	}
	return writeEvaluated(folder, out)
}

// classifier is what the run has learned, from its files.
func (x *executor) classifier(r *Run, job *method.Job, below, folder string) (c train.Classifier, release func(), err error) {
	release = func() {}
	if r.Method == ZeroShot {
		head, err := job.Head(x.ctx)
		return train.Model{Encoder: job.Model.Image, Head: head}, release, err
	}
	mask, tuned := below, filepath.Join(folder, run.TunedName)
	if leavesMask(r.Method) {
		mask, tuned = filepath.Join(folder, run.MaskName), ""
	}
	l, err := run.OpenLoaded(mask, tuned)
	if err != nil {
		return nil, release, err
	}
	defer l.Close()
	settled, err := l.Settle(x.ctx, job, false)
	if err != nil {
		return nil, release, err
	}
	return settled.Classifier, settled.Release, nil
}

// quiet keeps what every run says of itself to itself; bars remain, and warnings, with its id.
type quiet struct {
	run.UI
	id string
}

func (quiet) Note(string, ...any) {}
func (quiet) Event(any) error     { return nil }
func (q quiet) Warn(format string, a ...any) {
	q.UI.Warn("%s: %s", q.id, fmt.Sprintf(format, a...))
}
