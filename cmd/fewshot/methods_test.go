package main

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/cmd/fewshot/internal/predict"
	"fewshot/rmt"
	"fewshot/rmt/run"
)

// short are flags that make a method's run short; methods that need none are short as they are.
var short = map[string]string{
	"dmt": "-seed 2", "r-dmt": "-seed 2", "finetune": "-epochs 2", "2sfs": "-iterations 12 -batch-size 8", "lp++": "-epochs 20", "linear-probe": "-rounds 2", "gda": "-passes 2",
	"clip-adapter": "-epochs 2 -batch-size 8", "taskres": "-epochs 2 -batch-size 8", "clip-lora": "-iterations 12 -batch-size 8",
	"coop": prompts, "prograd": prompts, "kgcoop": prompts, "cocoop": "-epochs 1 -batch-size 4", "plot": prompts, "plot++": prompts, "vpt-shallow": prompts,
	"vpt-deep": prompts, "upt": prompts, "maple": prompts + " -depth 1", "promptsrc": prompts + " -text-depth 1 -image-depth 1", "upt-mvlpt": prompts,
	"tip-adapter": "-passes 2 -beta-steps 10", "tip-adapter-f": "-passes 2 -beta-steps 10 -epochs 2 -batch-size 8",
	"tip-adapter-f-test-selected": "-passes 2 -beta-steps 10 -epochs 2 -batch-size 8",
}

const prompts = "-epochs 2 -batch-size 8"

// learn is the command line of a short run of a method.
func learn(t *testing.T, method, out string, more ...string) []string {
	args := []string{"train", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-shots", "4", "-method", method, "-zeroshot=false", "-out", out}
	if strings.HasSuffix(method, "mt") { // masks
		args = append(args, "-batch-size", "8", "-epochs", "2", "-lr", "1e-3")
	}
	return append(append(args, strings.Fields(short[method])...), more...)
}

// Every method of the table trains, leaves a file, and is tested from it with the same outcome, on its own weights alone. Its file
// does not depend on the number of workers, nor on being interrupted and resumed.
func TestEveryMethod(t *testing.T) {
	images, err := filepath.Glob(filepath.Join(tinyData(t), "few", "images", "*", "*.png"))
	if err != nil || len(images) == 0 {
		t.Fatal(images, err)
	}
	images = images[:4]
	for _, m := range run.Methods() {
		t.Run(m.Name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			code, out, errw := cli(t, learn(t, m.Name, dir, "-json")...)
			if strings.Contains(errw, "there is nothing to mask") {
				t.Skip("by this kind of kernels no layer's mean gradient is positive here") // it is near zero in a random model
			}
			if code != exitDone {
				t.Fatalf("exit code %d, %s", code, errw)
			}
			r := last[run.Result](t, out)
			if r.Method != m.Name || r.Test == nil || r.Test.Images != 24 || r.Spec.Method != m.Name || r.SpecHash != r.Spec.Hash() {
				t.Fatalf("%+v", r)
			}
			kind := "-tuned"
			if r.Sparsity != nil {
				kind = "-mask"
			}
			test := []string{"eval", "-data", tinyData(t), "-dataset", "few", "-json", kind, dir, "-model"}
			if e := last[evalResult](t, must(t, append(test, tiny(t))...)); e.Test != *r.Test {
				t.Errorf("eval says %+v, train %+v", e.Test, *r.Test)
			}
			if code, _, errw := cli(t, append(test, other(t))...); code != exitFailed || !strings.Contains(errw, rmt.ErrBackbone.Error()) {
				t.Errorf("on another model: exit code %d, %s", code, errw)
			}
			must(t, "info", dir)
			otherTemplate(t, test, append([]string{"predict", kind, dir, "-model", tiny(t)}, images...))
			want := read(t, r.File)
			alone := filepath.Join(t.TempDir(), "run")
			must(t, learn(t, m.Name, alone, "-workers", "1")...)
			if got := read(t, filepath.Join(alone, filepath.Base(r.File))); !bytes.Equal(got, want) {
				t.Error("one worker leaves another file")
			}
			if len(r.Epochs) == 0 {
				return
			}
			stopped := filepath.Join(t.TempDir(), "run")
			if code, errw := interrupt(t, 3, learn(t, m.Name, stopped, "-save-every", "1ns"), stopped); code != exitInterrupted {
				t.Skipf("exit code %d before it could be stopped: %s", code, errw)
			}
			must(t, learn(t, m.Name, stopped, "-resume")...)
			if got := read(t, filepath.Join(stopped, filepath.Base(r.File))); !bytes.Equal(got, want) {
				t.Error("interrupted and resumed it leaves another file")
			}
		})
	}
}

// otherTemplate makes sure that a template is refused of what has another thing in its place, and that eval says what;
// of all else that it changes what is predicted.
func otherTemplate(t *testing.T, eval, predict []string) {
	t.Helper()
	e := last[evalResult](t, must(t, append(eval, tiny(t))...))
	before := must(t, predict...)
	with := []string{"-force", "-template", "blob {}."}
	for _, args := range [][]string{append(eval[:len(eval):len(eval)], append([]string{tiny(t)}, with...)...), slices.Insert(slices.Clone(predict), 1, with...)} {
		code, out, errw := cli(t, args...)
		switch {
		case e.Instead != "" && (code != exitFailed || !strings.Contains(errw, "-template has no effect") || !strings.Contains(errw, e.Instead) || len(e.Templates) > 0):
			t.Errorf("%s in the place of templates, %q: exit code %d, %s", e.Instead, e.Templates, code, errw)
		case e.Instead == "" && (code != exitDone || out == before || len(e.Templates) == 0):
			t.Errorf("-template is taken and changes nothing, or is not: exit code %d, %s%s", code, out, errw)
		}
	}
}

// A run that is nothing but its warm-up is warned of.
func TestWarmupAlone(t *testing.T) {
	for _, m := range []string{"coop", "plot++", "taskres", "clip-adapter"} {
		for epochs, warned := range map[string]bool{"1": true, "2": false} {
			_, _, errw := cli(t, learn(t, m, filepath.Join(t.TempDir(), "run"), "-epochs", epochs)...)
			if strings.Contains(errw, "all of the run is its warm-up, at a learning rate of 1e-05") != warned {
				t.Errorf("%s, %s epochs: %s", m, epochs, errw)
			}
		}
	}
}

// What is trained under a mask, by steps or not, is tested under it, and under nothing else.
func TestStacking(t *testing.T) {
	mask, _ := undisturbedRun(t)
	var dir string
	for _, m := range []string{"coop", "cocoop", "plot", "vpt-deep", "maple", "clip-adapter", "taskres", "clip-lora", "tip-adapter-f", "2sfs", "tip-adapter"} {
		dir = filepath.Join(t.TempDir(), "run")
		r := last[run.Result](t, must(t, learn(t, m, dir, "-mask", mask, "-json")...))
		if r.Spec.Below == "" {
			t.Errorf("%s: %+v", m, r.Spec)
		}
		e := last[evalResult](t, must(t, "eval", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-json", "-tuned", dir, "-mask", mask))
		if e.Test != *r.Test || e.Sparsity == nil {
			t.Errorf("%s: eval says %+v, train %+v", m, e, *r.Test)
		}
	}
	test := []string{"eval", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-json", "-tuned", dir}
	plain := filepath.Join(t.TempDir(), "run")
	must(t, learn(t, "tip-adapter", plain)...)
	for _, c := range []struct {
		want string
		args []string
	}{
		{"was trained under a mask", test},
		{"was trained without a mask", append(test[:len(test)-1:len(test)-1], plain, "-mask", mask)},
		{"is no mask but the tuned file", append(test[:len(test)-2:len(test)-2], "-mask", plain)},
		{"the encoder has one already", learn(t, "amt", filepath.Join(t.TempDir(), "run"), "-mask", mask)},
		{"nothing to say of others", append(test, "-mask", mask, "-classes", "new")},
	} {
		if code, _, errw := cli(t, c.args...); code != exitFailed || !strings.Contains(errw, c.want) {
			t.Errorf("%v: exit code %d, %s; want %q", c.args, code, errw, c.want)
		}
	}
}

// What a method has learned for each class by itself is refused for others by its file and name, as whatever does not carry over.
func TestClassSpecificContexts(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	must(t, learn(t, "coop", dir, "-classes", "base", "-class-specific", "-words", "", "-epochs", "1")...)
	code, _, errw := cli(t, "eval", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-classes", "new", "-tuned", dir)
	want := filepath.Join(dir, run.TunedName) + ": coop: with a context for each class it was learned for its own classes"
	if code != exitFailed || !strings.Contains(errw, want) {
		t.Errorf("exit code %d, %s; want %q", code, errw, want)
	}
}

// Files that are tested together come to what each comes to alone, whatever encoders, heads and masks they have in common.
func TestEvalOfSeveral(t *testing.T) {
	mask, _ := undisturbedRun(t)
	test := func(files ...string) []string {
		t.Helper()
		out := must(t, append([]string{"eval", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-json", "-per-class", "-eval-batch", "5"}, files...)...)
		var lines []string
		for line := range strings.Lines(out) {
			var e evalResult
			if err := json.Unmarshal([]byte(line), &e); err != nil || e.Kind != "result" {
				continue
			}
			if e.Rate <= 0 || e.Seconds <= 0 {
				t.Errorf("%v: no times in %s", files, line)
			}
			e.Rate, e.Seconds = 0, 0
			b, err := json.Marshal(e)
			if err != nil {
				t.Fatal(err)
			}
			lines = append(lines, string(b))
		}
		return lines
	}
	dirs := map[string]string{"mask": mask}
	for _, m := range []string{"coop", "vpt-deep", "clip-lora", "taskres", "linear-probe", "amt"} {
		dirs[m] = filepath.Join(t.TempDir(), "run")
		must(t, learn(t, m, dirs[m])...)
	}
	dirs["below"] = filepath.Join(t.TempDir(), "run")
	must(t, learn(t, "clip-adapter", dirs["below"], "-mask", mask)...)
	var all, want []string
	for _, files := range [][]string{{"-tuned", "coop"}, {"-mask", "amt"}, {"-tuned", "linear-probe"}, {"-tuned", "vpt-deep"}, {"-tuned", "taskres"},
		{"-tuned", "below", "-mask", "mask"}, {"-tuned", "clip-lora"}} {
		for i := 1; i < len(files); i += 2 {
			files[i] = dirs[files[i]]
		}
		all = append(all, files...)
		want = append(want, test(files...)...)
	}
	if got := test(all...); !slices.Equal(got, want) {
		t.Errorf("together\n%s\nalone\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if got := test("-mask", mask, "-mask", dirs["amt"]); len(got) != 2 || got[1] != want[1] {
		t.Errorf("two masks: %v", got)
	}
	for _, c := range []struct {
		want string
		args []string
	}{
		{"which is none of those given", []string{"-tuned", dirs["below"], "-tuned", dirs["coop"]}},
		{"name it with -tuned", []string{"-mask", dirs["coop"], "-mask", mask}},
		{"no such file", []string{"-mask", mask, "-mask", filepath.Join(t.TempDir(), "nothing")}},
	} {
		code, _, errw := cli(t, append([]string{"eval", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few"}, c.args...)...)
		if code != exitFailed || !strings.Contains(errw, c.want) {
			t.Errorf("%v: exit code %d, %s; want %q", c.args, code, errw, c.want)
		}
	}
}

// Beside a file of predictions stands what the rows were made with: a learned context, where there is one, and no templates.
func TestPredictSettingsOfLearnedPrompts(t *testing.T) {
	dir, out := filepath.Join(t.TempDir(), "run"), filepath.Join(t.TempDir(), "p.csv")
	must(t, learn(t, "coop", dir)...)
	paths, _ := testFiles(t)
	must(t, "predict", "-model", tiny(t), "-tuned", dir, "-out", out, paths[0])
	b, err := predict.ReadSettings(out)
	if err != nil {
		t.Fatal(err)
	}
	var s predictSettings
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	if s.Templates == nil || len(s.Templates) > 0 || s.Prompts != "none" || !strings.Contains(s.Instead, "context") {
		t.Errorf("%s", b)
	}
}

// What looks at the images that it is tested on says so in its name and in its result.
func TestPeekingIsNamed(t *testing.T) {
	for _, m := range run.Methods() {
		if m.Peeks != strings.HasSuffix(m.Name, "test-selected") {
			t.Errorf("%s: peeks %v", m.Name, m.Peeks)
		}
	}
	r := last[run.Result](t, must(t, learn(t, "tip-adapter-f-test-selected", filepath.Join(t.TempDir(), "run"), "-json")...))
	if len(r.Remarks) != 1 || !strings.Contains(r.Remarks[0], "test images") || r.Spec.Data.Test == "" {
		t.Errorf("%q, test images %q", r.Remarks, r.Spec.Data.Test)
	}
	if r := last[run.Result](t, must(t, learn(t, "tip-adapter-f", filepath.Join(t.TempDir(), "run"), "-json")...)); r.Spec.Data.Test != "" {
		t.Errorf("tip-adapter-f knows of the test images")
	}
}
