package run

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"time"

	"fewshot/nn/checkpoint"
	"fewshot/rmt"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
)

// GridName is the folder in an output folder in which the settings of a grid have one each, until the best are known.
const GridName = "grid"

// identityName is the file in it that says which run they belong to.
const identityName = "run.json"

// grid makes a run for each of the settings, up to its validation, and leaves the best of them, tested. What was interrupted goes on in the
// settings' own folders, so that those that are done are not made again.
func (r *Request) grid(ctx context.Context) (*Result, error) {
	r.spent = startMeter()
	if err := r.check(ctx); err != nil {
		return nil, err
	}
	if r.Held == nil {
		if err := MayUse(r.Out, r.Resume); err != nil {
			return nil, err
		}
	}
	identity, err := r.gridIdentity(ctx)
	if err != nil {
		return nil, err
	}
	if err := r.begin(ctx); err != nil {
		return nil, err
	}
	if r.Held == nil {
		out, err := OpenFolder(r.Out, r.Resume)
		if err != nil {
			return nil, err
		}
		defer out.Close()
	}
	folder := filepath.Join(r.Out, GridName)
	if err := claimGrid(folder, identity); err != nil {
		return nil, err
	}
	before := r.spent.cost()
	var all []*Result
	best := 0
	for i := range r.Variants {
		result, err := r.variant(ctx, i, folder)
		if err != nil {
			if ctx.Err() != nil {
				r.interrupted()
			}
			return nil, err
		}
		if all = append(all, result); result.Choice.Accuracy > all[best].Choice.Accuracy {
			best = i
		}
	}
	r.spent = startMeter()
	r.spent.before = before
	for _, result := range all { // each has measured itself, in this process or in another
		r.spent.add(result.cost())
	}
	if err := r.chosen(r.gather(all, best)); err != nil {
		return nil, err
	}
	result, err := r.take(ctx, all[best])
	if err != nil {
		return nil, err
	}
	return result, os.RemoveAll(folder)
}

// gridIdentity is what the whole of a grid is determined by.
func (r *Request) gridIdentity(ctx context.Context) ([]byte, error) {
	below, takeOff, err := r.mask()
	if err != nil {
		return nil, err
	}
	takeOff()
	own := *r
	own.Settings = r.Variants[0].Settings
	own.Select = &Selection{On: r.Select.On, Grid: r.Select.Grid}
	for _, v := range r.Variants {
		s, err := settingsJSON(v.Settings)
		if err != nil {
			return nil, err
		}
		own.Select.Among = append(own.Select.Among, s)
	}
	s, err := own.specOf(ctx, below)
	s.Compute.MicroBatch = r.Micro(rmt.MaxBatch) // each of the settings may have a batch of its own
	return s.JSON(), err
}

// begin finds settings that the model or the data refuse before any of them are trained: the method is begun with each, up to where images are
// looked at.
func (r *Request) begin(ctx context.Context) error {
	heads := &method.Heads{Model: r.Model}
	defer heads.Close()
	for _, v := range r.Variants {
		if err := r.beginWith(ctx, v.Settings, heads); err != nil {
			return fmt.Errorf("%s: %w", Tried{Settings: v.Set}.words(), err)
		}
	}
	return nil
}

func (r *Request) beginWith(ctx context.Context, s method.Settings, heads *method.Heads) error {
	return r.apart(func(own *Request, job *method.Job) error {
		job.Settings = s
		job.Data.(*images).blind = true
		if r.Data.Prompts == nil {
			job.Shared = heads
		}
		t, err := r.Method.Begin(ctx, job)
		if err == nil {
			err = t.Close()
		}
		if errors.Is(err, errBlind) {
			return nil
		}
		return err
	})
}

// apart calls f with a request on a model of its own, under the mask below if there is one, and the job of it.
func (r *Request) apart(f func(own *Request, job *method.Job) error) error {
	own := *r
	own.Model, own.Shared = r.Model.Share(), nil
	below, takeOff, err := own.mask()
	if err != nil {
		return err
	}
	defer takeOff()
	job, release := own.Job(below != "")
	defer release()
	return f(&own, job)
}

// claimGrid makes the folder of a grid, or takes it up if it is the same one's.
func claimGrid(folder string, identity []byte) error {
	if err := os.MkdirAll(folder, 0o777); err != nil {
		return err
	}
	path := filepath.Join(folder, identityName)
	if err := checkpoint.RemoveTemporary(path); err != nil {
		return err
	}
	before, err := checkpoint.ReadFile(path, MaxResult)
	switch {
	case err == nil && bytes.Equal(before, identity):
		return nil
	case err == nil:
		was, err := ParseSpec(before)
		if err != nil {
			return fmt.Errorf("%s: %w", path, err)
		}
		now, err := ParseSpec(identity)
		if err != nil {
			return err
		}
		a, b := was.Fields(), now.Fields()
		differ := ""
		for _, k := range slices.Sorted(maps.Keys(b)) {
			if a[k] != b[k] {
				differ = k
				break
			}
		}
		return fmt.Errorf("%s: %w, whose %s was another", path, train.ErrOtherRun, differ)
	case !errors.Is(err, os.ErrNotExist):
		return err
	}
	return checkpoint.WriteFile(path, func(w io.Writer) error {
		_, err := w.Write(identity)
		return err
	})
}

// variant makes the run of one of the settings, or reads what came of it.
func (r *Request) variant(ctx context.Context, i int, folder string) (*Result, error) {
	dir := filepath.Join(folder, fmt.Sprintf("%03d", i))
	v := r.Variants[i]
	if _, err := os.Stat(filepath.Join(dir, ResultName)); err == nil {
		result, _, err := ReadResult(dir)
		if err == nil && (result.Choice == nil || len(result.Choice.Val) == 0) {
			err = fmt.Errorf("%s: the result says nothing of validation images", dir)
		}
		if err == nil {
			result.File = result.Learned(dir)
		}
		return result, err
	}
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	own := *r
	own.part, own.Out, own.Held, own.Settings, own.Variants, own.Shared = true, dir, nil, v.Settings, nil, nil
	own.Resume = len(entries) > 0
	own.Select = &Selection{On: r.Select.On, Grid: r.Select.Grid}
	own.Model = r.Model.Share() // nothing that one leaves on the encoders reaches the next
	r.UI.Note("settings %d of %d: %s", i+1, len(r.Variants), Tried{Settings: v.Set}.words())
	return own.Run(ctx)
}

// gather makes one choice of all settings', in the result of the best.
func (r *Request) gather(all []*Result, best int) *Choice {
	c := all[best].Choice
	c.Table = nil
	r.Select = &Selection{On: r.Select.On, Grid: r.Select.Grid}
	for i, result := range all {
		tried := result.Choice.Tried
		tried.Settings = r.Variants[i].Set
		c.Table = append(c.Table, tried)
		r.Select.Among = append(r.Select.Among, result.Spec.Settings)
	}
	c.Settings = r.Variants[best].Set
	return c
}

// take writes what the best settings have left as the run's own, tested.
func (r *Request) take(ctx context.Context, result *Result) (*Result, error) {
	mask, tuned := r.Below, result.File
	if result.Sparsity != nil {
		mask, tuned = result.File, ""
	}
	loaded, err := OpenLoaded(mask, tuned)
	if err != nil {
		return nil, err
	}
	defer loaded.Close()
	own := *r
	own.Model, own.Shared = r.Model.Share(), nil
	if own.Settings, err = r.Method.Settings(result.Spec.Settings); err != nil {
		return nil, err
	}
	tests := r.Loader.InOrder(r.Dev, r.UI, own.Model, r.Data, r.Data.Test, !r.ZeroShot)
	defer tests.Close()
	if r.ZeroShot && len(r.Data.Test) > 0 {
		if err := own.zeroShotBelow(ctx, tests, result); err != nil {
			return nil, err
		}
	}
	job, release := own.Job(false)
	defer release()
	applied, err := loaded.apply(ctx, job, false)
	if applied.learned != nil {
		defer applied.learned.Close()
	}
	if err != nil {
		return nil, err
	}
	learned := applied.learned
	if result.Sparsity != nil {
		learned = masked{job: job, masks: applied.masks}
	}
	if len(r.Data.Test) > 0 {
		began := time.Now()
		a, err := Evaluate(ctx, r.UI, "test", r.Dev, applied.Classifier, tests)
		if err != nil {
			return nil, err
		}
		result.Test, result.EvalRate = &a, float64(a.Images)/time.Since(began).Seconds()
	}
	spec := result.Spec
	spec.Select = r.Select
	result.Spec, result.SpecHash = spec, spec.Hash()
	result.Remarks = nil // write makes them
	return result, own.write(result, spec, learned)
}

// zeroShotBelow is zeroShot on a model of its own, under the mask below if there is one.
func (r *Request) zeroShotBelow(ctx context.Context, tests *Source, result *Result) error {
	return r.apart(func(own *Request, job *method.Job) error { return own.zeroShot(ctx, job, tests, result) })
}
