package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"fewshot/rmt"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// undisturbed is the output folder of a run with the settings of tune that nobody disturbed.
var undisturbed = sync.OnceValue(func() string { return filepath.Join(fixtures, "undisturbed") })

func undisturbedRun(t *testing.T) (dir string, mask []byte) {
	t.Helper()
	dir = undisturbed()
	if _, err := os.Stat(dir); err != nil {
		must(t, tune(t, dir)...)
	}
	return dir, read(t, filepath.Join(dir, run.MaskName))
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// entries are the names in a folder, "" if it is not there.
func entries(t *testing.T, dir string) string {
	t.Helper()
	all, err := os.ReadDir(dir)
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var names []string
	for _, e := range all {
		names = append(names, e.Name())
	}
	return strings.Join(names, " ")
}

// What train says, what it writes, what eval and info say of it, is one story.
func TestTrainThenEval(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "new", "run")
	args := []string{"train", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-shots", "4", "-batch-size", "8", "-epochs", "3", "-lr", "1e-3", "-out", dir, "-json"}
	out := must(t, args...)
	lines := strings.Split(strings.TrimSpace(out), "\n")
	if len(lines) != 4 {
		t.Fatalf("%d lines, want one for each of three epochs and the result", len(lines))
	}
	for i, l := range lines[:3] {
		if e := last[run.EpochEvent](t, l); e.Kind != "epoch" || e.Epoch.Epoch != i+1 {
			t.Errorf("line %d: %s", i, l)
		}
	}
	r := last[run.Result](t, out)
	if r.Kind != "result" || r.Dataset != "few" || r.Train != 48 || r.Shots != 4 || r.Test.Images != 24 || r.ZeroShot == nil || r.NumClass != 12 || len(r.Epochs) != 3 {
		t.Errorf("result: %+v", r)
	}
	if r.Sparsity.Off == 0 || r.Sparsity.Off == r.Sparsity.Total {
		t.Errorf("masks that did not move test nothing: %v", r.Sparsity)
	}
	if got := entries(t, dir); got != "mask.safetensors result.json" {
		t.Errorf("the folder holds %s", got)
	}
	var onDisk, printed any
	if err := json.Unmarshal(read(t, filepath.Join(dir, run.ResultName)), &onDisk); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(lines[3]), &printed); err != nil {
		t.Fatal(err)
	}
	a, _ := json.Marshal(onDisk)
	b, _ := json.Marshal(printed)
	if !bytes.Equal(a, b) {
		t.Errorf("result.json and the last line differ:\n%s\n%s", a, b)
	}
	mask := read(t, r.File)
	if sum := sha256.Sum256(mask); hex.EncodeToString(sum[:]) != r.FileSum || int64(len(mask)) != r.FileBytes {
		t.Errorf("%d bytes with SHA-256 %x, result says %d and %s", len(mask), sum, r.FileBytes, r.FileSum)
	}

	e := last[evalResult](t, must(t, "eval", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-mask", r.File, "-json", "-per-class", "-eval-batch", "7"))
	if e.Test != *r.Test || *e.Sparsity != *r.Sparsity || e.Backbone != r.Backbone || len(e.PerClass) != 12 {
		t.Errorf("eval says %+v and %v, train %+v and %v", e.Test, *e.Sparsity, r.Test, r.Sparsity)
	}
	correct := 0
	for _, c := range e.PerClass {
		correct += c.Correct
	}
	if correct != e.Test.Correct {
		t.Errorf("%d right by class, %d in all", correct, e.Test.Correct)
	}
	z := last[evalResult](t, must(t, "zeroshot", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-json"))
	if z.Test != *r.ZeroShot || z.Sparsity != nil || z.Mask != "" {
		t.Errorf("zeroshot says %+v, train %+v", z.Test, *r.ZeroShot)
	}
	i := last[runInfo](t, must(t, "info", "-json", dir))
	if !i.Finished || i.Mask.Sparsity != *r.Sparsity || i.Mask.Backbone != r.Backbone || i.Mask.Sum != r.FileSum || i.Training != nil {
		t.Errorf("info says %+v", i)
	}

	code, _, errw := cli(t, "eval", "-model", other(t), "-data", tinyData(t), "-dataset", "few", "-mask", r.File)
	if code != exitFailed || !strings.Contains(errw, rmt.ErrBackbone.Error()) || !strings.Contains(errw, r.Backbone) {
		t.Errorf("a mask of other weights: exit code %d, %s", code, errw)
	}
}

// config are the settings in a result.
func config(t *testing.T, r run.Result) (c rmt.Config) {
	t.Helper()
	if err := json.Unmarshal(r.Config, &c); err != nil {
		t.Fatal(err)
	}
	return c
}

// The text for people has the same figures.
func TestTrainText(t *testing.T) {
	dir, _ := undisturbedRun(t)
	out := must(t, "info", dir)
	for _, want := range []string{"finished run", "r-amt on few, 4 shots, seed 1", "tuned", "sparsity", "learned with", "1=keep"} {
		if !strings.Contains(out, want) {
			t.Errorf("info lacks %q:\n%s", want, out)
		}
	}
	out = must(t, "eval", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-mask", filepath.Join(dir, run.MaskName), "-per-class")
	for _, want := range []string{"accuracy", "macro-F1", "sparsity", "of 24 images, 12 classes", "striped"} {
		if !strings.Contains(out, want) {
			t.Errorf("eval lacks %q:\n%s", want, out)
		}
	}
}

// Neither the number of threads nor how images are read has any influence.
func TestTrainIsDeterministic(t *testing.T) {
	_, want := undisturbedRun(t)
	dir := filepath.Join(t.TempDir(), "run")
	must(t, tune(t, dir, "-workers", "1", "-decoders", "3", "-cache", "0", "-eval-batch", "5", "-save-every", "1ns")...)
	if got := read(t, filepath.Join(dir, run.MaskName)); !bytes.Equal(got, want) {
		t.Error("another mask")
	}
	another := filepath.Join(t.TempDir(), "run")
	must(t, tune(t, another, "-seed", "2")...)
	if got := read(t, filepath.Join(another, run.MaskName)); bytes.Equal(got, want) {
		t.Error("another seed, but the same mask")
	}
}

// Files that data export wrote give the mask that the task in memory gives.
func TestExportTrainsAlike(t *testing.T) {
	root := t.TempDir()
	ex := last[exportResult](t, must(t, "data", "export", "-json", "-dataset", "synth:textures", "-out", root))
	if ex.Dataset != "synth_textures" || ex.Data != root || ex.Classes != 12 {
		t.Fatalf("%+v", ex)
	}
	train := func(args ...string) (run.Result, []byte) {
		dir := filepath.Join(t.TempDir(), "run")
		out := must(t, append([]string{"train", "-model", tiny(t), "-shots", "2", "-batch-size", "8", "-epochs", "1", "-lr", "5e-3", "-zeroshot=false", "-json", "-out", dir}, args...)...)
		return last[run.Result](t, out), read(t, filepath.Join(dir, run.MaskName))
	}
	memory, a := train("-dataset", "synth:textures")
	files, b := train("-data", ex.Data, "-dataset", ex.Dataset)
	if memory.Split != files.Split || *memory.Test != *files.Test || !bytes.Equal(a, b) || memory.Sparsity.Off == 0 {
		t.Errorf("from memory: split %s, %+v, mask %s\nfrom files: split %s, %+v, mask %s", memory.Split, memory.Test, memory.FileSum, files.Split, files.Test, files.FileSum)
	}

	c := last[checkResult](t, must(t, "data", "check", "-json", "-decode", "-data", root, "-dataset", ex.Dataset))
	if !c.OK || c.SplitHash != ex.Split || c.Got.Train != ex.Train {
		t.Errorf("check: %+v", c.Report)
	}
	images, err := filepath.Glob(filepath.Join(ex.Dir, "images", "*", "*.png"))
	if err != nil || len(images) == 0 {
		t.Fatal(err)
	}
	if err := os.Remove(images[0]); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(images[1], read(t, images[1])[:100], 0o666); err != nil {
		t.Fatal(err)
	}
	code, out, errw := cli(t, "data", "check", "-decode", "-data", root, "-dataset", ex.Dataset)
	if code != exitFailed || !strings.Contains(out, filepath.Base(images[0])) || !strings.Contains(out, filepath.Base(images[1])) || !strings.Contains(errw, "not complete") {
		t.Errorf("exit code %d\n%s%s", code, out, errw)
	}
	code, out, _ = cli(t, "data", "check", "-json", "-decode", "-data", root, "-dataset", ex.Dataset)
	if c := last[checkResult](t, out); code != exitFailed || c.OK || c.Missing.Total != 1 || c.Unreadable.Total != 1 {
		t.Errorf("exit code %d, %+v", code, c.Report)
	}
}

func TestBaseToNew(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	r := last[run.Result](t, must(t, tune(t, dir, "-classes", "base", "-json")...))
	if r.NumClass != 6 || r.Train != 24 || r.Test.Images != 12 || config(t, r).Leak != 1 {
		t.Errorf("%+v", r)
	}
	e := last[evalResult](t, must(t, "eval", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-classes", "new", "-mask", r.File, "-json"))
	if e.NumClass != 6 || e.Test.Images != 12 || e.Classes != "new" {
		t.Errorf("%+v", e)
	}
}

// A warning says when the settings cannot move a mask, and auto finds some that can.
func TestTravelRatio(t *testing.T) {
	code, _, errw := cli(t, tune(t, filepath.Join(t.TempDir(), "run"), "-lr", "1e-5")...)
	if code != exitDone || !strings.Contains(errw, "warning: travel ratio") || !strings.Contains(errw, "-epochs auto") {
		t.Errorf("exit code %d, %q", code, errw)
	}
	r := last[run.Result](t, must(t, tune(t, filepath.Join(t.TempDir(), "run"), "-epochs", "auto", "-json")...))
	if r.Figures["travel_ratio"] < 3 || config(t, r).Epochs < 30 {
		t.Errorf("travel ratio %.2f in %d epochs", r.Figures["travel_ratio"], config(t, r).Epochs)
	}
}

// The published settings hold however the data set's name is spelt.
func TestPublishedSettings(t *testing.T) {
	for _, name := range []string{"imagenet", "ImageNet"} {
		f := trainFlags{data: dataFlags{name: name, shots: 16, classes: "all"}}
		m, err := run.Lookup(defaultMethod)
		if err != nil {
			t.Fatal(err)
		}
		s, err := f.settings(m)
		if err != nil {
			t.Fatal(err)
		}
		if c := s.(*rmt.Config); c.AutoEpochs || c.Epochs != 10 || c.LR != 3e-5 || c.Leak != 1 {
			t.Errorf("%s: %+v", name, c)
		}
	}
}

func TestTrainRefusesFolders(t *testing.T) {
	finished, mask := undisturbedRun(t)
	for _, resume := range []string{"-resume=false", "-resume"} {
		code, _, errw := cli(t, tune(t, finished, resume)...)
		if code != exitFailed || !strings.Contains(errw, "holds a finished run") {
			t.Errorf("%s in a finished folder: exit code %d, %s", resume, code, errw)
		}
	}
	if got := read(t, filepath.Join(finished, run.MaskName)); !bytes.Equal(got, mask) || entries(t, finished) != "mask.safetensors result.json" {
		t.Errorf("the finished run was touched: %s", entries(t, finished))
	}

	dir := t.TempDir()
	if code, _, errw := cli(t, tune(t, dir, "-resume")...); code != exitFailed || !strings.Contains(errw, "holds no run to resume") {
		t.Errorf("-resume in an empty folder: exit code %d, %s", code, errw)
	}
	if err := os.WriteFile(filepath.Join(dir, "thesis.tex"), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	if code, _, errw := cli(t, tune(t, dir)...); code != exitFailed || !strings.Contains(errw, "is not empty") || entries(t, dir) != "thesis.tex" {
		t.Errorf("somebody's folder: exit code %d, %s; it holds %s", code, errw, entries(t, dir))
	}

	if os.Getuid() == 0 || runtime.GOOS == "windows" {
		t.Log("folders without permission: not tested as this user")
		return
	}
	locked := filepath.Join(t.TempDir(), "locked")
	if err := os.Mkdir(locked, 0o555); err != nil {
		t.Fatal(err)
	}
	if code, _, errw := cli(t, tune(t, locked)...); code != exitFailed || !strings.Contains(errw, "cannot be written") {
		t.Errorf("folder without permission: exit code %d, %s", code, errw)
	}
}

// Of processes that start at the same time in one folder exactly one gets it, also where a killed one left its lock file.
func TestOneRunAFolder(t *testing.T) {
	for _, stale := range []bool{false, true} {
		dir := filepath.Join(t.TempDir(), "run")
		if stale {
			if err := os.Mkdir(dir, 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, run.LockName), []byte("1\n"), 0o666); err != nil {
				t.Fatal(err)
			}
		}
		var got []*run.Folder
		var failed []error
		var mu sync.Mutex
		var all sync.WaitGroup
		for range 20 {
			all.Go(func() {
				r, err := run.OpenFolder(dir, false)
				mu.Lock()
				defer mu.Unlock()
				if err != nil {
					failed = append(failed, err)
				} else {
					got = append(got, r)
				}
			})
		}
		all.Wait()
		if len(got) != 1 {
			t.Fatalf("%d have the folder", len(got))
		}
		for _, err := range failed {
			if !strings.Contains(err.Error(), "is in use by") {
				t.Error(err)
			}
		}
		got[0].Close()
		if e := entries(t, dir); e != "" {
			t.Errorf("after the run the folder holds %s", e)
		}
		again, err := run.OpenFolder(dir, false)
		if err != nil {
			t.Fatal(err)
		}
		again.Close()
	}
}

// interrupt starts a run, stops it when it has saved a checkpoint after so many steps or more, and returns how it ended.
func interrupt(t *testing.T, steps int, args []string, dir string) (code int, errw string) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() {
		for ctx.Err() == nil {
			files, err := train.StateFiles(dir)
			if err == nil && len(files) > 0 && filepath.Base(files[0]) >= stateName(steps) {
				cancel()
			}
			time.Sleep(100 * time.Microsecond)
		}
	}()
	var o, e bytes.Buffer
	code = runMain(ctx, &o, &e, args)
	return code, e.String()
}

// stateName is the name of the checkpoint after so many steps, which the tests of rmt pin.
func stateName(steps int) string {
	digits := "000000000" + string(rune('0'+steps/10)) + string(rune('0'+steps%10))
	return "training-" + digits[len(digits)-9:] + ".safetensors"
}

// A run that was interrupted goes on with -resume, and nobody can tell from the mask.
func TestResume(t *testing.T) {
	finished, want := undisturbedRun(t)
	for _, steps := range []int{1, 5, 6, 13} { // 6 steps are an epoch
		dir := filepath.Join(t.TempDir(), "run")
		code, errw := interrupt(t, steps, tune(t, dir, "-save-every", "1ns"), dir)
		if code == exitDone {
			t.Logf("%d steps: done before it could be stopped", steps)
			continue
		}
		if code != exitInterrupted || !strings.Contains(errw, "go on with -resume -out "+dir) {
			t.Fatalf("exit code %d: %s", code, errw)
		}
		if names := entries(t, dir); strings.Contains(names, run.LockName) || strings.Contains(names, "tmp") || strings.Count(names, "training-") > 2 {
			t.Errorf("an interrupted run leaves %s", names)
		}
		i := last[runInfo](t, must(t, "info", "-json", dir))
		if i.Finished || i.Training == nil || i.Training.Steps < steps {
			t.Errorf("info says %+v", i)
		}
		if code, _, errw := cli(t, tune(t, dir)...); code != exitFailed || !strings.Contains(errw, "or -resume to go on with it") {
			t.Errorf("without -resume: exit code %d, %s", code, errw)
		}
		r := last[run.Result](t, must(t, tune(t, dir, "-resume", "-json")...))
		if got := read(t, filepath.Join(dir, run.MaskName)); !bytes.Equal(got, want) {
			t.Errorf("stopped after %d steps and resumed: another mask", i.Training.Steps)
		}
		var undisturbed run.Result
		if err := json.Unmarshal(read(t, filepath.Join(finished, run.ResultName)), &undisturbed); err != nil {
			t.Fatal(err)
		}
		if n := len(r.Epochs); n == 0 || !cmp.Equal(r.Epochs[n-1], undisturbed.Epochs[2]) {
			t.Errorf("the last epoch is reported as %+v, undisturbed as %+v", r.Epochs, undisturbed.Epochs[2])
		}
		if got := entries(t, dir); got != "mask.safetensors result.json" {
			t.Errorf("the folder holds %s", got)
		}
	}
}

// A run may be killed between any two of the things that its end does: what was learned, the result, the removal of one
// checkpoint after the other and of its lock. From each state -resume leaves what an undisturbed run leaves, and says
// so where the run was finished.
func TestResumeAtTheEnd(t *testing.T) {
	finished, want := undisturbedRun(t)
	result := read(t, filepath.Join(finished, run.ResultName))
	stopped := interrupted(t)
	states, err := train.StateFiles(stopped)
	if err != nil || len(states) == 0 {
		t.Fatal(states, err)
	}
	newest, old := filepath.Base(states[0]), stateName(1)
	checkpoint := read(t, states[0])
	for _, left := range [][]string{
		{run.LockName, newest, ".mask.safetensors.tmp-1"},
		{run.LockName, newest, run.MaskName},
		{run.LockName, newest, run.MaskName, ".result.json.tmp-1"},
		{run.LockName, newest, old, run.MaskName, run.ResultName},
		{run.LockName, newest, run.MaskName, run.ResultName},
		{run.LockName, run.MaskName, run.ResultName, "." + newest + ".tmp-1"},
		{run.LockName, run.MaskName, run.ResultName, run.GridName},
		{run.LockName, run.MaskName, run.ResultName},
		{run.MaskName, run.ResultName},
	} {
		dir := t.TempDir()
		for _, name := range left {
			b := map[string][]byte{newest: checkpoint, run.MaskName: want, run.ResultName: result}[name]
			var err error
			if name == run.GridName {
				err = os.MkdirAll(filepath.Join(dir, name, "001"), 0o777)
			} else {
				err = os.WriteFile(filepath.Join(dir, name), b, 0o666)
			}
			if err != nil {
				t.Fatal(err)
			}
		}
		code, _, errw := cli(t, tune(t, dir, "-resume")...)
		if n := len(left) - 2; !slices.Contains(left, run.ResultName) {
			if code != exitDone {
				t.Errorf("%v: exit code %d, %s", left, code, errw)
			}
		} else if said := strings.Contains(errw, "removed now"); code != exitFailed || !strings.Contains(errw, "holds a finished run") || said != (n > 0) ||
			!bytes.Equal(read(t, filepath.Join(dir, run.ResultName)), result) {
			t.Errorf("%v: exit code %d, %s", left, code, errw)
		}
		if got := entries(t, dir); got != "mask.safetensors result.json" || !bytes.Equal(read(t, filepath.Join(dir, run.MaskName)), want) {
			t.Errorf("%v: the folder holds %s, or another mask", left, got)
		}
	}
}

// interrupted is a folder with a run that was stopped after some steps and has two checkpoints.
func interrupted(t *testing.T) string {
	t.Helper()
	for range 20 {
		dir := filepath.Join(t.TempDir(), "run")
		interrupt(t, 3, tune(t, dir, "-save-every", "1ns"), dir)
		if files, err := train.StateFiles(dir); err == nil && len(files) == 2 {
			return dir
		}
	}
	t.Fatal("a run cannot be stopped halfway")
	return ""
}

// A damaged checkpoint is passed over for the one before, loudly; if there is none, the run is not started anew unasked.
func TestDamagedCheckpoint(t *testing.T) {
	finished, want := undisturbedRun(t)
	whole, _, err := run.ReadResult(finished)
	if err != nil {
		t.Fatal(err)
	}
	for name, damage := range map[string]func([]byte) []byte{
		"cut":    func(b []byte) []byte { return b[:len(b)/2] },
		"empty":  func(b []byte) []byte { return nil },
		"zeroed": func(b []byte) []byte { return make([]byte, len(b)) },
		"bit":    func(b []byte) []byte { b[len(b)/2] ^= 4; return b },
		"format": func(b []byte) []byte {
			return bytes.Replace(b, []byte("fewshot-training"), []byte("fewshot-draining"), 1)
		},
		"longer": func(b []byte) []byte { return append(b, 0) },
	} {
		dir := interrupted(t)
		files, err := train.StateFiles(dir)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(files[0], damage(read(t, files[0])), 0o666); err != nil {
			t.Fatal(err)
		}
		// What a killed process leaves goes at the same time.
		junk := filepath.Join(dir, "."+filepath.Base(files[0])+".tmp-1000")
		if err := os.WriteFile(junk, []byte("half a checkpoint"), 0o666); err != nil {
			t.Fatal(err)
		}
		before, err := train.ReadState(files[1])
		if err != nil || before.Done.Whole == nil {
			t.Fatalf("%s: %+v, %v", name, before.Done, err)
		}
		code, _, errw := cli(t, tune(t, dir, "-resume")...)
		if code != exitDone || !strings.Contains(errw, "passing over a damaged checkpoint") || !strings.Contains(errw, files[0]) {
			t.Errorf("%s: exit code %d, %s", name, code, errw)
			continue
		}
		r, _, err := run.ReadResult(dir)
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.Seconds <= before.Done.Whole.Wall.Seconds() || r.CPU <= before.Done.Whole.Processor.Seconds() {
			t.Errorf("%s: the run took %g s, of processors %g, of which %+v before it was interrupted", name, r.Seconds, r.CPU, before.Done.Whole)
		}
		if got := read(t, filepath.Join(dir, run.MaskName)); !bytes.Equal(got, want) {
			t.Errorf("%s: another mask", name)
		}
		if whole.Tensors[0].GradientSum == nil || !cmp.Equal(r.Tensors, whole.Tensors) {
			t.Errorf("%s: of the tensors it says %+v, undisturbed %+v", name, r.Tensors, whole.Tensors)
		}
		if got := entries(t, dir); got != "mask.safetensors result.json" {
			t.Errorf("%s: the folder holds %s", name, got)
		}
	}

	dir := interrupted(t)
	files, err := train.StateFiles(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := os.WriteFile(f, []byte("gone"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	if code, _, errw := cli(t, tune(t, dir, "-resume")...); code != exitFailed || !strings.Contains(errw, files[1]) {
		t.Errorf("no good checkpoint: exit code %d, %s", code, errw)
	}
}

// A run goes on with its own settings, data and weights or not at all.
func TestResumeRefusesOtherRuns(t *testing.T) {
	dir := interrupted(t)
	before := entries(t, dir)
	for _, c := range []struct{ what, args string }{
		{"lr", "-lr 2e-3"},
		{"epochs", "-epochs 4"},
		{"leak", "-leak 0.5"},
		{"seed", "-seed 2"},
		{"data.shots", "-shots 3"},
		{"method", "-method amt"},
		{"recipe", "-recipe released"},
		{"patterns", "-patterns visual.*.out_proj.weight"},
		{"templates", "-template {}"},
		{"classes", "-classes base"},
		{"flip", "-flip 0"},
		{"micro_batch", "-micro-batch 3"},
		{"rrc_scale_min", "-rrc-scale 0.08"},
		{"precision", "-precision bf16"},
		{"model.digest", "-model " + other(t)},
		{"preprocessing.pillow", "-pillow 12"},
	} {
		code, _, errw := cli(t, tune(t, dir, append([]string{"-resume"}, strings.Fields(c.args)...)...)...)
		if code != exitFailed || !strings.Contains(errw, train.ErrOtherRun.Error()) || !strings.Contains(errw, c.what+" was ") {
			t.Errorf("%s: exit code %d, %s", c.args, code, errw)
		}
	}
	dev, err := tensor.Open("cpu", tensor.Options{Strassen: tensor.StrassenPays()})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	if dev.Strassen() {
		if code, _, errw := cli(t, tune(t, dir, "-resume", "-strassen=false")...); code != exitFailed || !strings.Contains(errw, "strassen was ") {
			t.Errorf("-strassen=false: exit code %d, %s", code, errw)
		}
	}
	if after := entries(t, dir); after != before {
		t.Errorf("before: %s\nafter: %s", before, after)
	}
	// What does not matter may change.
	_, want := undisturbedRun(t)
	must(t, tune(t, dir, "-resume", "-workers", "1", "-cache", "0", "-save-every", "1h")...)
	if got := read(t, filepath.Join(dir, run.MaskName)); !bytes.Equal(got, want) {
		t.Error("another mask")
	}
}

// Where the mask cannot be written the run fails with its name, and goes on from its last checkpoint once it can be.
func TestMaskCannotBeWritten(t *testing.T) {
	dir := interrupted(t)
	mask := filepath.Join(dir, run.MaskName)
	if err := os.MkdirAll(filepath.Join(mask, "in the way"), 0o777); err != nil {
		t.Fatal(err)
	}
	code, _, errw := cli(t, tune(t, dir, "-resume")...)
	if code != exitFailed || !strings.Contains(errw, mask) {
		t.Errorf("exit code %d, %s", code, errw)
	}
	if names := entries(t, dir); !strings.Contains(names, stateName(18)) || strings.Contains(names, "tmp") || strings.Contains(names, run.ResultName) {
		t.Errorf("the folder holds %s", names)
	}
	if err := os.RemoveAll(mask); err != nil {
		t.Fatal(err)
	}
	must(t, tune(t, dir, "-resume")...)
	if _, want := undisturbedRun(t); !bytes.Equal(read(t, mask), want) {
		t.Error("another mask")
	}
}

// Truncated training images are found before anything is evaluated, and all of them.
func TestTrainLooksAtImagesFirst(t *testing.T) {
	root := t.TempDir()
	if err := os.CopyFS(filepath.Join(root, "few"), os.DirFS(filepath.Join(tinyData(t), "few"))); err != nil {
		t.Fatal(err)
	}
	all, err := filepath.Glob(filepath.Join(root, "few", "images", "*", "*.png"))
	if err != nil || len(all) == 0 {
		t.Fatal(err)
	}
	for _, name := range all {
		if info, err := os.Stat(name); err != nil || os.Truncate(name, info.Size()/2) != nil {
			t.Fatal(name, err)
		}
	}
	code, out, errw := cli(t, "train", "-model", tiny(t), "-data", root, "-dataset", "few", "-shots", "1", "-epochs", "1", "-out", filepath.Join(t.TempDir(), "run"))
	if code != exitFailed || out != "" || strings.Contains(errw, "zero-shot") || !strings.Contains(errw, "problems:") || !strings.Contains(errw, "corrupt PNG image") {
		t.Errorf("exit code %d\n%s%s", code, out, errw)
	}
}
