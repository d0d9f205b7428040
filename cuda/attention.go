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

// The kernels on tensor cores take 16 tokens at a time, of heads of 64 elements. As in attention_mma.cu.
const (
	tensorCoreSize = 64
	edge           = 16
	rowBytes       = 2 * tensorCoreSize
	tileBytes      = 2 * edge * edge
	forwardWarps   = 8 // at most
	gradientWarps  = 13
)

// onTensorCores reports whether a head has the right size and all operands are bfloat16.
func onTensorCores(s tensor.AttentionShape, operands ...tensor.Buf) bool {
	for _, o := range operands {
		if o.Size != 2 {
			return false
		}
	}
	return s.Size == tensorCoreSize
}

// allowShared asks for the shared memory that the kernels on tensor cores may use.
func (b *backend) allowShared() error {
	for _, name := range []string{"attention_mma", "attention_grad_mma"} {
		if err := b.dev.AllowShared(b.kernels[name].f, b.dev.About().BlockShared); err != nil {
			return fmt.Errorf("shared memory of %s: %w", name, err)
		}
	}
	return nil
}

// threadsFor is the block for so many tiles of 16 rows, a warp each: in as few rounds as may be, none of them nearly
// idle.
func threadsFor(tiles, most int) int {
	rounds := max(parts(tiles, most), 1)
	return 32 * max(parts(tiles, rounds), 1)
}

func (b *backend) Attention(dst, lse, q, kv tensor.Buf, s tensor.AttentionShape) {
	if !b.fits(s) {
		return
	}
	if onTensorCores(s, dst, q, kv) && b.forwardOnTensorCores(dst, lse, q, kv, s) {
		return
	}
	launch(b, "attention", s.Batch*s.Heads*parts(s.LenQ, perBlock), struct {
		dst, lse, q, kv mem
		s               shape
	}{at(dst), at(lse), at(q), at(kv), shapeOf(s)})
}

// forwardOnTensorCores reports false if keys and values of a head do not fit in shared memory: beyond 896 tokens on
// Hopper.
func (b *backend) forwardOnTensorCores(dst, lse, q, kv tensor.Buf, s tensor.AttentionShape) bool {
	about := b.dev.About()
	shared := 2 * parts(s.LenKV, edge) * edge * rowBytes
	if shared > about.BlockShared {
		return false
	}
	const least = 4 // warps: a class token's one query leaves the others keys and values to fetch
	heads, tiles := s.Batch*s.Heads, parts(s.LenQ, edge)
	split := max(min(about.Multiprocessors/heads, parts(tiles, least)), 1)
	threads := max(threadsFor(parts(tiles, split), forwardWarps), 32*least)
	launchOn(b, "attention_mma", grid{heads * split, threads, shared}, struct {
		dst, lse, q, kv mem
		s               shape
		split           int64
	}{at(dst), at(lse), at(q), at(kv), shapeOf(s), int64(split)})
	return true
}

func (b *backend) AttentionGrad(dq, dkv, ct, q, kv, out, lse tensor.Buf, s tensor.AttentionShape, lanes int) {
	if !b.fits(s) {
		return
	}
	if onTensorCores(s, dq, dkv, ct, q, kv, out) && b.gradOnTensorCores(dq, dkv, ct, q, kv, out, lse, s, lanes) {
		return
	}
	b.gradInGeneral(dq, dkv, ct, q, kv, out, lse, s, lanes)
}

// gradOnTensorCores reports false if a head does not fit in shared memory: beyond 272 tokens on Hopper.
func (b *backend) gradOnTensorCores(dq, dkv, ct, q, kv, out, lse tensor.Buf, s tensor.AttentionShape, lanes int) bool {
	across, down := parts(s.LenQ, edge), parts(s.LenKV, edge)
	square := across * down * tileBytes // P, or dS
	shared := (across+max(across, down))*edge*rowBytes + square + 2*4*across*edge
	room := b.dev.About().BlockShared
	if shared > room {
		return false
	}
	keep := lanes > 1 && shared+square <= room
	if keep {
		shared += square
	}
	launchOn(b, "attention_grad_mma", grid{s.Batch * s.Heads, threadsFor(max(across, down), gradientWarps), shared}, struct {
		dq, dkv, ct, q, kv, out, lse mem
		s                            shape
		lanes, keep                  int32
	}{at(dq), at(dkv), at(ct), at(q), at(kv), at(out), at(lse), shapeOf(s), int32(lanes), bit(keep)})
	return true
}

// grad is struct Grad of attention.cu.
type grad struct {
	x, delta, ct, q, kv, out, lse mem
	s                             shape
	lanes                         int64
}

func (b *backend) gradInGeneral(dq, dkv, ct, q, kv, out, lse tensor.Buf, s tensor.AttentionShape, lanes int) {
	heads := s.Batch * s.Heads
	n := lanes * heads * s.LenQ
	b.scratch.reset(b)
	g := grad{at(dq), floats(b.scratch.take(b, 4*n), n), at(ct), at(q), at(kv), at(out), at(lse), shapeOf(s), int64(lanes)}
	launch(b, "attention_delta", warps(n), g)
	launch(b, "attention_grad_q", lanes*heads*parts(s.LenQ, perBlock), g)
	g.x = at(dkv)
	launch(b, "attention_grad_kv", lanes*heads*parts(s.LenKV, perBlock), g)
}
