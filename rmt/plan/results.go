package plan

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"fewshot/nn/checkpoint"
	"fewshot/nn/quote"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
)

// FailedName is the file in a run's folder that says why it failed.
const FailedName = "failed.txt"

// State is how far a run is.
type State string

// The states of a run.
const (
	Done    State = "done"
	Missing State = "missing"
	Partial State = "partial" // begun, or trained, with evaluations missing
	Failed  State = "failed"
	Foreign State = "foreign" // its result is of another version of the program
)

// Outcome is what has become of a run.
type Outcome struct {
	ID    string
	Run   Run
	State State
	// Result is the run's; nil unless it is trained and tested.
	Result *run.Result
	// Evaluations are the further ones by Key; those that are missing are not there.
	Evaluations map[string]*Evaluated
	Problem     string // of a failed run, or a foreign one

	broken bool // what is there cannot be read, or is another's
	litter bool // it is done, and there are files of which it had need before
}

// Reason is the first line of what went wrong.
func (o *Outcome) Reason() string {
	first, _, _ := strings.Cut(strings.TrimSpace(o.Problem), "\n")
	return first
}

// Test is the outcome of a further evaluation of the run; nil where there is none. An evaluation of the run's own data, classes and
// templates is its result.
func (o *Outcome) Test(e Evaluation) *run.Accuracy {
	if v := o.Evaluations[e.Key()]; v != nil {
		return v.Test
	}
	if o.Result != nil && e.Data == o.Run.Data.Name && e.Classes == o.Run.Data.Classes && e.Templates == nil {
		return o.Result.Test
	}
	return nil
}

// Evaluated is the file of a further evaluation.
type Evaluated struct {
	Kind       string        `json:"kind"` // "evaluation"
	Run        string        `json:"run"`  // id
	Evaluation Evaluation    `json:"evaluation"`
	File       string        `json:"file_sha256,omitempty"` // of what was tested; none of the untouched model
	Dataset    string        `json:"dataset_title"`
	NumClass   int           `json:"num_classes"`
	Templates  []string      `json:"templates"`
	Split      string        `json:"split_sha256"`
	Test       *run.Accuracy `json:"test"`              // null where it was refused
	Refused    string        `json:"refused,omitempty"` // why what was learned has nothing to say of these classes
	Program    string        `json:"program"`
	Seal       string        `json:"seal"` // SHA-256 of the file with the seal empty
}

const evaluatedKind = "evaluation"

// evaluatedName is the file of an evaluation in the run's folder.
func evaluatedName(key string) string { return "eval-" + key + ".json" }

// sealed is the file's one form.
func (e Evaluated) sealed() []byte {
	e.Seal = ""
	e.Seal = fullHash(canonical(e))
	return append(canonical(e), '\n')
}

// readEvaluated reads one.
func readEvaluated(path, id, key string) (*Evaluated, error) {
	b, err := checkpoint.ReadFile(path, maxLine)
	if err != nil {
		return nil, err
	}
	e, err := parseEvaluated(b, id, key)
	if err != nil {
		return nil, fmt.Errorf("%s%w", path, err)
	}
	return e, nil
}

// parseEvaluated reads the file of an evaluation of a run. Errors go on from the file's name.
func parseEvaluated(b []byte, id, key string) (*Evaluated, error) {
	var e Evaluated
	if err := strict(b, &e); err != nil {
		return nil, fmt.Errorf(": %w", err)
	}
	if string(e.sealed()) != string(b) {
		return nil, errors.New(" is damaged or was changed: its seal does not fit; remove it, and run the plan again")
	}
	if e.Kind != evaluatedKind || e.Run != id || e.Evaluation.Key() != key || (e.Test == nil) == (e.Refused == "") {
		return nil, errors.New(" belongs to another run or evaluation")
	}
	if err := e.Test.Possible(); err != nil {
		return nil, fmt.Errorf(": test.%w; it was changed since it was written", err)
	}
	return &e, nil
}

// whole makes sure that what a run has learned is still beside its result.
func whole(folder string, r *run.Result) error {
	if r.File == "" {
		return nil
	}
	path := filepath.Join(folder, filepath.Base(r.File))
	s, err := os.Stat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("%s is not there, and %s says that the run is done; remove the folder, and run the plan again", path, run.ResultName)
	case err == nil && s.Size() != r.FileBytes:
		return fmt.Errorf("%s has %d bytes, and had %d when it was written; remove the folder, and run the plan again", path, s.Size(), r.FileBytes)
	}
	return err
}

// Load reads what has become of a run in the folder of a plan's runs. A result of another version than program counts as [Foreign],
// unless program is "". An error is a file that cannot be read, or that is not what it should be.
func Load(dir string, r Run, program string) (*Outcome, error) {
	o := &Outcome{ID: r.ID(), Run: r, State: Missing, Evaluations: map[string]*Evaluated{}}
	folder := filepath.Join(dir, o.ID)
	entries, err := os.ReadDir(folder)
	if errors.Is(err, fs.ErrNotExist) {
		return o, nil
	}
	if err != nil {
		return nil, err
	}
	there := map[string]bool{}
	for _, e := range entries {
		there[e.Name()] = true
		if e.Name() != run.LockName {
			o.State = Partial
		}
	}
	if there[run.ResultName] {
		if o.Result, err = readResult(folder); err != nil {
			return nil, fmt.Errorf("%w; remove the folder %s, and run the plan again", err, folder)
		}
		if err := fits(&r, o.Result); err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Join(folder, run.ResultName), err)
		}
		if program != "" && o.Result.Program != program {
			o.State, o.Problem = Foreign, fmt.Sprintf("its result is of another version of the program, %s", quote.Plain(o.Result.Program))
			o.Result = nil
			return o, nil
		}
		if err := whole(folder, o.Result); err != nil {
			return nil, err
		}
		o.State = Done
		for _, e := range r.Evaluate {
			key := e.Key()
			if !there[evaluatedName(key)] {
				o.State = Partial
				continue
			}
			if o.Evaluations[key], err = readEvaluated(filepath.Join(folder, evaluatedName(key)), o.ID, key); err != nil {
				return nil, err
			}
		}
	}
	if o.State == Done {
		states, err := train.StateFiles(folder)
		if err != nil {
			return nil, err
		}
		o.litter = len(states) > 0 || there[FailedName] || there[run.LockName] || there[run.GridName]
	}
	if there[FailedName] && o.State != Done {
		b, err := checkpoint.ReadFile(filepath.Join(folder, FailedName), maxLine)
		if err != nil {
			return nil, err
		}
		o.State, o.Problem = Failed, string(b)
	}
	return o, nil
}

// readResult reads the result of a run's folder.
func readResult(folder string) (*run.Result, error) {
	r, _, err := run.ReadResult(folder)
	return r, err
}

// fits makes sure that a result is the run's.
func fits(r *Run, is *run.Result) error {
	data := ""
	if r.named() {
		data = r.Data.Name
	}
	for _, f := range []struct{ what, want, is string }{
		{"data set", data, is.Dataset},
		{"method", r.Method, is.Method},
		{"classes", r.Data.Classes, is.Classes},
		{"shots", fmt.Sprint(r.Data.Shots), fmt.Sprint(is.Shots)},
		{"seed", fmt.Sprint(r.Data.Seed), fmt.Sprint(is.Seed)},
		{"weights", r.Model.Digest, is.Backbone},
	} {
		if f.want != f.is && f.want != "" {
			return fmt.Errorf("is the result of another run: its %s is %s, the plan says %s; remove its folder, or give the plan another one for its runs", f.what, quote.String(f.is), quote.String(f.want))
		}
	}
	return nil
}

// writeEvaluated writes one into a run's folder.
func writeEvaluated(folder string, e Evaluated) error {
	return checkpoint.WriteFile(filepath.Join(folder, evaluatedName(e.Evaluation.Key())), func(w io.Writer) error {
		_, err := w.Write(e.sealed())
		return err
	})
}

// Look is Load where a run whose files cannot be read, or are not what they should be, is one that failed, with the reason. [Execute] passes
// it over, and its folder is left alone.
func Look(dir string, r Run, program string) *Outcome {
	o, err := Load(dir, r, program)
	if err != nil {
		return &Outcome{ID: r.ID(), Run: r, State: Failed, Problem: err.Error(), broken: true}
	}
	return o
}

// Blocked reports whether what lies in the run's folder keeps [Execute] from making it: a result of another version, or files that are not
// what they should be.
func (o *Outcome) Blocked() bool { return o.broken || o.State == Foreign }

// Collect reads the outcomes of all runs of a plan, in its order, by [Look].
func Collect(p *Plan, dir, program string) ([]*Outcome, error) {
	all := make([]*Outcome, p.Len())
	for i := range all {
		r, err := p.Run(i)
		if err != nil {
			return nil, err
		}
		all[i] = Look(dir, r, program)
	}
	return all, nil
}
