package checkpoint

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// A faultyFS is the real file system, except that its operation number
// failAt, counted from 1, fails; if sticky, all after it as well.
type faultyFS struct {
	failAt, op int
	sticky     bool
	fault      error // nil: a write takes only half and says nothing
	log        []string
}

// next counts an operation and says whether it fails.
func (f *faultyFS) next(name string) bool {
	f.op++
	f.log = append(f.log, name)
	return f.op == f.failAt || f.sticky && f.op > f.failAt
}

func (f *faultyFS) err() error {
	if f.fault == nil {
		return syscall.EIO
	}
	return f.fault
}

func (f *faultyFS) create(path string) (newFile, error) {
	if f.next("create") {
		return nil, f.err()
	}
	file, err := osFiles{}.create(path)
	return &faultyFile{f, file}, err
}

func (f *faultyFS) rename(from, to string) error {
	if f.next("rename") {
		return f.err()
	}
	return osFiles{}.rename(from, to)
}

func (f *faultyFS) remove(path string) error {
	if f.next("remove") {
		return f.err()
	}
	return osFiles{}.remove(path)
}

func (f *faultyFS) syncDir(path string) error {
	if f.next("syncdir") {
		return f.err()
	}
	return nil
}

type faultyFile struct {
	fs *faultyFS
	newFile
}

func (f *faultyFile) Write(p []byte) (int, error) {
	if f.fs.next("write") {
		n, _ := f.newFile.Write(p[:len(p)/2])
		return n, f.fs.fault
	}
	return f.newFile.Write(p)
}

func (f *faultyFile) Sync() error {
	if f.fs.next("fsync") {
		return f.fs.err()
	}
	return nil // the disk's time, and nothing a test could see
}

func (f *faultyFile) Close() error {
	failed := f.fs.next("close")
	if err := f.newFile.Close(); err != nil || !failed {
		return err
	}
	return f.fs.err()
}

// Fails every operation in turn, until the write gets through untouched.
// After each failure the name holds the whole old content or, when only the
// folder could not be synced, the whole new one; and nothing else is left,
// unless removing failed too.
func TestWriteFileFaults(t *testing.T) {
	before := bytes.Repeat([]byte("old"), 1000)
	after := bytes.Repeat([]byte("new!"), bufferSize/2) // two buffers
	tried := 0
	for _, existing := range []bool{true, false} {
		for _, fault := range []error{syscall.ENOSPC, syscall.EIO, syscall.EDQUOT, syscall.EROFS, nil} {
			for _, sticky := range []bool{false, true} {
				for failAt := 1; ; failAt++ {
					dir := t.TempDir()
					path := filepath.Join(dir, "file")
					if existing {
						writeBytes(t, path, before)
					}
					fsys := &faultyFS{failAt: failAt, sticky: sticky, fault: fault}
					err := writeFile(fsys, path, func(w io.Writer) error {
						for part := after; len(part) > 0; part = part[4096:] {
							if _, err := w.Write(part[:4096]); err != nil {
								return err
							}
						}
						return nil
					})
					name := fmt.Sprintf("existing %v, fault %v, sticky %v, operation %d of %v", existing, fault, sticky, failAt, fsys.log)
					got, readErr := os.ReadFile(path)
					if fsys.op < failAt { // got through
						if err != nil || !bytes.Equal(got, after) {
							t.Errorf("%s: undisturbed, but %v", name, err)
						}
						break
					}
					tried++
					failed := fsys.log[failAt-1]
					switch {
					case err == nil || !errors.Is(err, IO) || !strings.Contains(err.Error(), path):
						t.Errorf("%s: error %v", name, err)
					case fault != nil && !errors.Is(err, fault):
						t.Errorf("%s: cause lost in %v", name, err)
					case fault == nil && failed == "write" && !errors.Is(err, io.ErrShortWrite):
						t.Errorf("%s: short write reported as %v", name, err)
					}
					switch {
					case failed == "syncdir":
						if !bytes.Equal(got, after) {
							t.Errorf("%s: not the new content", name)
						}
					case existing && !bytes.Equal(got, before):
						t.Errorf("%s: not the old content", name)
					case !existing && !errors.Is(readErr, os.ErrNotExist):
						t.Errorf("%s: a file of %d bytes", name, len(got))
					}
					left, _ := filepath.Glob(filepath.Join(dir, ".file.tmp-*"))
					if len(left) > 0 && !sticky {
						t.Errorf("%s: left %v", name, left)
					}
					if strings.Count(strings.Join(fsys.log, " "), "fsync") > 1 {
						t.Errorf("%s: fsync repeated", name)
					}
					if err := RemoveTemporary(path); err != nil {
						t.Error(err)
					}
					if left, _ := os.ReadDir(dir); len(left) > 1 {
						t.Errorf("%s: left %v", name, left)
					}
				}
			}
		}
	}
	t.Logf("%d faults", tried)
}

// The steps are in the one order that survives a crash.
func TestWriteFileOrder(t *testing.T) {
	fsys := &faultyFS{}
	err := writeFile(fsys, filepath.Join(t.TempDir(), "f"), func(w io.Writer) error {
		_, err := w.Write([]byte("x"))
		return err
	})
	if got := strings.Join(fsys.log, " "); err != nil || got != "create write fsync close rename syncdir" {
		t.Errorf("%s, %v", got, err)
	}
}

func TestWriteFileCallback(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	writeBytes(t, path, []byte("old"))
	mine := errors.New("mine")
	if err := WriteFile(path, func(w io.Writer) error { w.Write([]byte("half")); return mine }); !errors.Is(err, mine) {
		t.Errorf("%v", err)
	}
	func() {
		defer func() { recover() }()
		WriteFile(path, func(io.Writer) error { panic("bug") })
	}()
	left, _ := os.ReadDir(dir)
	if got, _ := os.ReadFile(path); string(got) != "old" || len(left) != 1 {
		t.Errorf("%q, %v", got, left)
	}
	err := WriteFile(filepath.Join(dir, "no", "f"), func(io.Writer) error { return nil })
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("missing folder: %v", err)
	}
}

// Writers at the same time do not share a temporary file: the last to rename
// wins, whole.
func TestWriteFileConcurrently(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	var wg sync.WaitGroup
	for i := range byte(8) {
		wg.Go(func() {
			err := WriteFile(path, func(w io.Writer) error {
				_, err := w.Write(bytes.Repeat([]byte{i}, 10000))
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	got, err := os.ReadFile(path)
	if err != nil || len(got) != 10000 || !bytes.Equal(got, bytes.Repeat(got[:1], 10000)) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
}

func TestRemoveTemporary(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "f")
	keep := []string{"f", ".f.tmp-", ".f.tmp-x", ".g.tmp-1", "f.tmp-1", ".f.tmp-1x"}
	for _, name := range append([]string{".f.tmp-1", ".f.tmp-123000"}, keep...) {
		writeBytes(t, filepath.Join(dir, name), nil)
	}
	if err := RemoveTemporary(path); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(dir); len(left) != len(keep) {
		t.Errorf("left %v", left)
	}
	if err := RemoveTemporary(filepath.Join(dir, "no", "f")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("%v", err)
	}
}
