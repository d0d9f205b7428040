package run

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"

	"fewshot/nn/checkpoint"
	"fewshot/rmt/method"
)

// ReadResult reads the result.json of an output folder, or a file of that kind, and says in which folder it lies.
func ReadResult(path string) (r *Result, folder string, err error) {
	if s, err := os.Stat(path); err == nil && s.IsDir() {
		folder, path = path, filepath.Join(path, ResultName)
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			if err := otherFolder(folder); err != nil {
				return nil, "", err
			}
			return nil, "", fmt.Errorf("%s holds no finished run: it has no %s", folder, ResultName)
		}
	} else {
		folder = filepath.Dir(path)
	}
	if err := otherFile(path); err != nil {
		return nil, "", err
	}
	b, err := checkpoint.ReadFile(path, MaxResult)
	if err != nil {
		return nil, "", err
	}
	if r, err = ParseResult(b); err != nil {
		return nil, "", fmt.Errorf("%s: %w", path, err)
	}
	return r, folder, nil
}

// ParseResult reads a result.json. Results may have more in them than this program knows; specs, which say what a run is, may not, and one
// that is not what its digest says was changed by hand.
func ParseResult(b []byte) (*Result, error) {
	var r Result
	if err := json.Unmarshal(b, &r); err != nil {
		return nil, fmt.Errorf("is no result of a run: %w", err)
	}
	if r.Kind != "result" || r.Dataset == "" || r.Model == "" {
		return nil, errors.New("is no result of a run")
	}
	var said struct{ Spec json.RawMessage }
	if err := json.Unmarshal(b, &said); err != nil || said.Spec == nil {
		return nil, errors.New("has no spec of its run: it was written by a program older than specs, or by another")
	}
	var err error
	if r.Spec, err = ParseSpec(said.Spec); err != nil {
		return nil, err
	}
	h := r.Spec.Hash()
	if h != r.SpecHash { // it may be written otherwise than by this program, and say the same
		if r.Spec.Settings, err = plainJSON(r.Spec.Settings); err != nil {
			return nil, fmt.Errorf("the spec of a run cannot be read: %w", err)
		}
		h = r.Spec.Hash()
	}
	if h != r.SpecHash {
		return nil, fmt.Errorf("its spec is not the one of the run: spec_sha256 says %q, and it has %s; it was changed since it was written", r.SpecHash, h)
	}
	if err := r.possible(); err != nil {
		return nil, err
	}
	return &r, nil
}

// possible refuses figures that no test has.
func (r *Result) possible() error {
	for _, f := range []struct {
		name string
		a    *Accuracy
	}{{"test", r.Test}, {"zeroshot", r.ZeroShot}} {
		if err := f.a.Possible(); err != nil {
			return fmt.Errorf("%s.%w; it was changed since it was written", f.name, err)
		}
	}
	if c := r.Choice; c != nil && (c.Images < 0 || !(c.Accuracy >= 0 && c.Accuracy <= 100)) {
		return fmt.Errorf("choice.accuracy is %g of %d images; it was changed since it was written", c.Accuracy, c.Images)
	}
	if s := r.Sparsity; s != nil && (s.Off < 0 || s.Off > s.Total) {
		return fmt.Errorf("sparsity.off is %d of %d; it was changed since it was written", s.Off, s.Total)
	}
	if s, p := r.Sparsity, r.Percent; p != nil && (s == nil || !near(*p, s.Percent())) {
		return fmt.Errorf("sparsity_percent is %g, which is not that of sparsity; it was changed since it was written", *p)
	}
	return nil
}

// Possible says which field of an accuracy that was read cannot be; an accuracy that is not there can. Other programs may print
// percentages with fewer digits than this one, which prints all: two behind the point are enough.
func (a *Accuracy) Possible() error {
	switch {
	case a == nil:
		return nil
	case a.Images < 0:
		return fmt.Errorf("images is %d", a.Images)
	case a.Correct < 0 || a.Correct > a.Images:
		return fmt.Errorf("correct is %d of %d images", a.Correct, a.Images)
	case !near(a.Accuracy, percent(a.Correct, a.Images)):
		return fmt.Errorf("accuracy is %g, and %d of %d images are %g %%", a.Accuracy, a.Correct, a.Images, percent(a.Correct, a.Images))
	case !(a.MacroF1 >= 0 && a.MacroF1 <= 100+1e-9):
		return fmt.Errorf("macro_f1 is %g, and not from 0 to 100", a.MacroF1)
	}
	return nil
}

// near compares percentages.
func near(a, b float64) bool { return math.Abs(a-b) <= 0.005 }

// Again is the method of a result, with the settings that it had in the end.
func (r *Result) Again() (*method.Method, method.Settings, error) {
	m, err := Lookup(r.Spec.Method)
	if err != nil {
		return nil, nil, err
	}
	s, err := m.Settings(r.Spec.Settings)
	if err != nil {
		return nil, nil, fmt.Errorf("settings of %s: %w", m.Name, err)
	}
	return m, s, nil
}

// Learned is the file of what was learned, in the folder of a result. It may have been moved since it was written.
func (r *Result) Learned(folder string) string {
	return filepath.Join(folder, filepath.Base(filepath.ToSlash(r.File)))
}
