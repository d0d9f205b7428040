package run

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"fewshot/nn/quote"
)

// Untouched is a run of the method of the given name that learns nothing: it tests the model as it is, and leaves result.json alone in the
// output folder. Method, Settings, Shots, Seed and Below of the request are of no use to it.
func (r *Request) Untouched(ctx context.Context, name string) (*Result, error) {
	start := time.Now()
	r.spent = startMeter()
	if err := r.Data.CanTest(); err != nil {
		return nil, err
	}
	if err := r.Model.NeedText(); err != nil {
		return nil, err
	}
	if err := r.Data.Verify(ctx); err != nil {
		return nil, err
	}
	job, release := r.Job(false)
	defer release()
	model, err := r.Model.Spec()
	if err != nil {
		return nil, err
	}
	spec := Spec{Method: name, Settings: json.RawMessage("{}"), Model: model, Compute: ComputeOf(r.Dev), Data: DataSpec{Title: r.Data.Title,
		Classes: r.Classes, Split: r.Data.SplitHash(), Templates: r.Templates, Prompts: r.Data.PromptsHash()}}
	if r.Held == nil {
		out, err := OpenFolder(r.Out, r.Resume)
		if err != nil {
			return nil, err
		}
		defer out.Close()
	}
	result := &Result{Kind: "result", SpecHash: spec.Hash(), Spec: spec, Model: r.Model.Name, Backbone: r.Model.Digest, Dataset: r.Data.Name, Title: r.Data.Title,
		Synthetic: r.Synthetic, Classes: r.Classes, NumClass: len(r.Data.Classes), Templates: r.Templates, Split: spec.Data.Split, Method: name,
		Config: spec.Settings, Device: r.Dev.Describe(), Program: r.Program, Flags: r.Flags}
	tests := r.Loader.InOrder(r.Dev, r.UI, r.Model, r.Data, r.Data.Test, true)
	defer tests.Close()
	if err := r.zeroShot(ctx, job, tests, result); err != nil {
		return nil, fmt.Errorf("%s: %w", quote.Plain(r.Data.Name), err)
	}
	result.Test, result.ZeroShot = result.ZeroShot, nil
	result.EvalRate = float64(result.Test.Images) / time.Since(start).Seconds()
	r.spent.seconds(result)
	return result, r.save(result)
}
