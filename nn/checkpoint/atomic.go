package checkpoint

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strings"
)

// WriteFile creates or replaces a file so that path names, at every moment
// and after a crash at any moment, either what it named before or the whole
// new content. The content goes to a temporary file in the same folder, is
// brought to the disk, and takes the name over in one step:
//
//	create (must not exist), write, fsync, close, rename, fsync the folder
//
// If any step fails the temporary file is removed and path is as it was,
// except when only the last step fails: the new file is then in place, but
// may not survive a power cut. A failed fsync is not repeated, because the
// kernel forgets which pages it could not write. A killed process leaves its
// temporary file behind; see [RemoveTemporary].
//
// Files alone are replaced, and links: a folder, a device, a named pipe or a
// link to one is an error before anything is written.
func WriteFile(path string, write func(io.Writer) error) error {
	// A link that leads nowhere, or where nobody may look, names no device.
	if s, err := os.Stat(path); err == nil && !s.Mode().IsRegular() {
		return inFile(path, fault(Unsupported, "not a regular file, and is not replaced").wanted("a file", sortOf(s.Mode())))
	}
	return writeFile(osFiles{}, path, write)
}

// RemoveTemporary removes what killed processes left of WriteFile(path, …).
// Only for a caller who knows that no other process is writing the file.
func RemoveTemporary(path string) error {
	dir, prefix := temporary(path)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return inFile(dir, err)
	}
	for _, e := range entries {
		number, ok := strings.CutPrefix(e.Name(), prefix)
		if !ok || !decimal(number) || !e.Type().IsRegular() {
			continue
		}
		if err := os.Remove(filepath.Join(dir, e.Name())); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return inFile(filepath.Join(dir, e.Name()), err)
		}
	}
	return nil
}

// temporary returns the folder of path and what names of temporary files for
// it begin with; a number follows.
func temporary(path string) (dir, prefix string) {
	return filepath.Dir(path), "." + filepath.Base(path) + ".tmp-"
}

// A fileSystem is the part of package os that WriteFile uses. Tests put a
// failing one in its place.
type fileSystem interface {
	// create makes a new file for writing; an existing one is an error.
	create(path string) (newFile, error)
	rename(from, to string) error
	remove(path string) error
	// syncDir brings a folder's entries to the disk.
	syncDir(path string) error
}

type newFile interface {
	io.Writer
	Sync() error
	Close() error
}

// bufferSize makes one system call of many small writes.
const bufferSize = 1 << 20

func writeFile(fsys fileSystem, path string, write func(io.Writer) error) (err error) {
	f, temp, err := createTemporary(fsys, path)
	if err != nil {
		return toWrite(path, err)
	}
	open, done := true, false
	defer func() { // also when write panics
		if open {
			f.Close()
		}
		if !done {
			// Its error would hide the one that led here, and says no more
			// than that a temporary file is left.
			_ = fsys.remove(temp)
		}
	}()
	buffered := bufio.NewWriterSize(f, bufferSize)
	if err := write(buffered); err != nil {
		return inFile(path, err)
	}
	if err := buffered.Flush(); err != nil {
		return inFile(path, err)
	}
	if err := f.Sync(); err != nil {
		return inFile(path, err)
	}
	open = false
	if err := f.Close(); err != nil {
		return inFile(path, err)
	}
	if err := fsys.rename(temp, path); err != nil {
		return inFile(path, err)
	}
	done = true
	return inFile(path, fsys.syncDir(filepath.Dir(path)))
}

// createTemporary makes a file of a name that no file has. The number in the
// name is the process's, and counts up past files of killed processes that
// had the same.
func createTemporary(fsys fileSystem, path string) (newFile, string, error) {
	dir, prefix := temporary(path)
	const attempts = 1000
	for n := range attempts {
		temp := filepath.Join(dir, fmt.Sprintf("%s%d", prefix, os.Getpid()*attempts+n))
		f, err := fsys.create(temp)
		if err == nil {
			return f, temp, nil
		}
		if !errors.Is(err, fs.ErrExist) {
			return nil, "", err
		}
	}
	return nil, "", fault(IO, "%d temporary files are in the way; remove %s*", attempts, prefix)
}

// osFiles is the real file system.
type osFiles struct{}

func (osFiles) create(path string) (newFile, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
}

func (osFiles) rename(from, to string) error { return rename(from, to) }

func (osFiles) remove(path string) error { return os.Remove(path) }

func (osFiles) syncDir(path string) error {
	if runtime.GOOS == "windows" {
		return nil // has no such call; a rename is written through
	}
	d, err := os.Open(path)
	if err != nil {
		return err
	}
	if err := d.Sync(); err != nil {
		d.Close()
		return err
	}
	return d.Close()
}
