//go:build unix

package hub

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// A token's path that is no file, or one that may not be read, is an error that names it, and a pipe is not waited for. Where there is no
// file nobody is logged in.
func TestTokenPath(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(syscall.Mkfifo(at("pipe"), 0o666), os.Mkdir(at("folder"), 0o777), os.Symlink("pipe", at("link")),
		os.WriteFile(at("long"), make([]byte, maxToken+1), 0o666), os.WriteFile(at("good"), []byte("hf_x\n"), 0o666)); err != nil {
		t.Fatal(err)
	}
	open := func(path string) (*Client, error) {
		env := map[string]string{"HF_HOME": dir, "HF_TOKEN_PATH": path}
		return FromEnvironment(func(n string) (string, bool) { v, ok := env[n]; return v, ok })
	}
	for _, path := range []string{at("pipe"), at("link"), at("folder"), "/dev/zero", at("long")} {
		if _, err := open(path); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "HF_TOKEN_PATH") {
			t.Errorf("%s: %v", path, err)
		}
	}
	for path, want := range map[string]secret{at("good"): "hf_x", at("none"): ""} {
		if c, err := open(path); err != nil || c.token != want {
			t.Errorf("%s: %v", path, err)
		}
	}
}
