package plan

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"fewshot/nn/checkpoint"
	"fewshot/nn/quote"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
)

// evaluate makes the further evaluations that are missing.
func (x *executor) evaluate(r *Run, o *Outcome, m *clip.Model, below, folder string) error {
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
	if e.Data == r.Data.Name && e.Templates == nil { // as it was trained
		if ds, err = r.Data.prompts(ds); err != nil {
			return err
		}
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
