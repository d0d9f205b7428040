package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fewshot/rmt/run"
)

// TestTrainFrom: a result is enough to make its run again, to the byte, and what flags change of it is said.
func TestTrainFrom(t *testing.T) {
	dir, want := undisturbedRun(t)
	was, _, err := run.ReadResult(dir)
	if err != nil {
		t.Fatal(err)
	}
	out := filepath.Join(t.TempDir(), "again")
	said := must(t, "train", "-from", dir, "-zeroshot=false", "-out", out)
	if got := read(t, filepath.Join(out, run.MaskName)); !bytes.Equal(got, want) || !strings.Contains(said, "as in "+dir+"\n") {
		t.Errorf("another mask, or %s", said)
	}
	r, _, err := run.ReadResult(out)
	if err != nil || r.SpecHash != was.SpecHash || r.Flags["epochs"] != was.Flags["epochs"] || r.Flags["data"] != was.Flags["data"] {
		t.Errorf("another spec, %v", err)
	}

	other := filepath.Join(t.TempDir(), "other")
	said = must(t, "train", "-from", filepath.Join(dir, run.ResultName), "-zeroshot=false", "-out", other, "-epochs", "1", "-seed", "2", "-lr", "0.001")
	for _, s := range []string{"but for:\n", "  epochs 1 (was 3)\n", "-seed 2 (was 1)\n"} {
		if !strings.Contains(said, s) {
			t.Errorf("lacks %q: %s", s, said)
		}
	}
	if strings.Contains(said, "  lr ") { // as it was
		t.Error(said)
	}
	r, _, err = run.ReadResult(other)
	if err != nil || r.Seed != 2 || r.Shots != was.Shots || len(r.Epochs) != 1 || !bytes.Contains(r.Config, []byte(`"lr":0.001`)) && !bytes.Contains(r.Config, []byte(`"lr": 0.001`)) {
		t.Errorf("%v, %+v", err, r)
	}

	// Another method on the same images, and a run of that.
	probe := filepath.Join(t.TempDir(), "tip")
	said = must(t, "train", "-from", dir, "-method", "tip-adapter", "-zeroshot=false", "-out", probe)
	if !strings.Contains(said, "-method tip-adapter (was r-amt)") {
		t.Error(said)
	}
	again := filepath.Join(t.TempDir(), "tip")
	must(t, "train", "-from", probe, "-zeroshot=false", "-out", again)
	if !bytes.Equal(read(t, filepath.Join(again, run.TunedName)), read(t, filepath.Join(probe, run.TunedName))) {
		t.Error("another tuned file")
	}
}

func TestTrainFromRefuses(t *testing.T) {
	dir, _ := undisturbedRun(t)
	broken := filepath.Join(t.TempDir(), "result.json")
	if err := os.WriteFile(broken, []byte(`{"kind":"result"}`), 0o666); err != nil {
		t.Fatal(err)
	}
	for want, args := range map[string][]string{
		"leave one out":        {"-from", dir, "-recipe", "released"},
		"no finished run":      {"-from", t.TempDir()},
		"is no result":         {"-from", broken},
		"no such file":         {"-from", filepath.Join(dir, "nowhere.json")},
		"there is no flag -k1": {"-from", dir, "-k1", "3"},
	} {
		out := filepath.Join(t.TempDir(), "out")
		if code, _, errw := cli(t, append([]string{"train", "-out", out}, args...)...); code == exitDone || !strings.Contains(errw, want) {
			t.Errorf("%v: exit code %d, %s", args, code, errw)
		}
	}
}
