// Package philox gives random numbers as a function of a key and an index.
//
// Philox4x32-10 (Salmon, Moraes, Dror, Shaw: Parallel Random Numbers: As Easy as 1, 2, 3; SC'11) turns a counter of four
// 32-bit words and a key of two into four random words. There is no state to save or to share: whoever knows the seed, what
// the numbers are for, the epoch and the index of a sample can compute them, in any order and on any number of workers.
package philox

import "math/bits"

// Block gives the four random words of a counter under a key.
func Block(counter [4]uint32, key [2]uint32) [4]uint32 {
	const (
		m0, m1 = 0xD2511F53, 0xCD9E8D57
		// The golden ratio and the square root of 3, less 1: the Weyl increments of the key.
		w0, w1 = 0x9E3779B9, 0xBB67AE85
		rounds = 10
	)
	for range rounds {
		hi0, lo0 := bits.Mul32(m0, counter[0])
		hi1, lo1 := bits.Mul32(m1, counter[2])
		counter = [4]uint32{hi1 ^ counter[1] ^ key[0], lo1, hi0 ^ counter[3] ^ key[1], lo0}
		key[0] += w0
		key[1] += w1
	}
	return counter
}

// A Purpose separates random numbers that serve different ends under one seed.
type Purpose uint32

// A Stream is the sequence of random numbers that belongs to one index. It is a small value: make one where it is used.
type Stream struct {
	key     [2]uint32
	counter [4]uint32 // block, index, epoch, purpose
	words   [4]uint32
	left    int
}

// NewStream gives the numbers of a sample in an epoch.
func NewStream(seed uint64, purpose Purpose, epoch, index uint32) Stream {
	return Stream{key: [2]uint32{uint32(seed), uint32(seed >> 32)}, counter: [4]uint32{0, index, epoch, uint32(purpose)}}
}

// Uint64 gives the next 64 random bits.
func (s *Stream) Uint64() uint64 {
	if s.left == 0 {
		s.words = Block(s.counter, s.key)
		s.counter[0]++
		s.left = 2
	}
	i := 4 - 2*s.left
	s.left--
	return uint64(s.words[i]) | uint64(s.words[i+1])<<32
}

// Float64 gives a number of [0, 1), a multiple of 2⁻⁵³.
func (s *Stream) Float64() float64 { return float64(s.Uint64()>>11) * (1.0 / (1 << 53)) }

// IntN gives a number of 0 to n-1, n > 0: the integer part of a 64-bit fraction times n. No value's probability is off by
// more than 2⁻⁶⁴.
func (s *Stream) IntN(n int) int {
	hi, _ := bits.Mul64(s.Uint64(), uint64(n))
	return int(hi)
}

// Perm gives a random permutation of 0 to n-1 (Fisher and Yates).
func (s *Stream) Perm(n int) []int {
	p := make([]int, n)
	for i := range p {
		p[i] = i
	}
	for i := n - 1; i > 0; i-- {
		j := s.IntN(i + 1)
		p[i], p[j] = p[j], p[i]
	}
	return p
}
