package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fewshot/rmt/run"
)

func verified(t *testing.T, args ...string) (code int, v run.Verification, errw string) {
	t.Helper()
	code, out, errw := cli(t, append([]string{"verify", "-json"}, args...)...)
	if out != "" {
		v = last[run.Verification](t, out)
	}
	return code, v, errw
}

// A run that is made again leaves the same bytes, whatever the number of workers and wherever its files are now; in
// other numbers it does not, and the reason is named.
func TestVerify(t *testing.T) {
	dir, mask := undisturbedRun(t)
	if code, v, errw := verified(t, dir, "-workers", "3"); code != exitDone || !v.Same || !v.Content || v.Was.Test == nil || *v.Was.Test != *v.Is.Test || v.Tensors != nil || v.Reasons != nil {
		t.Fatalf("%d, %+v, %s", code, v, errw)
	}
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.CopyFS(moved, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	kept := filepath.Join(t.TempDir(), "kept")
	code, v, errw := verified(t, moved, "-precision", "bf16", "-out", kept)
	if code != exitFailed || v.Same || !strings.Contains(strings.Join(v.Reasons, "\n"), "another format") || !strings.Contains(errw, "did not leave the same bytes") {
		t.Errorf("%d, %+v, %s", code, v, errw)
	}
	if !v.Content && (v.Tensors[0].Differ == 0 || v.Tensors[0].Total == 0) {
		t.Errorf("%+v", v.Tensors)
	}
	if string(read(t, filepath.Join(kept, run.MaskName))) == string(mask) {
		t.Error("the second run is not kept")
	}
	if _, out, _ := cli(t, "verify", moved); !strings.HasPrefix(out, "few: ") || !strings.Contains(out, "left the same bytes") {
		t.Error(out)
	}
}

// Other weights, other images, a file that was changed, a result that was changed: none is made again.
func TestVerifyRefuses(t *testing.T) {
	dir, _ := undisturbedRun(t)
	changed := func(name string, change func([]byte) []byte) string {
		to := filepath.Join(t.TempDir(), "run")
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(to, name)
		if err := os.WriteFile(path, change(read(t, path)), 0o666); err != nil {
			t.Fatal(err)
		}
		return to
	}
	for _, c := range []struct {
		args []string
		want string
	}{
		{[]string{dir, "-model", other(t)}, "another run: model.digest was"},
		{[]string{dir, "-seed", "2"}, "another run: data.sample_sha256 was"},
		{[]string{dir, "-template", "a {}."}, "data.templates was"},
		{[]string{dir, "-mask", dir}, "mask_below was"},
		{[]string{changed(run.ResultName, func(b []byte) []byte { return []byte(strings.Replace(string(b), `"lr": 0.001`, `"lr": 0.002`, 1)) })}, "changed since it was written"},
		{[]string{changed(run.MaskName, func(b []byte) []byte { b[len(b)/2] ^= 1; return b })}, "mask.safetensors"},
		{[]string{t.TempDir()}, "no finished run"},
	} {
		if code, _, errw := verified(t, c.args...); code != exitFailed || !strings.Contains(errw, c.want) {
			t.Errorf("%v: %d, %s", c.args, code, errw)
		}
	}
	if code, _, errw := verified(t, dir, "-resume"); code != exitUsage || !strings.Contains(errw, "-out") {
		t.Errorf("%d, %s", code, errw)
	}
}

// Figures that were changed by hand are named, the file of what was learned being the same; a result that another program has read and
// written again is the same result.
func TestVerifyFigures(t *testing.T) {
	out := filepath.Join(t.TempDir(), "run")
	must(t, learn(t, "taskres", out, "-zeroshot=true", "-lr", "1e-5")...)
	path := filepath.Join(out, run.ResultName)
	was := string(read(t, path))
	write := func(s string) {
		t.Helper()
		if s == was {
			t.Fatal("nothing was changed")
		}
		if err := os.WriteFile(path, []byte(s), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	figure := func(name, field string) (at, end int) {
		at = strings.Index(was, `"`+name+`": {`)
		at += strings.Index(was[at:], `"`+field+`": `) + len(field) + 4
		return at, at + strings.IndexAny(was[at:], ",\n")
	}
	for _, name := range []string{"zeroshot", "test"} {
		// Figures that contradict each other are not read.
		for _, field := range []string{"accuracy", "correct", "images"} {
			at, end := figure(name, field)
			write(was[:at] + "77" + was[end:])
			if code, _, errw := verified(t, out); code != exitFailed || !strings.Contains(errw, name+".") || !strings.Contains(errw, "was changed since it was written") {
				t.Errorf("%s.%s: %d, %s", name, field, code, errw)
			}
		}
		// One that might be is found when it is remade.
		at, end := figure(name, "macro_f1")
		write(was[:at] + "77" + was[end:])
		code, v, errw := verified(t, out)
		if want := name + ".macro_f1 was 77 and is " + was[at:end]; code != exitFailed || !v.Same || len(v.Figures) != 1 || v.Figures[0] != want || !strings.Contains(errw, want) {
			t.Errorf("%s.macro_f1: %d, %+v, %s", name, code, v, errw)
		}
	}
	write(strings.NewReplacer(`0.00001`, `1e-05`, "  ", " ", "{}.", `{\u007d.`).Replace(was))
	if code, v, errw := verified(t, out); code != exitDone || !v.Same || v.Figures != nil {
		t.Errorf("%d, %+v, %s", code, v, errw)
	}
}

// Methods with tuned files are made again too, under a mask as well.
func TestVerifyTuned(t *testing.T) {
	dir, _ := undisturbedRun(t)
	out := filepath.Join(t.TempDir(), "tip")
	must(t, learn(t, "taskres", out, "-mask", dir)...)
	if code, v, errw := verified(t, out); code != exitDone || !v.Same {
		t.Errorf("%d, %+v, %s", code, v, errw)
	}
	code, v, errw := verified(t, out, "-precision", "bf16")
	if code != exitFailed || v.Same || v.Content || len(v.Tensors) != 1 || v.Tensors[0].Max == 0 { // the seal is no tensor
		t.Errorf("%d, %+v, %s", code, v, errw)
	}
}
