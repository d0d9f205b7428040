package simd

import "fewshot/tensor/internal/caches"

// How large the pieces are that a product is worked on in, and why, stands here.
//
// Results may depend on none of it but blockK, which is why that is a constant: what depends on the machine, its caches
// and its workers, is how M and N are cut.
const (
	// blockK bounds the piece of K that one pass over C takes. It is the only thing on which the bits of a result
	// depend, beside the operands: an element is one chain of multiply-adds for each piece of K, and their sum in
	// order. (Tiles that are rounded at once are one chain.) All of K at once for CLIP's width is worth more than
	// panels that fit L1.
	blockK = 768

	// tasksPerWorker is how finely work is cut at least: a worker that is held up by others on the
	// machine costs the rest no more than one task in so many.
	tasksPerWorker = 16

	// shrinkingTasks is the same where tasks become smaller and smaller, as the last ones are small enough with fewer.
	shrinkingTasks = 8

	// leastRows is how many rows a task has, at least, unless there are too few tasks: each panel of B passes through
	// the core once for a task.
	leastRows = 48

	// stripePanels is how many panels a stripe of columns has on average, at least, if there are two of them for a
	// worker, where B is packed: rows of A come to the core once for each stripe.
	stripePanels = 6

	// linesInSet is how many lines a set of the L1 cache has, on processors with AVX2 alone and with AVX-512: 8, or
	// more. Some of arm64's have 4, where nobody has measured what packing A would gain.
	linesInSet = 8

	// leastPanels is how many panels there are for each worker, at least, where it multiplies stripes of columns.
	leastPanels = 8

	// leastColumns is how many columns workers have, at least, where each packs or copies all of A for its own.
	leastColumns = 384

	// packPanels is how many neighbouring panels one packing task fills.
	packPanels = 8

	// leastParallel is the number of multiply-adds, some microseconds' worth, from which on dividing a
	// product among workers gains more than waking them costs.
	leastParallel = 1 << 18
)

// cacheSizes are those of the machine; tests change them.
var cacheSizes = caches.Of

// FewRows is the number of rows up to which workers multiply stripes of columns, see stripes.
const FewRows = 448

// fewRows is that number, which benchmarks change.
var fewRows = FewRows

// off switches one thing or another off, for benchmarks that show what it is worth.
var off struct {
	turns    bool // several steps of k in a turn of the kernel's loop
	fetching bool // of what is wanted next, a panel of B, rows of A or a head, while something else is at work
	resident bool // as many rows as the L2 cache holds: two tiles in their place
	pages    bool // large pages for what is packed beforehand
}

// cacheL2 is the size of the L2 cache that a worker has, in floats.
func cacheL2() int {
	l2 := 512 << 10
	if cacheSizes.L2 > 0 {
		l2 = cacheSizes.L2 / cacheSizes.SharedL2
	}
	return l2 / 4
}

// residentTiles is how many tiles of A, k deep, stay in the L2 cache while panels of B go by, each of which meets all
// of them: what does not come from memory again and again is A. With them there must be room for the panel at work and
// the next one, which is fetched meanwhile, and a quarter is left to C and to whatever else passes. More than 256 rows
// gain nothing; fewer than leastRows would take panels of B from memory faster than some memories give them.
func (v *variant) residentTiles(k int) int {
	if off.resident {
		return 2
	}
	rows := (cacheL2()*3/4 - 2*k*v.width) / k
	return min(max(rows, leastRows), 256) / v.rows
}

// residentPanels is how many panels of B, k deep, stay there while rows of A go by: half of it, as what they were
// packed from came through, too.
func (v *variant) residentPanels(k int) int { return max(cacheL2()/2/(k*v.width), 1) }

// blockColumns is how many columns of B are packed at a time: they are read once for each block of A, and in pieces as large as half of
// an L3 cache they come from there. It bounds the scratch memory, too.
func (v *variant) blockColumns(k int) int {
	l3 := 16 << 20
	if cacheSizes.L3 > 0 {
		l3 = cacheSizes.L3
	}
	return min(max(l3/2/4/k, 1024), 4096) / v.width * v.width
}
