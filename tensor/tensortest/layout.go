package tensortest

import "fewshot/tensor"

var layoutCases = []testCase{
	{name: "Patches", run: patches},
	{name: "Copy2D/blocks", run: copyBlocks},
	{name: "Gather", run: gather},
	{name: "ScatterAdd", run: scatterAdd},
}

func patches(r *rig) {
	for _, s := range []struct{ n, c, h, w, p int }{
		{0, 3, 4, 4, 2}, {1, 1, 1, 1, 1}, {2, 3, 4, 6, 2}, {3, 1, 5, 5, 5}, {1, 3, 6, 4, 1}, {2, 2, 9, 12, 3}, {2, 3, 32, 48, 16}, {1, 3, 28, 28, 14}, {4, 3, 64, 64, 16},
	} {
		r.variant("%+v", s)
		x := r.in(r.kind, r.wide(s.n*s.c*s.h*s.w), s.n, s.c, s.h, s.w)
		gh, gw := s.h/s.p, s.w/s.p
		dst := r.out(r.kind, s.n, gh*gw, s.c*s.p*s.p)
		tensor.Patches(dst.Tensor, x.Tensor, s.p)
		r.check("dst", dst, func() []num {
			var want []num
			for n := range s.n {
				for gy := range gh {
					for gx := range gw {
						for c := range s.c {
							for y := range s.p {
								for col := range s.p {
									want = append(want, exact(x.v[((n*s.c+c)*s.h+gy*s.p+y)*s.w+gx*s.p+col]))
								}
							}
						}
					}
				}
			}
			return want
		})
	}
	r.variant("shapes")
	a, b := r.out(r.kind, 1, 2, 4, 6), r.out(r.kind, 1, 2, 4)
	r.rejects("Patches whose size does not divide", func() { tensor.Patches(a.Tensor, a.Tensor, 4) })
	r.rejects("Patches of size 0", func() { tensor.Patches(a.Tensor, a.Tensor, 0) })
	r.rejects("Patches of a row", func() { tensor.Patches(b.Tensor, b.Tensor, 2) })
	r.rejects("Patches to a shorter dst", func() { tensor.Patches(b.Tensor, a.Tensor, 2) })
}

// copyBlocks: what lies between the blocks stays.
func copyBlocks(r *rig) {
	for _, c := range []struct{ n, size, dstAt, dstStride, srcAt, srcStride int }{
		{0, 3, 0, 0, 0, 0}, {4, 0, 0, 0, 0, 0}, {1, 1, 0, 1, 0, 1}, {1, 7, 3, 7, 2, 7}, {5, 3, 0, 3, 0, 3}, {5, 3, 2, 11, 4, 3},
		{7, 6, 0, 6, 1, 13}, {50, 64, 64, 197, 0, 64}, {3, 2000, 5, 4000, 0, 2001}, {4, 5, 1, 9, 3, 0}, {7, 5003, 3, 5010, 2, 6007},
	} {
		r.variant("%+v", c)
		nd, ns := c.dstAt+max(c.n-1, 0)*c.dstStride+c.size, c.srcAt+max(c.n-1, 0)*c.srcStride+c.size
		src := r.in(r.kind, r.wide(ns), ns)
		dst := r.inout(r.kind, r.wide(nd+2), nd+2)
		tensor.CopyBlocks(dst.Tensor, src.Tensor, c.n, c.size, c.dstAt, c.dstStride, c.srcAt, c.srcStride)
		r.check("dst", dst, func() []num {
			want := exacts(dst.v)
			for b := range c.n {
				for i := range c.size {
					want[c.dstAt+b*c.dstStride+i] = exact(src.v[c.srcAt+b*c.srcStride+i])
				}
			}
			return want
		})
	}
	r.variant("shapes")
	x, y := r.in(r.kind, r.wide(10), 10), r.out(r.kind, 10)
	r.rejects("CopyBlocks beyond src", func() { tensor.CopyBlocks(y.Tensor, x.Tensor, 2, 3, 0, 3, 2, 6) })
	r.rejects("CopyBlocks beyond dst", func() { tensor.CopyBlocks(y.Tensor, x.Tensor, 2, 3, 5, 3, 0, 3) })
	tensor.Fill(y.Tensor, 0)
}

func gather(r *rig) {
	for _, s := range []struct{ ids, rows, width int }{{0, 3, 4}, {1, 1, 1}, {5, 3, 7}, {197, 50, 64}, {3, 9, 4099}, {12000, 11, 3}} {
		r.variant("%+v", s)
		table := r.in(r.kind, r.wide(s.rows*s.width), s.rows, s.width)
		ids := r.ids(s.ids, s.rows)
		dst := r.out(r.kind, s.ids, s.width)
		tensor.Gather(dst.Tensor, table.Tensor, ids)
		r.check("dst", dst, func() []num {
			return byRows(s.ids, func(i int) []num { return exacts(row(table.v, int(ids[i]), s.width)) })
		})
	}
	r.variant("shapes")
	table, dst := r.out(r.kind, 3, 4), r.out(r.kind, 2, 4)
	r.rejects("Gather of row 3 of 3", func() { tensor.Gather(dst.Tensor, table.Tensor, []int32{0, 3}) })
	r.rejects("Gather of row -1", func() { tensor.Gather(dst.Tensor, table.Tensor, []int32{-1, 0}) })
	r.rejects("Gather of three rows to two", func() { tensor.Gather(dst.Tensor, table.Tensor, []int32{0, 1, 2}) })
}

// scatterAdd has one order of summation. Where the format is that of the sums there is one right result.
func scatterAdd(r *rig) {
	for lanes := 1; lanes <= 3; lanes++ {
		for _, s := range []struct{ ids, rows, width int }{{0, 3, 4}, {1, 1, 1}, {5, 3, 7}, {100, 7, 64}, {9, 2, 4099}, {5000, 11, 3}} {
			if float64(s.ids)*r.dev.formats[r.kind].u > 1 {
				continue // adding up so many in so coarse a format has no bound
			}
			for _, whole := range []bool{false, true} {
				r.variant("%+v lanes=%d whole=%t", s, lanes, whole)
				ids := r.ids(s.ids, s.rows)
				x := r.in(r.kind, r.inputs(whole, lanes*s.ids*s.width), lanes, s.ids, s.width)
				dst := r.inout(r.kind, r.inputs(whole, lanes*s.rows*s.width), lanes, s.rows, s.width)
				tensor.ScatterAdd(dst.Tensor, x.Tensor, ids)
				r.check("dst", dst, func() []num {
					sum := make([]accumulator, len(dst.v))
					inOrder := exacts(dst.v)
					f := r.dev.formats[r.kind]
					for i, v := range dst.v {
						sum[i].add(exact(v))
					}
					for lane := range lanes {
						for i, id := range ids {
							for j, v := range row(x.v, lane*s.ids+i, s.width) {
								at := (lane*s.rows+int(id))*s.width + j
								sum[at].add(exact(v))
								inOrder[at].v = f.round(inOrder[at].v + v)
							}
						}
					}
					if r.kind == tensor.Full {
						return inOrder
					}
					return arith{f.u + 0x1p-53, f.tiny}.sums(sum) // each addition may round to the tensor's format
				})
			}
		}
	}
	r.variant("shapes")
	x, dst := r.out(r.kind, 2, 3, 4), r.out(r.kind, 2, 5, 4)
	r.rejects("ScatterAdd to row 5 of 5", func() { tensor.ScatterAdd(dst.Tensor, x.Tensor, []int32{0, 5, 1}) })
	r.rejects("ScatterAdd with an id missing", func() { tensor.ScatterAdd(dst.Tensor, x.Tensor, []int32{0, 1}) })
	r.rejects("ScatterAdd to fewer lanes", func() { tensor.ScatterAdd(dst.Rows(0, 1), x.Tensor, []int32{0, 1, 2}) })
}
