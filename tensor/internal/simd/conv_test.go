package simd

import (
	"fmt"
	"math"
	"testing"

	"fewshot/tensor/internal/par"
)

// convShapes have bands of some rows of an image and of several images, windows that are done in one piece and in
// several, channels at distances of powers of two, and columns of one vector and of many panels.
var convShapes = []ConvShape{
	{N: 1, H: 1, W: 1, C: 1, O: 1, Size: 3, Stride: 1}, {N: 2, H: 5, W: 7, C: 3, O: 5, Size: 3, Stride: 1}, {N: 1, H: 4, W: 29, C: 2, O: 70, Size: 5, Stride: 1},
	{N: 1, H: 40, W: 61, C: 72, O: 9, Size: 3, Stride: 1}, {N: 5, H: 7, W: 7, C: 40, O: 33, Size: 3, Stride: 1},
	{N: 2, H: 3, W: 4, C: 256, O: 6, Size: 3, Stride: 1}, {N: 1, H: 2, W: 3, C: 6, O: 512, Size: 3, Stride: 1}, {N: 4, H: 3, W: 3, C: 130, O: 20, Size: 3, Stride: 1},
	{N: 2, H: 16, W: 15, C: 3, O: 8, Size: 3, Stride: 2}, {N: 1, H: 9, W: 8, C: 4, O: 3, Size: 3, Stride: 3}, {N: 1, H: 130, W: 131, C: 3, O: 16, Size: 3, Stride: 2},
}

// products calls f for all that is multiplied and added up.
func (s ConvShape) products(f func(x, w, y int)) {
	p := (s.Size - 1) / 2
	for n := range s.N {
		for v := range s.outH() {
			for u := range s.outW() {
				for i := range s.Size {
					for j := range s.Size {
						y, x := v*s.Stride+i-p, u*s.Stride+j-p
						if y < 0 || y >= s.H || x < 0 || x >= s.W {
							continue
						}
						for c := range s.C {
							for o := range s.O {
								f(((n*s.H+y)*s.W+x)*s.C+c, ((i*s.Size+j)*s.C+c)*s.O+o, ((n*s.outH()+v)*s.outW()+u)*s.O+o)
							}
						}
					}
				}
			}
		}
	}
}

// addends are Σ a·b and Σ |a·b| by where they go.
type addends struct{ v, abs []float64 }

func newSums(n int) addends { return addends{make([]float64, n), make([]float64, n)} }

func (s addends) add(i int, a, b float32) {
	p := float64(a) * float64(b)
	s.v[i] += p
	s.abs[i] += math.Abs(p)
}

// check compares sums of up to terms products. The bound is that of any order of summation.
func (s addends) check(t *testing.T, what string, got []float32, terms int) {
	t.Helper()
	for i, g := range got {
		near(t, what, i, g, s.v[i], gamma(terms+4)*s.abs[i]+1e-30)
	}
}

func TestConv(t *testing.T) {
	const lanes = 2
	eachVariant(t, func(t *testing.T) {
		for seed, s := range convShapes {
			t.Run(fmt.Sprintf("%+v", s), func(t *testing.T) {
				r := newRand(uint64(seed))
				nx, nw, ny := s.N*s.H*s.W*s.C, s.Size*s.Size*s.C*s.O, s.N*s.outH()*s.outW()*s.O
				x, w, add, bias := input(nx, r, normal(r)), input(nw, r, normal(r)), input(ny, r, normal(r)), input(s.O, r, normal(r))
				ct := input(lanes*ny, r, normal(r))
				var one [3][]float32
				for _, workers := range []int{1, 3} {
					p := par.New(workers)
					y, dx, dw := newBuffer(ny, r), newBuffer(nx, r), newBuffer(lanes*nw, r)
					Conv(p, y.x, x.x, w.x, add.x, bias.x, s)
					grad := ConvGrad(p, dx.x, ct.x[:ny], w.x, s)
					ConvWeightGrad(p, dw.x, x.x, ct.x, s, lanes)
					p.Close()
					for what, b := range map[string]*buffer{"y": y, "dx": dx, "dw": dw, "x": x, "w": w, "add": add, "bias": bias, "ct": ct} {
						b.check(t, what)
					}
					if workers > 1 {
						sameBits(t, "y", y.x, one[0])
						sameBits(t, "dw", dw.x, one[2])
						if grad {
							sameBits(t, "dx", dx.x, one[1])
						}
						continue
					}
					one = [3][]float32{y.x, dx.x, dw.x}
					wy, wx, ww := newSums(ny), newSums(nx), newSums(lanes*nw)
					s.products(func(xi, wi, yi int) {
						wy.add(yi, x.x[xi], w.x[wi])
						wx.add(xi, ct.x[yi], w.x[wi])
						for k := range lanes {
							ww.add(k*nw+wi, x.x[xi], ct.x[k*ny+yi])
						}
					})
					for i := range y.x {
						wy.add(i, add.x[i], 1)
						wy.add(i, bias.x[i%s.O], 1)
					}
					wy.check(t, "y", y.x, s.Size*s.Size*s.C+2)
					ww.check(t, "dw", dw.x, s.N*s.outH()*s.outW())
					if grad != (s.Stride == 1) {
						t.Errorf("ConvGrad says %t", grad)
					}
					if grad {
						wx.check(t, "dx", dx.x, s.Size*s.Size*s.O)
					}
				}
			})
		}
	})
}

// BenchmarkConv does the 3×3 convolutions of RN50 on a batch, and reports their share of the peak. Flops are those without the rim.
func BenchmarkConv(b *testing.B) {
	p := par.New(0)
	defer p.Close()
	for _, batch := range []int{8, 32} {
		for _, s := range []ConvShape{{H: 224, W: 224, C: 3, O: 32, Stride: 2}, {H: 112, W: 112, C: 32, O: 32}, {H: 112, W: 112, C: 32, O: 64}, {H: 56, W: 56, C: 64, O: 64},
			{H: 28, W: 28, C: 128, O: 128}, {H: 14, W: 14, C: 256, O: 256}, {H: 7, W: 7, C: 512, O: 512}} {
			s.N, s.Size, s.Stride = batch, 3, max(s.Stride, 1)
			x, w, y := filled(s.N*s.H*s.W*s.C), filled(9*s.C*s.O), filled(s.N*s.outH()*s.outW()*s.O)
			for _, op := range []string{"fwd", "dX", "dW"} {
				for _, v := range machine {
					b.Run(fmt.Sprintf("op=%s/batch=%d/size=%d/c=%d/o=%d/impl=%s", op, batch, s.H, s.C, s.O, v.name), func(b *testing.B) {
						defer Use(v.name)()
						run := func() {
							switch op {
							case "fwd":
								Conv(p, y, x, w, nil, nil, s)
							case "dX":
								if !ConvGrad(p, x, y, w, s) {
									b.Skip("stride")
								}
							case "dW":
								ConvWeightGrad(p, w, x, y, s, 1)
							}
						}
						run()
						top := peak(p)
						flops := 2 * float64(len(y)) * float64(9*s.C)
						b.ResetTimer()
						for range b.N {
							run()
						}
						gflops := flops * float64(b.N) / float64(b.Elapsed().Nanoseconds())
						b.ReportMetric(gflops, "GFLOP/s")
						b.ReportMetric(100*gflops/top, "%peak")
					})
				}
			}
		}
	}
}
