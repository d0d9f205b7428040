package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"fewshot/rmt/plan"
	"fewshot/rmt/run"
)

// outputs are the files that a command's flags name for it to write. One that is there is somebody's, perhaps the command's own
// input: it is replaced with -force alone, and what is no regular file, or is read by the same command or by others, never.
type outputs struct {
	force bool
	flags *flag.FlagSet // what the command was given
	args  []string
}

func (o *outputs) declare(fs *flag.FlagSet) {
	o.flags = fs
	fs.BoolVar(&o.force, "force", false, "replace a file that is there")
}

// check refuses a file that a flag names and that could not be written, before there is any work. "" is none.
func (o *outputs) check(flag, path string) error {
	if path == "" {
		return nil
	}
	if s, err := os.Stat(filepath.Dir(path)); err != nil || !s.IsDir() {
		return usagef("-%s %s: there is no folder %s", flag, path, filepath.Dir(path))
	}
	return o.over(flag, path)
}

// over refuses to write over what is there. It is asked again when the file is written, as work takes long.
func (o *outputs) over(flag, path string) error {
	_, err := os.Lstat(path)
	switch {
	case os.IsNotExist(err):
		return nil
	case err != nil:
		return err
	}
	s, err := os.Stat(path)
	switch {
	case err == nil && !s.Mode().IsRegular():
		return fmt.Errorf("-%s: %s is no regular file; name a file", flag, path)
	case !o.force:
		return fmt.Errorf("-%s: %s is there already; name another file, or replace it with -force", flag, path)
	case err == nil:
		if from := o.reads(flag, path, s); from != "" {
			return fmt.Errorf("-%s: %s is %s, and is not replaced; name another file", flag, path, from)
		}
	}
	return nil
}

// reads says what a file is that is there to be read: one that the command was given as another flag or argument, or a
// run's or a plan's; "" where it is none.
func (o *outputs) reads(name, path string, is os.FileInfo) (what string) {
	same := func(other string) bool {
		s, err := os.Stat(other)
		return err == nil && os.SameFile(is, s)
	}
	o.flags.Visit(func(f *flag.Flag) {
		if f.Name != name && same(f.Value.String()) {
			what = "what -" + f.Name + " names"
		}
	})
	if slices.ContainsFunc(o.args, same) {
		what = "what the command reads"
	}
	_, isNoPlan := plan.OpenHeader(path)
	switch {
	case what != "":
	case slices.Contains([]string{run.ResultName, run.MaskName, run.TunedName}, filepath.Base(path)):
		what = "of a run"
	case isNoPlan == nil:
		what = "a plan"
	}
	return what
}
