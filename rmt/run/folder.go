package run

import (
	"cmp"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"fewshot/nn/checkpoint"
	"fewshot/nn/words"
	"fewshot/rmt/train"
)

// Names in an output folder.
const (
	MaskName   = "mask.safetensors"
	TunedName  = "tuned.safetensors" // what methods other than masks leave
	ResultName = "result.json"
	LockName   = ".lock"
)

// MaxResult bounds a result.json that is read: a thousand epochs of a run with every tensor's sparsity take 2 MB.
const MaxResult = 64 << 20

// ErrBusy says that a running process has an output folder to itself.
var ErrBusy = errors.New("is in use")

// Folder is an output folder that this process has to itself.
type Folder struct{ lock *os.File }

// OpenFolder makes or takes over an output folder. A folder with anything in it is somebody's: without -resume it is left
// alone, and so is one that a running process holds.
func OpenFolder(dir string, resume bool) (*Folder, error) {
	// Asked before anything is written, and again when no other process can change the answer.
	if err := MayUse(dir, resume); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	r, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	if err = MayUse(dir, resume); err == nil {
		err = removeHalves(dir)
	}
	if err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// TakeFolder is OpenFolder for a caller who knows whose the folder is: it looks at nothing in it. [ErrBusy] if a running process has it.
func TakeFolder(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return nil, err
	}
	r, err := lockFolder(dir)
	if err != nil {
		return nil, err
	}
	if err := removeHalves(dir); err != nil {
		r.Close()
		return nil, err
	}
	return r, nil
}

// removeHalves removes what a killed process was writing.
func removeHalves(dir string) error {
	for _, name := range []string{MaskName, TunedName, ResultName} {
		if err := checkpoint.RemoveTemporary(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

// RemoveLeftovers removes what a finished run had need of before: a process may have been killed between its result and
// its end. The caller has the folder to himself.
func RemoveLeftovers(dir string) error {
	return errors.Join(os.RemoveAll(filepath.Join(dir, GridName)), train.RemoveState(dir), removeHalves(dir))
}

// finish removes what is left over in the folder of a finished run, unless a process has it, and returns how much that was.
func finish(dir string) (removed int, err error) {
	before, err := os.ReadDir(dir)
	if err != nil {
		return 0, err
	}
	r, err := lockFolder(dir)
	if errors.Is(err, ErrBusy) { // by one that is about to do so
		return 0, nil
	}
	if err != nil {
		return 0, err
	}
	err = RemoveLeftovers(dir)
	r.Close() // which removes the lock
	after, listErr := os.ReadDir(dir)
	return len(before) - len(after), cmp.Or(err, listErr)
}

// MayUse refuses folders that a run may not write into. That of a finished run is one; what its process left, if it was
// killed before its end, is removed where the run is to be resumed.
func MayUse(dir string, resume bool) error {
	entries, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	n := 0
	for _, e := range entries {
		if e.Name() == ResultName && resume {
			removed, err := finish(dir)
			if err != nil {
				return err
			}
			if removed > 0 {
				return fmt.Errorf("%s holds a finished run (it has a %s): there is nothing to resume. Its process was killed before it had tidied up; %s removed now",
					dir, ResultName, words.Plural(removed, "entry that it left is", "entries that it left are"))
			}
		}
		if e.Name() == ResultName {
			return fmt.Errorf("%s holds a finished run (it has a %s); give another -out", dir, ResultName)
		}
		if e.Name() != LockName {
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

// lockFolder takes the folder's lock. It dies with the process, however that ends; the file may stay.
func lockFolder(dir string) (*Folder, error) {
	path := filepath.Join(dir, LockName)
	for {
		f, err := checkpoint.OpenOwn(path)
		if err != nil {
			return nil, fmt.Errorf("the output folder cannot be written: %w", err)
		}
		if err := lockFile(f); err != nil {
			defer f.Close()
			if errors.Is(err, errLocked) {
				return nil, fmt.Errorf("%s %w by %s", dir, ErrBusy, holder(f))
			}
			return nil, fmt.Errorf("%s cannot be locked: %w", dir, err)
		}
		if !names(path, f) { // whoever held it removed it meanwhile, so it guards nothing
			f.Close()
			continue
		}
		r := &Folder{f}
		if err = f.Truncate(0); err == nil {
			_, err = f.WriteString(strconv.Itoa(os.Getpid()) + "\n")
		}
		if err != nil {
			r.Close()
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

// Close gives the folder up.
func (r *Folder) Close() { unlockFile(r.lock) }

// Lock takes an open file for this process alone, until it is closed.
func Lock(f *os.File) error {
	err := lockFile(f)
	switch {
	case errors.Is(err, errLocked):
		return fmt.Errorf("%s is in use by another process", f.Name())
	case err != nil:
		return fmt.Errorf("%s cannot be locked: %w", f.Name(), err)
	}
	return nil
}
