package main

import (
	"bytes"
	"context"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/datasets"
	"fewshot/rmt/run"
)

// valData has a data set "twice", whose test images are its validation images.
var valData = once("valdata", func(dir string) error {
	ds, err := synthetic(context.Background(), "textures")
	if err != nil {
		return err
	}
	same := func() (all []datasets.Item) {
		for _, it := range ds.Val[:36] {
			all = append(all, datasets.Item{Label: it.Label, Data: it.Data})
		}
		return all
	}
	twice, err := datasets.New("twice", "Twice", ds.Template, ds.Classes, ds.Train[:96], same(), same())
	if err != nil {
		return err
	}
	return datasets.Export(filepath.Join(dir, "twice"), twice)
})

// selecting is the command line of a short run of a method on it.
func selecting(t *testing.T, method, out string, more ...string) []string {
	args := learn(t, method, out, append([]string{"-data", valData(t), "-dataset", "twice"}, more...)...)
	return args
}

// TestSelectEveryMethod: what is left has the accuracy of the best epoch, whatever state the method keeps; training goes on as without
// validation in between; interrupted and resumed it leaves the same bytes.
func TestSelectEveryMethod(t *testing.T) {
	for _, m := range run.Methods() {
		t.Run(m.Name, func(t *testing.T) {
			dir := filepath.Join(t.TempDir(), "run")
			code, out, errw := cli(t, selecting(t, m.Name, dir, "-select", "val", "-json")...)
			if code != exitDone {
				for _, why := range []string{"no epochs to choose among", "is done after its last epoch alone", "by the test images itself", "there is nothing to mask"} {
					if strings.Contains(errw, why) {
						return
					}
				}
				t.Fatalf("exit code %d, %s", code, errw)
			}
			r := last[run.Result](t, out)
			c := r.Choice
			if c == nil || c.Images != 36 || len(c.Val) != len(r.Epochs) || c.Accuracy != slices.Max(c.Val) || slices.Index(c.Val, c.Accuracy) != c.Epoch-1 || r.Spec.Select == nil || r.Spec.Data.Val == "" {
				t.Fatalf("%+v", c)
			}
			if r.Test.Accuracy != c.Accuracy {
				t.Errorf("%.2f %% of the same images when it was tested, %.2f %% when it was chosen", r.Test.Accuracy, c.Accuracy)
			}
			plain := last[run.Result](t, must(t, selecting(t, m.Name, filepath.Join(t.TempDir(), "run"), "-json")...))
			for i, e := range plain.Epochs {
				if r.Epochs[i].Loss != e.Loss {
					t.Errorf("epoch %d has loss %g, and %g without validation", i+1, r.Epochs[i].Loss, e.Loss)
				}
			}
			if n := len(plain.Epochs); r.Choice.Val[n-1] != plain.Test.Accuracy {
				t.Errorf("the last epoch has %.2f %%, and %.2f %% where nothing is chosen", r.Choice.Val[n-1], plain.Test.Accuracy)
			}
			stopped := filepath.Join(t.TempDir(), "run")
			if code, errw := interrupt(t, 3, selecting(t, m.Name, stopped, "-select", "val", "-save-every", "1ns"), stopped); code != exitInterrupted {
				t.Skipf("exit code %d before it could be stopped: %s", code, errw)
			}
			must(t, selecting(t, m.Name, stopped, "-select", "val", "-resume")...)
			if !bytes.Equal(read(t, filepath.Join(stopped, filepath.Base(r.File))), read(t, r.File)) {
				t.Error("interrupted and resumed it leaves another file")
			}
		})
	}
}

// TestSelectLooksAtNoTestImage: where test images are rubbish the choice is made all the same, and what fails is the test.
func TestSelectLooksAtNoTestImage(t *testing.T) {
	root := t.TempDir()
	if err := os.CopyFS(root, os.DirFS(valData(t))); err != nil {
		t.Fatal(err)
	}
	ds, err := datasets.Open(root, "twice")
	if err != nil {
		t.Fatal(err)
	}
	for _, it := range ds.Test {
		if err := os.WriteFile(filepath.Join(ds.Root, filepath.FromSlash(it.Path)), []byte("no image"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, more := range [][]string{{"-select", "val"}, {"-grid", "lr=1e-3,3e-3"}} {
		args := func(data string) []string {
			return selecting(t, "r-amt", filepath.Join(t.TempDir(), "run"), append(more, "-zeroshot", "-json", "-data", data)...)
		}
		// Objects of a kind, in the order of the output.
		choice := func(out string) (found map[string]any) {
			for l := range strings.Lines(out) {
				var o map[string]any
				if err := json.Unmarshal([]byte(l), &o); err != nil {
					t.Fatal(err)
				}
				if o["kind"] == "choice" {
					found = o
				}
			}
			return found
		}
		// lr is given by learn; the grid sets it.
		clean := func(args []string) []string {
			if i := slices.Index(args, "-lr"); i >= 0 && more[0] == "-grid" {
				args = slices.Delete(args, i, i+2)
			}
			return args
		}
		want := choice(must(t, clean(args(valData(t)))...))
		code, out, errw := cli(t, clean(args(root))...)
		got := choice(out)
		a, _ := json.Marshal(got)
		b, _ := json.Marshal(want)
		if code != exitFailed || !strings.Contains(errw, "unknown format") || got == nil || !bytes.Equal(a, b) {
			t.Errorf("%v: exit code %d, %s\n%s\n%s", more, code, errw, a, b)
		}
	}
}

// TestGrid: the best settings are those of the best single run, their table is in the result, and an interrupted search goes on.
func TestGrid(t *testing.T) {
	args := func(out string, more ...string) []string {
		return selecting(t, "coop", out, more...)
	}
	dir := filepath.Join(t.TempDir(), "run")
	r := last[run.Result](t, must(t, args(dir, "-grid", "context=2,4", "-grid", "lr=0.5,0.002", "-json")...))
	c := r.Choice
	if len(c.Table) != 4 || c.Table[1].Settings["context"] != "2" || c.Table[1].Settings["lr"] != "0.002" || len(r.Spec.Select.Among) != 4 || entries(t, dir) != "result.json tuned.safetensors" {
		t.Fatalf("%+v, %s", c, entries(t, dir))
	}
	best := 0
	for i, tried := range c.Table {
		single := last[run.Result](t, must(t, args(filepath.Join(t.TempDir(), "run"), "-select", "val", "-json", "-context", tried.Settings["context"], "-lr", tried.Settings["lr"])...))
		if !slices.Equal(single.Choice.Val, tried.Val) || single.Choice.Epoch != tried.Epoch {
			t.Errorf("%v: %+v, alone %+v", tried.Settings, tried, single.Choice)
		}
		if tried.Val[tried.Epoch-1] > c.Table[best].Val[c.Table[best].Epoch-1] {
			best = i
		}
	}
	if c.Settings["context"] != c.Table[best].Settings["context"] || c.Settings["lr"] != c.Table[best].Settings["lr"] || r.Test.Accuracy != c.Accuracy {
		t.Errorf("chosen %+v, the best is number %d", c, best+1)
	}
	e := last[evalResult](t, must(t, "eval", "-model", tiny(t), "-data", valData(t), "-dataset", "twice", "-tuned", dir, "-json"))
	if e.Test != *r.Test {
		t.Errorf("eval says %+v, train %+v", e.Test, *r.Test)
	}
	want := read(t, r.File)

	// Interrupted among the second settings, and then once more with another grid, which is refused.
	stopped := filepath.Join(t.TempDir(), "run")
	grid := []string{"-grid", "context=2,4", "-grid", "lr=0.5,0.002", "-save-every", "1ns"}
	code, errw := interrupt(t, 3, args(stopped, grid...), filepath.Join(stopped, run.GridName, "001"))
	if code == exitInterrupted {
		if !strings.Contains(errw, "-resume -out "+stopped+" ") {
			t.Error(errw)
		}
		if code, _, errw := cli(t, args(stopped, "-resume", "-grid", "context=2,4", "-grid", "lr=0.5,0.001")...); code != exitFailed || !strings.Contains(errw, "belongs to another run") {
			t.Errorf("another grid: exit code %d, %s", code, errw)
		}
		must(t, args(stopped, append(grid, "-resume")...)...)
		if !bytes.Equal(read(t, filepath.Join(stopped, run.TunedName)), want) || entries(t, stopped) != "result.json tuned.safetensors" {
			t.Errorf("interrupted and resumed it leaves another file, %s", entries(t, stopped))
		}
	}

	// The result is enough to make it again.
	again := filepath.Join(t.TempDir(), "run")
	must(t, "train", "-from", dir, "-zeroshot=false", "-out", again)
	if !bytes.Equal(read(t, filepath.Join(again, run.TunedName)), want) {
		t.Error("-from leaves another file")
	}
	must(t, "verify", dir)
}

func TestSelectRefuses(t *testing.T) {
	for want, more := range map[string][]string{
		"there is val":                  {"-select", "test"},
		"coop has no setting shots":     {"-grid", "shots=1,2"},
		"want a setting and its values": {"-grid", "lr"},
		"a value stands there twice":    {"-grid", "lr=1,1"},
		"the grid has \"lr\" twice":     {"-grid", "lr=1,2", "-grid", "lr=3"},
		"more than 1000 combinations":   {"-grid", "lr=" + strings.Repeat("1e-3,", 1000) + "0"},
		"and so does -epochs 2":         {"-grid", "epochs=1,2"},
		"-context x: want a number":     {"-grid", "context=x"},
	} {
		if want == "more than 1000 combinations" {
			var all []string
			for i := range 1001 {
				all = append(all, strings.Repeat("0", 1+i%7)+"."+strings.Repeat("1", 1+i/7))
			}
			more = []string{"-grid", "lr=" + strings.Join(all, ",")}
		}
		code, _, errw := cli(t, selecting(t, "coop", filepath.Join(t.TempDir(), "run"), more...)...)
		if code != exitUsage || !strings.Contains(errw, want) {
			t.Errorf("%.40v: exit code %d, %.300s; want %q", more, code, errw, want)
		}
	}
	root := t.TempDir()
	ds, err := datasets.Open(valData(t), "twice")
	if err != nil {
		t.Fatal(err)
	}
	ds.Val = nil
	ds.Title = "Bare"
	if err := datasets.Export(filepath.Join(root, "bare"), ds); err != nil {
		t.Fatal(err)
	}
	code, _, errw := cli(t, selecting(t, "coop", filepath.Join(t.TempDir(), "run"), "-data", root, "-dataset", "bare", "-select", "val")...)
	if code != exitFailed || !strings.Contains(errw, "has none") || !strings.Contains(errw, "-split") {
		t.Errorf("without validation images: exit code %d, %s", code, errw)
	}
}

// Mistakes of flags are told before data and model are opened: here there are neither.
func TestEarlyFlags(t *testing.T) {
	done, _ := undisturbedRun(t)
	for _, c := range []struct {
		want string
		code int
		args []string
	}{
		{"learning rate -1 must be positive", exitUsage, []string{"-lr", "-1"}},
		{"epochs", exitUsage, []string{"-epochs", "0"}},
		{"r-amt has no setting lrr", exitUsage, []string{"-grid", "lrr=1,2"}},
		{"chooses by the test images itself", exitUsage, []string{"-method", "tip-adapter-f-test-selected", "-select", "val"}},
		{"lp++ has no epochs to choose among", exitUsage, []string{"-method", "lp++", "-select", "val"}},
		{"2sfs is done after its last epoch alone", exitUsage, []string{"-method", "2sfs", "-select", "val"}},
		{"finetune is done after its last epoch alone", exitUsage, []string{"-method", "finetune", "-wise", "0.5", "-select", "val"}},
		{"holds a finished run", exitFailed, []string{"-out", done}},
	} {
		code, _, errw := cli(t, append([]string{"train", "-model", "no-such-model.pt", "-data", "no-such-folder", "-dataset", "no-such"}, c.args...)...)
		if code != c.code || !strings.Contains(errw, c.want) || strings.Contains(errw, "no-such") {
			t.Errorf("%v: %d, %s", c.args, code, errw)
		}
	}
}
