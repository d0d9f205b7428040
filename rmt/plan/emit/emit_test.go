package emit

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the golden files anew")

// golden compares a text with a file of testdata.
func golden(t *testing.T, name string, got []byte, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, got, 0o666); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(got) != string(want) {
		t.Errorf("%s: got\n%s\nwant\n%s", name, got, want)
	}
}

// refused checks that an error is there and says what it should.
func refused(t *testing.T, what string, err error, want string) {
	t.Helper()
	switch {
	case want == "" && err != nil:
		t.Errorf("%s: refused: %v", what, err)
	case want != "" && err == nil:
		t.Errorf("%s: taken; want an error with %q", what, want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("%s: %v; want an error with %q", what, err, want)
	}
}

func plainSlurm() Slurm {
	return Slurm{Work: Work{Name: "fewshot", Program: "/opt/fewshot", Plan: "plan.jsonl", Out: "results", Runs: 6, Groups: 6}, Lead: 120}
}

func plainKubernetes() Kubernetes {
	return Kubernetes{Work: Work{Name: "fewshot", Plan: "/work/plan.jsonl", Out: "/work/results", Runs: 6, Groups: 6}, Image: "registry.example/fewshot:1.0",
		Volumes: []Volume{{Claim: "work", Path: "/work"}}, Retries: 1, Grace: 120}
}

func TestSlurmPlain(t *testing.T) {
	s := plainSlurm()
	b, err := s.Script()
	golden(t, "plain.slurm", b, err)
}

func TestSlurmFull(t *testing.T) {
	s := Slurm{Work: Work{Name: "table-1", Program: `/opt/my programs/few"shot`, Plan: "it's a $plan.jsonl", Out: `/scratch/100% "mine"`,
		Args: []string{"-data", "/data/sets of images", "-device", "cuda:0"}, Runs: 5000, Groups: 5000, Parallel: 20, CPUs: 8, Memory: "32G", GPUs: 1},
		Partition: "gpu", Account: "vision", Time: "1-12", Lead: 300, Options: []string{"--qos=long", "--gres-flags=enforce-binding", `--comment="a #1"`},
		Setup: []string{"module load cuda", `export HF_HOME="/scratch/models"`}}
	b, err := s.Script()
	golden(t, "full.slurm", b, err)
}

func TestKubernetesPlain(t *testing.T) {
	k := plainKubernetes()
	b, err := k.Manifest()
	golden(t, "plain.yaml", b, err)
}

func TestKubernetesFull(t *testing.T) {
	k := Kubernetes{Work: Work{Name: "table-1", Program: "/fewshot", Plan: "/plans/it's a $(plan) \"1\".jsonl", Out: "/results/no", Runs: 5000, Groups: 3000, Tasks: 40, Parallel: 10,
		Args: []string{"-data", "/data", "-device", "cuda:0"}, CPUs: 8, Memory: "32G", GPUs: 1},
		Image: "registry.example/fewshot@sha256:0123", User: "010:1000", Retries: 3, Grace: 600, Env: []string{"HF_HOME=/models", "ON=yes", "PRICE=$5"},
		Volumes: []Volume{{"plans", "/plans", true}, {"results.v1", "/results", false}, {"data", "/data", true}, {"models", "/models", false}}}
	b, err := k.Manifest()
	golden(t, "full.yaml", b, err)
}

// Arrays are as long as the cluster takes them, and share the runs where there are more.
func TestTasks(t *testing.T) {
	for _, c := range []struct {
		runs, tasks, max int
		array, part      string
		err              string
	}{
		{1, 0, 0, "0-0", `-index "$SLURM_ARRAY_TASK_ID" `, ""},
		{1001, 0, 0, "0-1000", `-index "$SLURM_ARRAY_TASK_ID" `, ""},
		{1002, 0, 0, "0-1000", `-shard "$((SLURM_ARRAY_TASK_ID + 1))/1001" `, ""},
		{1002, 0, 5001, "0-1001", `-index "$SLURM_ARRAY_TASK_ID" `, ""},
		{20, 5, 0, "0-4", `-shard "$((SLURM_ARRAY_TASK_ID + 1))/5" `, ""},
		{20, 20, 0, "0-19", `-index "$SLURM_ARRAY_TASK_ID" `, ""},
		{20, 1, 0, "0-0", `-shard "$((SLURM_ARRAY_TASK_ID + 1))/1" `, ""},
		{20, 21, 0, "", "", "21 tasks for 20 runs"},
		{20, -1, 0, "", "", "-1 tasks"},
		{2000, 1002, 0, "", "", "MaxArraySize"},
		{0, 0, 0, "", "", "no runs"},
		{20, 0, -1, "", "", "an array of -1"},
		{20, 0, 4000002, "", "", "an array of 4000002"},
	} {
		s := plainSlurm()
		s.Runs, s.Groups, s.Tasks, s.MaxArray = c.runs, c.runs, c.tasks, c.max
		b, err := s.Script()
		refused(t, c.array, err, c.err)
		if err == nil && (!strings.Contains(string(b), "--array="+c.array+"\n") || !strings.Contains(string(b), c.part)) {
			t.Errorf("%d runs, %d tasks, %d at most: want --array=%s and %s in\n%s", c.runs, c.tasks, c.max, c.array, c.part, b)
		}
	}
	s := plainSlurm()
	s.Runs, s.Groups = 20, 8 // whoever needs another's mask is in one task with it
	if b, err := s.Script(); err != nil || !strings.Contains(string(b), "--array=0-7\n") || !strings.Contains(string(b), `-shard "$((SLURM_ARRAY_TASK_ID + 1))/8" `) {
		t.Errorf("8 groups: %v\n%s", err, b)
	}
	s.Tasks = 9
	_, err := s.Script()
	refused(t, "more tasks than groups", err, "by 8 at most")
	for runs, want := range map[int]string{100000: "$(JOB_COMPLETION_INDEX)\"\n", 100001: "\"/100000\"\n"} {
		k := plainKubernetes()
		k.Runs, k.Groups = runs, runs
		b, err := k.Manifest()
		if err != nil || !strings.Contains(string(b), want) || !strings.Contains(string(b), "completions: 100000\n") {
			t.Errorf("%d runs: %v, want %q", runs, err, want)
		}
	}
}

func TestSlurmRefuses(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*Slurm)
		want   string
	}{
		{"a blank in a name", func(s *Slurm) { s.Name = "my runs" }, "letters, digits"},
		{"a pattern in a name", func(s *Slurm) { s.Name = "a%j" }, "letters, digits"},
		{"no program", func(s *Slurm) { s.Program = "" }, "program has no path"},
		{"no plan", func(s *Slurm) { s.Plan = "" }, "plan has no path"},
		{"a plan like a flag", func(s *Slurm) { s.Plan = "-plan" }, "./-plan"},
		{"a line break", func(s *Slurm) { s.Plan = "a\nb" }, "cannot stand in a line"},
		{"no text", func(s *Slurm) { s.Out = "a\xff" }, "cannot stand in a line"},
		{"a backslash", func(s *Slurm) { s.Out = `a\b` }, "all tasks into one file"},
		{"a positional argument", func(s *Slurm) { s.Args = []string{"other.jsonl"} }, "one plan"},
		{"an index", func(s *Slurm) { s.Args = []string{"-device", "cpu", "--index=3"} }, "-index is given"},
		{"an output", func(s *Slurm) { s.Args = []string{"-out", "x"} }, "-out is given"},
		{"memory without a unit", func(s *Slurm) { s.Memory = "16" }, "with a unit"},
		{"memory of nothing", func(s *Slurm) { s.Memory = "0G" }, "with a unit"},
		{"memory in small letters", func(s *Slurm) { s.Memory = "16g" }, "with a unit"},
		{"processors", func(s *Slurm) { s.CPUs = -1 }, "-1 processors"},
		{"GPUs", func(s *Slurm) { s.GPUs = -1 }, "-1 GPUs"},
		{"tasks at a time", func(s *Slurm) { s.Parallel = -1 }, "-1 tasks at a time"},
		{"a partition of two words", func(s *Slurm) { s.Partition = "a b" }, "names of Slurm"},
		{"an account of two lines", func(s *Slurm) { s.Account = "a\n#SBATCH --uid=0" }, "names of Slurm"},
		{"no lead", func(s *Slurm) { s.Lead = 0 }, "from 1 to 65535"},
		{"a long lead", func(s *Slurm) { s.Lead = 65536 }, "from 1 to 65535"},
		{"a lead of all the time", func(s *Slurm) { s.Time, s.Lead = "3", 120 }, "leaves nothing"},
		{"a lead of nearly all the time", func(s *Slurm) { s.Time, s.Lead = "3:01", 120 }, ""},
		{"a time in words", func(s *Slurm) { s.Time = "2h" }, "as 90"},
		{"a time of many digits", func(s *Slurm) { s.Time = "123456789" }, "as 90"},
		{"no option", func(s *Slurm) { s.Options = []string{"gres=gpu:1"} }, "with its dashes"},
		{"a dash", func(s *Slurm) { s.Options = []string{"--"} }, "with its dashes"},
		{"an option of ours", func(s *Slurm) { s.Options = []string{"--array=1-3"} }, "sets this itself"},
		{"a short option of ours", func(s *Slurm) { s.Options = []string{"-N2"} }, "sets this itself"},
		{"an option of ours with a blank", func(s *Slurm) { s.Options = []string{"--no-requeue x"} }, "sets this itself"},
		{"two options", func(s *Slurm) { s.Options = []string{"--qos=a --array=3"} }, "one option at a time"},
		{"a short option", func(s *Slurm) { s.Options = []string{"-qlong"} }, ""},
		{"the end of a part", func(s *Slurm) { s.Setup = []string{"COLLECT"} }, "ends a part"},
		{"two lines", func(s *Slurm) { s.Setup = []string{"a\nb"} }, "cannot stand in a line"},
	} {
		s := plainSlurm()
		c.change(&s)
		_, err := s.Script()
		refused(t, c.what, err, c.want)
	}
}

func TestKubernetesRefuses(t *testing.T) {
	for _, c := range []struct {
		what   string
		change func(*Kubernetes)
		want   string
	}{
		{"a dot in a name", func(k *Kubernetes) { k.Name = "table.1" }, "small letters"},
		{"a capital in a name", func(k *Kubernetes) { k.Name = "Table" }, "small letters"},
		{"an underscore in a name", func(k *Kubernetes) { k.Name = "a_b" }, "small letters"},
		{"a dash at the end", func(k *Kubernetes) { k.Name = "a-" }, "small letters"},
		{"a long name", func(k *Kubernetes) { k.Name = strings.Repeat("a", 62) }, "a pod's has 63"},
		{"a name that just fits", func(k *Kubernetes) { k.Name = strings.Repeat("a", 61) }, ""},
		{"a name that just does not fit more tasks", func(k *Kubernetes) { k.Name, k.Runs, k.Groups = strings.Repeat("a", 61), 11, 11 }, "with -10 behind it"},
		{"no image", func(k *Kubernetes) { k.Image = "" }, "container image"},
		{"an image with a blank", func(k *Kubernetes) { k.Image = "a b" }, "container image"},
		{"a plan with no folder to begin at", func(k *Kubernetes) { k.Plan = "plan.jsonl" }, "from / on"},
		{"a plan in no volume", func(k *Kubernetes) { k.Plan = "/workplan.jsonl" }, "lies in no volume"},
		{"results in no volume", func(k *Kubernetes) { k.Out = "/work/../results" }, "lies in no volume"},
		{"results where nothing is written", func(k *Kubernetes) { k.Volumes = append(k.Volumes, Volume{"b", "/work/results", true}) }, "only read"},
		{"two volumes at one place", func(k *Kubernetes) { k.Volumes = append(k.Volumes, Volume{"b", "/work", true}) }, "two volumes"},
		{"a user by name", func(k *Kubernetes) { k.User = "root" }, "numbers"},
		{"an environment without a value", func(k *Kubernetes) { k.Env = []string{"HF_HOME"} }, "NAME=VALUE"},
		{"an environment without a name", func(k *Kubernetes) { k.Env = []string{"1=2"} }, "NAME=VALUE"},
		{"a value of two lines", func(k *Kubernetes) { k.Env = []string{"A=b\nc"} }, "cannot stand in a line"},
		{"tries", func(k *Kubernetes) { k.Retries = -1 }, "-1 further tries"},
		{"no time to save", func(k *Kubernetes) { k.Grace = 0 }, "from 1"},
		{"many tasks", func(k *Kubernetes) { k.Runs, k.Groups, k.Tasks = 200000, 200000, 100001 }, "at most 100000"},
	} {
		k := plainKubernetes()
		c.change(&k)
		_, err := k.Manifest()
		refused(t, c.what, err, c.want)
	}
}

func TestParseVolume(t *testing.T) {
	for s, want := range map[string]string{
		"results:/results": "", "a.b-c:/x/y:ro": "", "a:/x:rw": "",
		"results": "name of a claim", "results:": "folder's path", "a:/x:r": "name of a claim", "A:/x": "small letters", "a:x": "folder's path",
		"a:/": "folder's path", "a:/x/": "folder's path", "a:/x/../y": "folder's path", ":/x": "small letters", "a:/x\ny": "cannot stand in a line",
	} {
		v, err := ParseVolume(s)
		refused(t, s, err, want)
		if err == nil && v.ReadOnly != strings.HasSuffix(s, ":ro") {
			t.Errorf("%s: %+v", s, v)
		}
	}
}
