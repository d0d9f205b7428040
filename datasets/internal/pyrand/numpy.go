package pyrand

import "math/bits"

// NewNumPy returns the generator that numpy.random.seed(seed) leaves behind: the same Mersenne Twister, whose
// state numpy makes of the seed alone, by Matsumoto and Nishimura's init_genrand of 2002, and not of a list.
func NewNumPy(seed uint32) *Rand {
	r := new(Rand)
	s := &r.state
	s[0] = seed
	for i := 1; i < stateLen; i++ {
		s[i] = 1812433253*(s[i-1]^s[i-1]>>30) + uint32(i)
	}
	r.next = stateLen
	return r
}

// Choice is numpy.random.choice(n, k, replace=False): the first k of a permutation of all n.
//
// The permutation is numpy's legacy one, which numpy keeps as it is: a Fisher-Yates shuffle from the end whose indices are
// an output's low bits, drawn again where they are too large.
func (r *Rand) Choice(n, k int) []int {
	if k < 0 || k > n {
		panic("pyrand: Choice: k is not in 0..n")
	}
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	for i := n - 1; i > 0; i-- {
		mask := uint32(1)<<bits.Len32(uint32(i)) - 1
		j := r.Uint32() & mask
		for j > uint32(i) {
			j = r.Uint32() & mask
		}
		all[i], all[j] = all[j], all[i]
	}
	return all[:k]
}
