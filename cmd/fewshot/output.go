package main

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
)

// outputs are the files that a command's flags name for it to write. One that is there is somebody's, perhaps the command's own
// input: it is replaced with -force alone, and what is no regular file never.
type outputs struct{ force bool }

func (o *outputs) declare(fs *flag.FlagSet) {
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
	}
	return nil
}
