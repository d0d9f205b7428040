package simd

import (
	"fewshot/tensor/internal/bf16"
	"fewshot/tensor/internal/par"
)

// Packed is a matrix in the order in which tiles read it, for products with few rows, where packing takes a tenth of the time.
type Packed struct {
	v     *variant
	n, k  int // k in pairs for bfloat16
	step  int // of k, a part
	parts []panels
}

// Pack packs b, whose n rows of length k are columns of the factor: its transpose is what Gemm multiplies by. It returns nil if
// there are no kernels.
func Pack(p *par.Pool, b []float32, n, k int) *Packed {
	if active == nil || n == 0 || k == 0 {
		return nil
	}
	w := &Packed{v: active, n: n, k: k, step: stepK(k)}
	w.fill(p, b)
	return w
}

// PackBF16 packs b for GemmBF16 with a narrow destination. It returns nil if there are no kernels for that.
func PackBF16(p *par.Pool, b []uint16, n, k int) *Packed {
	if !HasBF16() || n == 0 || k == 0 || k%2 != 0 || k > 2*deepest {
		return nil
	}
	w := &Packed{v: active.bf16, n: n, k: k / 2, step: k / 2}
	w.fill(p, bf16.Pairs(b))
	return w
}

// Bytes is the size of the copy.
func (w *Packed) Bytes() (n int64) {
	for i := range w.parts {
		n += 4 * int64(len(w.parts[i].x))
	}
	return n
}

func (w *Packed) fill(p *par.Pool, b []float32) {
	v := w.v
	for k0 := 0; k0 < w.k; k0 += w.step {
		deep := min(w.step, w.k-k0)
		part := panels{stride: deep*v.width + padding}
		part.x = make([]float32, ceil(w.n, v.width)*part.stride)
		p.For(ceil(w.n, v.width), packPanels, func(_, lo, hi int) {
			part.packCols(v, lo, min(hi*v.width, w.n)-lo*v.width, deep, b[lo*v.width*w.k+k0:], w.k)
		})
		w.parts = append(w.parts, part)
	}
}

// serves reports whether the matrix is what a product with a transposed factor wants.
func (w *Packed) serves(v *variant, n, k, step int, transB bool) bool {
	return transB && w.v == v && w.n == n && w.k == k && w.step == step
}

// part is the panels from the given one on, for the piece of k that begins at k0.
func (w *Packed) part(k0, panel int) panels {
	return w.parts[k0/w.step].from(panel)
}
