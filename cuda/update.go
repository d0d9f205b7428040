//go:build cuda

package cuda

import (
	"math"

	"fewshot/tensor"
)

// drop is struct Drop of update.cu.
type drop struct {
	scores, squares          mem
	key                      key
	leak, kept, eps, penalty float32
}

func dropOf(r tensor.GradDropArgs) drop {
	return drop{at(r.Scores), at(r.SumSquares), keyOf(r.Key), float32(r.Leak), float32(1 - r.Leak), float32(r.Eps), float32(r.Penalty)}
}

// adam is struct AdamArgs of update.cu, with the corrections for bias moved to constants.
type adam struct{ beta1, rest1, beta2, rest2, shrink, rate, root, eps float32 }

func adamOf(a tensor.AdamArgs) adam {
	t := float64(a.Step)
	return adam{
		beta1: float32(a.Beta1), rest1: float32(1 - a.Beta1), beta2: float32(a.Beta2), rest2: float32(1 - a.Beta2),
		shrink: float32(1 - a.LR*a.Decay), eps: float32(a.Eps),
		rate: float32(a.LR / (1 - math.Pow(a.Beta1, t))), root: float32(math.Sqrt(1 - math.Pow(a.Beta2, t))),
	}
}

// quads is the number of blocks for n elements in kernels that keep much of each.
func quads(n int) int { return parts(n, threads*few) }

func (b *backend) GradDrop(dst, x, y tensor.Buf, r tensor.GradDropArgs) {
	launch(b, "grad_drop", quads(dst.N), struct {
		dst, x, y mem
		d         drop
	}{at(dst), at(x), at(y), dropOf(r)})
}

func (b *backend) GradDropAdam(w, m, v, x, y tensor.Buf, r tensor.GradDropArgs, a tensor.AdamArgs) {
	launch(b, "grad_drop_adam", quads(w.N), struct {
		w, m, v, x, y mem
		d             drop
		s             adam
	}{at(w), at(m), at(v), at(x), at(y), dropOf(r), adamOf(a)})
}

func (b *backend) Adam(w, m, v, g tensor.Buf, a tensor.AdamArgs) {
	launch(b, "adam", quads(w.N), struct {
		w, m, v, g mem
		s          adam
	}{at(w), at(m), at(v), at(g), adamOf(a)})
}

func (b *backend) SGD(w, v, g tensor.Buf, lr, momentum, decay float64) {
	launch(b, "sgd", quads(w.N), struct {
		w, v, g                mem
		lr, momentum, decay, _ float32
	}{w: at(w), v: at(v), g: at(g), lr: float32(lr), momentum: float32(momentum), decay: float32(decay)})
}

type sign struct {
	dst, x, y   mem
	key         key
	keepZero, _ int32
}

func (b *backend) SignAgree(dst, x, y tensor.Buf, keepZero bool) {
	s := sign{dst: at(dst), x: at(x), y: at(y)}
	if keepZero {
		s.keepZero = 1
	}
	launch(b, "sign_agree", quads(dst.N), s)
}

func (b *backend) SignDrop(dst, x, y tensor.Buf, k tensor.Key) {
	launch(b, "sign_drop", quads(dst.N), sign{dst: at(dst), x: at(x), y: at(y), key: keyOf(k)})
}
