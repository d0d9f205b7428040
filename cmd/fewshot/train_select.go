package main

import (
	"maps"
	"slices"
	"strings"

	"fewshot/rmt/method"
	"fewshot/rmt/run"
)

// grid is the value of -grid: settings with values to choose among, of several flags or with a semicolon between.
type grid []run.Axis

// Set adds what a flag says.
func (g *grid) Set(s string) error {
	for part := range strings.SplitSeq(s, ";") {
		a, err := run.ParseAxis(part)
		if err != nil {
			return err
		}
		*g = append(*g, a)
	}
	return nil
}

// String is all of it, as Set reads it.
func (g *grid) String() string {
	if g == nil {
		return ""
	}
	var all []string
	for _, a := range *g {
		all = append(all, a.Name+"="+strings.Join(a.Values, ","))
	}
	return strings.Join(all, ";")
}

// selection is what -select and -grid ask for; nil for nothing.
func (f *trainFlags) selection() (*run.Selection, error) {
	if f.choose == "" && f.axes == nil {
		return nil, nil
	}
	s := &run.Selection{On: "val", Grid: f.axes}
	if _, err := s.Combinations(); err != nil {
		return nil, usagef("-grid: %v", err)
	}
	return s, nil
}

// variants are the settings for each combination of a grid: those of the run of -from, if it had this grid, or else the run's own with
// what the combination sets.
func (f *trainFlags) variants(m *method.Method, s *run.Selection) ([]run.Variant, error) {
	if len(s.Grid) == 0 {
		return nil, nil
	}
	if f.then != nil && f.then.Spec.Select != nil && f.then.Spec.Method == m.Name && sameGrid(f.then.Spec.Select.Grid, s.Grid) {
		all, err := f.then.Variants()
		for i := 0; i < len(all) && err == nil; i++ {
			all[i].Settings, err = f.change(all[i].Settings)
		}
		return all, err
	}
	sets, err := s.Combinations()
	if err != nil {
		return nil, err
	}
	var all []run.Variant
	for _, set := range sets {
		own := *f
		own.given = maps.Clone(f.given)
		for name, v := range set {
			if given, ok := f.given[name]; ok {
				return nil, usagef("-grid sets %s, and so does -%s %s: leave one out", name, name, given)
			}
			own.given[name] = v
		}
		v := run.Variant{Set: set}
		if own.then != nil {
			v.Settings, err = own.settingsThen(m)
		} else {
			v.Settings, err = own.settings(m)
		}
		if err != nil {
			return nil, usagef("-grid: %v", err)
		}
		all = append(all, v)
	}
	return all, nil
}

func sameGrid(a, b []run.Axis) bool {
	return slices.EqualFunc(a, b, func(a, b run.Axis) bool { return a.Name == b.Name && slices.Equal(a.Values, b.Values) })
}
