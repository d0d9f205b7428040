package tensor

import "fewshot/tensor/internal/philox"

// Key names a stream of random numbers. The i-th number depends on the key and i alone, so streams need
// no state, cost nothing to keep, and are the same on every device and for any number of workers.
// Keys are derived by purpose: NewKey(seed).Name("dropout").Fold(step).
type Key struct{ lo, hi uint32 }

// NewKey starts from a seed.
func NewKey(seed uint64) Key { return Key{uint32(seed), uint32(seed >> 32)} }

// Fold derives the n-th key below k.
func (k Key) Fold(n uint64) Key {
	// The third counter word keeps derived keys apart from the numbers drawn at index n.
	r := philox.Block(k.philox(), [4]uint32{uint32(n), uint32(n >> 32), 0x666f6c64, 0})
	return Key{r[0], r[1]}
}

// Name derives a key from a word, by its FNV-1a hash.
func (k Key) Name(s string) Key {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return k.Fold(h)
}

// Words returns the two key words, for kernels that run the generator themselves: uniform number i is made
// of word i%4 of the Philox4x32-10 block with counter (i/4 low, i/4 high, 0, 0).
func (k Key) Words() (lo, hi uint32) { return k.lo, k.hi }

func (k Key) philox() philox.Key { return philox.Key{k.lo, k.hi} }

// Block is the four 32-bit words at block n of the stream.
func (k Key) Block(n uint64) [4]uint32 { return k.philox().At(n) }

// Uniform is number i, one of the 2²⁴ equally spaced values in [0, 1).
func (k Key) Uniform(i uint64) float64 { return Unit(k.Block(i / 4)[i%4]) }

// Unit maps a 32-bit word to [0, 1) by its upper 24 bits, exact in float32.
func Unit(w uint32) float64 { return philox.Unit(w) }

// Normal is number i of the standard normal distribution, by Box and Muller's transform of the first two
// words of block i/2: the cosine for even i, the sine for odd.
func (k Key) Normal(i uint64) float64 {
	even, odd := k.Normals(i / 2)
	if i%2 == 0 {
		return even
	}
	return odd
}

// Normals are numbers 2n and 2n+1 of that distribution, which are made together.
func (k Key) Normals(n uint64) (even, odd float64) {
	w := k.Block(n)
	return philox.Normals(w[0], w[1])
}

// Uniform fills dst with k's numbers in [0, 1).
func Uniform(dst *Tensor, k Key) { dst.dev.backend.Uniform(dst.buf, k) }

// Normal fills dst with k's standard normal numbers.
func Normal(dst *Tensor, k Key) { dst.dev.backend.Normal(dst.buf, k) }
