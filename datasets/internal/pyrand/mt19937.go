package pyrand

import "math/bits"

// Sizes and constants of MT19937, from Matsumoto and Nishimura, "Mersenne Twister: a
// 623-dimensionally equidistributed uniform pseudo-random number generator", 1998, with the 2002
// initialisation by array.
const (
	stateLen  = 624
	shiftLen  = 397
	twist     = 0x9908b0df
	upperBit  = 0x80000000
	lowerBits = 0x7fffffff
)

// Rand is Python's random.Random. The zero value is not usable: call New.
type Rand struct {
	state [stateLen]uint32
	next  int // first unused word of state; stateLen when all are used
}

// New returns the generator that random.seed(seed) leaves behind.
func New(seed uint64) *Rand {
	r := new(Rand)
	r.Seed(seed)
	return r
}

// Seed is random.seed(seed): the seed's 32-bit words, lowest first, are the key of init_by_array.
func (r *Rand) Seed(seed uint64) {
	key := []uint32{uint32(seed)}
	if high := uint32(seed >> 32); high != 0 {
		key = append(key, high)
	}
	r.initByArray(key)
}

func (r *Rand) initByArray(key []uint32) {
	s := &r.state
	s[0] = 19650218
	for i := 1; i < stateLen; i++ {
		s[i] = 1812433253*(s[i-1]^s[i-1]>>30) + uint32(i)
	}
	i, j := 1, 0
	for range max(stateLen, len(key)) {
		s[i] = (s[i] ^ (s[i-1]^s[i-1]>>30)*1664525) + key[j] + uint32(j)
		if i++; i == stateLen {
			s[0] = s[stateLen-1]
			i = 1
		}
		if j++; j == len(key) {
			j = 0
		}
	}
	for range stateLen - 1 {
		s[i] = (s[i] ^ (s[i-1]^s[i-1]>>30)*1566083941) - uint32(i)
		if i++; i == stateLen {
			s[0] = s[stateLen-1]
			i = 1
		}
	}
	s[0] = 0x80000000
	r.next = stateLen
}

// refill computes the next stateLen words from the last ones.
func (r *Rand) refill() {
	s := &r.state
	for i := range s {
		y := s[i]&upperBit | s[(i+1)%stateLen]&lowerBits
		v := s[(i+shiftLen)%stateLen] ^ y>>1
		if y&1 != 0 {
			v ^= twist
		}
		s[i] = v
	}
	r.next = 0
}

// Uint32 returns the next 32-bit output, genrand_uint32 in CPython.
func (r *Rand) Uint32() uint32 {
	if r.next == stateLen {
		r.refill()
	}
	y := r.state[r.next]
	r.next++
	y ^= y >> 11
	y ^= y << 7 & 0x9d2c5680
	y ^= y << 15 & 0xefc60000
	return y ^ y>>18
}

// Getrandbits is random.getrandbits(k) for 0 ≤ k ≤ 64: whole outputs fill the result from its low
// end, and the last, partial word keeps its output's high bits.
func (r *Rand) Getrandbits(k int) uint64 {
	if k < 0 || k > 64 {
		panic("pyrand: Getrandbits: k is not in 0..64")
	}
	var v uint64
	for got := 0; got < k; got += 32 {
		word := r.Uint32()
		if rest := k - got; rest < 32 {
			word >>= 32 - rest
		}
		v |= uint64(word) << got
	}
	return v
}

// Randbelow is random.randrange(n), 0 ≤ result < n: draws of n's bit length are rejected until one
// is below n.
func (r *Rand) Randbelow(n int) int {
	if n <= 0 {
		panic("pyrand: Randbelow: n is not positive")
	}
	k := bits.Len64(uint64(n))
	for {
		if v := r.Getrandbits(k); v < uint64(n) {
			return int(v)
		}
	}
}
