//go:build unix

package checkpoint

import (
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// Files in strangers' folders may be pipes, links and of any size: none of them is waited for, followed or read without end.
func TestRegularFilesOnly(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	writeBytes(t, at("ten"), []byte("0123456789"))
	if b, err := ReadFile(at("ten"), 10); err != nil || string(b) != "0123456789" {
		t.Errorf("%q, %v", b, err)
	}
	if _, err := ReadFile(at("ten"), 9); !errors.Is(err, Limit) {
		t.Error(err)
	}
	if err := syscall.Mkfifo(at("pipe"), 0o666); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(at("ten"), 6<<30); err != nil { // sparse
		t.Fatal(err)
	}
	for _, name := range []string{"pipe", "ten"} {
		if _, err := ReadFile(at(name), 1<<20); err == nil || errors.Is(err, IO) {
			t.Errorf("%s: %v", name, err)
		}
	}

	writeBytes(t, at("precious"), []byte("precious"))
	for name, to := range map[string]string{"link": "precious", "dangling": "new"} {
		if err := os.Symlink(to, at(name)); err != nil {
			t.Fatal(err)
		}
	}
	for name, found := range map[string]string{"link": "a symbolic link", "dangling": "a symbolic link", "pipe": "a named pipe"} {
		if f, err := OpenOwn(at(name)); err == nil || !strings.Contains(err.Error(), "not a regular file; remove it; expected a file, found "+found) {
			t.Errorf("%s: %v, %v", name, f, err)
		}
	}
	if _, err := os.Stat(at("new")); err == nil {
		t.Error("a file was made at the end of a link")
	}
	f, err := OpenOwn(at("own"))
	if err != nil {
		t.Fatal(err)
	}
	f.Close()
}

// What is written takes the place of files and of links to files, and of nothing else.
func TestWriteFileOverFilesOnly(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	writeBytes(t, at("file"), []byte("old"))
	if err := errors.Join(syscall.Mkfifo(at("pipe"), 0o666), os.Mkdir(at("folder"), 0o777), os.Symlink("file", at("link")),
		os.Symlink("pipe", at("link to pipe")), os.Symlink("nowhere", at("dangling"))); err != nil {
		t.Fatal(err)
	}
	write := func(w io.Writer) error {
		_, err := w.Write([]byte("new"))
		return err
	}
	for _, name := range []string{"file", "link", "dangling"} {
		if err := WriteFile(at(name), write); err != nil {
			t.Error(err)
		}
	}
	for name, found := range map[string]string{"pipe": "a named pipe", "folder": "a folder", "link to pipe": "a named pipe"} {
		before, err := os.Lstat(at(name))
		if err != nil {
			t.Fatal(err)
		}
		if err := WriteFile(at(name), write); !errors.Is(err, Unsupported) || !strings.HasSuffix(err.Error(), "not a regular file, and is not replaced; expected a file, found "+found) {
			t.Errorf("%s: %v", name, err)
		}
		if after, err := os.Lstat(at(name)); err != nil || after.Mode() != before.Mode() {
			t.Errorf("%s is %v now, %v", name, after, err)
		}
		if _, err := OpenRegular(at(name)); !errors.Is(err, Unsupported) || !strings.HasSuffix(err.Error(), "not a regular file; expected a file, found "+found) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
