package pyrand

// Sample is random.sample(range(n), k): k distinct indices below n, in selection order.
//
// CPython keeps a pool of all n where that is smaller than a set of k would be, and otherwise draws
// again what it has drawn before; the two consume the stream differently, so its estimate of a
// set's size (21 entries up to k = 5, else 21 + 4^⌈log₄ 3k⌉) is part of the result.
func (r *Rand) Sample(n, k int) []int {
	if k < 0 || k > n {
		panic("pyrand: Sample: k is not in 0..n")
	}
	setSize := 21
	if k > 5 {
		table := 1
		for table < 3*k {
			table *= 4
		}
		setSize += table
	}
	result := make([]int, k)
	if n <= setSize {
		pool := make([]int, n)
		for i := range pool {
			pool[i] = i
		}
		for i := range result {
			j := r.Randbelow(n - i)
			result[i] = pool[j]
			pool[j] = pool[n-i-1]
		}
		return result
	}
	seen := make(map[int]bool, k)
	for i := range result {
		j := r.Randbelow(n)
		for seen[j] {
			j = r.Randbelow(n)
		}
		seen[j] = true
		result[i] = j
	}
	return result
}

// Shuffle is random.shuffle on n elements that swap exchanges.
func (r *Rand) Shuffle(n int, swap func(i, j int)) {
	for i := n - 1; i > 0; i-- {
		swap(i, r.Randbelow(i+1))
	}
}
