package main

import (
	"bytes"
	"path/filepath"
	"strings"
	"testing"

	"fewshot/tensor"
)

// The same seed gives the same model, whatever the number of threads; another seed another one.
func TestPretrain(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "model")
	if err := pretrainInto(dir, "-workers", "1"); err != nil {
		t.Fatal(err)
	}
	const files = "merges.txt model.safetensors open_clip_config.json special_tokens_map.json tokenizer.json tokenizer_config.json vocab.json"
	if got := entries(t, dir); got != files {
		t.Errorf("the folder holds %s", got)
	}
	// The folder is a model, as its weights alone are.
	i := last[modelInfo](t, must(t, "info", "-json", dir))
	if i.Format != "open_clip" || i.Activation != "quickgelu" || i.Image == nil || i.Text == nil || i.Vocabulary != filepath.Join(dir, "merges.txt") || !i.Prepared {
		t.Errorf("%+v", i)
	}
	if a, b := must(t, "encode", "-json", "-model", dir, "-text", "a star"), must(t, "encode", "-json", "-model", tiny(t), "-text", "a star"); a != b {
		t.Errorf("of the folder\n%s\nof the weights\n%s", a, b)
	}
	for name := range strings.FieldsSeq(files) {
		if !bytes.Equal(read(t, filepath.Join(dir, name)), read(t, filepath.Join(tinyFolder(t), name))) {
			t.Errorf("%s differs", name)
		}
	}
	if bytes.Equal(read(t, other(t)), read(t, tiny(t))) {
		t.Error("another seed, but the same model")
	}
	if err := pretrainInto(dir); err == nil || !strings.Contains(err.Error(), "is not empty") {
		t.Errorf("into a folder with a model: %v", err)
	}
}

// The demonstration is whole: zero-shot and every method, on every task and seed, and their means.
func TestDemo(t *testing.T) {
	type result struct {
		Kind      string
		Synthetic bool
		Shots     int
		Rows      []demoResult
		Mean      []demoResult
	}
	args := []string{"-tasks", "textures", "-methods", "amt,r-amt", "-shots", "1", "-epochs", "1", "-seeds", "1,2"}
	r := last[result](t, must(t, append(args, "-json")...))
	if r.Kind != "result" || !r.Synthetic || len(r.Rows) != 6 || len(r.Mean) != 3 {
		t.Fatalf("%+v", r)
	}
	for i, row := range r.Rows {
		if row.Task != "textures" || row.Classes != 12 || row.Seed != uint64(1+i/3) || row.Method != []string{"zero-shot", "amt", "r-amt"}[i%3] {
			t.Errorf("row %d: %+v", i, row)
		}
	}
	if a, b := r.Rows[0].Accuracy, r.Rows[3].Accuracy; a != b || a < 2*100/12. {
		t.Errorf("zero-shot gives %.1f %% and %.1f %%", a, b)
	}
	out := must(t, append([]string{"demo"}, args...)...)
	for _, want := range []string{"zero-shot", "r-amt", "mean", "sparsity", "Next:", "fewshot train"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
}

// TestNormalsAreTheKeys: random weights do not depend on how many processors draw them.
func TestNormalsAreTheKeys(t *testing.T) {
	key := tensor.NewKey(5)
	for _, n := range []int{0, 1, 2, 70001} {
		dst := make([]float32, n)
		normals(dst, key, 0.5, 0.25)
		for i, got := range dst {
			if want := float32(0.5 + 0.25*key.Normal(uint64(i))); got != want {
				t.Fatalf("number %d of %d is %v, want %v", i, n, got, want)
			}
		}
	}
}
