package main

import (
	"flag"
	"fmt"
	"strconv"
	"strings"

	"fewshot/rmt/plan"
)

// share says which runs of a plan a process makes.
type share struct {
	index int // -1 for no single one
	shard string
	said  string // which variable says the index; "" where the flag does
}

func (s *share) declare(fs *flag.FlagSet) {
	s.index = -1
	fs.Func("index", "`number` of the only run to make, from 0", func(v string) (err error) {
		if s.index, err = strconv.Atoi(v); err != nil || s.index < 0 {
			return fmt.Errorf("a run's number, from 0")
		}
		return nil
	})
	fs.StringVar(&s.shard, "shard", "", "`i/n`: make the i-th of n shares of the runs, i from 1 to n; with /n alone the environment says i (default: as the environment says, or all)")
}

// array is how a batch system tells a job of an array which it is.
type array struct {
	id                      string
	first, last, step, size string // variables; "" where there is none
	origin                  int    // of the first job, where no variable says it
}

var arrays = []array{
	{id: "SLURM_ARRAY_TASK_ID", first: "SLURM_ARRAY_TASK_MIN", last: "SLURM_ARRAY_TASK_MAX", step: "SLURM_ARRAY_TASK_STEP", size: "SLURM_ARRAY_TASK_COUNT"},
	{id: "JOB_COMPLETION_INDEX"},
	{id: "PBS_ARRAY_INDEX"},
	{id: "SGE_TASK_ID", first: "SGE_TASK_FIRST", last: "SGE_TASK_LAST", step: "SGE_TASK_STEPSIZE", origin: 1},
	{id: "AWS_BATCH_JOB_ARRAY_INDEX", size: "AWS_BATCH_JOB_ARRAY_SIZE"},
}

// fromEnvironment takes from the environment what no flag says: in an array whose size is known the job's share, else the run of the
// job's number.
func (s *share) fromEnvironment(lookup func(string) (string, bool)) error {
	rest, open := strings.CutPrefix(s.shard, "/")
	if s.index != -1 || s.shard != "" && !open {
		return nil
	}
	var found []array
	var names []string
	for _, a := range arrays {
		if v, ok := lookup(a.id); ok && v != "" && v != "undefined" { // the latter is Grid Engine's word for a job of no array
			found, names = append(found, a), append(names, a.id)
		}
	}
	switch {
	case len(found) > 1:
		return usagef("%s are all set, and say different things: give -index or -shard", strings.Join(names, " and "))
	case found == nil && open:
		for _, a := range arrays {
			names = append(names, a.id)
		}
		return usagef("-shard %s: no array job says which share this is, as none of %s is set; give i/n", s.shard, strings.Join(names, ", "))
	case found == nil:
		return nil
	}
	at, size, err := found[0].place(lookup)
	switch {
	case err != nil:
		return err
	case open:
		if n, err := strconv.Atoi(rest); err == nil && at >= n {
			return usagef("-shard %s: %s says that this is share %d, and there are %d: the array is longer than the shares are many", s.shard, names[0], at+1, n)
		}
		s.shard = strconv.Itoa(at+1) + "/" + rest
	case size > 0:
		s.shard = strconv.Itoa(at+1) + "/" + strconv.Itoa(size)
	default:
		v, _ := lookup(names[0])
		s.index, s.said = at, names[0]+"="+v
	}
	return nil
}

// place is which job of the array this is, from 0, and of how many; 0 where nobody says.
func (a array) place(lookup func(string) (string, bool)) (at, size int, err error) {
	number := func(name string, fallback int) int {
		v, ok := lookup(name)
		if name == "" || !ok || v == "" {
			return fallback
		}
		n, e := strconv.Atoi(v)
		if e != nil || n < 0 {
			err = usagef("%s=%q is no number: give -index or -shard", name, v)
		}
		return n
	}
	id, first, step := number(a.id, 0), number(a.first, a.origin), number(a.step, 1)
	last, size := number(a.last, -1), number(a.size, 0)
	if err != nil {
		return 0, 0, err
	}
	if step < 1 || id < first || (id-first)%step != 0 {
		return 0, 0, usagef("%s=%d does not lie in the array from %d on in steps of %d: give -index or -shard", a.id, id, first, step)
	}
	if last >= 0 {
		regular := (last-first)/step + 1
		if size > 0 && size != regular {
			return 0, 0, usagef("the array of %s is not regular: %d to %d in steps of %d are %d jobs, and there are %d; give -index or -shard", a.id, first, last, step, regular, size)
		}
		size = regular
	}
	if at = (id - first) / step; size > 0 && at >= size {
		return 0, 0, usagef("%s=%d is beyond an array of %d: give -index or -shard", a.id, id, size)
	}
	return at, size, nil
}

// of is the choice among a plan's runs; nil for all. Shares are of groups of runs, so that none waits for what another makes.
func (s *share) of(p *plan.Plan) (func(int) bool, error) {
	n := p.Len()
	switch {
	case s.index != -1 && s.shard != "":
		return nil, usagef("-index and -shard exclude each other")
	case s.index != -1:
		if s.index >= n && s.said != "" {
			return nil, usagef("%s is run %d, and the plan has runs 0 to %d: number the jobs of the array otherwise, or give -index", s.said, s.index, n-1)
		}
		if s.index < 0 || s.index >= n {
			return nil, usagef("-index %d: the plan has runs 0 to %d", s.index, n-1)
		}
		return func(i int) bool { return i == s.index }, nil
	case s.shard == "":
		return nil, nil
	}
	a, b, ok := strings.Cut(s.shard, "/")
	i, errI := strconv.Atoi(a)
	of, errN := strconv.Atoi(b)
	if !ok || errI != nil || errN != nil || i < 1 || i > of {
		return nil, usagef("-shard %q: want i/n, with i from 1 to n", s.shard)
	}
	group, _ := p.Groups()
	return func(k int) bool { return group[k]%of == i-1 }, nil
}
