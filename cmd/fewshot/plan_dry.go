package main

import (
	"context"
	"fmt"
	"io"

	"fewshot/nn/words"
	"fewshot/rmt/plan"
)

// planEstimate is the result of run -dry-run.
type planEstimate struct {
	Kind     string             `json:"kind"`
	Dir      string             `json:"dir"`
	Runs     int                `json:"runs"`
	Done     int                `json:"done"`
	Blocked  int                `json:"blocked,omitempty"`    // will be passed over, as what is in their folders is no result of theirs
	ByResult int                `json:"estimated_by_results"` // runs to make, whose time is the mean of results that are there
	ByStep   int                `json:"estimated_by_steps"`   // runs to make, whose time was measured in steps
	Seconds  float64            `json:"seconds"`
	Rates    map[string]float64 `json:"seconds_a_run"` // of methods whose steps were measured
	Slowed   float64            `json:"slowed,omitempty"`
	Unknown  []string           `json:"unknown,omitempty"`
	Device   string             `json:"device"`
}

// estimate says how many of the chosen runs are done, and about how long the others take here: from the results of like runs, of one method
// and model with as many shots; else from measured steps.
func (f *runFlags) estimate(ctx context.Context, u *ui, p *plan.Plan, dir string, chosen func(int) bool) error {
	type like struct {
		method, model, data string
		shots               int
	}
	of := func(r plan.Run) like { return like{r.Method, r.Model.Name, r.Data.Name, r.Data.Shots} }
	e := planEstimate{Kind: "dry-run", Dir: dir}
	spent := map[like]plan.Sample{}
	var missing []plan.Run
	for i, r := range p.All() {
		o := plan.Look(dir, r, planVersion(f.any))
		if o.Result != nil {
			spent[of(r)] = append(spent[of(r)], o.Result.Seconds)
		}
		if chosen != nil && !chosen(i) {
			continue
		}
		e.Runs++
		switch {
		case o.Blocked():
			e.Blocked++
			u.blocked(o)
		case o.State == plan.Done:
			e.Done++
		default:
			missing = append(missing, r)
		}
	}
	var unmeasured []plan.Run
	for _, r := range missing {
		if s := spent[of(r)]; s != nil {
			e.ByResult++
			e.Seconds += s.Mean()
		} else {
			unmeasured = append(unmeasured, r)
		}
	}
	if len(unmeasured) > 0 { // at once, as measuring takes its time
		u.notesToErr().Note("%s: %s, %d done", dir, words.Count(e.Runs, "run"), e.Done)
	}
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	e.Device = dev.Describe()
	d := dryRun{Rates: map[string]float64{}}
	if err := (&paperFlags{runFlags: *f}).measure(ctx, u, dev, unmeasured, &d); err != nil {
		return err
	}
	e.ByStep, e.Rates, e.Slowed, e.Unknown = len(unmeasured), d.Rates, d.Slowed, d.Unknown
	e.Seconds += d.Seconds
	return u.result(e, e.print)
}

func (e planEstimate) print(w io.Writer) {
	fmt.Fprintf(w, "%s: %s, %d done\n", e.Dir, words.Count(e.Runs, "run"), e.Done)
	if n := e.Runs - e.Done - e.Blocked; n > 0 {
		fmt.Fprintf(w, "%s: %d by the time that results of like runs took, %d by measured steps\n", toMake(n, e.Seconds, e.Device), e.ByResult, e.ByStep)
	}
	writeSlowed(w, e.Slowed)
	for _, s := range e.Unknown {
		fmt.Fprintf(w, "not counted in: %s\n", s)
	}
}
