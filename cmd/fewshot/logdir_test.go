package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"fewshot/rmt/run"
)

// A run that is interrupted and resumed has the scalars of one that was not, each once, and its mask does not depend on
// whether there is a log.
func TestLogdir(t *testing.T) {
	_, mask := undisturbedRun(t)
	logs := t.TempDir()
	whole, broken := filepath.Join(t.TempDir(), "whole"), filepath.Join(t.TempDir(), "broken")
	must(t, tune(t, whole, "-logdir", logs)...)
	interrupt(t, 10, tune(t, broken, "-logdir", logs, "-save-every", "0"), broken)
	must(t, tune(t, broken, "-logdir", logs, "-resume")...)
	if !bytes.Equal(read(t, filepath.Join(broken, run.MaskName)), mask) {
		t.Error("with a log the mask has other bytes")
	}
	runs, err := os.ReadDir(logs)
	if err != nil || len(runs) != 2 {
		t.Fatalf("%v, %v", runs, err)
	}
	// A value's bytes are its tag and a float: each tag of an epoch comes three times, of the end once, wherever the run was cut.
	for _, r := range runs {
		files, err := filepath.Glob(filepath.Join(logs, r.Name(), "events.out.tfevents.*"))
		if err != nil {
			t.Fatal(err)
		}
		var b []byte
		for _, f := range files {
			b = append(b, read(t, f)...)
		}
		for tag, n := range map[string]int{"train/loss": 3, "train/accuracy": 3, "train/lr": 3, "train/sparsity": 3, "test/accuracy": 1, "_hparams_/session_start_info": 1, "_hparams_/session_end_info": 1} {
			if got := bytes.Count(b, []byte(tag)); got != n {
				t.Errorf("%s in %d files: %s comes %d times, want %d", r.Name(), len(files), tag, got, n)
			}
		}
	}
	file := filepath.Join(logs, "file")
	if err := os.WriteFile(file, nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if code, _, errw := cli(t, tune(t, filepath.Join(t.TempDir(), "x"), "-logdir", file)...); code != exitFailed {
		t.Errorf("%d, %s", code, errw)
	}
}
