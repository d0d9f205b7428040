package tensortest

import "fewshot/tensor"

var headsCases = []testCase{
	{name: "Gemm/heads", run: heads},
	{name: "Gemm/heads shapes", run: headsShapes},
}

// heads checks the three products of heads: their batches lie between each other's rows. Kinds are as
// SplitHeads, JoinHeads and HeadsGrad meet them: the side with an axis for heads may be Full.
func heads(r *rig) {
	for _, s := range []struct{ rows, heads, size, wide int }{{1, 1, 1, 1}, {3, 2, 5, 7}, {6, 12, 8, 96}, {33, 3, 16, 50}, {17, 2, 64, 128}} {
		for _, whole := range []bool{true, false} {
			for _, kind := range r.dev.kinds() {
				d := s.heads * s.size
				r.variant("rows %d, heads %d of %d, to %d, whole %t, kind of y %d", s.rows, s.heads, s.size, s.wide, whole, kind)
				in := func(k tensor.Kind, shape ...int) *operand {
					return r.in(k, r.inputs(whole, tensor.Len(shape)), shape...)
				}
				x, w, y := in(r.kind, s.rows, d), in(r.kind, d, s.wide), in(kind, s.rows, s.heads, s.wide)
				split, join := r.out(kind, s.rows, s.heads, s.wide), r.out(r.kind, s.rows, d)
				dw, more := r.out(tensor.Full, d, s.wide), r.inout(tensor.Full, r.inputs(whole, d*s.wide), d, s.wide)
				tensor.SplitHeads(split.Tensor, x.Tensor, w.Tensor)
				tensor.JoinHeads(join.Tensor, y.Tensor, w.Tensor)
				tensor.HeadsGrad(dw.Tensor, x.Tensor, y.Tensor, false)
				tensor.HeadsGrad(more.Tensor, x.Tensor, y.Tensor, true)

				sum := func(n int, term func(i int) (a, b float64)) (c accumulator) {
					for i := range n {
						a, b := term(i)
						c.product(r.arith, a, b)
					}
					return c
				}
				r.check("split", split, func() (want []num) {
					for at := range s.rows * s.heads * s.wide {
						row, head, col := at/(s.heads*s.wide), at/s.wide%s.heads, at%s.wide
						c := sum(s.size, func(i int) (float64, float64) {
							return x.v[row*d+head*s.size+i], w.v[(head*s.size+i)*s.wide+col]
						})
						want = append(want, c.sum(r.arith))
					}
					return want
				})
				r.check("join", join, func() (want []num) {
					for at := range s.rows * d {
						row, col := at/d, at%d
						c := sum(s.wide, func(i int) (float64, float64) {
							return y.v[(row*s.heads+col/s.size)*s.wide+i], w.v[col*s.wide+i]
						})
						want = append(want, c.sum(r.arith))
					}
					return want
				})
				for _, dw := range []*operand{dw, more} {
					r.check("grad", dw, func() (want []num) {
						for at := range d * s.wide {
							row, col := at/s.wide, at%s.wide
							c := sum(s.rows, func(i int) (float64, float64) {
								return x.v[i*d+row], y.v[(i*s.heads+row/s.size)*s.wide+col]
							})
							if dw == more {
								c.add(exact(more.v[at]))
							}
							want = append(want, c.sum(r.arith))
						}
						return want
					})
				}
			}
		}
	}
}

func headsShapes(r *rig) {
	r.variant("shapes")
	x, y, w := r.out(r.kind, 2, 6).Tensor, r.out(r.kind, 2, 3, 5).Tensor, r.out(r.kind, 6, 5).Tensor
	other := r.out(r.kind, 2, 4, 5).Tensor // 4 heads do not divide 6
	r.rejects("SplitHeads to other heads", func() { tensor.SplitHeads(other, x, w) })
	r.rejects("SplitHeads of too few rows", func() { tensor.SplitHeads(y, x.Rows(0, 1), w) })
	r.rejects("JoinHeads of a matrix", func() { tensor.JoinHeads(x, w, w) })
	r.rejects("JoinHeads by a narrower weight", func() { tensor.JoinHeads(x, y, w.View(5, 6)) })
	r.rejects("HeadsGrad to a wider weight", func() { tensor.HeadsGrad(w, x.View(4, 3), y, false) })
}
