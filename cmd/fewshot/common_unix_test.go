//go:build unix

package main

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// What a profile cannot be written into is an error of the command's, and no pipe is waited for.
func TestProfileFolder(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	if err := errors.Join(os.WriteFile(at("file"), nil, 0o666), os.Mkdir(at("pipes"), 0o777), syscall.Mkfifo(at("pipes/cpu.pprof"), 0o666)); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{at("file"), at("file/below"), at("pipes")} {
		if code, _, errw := cli(t, "info", "-cpuprofile", path, tiny(t)); code != exitFailed || !strings.Contains(errw, "the folder for a profile: ") || !strings.Contains(errw, dir) {
			t.Errorf("%s: exit code %d, %s", path, code, errw)
		}
	}
	if code, _, errw := cli(t, "info", "-memprofile", at("new"), tiny(t)); code != exitDone || entries(t, at("new")) != "mem.pprof" {
		t.Errorf("exit code %d, %s", code, errw)
	}
}
