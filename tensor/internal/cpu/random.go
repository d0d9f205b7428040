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
			even, odd := philox.Normals(key.At(uint64(i / 2)))
			dst[i] = T(even)
			if i+1 < hi {
				dst[i+1] = T(odd)
			}
		}
	})
}

// uniforms fills dst with the numbers of a key from the first on, a multiple of four.
func uniforms[T Float](dst []T, key philox.Key, first int) {
	for n := uint64(first / 4); len(dst) > 0; n++ {
		block := key.At(n)
		for i, w := range block[:min(4, len(dst))] {
			dst[i] = T(philox.Unit(w))
		}
		dst = dst[min(4, len(dst)):]
	}
}
