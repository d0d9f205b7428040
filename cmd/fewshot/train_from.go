package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"slices"

	"fewshot/rmt/method"
	"fewshot/rmt/run"
)

// methodOf is the method that a command line trains: the one that it names, or that of the result of -from.
func methodOf(args []string) string {
	name := defaultMethod
	if from := named(args, "from", ""); from != "" {
		if r, _, err := run.ReadResult(from); err == nil { // whoever runs says what is wrong with it
			name = r.Spec.Method
		}
	}
	return named(args, "method", name)
}

// follow takes up the run of -from: what the command line does not say is as it was then.
func (f *trainFlags) follow(fs *flag.FlagSet) error {
	r, _, err := run.ReadResult(f.from)
	if err != nil {
		return err
	}
	if f.given["recipe"] != "" {
		return usagef("-recipe chooses among published settings, and -from has settings: leave one out")
	}
	f.then = r
	was := flagsOf(r)
	fs.Visit(func(g *flag.Flag) {
		if slices.Contains(lasting, g.Name) {
			f.differs("-"+g.Name, was[g.Name], g.Value.String())
		}
	})
	f.differs("-method", r.Spec.Method, f.method)
	return asThen(fs, r)
}

// settingFlags are the flags of its method that a result keeps.
func settingFlags(r *run.Result) map[string]string {
	all := maps.Clone(r.Flags)
	maps.DeleteFunc(all, func(name, _ string) bool { return slices.Contains(lasting, name) })
	return all
}

// settingsThen are those of the run of -from, with the user's changes. Another method has its own.
func (f *trainFlags) settingsThen(m *method.Method) (method.Settings, error) {
	if f.method != f.then.Spec.Method {
		return f.settings(m)
	}
	_, s, err := f.then.Again()
	if err != nil {
		return nil, fmt.Errorf("%s: %w", f.from, err)
	}
	was := run.FieldsOf(f.then.Spec.Settings)
	if s, err = f.change(s); err != nil {
		return nil, err
	}
	b, err := json.Marshal(s)
	if err != nil {
		return nil, err
	}
	is := run.FieldsOf(b)
	for _, name := range slices.Sorted(maps.Keys(is)) {
		f.differs(name, was[name], is[name])
	}
	return s, nil
}

// differs keeps what is other than in the run of -from, to be said.
func (f *trainFlags) differs(what, was, is string) {
	if was == is {
		return
	}
	if was == "" {
		was = "not given"
	}
	f.other = append(f.other, fmt.Sprintf("%s %s (was %s)", what, is, was))
}

// sayOther says what is other than in the run of -from.
func (f *trainFlags) sayOther(u *ui) {
	if f.then == nil {
		return
	}
	if len(f.other) == 0 {
		u.Note("as in %s", f.from)
		return
	}
	u.Note("as in %s but for:", f.from)
	for _, o := range f.other {
		u.Note("  %s", o)
	}
}
