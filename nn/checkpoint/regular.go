package checkpoint

import (
	"io"
	"io/fs"
	"os"
)

// ReadFile reads a whole file that has an end and at most limit bytes, such as a JSON file in a stranger's folder. A named pipe,
// a device or a larger file is an error before anything is read of it.
func ReadFile(path string, limit int64) ([]byte, error) {
	f, err := openRegular(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	tooLarge := func(n int64) error {
		return inFile(path, fault(Limit, "file too large").wanted("at most "+intText(limit)+" bytes", n))
	}
	if f.size > limit {
		return nil, tooLarge(f.size)
	}
	src, err := io.ReadAll(io.LimitReader(f, limit+1)) // it may be growing
	if int64(len(src)) > limit {
		return nil, tooLarge(int64(len(src)))
	}
	return src, inFile(path, err)
}

// OpenRegular opens a file that has an end, for reading: a named pipe, whose opening would wait for its other end, a device or a
// folder is an error.
func OpenRegular(path string) (*os.File, error) {
	f, err := openRegular(path)
	return f.File, err
}

// OpenOwn opens or creates a file that this program writes in place, such as a lock. Somebody else may have put a link to another
// file there, or a pipe: these are refused, and nothing is created or changed at the other end.
func OpenOwn(path string) (*os.File, error) {
	refuse := func(mode fs.FileMode) error {
		return inFile(path, fault(Unsupported, "this program's file is not a regular file; remove it").wanted("a file", sortOf(mode)))
	}
	s, err := os.Lstat(path)
	if err == nil && !s.Mode().IsRegular() {
		return nil, refuse(s.Mode())
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR|noFollow, 0o666)
	if err != nil {
		return nil, toWrite(path, err)
	}
	if s, err = f.Stat(); err == nil && !s.Mode().IsRegular() {
		err = refuse(s.Mode())
	}
	if err != nil {
		f.Close()
		return nil, inFile(path, err)
	}
	return f, nil
}

// sortOf says in words what is there in place of a file.
func sortOf(mode fs.FileMode) string {
	for _, sort := range []struct {
		bit  fs.FileMode
		word string
	}{
		{fs.ModeDir, "a folder"},
		{fs.ModeSymlink, "a symbolic link"},
		{fs.ModeNamedPipe, "a named pipe"},
		{fs.ModeSocket, "a socket"},
		{fs.ModeDevice, "a device"},
	} {
		if mode&sort.bit != 0 {
			return sort.word
		}
	}
	return mode.Type().String()
}
