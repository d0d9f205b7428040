package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/datasets/synth"
	"fewshot/rmt/plan"
	"fewshot/rmt/plan/paper"
)

// A table makes its runs once, shares them with others, and lays out what there is.
func TestTable(t *testing.T) {
	runs := filepath.Join(t.TempDir(), "runs")
	table := func(args ...string) paper.Sheet {
		t.Helper()
		return last[paper.Sheet](t, must(t, append([]string{"table", "-json", "-runs", runs}, args...)...))
	}
	// The untouched model on three sets of test images is one run.
	if s := table("2", "-rows", "zero-shot"); s.Runs != 1 || s.Done != 1 || len(s.Lines) != 2 || s.Lines[0].Cells[3] == nil || s.Lines[0].Cells[0].Mean < 50 {
		t.Errorf("table 2: %+v", s)
	}
	// Another table of the same run finds it; what is not made stays empty, and the sheet says so.
	s := table("11", "-collect")
	if s.Done != 1 || s.Lines[0].Cells[0] == nil || s.Lines[2].Cells[0] != nil || !strings.Contains(strings.Join(s.Notes, "\n"), "12 of 13 runs are not done") {
		t.Errorf("table 11: %+v", s)
	}
	// Trained for real, if briefly.
	s = table("methods", "-shots", "1", "-seeds", "1", "-rows", "linear-probe")
	if s.Runs != 3 || s.Done != 3 || s.Lines[0].Cells[0] == nil || s.Lines[0].Cells[0].HasSD || s.Lines[0].Cells[5].Mean <= 0 {
		t.Errorf("table methods: %+v", s)
	}
	file := filepath.Join(t.TempDir(), "t.md")
	must(t, "table", "7", "-format", "markdown", "-out", file, "-runs", runs)
	if out := must(t, "table", "7"); !strings.Contains(out, "digits (for OxfordPets)") || !strings.Contains(out, "SYNTHETIC") {
		t.Errorf("table 7:\n%s", out)
	}
}

// A table can be left to other machines, and its time be asked for.
func TestTablePlan(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "plan.jsonl")
	if r := last[planResult](t, must(t, "table", "6", "-plan", path, "-json")); r.Runs != 9 {
		t.Errorf("a plan of %d runs", r.Runs)
	}
	p, err := plan.Open(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if r, err := p.Run(0); err != nil || r.Model.Digest == "" || r.Data.Split == "" {
		t.Errorf("%+v, %v", r, err)
	}
	if d := last[dryRun](t, must(t, "table", "6", "-seeds", "1", "-dry-run", "-json", "-runs", dir)); d.Masks != 3 || d.Runs != 3 || d.Done != 0 || d.Seconds <= 0 {
		t.Errorf("%+v", d)
	}
}

// The counts are told before steps are measured, and then what is measured.
func TestDryRunSaysWhatItDoes(t *testing.T) {
	code, _, errw := cli(t, "table", "6", "-seeds", "1", "-rows", "0.005", "-dry-run", "-runs", t.TempDir())
	counts, measures := strings.Index(errw, "Table 6: 1 run, 0 done"), strings.Index(errw, "measuring steps of ")
	if code != exitDone || counts < 0 || measures < counts {
		t.Errorf("exit code %d, %s", code, errw)
	}
}

// Runs are counted where there are no data too.
func TestTableCounts(t *testing.T) {
	for rows, want := range map[string]int{"amt,r-amt": 330, "tip": 150} {
		args := []string{"table", "17", "-data", t.TempDir(), "-model", tiny(t), "-rows", rows, "-dry-run"}
		d := last[dryRun](t, must(t, append(args, "-json")...))
		if d.Runs != want || d.Masks+d.Others != want || len(d.Unknown) != 1 || !strings.Contains(d.Unknown[0], "no such folder") {
			t.Errorf("%s: %+v", rows, d)
		}
		if out := must(t, args...); !strings.Contains(out, fmt.Sprintf("%d runs", want)) || strings.Contains(out, "and take") {
			t.Errorf("%s: %s", rows, out)
		}
		if code, _, errw := cli(t, args[:len(args)-1]...); code != exitFailed || !strings.Contains(errw, "no such folder") {
			t.Errorf("exit code %d, %s", code, errw)
		}
	}
}

func TestTableRefuses(t *testing.T) {
	empty := t.TempDir()
	for args, want := range map[string]string{
		"":                         "give the number of one table",
		"5 6":                      "give the number of one table",
		"18":                       "there is no table 18",
		"0":                        "there is no table 0",
		"5 -format html":           "-format",
		"5 -rows r-amt":            "has no row r-amt; there are amt, sum",
		"5 -seeds 1,x":             "-seeds",
		"5 -seeds 1,1":             "1 twice",
		"17 -shots 0":              "-shots",
		"5 -max-images -1":         "-max-images",
		"5 -data DATA":             "-data DATA without -model",
		"10":                       "fewshot pretrain -arch RN50 -out FOLDER/RN50 makes a small one",
		"10 -backbones " + empty:   "there is no folder RN50 in it; fewshot pretrain -arch RN50",
		"5 -out /no/such/folder/x": "there is no folder",
		"7 -plan p.jsonl":          "there is nothing to plan",
		"3 -shots 4":               "-shots is for table 17",
		"5 -precision int8":        "-precision int8 is for inference",
	} {
		if code, _, errw := cli(t, append([]string{"table"}, strings.Fields(args)...)...); code != exitUsage || !strings.Contains(errw, want) {
			t.Errorf("table %s: exit code %d, %s", args, code, errw)
		}
	}
}

// Figures are of what their runs left, by real runs, if brief ones.
func TestPaperFigures(t *testing.T) {
	runs, picture := filepath.Join(t.TempDir(), "runs"), filepath.Join(t.TempDir(), "f.svg")
	figure := func(args ...string) (d paper.Drawing) {
		t.Helper()
		return last[paper.Drawing](t, must(t, append([]string{"figure", "-json", "-runs", runs, "-seeds", "1,2", "-max-images", "160"}, args...)...))
	}
	d := figure("5", "-rows", "oxford_pets", "-picture", picture)
	if d.Runs != 3 || d.Done != 3 || len(d.Panels) != 2 || len(d.Panels[1].Bars[0].Y) != 1 || d.Lines[0].Cells[2] == nil {
		t.Errorf("figure 5: %+v", d)
	}
	if s, err := os.ReadFile(picture); err != nil || !bytes.Contains(s, []byte("<svg")) || !bytes.Contains(s, []byte("synthetic tasks")) {
		t.Errorf("%.200s, %v", s, err)
	}
	// Of the two masks of one task there is an overlap; of the others nothing is known.
	d = figure("7", "-collect", "-rows", "r-amt")
	known := 0
	for _, row := range d.Lines {
		for _, c := range row.Cells {
			if c != nil {
				known++
			}
		}
	}
	if at := d.Lines[5].Cells[5]; known != 1 || at == nil || at.Mean < 0 || at.Mean >= 1 || len(d.Panels[0].Matrix) != 11 {
		t.Errorf("figure 7: %d known, %+v", known, d.Lines[5])
	}
	d = figure("3", "-seeds", "1", "-rows", "oxford_pets")
	if len(d.Lines) != 4 || d.Lines[3].Cells[1] == nil || d.Lines[0].Cells[0].Mean <= 0 {
		t.Errorf("figure 3: %+v", d.Lines)
	}
	if out := must(t, "figure", "6"); !strings.Contains(out, "diagram") {
		t.Errorf("figure 6: %s", out)
	}
	for args, want := range map[string]string{"8": "there is no figure 8; there are 1, 2, 3, 4, 5, 6, 7, methods", "4 -picture x.gif": "svg", "4 5": "give the number of one figure"} {
		if code, _, errw := cli(t, append([]string{"figure"}, strings.Fields(args)...)...); code != exitUsage || !strings.Contains(errw, want) {
			t.Errorf("figure %s: exit code %d, %s", args, code, errw)
		}
	}
}

// Small models of the other kinds are made, and stand in Table 10.
func TestBackbones(t *testing.T) {
	dir := t.TempDir()
	for _, arch := range []string{"RN50", "RN101", "ViT-B/32"} {
		out := filepath.Join(dir, strings.ReplaceAll(arch, "/", "-"))
		must(t, "pretrain", "-arch", arch, "-steps", "2", "-batch-size", "4", "-layers", "1", "-text-layers", "1", "-width", "64", "-out", out)
		info := must(t, "info", out)
		want := map[string]string{"RN50": "ResNet of 1+1+2+1 blocks, 64×64 pixels", "RN101": "ResNet of 1+1+5+1 blocks", "ViT-B/32": "48×48 pixels in patches of 16"}[arch]
		if !strings.Contains(info, want) {
			t.Errorf("%s:\n%s", arch, info)
		}
	}
	path := filepath.Join(dir, "plan.jsonl")
	must(t, "table", "10", "-backbones", dir, "-seeds", "1", "-rows", "zero-shot,r-pmt", "-plan", path)
	p, err := plan.Open(path, "")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	digests := map[string]bool{}
	for _, r := range p.All() {
		digests[r.Model.Digest] = true
	}
	if p.Len() != 8 || len(digests) != 4 {
		t.Errorf("%d runs with %d models", p.Len(), len(digests))
	}
	if code, _, errw := cli(t, "pretrain", "-arch", "RN9", "-out", filepath.Join(dir, "x")); code != exitUsage || !strings.Contains(errw, "-arch RN9: there are RN50") {
		t.Errorf("exit code %d, %s", code, errw)
	}
}

// A data set of the paper, in its own layout: the published settings, the paper's figures beside, and no word of a synthetic world.
func TestTableOfRealData(t *testing.T) {
	root := t.TempDir()
	rgb := make([]uint8, synth.Size*synth.Size*3)
	for i := range 60 {
		synth.Pair(rgb, 7, uint64(i))
		png, err := synth.EncodePNG(rgb)
		if err != nil {
			t.Fatal(err)
		}
		dir := filepath.Join(root, "eurosat", "2750", fmt.Sprintf("Class%d", i%10))
		if err := os.MkdirAll(dir, 0o777); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprintf("Class%d_%d.png", i%10, i)), png, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	args := []string{"figure", "5", "-data", root, "-model", tiny(t), "-seeds", "1", "-rows", "eurosat", "-runs", filepath.Join(root, "runs")}
	d := last[paper.Drawing](t, must(t, append(args, "-json")...))
	notes := strings.Join(d.Notes, "\n")
	if d.Runs != 2 || d.Done != 2 || d.Lines[0].Labels[0] != "EuroSAT" || !d.Lines[1].Paper || d.Lines[1].Cells[2].Mean != 44.2 || strings.Contains(notes, "SYNTHETIC") ||
		!strings.Contains(notes, "Settings, where nothing else is said, are those published for the method and the data set") ||
		!strings.Contains(notes, "1 run of masks switched off no weight") {
		t.Errorf("%+v", d)
	}
	// What is said of the runs does not go where the table goes.
	code, out, errw := cli(t, append(slices.Clone(args[:len(args)-1]), filepath.Join(root, "again"), "-format", "csv", "-picture", filepath.Join(root, "f.png"))...)
	if code != exitDone || !strings.HasPrefix(out, "# Figure 5.") || !strings.Contains(errw, "2 of 2") {
		t.Errorf("exit code %d, %s\n%s", code, out, errw)
	}
	all, err := plan.Collect(planAt(t, append(args, "-plan", filepath.Join(root, "p.jsonl"))...), filepath.Join(root, "runs"), "")
	if err != nil {
		t.Fatal(err)
	}
	if r := all[1].Result; r == nil || r.Method != "r-amt" || len(r.Epochs) != 30 || !strings.Contains(string(r.Config), `"leak": 0.3`) {
		t.Errorf("%+v", r)
	}
}

// planAt is the plan that a command writes, the last of whose arguments is its file.
func planAt(t *testing.T, args ...string) *plan.Plan {
	t.Helper()
	must(t, args...)
	p, err := plan.Open(args[len(args)-1], "")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}
