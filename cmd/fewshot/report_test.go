package main

import (
	"encoding/xml"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"fewshot/nn/quote"
	"fewshot/rmt/run"
)

// A run's page is made from what result.json names; it counts as eval does, and its command trains the same bytes.
func TestReport(t *testing.T) {
	dir, mask := undisturbedRun(t)
	out := filepath.Join(t.TempDir(), "page.html")
	r := last[reportResult](t, must(t, "report", "-json", "-out", out, dir))
	result, _, err := run.ReadResult(dir)
	if err != nil {
		t.Fatal(err)
	}
	if r.File != out || r.Test == nil || *r.Test != *result.Test || r.ECE == nil {
		t.Errorf("%+v, and the run had %+v", r, result.Test)
	}
	page := string(read(t, out))
	for d := xml.NewDecoder(strings.NewReader(page)); ; {
		if _, err := d.Token(); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []string{"Reliability", "The most certain mistakes", "data:image/jpeg;base64,", "fewshot verify ", "Sparsity by layer"} {
		if !strings.Contains(page, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	commands := repeats(result, dir)
	trains := commands[len(commands)-1].Line
	again := filepath.Join(t.TempDir(), "again")
	line := strings.Fields(strings.ReplaceAll(strings.Replace(trains, "NEW-FOLDER", again, 1), "'", ""))
	var args []string
	for i := 1; i < len(line); i++ { // words in quotation marks hold spaces here: those of the template
		if len(args) > 0 && args[len(args)-1] == "-template" {
			args = append(args, result.Templates[0])
			i += len(strings.Fields(result.Templates[0])) - 1
			continue
		}
		args = append(args, line[i])
	}
	must(t, args...)
	if string(read(t, filepath.Join(again, run.MaskName))) != string(mask) {
		t.Errorf("%s trains other bytes", trains)
	}
	// Without classifying again nothing is opened.
	quick := last[reportResult](t, must(t, "report", "-json", "-evaluate=false", "-force", "-out", out, "-model", "no/such/model", dir))
	if quick.Test != nil || strings.Contains(string(read(t, out)), "Reliability") {
		t.Errorf("%+v", quick)
	}
	if code, _, errw := cli(t, "report", "-model", "no/such/model", "-force", "-out", out, dir); code != exitFailed || !strings.Contains(errw, "-evaluate=false") {
		t.Errorf("%d, %s", code, errw)
	}
	if code, _, errw := cli(t, "report", t.TempDir()); code != exitFailed || !strings.Contains(errw, "holds no finished run") {
		t.Errorf("%d, %s", code, errw)
	}
}

// The page of what was trained under a mask finds the mask where the run had it, or where a flag says.
func TestReportUnderAMask(t *testing.T) {
	dir, _ := undisturbedRun(t)
	below := filepath.Join(t.TempDir(), "below")
	out := filepath.Join(t.TempDir(), "tip")
	if err := os.CopyFS(below, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	must(t, learn(t, "tip-adapter", out, "-mask", below)...)
	if r := last[reportResult](t, must(t, "report", "-json", out)); r.File != filepath.Join(out, reportFile) || r.Test == nil {
		t.Errorf("%+v", r)
	}
	if err := os.RemoveAll(below); err != nil {
		t.Fatal(err)
	}
	if code, _, errw := cli(t, "report", out); code != exitFailed || !strings.Contains(errw, below) {
		t.Errorf("%d, %s", code, errw)
	}
	must(t, "report", "-mask", dir, out)
}

func TestShell(t *testing.T) {
	if got := quote.Shell("fewshot", "a b", "it's", "", "x=1", "$HOME"); got != `fewshot 'a b' 'it'\''s' '' x=1 '$HOME'` {
		t.Error(got)
	}
}

// A plan's page has its table and its runs; a page of one of these runs, the untouched model's too, is made from what the plan left.
func TestReportOfAPlan(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "compare.jsonl")
	must(t, quick(t, "-methods", "zero-shot,lp++", "-seeds", "1,2", "-out", path)...)
	logs := filepath.Join(dir, "logs")
	must(t, "run", path, "-data", tinyData(t), "-logdir", logs)
	r := last[reportResult](t, must(t, "report", "-json", path))
	page := string(read(t, r.File))
	if r.File != filepath.Join(dir, "compare-runs", reportFile) || !strings.Contains(page, "3 of 3 runs are done, 2 seeds") || strings.Count(page, "<code>") != 3+2 {
		t.Errorf("%s: %.3000s", r.File, page)
	}
	runs, err := filepath.Glob(filepath.Join(dir, "compare-runs", "*", run.ResultName))
	if err != nil || len(runs) != 3 {
		t.Fatalf("%v, %v", runs, err)
	}
	for _, one := range runs {
		if r := last[reportResult](t, must(t, "report", "-json", filepath.Dir(one))); r.Test == nil {
			t.Errorf("%+v", r)
		}
	}
	if events, err := os.ReadDir(logs); err != nil || len(events) != 2 { // there are no steps in a zero-shot run
		t.Errorf("%v, %v", events, err)
	}
}
