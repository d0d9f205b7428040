package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"

	"fewshot/nn/checkpoint"
	"fewshot/nn/quote"
	"fewshot/nn/words"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
)

// stateInfo describes a training checkpoint.
type stateInfo struct {
	Kind  string            `json:"kind"` // training
	Path  string            `json:"path"`
	Steps int               `json:"steps"`
	At    train.Position    `json:"position"`
	Run   map[string]string `json:"run"` // settings, data and backbone of the run
}

func describeState(path string) (description, error) {
	s, err := train.ReadState(path)
	if err != nil {
		return nil, err
	}
	return &stateInfo{"training", path, s.Steps, s.At, s.Run}, nil
}

func (r *stateInfo) print(w io.Writer) {
	fmt.Fprintf(w, "%s: training checkpoint after %s, to go on at batch %d of epoch %d\n", r.Path, words.Count(r.Steps, "step"), r.At.Batch+1, r.At.Epoch+1)
	printPairs(w, "of the run with", r.Run)
}

// runInfo describes an output folder of train.
type runInfo struct {
	Kind     string          `json:"kind"` // run
	Path     string          `json:"path"`
	Finished bool            `json:"finished"`
	Result   json.RawMessage `json:"result,omitempty"` // result.json
	Problems []string        `json:"problems,omitempty"`
	Mask     *maskInfo       `json:"mask,omitempty"`
	Tuned    *tunedInfo      `json:"tuned,omitempty"`
	Training *stateInfo      `json:"training,omitempty"` // the newest checkpoint
}

func describeRun(dir string) (description, error) {
	r := &runInfo{Kind: "run", Path: dir}
	result := filepath.Join(dir, run.ResultName)
	b, err := checkpoint.ReadFile(result, run.MaxResult)
	switch {
	case err == nil:
		if err := isResult(b); err != nil {
			return nil, fmt.Errorf("%s: %w", result, err)
		}
		r.Finished, r.Result = true, b
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if mask := filepath.Join(dir, run.MaskName); exists(mask) {
		d, err := describeMask(mask)
		if err != nil {
			return nil, err
		}
		r.Mask = d.(*maskInfo)
	}
	if tuned := filepath.Join(dir, run.TunedName); exists(tuned) {
		d, err := describeTuned(tuned)
		if err != nil {
			return nil, err
		}
		r.Tuned = d.(*tunedInfo)
	}
	r.compare()
	states, err := train.StateFiles(dir)
	if err != nil {
		return nil, err
	}
	if len(states) > 0 {
		d, err := describeState(states[0])
		if err != nil {
			return nil, err
		}
		r.Training = d.(*stateInfo)
	}
	return r, nil
}

// compare finds what is wrong with the result, and whether the file that it names lies in the folder.
func (r *runInfo) compare() {
	if r.Result == nil {
		return
	}
	if _, err := run.ParseResult(r.Result); err != nil {
		r.Problems = append(r.Problems, fmt.Sprintf("%s: %v", run.ResultName, err))
	}
	var t run.Result
	_ = json.Unmarshal(r.Result, &t) // of another version only what is alike is compared
	if t.File == "" {
		return
	}
	sum := ""
	switch file := t.Learned(r.Path); {
	case !exists(file):
		r.Problems = append(r.Problems, fmt.Sprintf("%s is missing, which the run left", file))
		return
	case filepath.Base(file) == run.MaskName && r.Mask != nil:
		sum = r.Mask.Sum
	case filepath.Base(file) == run.TunedName && r.Tuned != nil:
		sum = r.Tuned.Sum
	}
	if sum != "" && t.FileSum != "" && sum != t.FileSum {
		r.Problems = append(r.Problems, fmt.Sprintf("%s is not what the run left: its SHA-256 is %s, and %s says %s", t.Learned(r.Path), sum, run.ResultName, quote.Plain(t.FileSum)))
	}
}

// isResult refuses what is no result of a run. A result.json of another version may lack fields and have others.
func isResult(b []byte) error {
	var object map[string]json.RawMessage
	if err := json.Unmarshal(b, &object); err != nil {
		return fmt.Errorf("is not a JSON object: %w", err)
	}
	var said struct{ Kind, Dataset string }
	if err := json.Unmarshal(b, &said); err != nil || said.Kind != "result" || said.Dataset == "" {
		return errors.New("is no result of a run")
	}
	return nil
}

func (r *runInfo) print(w io.Writer) {
	if !r.Finished {
		fmt.Fprintf(w, "%s: run that is not finished; %s\n", r.Path, run.GoOn(r.Path))
	} else {
		var t run.Result
		// Of a result.json of another version only what is alike is printed.
		_ = json.Unmarshal(r.Result, &t)
		if t.File != "" { // it may have been moved
			t.File = t.Learned(r.Path)
		}
		fmt.Fprintf(w, "%s: finished run\n", r.Path)
		t.Print(w)
	}
	for _, p := range r.Problems {
		fmt.Fprintf(w, "  problem    %s\n", quote.Plain(p))
	}
	if r.Mask != nil {
		fmt.Fprintln(w)
		r.Mask.print(w)
	}
	if r.Tuned != nil {
		fmt.Fprintln(w)
		r.Tuned.print(w)
	}
	if r.Training != nil {
		fmt.Fprintln(w)
		r.Training.print(w)
	}
}
