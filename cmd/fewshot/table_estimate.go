package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"fewshot/nn/words"
	"fewshot/rmt"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
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
	Blocked int                `json:"blocked,omitempty"` // that will be passed over
	Seconds float64            `json:"seconds"`           // about, of the others
	Rates   map[string]float64 `json:"seconds_a_run"`
	Slowed  float64            `json:"slowed,omitempty"`  // how many times as long as reckoned the steps took, where that says that the machine was busy
	Unknown []string           `json:"unknown,omitempty"` // methods whose time could not be measured, and why
	Device  string             `json:"device"`
}

// estimate says what a plan takes here.
func (f *paperFlags) estimate(ctx context.Context, u *ui, name string, p *plan.Plan) error {
	d := dryRun{Kind: "dry-run", Name: name, Runs: p.Len(), Rates: map[string]float64{}}
	var missing []plan.Run
	for _, r := range p.All() {
		d.count(r)
		switch o := plan.Look(f.out, r, planVersion(f.any)); {
		case o.Blocked():
			d.Blocked++
			u.blocked(o)
		case o.State == plan.Done:
			d.Done++
		default:
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

// blocked tells of a run that run passes over.
func (u *ui) blocked(o *plan.Outcome) {
	u.Warn("%s: %s would be passed over: %s", o.ID, &o.Run, o.Reason())
}

// masks reports whether a method learns masks.
func masks(method string) bool {
	m, err := run.Lookup(method)
	return err == nil && m.Load == nil
}

func (d dryRun) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s (%d of masks, %d of other methods on masked encoders, %d of other methods, %d of the untouched model), %d done\n",
		d.Name, words.Count(d.Runs, "run"), d.Masks, d.Stacked, d.Others, d.Tests, d.Done)
	if n := d.Runs - d.Done - d.Blocked; n > 0 && d.Device != "" {
		fmt.Fprintln(w, toMake(n, d.Seconds, d.Device))
	}
	writeSlowed(w, d.Slowed)
	for _, s := range d.Unknown {
		fmt.Fprintf(w, "not known: %s\n", s)
	}
}

// toMake says what is to be made yet.
func toMake(n int, seconds float64, device string) string {
	took := "less than a second"
	if d := time.Duration(seconds * float64(time.Second)).Round(time.Second); d > 0 {
		took = "about " + d.String()
	}
	if n == 1 {
		return fmt.Sprintf("1 run is left, and takes %s on %s", took, device)
	}
	return fmt.Sprintf("%d runs are left, and take %s on %s, one after the other", n, took, device)
}

// writeSlowed says that a busy machine takes longer than it would by itself, which an estimate is for.
func writeSlowed(w io.Writer, slowed float64) {
	if slowed > 0 {
		fmt.Fprintf(w, "that is by the quickest of the measured steps: all together took %.1f times as long, as on a machine that does other work too\n", slowed)
	}
}

// errEnough ends a measurement.
var errEnough = errors.New("measured")

// measure estimates the time of runs: of each method, with each model, a few steps of one run are timed, and others are taken to cost in
// proportion to the images that they see.
func (f *paperFlags) measure(ctx context.Context, u *ui, dev *tensor.Device, runs []plan.Run, d *dryRun) error {
	type kind struct {
		method, model string
	}
	e := estimator{runFlags: &f.runFlags, ui: silent{u}, watch: newStopwatch(dev), open: &opener{u: u, dev: dev, root: f.root, vocab: f.runFlags.model.Vocab, offline: f.runFlags.model.offline}}
	rates := map[kind]float64{} // seconds for each image that is seen
	images := map[string]int{}
	size := func(r plan.Run) (int, error) {
		key := fmt.Sprint(r.Data.Name, r.Data.Classes)
		if _, ok := images[key]; !ok {
			ds, err := e.open.Dataset(ctx, r.Data.Name, r.Data.Reading)
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
	for _, r := range runs {
		if err := ctx.Err(); err != nil {
			return err
		}
		k := kind{r.Method, r.Model.Name}
		if _, ok := rates[k]; !ok {
			if err := e.model(ctx, r.Model); err != nil {
				return err
			}
			u.notesToErr().Note("measuring steps of %s with %s", r.Method, r.Model.Name)
			n, err := size(r)
			var seconds float64
			if err == nil {
				seconds, err = e.one(ctx, r)
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
		d.Seconds += rates[k] * float64(n*tried(r))
	}
	if e.slowed > busy {
		d.Slowed = e.slowed
	}
	return nil
}

// busy is how many times as long as the quickest step all may take that differ by themselves.
const busy = 2

// tried is how many settings a run chooses among, each of which it trains.
func tried(r plan.Run) int {
	n := 1
	if r.Select != nil {
		for _, a := range r.Select.Grid {
			n *= len(a.Values)
		}
	}
	return n
}

// seen is how many images a run of n training images sees, by its settings.
func seen(r plan.Run, n int) int {
	var of struct{ Epochs, Iterations, Batch, Passes int }
	if s, err := r.Chosen(); r.Method == plan.ZeroShot || err != nil {
		return n
	} else if b, err := json.Marshal(s); err != nil || json.Unmarshal(b, &of) != nil {
		return n
	}
	if of.Iterations > 0 {
		return of.Iterations * max(of.Batch, 1)
	}
	return n * max(of.Epochs+of.Passes, 1)
}

// estimator measures runs on one model after the other.
type estimator struct {
	*runFlags
	ui     silent
	open   *opener
	watch  stopwatch
	slowed float64 // at most, of the steps of a method
	opened plan.Model
	loaded *clip.Model
	heads  *method.Heads // class features, which all methods have in common
	image  float64       // seconds an image takes to be read and encoded; 0 where that is not known yet
}

// model opens a model, unless it is the one that is open.
func (e *estimator) model(ctx context.Context, m plan.Model) (err error) {
	if e.loaded != nil && e.opened == m {
		return nil
	}
	if e.loaded, err = e.open.Model(ctx, m); err == nil {
		e.opened, e.heads, e.image = m, &method.Heads{Model: e.loaded}, 0
	}
	return err
}

// encode measures what an image takes: by a few, then by more of them, until that has taken long enough.
func (e *estimator) encode(ctx context.Context, q *run.Request, head train.Head) error {
	if e.image > 0 || len(q.Data.Test) == 0 {
		return nil
	}
	var p pace
	for n := 2; ; n *= 4 {
		some := q.Data.Test[:min(n, len(q.Data.Test), e.loader.Batch)]
		end := e.watch.start()
		tests := e.loader.InOrder(e.open.dev, e.ui, q.Model, q.Data, some, true)
		_, err := run.Evaluate(ctx, e.ui, "", e.open.dev, train.Model{Encoder: q.Model.Image, Head: head}, tests)
		tests.Close()
		if err != nil {
			return err
		}
		p.add(end(), len(some))
		if p.known() || p.pieces >= 4 && len(some) < n {
			e.image = p.image
			return nil
		}
	}
}

// request is what asks for a run.
func (e *estimator) request(ctx context.Context, r plan.Run) (q run.Request, err error) {
	ds, err := e.open.Dataset(ctx, r.Data.Name, r.Data.Reading)
	if err == nil {
		ds, err = r.Take(ds)
	}
	if err != nil {
		return q, err
	}
	m := e.loaded.Share()
	q = run.Request{Dev: e.open.dev, Model: m, Data: ds, Classes: r.Data.Classes, Templates: r.Templates(ds), Shots: r.Data.Shots, Seed: r.Data.Seed, Micro: e.micro.on(e.open.dev, m),
		Loader: e.loader.Loader, UI: e.ui}
	if r.Method != plan.ZeroShot {
		q.Method, err = run.Lookup(r.Method)
	}
	return q, err
}

// one estimates a run from some of its steps. Of a method that has none, and is not done in time, it is the images that count.
func (e *estimator) one(ctx context.Context, r plan.Run) (float64, error) {
	q, err := e.request(ctx, r)
	if err != nil {
		return 0, err
	}
	ds := q.Data
	job, release := q.Job(false)
	defer release()
	job.Shared = e.heads
	head, err := job.Head(ctx)
	if err != nil {
		return 0, err
	}
	if err := e.encode(ctx, &q, head); err != nil {
		return 0, err
	}
	tested := e.image * float64(len(ds.Test))
	if r.Method == plan.ZeroShot {
		return tested, nil
	}
	if job.Settings, err = r.Chosen(); err != nil {
		return 0, err
	}
	short, cancel := context.WithTimeout(ctx, enough)
	defer cancel()
	end := e.watch.start()
	t, err := q.Method.Begin(short, job)
	if err == nil {
		defer t.Close()
		if t.Run != nil {
			begun := end().costs.Seconds()
			if t.Figures["travel_ratio"] >= 1 {
				distilled(t.Run.Trainer)
			}
			steps, err := e.steps(ctx, t.Run, len(ds.Train))
			return tested + begun + steps, err
		}
		if t.Solve != nil {
			err = t.Solve(short)
		}
	}
	if err != nil && short.Err() != nil {
		return tested + e.image*float64(e.images(r, t, len(ds.Train))), ctx.Err()
	}
	return tested + end().costs.Seconds(), err
}

// images are how many a run encodes that was not measured to its end. What has no steps has epochs on features alone.
func (e *estimator) images(r plan.Run, t *method.Training, n int) int {
	var of struct{ Passes int }
	if t == nil { // it would have steps, perhaps
		return seen(r, n)
	}
	if s, err := r.Chosen(); err == nil {
		if b, err := json.Marshal(s); err == nil && json.Unmarshal(b, &of) != nil {
			return n
		}
	}
	return n * max(of.Passes, 1)
}

// distilled switches a weight off: until masks do so themselves, which is in the first part of a run, there is no teacher beside a student, and
// steps take but half of the time of those that follow.
func distilled(t *train.Trainer) {
	if l, ok := t.Learner.(*rmt.Learner); ok && len(l.Masks) > 0 {
		scores := l.Masks[0].Scores.Floats()
		scores[0] = float32(l.Masks[0].Threshold) - 1
		l.Masks[0].Scores.Set(scores)
		l.Restored()
	}
}

// steps is what the steps of a training on n images take, by a few of them: the first, which records the sweep, and those that follow it.
func (e *estimator) steps(ctx context.Context, r *train.Run, n int) (seconds float64, err error) {
	var first time.Duration
	var p pace
	before, batch := train.Position{}, 0
	end := e.watch.start()
	r.Step = func(at train.Position, _ train.Stats) error {
		if at.Epoch != before.Epoch {
			before = train.Position{}
		}
		images := at.Images - before.Images
		before, batch = at, max(batch, images)
		if l := end(); first == 0 {
			first = l.costs
		} else if p.add(l, images); p.known() {
			return errEnough
		}
		return nil
	}
	if err := r.Train(ctx); err != nil && !errors.Is(err, errEnough) {
		return 0, err
	}
	e.slowed = max(e.slowed, p.slowed())
	epoch := min(n, batch*r.Data.Batches()) // a last batch may be smaller, or left out
	all := epoch * r.Epochs
	if r.Steps > 0 {
		all = epoch * r.Steps / r.Data.Batches()
	}
	return first.Seconds() + p.image*float64(max(all-batch, 0)), nil
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
