// Package plan is lists of runs: made from a grid, written as files, executed, and collected.
//
// A [Run] says what one run is: method, settings, model, data. Its [Run.ID] is the start of the hash of that, so that runs which two
// tables ask for are one run, wherever their plans came from. What a run is further tested on, [Run.Evaluate], is no part of the id:
// [Union] merges the wishes of equal runs. Where files lie, how many workers there are, and what is cached, is no part of it either.
//
// A list is made by [Grid.Plan], or of runs by [New], which puts what others are trained under before them:
//
//	p, err := plan.Grid{Methods: []string{"zero-shot", "r-amt"}, Models: []plan.Model{{Name: "embedded"}},
//		Data: []string{"synth:things"}, Shots: []int{16}, Seeds: []uint64{1, 2, 3}}.Plan()
//	report, err := plan.Execute(ctx, p, plan.Options{Dir: "runs", Opener: opener, …})
//	results, err := plan.Collect(p, "runs", program)
//
// [Execute] makes the runs that are not done, each in the folder Dir/ID, and [Collect] reads what has come of them: outcomes by id, each
// with its [run.Result] and the further evaluations by their [Evaluation.Key]. A method named [ZeroShot] is the untouched model, a run
// without training.
//
// A plan's file is JSON lines, [Plan.Write] and [Open]: a header that counts and hashes what follows, then one line a run.
package plan
