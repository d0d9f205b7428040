package main

import (
	"path/filepath"
	"strings"
	"testing"

	"fewshot/rmt/plan"
)

// planOf writes a plan of small runs, by further flags of plan.
func planOf(t *testing.T, more ...string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "plan.jsonl")
	must(t, append([]string{"plan", "-open=false", "-model", tiny(t), "-data", tinyData(t), "-datasets", "few", "-methods", "tip-adapter", "-shots", "1,2", "-seeds", "1,2", "-out", path}, more...)...)
	return path
}

func TestPlanEmit(t *testing.T) {
	path := planOf(t)
	for cluster, want := range map[string]string{"slurm": "#SBATCH --array=0-3%2\n", "kubernetes": "  completions: 4\n  parallelism: 2\n"} {
		args := []string{"plan", "emit", cluster, path, "-parallel", "2"}
		if cluster == "kubernetes" {
			args = append(args, "-at", "/w/plan.jsonl", "-image", "fewshot", "-volume", "work:/w")
		}
		out := must(t, args...)
		if !strings.Contains(out, want) {
			t.Errorf("no %q in\n%s", want, out)
		}
		if r := last[emitResult](t, must(t, append(args, "-json")...)); r.File != out || r.Runs != 4 || r.Cluster != cluster {
			t.Errorf("with -json: %+v", r)
		}
	}
	// Runs under masks stand behind these in one task.
	below := planOf(t, "-below", "none,r-amt")
	out := must(t, "plan", "emit", "slurm", below, "-program", "/opt/fewshot", "-runs", "results", "-any-version", "--", "-device", "cuda:0")
	if !strings.Contains(out, "#SBATCH --array=0-7\n") || !strings.Contains(out, "exec /opt/fewshot collect "+below+" -runs results -any-version\n") ||
		!strings.Contains(out, "exec /opt/fewshot run "+below+` -runs results -any-version -device cuda:0 -shard "$((SLURM_ARRAY_TASK_ID + 1))/8" -requeue`) {
		t.Errorf("12 runs, 4 of them masks of 4 others:\n%s", out)
	}
	for want, args := range map[string][]string{
		"for which cluster?":         {"pbs", path},
		"which plan?":                {"slurm"},
		"-image is for kubernetes":   {"slurm", path, "-image", "x"},
		"-time is for slurm":         {"kubernetes", path, "-time", "90"},
		"container image":            {"kubernetes", path, "-at", "/w/plan.jsonl"},
		"-index is given":            {"slurm", path, "--", "-index", "3"},
		"-runs is given":             {"slurm", path, "--", "-runs", "elsewhere"},
		"which has one plan":         {"slurm", path, "other.jsonl"},
		"5 tasks for 4 runs":         {"slurm", path, "-tasks", "5"},
		"the script sets this":       {"slurm", path, "-sbatch", "--array=1"},
		"name of a claim":            {"kubernetes", path, "-volume", "work"},
		"a whole number with a unit": {"slurm", path, "-mem", "16"},
	} {
		if code, _, errw := cli(t, append([]string{"plan", "emit"}, args...)...); code != exitUsage || !strings.Contains(errw, want) {
			t.Errorf("%v: exit code %d, %s; want %q", args, code, errw, want)
		}
	}
	if code, _, errw := cli(t, "plan", "emit", "slurm", filepath.Join(tinyFolder(t), "vocab.json")); code != exitFailed || !strings.Contains(errw, "no plan") {
		t.Errorf("a file that is no plan: exit code %d, %s", code, errw)
	}
}

func TestGroups(t *testing.T) {
	p, err := plan.Open(planOf(t, "-below", "none,r-amt"), "")
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	of, n := p.Groups()
	size := make([]int, n)
	for i, g := range of {
		size[g]++
		if below := p.Below(i); below >= 0 && of[below] != g {
			t.Errorf("run %d is in group %d, and the run under whose mask it is trained in group %d", i, g, of[below])
		}
	}
	var alone, pairs int
	for _, s := range size {
		alone, pairs = alone+b2i(s == 1), pairs+b2i(s == 2)
	}
	if n != 8 || alone != 4 || pairs != 4 {
		t.Errorf("groups of %v runs", size)
	}
	// Every run is in one share, with what it needs.
	made := make([]int, p.Len())
	for _, shard := range []string{"1/3", "2/3", "3/3"} {
		chosen, err := (&share{index: -1, shard: shard}).of(p)
		if err != nil {
			t.Fatal(err)
		}
		for i := range made {
			if !chosen(i) {
				continue
			}
			if made[i]++; p.Below(i) >= 0 && !chosen(p.Below(i)) {
				t.Errorf("share %s has run %d without run %d", shard, i, p.Below(i))
			}
		}
	}
	for i, n := range made {
		if n != 1 {
			t.Errorf("run %d is in %d shares", i, n)
		}
	}
}

func b2i(b bool) int {
	if b {
		return 1
	}
	return 0
}
