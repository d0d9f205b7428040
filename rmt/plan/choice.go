package plan

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"fewshot/nn/checkpoint"
	"fewshot/nn/quote"
	"fewshot/rmt/method"
	"fewshot/rmt/run"
)

// OfProbe as a sample is what CoOp's linear probe draws, by numpy and not by Python's random.
const OfProbe = "lpclip"

// PromptsFile is a file of prompts for each class.
type PromptsFile struct {
	Path string `json:"path,omitempty"`
	Sum  string `json:"sha256"` // of the file
}

// maxPrompts is more than prompts for all of ImageNet's classes take.
const maxPrompts = 256 << 20

// OpenPrompts finds the digest of a file of prompts.
func OpenPrompts(path string) (*PromptsFile, error) {
	b, err := checkpoint.ReadFile(path, maxPrompts)
	if err != nil {
		return nil, err
	}
	return &PromptsFile{path, fullHash(b)}, nil
}

// check makes sure that the file is what it was when the plan was made.
func (p *PromptsFile) check() error {
	is, err := OpenPrompts(p.Path)
	if err == nil && is.Sum != p.Sum {
		err = fmt.Errorf("%s has SHA-256 %s; the plan was made for the prompts of %s", p.Path, is.Sum, p.Sum)
	}
	return err
}

// checkData refuses samples and prompts that there are not.
func (r *Run) checkData() error {
	switch p := r.Data.Prompts; {
	case r.Data.Sample != "" && r.Data.Sample != OfProbe:
		return fmt.Errorf("sample %s: a plan has CoOp's own, or %s", quote.String(r.Data.Sample), OfProbe)
	case r.Data.Sample != "" && r.Data.Shots == 0:
		return fmt.Errorf("sample %s draws a number of images per class: give shots", OfProbe)
	case p != nil && (p.Path == "" || p.Sum == ""):
		return errors.New("prompts by class need a file and its SHA-256")
	case p != nil && r.Data.Templates != nil:
		return errors.New("prompts by class take the place of templates: leave one out")
	}
	return nil
}

// checkChoice refuses a choice of epochs and settings that the method cannot make.
func (r *Run) checkChoice() error {
	if r.Select == nil {
		return nil
	}
	if r.Select.On != "val" || r.Select.Among != nil {
		return fmt.Errorf("a run chooses by validation images, val, and not by %s", quote.String(r.Select.On))
	}
	m, err := lookup(r.Method)
	if err != nil {
		return err
	}
	s, err := r.Chosen()
	if err == nil {
		err = r.Select.For(m, s)
	}
	if err == nil {
		_, err = r.Select.Combinations()
	}
	return err
}

// variants are the settings of each combination of the grid, for a run that chooses among them.
func (r *Run) variants() ([]run.Variant, error) {
	if r.Select == nil || len(r.Select.Grid) == 0 {
		return nil, nil
	}
	sets, err := r.Select.Combinations()
	if err != nil {
		return nil, err
	}
	var all []run.Variant
	for _, set := range sets {
		own := *r
		own.Settings = maps.Clone(r.Settings)
		if own.Settings == nil {
			own.Settings = map[string]string{}
		}
		for _, name := range slices.Sorted(maps.Keys(set)) {
			if given, ok := r.Settings[name]; ok {
				return nil, fmt.Errorf("the grid has %s, and it is set to %s besides: leave one out", name, given)
			}
			own.Settings[name] = set[name]
		}
		var s method.Settings
		if s, err = own.Chosen(); err != nil {
			return nil, err
		}
		all = append(all, run.Variant{Set: set, Settings: s})
	}
	return all, nil
}

// chosen says what is chosen by validation images, as the name of a row does.
func (r *Run) chosen() string {
	switch {
	case r.Select == nil:
		return ""
	case len(r.Select.Grid) == 0:
		return " epoch on val"
	}
	return " " + gridWords(r.Select.Grid) + " on val"
}

// gridWords is a grid as -grid of train reads it.
func gridWords(g []run.Axis) string {
	var all []string
	for _, a := range g {
		all = append(all, a.Name+"="+strings.Join(a.Values, ","))
	}
	return strings.Join(all, ";")
}
