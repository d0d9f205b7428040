package plan

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/datasets"
	"fewshot/datasets/synth"
	"fewshot/rmt/clip"
	"fewshot/rmt/run"
	"fewshot/tensor"
)

// small opens the model in the program, and tasks of a few images.
type small struct {
	dev    *tensor.Device
	models int // how often a model was opened
	broken map[string]bool
}

func (s *small) Model(_ context.Context, m Model) (*clip.Model, error) {
	s.models++
	return clip.Options{Path: m.Name}.Open(s.dev)
}

func (s *small) Dataset(_ context.Context, name string, _ Reading) (*datasets.Dataset, error) {
	base, shifted := strings.CutSuffix(strings.TrimPrefix(name, synthPrefix), "-shift")
	task, ok := synth.Lookup(base)
	if !ok || s.broken[name] {
		return nil, fmt.Errorf("there is no data set %s", name)
	}
	draw := func(split string, n int) (items []datasets.Item) {
		rgb := make([]uint8, synth.Size*synth.Size*3)
		for i := range n {
			label := task.Item(rgb, 1, split, i)
			png, err := synth.EncodePNG(rgb)
			if err != nil {
				panic(err)
			}
			items = append(items, datasets.Item{Label: int32(label), Data: png})
		}
		return items
	}
	test := "test"
	if shifted {
		test = "shift"
	}
	k := len(task.Classes)
	return datasets.New(name, base, task.Template, task.Classes, draw("train", 2*k), draw("val", k), draw(test, k))
}

// silent is a UI that keeps warnings.
type silent struct{ warnings *strings.Builder }

func (s silent) Note(string, ...any)          {}
func (s silent) Warn(format string, a ...any) { fmt.Fprintf(s.warnings, format+"\n", a...) }
func (s silent) Log(string, ...any)           {}
func (s silent) Event(any) error              { return nil }
func (s silent) Progress(string, int) (func(int, string), func()) {
	return func(int, string) {}, func() {}
}

// executing are options of an execution in a folder.
func executing(t *testing.T, dir string) (o Options, s *small, said *strings.Builder) {
	t.Helper()
	dev, err := tensor.Open("cpu", tensor.Options{Strassen: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	s, said = &small{dev: dev, broken: map[string]bool{}}, &strings.Builder{}
	return Options{Dir: dir, Dev: dev, Opener: s, Loader: run.Loader{Store: "auto", Batch: 100, CacheMiB: 64}, Program: "v1", UI: silent{said}, Shared: 64 << 20}, s, said
}

// work is a plan of quick runs: without steps, by steps on features and on images, and under a mask.
func work(t *testing.T) *Plan {
	of := map[string][]map[string]string{"tip-adapter": {{"passes": "2", "beta-steps": "4"}}, "taskres": {{"epochs": "2", "batch-size": "8"}},
		"tip-adapter-f": {{"passes": "2", "beta-steps": "4", "epochs": "3", "batch-size": "8"}}, "r-amt": {{"epochs": "1", "batch-size": "8", "lr": "1e-3"}}}
	g := Grid{Methods: []string{ZeroShot, "tip-adapter", "taskres", "r-amt"}, Models: []Model{{Name: clip.Embedded}}, Data: []string{"synth:things"}, Shots: []int{1}, Seeds: []uint64{1},
		SettingsOf: of, Evaluate: []Evaluation{{Classes: "new"}, {Data: "synth:things-shift", Classes: "all"}}}
	under := g
	under.Methods, under.Below, under.BelowSettings = []string{"tip-adapter-f"}, []string{"amt"}, of["r-amt"][0]
	p, err := Union(planOf(t, g), planOf(t, under))
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// contents are the files of a folder's runs that must not depend on how they came about.
func contents(t *testing.T, dir string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, pattern := range []string{"*/*.safetensors", "*/eval-*.json"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			b, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			name, _ := filepath.Rel(dir, f)
			all[name] = string(b)
		}
	}
	return all
}

// tableOf is the table of a plan's results.
func tableOf(t *testing.T, p *Plan, dir string) string {
	t.Helper()
	all, err := Collect(p, dir, "v1")
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := Tabulate(all).Write(&b, "csv", false); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// A plan's runs are made, once, and what comes of them is what comes of each alone, in any order: nothing of one is left on the model of
// the next.
func TestExecute(t *testing.T) {
	p, dir := work(t), filepath.Join(t.TempDir(), "runs")
	o, s, said := executing(t, dir)
	r, err := Execute(t.Context(), p, o)
	if err != nil || r != (Report{Made: p.Len()}) || s.models != 1 {
		t.Fatalf("%+v, %v, %d models opened\n%s", r, err, s.models, said)
	}
	all, err := Collect(p, dir, "v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, out := range all {
		if out.Run.Method == "amt" { // for others to be trained under
			continue
		}
		shift := out.Test(Evaluation{Data: "synth:things-shift", Classes: "all"})
		other := out.Evaluations[Evaluation{Data: "synth:things", Classes: "new"}.Key()]
		bound := strings.HasPrefix(out.Run.Method, "tip-adapter") || out.Run.Method == "taskres"
		if out.State != Done || out.Result.Test.Images != 36 || shift == nil || shift.Images != 36 || other == nil || (other.Refused != "") != bound || !bound && other.Test.Images != 18 {
			t.Errorf("%s: %+v, %+v, %+v", &out.Run, out.Result.Test, shift, other)
		}
	}
	want, table := contents(t, dir), tableOf(t, p, dir)
	if r, err = Execute(t.Context(), p, o); err != nil || r != (Report{Before: p.Len()}) {
		t.Errorf("again: %+v, %v", r, err)
	}
	// Each run in an execution of its own, the last one first but for masks below, with nothing that another has computed.
	o.Dir, o.apart = filepath.Join(t.TempDir(), "alone"), true
	var order []int
	for i := range p.Len() {
		if p.Below(i) < 0 {
			order = append([]int{i}, order...)
		} else {
			order = append(order, i)
		}
	}
	for _, i := range order {
		o.Select = func(k int) bool { return k == i }
		if r, err := Execute(t.Context(), p, o); err != nil || r != (Report{Made: 1}) {
			t.Fatalf("%+v, %v\n%s", r, err, said)
		}
	}
	if got := contents(t, o.Dir); len(got) != len(want) || tableOf(t, p, o.Dir) != table {
		t.Errorf("%d files, not %d\n%s\n%s", len(got), len(want), tableOf(t, p, o.Dir), table)
	} else {
		for name := range want {
			if got[name] != want[name] {
				t.Errorf("%s is another one when made alone", name)
			}
		}
	}
}

// Many runs take the memory of one: what they have in common lies in files, and nothing is held for runs that are done. Class features are, of
// each data set.
func TestMemory(t *testing.T) {
	g := Grid{Methods: []string{"tip-adapter", "taskres"}, Models: []Model{{Name: clip.Embedded}}, Shots: []int{2}, SettingsOf: map[string][]map[string]string{
		"tip-adapter": {{"passes": "3", "beta-steps": "4"}}, "taskres": {{"epochs": "3", "batch-size": "8"}}}}
	peak := func(seeds []uint64, data ...string) int64 {
		g.Data, g.Seeds = data, seeds
		o, _, said := executing(t, filepath.Join(t.TempDir(), "runs"))
		if r, err := Execute(t.Context(), planOf(t, g), o); err != nil || r.Failed > 0 {
			t.Fatalf("%+v, %v, %s", r, err, said)
		}
		return o.Dev.PeakBytes()
	}
	one := []uint64{1}
	most := max(peak(one, "synth:textures"), peak(one, "synth:places"))
	const heads = 16 << 10 // 12 classes and 18, of 128 numbers
	const some = 18 << 10  // features of those of 36 images that another sample has not
	if all := peak([]uint64{1, 2, 3}, "synth:textures", "synth:places"); all > most+heads+some {
		t.Errorf("%d bytes, %d of the runs on one sample", all, most)
	}
}

// A run that fails is recorded and passed over; once its cause is gone it is made, and nothing says that it failed.
func TestFailing(t *testing.T) {
	g := Grid{Methods: []string{ZeroShot}, Models: []Model{{Name: clip.Embedded}}, Data: []string{"synth:textures", "synth:places"}, Shots: []int{1}, Seeds: []uint64{1}}
	p, dir := planOf(t, g), filepath.Join(t.TempDir(), "runs")
	o, s, said := executing(t, dir)
	s.broken["synth:textures"] = true
	var told []State
	o.Made = func(i int, o *Outcome) error {
		told = append(told, o.State)
		return nil
	}
	r, err := Execute(t.Context(), p, o)
	if err != nil || r != (Report{Made: 1, Failed: 1}) || !strings.Contains(said.String(), "there is no data set synth:textures") || !slices.Equal(told, []State{Failed, Done}) {
		t.Fatalf("%+v, %v, %v, %s", r, err, told, said)
	}
	all, err := Collect(p, dir, "v1")
	if err != nil || all[0].State != Failed || !strings.Contains(all[0].Problem, "there is no data set") || all[1].State != Done {
		t.Errorf("%+v, %v", all, err)
	}
	s.broken = nil
	if r, err = Execute(t.Context(), p, o); err != nil || r != (Report{Before: 1, Made: 1}) {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := os.Stat(filepath.Join(dir, p.ID(0), FailedName)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("it still says that it failed: %v", err)
	}
	// What another version of the program has made is neither taken nor overwritten.
	o.Program = "v2"
	said.Reset()
	if r, err = Execute(t.Context(), p, o); err != nil || r != (Report{Failed: 2}) || !strings.Contains(said.String(), "of another version of the program, v1") {
		t.Errorf("%+v, %v, %s", r, err, said)
	}
	o.AnyVersion = true
	if r, err = Execute(t.Context(), p, o); err != nil || r != (Report{Before: 2}) {
		t.Errorf("%+v, %v", r, err)
	}
}

// What a process left that was killed when it had written the result is removed.
func TestTidy(t *testing.T) {
	g := Grid{Methods: []string{ZeroShot}, Models: []Model{{Name: clip.Embedded}}, Data: []string{"synth:textures"}, Shots: []int{1}, Seeds: []uint64{1}}
	p, dir := planOf(t, g), filepath.Join(t.TempDir(), "runs")
	o, _, _ := executing(t, dir)
	for range 2 {
		if _, err := Execute(t.Context(), p, o); err != nil {
			t.Fatal(err)
		}
		files, err := filepath.Glob(filepath.Join(dir, p.ID(0), "*"))
		if err != nil || len(files) != 1 {
			t.Errorf("%v, %v", files, err)
		}
		for _, name := range []string{"training-000000012.safetensors", FailedName, run.LockName} {
			if err := os.WriteFile(filepath.Join(dir, p.ID(0), name), nil, 0o666); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// A run whose mask another process is to make waits, and one in another process's hands is left to it.
func TestWaiting(t *testing.T) {
	g := Grid{Methods: []string{"tip-adapter"}, Models: []Model{{Name: clip.Embedded}}, Data: []string{"synth:textures"}, Shots: []int{1}, Seeds: []uint64{1}, Below: []string{"amt"},
		BelowSettings: map[string]string{"epochs": "1"}, Settings: []map[string]string{{"passes": "1", "beta-steps": "4"}}}
	p, dir := planOf(t, g), filepath.Join(t.TempDir(), "runs")
	o, _, said := executing(t, dir)
	o.Select = func(i int) bool { return i == 1 }
	r, err := Execute(t.Context(), p, o)
	if err != nil || r != (Report{Waiting: 1}) || r.Unfinished() != 1 || !strings.Contains(said.String(), "waits for the run whose mask it is trained under, "+p.ID(0)) {
		t.Fatalf("%+v, %v, %s", r, err, said)
	}
	lock, err := run.TakeFolder(filepath.Join(dir, p.ID(0)))
	if err != nil {
		t.Fatal(err)
	}
	o.Select = nil
	said.Reset()
	if r, err = Execute(t.Context(), p, o); err != nil || r != (Report{Busy: 1, Waiting: 1}) || !strings.Contains(said.String(), "is in use by process") {
		t.Errorf("%+v, %v, %s", r, err, said)
	}
	lock.Close()
	if r, err = Execute(t.Context(), p, o); err != nil || r != (Report{Made: 2}) {
		t.Errorf("%+v, %v, %s", r, err, said)
	}
	all, err := Collect(p, dir, "v1")
	if err != nil || all[1].Result.Spec.Below != all[0].Result.FileSum {
		t.Errorf("%v: trained under %s", err, all[1].Result.Spec.Below)
	}
}

// Results and evaluations that were changed, or lie in another run's folder, are told, and not counted.
func TestDamage(t *testing.T) {
	g := Grid{Methods: []string{ZeroShot}, Models: []Model{{Name: clip.Embedded}}, Data: []string{"synth:textures", "synth:places"}, Shots: []int{1}, Seeds: []uint64{1}, Evaluate: []Evaluation{{Classes: "base"}}}
	p := planOf(t, g)
	key := runsOf(p)[0].Evaluate[0].Key()
	for want, damage := range map[string]func(dir string) error{
		"its seal does not fit": func(dir string) error {
			path := filepath.Join(dir, p.ID(0), evaluatedName(key))
			b, err := os.ReadFile(path)
			if err == nil {
				err = os.WriteFile(path, bytes.Replace(b, []byte(`"correct":`), []byte(`"correct":1`), 1), 0o666)
			}
			return err
		},
		"belongs to another run or evaluation": func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, p.ID(0), evaluatedName(key))),
				os.Link(filepath.Join(dir, p.ID(1), evaluatedName(runsOf(p)[1].Evaluate[0].Key())), filepath.Join(dir, p.ID(0), evaluatedName(key))))
		},
		"is the result of another run: its data set": func(dir string) error {
			return errors.Join(os.RemoveAll(filepath.Join(dir, p.ID(0))), os.Rename(filepath.Join(dir, p.ID(1)), filepath.Join(dir, p.ID(0))))
		},
		"is no result of a run: unexpected end of JSON input; remove the folder": func(dir string) error {
			return os.WriteFile(filepath.Join(dir, p.ID(0), run.ResultName), []byte("{"), 0o666)
		},
	} {
		dir := filepath.Join(t.TempDir(), "runs")
		o, _, said := executing(t, dir)
		if r, err := Execute(t.Context(), p, o); err != nil || r != (Report{Made: 2}) {
			t.Fatalf("%+v, %v", r, err)
		}
		if err := damage(dir); err != nil {
			t.Fatal(err)
		}
		if all, err := Collect(p, dir, "v1"); err != nil || all[0].State != Failed || !strings.Contains(all[0].Reason(), want) || all[0].Test(runsOf(p)[0].Evaluate[0]) != nil {
			t.Errorf("collected: %+v, %v, want %q", all[0], err, want)
		}
		if r, err := Execute(t.Context(), p, o); err != nil || r.Failed != 1 || !strings.Contains(said.String(), want) {
			t.Errorf("executed: %+v, %v, %s, want %q", r, err, said, want)
		}
	}
}

// A result keeps all by which its run can be made again from it: what a plan says of the model among it.
func TestFlags(t *testing.T) {
	x := &executor{}
	got := x.flags(&Run{Model: Model{Name: "m", Digest: "d", Activation: "gelu", Heads: "12", Pillow: 9, ImageSize: 224, Ensemble: "mean-first", Precision: "bf16"},
		Data: Data{Name: "dtd", Classes: "base", Shots: 2, Seed: 3, Sample: OfProbe, Prompts: &PromptsFile{Path: "p.json"},
			Reading: Reading{Division: "0.8", DivisionSeed: 7, ClassNames: "names", LabelColumn: "label", ClassLevel: 2}}, Mask: &MaskFile{Path: "mask"}})
	want := map[string]string{"model": "m", "activation": "gelu", "heads": "12", "pillow": "9", "image-size": "224", "ensemble-order": "mean-first", "precision": "bf16",
		"dataset": "dtd", "classes": "base", "shots": "2", "seed": "3", "sample": OfProbe, "class-prompts": "p.json", "split": "0.8", "split-seed": "7",
		"class-names": "names", "label-column": "label", "class-level": "2", "mask": "mask"}
	if !maps.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
}

// What several runs are warned of in the same words is told once, with how many they were.
func TestWarnings(t *testing.T) {
	g := Grid{Methods: []string{"amt"}, Models: []Model{{Name: clip.Embedded}}, Data: []string{"synth:textures"}, Shots: []int{1}, Seeds: []uint64{1, 2, 3},
		Settings: []map[string]string{{"epochs": "1"}}}
	p := planOf(t, g)
	o, _, said := executing(t, filepath.Join(t.TempDir(), "runs"))
	if r, err := Execute(t.Context(), p, o); err != nil || r != (Report{Made: 3}) {
		t.Fatalf("%+v, %v, %s", r, err, said)
	}
	if s := said.String(); strings.Count(s, "travel ratio") != 2 || !strings.Contains(s, "as "+p.ID(0)+", so 2 other runs: travel ratio") {
		t.Errorf("%s", s)
	}
}
