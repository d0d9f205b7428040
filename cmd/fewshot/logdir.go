package main

import (
	"encoding/json"
	"flag"
	"path/filepath"
	"strings"
	"time"

	"fewshot/cmd/fewshot/internal/tensorboard"
	"fewshot/rmt/run"
)

// logdir is the flag -logdir: where TensorBoard looks for runs.
type logdir string

func (l *logdir) declare(fs *flag.FlagSet) {
	fs.StringVar((*string)(l), "logdir", "", "write events for TensorBoard into this `folder`, a folder in it for each run")
}

// recorder makes events of a run in out; nil without the flag. Its folder is called by the output folder and the spec,
// so that a resumed run finds its own, and another run never does.
func (l logdir) recorder(out string) func(run.Spec) (run.Recorder, error) {
	if l == "" {
		return nil
	}
	return func(s run.Spec) (run.Recorder, error) {
		w, err := tensorboard.Open(filepath.Join(string(l), filepath.Base(out)+"-"+s.Hash()[:8]), time.Now)
		if err != nil {
			return nil, err
		}
		return events{w}, w.Start(hyperparameters(s))
	}
}

// hyperparameters are a run's settings, and what it was trained on.
func hyperparameters(s run.Spec) map[string]any {
	all := map[string]any{}
	var walk func(prefix string, b json.RawMessage)
	walk = func(prefix string, b json.RawMessage) {
		var tree map[string]json.RawMessage
		if json.Unmarshal(b, &tree) == nil {
			for k, v := range tree {
				walk(strings.TrimPrefix(prefix+"."+k, "."), v)
			}
			return
		}
		var v any
		if json.Unmarshal(b, &v) == nil && prefix != "" {
			all[prefix] = v // what is no number, text or truth is left out
		}
	}
	walk("", s.Settings)
	all["method"], all["dataset"], all["classes"] = s.Method, s.Data.Title, s.Data.Classes
	all["shots"], all["seed"], all["kernels"] = float64(s.Data.Shots), float64(s.Data.Seed), s.Compute.Kernels
	return all
}

// events are a run's numbers for TensorBoard. Steps are epochs.
type events struct{ *tensorboard.Writer }

// Epoch writes what an epoch came to.
func (e events) Epoch(v run.EpochEvent) error {
	all := []tensorboard.Scalar{{Tag: "train/loss", Value: v.Loss}, {Tag: "train/accuracy", Value: v.Accuracy}, {Tag: "train/lr", Value: v.LR}}
	if v.Distill != nil {
		all = append(all, tensorboard.Scalar{Tag: "train/distillation", Value: *v.Distill})
	}
	if v.Val != nil {
		all = append(all, tensorboard.Scalar{Tag: "val/accuracy", Value: *v.Val})
	}
	if v.Percent != nil {
		all = append(all, tensorboard.Scalar{Tag: "train/sparsity", Value: *v.Percent})
	}
	return e.Scalars(int64(v.Epoch.Epoch), all...)
}

// End writes what the run came to, at its last epoch.
func (e events) End(r *run.Result) error {
	var all []tensorboard.Scalar
	if r.Test != nil {
		all = append(all, tensorboard.Scalar{Tag: "test/accuracy", Value: r.Test.Accuracy}, tensorboard.Scalar{Tag: "test/macro_f1", Value: r.Test.MacroF1})
	}
	if r.ZeroShot != nil {
		all = append(all, tensorboard.Scalar{Tag: "test/zeroshot", Value: r.ZeroShot.Accuracy})
	}
	if r.Percent != nil {
		all = append(all, tensorboard.Scalar{Tag: "test/sparsity", Value: *r.Percent})
	}
	if err := e.Scalars(int64(len(r.Epochs)), all...); err != nil {
		return err
	}
	return e.Writer.End()
}
