package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"fewshot/rmt/run"
)

// smallDisk is a file system of so many bytes.
func smallDisk(t *testing.T, options string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Skipf("cannot mount a file system here: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil { // package profile leaves a trace's file open
			t.Error(err)
		}
	})
	return dir
}

// fill leaves no room on the disk that a file is on.
func fill(t *testing.T, file string) {
	t.Helper()
	f, err := os.Create(file)
	if err != nil {
		t.Fatal(err)
	}
	for err == nil {
		_, err = f.Write(make([]byte, 4096))
	}
	f.Close()
}

// A full disk does not end a run as long as only checkpoints do not fit: training goes on, and the mask is what it would be.
func TestDiskFullForCheckpoints(t *testing.T) {
	_, want := undisturbedRun(t)
	dir := filepath.Join(smallDisk(t, "size=512k"), "run") // room for two checkpoints, not for three
	code, _, errw := cli(t, tune(t, dir, "-save-every", "1ns")...)
	if code != exitDone || !strings.Contains(errw, "no checkpoint at epoch 1, step 4") || !strings.Contains(errw, "no space left") {
		t.Errorf("exit code %d, %s", code, errw)
	}
	if got := read(t, filepath.Join(dir, run.MaskName)); !bytes.Equal(got, want) {
		t.Error("another mask")
	}
	if got := entries(t, dir); got != "mask.safetensors result.json" {
		t.Errorf("the folder holds %s", got)
	}
}

// If not even the mask fits the run fails, and its checkpoints are as good as before.
func TestDiskFullForMask(t *testing.T) {
	_, want := undisturbedRun(t)
	root := smallDisk(t, "size=512k")
	dir, filler := filepath.Join(root, "run"), filepath.Join(root, "filler")
	// An interrupted run of two checkpoints, then nothing but full pages.
	if code, errw := interrupt(t, 2, tune(t, dir, "-save-every", "1ns"), dir); code != exitInterrupted {
		t.Fatalf("exit code %d, %s", code, errw)
	}
	fill(t, filler)
	code, _, errw := cli(t, tune(t, dir, "-resume")...)
	if code != exitFailed || !strings.Contains(errw, "cannot be written") && !strings.Contains(errw, run.MaskName) {
		t.Errorf("exit code %d, %s", code, errw)
	}
	if names := entries(t, dir); !strings.Contains(names, "training-") || strings.Contains(names, "tmp") {
		t.Errorf("the folder holds %s", names)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	must(t, tune(t, dir, "-resume")...)
	if got := read(t, filepath.Join(dir, run.MaskName)); !bytes.Equal(got, want) {
		t.Error("another mask")
	}
}

// An output folder on a read-only file system is told before anything is trained.
func TestReadOnly(t *testing.T) {
	root := smallDisk(t, "size=512k,ro")
	code, _, errw := cli(t, tune(t, filepath.Join(root, "run"))...)
	if code != exitFailed || !strings.Contains(errw, "read-only file system") || !strings.Contains(errw, root) {
		t.Errorf("exit code %d, %s", code, errw)
	}
}

// A full disk ends a plan in one line, without trying every run on it; with room again it is finished, and nothing is counted twice.
func TestDiskFullForPlan(t *testing.T) {
	root := smallDisk(t, "size=1m")
	path := killedPlan(t, root)
	calm := filepath.Join(t.TempDir(), "calm")
	must(t, "run", path, "-out", calm, "-data", tinyData(t))
	dir, filler := filepath.Join(root, "runs"), filepath.Join(root, "filler")
	must(t, "run", path, "-out", dir, "-data", tinyData(t), "-index", "1")
	fill(t, filler)
	code, _, errw := cli(t, "run", path, "-out", dir, "-data", tinyData(t))
	if code != exitFailed || strings.Count(errw, "\n") != 1 || !strings.Contains(errw, "run the plan again when there is room") {
		t.Errorf("exit code %d, %s", code, errw)
	}
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	must(t, "run", path, "-out", dir, "-data", tinyData(t))
	if d := differing(planContents(t, path, calm), planContents(t, path, dir)); d != "" {
		t.Errorf("after a full disk there are other tables or files: %s", d)
	}
}

// A profile that a full disk has no room for is an error, and no "profile written".
func TestDiskFullForProfile(t *testing.T) {
	root := smallDisk(t, "size=512k")
	fill(t, filepath.Join(root, "filler"))
	for _, name := range []string{"cpuprofile", "memprofile", "trace"} {
		code, _, errw := cli(t, "info", "-"+name, root, tiny(t))
		if code != exitFailed || !strings.Contains(errw, "is not whole, as when a disk is full") || strings.Contains(errw, "written") {
			t.Errorf("%s: exit code %d, %s", name, code, errw)
		}
	}
}
