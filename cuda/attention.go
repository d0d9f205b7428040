//go:build cuda

package cuda

import (
	"fmt"
	"math"

	"fewshot/tensor"
)

// shape is struct Shape of attention.cu.
type shape struct {
	batch, lenQ, lenKV, heads, size, colsQ, colsKV, q, k, v int64
	scale                                                   float32
	causal                                                  int32
}

func shapeOf(s tensor.AttentionShape) shape {
	return shape{int64(s.Batch), int64(s.LenQ), int64(s.LenKV), int64(s.Heads), int64(s.Size), int64(s.ColsQ), int64(s.ColsKV),
		int64(s.Q), int64(s.K), int64(s.V), float32(1 / math.Sqrt(float64(s.Size))), bit(s.Causal)}
}

const (
	perBlock = 8   // queries or keys a block
	widest   = 128 // elements of a head that the kernels have room for
)

// fits refuses heads that the kernels have no room for.
func (b *backend) fits(s tensor.AttentionShape) bool {
	if s.Size > widest {
		b.fail("attention", fmt.Errorf("a head has %d elements; this device takes at most %d", s.Size, widest))
	}
	return b.err == nil && s.Batch*s.Heads > 0
}

func (b *backend) Attention(dst, lse, q, kv tensor.Buf, s tensor.AttentionShape) {
	if !b.fits(s) {
		return
	}
	launch(b, "attention", s.Batch*s.Heads*parts(s.LenQ, perBlock), struct {
		dst, lse, q, kv mem
		s               shape
	}{at(dst), at(lse), at(q), at(kv), shapeOf(s)})
}

// grad is struct Grad of attention.cu.
type grad struct {
	x, delta, ct, q, kv, out, lse mem
	s                             shape
	lanes                         int64
}

func (b *backend) AttentionGrad(dq, dkv, ct, q, kv, out, lse tensor.Buf, s tensor.AttentionShape, lanes int) {
	if !b.fits(s) {
		return
	}
	heads := s.Batch * s.Heads
	n := lanes * heads * s.LenQ
	b.scratch.reset(b)
	g := grad{at(dq), floats(b.scratch.take(b, 4*n), n), at(ct), at(q), at(kv), at(out), at(lse), shapeOf(s), int64(lanes)}
	launch(b, "attention_delta", warps(n), g)
	launch(b, "attention_grad_q", lanes*heads*parts(s.LenQ, perBlock), g)
	g.x = at(dkv)
	launch(b, "attention_grad_kv", lanes*heads*parts(s.LenKV, perBlock), g)
}
