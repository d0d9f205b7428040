package tensortest

import (
	"math"

	"fewshot/tensor"
)

var elementwiseCases = []testCase{
	{name: "Add", run: suffixed("Add", tensor.Add, arith.add)},
	{name: "Mul", run: suffixed("Mul", tensor.Mul, arith.mul)},
	{name: "Scale", run: scale},
	{name: "AXPY", run: axpy},
	{name: "Exp", run: exp},
	{name: "Fill", run: fillValues},
	{name: "Copy2D", run: copyConverts},
	{name: "Mask", run: mask},
}

// lengths are around the widths of vectors, prime, and beyond what any worker takes at a time.
var lengths = []int{0, 1, 2, 3, 7, 8, 13, 16, 31, 64, 97, 1000, 3*4096 + 5, 9*4096 + 5}

// suffixes are shapes with a suffix of theirs; a leading axis of 1 to 3 is the lanes'.
var suffixes = []struct{ x, y []int }{
	{[]int{0}, []int{0}}, {[]int{3, 0}, []int{0}}, {[]int{1}, []int{1}}, {[]int{}, []int{}}, {[]int{17}, []int{}},
	{[]int{5, 1}, []int{1}}, {[]int{3, 2, 5}, []int{5}}, {[]int{3, 2, 5}, []int{2, 5}}, {[]int{0, 4}, []int{4}},
	{[]int{1, 4099}, []int{4099}}, {[]int{2, 4099}, []int{4099}}, {[]int{3, 4099}, []int{4099}},
	{[]int{3, 37, 64}, []int{37, 64}}, {[]int{6001, 7}, []int{7}}, {[]int{193, 64}, []int{64}}, {[]int{3*4096 + 5}, []int{3*4096 + 5}},
	{[]int{2, 9*4096 + 5}, []int{9*4096 + 5}},
}

// awkward are values that elementwise kernels must not stumble over.
var awkward = []float64{0, math.Copysign(0, -1), 1e-40, -1e-40, 1e30, -1e30, math.NaN(), math.Inf(1), math.Inf(-1)}

// suffixed tests dst[i] = f(x[i], y[i mod |y|]).
func suffixed(name string, call func(dst, x, y *tensor.Tensor), f func(arith, num, num) num) func(*rig) {
	return func(r *rig) {
		for _, s := range suffixes {
			for _, over := range []bool{false, true} {
				r.variant("x%v y%v over=%t", s.x, s.y, over)
				x := r.in(r.kind, with(r.wide(tensor.Len(s.x)), awkward...), s.x...)
				y := r.in(r.kind, r.wide(tensor.Len(s.y)), s.y...)
				dst := r.over(x, over)
				call(dst.Tensor, x.Tensor, y.Tensor)
				r.check("dst", dst, func() []num {
					want := make([]num, len(x.v))
					for i := range want {
						want[i] = f(r.arith, exact(x.v[i]), exact(y.v[i%len(y.v)]))
					}
					return want
				})
			}
		}
		r.variant("x and y are one tensor")
		x := r.in(r.kind, r.wide(1001), 1001)
		dst := r.out(r.kind, 1001)
		call(dst.Tensor, x.Tensor, x.Tensor)
		r.check("dst", dst, func() []num {
			want := make([]num, len(x.v))
			for i := range want {
				want[i] = f(r.arith, exact(x.v[i]), exact(x.v[i]))
			}
			return want
		})
		r.variant("shapes")
		a, b, c := r.out(r.kind, 2, 3), r.out(r.kind, 2), r.out(r.kind, 3)
		r.rejects(name+" of a prefix", func() { call(a.Tensor, a.Tensor, b.Tensor) })
		r.rejects(name+" to a shorter dst", func() { call(c.Tensor, a.Tensor, c.Tensor) })
		r.rejects(name+" of a longer y", func() { call(c.Tensor, c.Tensor, a.Tensor) })
	}
}

// pointwise tests dst[i] = f(x[i]) on x's values.
func (r *rig) pointwise(x *operand, over bool, call func(dst, x *tensor.Tensor), f func(x num) num) {
	dst := r.over(x, over)
	call(dst.Tensor, x.Tensor)
	r.check("dst", dst, func() []num {
		want := make([]num, len(x.v))
		for i, v := range x.v {
			want[i] = f(exact(v))
		}
		return want
	})
}

func scale(r *rig) {
	for _, n := range lengths {
		for _, c := range []float64{0, 1, -0.5, 0.1, 1e6} {
			for _, over := range []bool{false, true} {
				r.variant("n=%d c=%v over=%t", n, c, over)
				x := r.in(r.kind, with(r.wide(n), awkward...), n)
				r.pointwise(x, over, func(dst, x *tensor.Tensor) { tensor.Scale(dst, x, c) },
					func(x num) num { return r.mul(r.constant(c), x) })
			}
		}
	}
	r.variant("shapes")
	a, b := r.out(r.kind, 2), r.out(r.kind, 3)
	r.rejects("Scale to a shorter dst", func() { tensor.Scale(a.Tensor, b.Tensor, 1) })
}

func axpy(r *rig) {
	for _, n := range lengths {
		for _, c := range []float64{0, 1, -1, 0.1} {
			for _, whole := range []bool{false, true} {
				r.variant("n=%d c=%v whole=%t", n, c, whole)
				x := r.in(r.kind, r.inputs(whole, n), n)
				dst := r.inout(r.kind, r.inputs(whole, n), n)
				tensor.AXPY(dst.Tensor, c, x.Tensor)
				r.check("dst", dst, func() []num {
					want := make([]num, n)
					for i := range want {
						want[i] = r.add(exact(dst.v[i]), r.mul(r.constant(c), exact(x.v[i])))
					}
					return want
				})
			}
		}
	}
	r.variant("shapes")
	a, b := r.out(r.kind, 2), r.out(r.kind, 3)
	r.rejects("AXPY of a longer x", func() { tensor.AXPY(a.Tensor, 1, b.Tensor) })
}

// exp runs from where eˣ is 0 to where it overflows in float32.
func exp(r *rig) {
	special := []float64{0, 1, -1, 88.72, 88.73, 89, 128, 1000, -87.3, -87.4, -103, -104, -150, -1000, -1e30, 1e30, 1e-30, 0.34657, 0.34658,
		math.Inf(1), math.Inf(-1), math.NaN()}
	for _, n := range lengths {
		for _, size := range []float64{1, 90} {
			for _, over := range []bool{false, true} {
				r.variant("n=%d |x|<%v over=%t", n, size, over)
				r.pointwise(r.in(r.kind, with(r.uniform(n, size), special...), n), over, tensor.Exp, r.arith.exp)
			}
		}
	}
	r.variant("shapes")
	a, b := r.out(r.kind, 2), r.out(r.kind, 3)
	r.rejects("Exp to a shorter dst", func() { tensor.Exp(a.Tensor, b.Tensor) })
}

func fillValues(r *rig) {
	for _, c := range []float64{0, 1, -0.25, 0.1, math.Inf(-1), math.NaN()} {
		for _, n := range []int{0, 1, 5, 12293} {
			r.variant("n=%d c=%v", n, c)
			dst := r.out(r.kind, n)
			tensor.Fill(dst.Tensor, c)
			r.check("dst", dst, func() []num {
				return exacts(fill(n, func() float64 { return c }))
			})
		}
	}
}

// copyConverts copies between all pairs of kinds.
func copyConverts(r *rig) {
	for _, from := range []tensor.Kind{tensor.Full, tensor.Compute} {
		for _, to := range []tensor.Kind{tensor.Full, tensor.Compute} {
			for _, n := range []int{0, 1, 12293} {
				r.variant("n=%d kinds %d→%d", n, from, to)
				x := r.in(from, r.wide(n), n)
				dst := r.out(to, n)
				tensor.Copy(dst.Tensor, x.Tensor)
				r.check("dst", dst, func() []num { return exacts(x.v) })
			}
		}
	}
	r.variant("shapes")
	a, b := r.out(r.kind, 2, 3), r.out(r.kind, 5)
	r.rejects("Copy of 5 to 6", func() { tensor.Copy(a.Tensor, b.Tensor) })
}

// mask also holds CountAbove to the same decisions.
func mask(r *rig) {
	for _, n := range lengths {
		for _, t := range []float64{0, 0.5, -1, 0.005, 0.1} {
			r.variant("n=%d t=%v", n, t)
			w := r.in(r.kind, with(r.wide(n), math.NaN(), 0, math.Inf(1)), n)
			score := r.uniform(n, 2*math.Abs(t)+1e-3)
			above, below := math.Nextafter(t, 9), math.Nextafter(t, -9)
			above32, below32 := float64(math.Nextafter32(float32(t), 9)), float64(math.Nextafter32(float32(t), -9))
			s := r.in(tensor.Full, with(score, t, t+1, above, below, above32, below32, t-1, math.NaN(), math.Inf(1), math.Inf(-1), t), n)
			dst := r.out(r.kind, n)
			tensor.Mask(dst.Tensor, w.Tensor, s.Tensor, t)
			r.checkAny("dst", dst, func() [][]num {
				want, other := make([]num, n), make([]num, n)
				for i := range want {
					keep := s.v[i] > t
					// The kernel may compare with t rounded to the format of the scores.
					doubtful := s.v[i] != t && math.Abs(s.v[i]-t) <= r.u*math.Abs(t)
					if keep {
						want[i] = exact(w.v[i])
					}
					if keep != doubtful {
						other[i] = exact(w.v[i])
					}
				}
				return [][]num{want, other}
			})
			ones := r.in(tensor.Full, fill(n, func() float64 { return 1 }), n)
			kept := r.out(tensor.Full, n)
			tensor.Mask(kept.Tensor, ones.Tensor, s.Tensor, t)
			sum := 0
			for _, v := range kept.Float64s() {
				sum += int(v)
			}
			count := r.out(tensor.Full)
			tensor.CountAbove(count.Tensor, s.Tensor, t)
			if c := int(count.Item()); c != sum {
				r.errorf("CountAbove counts %d scores, Mask keeps %d", c, sum)
			}
		}
	}
	r.variant("shapes")
	a, b := r.out(r.kind, 2), r.out(r.kind, 3)
	r.rejects("Mask with fewer scores", func() { tensor.Mask(b.Tensor, b.Tensor, a.Tensor, 0) })
	r.rejects("Mask of fewer weights", func() { tensor.Mask(b.Tensor, a.Tensor, b.Tensor, 0) })
}
