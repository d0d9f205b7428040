package main

import (
	"context"
	"flag"
	"io"
	"os"
	"slices"
	"strings"

	"fewshot/rmt/plan"
	"fewshot/rmt/plan/emit"
)

var planEmitCommand = command{
	example: `fewshot plan emit slurm plan.jsonl -partition gpu -gpus 1 -time 4:00:00 -parallel 20 -- -data DATA > runs.sh && bash runs.sh
fewshot plan emit kubernetes plan.jsonl -image fewshot:1.0 -at /w/plan.jsonl -volume work:/w -- -data /w/data | kubectl create -f -`,
	name: "plan emit", args: "slurm|kubernetes PLAN [-- FLAGS OF RUN]", summary: "write a job file that gives a plan to a cluster",
	about: `Writes to standard output a script that puts a plan's runs into the queue of Slurm, and behind them a job that collects their
results; or an Indexed Job of Kubernetes. A task of the array is one run; where runs need each other's masks, or the cluster's
arrays are too short, it is a share of them. What stands behind -- is given to fewshot run. A task that is told to end saves, and
goes on when it is started again; one that fails does not end the others. docs/cluster.md says what is to be had in mind.`,
	setup: setupPlanEmit,
}

// emitFlags are those of plan emit.
type emitFlags struct {
	work       emit.Work
	slurm      emit.Slurm
	kubernetes emit.Kubernetes
	any        bool
}

// clusterFlags are the flags that only one cluster has.
var clusterFlags = map[string][]string{
	"slurm":      {"partition", "account", "time", "lead", "max-array", "sbatch", "setup"},
	"kubernetes": {"image", "volume", "env", "user", "retries", "grace"},
}

func setupPlanEmit(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var f emitFlags
	f.declare(fs)
	return func(_ context.Context, u *ui, args []string) error {
		if len(args) == 0 || clusterFlags[args[0]] == nil {
			return usagef("for which cluster? plan emit slurm PLAN, or plan emit kubernetes PLAN")
		}
		if len(args) == 1 || strings.HasPrefix(args[1], "-") {
			return usagef("which plan? plan emit %s PLAN", args[0])
		}
		var err error
		fs.Visit(func(g *flag.Flag) {
			for cluster, names := range clusterFlags {
				if cluster != args[0] && slices.Contains(names, g.Name) {
					err = usagef("-%s is for %s", g.Name, cluster)
				}
			}
		})
		if err != nil {
			return err
		}
		return f.run(u, args[0], args[1], args[2:])
	}
}

func (f *emitFlags) declare(fs *flag.FlagSet) {
	w, s, k := &f.work, &f.slurm, &f.kubernetes
	fs.StringVar(&w.Name, "name", "fewshot", "`name` of the job")
	fs.StringVar(&w.Program, "program", "", "`path` of this program on the cluster (default: its path here for Slurm, the image's entry point for Kubernetes)")
	fs.StringVar(&w.Plan, "at", "", "`path` of the plan on the cluster (default: as given)")
	declareRuns(fs, &w.Out, "`folder` of the runs' folders on the cluster (default: that of the plan's name, without .jsonl, and -runs)")
	fs.IntVar(&w.Tasks, "tasks", 0, "`number` of tasks that share the runs (default one a run, or as many as there can be)")
	fs.IntVar(&w.Parallel, "parallel", 0, "`number` of tasks at a time (default as many as there is room for)")
	fs.IntVar(&w.CPUs, "cpus", 0, "`number` of processors of a task (default what the cluster gives)")
	fs.StringVar(&w.Memory, "mem", "", "`memory` of a task, as 16G (default what the cluster gives)")
	fs.IntVar(&w.GPUs, "gpus", 0, "`number` of GPUs of a task")
	fs.BoolVar(&f.any, "any-version", false, "take a plan of another version of this program, and have run and collect do so, too")
	fs.StringVar(&s.Partition, "partition", "", "`name` of the partition")
	fs.StringVar(&s.Account, "account", "", "`name` of the account")
	fs.StringVar(&s.Time, "time", "", "`limit` of a task's time, as 90 (minutes), 4:00:00 or 1-12 (default the partition's)")
	fs.IntVar(&s.Lead, "lead", 120, "`seconds` before the limit at which a task saves and goes back into the queue; Slurm is up to a minute early")
	fs.IntVar(&s.MaxArray, "max-array", 0, "the cluster's `MaxArraySize`; more runs than it has room for are shared by its tasks (default 1001, Slurm's own)")
	fs.Func("sbatch", "a further `option` of sbatch, as --qos=long; may be repeated", appendTo(&s.Options))
	fs.Func("setup", "`line` of shell before the program, as module load cuda; may be repeated", appendTo(&s.Setup))
	fs.StringVar(&k.Image, "image", "", "container `image` of this program")
	fs.Func("volume", "`CLAIM:/path`: the volume of a claim, and where it is put; :ro behind it for reading alone; may be repeated", func(s string) error {
		v, err := emit.ParseVolume(s)
		k.Volumes = append(k.Volumes, v)
		return err
	})
	fs.Func("env", "`NAME=VALUE` of the environment; may be repeated", appendTo(&k.Env))
	fs.StringVar(&k.User, "user", "", "`UID:GID` that the program runs as and that the volumes belong to (default the image's)")
	fs.IntVar(&k.Retries, "retries", 1, "`number` of further tries for a task that failed; of those that were moved or told to end there is no bound")
	fs.IntVar(&k.Grace, "grace", 120, "`seconds` that a task has to save when it is told to end")
}

// appendTo is a flag that may be repeated.
func appendTo(all *[]string) func(string) error {
	return func(s string) error {
		*all = append(*all, s)
		return nil
	}
}

// emitResult is the last line of -json.
type emitResult struct {
	Kind    string `json:"kind"`
	Cluster string `json:"cluster"`
	Runs    int    `json:"runs"`
	File    string `json:"file"` // its text
}

func (f *emitFlags) run(u *ui, cluster, path string, args []string) error {
	p, err := plan.Open(path, planVersion(f.any))
	if err != nil {
		return err
	}
	defer p.Close()
	w := f.work
	w.Runs, w.Args, w.AnyVersion = p.Len(), args, f.any
	_, w.Groups = p.Groups()
	if w.Plan == "" {
		w.Plan = path
	}
	w.Out = runsFolder(w.Out, w.Plan)
	var text []byte
	if cluster == "slurm" {
		if w.Program == "" {
			if w.Program, err = os.Executable(); err != nil {
				return err
			}
		}
		f.slurm.Work = w
		text, err = f.slurm.Script()
	} else {
		f.kubernetes.Work = w
		text, err = f.kubernetes.Manifest()
	}
	if err != nil {
		return usagef("%v", err)
	}
	if u.json {
		return u.result(emitResult{"result", cluster, w.Runs, string(text)}, func(io.Writer) {})
	}
	_, err = u.out.Write(text)
	return err
}
