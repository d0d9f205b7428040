package emit

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"fewshot/nn/quote"
	"fewshot/nn/words"
)

// Work is what there is to do, where it lies on the cluster, and what a task of it may use.
type Work struct {
	Name    string   // of the job
	Program string   // path of this program
	Plan    string   // the plan's file
	Out     string   // folder of the results
	Args    []string // further flags of fewshot run
	// AnyVersion has run and collect take plans and results of other versions of the program.
	AnyVersion bool
	Runs       int    // in the plan
	Groups     int    // of runs, as one task makes them: a run and those that need it
	Tasks      int    // tasks that share the groups; 0 is one a group, or as many as the cluster takes at most
	Parallel   int    // tasks at a time; 0 is as many as there is room for
	CPUs       int    // processors of a task; 0 is what the cluster gives
	Memory     string // of a task, with a unit, as 16G; "" is what the cluster gives
	GPUs       int    // of a task
}

// memory is a whole number of bytes as people and both clusters write it. Without a unit it is megabytes to one and bytes to the other.
var memory = regexp.MustCompile(`^[1-9][0-9]{0,8}[MGT]$`)

// most bounds what is counted, beyond what any cluster has.
const most = 1000000

// check refuses what no cluster could run.
func (w *Work) check() error {
	for _, t := range []struct{ what, text string }{{"the plan", w.Plan}, {"the folder of results", w.Out}} {
		if t.text == "" {
			return fmt.Errorf("%s has no path", t.what)
		}
	}
	for _, t := range []struct{ what, text string }{{"the program", w.Program}, {"the plan", w.Plan}, {"the folder of results", w.Out}} {
		if strings.HasPrefix(t.text, "-") {
			return fmt.Errorf("%s %s would be taken for a flag; write ./%s", t.what, quote.String(t.text), t.text)
		}
		if err := oneLine(t.what, t.text); err != nil {
			return err
		}
	}
	if err := checkArgs(w.Args); err != nil {
		return err
	}
	switch {
	case w.Runs < 1:
		return fmt.Errorf("the plan has no runs")
	case w.Groups < 1 || w.Groups > w.Runs:
		panic(fmt.Sprintf("emit: %d groups of %d runs", w.Groups, w.Runs))
	case w.Tasks < 0 || w.Tasks > w.Groups:
		return fmt.Errorf("%d tasks for %s, which can be made by %d at most; 0 is as many as there can be", w.Tasks, words.Count(w.Runs, "run"), w.Groups)
	case w.Parallel < 0 || w.Parallel > most:
		return fmt.Errorf("%d tasks at a time: from 1 to %d, or 0 for as many as there is room for", w.Parallel, most)
	case w.CPUs < 0 || w.CPUs > most:
		return fmt.Errorf("%d processors: from 1 to %d, or 0 for what the cluster gives", w.CPUs, most)
	case w.GPUs < 0 || w.GPUs > most:
		return fmt.Errorf("%d GPUs: from 0 to %d", w.GPUs, most)
	case w.Memory != "" && !memory.MatchString(w.Memory):
		return fmt.Errorf("memory %s: a whole number with a unit, M, G or T, as 16G", quote.String(w.Memory))
	}
	return nil
}

// flags are what run and collect are both given.
func (w *Work) flags() []string {
	all := []string{w.Plan, "-runs", w.Out}
	if w.AnyVersion {
		all = append(all, "-any-version")
	}
	return all
}

// checkArgs refuses further flags of fewshot run that the files written here give it.
func checkArgs(args []string) error {
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		return fmt.Errorf("%s is no flag of fewshot run, which has one plan", quote.String(args[0]))
	}
	for _, a := range args {
		if err := oneLine("the argument", a); err != nil {
			return err
		}
		name, dashed := strings.CutPrefix(a, "-")
		name, _, _ = strings.Cut(strings.TrimPrefix(name, "-"), "=")
		if dashed && slices.Contains([]string{"runs", "out", "index", "shard", "requeue"}, name) {
			return fmt.Errorf("-%s is given to fewshot run already", name)
		}
	}
	return nil
}

// size is how many tasks there are, of so many at most, and whether each is one run: otherwise it is a share of them.
func (w *Work) size(bound int) (n int, single bool, err error) {
	if n = w.Tasks; n == 0 {
		n = min(w.Groups, bound)
	}
	if n > bound {
		return 0, false, fmt.Errorf("%d tasks: at most %d in one array", n, bound)
	}
	return n, n == w.Runs, nil
}

// about says in words what there is to do.
func (w *Work) about(n int) string {
	if n == w.Runs {
		return fmt.Sprintf("%s of %s, each a task", words.Count(n, "run"), base(w.Plan))
	}
	return fmt.Sprintf("%s of %s in %s", words.Count(w.Runs, "run"), base(w.Plan), words.Count(n, "task"))
}

// base is the last part of a path, as comments show it.
func base(p string) string { return path.Base(p) }

// oneLine refuses text that cannot stand in one line of a file.
func oneLine(what, text string) error {
	odd := func(r rune) bool { return unicode.IsControl(r) || r == '\u2028' || r == '\u2029' }
	if !utf8.ValidString(text) || strings.ContainsFunc(text, odd) {
		return fmt.Errorf("%s %s has a character that cannot stand in a line of a script", what, quote.String(text))
	}
	return nil
}
