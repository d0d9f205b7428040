package run

import (
	"context"
	"encoding/json"
	"path/filepath"
	"slices"
	"testing"

	"fewshot/autograd"
	"fewshot/rmt"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/tensor"
)

// embedded opens the model in the program.
func embedded(t *testing.T) (*tensor.Device, *clip.Model) {
	t.Helper()
	dev, err := tensor.Open("cpu", tensor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	m, err := clip.Options{Path: clip.Embedded}.Open(dev)
	if err != nil {
		t.Fatal(err)
	}
	return dev, m
}

// saveMask writes a mask that hides every n-th weight of all attention.
func saveMask(t *testing.T, m *clip.Model, n int, classes []string) string {
	t.Helper()
	m = m.Share()
	picked, err := rmt.Select(m.Image.Params(), []string{"*.attn.*weight"})
	if err != nil {
		t.Fatal(err)
	}
	var masks []*rmt.Mask
	for _, p := range picked {
		keep := make([]bool, p.Value.Len())
		for i := range keep {
			keep[i] = i%n != 0
		}
		masks = append(masks, rmt.Fixed(p, keep))
	}
	about := map[string]string{}
	if classes != nil {
		names, err := json.Marshal(classes)
		if err != nil {
			t.Fatal(err)
		}
		about[ClassesKey] = string(names)
	}
	path := filepath.Join(t.TempDir(), MaskName)
	if err := rmt.SaveMasks(path, masks, m.Digest, about); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestResidents puts two masks on one backbone. Each gives what it gives alone, to the bit, the backbone what it gave, and what all take is
// given back.
func TestResidents(t *testing.T) {
	dev, m := embedded(t)
	classes := []string{"red circle", "blue square", "green star"}
	size := m.Transform.Size
	images := dev.New(tensor.Compute, 2, 3, size, size)
	tensor.Normal(images, tensor.NewKey(1))
	defer images.Release()
	logits := func(f func(*autograd.Var) *autograd.Var) []float32 {
		tape := autograd.NoGrad(dev)
		defer tape.Release()
		return slices.Clone(f(tape.Const(images)).Value.Floats())
	}
	job := func(m *clip.Model) *method.Job {
		return &method.Job{Dev: dev, Model: m, Classes: classes, Templates: []string{"a photo of a {}."}}
	}
	load := func(path string) *Loaded {
		l, err := OpenLoaded(path, "")
		if err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(l.Mask.Classes, classes) {
			t.Errorf("classes %q of a mask file", l.Mask.Classes)
		}
		return l
	}
	before := logits(m.Image.Encode)
	var want [][]float32
	var residents []*Resident
	for _, n := range []int{3, 7} {
		path := saveMask(t, m, n, classes)
		l := load(path)
		defer l.Close()
		alone, err := clip.Options{Path: clip.Embedded}.Open(dev)
		if err != nil {
			t.Fatal(err)
		}
		applied, err := l.apply(context.Background(), job(alone), false)
		if err != nil {
			t.Fatal(err)
		}
		want = append(want, logits(applied.Classifier.Logits))
		r, err := l.Settle(context.Background(), job(m.Share()), false)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, same, ok := r.Encoder(m.Image.Params()); same || !ok {
			t.Errorf("an encoder under a mask: same %v, ok %v", same, ok)
		}
		if r.Sparsity.Off == 0 || r.Bytes() == 0 {
			t.Errorf("a mask of sparsity %v takes %d bytes", r.Sparsity, r.Bytes())
		}
		residents = append(residents, r)
	}
	for i, r := range residents {
		if got := logits(r.Classifier.Logits); !slices.Equal(got, want[i]) {
			t.Errorf("task %d beside another: %v, alone %v", i, got, want[i])
		}
	}
	if slices.Equal(want[0], want[1]) {
		t.Error("both masks give the same")
	}
	if after := logits(m.Image.Encode); !slices.Equal(before, after) {
		t.Error("the backbone is not what it was")
	}
	none, err := (&Loaded{}).Settle(context.Background(), job(m.Share()), false)
	if err != nil {
		t.Fatal(err)
	}
	if _, _, same, ok := none.Encoder(m.Image.Params()); !same || !ok {
		t.Errorf("an untouched encoder: same %v, ok %v", same, ok)
	}
	dev.Trim()
	params := len(m.Weights.Params())
	// A second coming of a task takes no more than the first.
	residents[0].Release()
	l := load(saveMask(t, m, 3, classes))
	defer l.Close()
	high := dev.PeakBytes()
	for range 3 {
		r, err := l.Settle(context.Background(), job(m.Share()), false)
		if err != nil {
			t.Fatal(err)
		}
		r.Release()
	}
	if dev.PeakBytes() > high+high/50 || len(m.Weights.Params()) != params {
		t.Errorf("loading again and again: from %d to %d bytes, from %d to %d parameters", high, dev.PeakBytes(), params, len(m.Weights.Params()))
	}
}
