package main

import (
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// A file that is there is somebody's: what a flag names is written over it with -force alone, and over a folder never.
func TestOutputsReplaceNothing(t *testing.T) {
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	for _, name := range []string{"keep.txt", "keep.svg", "result.json"} {
		if err := os.WriteFile(at(name), []byte("keep"), 0o666); err != nil {
			t.Fatal(err)
		}
	}
	for _, name := range []string{"folder.svg", "plan-runs"} {
		if err := os.Mkdir(at(name), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	plan := at("plan.jsonl")
	must(t, quick(t, "-methods", "zero-shot", "-out", plan)...)
	written := string(read(t, plan))
	runs := []string{"-seeds", "1", "-collect", "-runs", at("runs")}
	for _, args := range [][]string{
		{"report", plan, "-out", plan},
		{"report", plan, "-out", at("result.json")},
		append([]string{"table", "6", "-out", at("keep.txt")}, runs...),
		append([]string{"figure", "5", "-out", at("result.json")}, runs...),
		append([]string{"figure", "5", "-picture", at("keep.svg")}, runs...),
		{"demo", "-figure", at("keep.svg")},
	} {
		if code, _, errw := cli(t, args...); code != exitFailed || !strings.Contains(errw, "is there already; name another file, or replace it with -force") {
			t.Errorf("%q: exit code %d, %s", args, code, errw)
		}
	}
	for _, args := range [][]string{{"report", plan, "-force", "-out", at("folder.svg")}, {"demo", "-force", "-figure", at("folder.svg")}} {
		if code, _, errw := cli(t, args...); code != exitFailed || !strings.Contains(errw, "is no regular file") {
			t.Errorf("%q: exit code %d, %s", args, code, errw)
		}
	}
	sketch := at("sketch.txt")
	if err := os.WriteFile(sketch, []byte("keep"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, args := range [][]string{ // what is read, or what a run or a plan is made of, is not replaced by anybody's word
		{"report", plan, "-force", "-out", plan},
		{"report", sketch, "-force", "-out", sketch},
		{"report", at("runs"), "-force", "-out", at("result.json")},
		{"report", at("runs"), "-model", sketch, "-force", "-out", sketch},
		append([]string{"table", "6", "-force", "-out", plan}, runs...),
		append([]string{"figure", "5", "-force", "-out", at("result.json")}, runs...),
		{"demo", "-force", "-figure", at("result.json")},
	} {
		if code, _, errw := cli(t, args...); code != exitFailed || !strings.Contains(errw, "and is not replaced; name another file") {
			t.Errorf("%q: exit code %d, %s", args, code, errw)
		}
	}
	for _, name := range []string{"keep.txt", "keep.svg", "sketch.txt", "result.json"} {
		if got := string(read(t, at(name))); got != "keep" {
			t.Errorf("%s: %.40q", name, got)
		}
	}
	if string(read(t, plan)) != written {
		t.Error("the plan was changed")
	}
	if code, _, errw := cli(t, append([]string{"figure", "5", "-out", at("new.svg"), "-picture", at("new.svg")}, runs...)...); code != exitUsage || !strings.Contains(errw, "both name") {
		t.Errorf("exit code %d, %s", code, errw)
	}
	must(t, "run", plan, "-data", tinyData(t)) // there is no page of nothing
	for range 2 {                              // its own page of before it replaces
		if page := last[reportResult](t, must(t, "report", plan, "-json")); !strings.Contains(string(read(t, page.File)), "<html") {
			t.Error(page.File)
		}
	}
	must(t, append([]string{"table", "6", "-force", "-out", at("keep.txt")}, runs...)...)
	if got := string(read(t, at("keep.txt"))); !strings.Contains(got, "Table 6") {
		t.Errorf("%.80q", got)
	}
}

// Whoever asks for a table of drawn tasks and is told to end does not draw them first.
func TestTableInterrupted(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := synthetic(ctx, "textures"); !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if code := runMain(ctx, io.Discard, io.Discard, []string{"table", "5", "-collect", "-runs", t.TempDir()}); code != exitInterrupted {
		t.Errorf("exit code %d", code)
	}
}
