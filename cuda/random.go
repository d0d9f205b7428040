//go:build cuda

package cuda

import "fewshot/tensor"

type key struct{ lo, hi uint32 }

func keyOf(k tensor.Key) key {
	lo, hi := k.Words()
	return key{lo, hi}
}

type random struct {
	dst mem
	key key
}

func (b *backend) Uniform(dst tensor.Buf, k tensor.Key) {
	launch(b, "uniform", packs(dst.N), random{at(dst), keyOf(k)})
}

func (b *backend) Normal(dst tensor.Buf, k tensor.Key) {
	launch(b, "normal", parts(dst.N, 2*threads), random{at(dst), keyOf(k)})
}
