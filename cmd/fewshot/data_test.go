package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fewshot/datasets/synth"
	"fewshot/rmt/plan"
	"fewshot/rmt/run"
)

// pictures writes n images that can be decoded into every folder below dir.
func pictures(t *testing.T, dir string, n int, folders ...string) {
	t.Helper()
	rgb := make([]uint8, synth.Size*synth.Size*3)
	for k, f := range folders {
		for i := range n {
			rgb[0], rgb[1] = uint8(k), uint8(i)
			png, err := synth.EncodePNG(rgb)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(dir, f, fmt.Sprintf("%d.png", i))
			if err := os.MkdirAll(filepath.Dir(file), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(file, png, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// Folders of parts never become classes, what was read is said, and no accuracy is of nothing.
func TestOwnFolders(t *testing.T) {
	dir := t.TempDir()
	pictures(t, dir, 2, "Train/cat", "Train/dog", "Testing/cat", "Testing/dog")
	out := must(t, "zeroshot", "-dataset", dir)
	for _, want := range []string{"read Train/ as train, Testing/ as test", "of 4 images, 2 classes"} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
	only := t.TempDir()
	pictures(t, only, 2, "test/cat", "test/dog")
	if out := must(t, "zeroshot", "-dataset", only); !strings.Contains(out, "of 4 images, 2 classes") {
		t.Error(out)
	}
	one := t.TempDir()
	pictures(t, one, 2, "train/cat", "test/cat")
	if _, out, errw := cli(t, "zeroshot", "-dataset", one); !strings.Contains(errw, "with one class every model is right") {
		t.Error(out, errw)
	}
	untested := t.TempDir()
	pictures(t, untested, 2, "train/a", "train/b", "train/c", "train/d", "test/d")
	for _, c := range []struct {
		code int
		want string
		args []string
	}{
		{exitFailed, "has no training images", []string{"train", "-dataset", only}},
		{exitFailed, `has one class, "cat"`, []string{"train", "-dataset", one}},
		{exitFailed, "has no test images of its base classes", []string{"zeroshot", "-dataset", untested, "-classes", "base"}},
		{exitUsage, "-shots -1", []string{"train", "-dataset", dir, "-shots", "-1"}},
		{exitUsage, `-split "2": `, []string{"zeroshot", "-dataset", dir, "-split", "2"}},
		{exitUsage, "-class-level -1", []string{"data", "check", "-dataset", dir, "-class-level", "-1"}},
		{exitFailed, "has parts of its own", []string{"zeroshot", "-dataset", dir, "-split", "0.8"}},
		{exitFailed, "has a published division", []string{"zeroshot", "-dataset", "dtd", "-split", "0.8"}},
		{exitFailed, "Did you mean eurosat?", []string{"zeroshot", "-dataset", "eurosta"}},
	} {
		code, out, errw := cli(t, c.args...)
		if code != c.code || !strings.Contains(errw, c.want) {
			t.Errorf("%v: exit code %d, want %d with %q:\n%s%s", c.args, code, c.code, c.want, out, errw)
		}
	}
}

// A sample that others published takes the place of the drawn one, and says how many shots it has.
func TestSampleFlag(t *testing.T) {
	dir := t.TempDir()
	pictures(t, dir, 3, "train/cat", "train/dog", "test/cat", "test/dog")
	file := filepath.Join(t.TempDir(), "shot_1-seed_1_train.jsonl")
	lines := `{"_impath": "x/train/dog/2.png", "_label": 1, "_classname": "dog"}` + "\n" + `{"_impath": "x/train/cat/0.png", "_label": 0, "_classname": "cat"}`
	if err := os.WriteFile(file, []byte(lines), 0o666); err != nil {
		t.Fatal(err)
	}
	d := dataFlags{name: dir, sample: file, shots: 1, classes: "all", trains: true}
	ds, err := d.open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if len(ds.Train) != 2 || ds.Train[0].Path != "train/dog/2.png" || ds.Train[1].Path != "train/cat/0.png" {
		t.Errorf("sample %+v", ds.Train)
	}
	// numpy.random.seed(1) and choice(3, 1, replace=False), a class after the other, give 0 and 1.
	d.sample, d.seed = plan.OfProbe, 1
	if ds, err = d.open(t.Context()); err != nil || len(ds.Train) != 2 || ds.Train[0].Path != "train/cat/0.png" || ds.Train[1].Path != "train/dog/1.png" {
		t.Errorf("as lpclip draws: %+v, %v", ds.Train, err)
	}
	code, _, errw := cli(t, "train", "-dataset", dir, "-sample", file)
	if code != exitUsage || !strings.Contains(errw, "1 training image of a class, -shots says 16: give -shots 1") {
		t.Errorf("exit code %d: %s", code, errw)
	}
}

// Several templates, a file of them, and prompts of each class are used in training and testing alike, and a mask remembers them.
func TestPromptFlags(t *testing.T) {
	dir := t.TempDir()
	pictures(t, dir, 2, "train/cat", "train/dog", "test/cat", "test/dog")
	write := func(name, text string) string {
		file := filepath.Join(t.TempDir(), name)
		if err := os.WriteFile(file, []byte(text), 0o666); err != nil {
			t.Fatal(err)
		}
		return file
	}
	templates := write("templates.txt", "a red {}.\na blue {}.\n")
	own := write("cupl.json", `{"cat": ["a red circle", "a circle"], "Dog": ["a blue square"], "cow": ["x"]}`)
	other := write("other.json", `{"cat": ["a red circle", "a circle"], "dog": ["a green square"]}`)
	zeroshot := func(args ...string) evalResult {
		t.Helper()
		return last[evalResult](t, must(t, append([]string{"zeroshot", "-json", "-dataset", dir}, args...)...))
	}
	if r := zeroshot("-template", "one {}", "-template-file", templates); len(r.Templates) != 3 || r.Templates[1] != "a red {}." || r.Prompts != "templates" {
		t.Errorf("%q, prompts %s", r.Templates, r.Prompts)
	}
	r := zeroshot("-class-prompts", own)
	if len(r.Prompts) != 64 || zeroshot("-class-prompts", other).Prompts == r.Prompts {
		t.Errorf("prompts %s", r.Prompts)
	}
	train := func(out string, args ...string) run.Result {
		t.Helper()
		return last[run.Result](t, must(t, append([]string{"train", "-json", "-dataset", dir, "-shots", "2", "-epochs", "1", "-out", out}, args...)...))
	}
	ensemble := filepath.Join(t.TempDir(), "ensemble")
	if r := train(ensemble, "-template-file", templates); len(r.Templates) != 2 {
		t.Errorf("templates %q", r.Templates)
	}
	if r := last[evalResult](t, must(t, "eval", "-json", "-dataset", dir, "-mask", ensemble)); len(r.Templates) != 2 {
		t.Errorf("eval's templates %q", r.Templates)
	}
	prompted := filepath.Join(t.TempDir(), "prompted")
	train(prompted, "-class-prompts", own)
	must(t, "eval", "-dataset", dir, "-mask", prompted, "-class-prompts", own)
	for want, args := range map[string][]string{
		"give their file, whose prompts have SHA-256 " + r.Prompts: {"eval", "-dataset", dir, "-mask", prompted},
		"was trained with other prompts by class":                  {"eval", "-dataset", dir, "-mask", prompted, "-class-prompts", other},
		"was trained with templates":                               {"eval", "-dataset", dir, "-mask", ensemble, "-class-prompts", own},
		"has no prompts for 1 (dog)":                               {"zeroshot", "-dataset", dir, "-class-prompts", write("x.json", `{"cat": ["x"]}`)},
		"takes the place of -template":                             {"zeroshot", "-dataset", dir, "-class-prompts", own, "-template", "a {}"},
		`line 1: "no place" has no {}`:                             {"zeroshot", "-dataset", dir, "-template-file", write("t.txt", "no place\n")},
	} {
		if code, out, errw := cli(t, args...); code == exitDone || !strings.Contains(errw, want) {
			t.Errorf("%v: exit code %d, lacks %q:\n%s%s", args, code, want, out, errw)
		}
	}
	forced := last[evalResult](t, must(t, "eval", "-json", "-force", "-dataset", dir, "-mask", prompted, "-class-prompts", other))
	if len(forced.Forced) != 1 || !strings.Contains(forced.Forced[0], "data.prompts_sha256") {
		t.Errorf("forced %q", forced.Forced)
	}

	// What was learned on all classes needs the prompts of all, to say so where it is tested on some.
	four, adapter := t.TempDir(), filepath.Join(t.TempDir(), "adapter")
	for _, part := range []string{"train", "val", "test"} {
		pictures(t, four, 2, part+"/ant", part+"/bee", part+"/cat", part+"/dog")
	}
	all := []string{"-dataset", four, "-class-prompts", write("four.json", `{"ant": ["red"], "bee": ["blue"], "cat": ["a circle"], "dog": ["a square"]}`)}
	must(t, append([]string{"train", "-method", "tip-adapter", "-shots", "2", "-out", adapter}, all...)...)
	if code, _, errw := cli(t, append([]string{"eval", "-tuned", adapter, "-classes", "base"}, all...)...); code != exitFailed || !strings.Contains(errw, "was learned for its own classes") {
		t.Errorf("exit code %d: %s", code, errw)
	}
}

// The order in which an ensemble is normalised belongs to how a model is used: a mask remembers it, and another is refused.
func TestEnsembleOrder(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	r := last[run.Result](t, must(t, tune(t, dir, "-template", "imagenet7", "-ensemble-order", "mean-first", "-json")...))
	if r.Spec.Model.Ensemble != "mean-first" {
		t.Errorf("the spec says %q", r.Spec.Model.Ensemble)
	}
	eval := []string{"eval", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-mask", dir, "-json"}
	if e := last[evalResult](t, must(t, eval...)); e.Test != *r.Test {
		t.Errorf("eval says %+v, train %+v", e.Test, *r.Test)
	}
	code, _, errw := cli(t, append(eval, "-ensemble-order", "normalize-first")...)
	if code != exitFailed || !strings.Contains(errw, "model.ensemble was mean-first and is normalize-first") {
		t.Errorf("exit code %d: %s", code, errw)
	}
	// Without a word it is CLIP's order, of which specs of older programs say nothing.
	plain := filepath.Join(t.TempDir(), "run")
	if r := last[run.Result](t, must(t, tune(t, plain, "-template", "imagenet7", "-json")...)); r.Spec.Model.Ensemble != "" {
		t.Errorf("the spec says %q", r.Spec.Model.Ensemble)
	}
	eval[8] = plain
	must(t, append(eval, "-ensemble-order", "normalize-first")...)
	code, _, errw = cli(t, append(eval, "-ensemble-order", "mean-first")...)
	if code != exitFailed || !strings.Contains(errw, "model.ensemble was normalize-first and is mean-first") {
		t.Errorf("exit code %d: %s", code, errw)
	}
	if code, _, errw = cli(t, append(eval, "-ensemble-order", "none")...); code != exitUsage || !strings.Contains(errw, "normalize-first and mean-first") {
		t.Errorf("exit code %d: %s", code, errw)
	}
}

// TestCheckRoot: of a folder of data sets each is a line.
func TestCheckRoot(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"one", "two"} {
		if err := os.CopyFS(filepath.Join(root, name), os.DirFS(filepath.Join(tinyData(t), "few"))); err != nil {
			t.Fatal(err)
		}
	}
	for _, args := range [][]string{{"-data", root}, {"-dataset", root}} {
		out := must(t, append([]string{"data", "check"}, args...)...)
		if !strings.Contains(out, root+": 2 data sets\n") || strings.Count(out, "12 classes") != 2 || !strings.Contains(out, "\n  one ") {
			t.Errorf("%v: %s", args, out)
		}
		if r := last[rootResult](t, must(t, append([]string{"data", "check", "-json"}, args...)...)); !r.OK || len(r.Sets) != 2 || r.Sets[1].Got.Classes != 12 {
			t.Errorf("%v: %+v", args, r)
		}
	}
	if err := os.WriteFile(firstImage(t, filepath.Join(root, "two")), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	code, out, errw := cli(t, "data", "check", "-data", root)
	if code != exitFailed || !strings.Contains(out, "; 1 are unreadable") || !strings.Contains(errw, "1 of 2 data sets") {
		t.Errorf("a damaged image: exit code %d, %s%s", code, out, errw)
	}
	if code, _, errw := cli(t, "data", "check", "-data", t.TempDir()); code != exitFailed || !strings.Contains(errw, "holds no data sets") {
		t.Errorf("an empty folder: exit code %d, %s", code, errw)
	}
	if code, _, errw := cli(t, "data", "check", "-data", filepath.Join(root, "none")); code != exitUsage || !strings.Contains(errw, "there is no folder") {
		t.Errorf("no folder: exit code %d, %s", code, errw)
	}
}
