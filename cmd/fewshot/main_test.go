package main

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"fewshot/datasets"
)

// asProgram in the environment makes the test binary the program: tests that kill it need a process to kill.
const asProgram = "FEWSHOT_TEST_AS_PROGRAM"

func TestMain(m *testing.M) {
	if os.Getenv(asProgram) != "" {
		main() // does not return
	}
	flag.Parse()
	var err error
	if fixtures, err = os.MkdirTemp("", "fewshot-test-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	code := m.Run()
	os.RemoveAll(fixtures)
	os.Exit(code)
}

// fixtures is a folder for what several tests read.
var fixtures string

// cli runs the program as a shell would.
func cli(t *testing.T, args ...string) (code int, out, errw string) {
	t.Helper()
	var o, e bytes.Buffer
	code = runMain(t.Context(), &o, &e, args)
	return code, o.String(), e.String()
}

// must is cli where nothing may fail.
func must(t *testing.T, args ...string) string {
	t.Helper()
	code, out, errw := cli(t, args...)
	if code != exitDone {
		t.Fatalf("fewshot %s: exit code %d\n%s%s", strings.Join(args, " "), code, out, errw)
	}
	return out
}

// last is the result of a command that was run with -json.
func last[T any](t *testing.T, out string) (v T) {
	t.Helper()
	lines := strings.Split(strings.TrimSuffix(out, "\n"), "\n")
	for _, l := range lines {
		if !json.Valid([]byte(l)) {
			t.Fatalf("no JSON: %q", l)
		}
	}
	d := json.NewDecoder(strings.NewReader(lines[len(lines)-1]))
	d.DisallowUnknownFields()
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, lines[len(lines)-1])
	}
	return v
}

// once makes a fixture the first time that it is asked for.
func once(name string, make func(dir string) error) func(t *testing.T) string {
	dir := sync.OnceValues(func() (string, error) {
		dir := filepath.Join(fixtures, name)
		return dir, make(dir)
	})
	return func(t *testing.T) string {
		t.Helper()
		d, err := dir()
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
}

func pretrainInto(dir string, args ...string) error {
	var o bytes.Buffer
	args = append([]string{"pretrain", "-steps", "3", "-width", "64", "-layers", "1", "-text-layers", "1", "-batch-size", "8", "-out", dir}, args...)
	if code := runMain(context.Background(), &o, &o, args); code != exitDone {
		return fmt.Errorf("pretrain: exit code %d: %s", code, o.String())
	}
	return nil
}

var (
	tinyFolder  = once("tiny", func(dir string) error { return pretrainInto(dir) })
	otherFolder = once("other", func(dir string) error { return pretrainInto(dir, "-seed", "2") })

	// tinyData has a data set "few": 12 textures, 8 training images and 2 test images each.
	tinyData = once("data", func(dir string) error {
		ds, err := synthetic(context.Background(), "textures")
		if err != nil {
			return err
		}
		few := *ds
		few.Title = "Few"
		few.Train, few.Val, few.Test = ds.Train[:96], ds.Val[:12], ds.Test[:24]
		return datasets.Export(filepath.Join(dir, "few"), &few)
	})
)

func tiny(t *testing.T) string  { return filepath.Join(tinyFolder(t), "model.safetensors") }
func other(t *testing.T) string { return filepath.Join(otherFolder(t), "model.safetensors") }

// tune are arguments of a training run of a few seconds at most in which masks move.
func tune(t *testing.T, out string, more ...string) []string {
	return append([]string{"train", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-shots", "4", "-batch-size", "8", "-epochs", "3",
		"-lr", "1e-3", "-zeroshot=false", "-out", out}, more...)
}

func TestHelp(t *testing.T) {
	all := must(t, "help")
	for _, flag := range []string{"-h", "-help", "--help"} {
		if out := must(t, flag); out != all {
			t.Errorf("fewshot %s is not fewshot help", flag)
		}
	}
	for _, c := range commands() {
		if !strings.Contains(all, "  "+c.name+" ") || !strings.Contains(all, c.summary) {
			t.Errorf("fewshot help does not tell of %s", c.name)
		}
		words := strings.Fields(c.name)
		out := must(t, append([]string{"help"}, words...)...)
		for _, want := range []string{"usage: fewshot " + c.name, strings.TrimSpace(c.about), "  -json"} {
			if !strings.Contains(out, want) {
				t.Errorf("fewshot help %s lacks %q", c.name, want)
			}
		}
		for _, flag := range []string{"-h", "-help", "--help"} {
			if got := must(t, append(words, flag)...); got != out {
				t.Errorf("fewshot %s %s is not fewshot help %s", c.name, flag, c.name)
			}
		}
		for _, line := range strings.Split(c.about, "\n") {
			if n := len([]rune(line)); n > 130 {
				t.Errorf("%s: a line of %d characters", c.name, n)
			}
		}
	}
}

// A mistake on the command line is one line on standard error that says which, and exit code 2.
func TestUsage(t *testing.T) {
	data := tinyData(t)
	for _, c := range []struct {
		args string
		want string
	}{
		{"nope", `fewshot: no command "nope"; see fewshot help`},
		{"help nope", `fewshot: no command "nope"; see fewshot help`},
		{"help train now", `fewshot: no command "train now"; see fewshot help`},
		{"data", "fewshot: data needs one of check, export after it; see fewshot help"},
		{"-nope", "fewshot demo: there is no flag -nope; see fewshot demo -help"},
		{"plan -datasets synth:things -activation banana", "fewshot plan: -activation banana, but embedded says quickgelu; see fewshot plan -help"},
		{"plan -datasets synth:things -ensemble-order banana", `fewshot plan: -ensemble-order: "banana" is no order of an ensemble of prompts: there are normalize-first and mean-first; see fewshot plan -help`},
		{"plan -datasets synth:things -heads 3", "fewshot plan: -heads 3: those of the model in the program are known; leave it out; see fewshot plan -help"},
		{"train -nope", "fewshot train: there is no flag -nope; see fewshot train -help"},
		{"train", "fewshot train: -dataset is missing: which data set, folder or synth:TASK?; see fewshot train -help"},
		{"train -shots many", `invalid value "many" for flag -shots`},
		{"train -dataset synth:textures -method emt", `method "emt" is not known; there are amt, r-amt`},
		{"train -method emt -help", `method "emt" is not known; there are amt, r-amt`},
		{"train -dataset synth:textures -recipe own", `recipe "own" is not known; there are paper and released`},
		{"train -dataset synth:textures -epochs x", `invalid value "x" for flag -epochs: want a number, or auto`},
		{"train -dataset synth:textures -epochs 0", "epochs 0: 1 to 100000"},
		{"train -dataset synth:textures -lr 0", "learning rate 0 must be positive"},
		{"train -dataset synth:textures -leak 2", "leak 2 must lie in [0, 1]"},
		{"train -dataset synth:textures -rule sum", "rule sum with method r-amt, which is gradient dropout"},
		{"train -dataset synth:textures -method amt -temperature 2", "nothing is distilled by method amt"},
		{"train -dataset synth:textures -granularity row", "there are weight, filter, channel"},
		{"train -dataset synth:textures -init 0.001", "init 0.001 must be above the threshold 0.005"},
		{"train -dataset synth:textures -eval-batch 0", "-eval-batch 0: 1 to 4096 images"},
		{"train -micro-batch few", `invalid value "few" for flag -micro-batch: want a number of images, 0 for all of a batch, or auto`},
		{"train -micro-batch -1", `invalid value "-1" for flag -micro-batch`},
		{"train -dataset synth:textures -cpuprofile a -trace b", "exclude each other"},
		{"train -dataset synth:nope", "-dataset synth:nope: there is no such task; there are things"},
		{"train here -dataset synth:textures", `unexpected argument "here"`},
		{"train -dataset synth:textures -workers -1", "-workers -1: not a number of threads"},
		{"eval -dataset synth:textures", "-mask or -tuned is missing"},
		{"eval -mask m there", `unexpected argument "there"`},
		{"eval -seed 1", "there is no flag -seed"},
		{"zeroshot -ensemble -template {}", "-ensemble and -template exclude each other"},
		{"zeroshot -template none", `-template "none": the class name goes in once, where {} stands`},
		{"zeroshot", "-dataset is missing"},
		{"encode", "nothing to encode"},
		{"encode -batch-size 0 a.png", "-batch-size 0"},
		{"encode -pillow 11 -text a", "-pillow 11: images are resized as by Pillow 13, or as by 12 and older"},
		{"demo -figure no/such/folder/world.png", "there is no folder no/such/folder"},
		{"figure 5 -picture f.pdf", "-picture f.pdf: pictures are written as .svg or .png"},
		{"table 17 -data no/such/folder -model ViT-B/16", "-data no/such/folder: there is no such folder"},
		{"zeroshot -dataset synth", "-dataset synth: which task? There are synth:things"},
		{"zeroshot -dataset letters", "the drawn task is called synth:letters"},
		{"train -seed 1,2", `invalid value "1,2" for flag -seed: a whole number from 0 is wanted; -seeds takes several`},
		{"demo -batch-size 0", `-batch-size 0, -epochs 15: at least 1`},
		{"demo -epochs -3", `-epochs -3: at least 1`},
		{"demo -shots -3", `-shots -3: a number`},
		{"demo -tasks things,banana", `-tasks things,banana: there is no task "banana"`},
		{"demo -methods amt,banana", `-methods amt,banana: method "banana" is not known`},
		{"demo -force=banana", `invalid boolean value "banana" for -force: true or false is wanted`},
		{"train -method coop -lr fast", `invalid value "fast" for flag -lr: a number is wanted`},
		{"train -shots two", `invalid value "two" for flag -shots: a whole number is wanted`},
		{"table 5 -dry-run -eval-batch -3", "-eval-batch -3"},
		{"figure 5 -dry-run -cache -3", "-cache -3"},
		{"run no.jsonl -dry-run -decoders -3", "-decoders -3"},
		{"run no.jsonl -dry-run -store banana", `-store "banana"`},
		{"table 17 -max-images many", `invalid value "many" for flag -max-images: a whole number is wanted`},
		{"demo -figure world.jpg", "world.jpg: pictures are written as .svg or .png"},
		{"pretrain", "-out is missing"},
		{"pretrain -out x -layers 0", "-layers 0, -text-layers 3: at least 1"},
		{"pretrain -out x -lr 0", "-lr 0, -wd"},
		{"pretrain -out x -wd -1", "-wd -1: the rate has to be positive, the decay at least 0"},
		{"pretrain -out x -batch-size 1", "-batch-size 1: at least 2"},
		{"pretrain -out x -steps 0", "-steps 0, -warmup"},
		{"predict -mask x -label-column breed a.png", "-label-column is about a data set: give -dataset"},
		{"predict -mask x -split 0.5 a.png", "-split is about a data set: give -dataset"},
		{"pretrain -out x -width 65", "-width 65: the width is a multiple of 64"},
		{"data check", "-dataset is missing"},
		{"data check -dataset synth:things", "there are no files to check"},
		{"data check -dataset dtd -names 0", "-names 0: at least 1"},
		{"data export", "-dataset is missing"},
		{"data export -dataset dtd -out x", "-dataset dtd is no synthetic task; there are synth:things"},
		{"data export -dataset synth:things", "-out is missing"},
		{"data export -dataset synth:nope -out " + data, "there is no such task"},
		{"info", "give one file or folder, not 0"},
		{"info a b", "give one file or folder, not 2"},
		{"bench -arch ViT-B-64", `-arch "ViT-B-64": there are RN101, RN50, ViT-B-16, ViT-B-32, ViT-L-14`},
		{"bench -arch ViT-B-32 -model x", "-model and -arch exclude each other"},
		{"bench -only all", `-only "all"`},
		{"bench -match (", `-match "("`},
		{"bench -rounds 0", "-rounds 0: at least 1"},
	} {
		code, out, errw := cli(t, strings.Fields(c.args)...)
		if code != exitUsage || out != "" || !strings.Contains(errw, c.want) || strings.Count(errw, "\n") != 1 {
			t.Errorf("fewshot %s: exit code %d\n%s%swant exit code 2 and %q", c.args, code, out, errw, c.want)
		}
	}
}

// A failure is exit code 1 and one line that names what failed.
func TestFailures(t *testing.T) {
	model, data := tiny(t), tinyData(t)
	text := filepath.Join(t.TempDir(), "words.png")
	if err := os.WriteFile(text, []byte("no image"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		args []string
		want []string
	}{
		{[]string{"train", "-dataset", "nope", "-data", data}, []string{`unknown data set "nope"`}},
		{[]string{"train", "-dataset", "few", "-data", data, "-model", "nope.pt"}, []string{"nope.pt", "no such file"}},
		{[]string{"train", "-dataset", "few", "-data", data, "-model", text}, []string{text, "corrupt"}},
		{[]string{"train", "-dataset", "few", "-data", data, "-model", model, "-device", "tpu"}, []string{`"tpu"`}},
		{[]string{"eval", "-dataset", "few", "-data", data, "-model", model, "-mask", "nope"}, []string{"nope", "no such file"}},
		{[]string{"eval", "-dataset", "few", "-data", data, "-model", model, "-mask", model}, []string{model, "not a mask file"}},
		{[]string{"encode", "-model", model, "nope.jpg"}, []string{"nope.jpg", "no such file"}},
		{[]string{"encode", "-model", model, data}, []string{data, "is a folder"}},
		{[]string{"encode", "-model", model, text}, []string{text}},
		{[]string{"encode", "-model", model, "-text", strings.Repeat("word ", 40)}, []string{"word", "-truncate cuts it"}},
		{[]string{"encode", "-model", model, "-text", "a\xffb"}, []string{"UTF-8"}},
		{[]string{"info", "nope"}, []string{"nope", "no such file"}},
		{[]string{"info", text}, []string{text, "corrupt"}},
		{[]string{"info", data}, []string{data, "not a model folder"}},
		{[]string{"data", "check", "-data", data, "-dataset", "dtd"}, []string{"dtd is not complete"}},
		{[]string{"bench", "-model", "nope"}, []string{"nope", "no such file"}},
	} {
		code, _, errw := cli(t, c.args...)
		lines := strings.SplitAfter(strings.TrimSuffix(errw, "\n"), "\n")
		errw = lines[len(lines)-1]
		for _, l := range lines[:len(lines)-1] {
			if !strings.HasPrefix(l, "warning: ") {
				t.Errorf("fewshot %s: %s", strings.Join(c.args, " "), l)
			}
		}
		if code != exitFailed || !strings.HasPrefix(errw, "fewshot "+c.args[0]) {
			t.Errorf("fewshot %s: exit code %d\n%s\nwant exit code 1 and one line", strings.Join(c.args, " "), code, errw)
		}
		for _, want := range c.want {
			if !strings.Contains(errw, want) {
				t.Errorf("fewshot %s\n%slacks %q", strings.Join(c.args, " "), errw, want)
			}
		}
	}
}

func TestInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	var out, errw bytes.Buffer
	code := runMain(ctx, &out, &errw, []string{"zeroshot", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few"})
	if code != exitInterrupted || errw.String() != "fewshot zeroshot: interrupted\n" {
		t.Errorf("exit code %d, %q", code, errw.String())
	}
}

// Flags may stand anywhere; what is behind -- is none.
func TestParse(t *testing.T) {
	for _, c := range []struct{ args, flags, rest string }{
		{"", "", ""},
		{"-x 1 a b", "1", "a b"},
		{"a -x 1 b", "1", "a b"},
		{"a b -x 1", "1", "a b"},
		{"a -- -x 1", "", "a -x 1"},
		{"-x 1 -- a -x 2", "1", "a -x 2"},
		{"-x=1 a - b", "1", "a - b"},
	} {
		fs := flag.NewFlagSet("", flag.ContinueOnError)
		x := fs.String("x", "", "")
		rest, err := parse(fs, strings.Fields(c.args))
		if err != nil || *x != c.flags || strings.Join(rest, " ") != c.rest {
			t.Errorf("%q: x=%q and %q, %v", c.args, *x, rest, err)
		}
	}
}

func TestProfile(t *testing.T) {
	dir := t.TempDir()
	if code, _, errw := cli(t, "info", tiny(t), "-memprofile", dir); code != exitDone || !strings.Contains(errw, dir) {
		t.Fatalf("exit code %d, %s", code, errw)
	}
	path := filepath.Join(dir, "mem.pprof")
	whole, err := os.ReadFile(path)
	if err != nil || len(whole) == 0 {
		t.Fatalf("no profile: %v", err)
	}
	for n := 0; n < len(whole); n += 1 + len(whole)/64 {
		if err := os.WriteFile(path, whole[:n], 0o666); err != nil {
			t.Fatal(err)
		}
		if wholeProfile(path, true) == nil {
			t.Fatalf("%d of %d bytes are taken for a whole profile", n, len(whole))
		}
	}
}
