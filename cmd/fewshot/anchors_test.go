package main

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/datasets"
	"fewshot/rmt/clip"
)

// What is published of each backbone: every set of the paper once, and of ViT-B/16 its halves.
func TestAnchorsOf(t *testing.T) {
	count := map[string]int{"RN50": 11, "RN101": 1, "ViT-B/16": 13, "ViT-B/32": 1, "ViT-L/14": 0}
	for backbone, n := range count {
		all, err := anchorsOf(backbone, false)
		if err != nil || len(all) != n {
			t.Errorf("%s: %v, %d anchors", backbone, err, len(all))
		}
		seen := map[string]bool{}
		for _, a := range all {
			if seen[a.Dataset] || a.Published < 10 || a.Published > 100 {
				t.Errorf("%s: %+v", backbone, a)
			}
			seen[a.Dataset] = true
		}
	}
	all, err := anchorsOf("ViT-B/16", true)
	if err != nil || len(all) != 13+22 {
		t.Fatalf("%v, %d with halves", err, len(all))
	}
	for _, want := range []anchor{{Dataset: "oxford_pets", Classes: "all", Published: 89.21}, {Dataset: "imagenet", Classes: "all", Published: 66.73}, {Dataset: "imagenet_sketch", Classes: "all", Published: 46.15},
		{Dataset: "dtd", Classes: "new", Published: 59.90}} {
		if !slices.ContainsFunc(all, func(a anchor) bool {
			return a.Dataset == want.Dataset && a.Classes == want.Classes && a.Published == want.Published
		}) {
			t.Errorf("%+v is not there", want)
		}
	}
}

// Stand-ins show the verdicts; the real sets and weights are not here.
func TestAnchors(t *testing.T) {
	root := t.TempDir()
	pets := filepath.Join(root, "oxford_pets")
	if err := os.CopyFS(pets, os.DirFS(filepath.Join(tinyData(t), "few"))); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(filepath.Join(pets, "split_zhou_Few.json"), filepath.Join(pets, "split_zhou_OxfordPets.json")); err != nil {
		t.Fatal(err)
	}
	var f trainFlags
	f.data.root, f.loader.Batch, f.loader.Store, f.device.name, f.device.precision = root, 100, "host", "cpu", "float32"
	u := newUI(io.Discard, io.Discard, true)
	dev, err := f.device.open()
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	m, err := (&modelFlags{Options: clip.Options{Path: tiny(t)}}).open(t.Context(), dev, u)
	if err != nil {
		t.Fatal(err)
	}
	measure := func(dataset, classes string, published float64) anchor {
		t.Helper()
		a := anchor{Dataset: dataset, Classes: classes, Published: published}
		if err := f.anchor(t.Context(), u, dev, m, &a); err != nil {
			t.Fatal(err)
		}
		return a
	}
	a := measure("oxford_pets", "all", 50)
	if a.Verdict != "other images" || a.Accuracy == nil || a.Images != 24 || !strings.Contains(a.Why, "24 test images of 12 classes, and published are 3669 of 37") {
		t.Errorf("%+v", a)
	}
	if base := measure("oxford_pets", "base", 50); base.Accuracy == nil || base.Images >= a.Images {
		t.Errorf("%+v", base)
	}
	if a := measure("dtd", "all", 50); a.Verdict != "missing" || a.Accuracy != nil {
		t.Errorf("%+v", a)
	}
	// What is printed, and the error: where there is some of the data, and none of it.
	print := func(all ...anchor) (string, error) {
		var out strings.Builder
		u := newUI(&out, io.Discard, false)
		err := f.measure(t.Context(), u, dev, m, &anchorResult{Kind: "result", Backbone: "ViT-B/16", Tolerance: anchorTolerance}, all)
		return out.String(), err
	}
	gone := anchor{Dataset: "dtd", Classes: "all", Published: 44.39, Source: "R-AMT, Table 3"}
	out, err := print(anchor{Dataset: "oxford_pets", Classes: "all", Published: 89.21, Source: "R-AMT, Table 3"}, gone)
	if err == nil || err.Error() != "not all zero-shot accuracies are the published ones" || !strings.Contains(out, "other images") ||
		!strings.Contains(out, "oxford_pets: 24 test images of 12 classes, and published are 3669 of 37") || !strings.Contains(out, "missing: fewshot data check -dataset NAME") {
		t.Errorf("%v\n%s", err, out)
	}
	out, err = print(gone)
	if err == nil || !strings.Contains(err.Error(), "none of the data sets is in "+root) || !strings.Contains(out, "44.39") || !strings.Contains(out, "missing") {
		t.Errorf("%v\n%s", err, out)
	}
	if err := os.WriteFile(filepath.Join(pets, "split_zhou_OxfordPets.json"), []byte("{"), 0o666); err != nil {
		t.Fatal(err)
	}
	if a := measure("oxford_pets", "all", 50); a.Verdict != "failed" || a.Why == "" {
		t.Errorf("%+v", a)
	}
	for _, c := range []struct {
		args []string
		code int
		want string
	}{
		{[]string{"verify", "-anchors", "-model", tiny(t), "-data", root}, exitFailed, "no zero-shot accuracies are known here"},
		{[]string{"verify", "-anchors", "run"}, exitUsage, "leave"},
		{[]string{"verify", "-anchors", "-dataset", "few"}, exitUsage, "no published accuracy"},
		{[]string{"verify", "-base-to-new"}, exitUsage, "is for -anchors"},
	} {
		if code, _, errw := cli(t, c.args...); code != c.code || !strings.Contains(errw, c.want) {
			t.Errorf("%v: %d, %s", c.args, code, errw)
		}
	}
}

// The verdict is by the tolerance, of complete sets alone.
func TestVerdict(t *testing.T) {
	complete, _ := datasets.Lookup("oxford_pets")
	for _, c := range []struct {
		test      int
		got, want float64
		verdict   string
	}{{complete.Counts.Test, 89.5, 89.21, "agrees"}, {complete.Counts.Test, 89.51, 89.21, "agrees"}, {complete.Counts.Test, 89.53, 89.21, "differs"}, {complete.Counts.Test - 1, 89.21, 89.21, "other images"}} {
		if v := verdict(c.test, complete.Counts.Classes, complete, c.got, c.want); v != c.verdict {
			t.Errorf("%+v: %s", c, v)
		}
	}
}
