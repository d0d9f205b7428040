package cpu

import "fewshot/tensor/internal/philox"

// Uniform fills dst with a key's numbers in [0, 1).
func (k *Kernels[T]) Uniform(dst []T, key philox.Key) {
	k.pool.For(len(dst), Heavy, func(_, lo, hi int) { uniforms(dst[lo:hi], key, lo) })
}

// Normal fills dst with a key's standard normal numbers.
func (k *Kernels[T]) Normal(dst []T, key philox.Key) {
	k.pool.For(len(dst), Heavy, func(_, lo, hi int) { // lo is even
		for i := lo; i < hi; i += 2 {
			w0, w1, _, _ := key.Words(uint64(i / 2))
			even, odd := philox.Normals(w0, w1)
			dst[i] = T(even)
			if i+1 < hi {
				dst[i+1] = T(odd)
			}
		}
	})
}

// uniforms fills dst with the numbers of a key from the first on, a multiple of four.
func uniforms[T Float](dst []T, key philox.Key, first int) {
	n := uint64(first / 4)
	for ; len(dst) >= 4; n++ {
		w0, w1, w2, w3 := key.Words(n)
		dst[0], dst[1], dst[2], dst[3] = T(philox.Unit(w0)), T(philox.Unit(w1)), T(philox.Unit(w2)), T(philox.Unit(w3))
		dst = dst[4:]
	}
	rest := key.At(n)
	for i := range dst {
		dst[i] = T(philox.Unit(rest[i]))
	}
}
