package plan

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"time"

	"fewshot/nn/checkpoint"
	"fewshot/rmt/clip"
	"fewshot/rmt/run"
	"fewshot/tensor"
)

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

	// Shared is how many bytes features of images may take in files that several runs have in common: those of images as they are, and those
	// of a sample, each so many. They lie in the system's folder for temporary files. 0 has each run compute its own.
	Shared int64

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
	warned warned

	model  Model // the one that is open
	open   *clip.Model
	shared *run.Shared
	sets   []openSet // data sets that are open, the one used last at the end
	scope  scope     // of the run made last
}

// verdict is how far an execution has come with a run, which decides what follows.
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

// Execute makes the runs of a plan that are selected and not done, in the plan's order, but that those on one data set come together, and of
// these those of one sample under one mask. One that is half done goes on, one that fails is recorded in its folder ([FailedName]), reported
// and passed over; one that is being made by another process, or whose mask below another process is to make, is looked at again at the end.
// When ctx ends, the run at hand is saved where it can be, and the error is ctx's. Any other error is one that would meet all runs, as a full
// disk.
func Execute(ctx context.Context, p *Plan, o Options) (Report, error) {
	x := &executor{Options: o, ctx: ctx, plan: p}
	defer x.closeModel()
	defer x.warned.tell(o.UI)
	if err := os.MkdirAll(o.Dir, 0o777); err != nil {
		return x.report, err
	}
	var selected, later []int
	for i := range p.Len() {
		if o.Select == nil || o.Select(i) {
			selected = append(selected, i)
		}
	}
	order, err := p.order(selected)
	if err != nil {
		return x.report, err
	}
	for _, i := range order {
		v, err := x.attempt(i, false)
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
		v, err := x.attempt(i, true)
		if err != nil {
			return x.report, err
		}
		x.count(v)
	}
	return x.report, nil
}

func (x *executor) count(v verdict) {
	switch v {
	case wasDone:
		x.report.Before++
	case made:
		x.report.Made++
	case failed:
		x.report.Failed++
	case waiting:
		x.report.Waiting++
	case busy:
		x.report.Busy++
	}
}

// attempt makes run i, or says why not. last says that nobody looks at it again.
func (x *executor) attempt(i int, last bool) (verdict, error) {
	if err := x.ctx.Err(); err != nil {
		return failed, err
	}
	r, err := x.plan.Run(i)
	if err != nil {
		return failed, err
	}
	o := x.load(&r)
	switch {
	case o.Blocked():
		return failed, x.tell(i, o)
	case o.State == Done:
		if err := x.tidy(o); err != nil {
			return failed, err
		}
		return wasDone, x.tell(i, o)
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
	return removeLitter(folder)
}

// removeLitter removes what a run had need of before it was done.
func removeLitter(folder string) error {
	why := filepath.Join(folder, FailedName)
	return errors.Join(os.RemoveAll(why), checkpoint.RemoveTemporary(why), run.RemoveLeftovers(folder))
}

// load reads what has become of a run.
func (x *executor) load(r *Run) *Outcome {
	program := x.Program
	if x.AnyVersion {
		program = ""
	}
	o := Look(x.Dir, *r, program)
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

// record writes why a run failed into its folder. Where that cannot be, as in a folder that may not be written, the others are made all
// the same.
func (x *executor) record(o *Outcome) error {
	folder := filepath.Join(x.Dir, o.ID)
	err := os.MkdirAll(folder, 0o777)
	if err == nil {
		err = checkpoint.WriteFile(filepath.Join(folder, FailedName), func(w io.Writer) error {
			_, err := io.WriteString(w, o.Problem+"\n")
			return err
		})
	}
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
	return x.complete(r, o)
}

// complete makes what a run lacks, in a folder that no other process is in.
func (x *executor) complete(r *Run, o **Outcome) error {
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
	case (*o).Blocked():
		return errors.New((*o).Reason())
	}
	x.enter(r)
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
	return removeLitter(folder) // of earlier attempts, and of a process that was killed when it had written the result
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
