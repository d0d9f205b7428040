package plan

import (
	"cmp"
	"slices"
)

// scope is what a run has in common with others: what is kept for the runs of one scope is of no use to those of another.
type scope struct {
	data   string // the whole data set, under one model
	sample string // what is taken of it, and the mask it is trained under
}

// scope is that of the run.
func (r *Run) scope() scope {
	whole := Run{Model: r.Model, Data: Data{Name: r.Data.Name, Split: r.Data.Split, Reading: r.Data.Reading}}
	own := Run{Model: r.Model, Data: r.Data, Below: r.Below, Mask: r.Mask}
	return scope{hash(canonical(whole)), hash(canonical(own))}
}

// order is the numbers of runs in the order in which they are made: those on one data set come together, and of these those of one sample
// under one mask, each scope where the plan has its first run. So what runs have in common is given up once, when nobody needs it. Each
// comes after the run whose mask it is trained under, as in the plan.
func (p *Plan) order(selected []int) ([]int, error) {
	type placed struct{ data, sample, run int } // the first two are numbers of runs: the first ones of the scopes
	all := make([]placed, 0, len(selected))
	data, sample := map[string]int{}, map[string]int{}
	first := func(of map[string]int, key string, i int) int {
		if _, there := of[key]; !there {
			of[key] = i
		}
		return of[key]
	}
	for _, i := range selected {
		r, err := p.Run(i)
		if err != nil {
			return nil, err
		}
		s := r.scope()
		all = append(all, placed{first(data, s.data, i), first(sample, s.sample, i), i})
	}
	slices.SortFunc(all, func(a, b placed) int {
		return cmp.Or(cmp.Compare(a.data, b.data), cmp.Compare(a.sample, b.sample), cmp.Compare(a.run, b.run))
	})
	waits := map[int]bool{} // runs that are not in the order yet
	for _, i := range selected {
		waits[i] = true
	}
	order := make([]int, 0, len(all))
	var take func(i int)
	take = func(i int) {
		if !waits[i] {
			return
		}
		waits[i] = false
		if below := p.Below(i); below >= 0 {
			take(below)
		}
		order = append(order, i)
	}
	for _, at := range all {
		take(at.run)
	}
	return order, nil
}
