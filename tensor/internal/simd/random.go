package simd

import "fewshot/tensor/internal/philox"

// Uniform fills dst with a key's uniform numbers from the first on, a multiple of 64: number i is
// philox.Unit of word i%4 of the key's block i/4. It works on the calling goroutine, and panics while
// Kernels is "".
func Uniform(dst []float32, key philox.Key, first int) {
	v := kernels()
	if first%64 != 0 {
		panic("simd.Uniform: the first number is not a multiple of 64")
	}
	own := idleRandoms.take()
	own.expand(key)
	group := v.random // the kernel makes no fewer
	whole := len(dst) / group
	if whole > 0 {
		v.uniform(whole, &dst[0], &own.keys[0], uint64(first/4))
	}
	if rest := dst[whole*group:]; len(rest) > 0 {
		v.uniform(1, &own.last[0], &own.keys[0], uint64((first+whole*group)/4))
		copy(rest, own.last[:])
	}
	idleRandoms.give(own)
}

// random is what the generator needs beside its destination.
type random struct {
	keys [20]uint32 // of the ten rounds, two words each
	last [256]float32
}

var idleRandoms free[random]

// expand derives the keys of the rounds.
func (r *random) expand(key philox.Key) {
	for i := range uint32(10) {
		r.keys[2*i] = key[0] + i*0x9e3779b9
		r.keys[2*i+1] = key[1] + i*0xbb67ae85
	}
}
