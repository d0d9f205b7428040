package run

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"fewshot/datasets"
	"fewshot/nn/checkpoint"
	"fewshot/nn/quote"
	"fewshot/nn/words"
	"fewshot/rmt"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Request is a run to be made, with everything opened.
type Request struct {
	Dev       *tensor.Device
	Model     *clip.Model
	Method    *method.Method
	Settings  method.Settings
	Data      *datasets.Dataset // with the sample and the classes taken
	Classes   string            // which: all, base or new
	Templates []string
	Shots     int
	Seed      uint64
	Below     string              // mask file to train under; "" for none
	Micro     func(batch int) int // see method.Job
	Synthetic bool
	Loader    Loader

	Out       string // output folder
	Resume    bool
	Held      *Folder           // Out, where the caller has it already; nil to open it
	SaveEvery time.Duration     // between checkpoints
	Select    *Selection        // of epoch and settings by validation images; nil for none
	Variants  []Variant         // of the settings, where there is a grid: one for each of its combinations
	ZeroShot  bool              // evaluate the untouched model too
	Program   string            // version
	Flags     map[string]string // by which all this was chosen, for the result
	UI        UI

	Shared *Shared // with other runs on the same model; nil for nothing
	Own    bool    // the model is the run's alone: what of it is not needed any more is given back

	// Record, if not nil, makes what is told the run's numbers, once it is known which run it is.
	Record func(Spec) (Recorder, error)

	recorder Recorder
	spent    *meter
	part     bool // of a grid: what is left is compared with others, and not tested
}

// Run trains, evaluates, and leaves what was learned, and result.json, in the output folder. What can be found wrong without work is
// found before any.
func (r *Request) Run(ctx context.Context) (*Result, error) {
	if r.Select != nil && len(r.Select.Grid) > 0 && !r.part {
		return r.grid(ctx)
	}
	r.spent = startMeter()
	if err := r.check(ctx); err != nil {
		return nil, err
	}
	below, takeOff, err := r.mask()
	if err != nil {
		return nil, err
	}
	defer takeOff()
	job, release := r.Job(below != "")
	defer release()
	data := job.Data.(*images)
	data.below = below
	if r.Held == nil {
		if err := MayUse(r.Out, r.Resume); err != nil {
			return nil, err
		}
	}
	t, err := r.Method.Begin(ctx, job)
	if err != nil {
		return nil, err
	}
	defer t.Close()
	spec, err := r.specOf(ctx, below)
	if err != nil {
		return nil, err
	}
	if _, masks := r.Settings.(*rmt.Config); t.Run != nil && !masks {
		spec.Compute.MicroBatch = t.Run.Trainer.MicroBatch
	}
	if r.Held == nil {
		out, err := OpenFolder(r.Out, r.Resume)
		if err != nil {
			return nil, err
		}
		defer out.Close()
	}
	result := r.result(spec, t)
	r.announce(t)
	if t.Run != nil {
		if err := train.CheckState(r.Out, spec.Fields()); err != nil {
			return nil, err
		}
	}
	if r.Own && !r.part && t.TextDone {
		if _, err := job.Head(ctx); err != nil {
			return nil, err
		}
		r.Model.ReleaseText()
	}
	if r.Record != nil {
		if r.recorder, err = r.Record(spec); err != nil {
			return nil, err
		}
		defer r.record(Recorder.Close)
	}
	tests := r.Loader.InOrder(r.Dev, r.UI, r.Model, r.Data, r.Data.Test, !r.ZeroShot)
	defer tests.Close()
	zeroShot := func() error {
		if !r.ZeroShot || len(r.Data.Test) == 0 || r.part {
			return nil
		}
		return r.zeroShot(ctx, job, tests, result)
	}
	if r.Select == nil { // a choice is made before test images are looked at
		if err := zeroShot(); err != nil {
			return nil, err
		}
	}
	if err := r.train(ctx, t, spec, result); err != nil {
		return nil, err
	}
	data.close() // what follows may need the memory
	if r.Select != nil {
		if err := r.choose(ctx, t, result); err != nil {
			return nil, err
		}
		if err := zeroShot(); err != nil {
			return nil, err
		}
	}
	if len(r.Data.Test) > 0 && !r.part {
		began := time.Now()
		a, err := r.learned(ctx, t, data, tests)
		if err != nil {
			if ctx.Err() != nil && t.Run != nil {
				r.interrupted()
			}
			return nil, err
		}
		result.Test = &a
		if !data.given {
			result.EvalRate = float64(a.Images) / time.Since(began).Seconds()
		}
	}
	if err := r.write(result, spec, t.Learned); err != nil {
		return nil, err
	}
	r.record(func(c Recorder) error { return c.End(result) })
	return result, train.RemoveState(r.Out)
}

// Job is what the method begins on. release gives back what it has made.
func (r *Request) Job(masked bool) (j *method.Job, release func()) {
	data := &images{dev: r.Dev, model: r.Model, ds: r.Data, loader: r.Loader, seed: r.Seed, ui: r.UI, peeks: r.Method != nil && r.Method.Peeks,
		passes: &passes{}, sums: map[method.Split]*sums{}}
	if r.Shared != nil {
		data.shared, data.state, data.passes = r.Shared, snapshot(r.Model), r.Shared.passes
	}
	j = &method.Job{Dev: r.Dev, Model: r.Model, Classes: r.Data.Classes, Templates: r.Templates, Prompts: r.Data.Prompts, Settings: r.Settings, Seed: r.Seed,
		Data: data, Masked: masked, Micro: r.Micro, Progress: r.UI.Progress}
	if r.Shared != nil && r.Data.Prompts == nil { // which are of one data set
		j.Shared = &r.Shared.heads
	}
	return j, func() {
		data.close()
		j.Close()
	}
}

// check refuses what cannot become a result.
func (r *Request) check(ctx context.Context) error {
	switch {
	case len(r.Data.Train) == 0:
		return fmt.Errorf("%s has no training images; it is for evaluation only", r.Data.Name)
	case len(r.Data.Classes) < 2:
		return fmt.Errorf("%s has one class, %q: every model is right about it. Give the folder above, or one with several classes", r.Data.Name, r.Data.Classes[0])
	}
	if err := method.Check(r.Settings); err != nil {
		return &clip.OptionError{Problem: err.Error()}
	}
	if err := r.Model.NeedText(); err != nil {
		return err
	}
	if err := r.selectable(ctx); err != nil {
		return err
	}
	if len(r.Data.Test) == 0 && !r.part {
		r.UI.Warn("%s has no test images, so there will be no accuracy", r.Data.Name)
	}
	if r.part {
		return nil // the grid has looked
	}
	if err := r.Data.Verify(ctx); err != nil {
		return err
	}
	return r.Data.Inspect(ctx, r.Data.Train) // a damaged image is to be known now, and not after the evaluation that comes first
}

// mask puts the mask below on the encoders, and is its digest. takeOff leaves the model as it was.
func (r *Request) mask() (sum string, takeOff func(), err error) {
	takeOff = func() {}
	if r.Below == "" {
		return "", takeOff, nil
	}
	f, err := OpenTuned(r.Below)
	if err != nil {
		return "", takeOff, err
	}
	defer f.Close()
	if f.Masks == nil {
		return "", takeOff, fmt.Errorf("%s is no mask: %s was trained beside the encoder, and nothing can be trained under it", f.Path, f.Spec.Method)
	}
	masks, err := (&Loaded{Mask: f}).PutMask(r.Model, false)
	return f.Sum, func() {
		for _, m := range masks {
			m.Detach()
			m.Scores.Release()
		}
	}, err
}

// specOf is what the run is, once the method has settled its settings.
func (r *Request) specOf(ctx context.Context, below string) (s Spec, err error) {
	s = Spec{Method: r.Method.Name, Below: below, Compute: ComputeOf(r.Dev), Data: DataSpec{Title: r.Data.Title, Classes: r.Classes,
		Split: r.Data.SplitHash(), Templates: r.Templates, Prompts: r.Data.PromptsHash(), Shots: r.Shots, Seed: r.Seed}}
	if s.Model, err = r.Model.Spec(); err != nil {
		return s, err
	}
	if s.Settings, err = settingsJSON(r.Settings); err != nil {
		return s, err
	}
	if s.Data.Sample, err = r.Data.Digest(ctx, r.Data.Train); err != nil {
		return s, err
	}
	if s.Select = r.Select; r.Method.Validates || r.Select != nil {
		s.Data.Val, err = r.Data.Digest(ctx, r.Data.Val)
	}
	if err == nil && r.Method.Peeks {
		s.Data.Test, err = r.Data.Digest(ctx, r.Data.Test)
	}
	return s, err
}

// settingsJSON is the one form of a method's settings.
func settingsJSON(s method.Settings) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	err := e.Encode(s)
	return bytes.TrimSpace(b.Bytes()), err
}

func (r *Request) result(s Spec, t *method.Training) *Result {
	return &Result{Kind: "result", SpecHash: s.Hash(), Spec: s, Model: r.Model.Name, Backbone: r.Model.Digest, Dataset: r.Data.Name, Title: r.Data.Title,
		Synthetic: r.Synthetic, Classes: r.Classes, NumClass: len(r.Data.Classes), Templates: r.Templates, Shots: r.Shots, Seed: r.Seed,
		Train: len(r.Data.Train), Split: s.Data.Split, Method: s.Method, Config: s.Settings, Figures: t.Figures, Device: r.Dev.Describe(), Program: r.Program, Flags: r.Flags}
}

// announce says what is about to happen.
func (r *Request) announce(t *method.Training) {
	steps := ""
	if t.Run != nil {
		steps = fmt.Sprintf(", %s an epoch, %s", words.Count(t.Run.Data.Batches(), "step"), words.Count(t.Run.Epochs, "epoch"))
	}
	if ratio, ok := t.Figures["travel_ratio"]; ok {
		steps += fmt.Sprintf(", travel ratio %.2f", ratio)
	}
	r.UI.Note("%s: %s, %s%s", r.Data.Name, words.Count(len(r.Data.Classes), "class"), words.Count(len(r.Data.Train), "training image"), steps)
	for _, w := range t.Warnings {
		r.UI.Warn("%s", w)
	}
}

// zeroShot evaluates the model as it is before training, under the mask below if there is one. A run's own masks hide nothing yet.
func (r *Request) zeroShot(ctx context.Context, job *method.Job, tests *Source, result *Result) error {
	head, err := job.Head(ctx)
	if err != nil {
		return err
	}
	a, err := r.test(ctx, "zero-shot", job.Data.(*images), train.Model{Encoder: r.Model.Image, Head: head}, tests)
	if err != nil {
		return err
	}
	result.ZeroShot = &a
	r.UI.Note("zero-shot: %.2f %% of %s", a.Accuracy, words.Count(a.Images, "test image"))
	return nil
}

// learned evaluates what was learned.
func (r *Request) learned(ctx context.Context, t *method.Training, d *images, tests *Source) (Accuracy, error) {
	c, err := t.Learned.Classifier(ctx, r.Data.Classes)
	if err != nil {
		return Accuracy{}, err
	}
	return r.test(ctx, "test", d, c, tests)
}

// Test classifies the test images of the request's data by what a job of it has learned.
func (r *Request) Test(ctx context.Context, what string, j *method.Job, c train.Classifier) (Accuracy, error) {
	tests := r.Loader.InOrder(r.Dev, r.UI, r.Model, r.Data, r.Data.Test, true)
	defer tests.Close()
	return r.test(ctx, what, j.Data.(*images), c, tests)
}

// interrupted says how to go on.
func (r *Request) interrupted() {
	if r.Held != nil { // whoever holds the folder knows how
		return
	}
	if r.part { // the folder of the whole is what is gone on with
		return
	}
	r.UI.Warn("interrupted; go on with -resume -out %s and the same settings", quote.Shell(r.Out))
}

// train makes the steps, from the last checkpoint on if there is one, and what needs none.
func (r *Request) train(ctx context.Context, t *method.Training, spec Spec, result *Result) error {
	if run := t.Run; run != nil {
		if err := r.steps(ctx, run, t, spec.Fields()); err != nil {
			return err
		}
		result.Epochs = run.Done.Epochs
		if _, given := run.Data.(*frozen); !given { // which other runs may have computed
			result.TrainRate = run.Rate()
		}
	}
	if t.Solve == nil {
		return nil
	}
	return t.Solve(ctx)
}

// steps runs the epochs that are left.
func (r *Request) steps(ctx context.Context, run *train.Run, t *method.Training, identity map[string]string) error {
	if r.epochs() {
		defer r.validateEpochs(ctx, t)()
	}
	state, resumed, err := train.RestoreState(r.Out, run.Trainer, identity, func(_ string, err error) { r.UI.Warn("passing over a damaged checkpoint: %v", err) })
	if err != nil {
		return err
	}
	if resumed {
		r.UI.Note("resuming at epoch %d, step %d", state.At.Epoch+1, state.At.Batch+1)
		run.At, run.Done = state.At, state.Done
		r.spent.add(run.Done.Whole)
		r.recordEpochs(run.Done.Epochs)
	}
	run.EndEpoch = func(e train.Epoch) error {
		val := ""
		if e.Val != nil {
			val = fmt.Sprintf(", %.2f %% of the validation images", *e.Val)
		}
		r.UI.Log("epoch %d of %d: loss %.4f, %.2f %% of the training images%s, %.3g images/s", e.Epoch, run.Epochs, e.Loss, e.Accuracy, val, run.Rate())
		event := EpochEvent{Kind: "epoch", Epoch: e}
		if masks := MasksOf(t.Learned); masks != nil {
			percent := rmt.SparsityOf(masks).Percent()
			event.Percent = &percent
		}
		r.record(func(c Recorder) error { return c.Epoch(event) })
		return r.UI.Event(event)
	}
	saved := time.Now()
	run.Save = func(p train.Position) error {
		if ctx.Err() == nil && time.Since(saved) < r.SaveEvery && p.Epoch < run.Epochs {
			return nil
		}
		saved = time.Now()
		cost := r.spent.cost()
		run.Done.Whole = &cost
		err := train.SaveState(r.Out, run.Trainer, p, run.Done, identity)
		if !errors.Is(err, checkpoint.IO) {
			return err
		}
		// A disk may be full for a while only; the checkpoint before is as good as it was.
		r.UI.Warn("no checkpoint at epoch %d, step %d: %v", p.Epoch+1, p.Batch+1, err)
		return ctx.Err()
	}
	err = steps(ctx, r.UI, r.Method.Name, run)
	if errors.Is(err, context.Canceled) {
		r.interrupted()
	}
	return err
}

// Train makes all steps of a method, with a bar, and what needs none. Nothing is saved.
func Train(ctx context.Context, u UI, what string, t *method.Training) error {
	if t.Run != nil {
		if err := steps(ctx, u, what, t.Run); err != nil {
			return err
		}
	}
	if t.Solve == nil {
		return nil
	}
	return t.Solve(ctx)
}

// steps makes those that are left, with a bar.
func steps(ctx context.Context, u UI, what string, run *train.Run) error {
	batches := run.Data.Batches()
	advance, finish := u.Progress(what, run.Epochs*batches)
	defer finish()
	run.Step = func(p train.Position, s train.Stats) error {
		advance(p.Epoch*batches+p.Batch, fmt.Sprintf("epoch %d of %d, loss %.3f, %.3g images/s", p.Epoch+1, run.Epochs, s.Loss, run.Rate()))
		return nil
	}
	return run.Train(ctx)
}

// EpochEvent is the line of -json at the end of an epoch.
type EpochEvent struct {
	Kind string `json:"kind"`
	train.Epoch
	Percent *float64 `json:"sparsity_percent,omitempty"`
}

// write writes what was learned and, last, result.json: a folder with a result.json is complete.
func (r *Request) write(result *Result, spec Spec, learned method.Learned) error {
	// A folder that was removed meanwhile is made again: what was learned is worth more.
	if err := os.MkdirAll(r.Out, 0o777); err != nil {
		return err
	}
	result.File = filepath.Join(r.Out, TunedName)
	if masks := MasksOf(learned); masks != nil {
		result.File = filepath.Join(r.Out, MaskName)
		names, err := json.Marshal(r.Data.Classes)
		if err != nil {
			return err
		}
		about := map[string]string{SpecKey: string(spec.JSON()), ClassesKey: string(names), "polarity": "1=keep"}
		if err := rmt.SaveMasks(result.File, masks, r.Model.Digest, about); err != nil {
			return err
		}
		result.Tensors = rmt.Sparsities(masks)
		s := rmt.SparsityOf(masks)
		percent := s.Percent()
		result.Sparsity, result.Percent = &s, &percent
		if s.Off == 0 {
			result.Remarks = append(result.Remarks, "no weight was switched off: the result is the untouched model; -epochs auto trains long enough")
		}
	} else if err := SaveTuned(result.File, spec, r.Data.Classes, learned.Tensors()); err != nil {
		return err
	}
	info, err := os.Stat(result.File)
	if err != nil {
		return err
	}
	if result.FileSum, err = fileSum(result.File); err != nil {
		return err
	}
	if r.Method.Peeks {
		result.Remarks = append(result.Remarks, "chosen by the test images: this accuracy is no estimate for others")
	}
	result.FileBytes = info.Size()
	r.spent.seconds(result)
	return r.save(result)
}

// save writes result.json.
func (r *Request) save(result *Result) error {
	return checkpoint.WriteFile(filepath.Join(r.Out, ResultName), func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		return e.Encode(result)
	})
}
