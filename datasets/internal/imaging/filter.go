package imaging

// Filters makes the filters of resizes, for those who do the sums themselves. The zero value is ready, and bicubic, and
// each goroutine needs its own.
type Filters struct {
	Kernel Kernel
	filter filter
}

// Make describes the filter from in samples to out samples, for output samples lo to hi-1, in the memory of f: three numbers
// for each output sample, which are the first input sample, how many there are, and where in the description their weights
// begin; then the weights, with 22 fractional bits.
func (g *Filters) Make(f []int32, in, out, lo, hi int) []int32 {
	g.filter.set(g.Kernel, in, out, lo, hi)
	f = f[:0]
	head := 3 * len(g.filter.taps)
	for _, t := range g.filter.taps {
		f = append(f, int32(t.from), int32(t.n), int32(head+t.at))
	}
	return append(f, g.filter.weights...)
}
