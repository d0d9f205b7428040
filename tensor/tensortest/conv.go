package tensortest

import "fewshot/tensor"

var convCases = []testCase{
	{name: "Conv", run: conv},
	{name: "ConvGrad", run: convGrad},
	{name: "ConvWeightGrad", run: convWeightGrad},
	{name: "AvgPool", run: avgPool},
	{name: "AvgPoolGrad", run: avgPoolGrad},
}

// convolution is the sizes of a case.
type convolution struct{ n, h, w, c, o, size, stride int }

// convolutions have windows that hang over all edges, images smaller than a window, odd and even sizes, channels on both sides of
// vectors and tiles, and enough of them that sums go over several blocks.
var convolutions = []convolution{
	{1, 1, 1, 1, 1, 1, 1}, {2, 3, 4, 5, 7, 1, 1}, {1, 4, 3, 5, 2, 1, 2}, {0, 3, 3, 2, 2, 3, 1},
	{1, 1, 1, 1, 1, 3, 1}, {1, 2, 1, 3, 2, 3, 1}, {1, 1, 5, 2, 3, 3, 1}, {2, 3, 3, 1, 1, 3, 1}, {2, 4, 5, 3, 5, 3, 1}, {1, 7, 7, 8, 32, 3, 1},
	{3, 4, 6, 17, 33, 3, 1}, {1, 14, 14, 4, 20, 3, 1}, {1, 5, 29, 2, 16, 3, 1}, {1, 2, 2, 70, 40, 3, 1}, {1, 3, 3, 300, 3, 3, 1},
	{1, 6, 6, 3, 4, 3, 2}, {2, 5, 7, 3, 8, 3, 2}, {1, 1, 2, 2, 2, 3, 2}, {1, 16, 31, 3, 12, 3, 2}, {1, 9, 9, 4, 4, 3, 3},
	{1, 4, 4, 2, 3, 5, 1}, {1, 6, 5, 2, 2, 5, 2}, {1, 2, 2, 1, 1, 7, 1},
}

func (s convolution) out() (h, w int) { return (s.h-1)/s.stride + 1, (s.w-1)/s.stride + 1 }

func (s convolution) options() tensor.ConvOptions {
	return tensor.ConvOptions{Size: s.size, Stride: s.stride}
}

// terms runs over all products of a convolution: element x of an image and w of the weight go into element y of the result.
func (s convolution) terms(f func(x, w, y int)) {
	oh, ow := s.out()
	p := (s.size - 1) / 2
	for n := range s.n {
		for v := range oh {
			for u := range ow {
				for i := range s.size {
					for j := range s.size {
						row, col := v*s.stride+i-p, u*s.stride+j-p
						if row < 0 || row >= s.h || col < 0 || col >= s.w {
							continue
						}
						for c := range s.c {
							for o := range s.o {
								f(((n*s.h+row)*s.w+col)*s.c+c, ((i*s.size+j)*s.c+c)*s.o+o, ((n*oh+v)*ow+u)*s.o+o)
							}
						}
					}
				}
			}
		}
	}
}

// products is n sums of products, each by where it goes. Where all are whole numbers that the format holds, nothing rounds.
func (r *rig) products(n int, a, b []float64, terms int, run func(f func(at int, x, y float64))) []accumulator {
	sum := make([]accumulator, n)
	if r.holds(float64(terms) * largest(a) * largest(b)) {
		exactly := make([]float64, n)
		run(func(at int, x, y float64) { exactly[at] += x * y })
		for i, v := range exactly {
			sum[i].add(exact(v))
		}
		return sum
	}
	run(func(at int, x, y float64) { sum[at].product(r.arith, x, y) })
	return sum
}

func conv(r *rig) {
	for i, s := range convolutions {
		for _, whole := range []bool{true, false} {
			add, bias := additions[i%3], i&2 != 0
			r.variant("%+v to %s, bias %t, whole %t", s, add, bias, whole)
			oh, ow := s.out()
			x := r.in(r.kind, r.inputs(whole, s.n*s.h*s.w*s.c), s.n, s.h, s.w, s.c)
			w := r.in(r.kind, r.inputs(whole, s.size*s.size*s.c*s.o), s.size*s.size*s.c, s.o)
			shape := []int{s.n, oh, ow, s.o}
			opt := s.options()
			var dst, terms *operand
			switch add {
			case nothing:
				dst = r.out(r.kind, shape...)
			case itself:
				dst = r.inout(r.kind, r.inputs(whole, tensor.Len(shape)), shape...)
				terms = dst
			case another:
				dst, terms = r.out(r.kind, shape...), r.in(r.kind, r.inputs(whole, tensor.Len(shape)), shape...)
			}
			var biases []float64
			if terms != nil {
				opt.Add = terms.Tensor
			}
			if bias {
				b := r.in(r.kind, r.inputs(whole, s.o), s.o)
				opt.Bias, biases = b.Tensor, b.v
			}
			tensor.Conv(dst.Tensor, x.Tensor, w.Tensor, opt)
			r.check("dst", dst, func() []num {
				sum := r.products(tensor.Len(shape), x.v, w.v, s.size*s.size*s.c, func(f func(at int, x, y float64)) {
					s.terms(func(xi, wi, yi int) { f(yi, x.v[xi], w.v[wi]) })
				})
				for j := range sum {
					if terms != nil {
						sum[j].add(exact(terms.v[j]))
					}
					if biases != nil {
						sum[j].add(exact(biases[j%s.o]))
					}
				}
				return r.sums(sum)
			})
		}
	}
	r.variant("shapes")
	three := tensor.ConvOptions{Size: 3, Stride: 1}
	x, w, y := r.out(r.kind, 1, 4, 4, 2), r.out(r.kind, 18, 3), r.out(r.kind, 1, 4, 4, 3)
	flat, other := r.out(r.kind, 16, 2), r.out(r.kind, 1, 2, 2, 3)
	r.rejects("Conv with a window of even size", func() {
		tensor.Conv(y.Tensor, x.Tensor, w.Tensor, tensor.ConvOptions{Size: 2, Stride: 1})
	})
	r.rejects("Conv without a stride", func() { tensor.Conv(y.Tensor, x.Tensor, w.Tensor, tensor.ConvOptions{Size: 3}) })
	r.rejects("Conv of rows", func() { tensor.Conv(y.Tensor, flat.Tensor, w.Tensor, three) })
	r.rejects("Conv with another weight", func() { tensor.Conv(y.Tensor, x.Tensor, flat.Tensor, three) })
	r.rejects("Conv to a smaller image", func() { tensor.Conv(other.Tensor, x.Tensor, w.Tensor, three) })
	r.rejects("Conv to which a smaller image is added", func() {
		tensor.Conv(y.Tensor, x.Tensor, w.Tensor, tensor.ConvOptions{Size: 3, Stride: 1, Add: other.Tensor})
	})
	r.rejects("Conv with a bias a pixel", func() {
		tensor.Conv(y.Tensor, x.Tensor, w.Tensor, tensor.ConvOptions{Size: 3, Stride: 1, Bias: flat.Tensor})
	})
}

func convGrad(r *rig) {
	for i, s := range convolutions {
		lanes := 1 + i%3
		for _, whole := range []bool{true, false} {
			r.variant("%+v lanes=%d whole=%t", s, lanes, whole)
			oh, ow := s.out()
			nx, ny := s.n*s.h*s.w*s.c, s.n*oh*ow*s.o
			ct := r.in(r.kind, r.inputs(whole, lanes*ny), lanes, s.n, oh, ow, s.o)
			w := r.in(r.kind, r.inputs(whole, s.size*s.size*s.c*s.o), s.size*s.size*s.c, s.o)
			dx := r.out(r.kind, lanes, s.n, s.h, s.w, s.c)
			tensor.ConvGrad(dx.Tensor, ct.Tensor, w.Tensor, s.options())
			r.check("dx", dx, func() []num {
				return r.sums(r.products(lanes*nx, ct.v, w.v, s.size*s.size*s.o, func(f func(at int, x, y float64)) {
					for k := range lanes {
						s.terms(func(xi, wi, yi int) { f(k*nx+xi, ct.v[k*ny+yi], w.v[wi]) })
					}
				}))
			})
		}
	}
	r.variant("shapes")
	three := tensor.ConvOptions{Size: 3, Stride: 1}
	dx, w, ct := r.out(r.kind, 2, 1, 4, 4, 2), r.out(r.kind, 18, 3), r.out(r.kind, 2, 1, 4, 4, 3)
	r.rejects("ConvGrad for fewer lanes", func() { tensor.ConvGrad(dx.Rows(0, 1), ct.Tensor, w.Tensor, three) })
	r.rejects("ConvGrad with another weight", func() { tensor.ConvGrad(dx.Tensor, ct.Tensor, w.Rows(0, 9), three) })
}

// convWeightGrad writes gradients of weights, which are Full.
func convWeightGrad(r *rig) {
	for i, s := range convolutions {
		lanes := 1 + i%3
		for _, whole := range []bool{true, false} {
			r.variant("%+v lanes=%d whole=%t", s, lanes, whole)
			oh, ow := s.out()
			nw, ny := s.size*s.size*s.c*s.o, s.n*oh*ow*s.o
			x := r.in(r.kind, r.inputs(whole, s.n*s.h*s.w*s.c), s.n, s.h, s.w, s.c)
			ct := r.in(r.kind, r.inputs(whole, lanes*ny), lanes, s.n, oh, ow, s.o)
			dw := r.out(tensor.Full, lanes, s.size*s.size*s.c, s.o)
			tensor.ConvWeightGrad(dw.Tensor, x.Tensor, ct.Tensor, s.options())
			r.check("dw", dw, func() []num {
				return r.sums(r.products(lanes*nw, x.v, ct.v, s.n*oh*ow, func(f func(at int, x, y float64)) {
					for k := range lanes {
						s.terms(func(xi, wi, yi int) { f(k*nw+wi, x.v[xi], ct.v[k*ny+yi]) })
					}
				}))
			})
		}
	}
	r.variant("shapes")
	three := tensor.ConvOptions{Size: 3, Stride: 1}
	x, dw, ct := r.out(r.kind, 1, 4, 4, 2), r.out(r.kind, 2, 18, 3), r.out(r.kind, 2, 1, 4, 4, 3)
	r.rejects("ConvWeightGrad for fewer lanes", func() { tensor.ConvWeightGrad(dw.Rows(0, 1), x.Tensor, ct.Tensor, three) })
	r.rejects("ConvWeightGrad without lanes", func() { tensor.ConvWeightGrad(dw.Tensor, x.Tensor, ct.Index(0), three) })
	r.rejects("ConvWeightGrad of fewer images", func() { tensor.ConvWeightGrad(dw.Tensor, x.Rows(0, 0), ct.Tensor, three) })
}

// pools are images, with channels on both sides of a vector, and squares.
var pools = []struct{ n, h, w, c, size int }{{1, 1, 1, 1, 1}, {2, 3, 2, 5, 1}, {1, 2, 2, 1, 2}, {3, 4, 6, 7, 2}, {0, 2, 2, 3, 2}, {1, 8, 8, 64, 2}, {2, 6, 3, 33, 3}, {1, 14, 14, 130, 2}, {5, 16, 48, 17, 4}}

func avgPool(r *rig) {
	for _, s := range pools {
		r.variant("%+v", s)
		x := r.in(r.kind, r.wide(s.n*s.h*s.w*s.c), s.n, s.h, s.w, s.c)
		oh, ow := s.h/s.size, s.w/s.size
		dst := r.out(r.kind, s.n, oh, ow, s.c)
		tensor.AvgPool(dst.Tensor, x.Tensor, s.size)
		r.check("dst", dst, func() (want []num) {
			sum := make([]accumulator, s.n*oh*ow*s.c)
			for i, v := range x.v {
				n, y, col, c := i/(s.h*s.w*s.c), i/(s.w*s.c)%s.h, i/s.c%s.w, i%s.c
				sum[((n*oh+y/s.size)*ow+col/s.size)*s.c+c].add(exact(v))
			}
			for _, v := range r.sums(sum) {
				want = append(want, r.mul(r.constant(1/float64(s.size*s.size)), v))
			}
			return want
		})
	}
	r.variant("shapes")
	x, y := r.out(r.kind, 1, 4, 6, 2), r.out(r.kind, 1, 2, 3, 2)
	r.rejects("AvgPool by what does not divide", func() { tensor.AvgPool(y.Tensor, x.Tensor, 3) })
	r.rejects("AvgPool by 0", func() { tensor.AvgPool(y.Tensor, x.Tensor, 0) })
	r.rejects("AvgPool to the same size", func() { tensor.AvgPool(x.Tensor, x.Tensor, 2) })
}

func avgPoolGrad(r *rig) {
	for lanes := 1; lanes <= 2; lanes++ {
		for _, s := range pools {
			r.variant("%+v lanes=%d", s, lanes)
			oh, ow := s.h/s.size, s.w/s.size
			ct := r.in(r.kind, r.wide(lanes*s.n*oh*ow*s.c), lanes, s.n, oh, ow, s.c)
			dx := r.out(r.kind, lanes, s.n, s.h, s.w, s.c)
			tensor.AvgPoolGrad(dx.Tensor, ct.Tensor, s.size)
			r.check("dx", dx, func() []num {
				want := make([]num, 0, dx.Len())
				for i := range dx.Len() {
					n, y, col, c := i/(s.h*s.w*s.c), i/(s.w*s.c)%s.h, i/s.c%s.w, i%s.c
					v := ct.v[((n*oh+y/s.size)*ow+col/s.size)*s.c+c]
					want = append(want, r.mul(r.constant(1/float64(s.size*s.size)), exact(v)))
				}
				return want
			})
		}
	}
	r.variant("shapes")
	x, y := r.out(r.kind, 1, 4, 6, 2), r.out(r.kind, 1, 2, 3, 2)
	r.rejects("AvgPoolGrad by what does not divide", func() { tensor.AvgPoolGrad(x.Tensor, y.Tensor, 3) })
	r.rejects("AvgPoolGrad of the same size", func() { tensor.AvgPoolGrad(x.Tensor, x.Tensor, 2) })
}
