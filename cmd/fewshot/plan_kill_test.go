package main

import (
	"bytes"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unicode/utf8"

	"fewshot/rmt/plan"
)

// killedPlan is a plan whose runs are all of what a kill can fall into: steps, solving, a mask and what is trained under it, evaluations.
func killedPlan(t *testing.T, dir string) string {
	path := filepath.Join(dir, "plan.jsonl")
	must(t, quick(t, "-methods", "zero-shot,r-amt,tip-adapter,taskres", "-below", "none,amt", "-test-classes", "new", "-below-set", "epochs=2", "-below-set", "batch-size=8", "-below-set", "lr=1e-3",
		"-set", "r-amt:epochs=2", "-set", "r-amt:batch-size=8", "-set", "r-amt:lr=1e-3", "-set", "tip-adapter:passes=2", "-set", "tip-adapter:beta-steps=4",
		"-set", "taskres:epochs=2", "-set", "taskres:batch-size=8", "-select", "taskres:val", "-grid", "taskres:lr=1e-3,1e-2", "-out", path)...)
	return path
}

// planContents are the tables and all learned files of a plan's folder, by name.
func planContents(t *testing.T, path, dir string) map[string]string {
	t.Helper()
	all := map[string]string{"table": must(t, "collect", path, "-runs", dir, "-format", "csv", "-ci95")}
	for _, pattern := range []string{"*/*.safetensors", "*/eval-*.json"} {
		files, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range files {
			name, _ := filepath.Rel(dir, f)
			all[name] = string(read(t, f))
		}
	}
	return all
}

// differing are the names of what two folders do not have alike, with the texts among them.
func differing(a, b map[string]string) string {
	var all []string
	for _, name := range slices.Sorted(maps.Keys(a)) {
		if a[name] != b[name] {
			all = append(all, name)
			if utf8.ValidString(a[name]) {
				all = append(all, a[name], b[name])
			}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(b)) {
		if _, ok := a[name]; !ok {
			all = append(all, name+" more")
		}
	}
	return strings.Join(all, "\n")
}

// TestKillPlan ends run at random moments, by SIGKILL or a signal that it saves at, and gives the command again until the plan is done, and compares
// tables and all files with an undisturbed one's; and so on until there have been enough kills: 6, or FEWSHOT_KILLS. Checkpoints are saved after
// every step. A signal's exit code says what it was.
func TestKillPlan(t *testing.T) {
	root := t.TempDir()
	path := killedPlan(t, root)
	command := func(dir string) []string {
		return []string{"run", path, "-runs", dir, "-data", tinyData(t), "-save-every", "1ns"}
	}
	codes := map[os.Signal]int{os.Interrupt: exitInterrupted, syscall.SIGHUP: exitInterrupted, syscall.SIGTERM: exitAgain}
	signals := []os.Signal{os.Kill, os.Kill, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP}
	for _, s := range batchSignals {
		codes[s] = exitAgain
		signals = append(signals, s)
	}
	calm := filepath.Join(root, "calm")
	k := newKiller(t, 6, command(calm), signals...)
	want := planContents(t, path, calm)
	p, err := plan.Open(path, version())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	// doing is the method of the run that a killed process had in hand.
	doing := func(dir string) string {
		for i, r := range p.All() {
			if o, err := plan.Load(dir, r, version()); err != nil || o.State != plan.Done {
				if p.Below(i) >= 0 {
					return r.Method + " under a mask"
				}
				return r.Method
			}
		}
		return "none left"
	}

	in := map[string]int{}
	during, plans := 0, 0
	for k.killed < k.most {
		dir := filepath.Join(root, strconv.Itoa(plans))
		plans++
		for k.run(t, codes, command(dir)...) {
			in[doing(dir)]++
			if left, _ := filepath.Glob(filepath.Join(dir, "*", ".*.tmp-*")); len(left) > 0 {
				during++
			}
		}
		if d := differing(want, planContents(t, path, dir)); d != "" {
			t.Fatalf("seed %d, plan %d: it left other tables or files than undisturbed:\n%s", k.seed, plans, d)
		}
		if left, _ := filepath.Glob(filepath.Join(dir, "*", ".*")); len(left) > 0 {
			t.Fatalf("seed %d, plan %d: %v is left", k.seed, plans, left)
		}
		if err := os.RemoveAll(dir); err != nil {
			t.Fatal(err)
		}
	}
	var methods []string
	for _, m := range slices.Sorted(maps.Keys(in)) {
		methods = append(methods, strconv.Itoa(in[m])+" in "+m)
	}
	t.Logf("%d kills (%v; %s), %d of them while a file was being written, %d starts, %d plans, %d equal tables (seed %d)", k.killed, k.by, strings.Join(methods, ", "), during, k.starts, plans, plans, k.seed)
}

// Two processes share a plan in one folder: each run is made by one of them, and what is left over at the end is told.
func TestTwoProcesses(t *testing.T) {
	root := t.TempDir()
	path := killedPlan(t, root)
	must(t, "run", path, "-runs", filepath.Join(root, "calm"), "-data", tinyData(t))
	want := planContents(t, path, filepath.Join(root, "calm"))
	dir := filepath.Join(root, "both")
	var processes []*exec.Cmd
	var said []*bytes.Buffer
	for range 2 {
		c, out := program(t, "run", path, "-runs", dir, "-data", tinyData(t))
		processes, said = append(processes, c), append(said, out)
	}
	for i, c := range processes {
		if err := c.Wait(); err != nil && c.ProcessState.ExitCode() != exitAgain {
			t.Errorf("%v\n%s", err, said[i])
		}
	}
	must(t, "run", path, "-runs", dir, "-data", tinyData(t))
	if d := differing(want, planContents(t, path, dir)); d != "" {
		t.Errorf("two processes left other tables or files than one: %s\n%s\n%s", d, said[0], said[1])
	}
}
