package plan

import (
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"fewshot/datasets"
	"fewshot/nn/words"
	"fewshot/rmt/clip"
	"fewshot/rmt/run"
)

// train makes the run's result.
func (x *executor) train(r *Run, m *clip.Model, below, folder string, held *run.Folder) error {
	ds, err := x.data(r)
	if err != nil {
		return err
	}
	q := x.request(r, m, ds, r.Templates(ds))
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
	if r.Select != nil {
		q.Select = &run.Selection{On: r.Select.On, Grid: r.Select.Grid}
		if q.Variants, err = r.variants(); err != nil {
			return err
		}
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
		Synthetic: strings.HasPrefix(r.Data.Name, synthPrefix), Loader: x.Loader, SaveEvery: x.SaveEvery, Program: x.Program, Flags: x.flags(r), UI: quiet{x.UI, r.ID(), &x.warned}, Shared: shared}
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
		"image-size": number(r.Model.ImageSize), "ensemble-order": r.Model.Ensemble, "precision": r.Model.Precision, "dataset": r.Data.Name, "classes": r.Data.Classes, "shots": strconv.Itoa(r.Data.Shots),
		"seed": strconv.FormatUint(r.Data.Seed, 10), "split": r.Data.Reading.Division, "class-names": r.Data.Reading.ClassNames, "label-column": r.Data.Reading.LabelColumn,
		"class-level": number(r.Data.Reading.ClassLevel)} {
		if v != "" {
			all[name] = v
		}
	}
	if p := r.Data.Prompts; p != nil {
		all["class-prompts"] = p.Path
	}
	if r.Data.Sample != "" {
		all["sample"] = r.Data.Sample
	}
	if s := r.Select; s != nil {
		all["select"] = s.On
		if len(s.Grid) > 0 {
			all["grid"] = gridWords(s.Grid)
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

// quiet keeps what every run says of itself to itself; bars remain, and warnings, with its id. One that another run has had in the same
// words is counted, and told of at the end.
type quiet struct {
	run.UI
	id     string
	warned *warned
}

func (quiet) Note(string, ...any) {}
func (quiet) Event(any) error     { return nil }
func (q quiet) Warn(format string, a ...any) {
	said := fmt.Sprintf(format, a...)
	if q.warned.again(q.id, said) {
		return
	}
	q.UI.Warn("%s: %s", q.id, said)
}

// warned are the warnings of runs: of each those that had it, in the order in which they came.
type warned struct {
	words []string
	runs  map[string][]string
}

// again reports whether another run has had a warning.
func (w *warned) again(id, said string) bool {
	ids := w.runs[said]
	if ids == nil {
		if w.runs == nil {
			w.runs = map[string][]string{}
		}
		w.words = append(w.words, said)
	}
	if !slices.Contains(ids, id) {
		w.runs[said] = append(ids, id)
	}
	return len(ids) > 0 && ids[0] != id
}

// tell tells of those that several runs had.
func (w *warned) tell(u run.UI) {
	for _, said := range w.words {
		if n := len(w.runs[said]); n > 1 {
			u.Warn("as %s, so %s: %s", w.runs[said][0], words.Count(n-1, "other run"), said)
		}
	}
}
