package main

import (
	"encoding/json"
	"flag"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"fewshot/rmt"
	"fewshot/rmt/run"
	"fewshot/tensor"
)

// Left alone, -micro-batch is chosen by model and batch; any number that is given wins.
func TestMicroBatch(t *testing.T) {
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	for _, c := range []struct {
		args, arch  string
		batch, want int
	}{
		{"", "ViT-B-16", 32, 16}, {"-micro-batch auto", "ViT-B-16", 32, 16}, {"", "ViT-B-16", 31, 0}, {"", "ViT-B-32", 32, 0},
		{"-micro-batch 0", "ViT-B-16", 32, 0}, {"-micro-batch 5", "ViT-B-16", 32, 5}, {"-micro-batch 5", "ViT-B-32", 3, 5},
		{"-micro-batch 5 -micro-batch auto", "ViT-B-32", 32, 0},
	} {
		var m microBatch
		fs := flag.NewFlagSet("", flag.ContinueOnError)
		m.declare(fs)
		if err := fs.Parse(strings.Fields(c.args)); err != nil {
			t.Fatal(err)
		}
		if got := m.of(dev, archs[c.arch].Sizes().Tokens, c.batch); got != c.want {
			t.Errorf("%q, %s, batch %d: %d, want %d", c.args, c.arch, c.batch, got, c.want)
		}
	}
}

// What was chosen is on record, in result.json and by the benchmarks.
func TestMicroBatchIsRecorded(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	must(t, tune(t, dir, "-micro-batch", "3", "-epochs", "1")...)
	var r run.Result
	if err := json.Unmarshal(read(t, filepath.Join(dir, run.ResultName)), &r); err != nil {
		t.Fatal(err)
	}
	if config(t, r).MicroBatch != 3 {
		t.Errorf("result.json has %+v", r.Config)
	}
	step := func(args ...string) benchResult {
		return last[benchResult](t, must(t, append([]string{"bench", "-json", "-model", tiny(t), "-only", "step", "-match", "^AMT", "-rounds", "1"}, args...)...))
	}
	b := step("-micro-batch", "2")
	if got := b.Cases[0].MicroBatch; got != 2 {
		t.Errorf("-micro-batch 2: %d", got)
	}
	sizes := b.Sizes.(map[string]any)
	grid := int(sizes["ImageSize"].(float64) / sizes["Patch"].(float64))
	n := 2*rmt.LeastTokens/(grid*grid+1) + 1
	if got, want := step("-batch", strconv.Itoa(n)).Cases[0].MicroBatch, (n+1)/2; got != want {
		t.Errorf("a batch of %d: parts of %d, want %d", n, got, want)
	}
}

// Parts of a batch round otherwise, so that the spec of a run by any method has them: a run does not go on in others, and is made
// again in the same.
func TestMicroBatchIsOfTheRun(t *testing.T) {
	specs := map[string]bool{}
	for _, parts := range []string{"0", "3"} {
		dir := filepath.Join(t.TempDir(), "run")
		r := last[run.Result](t, must(t, learn(t, "coop", dir, "-json", "-micro-batch", parts)...))
		specs[r.SpecHash] = true
		must(t, "verify", dir)
	}
	if len(specs) != 2 {
		t.Error("runs of other bytes have one spec")
	}
	dir := filepath.Join(t.TempDir(), "run")
	if code, errw := interrupt(t, 1, learn(t, "coop", dir, "-save-every", "1ns"), dir); code != exitInterrupted {
		t.Skipf("exit code %d before it could be stopped: %s", code, errw)
	}
	if code, _, errw := cli(t, learn(t, "coop", dir, "-resume", "-micro-batch", "3")...); code != exitFailed || !strings.Contains(errw, "compute.micro_batch was ") {
		t.Errorf("-resume in other parts: exit code %d, %s", code, errw)
	}
}

// What stops by the mean over a batch is not computed in parts of it.
func TestWholeBatch(t *testing.T) {
	stop := []string{"-sinkhorn-stop", "batch", "-json"}
	for _, m := range []string{"plot", "plot++"} {
		code, _, errw := cli(t, learn(t, m, filepath.Join(t.TempDir(), "run"), append(stop, "-micro-batch", "2")...)...)
		if code != exitUsage || !strings.Contains(errw, "the whole batch, which is computed as one") {
			t.Errorf("%s in parts: exit code %d, %s", m, code, errw)
		}
	}
	var sums []string
	for _, more := range [][]string{nil, {"-seeds", "1,2", "-micro-batch", "2"}} { // a plan has settings for each of its runs
		dir := filepath.Join(t.TempDir(), "run")
		must(t, learn(t, "plot", dir, append(stop, more...)...)...)
		var found string
		err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
			if filepath.Base(path) != run.ResultName || found != "" {
				return err
			}
			var r run.Result
			if err := json.Unmarshal(read(t, path), &r); err != nil {
				return err
			}
			if r.Seed == 1 {
				found = r.FileSum
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		sums = append(sums, found)
	}
	if sums[0] == "" || sums[0] != sums[1] {
		t.Errorf("the files of one run have the sums %q", sums)
	}
}
