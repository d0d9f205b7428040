package tensor

import "slices"

// Convolutions of images whose channels are the last axis, [N, H, W, C]. A convolution is a product: rows of windows,
// one for each pixel of the result, by a matrix w [Size²·C, O] with a row for each pixel of the window and channel, in
// that order. No device puts the windows into memory.

// ConvOptions are the window of a convolution, and what is added to it.
type ConvOptions struct {
	Size   int     // side of the window, odd. It hangs over the edges of the image by (Size−1)/2; what lies there is 0
	Stride int     // from one window to the next, both ways
	Add    *Tensor // added to the result: of dst's shape and kind, and dst itself or apart from it
	Bias   *Tensor // added to every pixel, of length O
}

const (
	convRule = "x [N,H,W,C], w [Size²·C,O], dst [N,(H−1)/Stride+1,(W−1)/Stride+1,O], Size odd"
	ctRule   = "dx [K,N,H,W,C], dw [K,Size²·C,O], ct [K,N,(H−1)/Stride+1,(W−1)/Stride+1,O], Size odd"
)

// ConvOut is how many windows there are along an axis of n pixels.
func ConvOut(n, stride int) int { return (n-1)/stride + 1 }

// convShape is the sizes of a convolution of n images [h, w, c] to o channels, and whether w and y can be its weight and result.
func convShape(x, w, y []int, o ConvOptions) (s ConvShape, ok bool) {
	if len(x) < 3 || len(w) < 2 || len(y) < 3 || o.Size < 1 || o.Size%2 == 0 || o.Stride < 1 {
		return s, false
	}
	xl, wl, yl := x[len(x)-3:], w[len(w)-2:], y[len(y)-3:]
	s = ConvShape{N: Len(x[:len(x)-3]), H: xl[0], W: xl[1], C: xl[2], O: wl[1], Size: o.Size, Stride: o.Stride}
	if min(s.H, s.W) < 1 {
		return s, false
	}
	return s, wl[0] == s.Size*s.Size*s.C && Len(y[:len(y)-3]) == s.N && slices.Equal(yl, []int{s.OutH(), s.OutW(), s.O})
}

// Conv is dst[n,y,x,o] = Σ x[n, y·Stride+i−p, x·Stride+j−p, c]·w[(i·Size+j)·C+c, o] over i, j < Size and c, with p = (Size−1)/2: as
// torch.nn.functional.conv2d with that padding.
func Conv(dst, x, w *Tensor, o ConvOptions) {
	s, ok := convShape(x.shape, w.shape, dst.shape, o)
	check(ok && w.Rank() == 2, "Conv", convRule, "dst x w", dst, x, w)
	if o.pointwise() {
		Gemm(dst.View(s.N*s.H*s.W, s.O), x.View(s.N*s.H*s.W, s.C), w, GemmOptions{Add: viewed(o.Add, s.N*s.H*s.W, s.O), Bias: o.Bias})
		return
	}
	var add, bias Buf
	if o.Add != nil {
		check(slices.Equal(o.Add.shape, dst.shape) && o.Add.Kind() == dst.Kind(), "Conv", "what is added has dst's shape and kind", "dst add", dst, o.Add)
		check(!o.Add.overlaps(dst) || o.Add.first == dst.first, "Conv", "what is added is dst or apart from it", "dst add", dst, o.Add)
		add = o.Add.buf
	}
	if o.Bias != nil {
		check(o.Bias.Len() == s.O, "Conv", "one bias a channel", "dst bias", dst, o.Bias)
		bias = o.Bias.buf
	}
	dst.dev.backend.Conv(dst.buf, x.buf, w.buf, add, bias, s)
}

// ConvGrad is the gradient with respect to x, for the K lanes of ct: dx [K,N,H,W,C], of which Add and Bias have no part.
func ConvGrad(dx, ct, w *Tensor, o ConvOptions) {
	s, ok := convShape(dx.shape, w.shape, ct.shape, o)
	check(ok && w.Rank() == 2, "ConvGrad", ctRule, "dx ct w", dx, ct, w)
	if o.pointwise() {
		Gemm(dx.View(s.N*s.H*s.W, s.C), ct.View(s.N*s.H*s.W, s.O), w, GemmOptions{TransB: true})
		return
	}
	dx.dev.backend.ConvGrad(dx.buf, ct.buf, w.buf, s)
}

// ConvWeightGrad is the gradient with respect to w, for the K lanes of ct: dw [K,Size²·C,O].
func ConvWeightGrad(dw, x, ct *Tensor, o ConvOptions) {
	k := lanes("ConvWeightGrad", ct)
	ok := k > 0 && ct.Rank() > 3 && dw.Rank() == 3 && dw.shape[0] == k
	var s ConvShape
	if ok {
		s, ok = convShape(x.shape, dw.shape, ct.shape[1:], o)
	}
	check(ok, "ConvWeightGrad", ctRule, "dw x ct", dw, x, ct)
	if o.pointwise() {
		m := s.N * s.H * s.W
		Gemm(dw, x.View(m, s.C), ct.View(k, m, s.O), GemmOptions{TransA: true})
		return
	}
	dw.dev.backend.ConvWeightGrad(dw.buf, x.buf, ct.buf, s, k)
}

// pointwise reports whether the windows are the pixels: then this is a product of what is in memory anyway.
func (o ConvOptions) pointwise() bool { return o.Size == 1 && o.Stride == 1 }

func viewed(x *Tensor, shape ...int) *Tensor {
	if x == nil {
		return nil
	}
	return x.View(shape...)
}

// AvgPool is the mean of each square of size×size pixels: x [...,H,W,C] to dst [...,H/size,W/size,C], with size dividing H and W.
func AvgPool(dst, x *Tensor, size int) {
	s, ok := poolShape(x.shape, dst.shape, size)
	check(ok, "AvgPool", "x [...,H,W,C], dst [...,H/size,W/size,C]", "dst x", dst, x)
	dst.dev.backend.AvgPool(dst.buf, x.buf, s)
}

// AvgPoolGrad is the gradient with respect to x: dx [...,H,W,C] of ct [...,H/size,W/size,C].
func AvgPoolGrad(dx, ct *Tensor, size int) {
	s, ok := poolShape(dx.shape, ct.shape, size)
	check(ok, "AvgPoolGrad", "dx [...,H,W,C], ct [...,H/size,W/size,C]", "dx ct", dx, ct)
	dx.dev.backend.AvgPoolGrad(dx.buf, ct.buf, s)
}

func poolShape(x, y []int, size int) (s PoolShape, ok bool) {
	n := len(x) - 3
	if n < 0 || len(y) != len(x) || size < 1 {
		return s, false
	}
	s = PoolShape{N: Len(x[:n]), H: x[n], W: x[n+1], C: x[n+2], Size: size}
	return s, s.H%size == 0 && s.W%size == 0 && slices.Equal(x[:n], y[:n]) && slices.Equal(y[n:], []int{s.H / size, s.W / size, s.C})
}
