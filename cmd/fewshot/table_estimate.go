package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"fewshot/nn/words"
	"fewshot/rmt/clip"
	"fewshot/rmt/plan"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// dryRun is the result of -dry-run.
type dryRun struct {
	Kind    string             `json:"kind"`
	Name    string             `json:"name"`
	Runs    int                `json:"runs"`
	Masks   int                `json:"mask_runs"`      // of the paper's own methods
	Stacked int                `json:"stacked_runs"`   // of others on masked encoders
	Others  int                `json:"other_runs"`     // of others alone
	Tests   int                `json:"untrained_runs"` // of the untouched model
	Done    int                `json:"done"`
	Seconds float64            `json:"seconds"` // about, of the others
	Rates   map[string]float64 `json:"seconds_a_run"`
	Unknown []string           `json:"unknown,omitempty"` // methods whose time could not be measured, and why
	Device  string             `json:"device"`
}

// estimate says what a plan takes here.
func (f *paperFlags) estimate(ctx context.Context, u *ui, name string, p *plan.Plan) error {
	d := dryRun{Kind: "dry-run", Name: name, Runs: p.Len(), Rates: map[string]float64{}}
	var missing []plan.Run
	for _, r := range p.All() {
		d.count(r)
		o, err := plan.Load(f.out, r, f.version())
		if err != nil {
			return err
		}
		if o.State == plan.Done {
			d.Done++
		} else {
			missing = append(missing, r)
		}
	}
	if len(missing) > 0 { // at once, as measuring takes its time
		u.notesToErr().Note("%s: %s, %d done", name, words.Count(d.Runs, "run"), d.Done)
	}
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	d.Device = dev.Describe()
	if err := f.measure(ctx, u, dev, missing, &d); err != nil {
		return err
	}
	return u.result(d, d.print)
}

// count counts a run by its kind.
func (d *dryRun) count(r plan.Run) {
	switch {
	case r.Method == plan.ZeroShot:
		d.Tests++
	case r.Below != "":
		d.Stacked++
	case masks(r.Method):
		d.Masks++
	default:
		d.Others++
	}
}

// masks reports whether a method learns masks.
func masks(method string) bool {
	m, err := run.Lookup(method)
	return err == nil && m.Load == nil
}

func (d dryRun) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s (%d of masks, %d of other methods on masked encoders, %d of other methods, %d of the untouched model), %d done\n",
		d.Name, words.Count(d.Runs, "run"), d.Masks, d.Stacked, d.Others, d.Tests, d.Done)
	if d.Runs > d.Done && d.Device != "" {
		fmt.Fprintf(w, "the other %s about %v on %s, one after the other\n", words.Plural(d.Runs-d.Done, "takes", "take"), time.Duration(d.Seconds*float64(time.Second)).Round(time.Second), d.Device)
	}
	for _, s := range d.Unknown {
		fmt.Fprintf(w, "not known: %s\n", s)
	}
}

// A measurement of a method goes on for so many steps or so long, whichever comes later, but for no more than maxSteps.
const (
	fewSteps = 2
	maxSteps = 20
	enough   = time.Second
)

// errEnough ends a measurement.
var errEnough = errors.New("measured")

// measure estimates the time of runs: of each method, with each model, one run's steps are timed, and others are taken to cost in
// proportion to the images that they see.
func (f *paperFlags) measure(ctx context.Context, u *ui, dev *tensor.Device, runs []plan.Run, d *dryRun) error {
	type kind struct {
		method, model string
	}
	open := &opener{u: u, dev: dev, root: f.root, vocab: f.runFlags.model.Vocab, offline: f.runFlags.model.offline}
	rates := map[kind]float64{} // seconds for each image that is seen
	images := map[string]int{}
	size := func(r plan.Run) (int, error) {
		key := fmt.Sprint(r.Data.Name, r.Data.Classes)
		if _, ok := images[key]; !ok {
			ds, err := open.Dataset(ctx, r.Data.Name, r.Data.Reading)
			if err == nil {
				ds, err = ds.Subset(r.Data.Classes)
			}
			if err != nil {
				return 0, err
			}
			images[key] = len(ds.Classes)
		}
		return seen(r, images[key]*max(r.Data.Shots, 1)), nil
	}
	var model *clip.Model
	var opened plan.Model
	for _, r := range runs {
		if err := ctx.Err(); err != nil {
			return err
		}
		k := kind{r.Method, r.Model.Name}
		if _, ok := rates[k]; !ok {
			if model == nil || opened != r.Model {
				var err error
				if model, err = open.Model(ctx, r.Model); err != nil {
					return err
				}
				opened = r.Model
			}
			u.notesToErr().Note("measuring steps of %s with %s", r.Method, r.Model.Name)
			n, err := size(r)
			var seconds float64
			if err == nil {
				seconds, err = f.one(ctx, u, open, model, r)
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
			if err != nil {
				d.Unknown = append(d.Unknown, fmt.Sprintf("%s: %v", r.Method, err))
			}
			rates[k] = seconds / float64(max(n, 1))
			d.Rates[r.Method] = seconds
		}
		n, err := size(r)
		if err != nil {
			return err
		}
		d.Seconds += rates[k] * float64(n)
	}
	return nil
}

// seen is how many images a run of n training images sees, by its settings.
func seen(r plan.Run, n int) int {
	var of struct{ Epochs, Iterations, Batch int }
	if s, err := r.Chosen(); r.Method == plan.ZeroShot || err != nil {
		return n
	} else if b, err := json.Marshal(s); err != nil || json.Unmarshal(b, &of) != nil {
		return n
	}
	switch {
	case of.Epochs > 0:
		return n * of.Epochs
	case of.Iterations > 0:
		return of.Iterations * max(of.Batch, 1)
	}
	return n
}

// one estimates a run from some of its steps.
func (f *paperFlags) one(ctx context.Context, u *ui, open *opener, m *clip.Model, r plan.Run) (float64, error) {
	ds, err := open.Dataset(ctx, r.Data.Name, r.Data.Reading)
	if err != nil {
		return 0, err
	}
	if r.Data.Templates != nil {
		if ds, err = ds.WithTemplates(r.Data.Templates...); err != nil {
			return 0, err
		}
	}
	tested := len(ds.Test)
	if r.Method != plan.ZeroShot {
		if ds, err = ds.FewShot(r.Data.Shots, r.Data.Seed); err != nil {
			return 0, err
		}
	}
	if ds, err = ds.Subset(r.Data.Classes); err != nil {
		return 0, err
	}
	templates := r.Data.Templates
	if templates == nil {
		templates = []string{ds.Template}
	}
	q := run.Request{Dev: open.dev, Model: m, Data: ds, Classes: r.Data.Classes, Templates: templates, Shots: r.Data.Shots, Seed: r.Data.Seed, Micro: f.micro.on(open.dev, m),
		Loader: f.loader.Loader, UI: silent{u}}
	if r.Method != plan.ZeroShot {
		if q.Method, err = run.Lookup(r.Method); err != nil {
			return 0, err
		}
	}
	job, release := q.Job(false)
	defer release()
	// What an evaluation takes: a batch of the test images.
	some := ds.Test[:min(len(ds.Test), f.loader.Batch)]
	head, err := job.Head(ctx)
	if err != nil {
		return 0, err
	}
	tests := f.loader.InOrder(open.dev, q.UI, m, ds, some, true)
	began := time.Now()
	if len(some) > 0 {
		_, err = run.Evaluate(ctx, q.UI, "", open.dev, train.Model{Encoder: m.Image, Head: head}, tests)
	}
	tests.Close()
	if err != nil {
		return 0, err
	}
	seconds := time.Since(began).Seconds() * float64(tested) / float64(max(len(some), 1))
	if r.Method == plan.ZeroShot {
		return seconds, nil
	}
	if job.Settings, err = r.Chosen(); err != nil {
		return 0, err
	}
	began = time.Now()
	t, err := q.Method.Begin(ctx, job)
	if err != nil {
		return 0, err
	}
	if t.Close != nil {
		defer t.Close()
	}
	if t.Run == nil { // there are no steps: all of it is done
		if t.Solve != nil {
			err = t.Solve(ctx)
		}
		return seconds + time.Since(began).Seconds(), err
	}
	seconds += time.Since(began).Seconds()
	made := 0
	began = time.Now()
	var first time.Duration
	t.Run.Step = func(train.Position, train.Stats) error {
		if made++; made == 1 { // which records the sweep, and reads the images
			first, began = time.Since(began), time.Now()
		}
		if made > maxSteps || made > fewSteps && time.Since(began) > enough {
			return errEnough
		}
		return nil
	}
	if err := t.Run.Train(ctx); err != nil && !errors.Is(err, errEnough) {
		return 0, err
	}
	if made < 2 {
		return seconds + first.Seconds()*float64(t.Run.Epochs*t.Run.Data.Batches()), nil
	}
	step := time.Since(began).Seconds() / float64(made-1)
	return seconds + first.Seconds() + step*float64(t.Run.Epochs*t.Run.Data.Batches()), nil
}

// silent says nothing.
type silent struct{ u *ui }

func (silent) Note(string, ...any) {}
func (silent) Warn(string, ...any) {}
func (silent) Log(string, ...any)  {}
func (silent) Event(any) error     { return nil }

// Progress shows nothing.
func (silent) Progress(string, int) (advance func(int, string), finish func()) {
	return func(int, string) {}, func() {}
}
