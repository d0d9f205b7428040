package simd

import (
	"runtime"

	"fewshot/tensor/internal/bf16"
	"fewshot/tensor/internal/par"
)

// Packed is the second factor of a product in the order in which tiles read it, for products with few rows, where packing takes a
// tenth of the time.
type Packed struct {
	v      *variant
	n, k   int  // of the product; k in pairs for bfloat16
	transB bool // it was the transpose of what is in memory
	step   int  // of k, a part
	parts  []panels
}

// Pack packs the factor b [k, n], or if transB the transpose of b [n, k]. It returns nil if there are no kernels.
func Pack(p *par.Pool, b []float32, n, k int, transB bool) *Packed {
	if active == nil || n == 0 || k == 0 {
		return nil
	}
	w := &Packed{v: active, n: n, k: k, transB: transB, step: stepK(k)}
	w.fill(p, b)
	return w
}

// PackBF16 packs b for GemmBF16 with a narrow destination. It returns nil if there are no kernels for that.
func PackBF16(p *par.Pool, b []uint16, n, k int, transB bool) *Packed {
	if !HasBF16() || n == 0 || k == 0 || k%2 != 0 || n%2 != 0 && !transB || k > 2*deepest {
		return nil
	}
	w := &Packed{v: active.bf16, n: n, k: k / 2, transB: transB, step: k / 2}
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
		if n := ceil(w.n, v.width) * part.stride; off.pages {
			part.x = make([]float32, n)
		} else {
			part.x = grow[float32](nil, n)
			runtime.AddCleanup(w, release[float32], part.x) // programs may hold w for longer than who packed it
		}
		rows := deep
		if v.pairs {
			rows *= 2
		}
		p.For(ceil(w.n, v.width), packPanels, func(_, lo, hi int) {
			n, cols := lo*v.width, min(hi*v.width, w.n)-lo*v.width
			if w.transB {
				part.packCols(v, lo, cols, deep, b[n*w.k+k0:], w.k)
			} else {
				part.packRows(v, v.packRowsB, v.width, lo, rows, cols, b[k0*w.n+v.across(n):], w.n)
			}
		})
		w.parts = append(w.parts, part)
	}
}

// serves reports whether the matrix is what a product wants.
func (w *Packed) serves(v *variant, n, k, step int, transB bool) bool {
	return w.transB == transB && w.v == v && w.n == n && w.k == k && w.step == step
}

// part is the panels from the given one on, for the piece of k that begins at k0.
func (w *Packed) part(k0, panel int) panels {
	return w.parts[k0/w.step].from(panel)
}
