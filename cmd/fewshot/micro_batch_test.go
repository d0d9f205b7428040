package main

import (
	"encoding/json"
	"flag"
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
