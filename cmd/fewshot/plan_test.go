package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/datasets"
	"fewshot/rmt/plan"
	"fewshot/rmt/run"
)

// quick are flags of plan that make runs of the tiny model on a few images.
func quick(t *testing.T, more ...string) []string {
	return append([]string{"plan", "-model", tiny(t), "-data", tinyData(t), "-datasets", "few", "-shots", "4"}, more...)
}

// A plan is made, run and collected; a result of it is that of train, to the byte, and what two plans share is made once.
func TestPlan(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "plan.jsonl")
	r := last[planResult](t, must(t, quick(t, "-methods", "zero-shot,tip-adapter,lp++", "-set", "tip-adapter:passes=1", "-set", "tip-adapter:beta-steps=4", "-seeds", "1,2", "-test-classes", "base", "-out", path, "-json")...))
	if r.Runs != 5 {
		t.Fatalf("%+v", r)
	}
	report := func(args ...string) (r plan.Report) {
		t.Helper()
		lines := strings.Split(strings.TrimSpace(must(t, append(append([]string{"run"}, args...), "-data", tinyData(t), "-json")...)), "\n")
		if err := json.Unmarshal([]byte(lines[len(lines)-1]), &r); err != nil {
			t.Fatal(err)
		}
		return r
	}
	for _, c := range []struct {
		args []string
		want plan.Report
	}{
		{[]string{"-index", "1"}, plan.Report{Made: 1}},
		{[]string{"-shard", "2/2"}, plan.Report{Before: 1, Made: 1}},
		{[]string{"-shard", "1/2"}, plan.Report{Made: 3}},
		{nil, plan.Report{Before: 5}},
	} {
		if got := report(append([]string{path}, c.args...)...); got != c.want {
			t.Errorf("run %v: %+v, want %+v", c.args, got, c.want)
		}
	}
	out := must(t, "collect", path, "-format", "markdown", "-ci95")
	if strings.Count(out, "\n") != 5 || !strings.Contains(out, "| lp++ | ") || !strings.Contains(out, "±") || !strings.Contains(out, "few base") {
		t.Errorf("%s", out)
	}
	p, err := plan.Open(path, version())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i, x := range p.All() {
		if x.Method != "tip-adapter" {
			continue
		}
		alone := filepath.Join(t.TempDir(), "run")
		must(t, "train", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-shots", "4", "-seed", map[uint64]string{1: "1", 2: "2"}[x.Data.Seed], "-method", "tip-adapter", "-passes", "1", "-beta-steps", "4", "-out", alone)
		planned := filepath.Join(dir, "plan-runs", p.ID(i))
		if string(read(t, filepath.Join(alone, run.TunedName))) != string(read(t, filepath.Join(planned, run.TunedName))) {
			t.Errorf("%s: the plan leaves another file than train", &x)
		}
		must(t, "train", "-from", planned, "-data", tinyData(t), "-out", filepath.Join(t.TempDir(), "again")) // its result says how
	}
	logs := filepath.Join(t.TempDir(), "logs")
	out = must(t, "collect", path, "-format", "coop", "-to", logs, "-compare", "lp++,tip-adapter beta-steps=4 passes=1")
	if _, err := os.Stat(filepath.Join(logs, "lp++", "few", "seed2", "log.txt")); err != nil || !strings.Contains(out, "logs in "+logs) || !strings.Contains(out, "(2 pairs)") {
		t.Errorf("%v, %s", err, out)
	}
	// Half of what is asked for is there, whose time says how long the other half takes.
	more := filepath.Join(dir, "more.jsonl")
	must(t, quick(t, "-methods", "lp++,gda", "-set", "gda:passes=1", "-seeds", "1,2,3", "-out", more)...)
	e := last[planEstimate](t, must(t, "run", more, "-out", filepath.Join(dir, "plan-runs"), "-data", tinyData(t), "-dry-run", "-json"))
	if e.Runs != 6 || e.Done != 2 || e.ByResult != 1 || e.ByStep != 3 || !(e.Seconds > 0) || e.Unknown != nil {
		t.Errorf("%+v", e)
	}
	// Another plan that has some of the runs, in the same folder.
	other := filepath.Join(dir, "other.jsonl")
	must(t, quick(t, "-methods", "lp++,gda", "-set", "gda:passes=1", "-out", other)...)
	if got := report(other, "-out", filepath.Join(dir, "plan-runs")); got != (plan.Report{Before: 1, Made: 1}) {
		t.Errorf("a plan with a run that is done: %+v", got)
	}
}

// Mistakes on the command line of plans.
func TestPlanUsage(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan.jsonl")
	must(t, quick(t, "-methods", "zero-shot", "-out", path)...)
	text := filepath.Join(t.TempDir(), "text")
	if err := os.WriteFile(text, []byte("text\n"), 0o666); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		want string
		code int
		args []string
	}{
		{"-datasets is missing", exitUsage, []string{"plan"}},
		{`-shots "4,4": 4 twice`, exitUsage, quick(t, "-shots", "4,4")},
		{`-methods "gda,gda": gda twice`, exitUsage, quick(t, "-methods", "gda,gda")},
		{`-seeds "a": want numbers with commas`, exitUsage, quick(t, "-seeds", "a")},
		{"want NAME=VALUE", exitUsage, quick(t, "-methods", "r-amt", "-set", "leak")},
		{"-set coop:...: coop is not among -methods", exitUsage, quick(t, "-set", "coop:epochs=1")},
		{"r-amt has no setting colour", exitUsage, quick(t, "-methods", "r-amt,tip-adapter", "-set", "r-amt:colour=red")},
		{`method "emt" is not known`, exitUsage, quick(t, "-methods", "emt,tip-adapter")},
		{"is there and is no plan", exitFailed, quick(t, "-methods", "tip-adapter", "-out", text)},
		{"is another plan, of 1 run; -force replaces it, or give another -out", exitFailed, quick(t, "-methods", "tip-adapter", "-out", path)},
		{"is there and is no plan", exitFailed, quick(t, "-methods", "tip-adapter", "-out", text, "-force")},
		{"give one plan, not 0", exitUsage, []string{"run"}},
		{"is no plan: a plan's first line", exitFailed, []string{"run", text}},
		{"-index 1: the plan has runs 0 to 0", exitUsage, []string{"run", path, "-index", "1"}},
		{"a run's number, from 0", exitUsage, []string{"run", path, "-index", "-1"}},
		{"-index and -shard exclude each other", exitUsage, []string{"run", path, "-index", "0", "-shard", "1/2"}},
		{`-shard "3/2": want i/n`, exitUsage, []string{"run", path, "-shard", "3/2"}},
		{"-shard /2: no array job says", exitUsage, []string{"run", path, "-shard", "/2"}},
		{`-format "html": there are text, csv`, exitUsage, []string{"collect", path, "-format", "html"}},
		{"-compare a,a: a row does not differ from itself", exitUsage, []string{"collect", path, "-compare", "a,a"}},
		{"there is no result in " + strings.TrimSuffix(path, ".jsonl") + "-runs; fewshot run", exitFailed, []string{"collect", path}},
		{`-select "test": there is val`, exitUsage, quick(t, "-methods", "coop", "-select", "test")},
		{"-select coop: coop is not among -methods", exitUsage, quick(t, "-methods", "taskres", "-select", "coop:val")},
		{"-grid coop: coop is not among -methods", exitUsage, quick(t, "-methods", "taskres", "-grid", "coop:lr=1,2")},
		{"lp++ has no epochs to choose among", exitUsage, quick(t, "-methods", "taskres,lp++", "-select", "val")},
		{"2sfs is done after its last epoch alone", exitUsage, quick(t, "-methods", "2sfs", "-select", "val")},
		{"chooses by the test images itself", exitUsage, quick(t, "-methods", "tip-adapter-f-test-selected", "-grid", "lr=1,2")},
		{"taskres has no setting passes", exitUsage, quick(t, "-methods", "taskres", "-grid", "passes=1,2")},
		{"the grid has lr, and it is set to 1 besides", exitUsage, quick(t, "-methods", "taskres", "-grid", "lr=2,3", "-set", "lr=1")},
		{`the grid has "lr" twice`, exitUsage, quick(t, "-methods", "taskres", "-grid", "lr=2,3", "-grid", "taskres:lr=4,5")},
		{"-sample mine.json: a plan has CoOp's own sample, or lpclip", exitUsage, quick(t, "-sample", "mine.json")},
		{"-class-prompts takes the place of -template", exitUsage, quick(t, "-class-prompts", text, "-template", "a {}")},
		{"-seed and -seeds exclude each other", exitUsage, []string{"train", "-dataset", "few", "-seeds", "1,2", "-seed", "1"}},
		{"-resume is for single runs", exitUsage, []string{"train", "-dataset", "few", "-seeds", "1,2", "-resume"}},
		{"this command takes one number", exitUsage, []string{"verify", "-shots", "1,2", "x"}},
		{`method "emt" is not known`, exitUsage, []string{"train", "-dataset", "few", "-method", "coop,emt"}},
	} {
		if code, _, errw := cli(t, c.args...); code != c.code || !strings.Contains(errw, c.want) {
			t.Errorf("fewshot %s: exit code %d, %swant %d and %q", strings.Join(c.args, " "), code, errw, c.code, c.want)
		}
	}
}

// A plan is written over the same one, and over another one only by force.
func TestPlanOverPlan(t *testing.T) {
	path := filepath.Join(t.TempDir(), "plan.jsonl")
	must(t, quick(t, "-methods", "zero-shot", "-out", path)...)
	if code, _, errw := cli(t, "report", path); code != exitFailed || !strings.Contains(errw, "none of its runs is done (1 run in ") {
		t.Errorf("%d, %s", code, errw)
	}
	was := string(read(t, path))
	must(t, quick(t, "-methods", "zero-shot", "-out", path)...)
	cli(t, quick(t, "-methods", "gda", "-out", path)...)
	if string(read(t, path)) != was {
		t.Error("another plan was replaced")
	}
	// One that has all its runs, and more, goes on with it.
	must(t, quick(t, "-methods", "zero-shot,gda", "-out", path)...)
	if now := string(read(t, path)); now == was {
		t.Error("a plan with a method more is refused")
	}
	if must(t, quick(t, "-methods", "gda", "-out", path, "-force")...); string(read(t, path)) == was {
		t.Error("-force does not replace")
	}
}

// Lists of train: means over seeds, what differs pairwise, and single values as ever.
func TestTrainLists(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	args := []string{"train", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-shots", "2,4", "-seeds", "1,2", "-method", "tip-adapter,gda", "-passes", "1", "-zeroshot=false", "-out", dir}
	out := must(t, args...)
	for _, want := range []string{"few, 2 shots", "few, 4 shots", "±", "gda passes=1 less tip-adapter passes=1", "(4 pairs)", "fewshot collect " + filepath.Join(dir, run.PlanName)} {
		if !strings.Contains(out, want) {
			t.Errorf("%s\nlacks %q", out, want)
		}
	}
	r := last[manyResult](t, must(t, append(args, "-json")...))
	if r.Report != (plan.Report{Before: 8}) || len(r.Paired) != 1 || len(r.Paired[0].Pairs) != 4 || len(r.Table.Rows) != 2 {
		t.Errorf("%+v", r)
	}
	must(t, "collect", r.Plan)
	if code, _, errw := cli(t, append(args, "-beta-steps", "4")...); code != exitUsage || !strings.Contains(errw, "gda has no setting beta-steps") {
		t.Errorf("exit code %d, %s", code, errw)
	}
	was := string(read(t, r.Plan))
	if code, _, errw := cli(t, append(args, "-passes", "2")...); code != exitFailed || !strings.Contains(errw, "is another plan, of 8 runs; fewshot run "+r.Plan+" goes on with that one; give another -out") || string(read(t, r.Plan)) != was {
		t.Errorf("exit code %d, %s", code, errw)
	}
	// The folder is taken by whatever takes a plan, and what takes a run says what to name.
	for _, c := range []string{"collect", "report"} {
		must(t, c, dir)
	}
	if got := last[runResult](t, must(t, "run", dir, "-data", tinyData(t), "-json")).Report; got != (plan.Report{Before: 8}) {
		t.Errorf("%+v", got)
	}
	want := dir + " is no run but has a plan.jsonl of 8 runs: name one of the folders in " + r.Dir
	for _, c := range [][]string{{"verify", dir}, {"train", "-from", dir}, {"eval", "-tuned", dir, "-model", tiny(t), "-data", tinyData(t), "-dataset", "few"}} {
		if code, _, errw := cli(t, c...); code != exitFailed || !strings.Contains(errw, want) {
			t.Errorf("%v: %d, %s", c, code, errw)
		}
	}
	if code, _, errw := cli(t, "verify", r.Plan); code != exitFailed || !strings.Contains(errw, "is a plan of 8 runs, and no run: give the folder of one of its runs, which are in "+r.Dir) {
		t.Errorf("%d, %s", code, errw)
	}
	// One seed is one run, in a folder of its own.
	single := filepath.Join(t.TempDir(), "single")
	one := last[run.Result](t, must(t, "train", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-shots", "2", "-seeds", "2", "-method", "tip-adapter", "-passes", "1", "-zeroshot=false", "-out", single, "-json"))
	all, err := plan.Open(r.Plan, "")
	if err != nil {
		t.Fatal(err)
	}
	defer all.Close()
	i := slices.IndexFunc(ids(all), func(id string) bool {
		res, _, err := run.ReadResult(filepath.Join(r.Dir, id))
		return err == nil && res.FileSum == one.FileSum
	})
	if i < 0 || one.Seed != 2 {
		t.Errorf("seed %d; no run of the lists left the same file", one.Seed)
	}
}

func ids(p *plan.Plan) (all []string) {
	for i := range p.Len() {
		all = append(all, p.ID(i))
	}
	return all
}

// The number of an array's job says which runs it makes.
func TestShare(t *testing.T) {
	g := plan.Grid{Methods: []string{"coop"}, Models: []plan.Model{{Name: "m"}}, Data: []string{"dtd"}, Shots: []int{1}}
	for i := range 12 {
		g.Seeds = append(g.Seeds, uint64(i))
	}
	twelve, err := g.Plan()
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		env, shard string
		index      int
		want       string // of 12 runs
	}{
		{"", "", -1, "all"},
		{"SLURM_ARRAY_TASK_ID=3", "", 5, "5"}, // a flag wins
		{"SLURM_ARRAY_TASK_ID=3", "2/6", -1, "1 7"},
		{"SLURM_ARRAY_TASK_ID=3 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=4 SLURM_ARRAY_TASK_STEP=1 SLURM_ARRAY_TASK_COUNT=4", "", -1, "2 6 10"},
		{"SLURM_ARRAY_TASK_ID=9 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=9 SLURM_ARRAY_TASK_STEP=4 SLURM_ARRAY_TASK_COUNT=3", "", -1, "2 5 8 11"},
		{"SLURM_ARRAY_TASK_ID=5 SLURM_ARRAY_TASK_MIN=1 SLURM_ARRAY_TASK_MAX=9 SLURM_ARRAY_TASK_STEP=1 SLURM_ARRAY_TASK_COUNT=3", "", -1, "is not regular: 1 to 9 in steps of 1 are 9 jobs, and there are 3"},
		{"SLURM_ARRAY_TASK_ID=x", "", -1, `SLURM_ARRAY_TASK_ID="x" is no number`},
		{"SLURM_ARRAY_TASK_ID=3", "", -1, "3"},
		{"JOB_COMPLETION_INDEX=11", "", -1, "11"},
		{"JOB_COMPLETION_INDEX=12", "", -1, "JOB_COMPLETION_INDEX=12 is run 12, and the plan has runs 0 to 11"},
		{"SGE_TASK_ID=13", "", -1, "SGE_TASK_ID=13 is run 12, and the plan has runs 0 to 11"},
		{"", "", 12, "-index 12: the plan has runs 0 to 11"},
		{"JOB_COMPLETION_INDEX=2", "/5", -1, "2 7"},
		{"JOB_COMPLETION_INDEX=5", "/5", -1, "-shard /5: JOB_COMPLETION_INDEX says that this is share 6, and there are 5"},
		{"PBS_ARRAY_INDEX=0", "", -1, "0"},
		{"SGE_TASK_ID=1 SGE_TASK_FIRST=1 SGE_TASK_LAST=6 SGE_TASK_STEPSIZE=1", "", -1, "0 6"},
		{"SGE_TASK_ID=undefined SGE_TASK_FIRST=undefined", "", -1, "all"},
		{"AWS_BATCH_JOB_ARRAY_INDEX=1 AWS_BATCH_JOB_ARRAY_SIZE=4", "", -1, "1 5 9"},
		{"AWS_BATCH_JOB_ARRAY_INDEX=4 AWS_BATCH_JOB_ARRAY_SIZE=4", "", -1, "is beyond an array of 4"},
		{"PBS_ARRAY_INDEX=1 SLURM_ARRAY_TASK_ID=1", "", -1, "SLURM_ARRAY_TASK_ID and PBS_ARRAY_INDEX are all set"},
		{"AWS_BATCH_JOB_ARRAY_INDEX=4", "/4", -1, "-shard /4: AWS_BATCH_JOB_ARRAY_INDEX says that this is share 5, and there are 4"},
		{"", "/4", -1, "no array job says which share this is, as none of SLURM_ARRAY_TASK_ID, JOB_COMPLETION_INDEX, PBS_ARRAY_INDEX, SGE_TASK_ID, AWS_BATCH_JOB_ARRAY_INDEX is set"},
	} {
		env := map[string]string{}
		for _, v := range strings.Fields(c.env) {
			name, value, _ := strings.Cut(v, "=")
			env[name] = value
		}
		s := share{index: c.index, shard: c.shard}
		err := s.fromEnvironment(func(name string) (string, bool) { v, ok := env[name]; return v, ok })
		var chosen func(int) bool
		if err == nil {
			chosen, err = s.of(twelve)
		}
		got := "all"
		switch {
		case err != nil:
			got = err.Error()
		case chosen != nil:
			var all []string
			for i := range 12 {
				if chosen(i) {
					b, _ := json.Marshal(i)
					all = append(all, string(b))
				}
			}
			got = strings.Join(all, " ")
		}
		if got != c.want && (err == nil || !strings.Contains(got, c.want)) {
			t.Errorf("%s, -shard %q, -index %d: %s, want %s", c.env, c.shard, c.index, got, c.want)
		}
	}
}

// The folder of a plan's runs has one name in all commands, and the former one goes on.
func TestRunsFlag(t *testing.T) {
	for _, c := range []command{runCommand, collectCommand, reportCommand, tableCommand, planEmitCommand} {
		if c.flagSet(nil).Lookup("runs") == nil {
			t.Errorf("%s has no -runs", c.name)
		}
	}
	for _, c := range []command{runCommand, collectCommand, planEmitCommand} {
		if c.flagSet(nil).Lookup("out") == nil {
			t.Errorf("%s has no -out", c.name)
		}
	}
}

// Choices on validation images, prompts by class and the linear probe's draw are a plan's as they are train's, to the byte, and so do lists of
// train make them.
func TestPlanChooses(t *testing.T) {
	dir := t.TempDir()
	path, prompts := filepath.Join(dir, "plan.jsonl"), filepath.Join(dir, "prompts.json")
	of := map[string][]string{}
	ds, err := openDataset(t.Context(), tinyData(t), "few", datasets.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range ds.Classes {
		of[c] = []string{"a picture of " + c, c}
	}
	b, err := json.Marshal(of)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(prompts, b, 0o666); err != nil {
		t.Fatal(err)
	}
	common := []string{"-class-prompts", prompts, "-sample", "lpclip", "-shots", "1"} // of each class there is one validation image to draw
	must(t, quick(t, append(common, "-methods", "zero-shot,clip-adapter,tip-adapter", "-set", "clip-adapter:epochs=3", "-set", "clip-adapter:batch-size=2", "-set", "tip-adapter:passes=1", "-set", "tip-adapter:beta-steps=4",
		"-select", "clip-adapter:val", "-grid", "clip-adapter:lr=1e-3,1", "-test-classes", "base", "-out", path)...)...)
	must(t, "run", path, "-data", tinyData(t))
	p, err := plan.Open(path, version())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	for i, x := range p.All() {
		planned := filepath.Join(dir, "plan-runs", p.ID(i))
		if _, err := os.Stat(filepath.Join(planned, run.GridName)); err == nil || x.Method == "zero-shot" {
			if err == nil {
				t.Errorf("%s leaves its grid's folder", &x)
			}
			continue
		}
		settings := map[string][]string{"clip-adapter": {"-epochs", "3", "-batch-size", "2", "-select", "val", "-grid", "lr=1e-3,1"}, "tip-adapter": {"-passes", "1", "-beta-steps", "4"}}[x.Method]
		alone := filepath.Join(t.TempDir(), "run")
		args := []string{"train", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-method", x.Method, "-out", alone}
		must(t, slices.Concat(args, common, settings)...)
		if string(read(t, filepath.Join(alone, run.TunedName))) != string(read(t, filepath.Join(planned, run.TunedName))) {
			t.Errorf("%s: the plan leaves another file than train", &x)
		}
		a, _, errA := run.ReadResult(alone)
		b, _, errB := run.ReadResult(planned)
		if errA != nil || errB != nil || a.SpecHash != b.SpecHash || *a.Test != *b.Test || (a.Choice == nil) != (b.Choice == nil) || a.Choice != nil && (a.Choice.Epoch != b.Choice.Epoch || a.Choice.Settings["lr"] != b.Choice.Settings["lr"]) {
			t.Errorf("%s: %+v and %+v, %v, %v", &x, a, b, errA, errB)
		}
		must(t, "verify", planned, "-data", tinyData(t)) // its result says how
	}
	if out := must(t, "collect", path); !strings.Contains(out, "clip-adapter batch-size=2 epochs=3 lr=1e-3,1 on val") {
		t.Errorf("no choice in the name of its row:\n%s", out)
	}
	if err := os.WriteFile(prompts, append(b, '\n'), 0o666); err != nil {
		t.Fatal(err)
	}
	if code, _, errw := cli(t, "run", path, "-data", tinyData(t), "-runs", filepath.Join(dir, "changed")); code != exitFailed || !strings.Contains(errw, "the plan was made for the prompts of") {
		t.Errorf("changed prompts: exit code %d, %s", code, errw)
	}
	lists := must(t, "train", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-shots", "1", "-method", "clip-adapter", "-epochs", "2", "-batch-size", "2", "-seeds", "1,2", "-select", "val", "-sample", "lpclip", "-out", filepath.Join(dir, "lists"))
	if !strings.Contains(lists, "clip-adapter batch-size=2 epochs=2 epoch on val") {
		t.Errorf("lists with a choice:\n%s", lists)
	}
}

// A run whose folder holds something else is told of and passed over, by a dry run too; and a run that is not finished says by which plan it goes on.
func TestPlanInTheWay(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "plan.jsonl")
	must(t, quick(t, "-methods", "zero-shot,taskres", "-seeds", "1,2", "-set", "taskres:epochs=1", "-out", path)...)
	p, err := plan.Open(path, version())
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	folder := func(i int) string { return filepath.Join(dir, "plan-runs", p.ID(i)) }
	for _, i := range []int{0, 1} {
		if err := os.MkdirAll(folder(i), 0o777); err != nil {
			t.Fatal(err)
		}
	}
	file := filepath.Join(folder(0), run.ResultName)
	if i := p.Len() - 1; os.WriteFile(file, []byte("{"), 0o666) != nil || os.WriteFile(filepath.Join(folder(1), run.LockName), nil, 0o666) != nil || os.WriteFile(folder(i), nil, 0o666) != nil {
		t.Fatal("the folders cannot be prepared")
	}
	for _, args := range [][]string{{"info", folder(1)}, {"verify", folder(1)}} {
		if _, out, errw := cli(t, args...); !strings.Contains(out+errw, "fewshot run "+path+" goes on with it") {
			t.Errorf("%s: %s%s", args[0], out, errw)
		}
	}
	code, out, errw := cli(t, "run", path, "-data", tinyData(t), "-dry-run", "-json")
	if e := last[planEstimate](t, out); code != exitDone || e.Blocked != 2 || e.Runs != 3 || e.Done != 0 || strings.Count(errw+out, "would be passed over") != 2 {
		t.Errorf("a dry run: %+v, exit code %d, %s", e, code, errw)
	}
	code, out, errw = cli(t, "run", path, "-data", tinyData(t))
	if code != exitFailed || !strings.Contains(out, "1 made, 2 failed") || !strings.Contains(errw, "2 of 3 runs failed") {
		t.Errorf("run: exit code %d, %s%s", code, out, errw)
	}
}
