package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Names in an output folder.
const (
	maskName   = "mask.safetensors"
	resultName = "result.json"
	lockName   = ".lock"
)

// runDir is an output folder that this process has to itself.
type runDir struct{ lock *os.File }

// openRun makes or takes over an output folder. A folder with anything in it is somebody's: without -resume it is left
// alone, and so is one that a running process holds.
func openRun(dir string, resume bool) (*runDir, error) {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	if len(entries) > 0 && !resume {
		return nil, fmt.Errorf("%s is not empty: it may be another run's. Give another -out, or -resume to go on with it", dir)
	}
	if _, err := os.Stat(filepath.Join(dir, resultName)); err == nil {
		return nil, fmt.Errorf("%s holds a finished run (it has a %s); give another -out", dir, resultName)
	}
	if resume && len(entries) == 0 {
		return nil, fmt.Errorf("%s holds no run to resume", dir)
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	// The lock dies with the process, however that ends.
	f, err := os.OpenFile(filepath.Join(dir, lockName), os.O_CREATE|os.O_RDWR, 0o666)
	if err != nil {
		return nil, fmt.Errorf("the output folder cannot be written: %w", err)
	}
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("%s is in use by another process", dir)
	}
	return &runDir{f}, nil
}

func (r *runDir) close() {
	os.Remove(r.lock.Name())
	r.lock.Close()
}
