package cpu

import "fewshot/tensor/internal/par"

// ConvShape is tensor.ConvShape.
type ConvShape struct{ N, H, W, C, O, Size, Stride int }

func (s ConvShape) outH() int { return (s.H-1)/s.Stride + 1 }
func (s ConvShape) outW() int { return (s.W-1)/s.Stride + 1 }
func (s ConvShape) pad() int  { return (s.Size - 1) / 2 }

// at is where in the images the channels begin of pixel tap of the window at the given pixel of the result, −1 outside of an image.
func (s ConvShape) at(pixel, tap int) int {
	oh, ow := s.outH(), s.outW()
	n, y, x := pixel/(oh*ow), pixel/ow%oh, pixel%ow
	y, x = y*s.Stride+tap/s.Size-s.pad(), x*s.Stride+tap%s.Size-s.pad()
	if y < 0 || y >= s.H || x < 0 || x >= s.W {
		return -1
	}
	return ((n*s.H+y)*s.W + x) * s.C
}

// from goes the other way: it is where in the results the channels begin of the pixel in whose window the given pixel
// of an image is pixel tap, −1 if there is none.
func (s ConvShape) from(pixel, tap int) int {
	n, y, x := pixel/(s.H*s.W), pixel/s.W%s.H, pixel%s.W
	y, x = y+s.pad()-tap/s.Size, x+s.pad()-tap%s.Size
	if y < 0 || x < 0 || y%s.Stride != 0 || x%s.Stride != 0 || y/s.Stride >= s.outH() || x/s.Stride >= s.outW() {
		return -1
	}
	return ((n*s.outH()+y/s.Stride)*s.outW() + x/s.Stride) * s.O
}

// Conv is dst[n,y,x,o] = Σ_{i,j,c} x[n, y·Stride+i−p, x·Stride+j−p, c]·w[(i·Size+j)·C+c, o] (+ add[n,y,x,o]) (+
// bias[o]), p = (Size−1)/2.
func (k *Kernels[T]) Conv(dst, x, w, add, bias []T, s ConvShape) {
	k.Gemm(&GemmArgs[T]{Dst: dst, B: w, Add: add, Bias: bias, M: s.N * s.outH() * s.outW(), N: s.O, K: s.Size * s.Size * s.C,
		LDB: s.O, LDC: s.O, Batch: 1, packA: func(to []T, lo, hi, k0, depth int) { packWindows(to, x, lo, hi, k0, depth, s.C, s.at) }})
}

// ConvGrad is dx[n,y,x,c] = Σ ct[n,v,u,o]·w[(i·Size+j)·C+c, o] over o and all windows (v,u) whose (i,j) is (y,x).
func (k *Kernels[T]) ConvGrad(dx, ct, w []T, s ConvShape) {
	k.Gemm(&GemmArgs[T]{Dst: dx, M: s.N * s.H * s.W, N: s.C, K: s.Size * s.Size * s.O, LDC: s.C, Batch: 1,
		packA: func(to []T, lo, hi, k0, depth int) { packWindows(to, ct, lo, hi, k0, depth, s.O, s.from) },
		packB: func(to []T, lo, hi, k0, depth int) {
			// Element (tap, o) of column c is w[tap·C+c, o].
			for c := lo; c < hi; c += tileN {
				panel := to[(c-lo)*depth:][:tileN*depth]
				for r := range tileN {
					for at := range depth {
						v := T(0)
						if c+r < hi {
							tap, o := (k0+at)/s.O, (k0+at)%s.O
							v = w[(tap*s.C+c+r)*s.O+o]
						}
						panel[at*tileN+r] = v
					}
				}
			}
		}})
}

// ConvWeightGrad is, for each lane k, dw[k,(i·Size+j)·C+c, o] = Σ_{n,y,x} x[n, y·Stride+i−p, x·Stride+j−p, c]·ct[k,n,y,x,o].
func (k *Kernels[T]) ConvWeightGrad(dw, x, ct []T, s ConvShape, lanes int) {
	pixels := s.N * s.outH() * s.outW()
	m := s.Size * s.Size * s.C
	k.Gemm(&GemmArgs[T]{Dst: dw, B: ct, M: m, N: s.O, K: pixels, LDB: s.O, LDC: s.O, Batch: lanes, StrideB: pixels * s.O, StrideC: m * s.O,
		packA: func(to []T, lo, hi, k0, depth int) {
			for v := lo; v < hi; v += tileM {
				panel := to[(v-lo)*depth:][:tileM*depth]
				for r := range tileM {
					tap, c := (v+r)/s.C, (v+r)%s.C
					for i := range depth {
						e := T(0)
						if v+r < hi {
							if at := s.at(k0+i, tap); at >= 0 {
								e = x[at+c]
							}
						}
						panel[i*tileM+r] = e
					}
				}
			}
		}})
}

// packWindows fills panels with elements k0 to k0+depth of windows lo to hi: of each pixel of the window as many channels from the
// place that at names, zeros if there is none.
func packWindows[T Float](to, x []T, lo, hi, k0, depth, channels int, at func(pixel, tap int) int) {
	for v := lo; v < hi; v += tileM {
		panel := to[(v-lo)*depth:][:tileM*depth]
		for r := range tileM {
			for i := 0; i < depth; {
				tap, c := (k0+i)/channels, (k0+i)%channels
				n := min(channels-c, depth-i)
				from := -1
				if v+r < hi {
					from = at(v+r, tap)
				}
				if from < 0 {
					for j := range n {
						panel[(i+j)*tileM+r] = 0
					}
				} else {
					for j, e := range x[from+c:][:n] {
						panel[(i+j)*tileM+r] = e
					}
				}
				i += n
			}
		}
	}
}

// PoolShape is tensor.PoolShape.
type PoolShape struct{ N, H, W, C, Size int }

// AvgPool is dst[n,y,x,c] = mean of x[n, y·Size+i, x·Size+j, c], i, j < Size.
func (k *Kernels[T]) AvgPool(dst, x []T, s PoolShape) {
	row := s.W / s.Size * s.C
	par.Do(k.pool, s.N*(s.H/s.Size), rowGrain(row*s.Size*s.Size, Light), avgPool[T]{dst, x, row, s})
}

type avgPool[T Float] struct {
	dst, x []T
	row    int // numbers in a row of the result
	s      PoolShape
}

func (p *avgPool[T]) Do(_, lo, hi int) {
	size, c := p.s.Size, p.s.C
	factor := 1 / float64(size*size)
	for r := lo; r < hi; r++ {
		to := p.dst[r*p.row:][:p.row]
		from := p.x[r*size*p.s.W*c:]
		for i := range to {
			at := i/c*size*c + i%c
			sum := 0.0
			for y := range size {
				for x := range size {
					sum += float64(from[(y*p.s.W+x)*c+at])
				}
			}
			to[i] = T(sum * factor)
		}
	}
}

// AvgPoolGrad is dx[n,y,x,c] = ct[n, y/Size, x/Size, c]/Size².
func (k *Kernels[T]) AvgPoolGrad(dx, ct []T, s PoolShape) {
	par.Do(k.pool, s.N*s.H, rowGrain(s.W*s.C, Light), avgPoolGrad[T]{dx, ct, s})
}

type avgPoolGrad[T Float] struct {
	dx, ct []T
	s      PoolShape
}

func (p *avgPoolGrad[T]) Do(_, lo, hi int) {
	s := p.s
	factor := 1 / float64(s.Size*s.Size)
	for r := lo; r < hi; r++ {
		to := p.dx[r*s.W*s.C:][:s.W*s.C]
		from := p.ct[r/s.Size*(s.W/s.Size)*s.C:]
		for x := range s.W {
			pixel := from[x/s.Size*s.C:][:s.C]
			for c, v := range pixel {
				to[x*s.C+c] = T(float64(v) * factor)
			}
		}
	}
}
