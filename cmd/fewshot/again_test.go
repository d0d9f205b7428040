package main

import (
	"flag"
	"maps"
	"testing"

	"fewshot/rmt/run"
)

// What a result keeps sets the flags of the next command, but for those that its line gives.
func TestFlagsOfARun(t *testing.T) {
	dir, _ := undisturbedRun(t)
	r, _, err := run.ReadResult(dir)
	if err != nil {
		t.Fatal(err)
	}
	var f trainFlags
	var again flag.FlagSet
	f.model.declare(&again)
	f.data.declare(&again)
	f.data.declareSample(&again)
	f.device.declare(&again)
	f.data.declareTemplate(&again)
	if err := again.Parse([]string{"-data", "elsewhere"}); err != nil {
		t.Fatal(err)
	}
	if err := asThen(&again, r); err != nil {
		t.Fatal(err)
	}
	if f.data.root != "elsewhere" || f.data.name != r.Dataset || f.model.Path != r.Flags["model"] || f.data.shots != r.Shots || len(f.data.templates) != 1 || !f.device.strassen.given {
		t.Errorf("%+v of %v", f, r.Flags)
	}
	old := *r
	old.Flags = nil
	if a, b := flagsOf(r), flagsOf(&old); a["data"] == "" || b["dataset"] != a["dataset"] || b["shots"] != a["shots"] {
		t.Errorf("%v and, without flags, %v", a, b)
	}
	before := maps.Clone(r.Flags)
	if r.Flags["command"] = "x"; flagsOf(r)["command"] != "" || before["model"] == "" {
		t.Errorf("%v", flagsOf(r))
	}
}
