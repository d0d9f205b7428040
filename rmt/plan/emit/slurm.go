package emit

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"fewshot/nn/quote"
)

// Slurm is work as an array of Slurm's.
type Slurm struct {
	Work
	Partition string
	Account   string
	Time      string   // limit of a task, as Slurm writes it: 90 (minutes), 1:30:00, 1-12; "" is the partition's
	Lead      int      // seconds before the limit at which a task is told to save
	MaxArray  int      // the cluster's MaxArraySize: numbers of tasks are below it; 0 is Slurm's default
	Options   []string // further options of sbatch, as --gres=gpu:1
	Setup     []string // lines of shell before the program, as module load cuda
}

const (
	defaultMaxArray = 1001 // slurm.conf(5), MaxArraySize
	mostArray       = 4000001
	mostLead        = 65535 // sbatch(1), --signal
	// lookEvery is how often Slurm compares jobs with their limits. So the signal comes up to a minute early.
	lookEvery = 60
	// collectTime is the limit of the job that collects, which only reads results, in minutes.
	collectTime = 30
)

// ours are options of sbatch that the script sets itself, and depends on.
var ours = []string{"array", "a", "output", "o", "error", "e", "open-mode", "requeue", "no-requeue", "signal", "dependency", "d", "wrap", "parsable",
	"job-name", "J", "time", "t", "partition", "p", "account", "A", "cpus-per-task", "c", "mem", "chdir", "D", "test-only", "wait", "W", "ntasks", "n", "nodes", "N"}

// nameChars are what a job may be called: squeue's columns, and patterns in names of files, stay whole.
var nameChars = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]*$`)

// Script is a script for bash that puts the array into the queue, and behind it what collects; and it is the array's own script.
//
// Its last line makes the program the job's own process: a shell that waits for it would neither hand on signals nor, when told to end,
// its exit code. Slurm tells it by SIGUSR1 that the limit is near; then it saves and puts itself back into the queue. What is put back
// goes on in the same log.
func (s *Slurm) Script() ([]byte, error) {
	if err := s.check(); err != nil {
		return nil, err
	}
	bound := s.MaxArray
	if bound == 0 {
		bound = defaultMaxArray
	}
	n, single, err := s.size(bound)
	if err != nil {
		return nil, fmt.Errorf("%w; scontrol show config | grep MaxArraySize shows the cluster's own bound", err)
	}
	var b strings.Builder
	logs := s.Out + "/slurm"
	fmt.Fprintf(&b, "#!/bin/bash\n# %s, for Slurm.\n#\n#\tbash THIS_FILE\n#\n", s.about(n))
	b.WriteString("# puts the runs into the queue, and behind them a job that collects their results.\n#\n")
	array := fmt.Sprintf("0-%d", n-1)
	if s.Parallel > 0 {
		array += fmt.Sprintf("%%%d", s.Parallel)
	}
	set := func(option, value string) { fmt.Fprintf(&b, "#SBATCH --%s=%s\n", option, directive(value)) }
	set("job-name", s.Name)
	set("array", array)
	set("output", pattern(logs)+"/%A_%a.log")
	b.WriteString("#SBATCH --open-mode=append\n#SBATCH --requeue\n")
	set("signal", fmt.Sprintf("B:USR1@%d", s.Lead))
	s.place(&b, s.Time)
	b.WriteString("#SBATCH --nodes=1\n#SBATCH --ntasks=1\n")
	if s.CPUs > 0 {
		set("cpus-per-task", strconv.Itoa(s.CPUs))
	}
	if s.Memory != "" {
		set("mem", s.Memory)
	}
	if s.GPUs > 0 {
		set("gres", fmt.Sprintf("gpu:%d", s.GPUs))
	}
	for _, o := range s.Options {
		fmt.Fprintf(&b, "#SBATCH %s\n", o)
	}
	s.submit(&b, logs)
	for _, l := range s.Setup {
		fmt.Fprintln(&b, l)
	}
	if s.CPUs > 0 {
		fmt.Fprintf(&b, "export GOMAXPROCS=%d\n", s.CPUs)
	}
	part := fmt.Sprintf(`-shard "$((SLURM_ARRAY_TASK_ID + 1))/%d"`, n)
	if single {
		part = `-index "$SLURM_ARRAY_TASK_ID"`
	}
	words := slices.Concat([]string{s.Program, "run"}, s.flags(), s.Args)
	fmt.Fprintf(&b, "exec %s %s -requeue\n", quote.Shell(words...), part)
	return []byte(b.String()), nil
}

// place is where a job may run, and how long.
func (s *Slurm) place(b *strings.Builder, limit string) {
	for _, o := range []struct{ name, value string }{{"partition", s.Partition}, {"account", s.Account}, {"time", limit}} {
		if o.value != "" {
			fmt.Fprintf(b, "#SBATCH --%s=%s\n", o.name, directive(o.value))
		}
	}
}

// submit is the part of the script that runs outside of the array. What collects waits for the end of all tasks, and not for their
// success: of an array in which one task ended badly, was put back and ended well, Slurm never says that it succeeded.
func (s *Slurm) submit(b *strings.Builder, logs string) {
	fmt.Fprintf(b, `
if [ -z "$SLURM_ARRAY_TASK_ID" ]; then
	set -e
	mkdir -p %s
	array=$(sbatch --parsable "$0")
	array=${array%%%%;*}
	collect=$(sbatch --parsable --dependency="afterany:$array" <<'COLLECT'
#!/bin/bash
`, quote.Shell(logs))
	fmt.Fprintf(b, "#SBATCH --job-name=%s\n#SBATCH --output=%s\n", directive(s.Name+"-collect"), directive(pattern(logs)+"/collect-%j.log"))
	s.place(b, strconv.Itoa(collectTime))
	for _, o := range s.Options {
		if !slices.ContainsFunc([]string{"--gres", "--gpu", "-G"}, func(gpu string) bool { return strings.HasPrefix(o, gpu) }) {
			fmt.Fprintf(b, "#SBATCH %s\n", o)
		}
	}
	for _, l := range s.Setup {
		fmt.Fprintln(b, l)
	}
	fmt.Fprintf(b, `exec %s
COLLECT
	)
	echo "array $array, collected by job ${collect%%%%;*}; logs are in "%s
	exit
fi

`, quote.Shell(slices.Concat([]string{s.Program, "collect"}, s.flags())...), quote.Shell(logs))
}

func (s *Slurm) check() error {
	if err := s.Work.check(); err != nil {
		return err
	}
	if s.Program == "" {
		return fmt.Errorf("the program has no path")
	}
	if strings.Contains(s.Out, `\`) {
		return fmt.Errorf(`the folder of results %s has a \ in its name; with one, Slurm would write the logs of all tasks into one file`, quote.String(s.Out))
	}
	if !nameChars.MatchString(s.Name) {
		return fmt.Errorf("name %s: letters, digits, and - _ . between them", quote.String(s.Name))
	}
	for _, t := range []struct{ what, text string }{{"partition", s.Partition}, {"account", s.Account}} {
		if strings.ContainsAny(t.text, " \t\"'\\#") {
			return fmt.Errorf("%s %s: names of Slurm have no blanks and no quotation marks", t.what, quote.String(t.text))
		}
		if err := oneLine(t.what, t.text); err != nil {
			return err
		}
	}
	if s.MaxArray < 0 || s.MaxArray > mostArray {
		return fmt.Errorf("an array of %d: MaxArraySize is from 1 to %d, or 0 for Slurm's default, %d", s.MaxArray, mostArray, defaultMaxArray)
	}
	if s.Lead < 1 || s.Lead > mostLead {
		return fmt.Errorf("a signal %d seconds before the limit: from 1 to %d", s.Lead, mostLead)
	}
	if s.Time != "" {
		limit, err := seconds(s.Time)
		if err != nil {
			return err
		}
		if limit <= s.Lead+lookEvery {
			return fmt.Errorf("a limit of %s leaves nothing between the start and the signal to save, %d s before it and up to a minute early", s.Time, s.Lead)
		}
	}
	for _, o := range s.Options {
		if err := checkOption(o); err != nil {
			return err
		}
	}
	for _, l := range s.Setup {
		if err := oneLine("the line", l); err != nil {
			return err
		}
		if l == "COLLECT" {
			return fmt.Errorf("the line COLLECT ends a part of the script")
		}
	}
	return nil
}

// checkOption refuses what is no option, and what would take the script's own away.
func checkOption(o string) error {
	if err := oneLine("the option", o); err != nil {
		return err
	}
	name, dashed := strings.CutPrefix(o, "-")
	name, long := strings.CutPrefix(name, "-")
	if name, _, _ = strings.Cut(name, "="); !long && len(name) > 1 {
		name = name[:1] // -n4 is -n 4
	}
	name, _, _ = strings.Cut(name, " ")
	switch {
	case !dashed || name == "":
		return fmt.Errorf("%s is no option of sbatch; write it with its dashes, as --gres=gpu:1", quote.String(o))
	case strings.Contains(o, " -"):
		return fmt.Errorf("%s: one option at a time", quote.String(o))
	case slices.Contains(ours, name):
		return fmt.Errorf("%s: the script sets this itself", quote.String(o))
	}
	return nil
}

// limits are the ways in which Slurm writes a time.
var limits = []struct {
	form  *regexp.Regexp
	units []int // seconds of each group
}{
	{regexp.MustCompile(`^(\d{1,8})$`), []int{60}},
	{regexp.MustCompile(`^(\d{1,8}):(\d\d)$`), []int{60, 1}},
	{regexp.MustCompile(`^(\d{1,6}):(\d\d):(\d\d)$`), []int{3600, 60, 1}},
	{regexp.MustCompile(`^(\d{1,4})-(\d{1,2})$`), []int{86400, 3600}},
	{regexp.MustCompile(`^(\d{1,4})-(\d{1,2}):(\d\d)$`), []int{86400, 3600, 60}},
	{regexp.MustCompile(`^(\d{1,4})-(\d{1,2}):(\d\d):(\d\d)$`), []int{86400, 3600, 60, 1}},
}

// seconds is a time as Slurm writes it.
func seconds(limit string) (n int, err error) {
	for _, l := range limits {
		if m := l.form.FindStringSubmatch(limit); m != nil {
			for i, unit := range l.units {
				k, _ := strconv.Atoi(m[i+1]) // few digits
				n += k * unit
			}
			return n, nil
		}
	}
	return 0, fmt.Errorf("time %s: minutes, as 90, or as 1:30:00 or 1-12:00:00", quote.String(limit))
}

// directive is a value of an #SBATCH line, which sbatch splits at blanks unless they are quoted.
func directive(v string) string {
	if !strings.ContainsAny(v, " \"'\\#") {
		return v
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(v) + `"`
}

// pattern is a path in the name of a log, where % begins what Slurm replaces.
func pattern(p string) string { return strings.ReplaceAll(p, "%", "%%") }
