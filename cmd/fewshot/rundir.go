package main

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"fewshot/nn/checkpoint"
)

// Names in an output folder.
const (
	maskName   = "mask.safetensors"
	resultName = "result.json"
	lockName   = ".lock"
)

// maxResult bounds a result.json that is read: a thousand epochs of a run with every tensor's sparsity take 2 MB.
const maxResult = 64 << 20

// runDir is an output folder that this process has to itself.
type runDir struct{ lock *os.File }

// openRun makes or takes over an output folder. A folder with anything in it is somebody's: without -resume it is left
// alone, and so is one that a running process holds.
func openRun(dir string, resume bool) (*runDir, error) {
	// Asked before anything is written, and again when no other process can change the answer.
	if err := mayUse(dir, resume); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	r, err := lockRun(dir)
	if err != nil {
		return nil, err
	}
	err = mayUse(dir, resume)
	for _, name := range []string{maskName, resultName} { // what a killed process was writing
		if err == nil {
			err = checkpoint.RemoveTemporary(filepath.Join(dir, name))
		}
	}
	if err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

// mayUse refuses folders that this run may not write into.
func mayUse(dir string, resume bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	n := 0
	for _, e := range entries {
		if e.Name() == resultName {
			return fmt.Errorf("%s holds a finished run (it has a %s); give another -out", dir, resultName)
		}
		if e.Name() != lockName {
			n++
		}
	}
	if n > 0 && !resume {
		return fmt.Errorf("%s is not empty: it may be another run's. Give another -out, or -resume to go on with it", dir)
	}
	if resume && len(entries) == 0 {
		return fmt.Errorf("%s holds no run to resume", dir)
	}
	return nil
}

// lockRun takes the folder's lock. It dies with the process, however that ends; the file may stay.
func lockRun(dir string) (*runDir, error) {
	path := filepath.Join(dir, lockName)
	for {
		f, err := checkpoint.OpenOwn(path)
		if err != nil {
			return nil, fmt.Errorf("the output folder cannot be written: %w", err)
		}
		if err := lockFile(f); err != nil {
			defer f.Close()
			if errors.Is(err, errLocked) {
				return nil, fmt.Errorf("%s is in use by %s", dir, holder(f))
			}
			return nil, fmt.Errorf("%s cannot be locked: %w", dir, err)
		}
		if !names(path, f) { // whoever held it removed it meanwhile, so it guards nothing
			f.Close()
			continue
		}
		r := &runDir{f}
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
		}
		if err != nil {
			r.close()
			return nil, fmt.Errorf("the output folder cannot be written: %w", err)
		}
		return r, nil
	}
}

// names reports whether path is the open file f.
func names(path string, f *os.File) bool {
	a, err := os.Lstat(path)
	if err != nil {
		return false
	}
	b, err := f.Stat()
	return err == nil && os.SameFile(a, b)
}

// holder is whom the lock file says it belongs to.
func holder(f *os.File) string {
	b, err := io.ReadAll(io.LimitReader(f, 32))
	if pid, numErr := strconv.Atoi(strings.TrimSpace(string(b))); err == nil && numErr == nil {
		return fmt.Sprintf("process %d", pid)
	}
	return "another process"
}

func (r *runDir) close() { unlockFile(r.lock) }
