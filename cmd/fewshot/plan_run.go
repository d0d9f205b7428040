package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"fewshot/datasets"
	"fewshot/nn/words"
	"fewshot/rmt/clip"
	"fewshot/rmt/plan"
	"fewshot/rmt/run"
	"fewshot/tensor"
)

var runCommand = command{
	example: "fewshot run plan.jsonl -data DATA\nfewshot run plan.jsonl -shard 2/8",
	name:    "run", args: "PLAN", summary: "make the runs of a plan",
	about: `Makes the runs of a plan, each in the folder of its id: all, one (-index, from 0), or a share (-shard), which has a run together
with those that are trained under its mask. In an array job of Slurm, PBS, Grid Engine, AWS Batch or Kubernetes the number comes
from the environment. What is done is skipped, what is half done goes on, what fails is reported and passed over. SIGTERM and
SIGUSR1 save the run at hand.
Exit code 0: all done. 1: some failed. 75: run it again, there is more to do: it was told to end, or waits for other processes.`,
	setup: setupRun,
}

// runFlags are how a plan is executed.
type runFlags struct {
	device deviceFlags
	loader loaderFlags
	micro  microBatch
	model  modelFlags // offline and vocab
	root   string
	out    string
	every  time.Duration
	shared int64 // MiB
	any    bool
	share  share
	dry    bool
	log    logdir
	// requeue puts a task of Slurm back into the queue that is not done.
	requeue bool
}

func (f *runFlags) declare(fs *flag.FlagSet) {
	fs.StringVar(&f.root, "data", "data", "`root` folder of the data sets, in CoOp's layout")
	f.model.declareOffline(fs)
	fs.StringVar(&f.model.Vocab, "vocab", "", "BPE vocabulary `file` (default: found beside the model)")
	f.micro.declare(fs)
	f.device.declare(fs)
	f.loader.declare(fs)
	declareRuns(fs, &f.out, "`folder` of the runs' folders (default: that of the plan's name, without .jsonl, and -runs)")
	fs.DurationVar(&f.every, "save-every", 2*time.Minute, "how often to write a checkpoint to resume from")
	f.declareShared(fs)
	fs.BoolVar(&f.any, "any-version", false, "take plans and results of other versions of this program as they are")
}

// whyFailed is where the reasons of failures are. A result of another version is told of and left alone, without a file.
const whyFailed = "the warnings say why, and " + plan.FailedName + " in the folder of each that was begun"

// defaultShared is room for 64 passes over ImageNet's sample of 16 shots by ViT-B/16, and for thousands over small ones.
const defaultShared = 2048

func (f *runFlags) declareShared(fs *flag.FlagSet) {
	fs.Int64Var(&f.shared, "shared", defaultShared, "room in temporary files for features that runs have in common, in MiB: those of images as they are, and those of a sample, so much each; 0 for none")
}

// declareRuns declares the flag for the folder of a plan's runs. It is -runs in all commands; -out is the name that it had in some.
func declareRuns(fs *flag.FlagSet, dir *string, usage string) {
	fs.StringVar(dir, "runs", "", usage)
	fs.StringVar(dir, "out", "", "the same `folder`, by the flag's former name")
}

func setupRun(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var f runFlags
	f.declare(fs)
	f.share.declare(fs)
	fs.BoolVar(&f.dry, "dry-run", false, "make nothing: say how many runs are done, and about how long the others take here")
	f.log.declare(fs)
	fs.BoolVar(&f.requeue, "requeue", false, "in a job of Slurm: at SIGUSR1, or where there is more to do, go back into the queue; a job that got no further does not")
	return func(ctx context.Context, u *ui, args []string) error {
		if len(args) != 1 {
			return usagef("give one plan, not %d", len(args))
		}
		if err := f.loader.validate(); err != nil {
			return err
		}
		if err := f.share.fromEnvironment(os.LookupEnv); err != nil {
			return err
		}
		return f.run(ctx, u, planIn(args[0]))
	}
}

// again says that a plan is not finished, and is to be run again.
type again struct{ msg string }

func (a again) Error() string { return a.msg }

func isAgain(err error) bool {
	var a again
	return errors.As(err, &a)
}

// planIn is the plan that a path names: the file, or that in the folder that train makes of lists.
func planIn(path string) string {
	if file := filepath.Join(path, run.PlanName); exists(file) && !exists(filepath.Join(path, run.ResultName)) {
		return file
	}
	return path
}

// runsFolder is where a plan's runs are, unless somebody says otherwise.
func runsFolder(out, path string) string {
	if out != "" {
		return out
	}
	return strings.TrimSuffix(path, filepath.Ext(path)) + "-runs"
}

// planVersion is the version of the program that plans and results have to be of; "" for any, which -any-version asks for.
func planVersion(anyVersion bool) string {
	if anyVersion {
		return ""
	}
	return version()
}

// runEvent is a line of -json, one a run.
type runEvent struct {
	Kind     string     `json:"kind"`
	Index    int        `json:"index"`
	ID       string     `json:"id"`
	State    plan.State `json:"state"`
	Accuracy *float64   `json:"accuracy,omitempty"`
	Problem  string     `json:"problem,omitempty"`
}

// runResult is the last line of -json.
type runResult struct {
	Kind string `json:"kind"`
	Dir  string `json:"dir"`
	plan.Report
}

func (f *runFlags) run(ctx context.Context, u *ui, path string) error {
	p, err := plan.Open(path, planVersion(f.any))
	if err != nil {
		return err
	}
	defer p.Close()
	chosen, err := f.share.of(p)
	if err != nil {
		return err
	}
	task := slurmTask(os.Getenv)
	if f.requeue && task == "" {
		return usagef("-requeue is for jobs of Slurm, and SLURM_JOB_ID is not set")
	}
	dir := runsFolder(f.out, path)
	if f.dry {
		return f.estimate(ctx, u, p, dir, chosen)
	}
	before := ""
	if f.requeue {
		before = footprint(p, dir, chosen)
	}
	report, err := f.execute(ctx, u, p, dir, chosen)
	if s := receivedBy(ctx); err != nil && (s == syscall.SIGTERM || slices.Contains(batchSignals, s)) {
		told := fmt.Sprintf("told to end by %v: what is begun is saved", s)
		switch {
		case !f.requeue || s == syscall.SIGTERM:
			return again{told + "; run it again to go on"}
		case footprint(p, dir, chosen) == before:
			return again{fmt.Sprintf("told to end by %v before anything could be saved: in that time it would never get on, and it does not go back into the queue", s)}
		}
		return putBack(task, told)
	}
	if err != nil {
		return err
	}
	if err := u.result(runResult{"result", dir, report}, func(w io.Writer) {
		fmt.Fprintf(w, "%s: %s done, %d made, %d failed, %s for others, %s in other processes' hands\n", dir, words.Plural(report.Before, "run was", "runs were"), report.Made, report.Failed,
			words.Plural(report.Waiting, "waits", "wait"), words.Plural(report.Busy, "is", "are"))
	}); err != nil {
		return err
	}
	switch {
	case report.Unfinished() > 0 && f.requeue:
		return putBack(task, fmt.Sprintf("%s for what other processes make", words.Plural(report.Unfinished(), "run waits", "runs wait")))
	case report.Unfinished() > 0:
		return again{fmt.Sprintf("%s for what other processes make; run it again", words.Plural(report.Unfinished(), "run waits", "runs wait"))}
	case report.Failed > 0:
		return fmt.Errorf("%d of %s failed; %s", report.Failed, words.Count(report.Failed+report.Made+report.Before, "run"), whyFailed)
	}
	return nil
}

// execute makes the runs that are chosen; nil chooses all.
func (f *runFlags) execute(ctx context.Context, u *ui, p *plan.Plan, dir string, chosen func(int) bool) (plan.Report, error) {
	if err := f.loader.validate(); err != nil {
		return plan.Report{}, err
	}
	if f.every < 0 {
		return plan.Report{}, usagef("-save-every %v: a time cannot be negative", f.every)
	}
	if f.shared < 0 || f.shared > run.MaxCacheMiB {
		return plan.Report{}, usagef("-shared %d: MiB of files, 0 to %d", f.shared, run.MaxCacheMiB)
	}
	dev, err := f.device.open()
	if err != nil {
		return plan.Report{}, err
	}
	defer dev.Close()
	total := p.Len()
	return plan.Execute(ctx, p, plan.Options{Dir: dir, Dev: dev, Opener: &opener{u: u, dev: dev, root: f.root, vocab: f.model.Vocab, offline: f.model.offline},
		Loader: f.loader.Loader, Micro: func(m *clip.Model) func(int) int { return f.micro.on(dev, m) }, SaveEvery: f.every, Program: version(), Flags: f.lasting(),
		UI: u, AnyVersion: f.any, Shared: f.shared << 20, Select: chosen, Record: f.log.recorder,
		Made: func(i int, o *plan.Outcome) error {
			e := runEvent{Kind: "run", Index: i, ID: o.ID, State: o.State, Problem: o.Reason()}
			if o.Result != nil && o.Result.Test != nil {
				e.Accuracy = &o.Result.Test.Accuracy
				u.Note("%d of %d  %s  %s: %.2f %%", i+1, total, o.ID, &o.Run, *e.Accuracy)
			}
			return u.Event(e)
		}})
}

// lasting are the flags that results keep, of those that are no part of a plan.
func (f *runFlags) lasting() map[string]string {
	all := map[string]string{}
	if f.root != "data" {
		all["data"] = f.root
	}
	if f.model.Vocab != "" {
		all["vocab"] = f.model.Vocab
	}
	if f.device.strassen.given {
		all["strassen"] = f.device.strassen.String()
	}
	if f.micro.given {
		all["micro-batch"] = f.micro.String()
	}
	return all
}

// opener opens what plans name.
type opener struct {
	u           *ui
	dev         *tensor.Device
	root, vocab string
	offline     bool
}

// Model opens a CLIP, fetching it if it is a name.
func (o *opener) Model(ctx context.Context, m plan.Model) (*clip.Model, error) {
	f := modelFlagsOf(m)
	f.offline, f.Vocab = o.offline, o.vocab
	return f.open(ctx, o.dev, o.u)
}

// Dataset opens a whole data set.
func (o *opener) Dataset(ctx context.Context, name string, r plan.Reading) (*datasets.Dataset, error) {
	ds, err := openWhole(ctx, o.root, name, r)
	if err == nil {
		o.u.about(ds)
	}
	return ds, err
}
