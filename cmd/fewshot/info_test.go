package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"unicode"

	"github.com/google/go-cmp/cmp"

	"fewshot/nn/checkpoint"
	"fewshot/rmt/run"
)

func TestInfoModel(t *testing.T) {
	got := last[modelInfo](t, must(t, "info", "-json", "-digest", tiny(t)))
	if len(got.Digest) != 64 {
		t.Errorf("digest %q", got.Digest)
	}
	got.Digest = ""
	vocab := tinyTokenizer(t).Size()
	want := modelInfo{Kind: "model", Path: tiny(t), Format: "safetensors", Dialect: "openai", Activation: "quickgelu", Tensors: 38,
		// By hand: both blocks 12·64² + 13·64; stem, class and positions 64·(3·64 + 1 + 37); token and positions 64·(1026 + 32);
		// norms 6·64; projections 2·64·128; the scale.
		Parameters: 2*(12*64*64+13*64) + 64*(3*64+1+37) + 64*(vocab+32) + 6*64 + 2*64*128 + 1,
		Image:      &imageInfo{Name: "vision transformer", Size: 48, Patch: 8, Width: 64, Layers: 1, Heads: 1, Embed: 128},
		Text:       &textInfo{Context: 32, Vocab: vocab, Width: 64, Layers: 1, Heads: 1, Embed: 128},
		Preprocessing: &checkpoint.Preprocessing{Size: 48, Resize: 48, Mode: "shortest", Interpolation: "bicubic",
			Mean: checkpoint.OpenAIPreprocessing.Mean, Std: checkpoint.OpenAIPreprocessing.Std},
		Vocabulary: filepath.Join(tinyFolder(t), "merges.txt")}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
	if quick := last[modelInfo](t, must(t, "info", "-json", tiny(t))); quick.Digest != "" {
		t.Errorf("digest %s, which nobody asked for", quick.Digest)
	}
	out := must(t, "info", tiny(t))
	for _, want := range []string{"CLIP model", "names as in openai", "48×48 pixels in patches of 8", "shorter side to 48 (bicubic), centre of 48 cut out, mean [0.48145466 ", "not said by the checkpoint", fmt.Sprintf("up to 32 of %d tokens", vocab), "quickgelu", want.Vocabulary} {
		if !strings.Contains(out, want) {
			t.Errorf("lacks %q:\n%s", want, out)
		}
	}
}

func TestInfoMaskAndTraining(t *testing.T) {
	dir, b := undisturbedRun(t)
	m := last[maskInfo](t, must(t, "info", "-json", filepath.Join(dir, run.MaskName)))
	if m.Kind != "mask" || m.Bytes != int64(len(b)) || len(m.Tensors) != 2 || m.About["polarity"] != "1=keep" || m.Spec == nil || m.Spec.Data.Title != "Few" || m.Spec.Data.Shots != 4 || m.Spec.Model.Digest != m.Backbone {
		t.Errorf("%+v", m)
	}
	if _, there := m.About[run.ClassesKey]; len(m.Classes) != 12 || there {
		t.Errorf("classes %q, about %q", m.Classes, m.About)
	}
	if m.Sparsity.Off != m.Tensors[0].Off+m.Tensors[1].Off || m.Sparsity.Total != 4*64*64 {
		t.Errorf("%+v", m)
	}
	stopped := interrupted(t)
	r := last[runInfo](t, must(t, "info", "-json", stopped))
	if r.Kind != "run" || r.Finished || r.Training == nil || r.Training.Run["settings.lr"] != "0.001" || !strings.Contains(r.Training.Run["model.digest"], m.Backbone) {
		t.Errorf("%+v", r)
	}
	s := last[stateInfo](t, must(t, "info", "-json", r.Training.Path))
	if s.Kind != "training" || s.Steps != r.Training.Steps || s.At.Epoch*6+s.At.Batch != s.Steps {
		t.Errorf("%+v", s)
	}
	for _, args := range [][]string{{"info", stopped}, {"info", r.Training.Path}} {
		if out := must(t, args...); !strings.Contains(out, "training checkpoint after") {
			t.Errorf("%v:\n%s", args, out)
		}
	}
	// A damaged file is not described.
	b[len(b)-40] ^= 1 // in the payload; what is wrong with a header has its own name
	damaged := filepath.Join(t.TempDir(), "damaged")
	if err := os.WriteFile(damaged, b, 0o666); err != nil {
		t.Fatal(err)
	}
	if code, out, errw := cli(t, "info", damaged); code != exitFailed || out != "" || !strings.Contains(errw, "corrupt") {
		t.Errorf("exit code %d, %s%s", code, out, errw)
	}
}

// What a data set lacks is said with where it comes from.
func TestDataCheck(t *testing.T) {
	root := t.TempDir()
	code, out, _ := cli(t, "data", "check", "-data", root, "-dataset", "oxford_pets")
	for _, want := range []string{"MISSING  images/", "MISSING  split_zhou_OxfordPets.json", "images.tar.gz", "DATASETS.md"} {
		if code != exitFailed || !strings.Contains(out, want) {
			t.Errorf("exit code %d, lacks %q:\n%s", code, want, out)
		}
	}
	code, out, _ = cli(t, "data", "check", "-json", "-data", root, "-dataset", "OxfordPets")
	if r := last[checkResult](t, out); code != exitFailed || r.OK || r.Name != "oxford_pets" || len(r.Hints) == 0 || r.Want.Test != 3669 {
		t.Errorf("exit code %d, %+v", code, r.Report)
	}
	out = must(t, "data", "check", "-data", tinyData(t), "-dataset", "few")
	if !strings.Contains(out, "All images are there") {
		t.Error(out)
	}
	out = must(t, "data", "check", "-dataset", filepath.Join(tinyData(t), "few")) // a folder by its path
	if !strings.Contains(out, "All images are there") {
		t.Error(out)
	}
}

// Names that strangers gave to files, folders and classes cannot play tricks on a terminal.
func TestDataCheckQuotes(t *testing.T) {
	harmless := func(what, text string) {
		t.Helper()
		for _, r := range text {
			if unicode.IsControl(r) && r != '\n' && r != '\t' || unicode.Is(unicode.Bidi_Control, r) || r == unicode.ReplacementChar {
				t.Errorf("%s: %U in %q", what, r, text)
				return
			}
		}
	}
	image := []byte("\xff\xd8\xff\xe0\x00\x10JFIF\x00\x01")
	for what, name := range map[string]string{
		"C1": "x\u009b31m", "direction override": "x\u202egpj", "isolate": "x\u2066", "line separator": "x\u2028",
		"escape sequence": "x\x1b[31m", "line break": "x\nwarning: y", "broken text": "x\xff",
	} {
		dir := t.TempDir()
		for i := range 4 {
			for _, file := range []string{"cat/%d.jpg", name + "/%d.jpg", "cat/" + name + "%d.jpg", "cat/" + name + "%d.txt", name + "%d.jpg"} {
				file = filepath.Join(dir, fmt.Sprintf(file, i))
				if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o777), os.WriteFile(file, image[:len(image)*(i&1)], 0o666)); err != nil {
					t.Skip(err) // not a name on this file system
				}
			}
		}
		code, out, errw := cli(t, "data", "check", "-dataset", dir)
		if code != exitFailed {
			t.Errorf("%s: exit code %d", what, code)
		}
		harmless(what, out+errw)
		_, out, errw = cli(t, "zeroshot", "-dataset", filepath.Join(dir, name)+"/x\x1b[2J")
		harmless(what, out+errw)
		split := fmt.Sprintf(`{"train": [[%[1]q, 0, "a"]], "val": [], "test": [["b.jpg", 0, %[1]q]], %[1]q: []}`, name)
		if err := os.WriteFile(filepath.Join(dir, "split_zhou_X.json"), []byte(split), 0o666); err != nil {
			t.Fatal(err)
		}
		_, out, errw = cli(t, "data", "check", "-dataset", dir)
		harmless(what, out+errw)
	}
}

// TestInfoOther: what is no checkpoint is named, with what takes it.
func TestInfoOther(t *testing.T) {
	dir, _ := undisturbedRun(t)
	root := t.TempDir()
	for _, name := range []string{"few/r-amt", "begun"} {
		if err := os.MkdirAll(filepath.Join(root, name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.CopyFS(filepath.Join(root, "few", "r-amt"), os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	write := func(name, content string) string {
		t.Helper()
		path := filepath.Join(root, name)
		if err := os.WriteFile(path, []byte(content), 0o666); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("begun/"+run.LockName, "")
	onnx := filepath.Join(t.TempDir(), "onnx")
	must(t, "export", "-model", tiny(t), "-to", "onnx", "-image-only", "-out", onnx)
	openai := filepath.Join(t.TempDir(), "openai")
	must(t, "export", "-model", tiny(t), "-to", "openai", "-out", openai)
	for path, want := range map[string][]string{
		filepath.Join(dir, run.ResultName): {"result of a run", "r-amt on few", "train -from"},
		planOf(t):                          {"plan of 4 runs", "fewshot run"},
		root:                               {"folder of 2 runs, 1 finished", "begun  not finished", "r-amt on few, 4 shots, seed 1"},
		onnx:                               {filepath.Join(onnx, "model.onnx") + ": by its name a model for ONNX Runtime", "export -to onnx"},
		openai:                             {filepath.Join(openai, "model.pt") + ": CLIP model"},
	} {
		out := must(t, "info", path)
		for _, w := range want {
			if !strings.Contains(out, w) {
				t.Errorf("%s: no %q in\n%s", path, w, out)
			}
		}
		if out := must(t, "info", "-json", path); !strings.HasPrefix(out, `{"kind":"`) {
			t.Errorf("%s: with -json %.60s", path, out)
		}
	}
	for path, want := range map[string]string{
		write("some.json", `{"a": 1}`):                           "neither a plan nor a run's result.json",
		write("plan.jsonl", `{"format":"fewshot-plan"}`+"\n"):    "plan of 0 runs",
		write("empty", ""):                                       "expected a header",
		t.TempDir():                                              "not a model folder",
		write("model.pth.tar-30", "PK\x03\x04 and nothing else"): "model.pth.tar-30",
	} {
		code, out, errw := cli(t, "info", path)
		if (code == exitDone) != strings.Contains(want, "plan of") || !strings.Contains(out+errw, want) {
			t.Errorf("%s: exit code %d, %s%s; want %q", path, code, out, errw, want)
		}
	}
}

// A finished run whose file is missing, or another one, or whose spec was changed, is told as such; the path shown is
// where the file lies now.
func TestInfoOfBrokenRun(t *testing.T) {
	dir, _ := undisturbedRun(t)
	for _, c := range []struct {
		change func(t *testing.T, to string)
		want   string
	}{
		{func(*testing.T, string) {}, ""},
		{func(t *testing.T, to string) {
			if err := os.Remove(filepath.Join(to, run.MaskName)); err != nil {
				t.Fatal(err)
			}
		}, "mask.safetensors is missing"},
		{func(t *testing.T, to string) {
			change(t, filepath.Join(to, run.ResultName), `"file_sha256": "`, `"file_sha256": "0`)
		}, "is not what the run left"},
		{func(t *testing.T, to string) {
			change(t, filepath.Join(to, run.ResultName), `"lr": 0.001`, `"lr": 0.002`)
		}, "changed since it was written"},
	} {
		to := filepath.Join(t.TempDir(), "moved")
		if err := os.CopyFS(to, os.DirFS(dir)); err != nil {
			t.Fatal(err)
		}
		c.change(t, to)
		out := must(t, "info", to)
		if !strings.Contains(out, "file       "+filepath.Join(to, run.MaskName)) || !strings.Contains(out, c.want) || strings.Contains(out, "problem") != (c.want != "") {
			t.Errorf("want %q: %s", c.want, out)
		}
	}
}

func change(t *testing.T, path, old, with string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(strings.Replace(string(read(t, path)), old, with, 1)), 0o666); err != nil {
		t.Fatal(err)
	}
}

// What is given for a run and is none is named, with what to give.
func TestNoRun(t *testing.T) {
	dir, _ := undisturbedRun(t)
	half := filepath.Join(t.TempDir(), "my pets")
	if err := os.Mkdir(half, 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(half, run.LockName), nil, 0o666); err != nil {
		t.Fatal(err)
	}
	unfinished := "is a run that is not finished; go on with fewshot train -resume -out '" + half + "'"
	for _, c := range []struct {
		want string
		args []string
	}{
		{"is a mask, and no result.json: give the folder of a run; the one that this file is in is " + dir, []string{"verify", filepath.Join(dir, run.MaskName)}},
		{unfinished, []string{"verify", half}},
		{unfinished, []string{"report", half}},
		{unfinished, []string{"eval", "-mask", half, "-model", tiny(t), "-data", tinyData(t), "-dataset", "few"}},
	} {
		if code, _, errw := cli(t, c.args...); code != exitFailed || !strings.Contains(errw, c.want) {
			t.Errorf("%v: %d, %s", c.args, code, errw)
		}
	}
}

// One thing is one.
func TestOneRun(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan.jsonl")
	out := must(t, quick(t, "-methods", "zero-shot", "-out", path)...)
	out += must(t, "run", path, "-data", tinyData(t), "-dry-run")
	out += must(t, "run", path, "-data", tinyData(t))
	out += must(t, "run", path, "-data", tinyData(t))
	for _, want := range []string{": 1 run; fewshot run", " makes it,", ": 1 run, 0 done", "1 run is left, and takes ", ": 0 runs were done", ": 1 run was done"} {
		if !strings.Contains(out, want) {
			t.Errorf("%s\nlacks %q", out, want)
		}
	}
}
