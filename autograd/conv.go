package autograd

import "fewshot/tensor"

// Conv convolves images x [N,H,W,C] with w [Size²·C, O], as ConvWeight makes it, into [N,H',W',O], and adds b [O] to
// every pixel and a residual r of the result's shape, unless they are nil. See [tensor.Conv].
func Conv(x, w, b, r *Var, size, stride int) *Var {
	return convolve(x, w, b, r, size, stride, false, false)
}

// ConvReLU is Conv with a ReLU behind it: the sign of the result says what its derivative is, so that nothing else is
// kept for it.
func ConvReLU(x, w, b, r *Var, size, stride int) *Var {
	return convolve(x, w, b, r, size, stride, true, false)
}

// ConvReLUOver is ConvReLU for a residual that nobody will read any more: the result is put in its place, unless it is
// kept for a sweep.
func ConvReLUOver(x, w, b, r *Var, size, stride int) *Var {
	return convolve(x, w, b, r, size, stride, true, true)
}

func convolve(x, w, b, r *Var, size, stride int, relu, over bool) *Var {
	t, in := x.tape, x.Shape()
	o := tensor.ConvOptions{Size: size, Stride: stride}
	var out *tensor.Tensor
	if over && t.ownsAlone(r.Value) {
		out = r.Value
	} else {
		out = t.New(x.Value.Kind(), in[0], tensor.ConvOut(in[1], stride), tensor.ConvOut(in[2], stride), w.Value.Dim(1))
	}
	with, inputs := o, []*Var{x, w}
	if b != nil {
		with.Bias = b.Value
		inputs = append(inputs, b)
	}
	if r != nil {
		with.Add = r.Value
		inputs = append(inputs, r)
	}
	tensor.Conv(out, x.Value, w.Value, with)
	keep := keepFactors(x, w)
	if relu {
		tensor.Activate(out, out, tensor.ReLU)
		keep = append(keep, out)
	}
	var y *Var
	y = t.Record(out, inputs, keep, func(s *Sweep, ct *tensor.Tensor) {
		if relu {
			through := s.Over(ct, y)
			tensor.ActivateGrad(through, ct, out, tensor.ReLU)
			ct = through
			defer ct.Release()
		}
		if x.NeedsGrad() {
			dx := s.New(x)
			tensor.ConvGrad(dx, ct, w.Value, o)
			s.Give(x, dx)
		}
		if w.NeedsGrad() {
			xs, dw := s.recall(x), s.NewLike(tensor.Full, w.Shape()...)
			tensor.ConvWeightGrad(dw, xs, ct, o)
			xs.Release()
			s.Give(w, dw)
		}
		if b != nil {
			s.Pass(b, ct)
		}
		if r != nil {
			s.Pass(r, ct)
		}
	})
	return y
}

// ConvWeight brings a convolution's weight [O,C,k,k], as checkpoints have it, into the order [k·k·C, O] in which Conv
// reads it, with column o times scale[o], unless scale is nil. The gradient of a weight is Full, and stays so on its
// way back.
func ConvWeight(w, scale *Var) *Var {
	t, shape := w.tape, w.Shape()
	o, c, k2 := shape[0], shape[1], shape[2]*shape[3]
	out := t.New(w.Value.Kind(), k2*c, o)
	channelsLast(out, w.Value)
	inputs := []*Var{w}
	var keep []*tensor.Tensor
	if scale != nil {
		tensor.Mul(out, out, scale.Value)
		inputs = append(inputs, scale)
		keep = append(keep, scale.Value)
		if scale.NeedsGrad() {
			keep = append(keep, w.Value)
		}
	}
	return t.Record(out, inputs, keep, func(s *Sweep, ct *tensor.Tensor) {
		if scale != nil && scale.NeedsGrad() {
			plain := t.dev.New(w.Value.Kind(), k2*c, o)
			channelsLast(plain, w.Value)
			g := s.NewLike(tensor.Full, k2*c, o)
			tensor.Mul(g, ct, plain)
			plain.Release()
			s.Give(scale, g)
		}
		if !w.NeedsGrad() {
			return
		}
		scaled := ct
		if scale != nil {
			scaled = s.NewLike(tensor.Full, k2*c, o)
			tensor.Mul(scaled, ct, scale.Value)
		} else {
			scaled.Retain()
		}
		dw := s.NewLike(tensor.Full, shape...)
		channelsFirst(dw, scaled, s.lanes, o, c, k2)
		scaled.Release()
		s.Give(w, dw)
	})
}

// channelsLast is dst[(i·k+j)·C+c, o] = w[o,c,i,j].
func channelsLast(dst, w *tensor.Tensor) {
	o, c, k2 := w.Shape()[0], w.Shape()[1], w.Shape()[2]*w.Shape()[3]
	to := dst
	if k2 > 1 {
		to = dst.Device().New(dst.Kind(), c, k2, o)
		defer to.Release()
	}
	transpose(to, w, 1, o, c*k2)
	if k2 > 1 {
		for i := range k2 {
			tensor.CopyBlocks(dst, to, c, o, i*c*o, o, i*o, k2*o)
		}
	}
}

// channelsFirst goes the other way, for each lane.
func channelsFirst(w, x *tensor.Tensor, lanes, o, c, k2 int) {
	from := x
	if k2 > 1 {
		from = x.Device().New(x.Kind(), lanes, c, k2, o)
		defer from.Release()
		n := c * k2 * o
		for k := range lanes {
			for i := range k2 {
				tensor.CopyBlocks(from, x, c, o, k*n+i*o, k2*o, k*n+i*c*o, o)
			}
		}
	}
	transpose(w, from, lanes, c*k2, o)
}

// transpose is dst[b,j,i] = x[b,i,j] for x [b, rows, cols]: patches of one pixel.
func transpose(dst, x *tensor.Tensor, b, rows, cols int) {
	tensor.Patches(dst, x.View(b, rows, 1, cols), 1)
}

// ChannelsLast takes images [N,C,H,W] to [N,H,W,C].
func ChannelsLast(images *Var) *Var {
	t, s := images.tape, images.Shape()
	n, c, h, w := s[0], s[1], s[2], s[3]
	out := t.New(tensor.Compute, n, h, w, c)
	transpose(out, images.Value, n, c, h*w)
	return t.Record(out, []*Var{images}, nil, func(s *Sweep, ct *tensor.Tensor) {
		dx := s.New(images)
		transpose(dx, ct, s.lanes*n, h*w, c)
		s.Give(images, dx)
	})
}

// AvgPool is the mean of each square of size×size pixels of images [N,H,W,C], with size dividing H and W.
func AvgPool(x *Var, size int) *Var {
	t, s := x.tape, x.Shape()
	out := t.New(x.Value.Kind(), s[0], s[1]/size, s[2]/size, s[3])
	tensor.AvgPool(out, x.Value, size)
	return t.Record(out, []*Var{x}, nil, func(s *Sweep, ct *tensor.Tensor) {
		dx := s.New(x)
		tensor.AvgPoolGrad(dx, ct, size)
		s.Give(x, dx)
	})
}

// PrependMean puts the mean of the tokens of x [B, L, D] before them: [B, L+1, D].
func PrependMean(x *Var) *Var {
	t, s := x.tape, x.Shape()
	b, l, d := s[0], s[1], s[2]
	out, mean := t.New(x.Value.Kind(), b, l+1, d), t.dev.New(tensor.Full, b, d)
	defer mean.Release()
	tensor.SumTo(mean, x.Value)
	tensor.Scale(mean, mean, 1/float64(l))
	tensor.CopyBlocks(out, mean, b, d, 0, (l+1)*d, 0, d)
	tensor.CopyBlocks(out, x.Value, b, l*d, d, (l+1)*d, 0, l*d)
	return t.Record(out, []*Var{x}, nil, func(s *Sweep, ct *tensor.Tensor) {
		// The mean's cotangent goes to all tokens alike: a product with a column of 1/L, to which their own are added.
		kb := s.lanes * b
		dx, first, share := s.New(x), s.NewLike(ct.Kind(), b, 1, d), t.dev.New(ct.Kind(), l, 1)
		tensor.CopyBlocks(dx, ct, kb, l*d, 0, l*d, d, (l+1)*d)
		tensor.CopyBlocks(first, ct, kb, d, 0, d, 0, (l+1)*d)
		tensor.Fill(share, 1/float64(l))
		tensor.Gemm(dx, share, first, tensor.GemmOptions{Add: dx})
		first.Release()
		share.Release()
		s.Give(x, dx)
	})
}
