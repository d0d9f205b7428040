package plan

// Groups divides the runs into groups, each a run with all that are trained under its mask: who makes a group waits for nobody. It gives
// the group of each run, numbered in the plan's order, and how many there are.
func (p *Plan) Groups() (of []int, n int) {
	of = make([]int, p.Len())
	for i := range of {
		if below := p.Below(i); below >= 0 {
			of[i] = of[below] // which comes before it
			continue
		}
		of[i] = n
		n++
	}
	return of, n
}
