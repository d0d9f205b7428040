//go:build cuda

package cuda

import "fewshot/tensor"

// Convolutions are made of copies and products: of images with a rim of zeros, the windows' pixel (i, j) is one matrix,
// the same for all windows but for where it begins, so that a convolution is a product for each pixel of the window,
// added up in float32. Pixels of the rim are computed with the others, and left out when the result is copied.

// rimmed is the sizes of images with a rim.
type rimmed struct{ h, w, p, rows int }

// rim is of s's images, or results of stride 1; rows is how many windows there are, those over the rim's pixels
// included.
func rim(s tensor.ConvShape) rimmed {
	p := (s.Size - 1) / 2
	r := rimmed{h: s.H + 2*p, w: s.W + 2*p, p: p}
	r.rows = max(s.N*r.h*r.w-2*p*r.w-2*p, 0)
	return r
}

// room is scratch memory for n elements of a size.
func (b *backend) room(n int, size uint8) tensor.Buf {
	return tensor.Buf{Ptr: b.scratch.take(b, n*int(size)), N: n, Size: size}
}

// withRim copies images of s's height and width and c channels, with so many rows and columns of zeros before them,
// and as many as it takes after.
func (b *backend) withRim(x tensor.Buf, s tensor.ConvShape, c, before int) tensor.Buf {
	r := rim(s)
	wide, out := b.room(s.N*s.H*r.w*c, x.Size), b.room(s.N*r.h*r.w*c, x.Size)
	b.Fill(wide, 0)
	b.Fill(out, 0)
	b.Copy2D(wide.Slice(before*c, wide.N), x, s.N*s.H, s.W*c, r.w*c, s.W*c)
	b.Copy2D(out.Slice(before*r.w*c, out.N), wide, s.N, s.H*r.w*c, r.h*r.w*c, s.H*r.w*c)
	return out
}

// pixels are the numbers of the pixels of s's images at which windows are.
func pixels(s tensor.ConvShape, h, w int) []int32 {
	ids := make([]int32, 0, s.N*s.OutH()*s.OutW())
	for n := range s.N {
		for y := range s.OutH() {
			for x := range s.OutW() {
				ids = append(ids, int32((n*h+y*s.Stride)*w+x*s.Stride))
			}
		}
	}
	return ids
}

// spread puts results of s where their windows are, in images of s's height and width, among zeros.
func (b *backend) spread(ct tensor.Buf, s tensor.ConvShape) tensor.Buf {
	if s.Stride == 1 {
		return ct
	}
	out := b.room(s.N*s.H*s.W*s.O, 4)
	b.Fill(out, 0)
	b.scratch.hold()
	b.ScatterAdd(out, ct, pixels(s, s.H, s.W), s.O, 1)
	return out
}

// within copies sums [N, h, w, c] of images with their rim after them to dst [N, H, W, c].
func (b *backend) within(dst, sums tensor.Buf, s tensor.ConvShape, c int) {
	r := rim(s)
	wide := b.room(s.N*s.H*r.w*c, 4)
	b.Copy2D(wide, sums, s.N, s.H*r.w*c, s.H*r.w*c, r.h*r.w*c)
	b.Copy2D(dst, wide, s.N*s.H, s.W*c, s.W*c, r.w*c)
}

func (b *backend) Conv(dst, x, w, add, bias tensor.Buf, s tensor.ConvShape) {
	if dst.N == 0 {
		return
	}
	b.scratch.reset(b)
	defer b.scratch.letGo()
	r := rim(s)
	in, sums := b.withRim(x, s, s.C, r.p), b.room(s.N*r.h*r.w*s.O, 4)
	b.scratch.hold()
	for tap := range s.Size * s.Size {
		g := tensor.GemmArgs{Dst: sums, A: in.Slice((tap/s.Size*r.w+tap%s.Size)*s.C, in.N), B: w.Slice(tap*s.C*s.O, (tap+1)*s.C*s.O),
			M: r.rows, N: s.O, K: s.C, LDA: s.C, LDB: s.O, LDC: s.O, Batch: 1}
		if tap > 0 {
			g.Add = sums
		}
		b.Gemm(g)
	}
	out := dst
	if add.N+bias.N > 0 { // before anything is rounded
		out = b.room(dst.N, 4)
	}
	b.scratch.hold()
	if s.Stride == 1 {
		b.within(out, sums, s, s.O)
	} else {
		b.Gather(out, sums, pixels(s, r.h, r.w), s.O)
	}
	if bias.N > 0 {
		b.Add(out, out, bias)
	}
	if add.N > 0 {
		b.Add(out, out, add)
	}
	if out.Ptr != dst.Ptr {
		b.Copy2D(dst, out, 1, dst.N, dst.N, dst.N)
	}
}

func (b *backend) ConvGrad(dx, ct, w tensor.Buf, s tensor.ConvShape) {
	if dx.N == 0 {
		return
	}
	b.scratch.reset(b)
	defer b.scratch.letGo()
	r := rim(s)
	in, sums := b.withRim(b.spread(ct, s), s, s.O, r.p), b.room(s.N*r.h*r.w*s.C, 4)
	b.scratch.hold()
	for tap := range s.Size * s.Size {
		i, j := tap/s.Size, tap%s.Size
		g := tensor.GemmArgs{Dst: sums, A: in.Slice(((2*r.p-i)*r.w+2*r.p-j)*s.O, in.N), B: w.Slice(tap*s.C*s.O, (tap+1)*s.C*s.O), TransB: true,
			M: r.rows, N: s.C, K: s.O, LDA: s.O, LDB: s.O, LDC: s.C, Batch: 1}
		if tap > 0 {
			g.Add = sums
		}
		b.Gemm(g)
	}
	b.within(dx, sums, s, s.C)
}

func (b *backend) ConvWeightGrad(dw, x, ct tensor.Buf, s tensor.ConvShape, lanes int) {
	if dw.N == 0 {
		return
	}
	b.scratch.reset(b)
	defer b.scratch.letGo()
	if ct.N == 0 {
		b.Fill(dw, 0)
		return
	}
	r := rim(s)
	all := s
	all.N *= lanes
	in, cts := b.withRim(x, s, s.C, r.p), b.withRim(b.spread(ct, all), all, s.O, 0)
	b.scratch.hold()
	lane, tapped := cts.N/lanes, s.C*s.O
	for k := range lanes {
		for tap := range s.Size * s.Size {
			at := (k*s.Size*s.Size + tap) * tapped
			b.Gemm(tensor.GemmArgs{Dst: dw.Slice(at, at+tapped), A: in.Slice((tap/s.Size*r.w+tap%s.Size)*s.C, in.N), TransA: true,
				B: cts.Slice(k*lane, (k+1)*lane), M: s.C, N: s.O, K: r.rows, LDA: s.C, LDB: s.O, LDC: s.O, Batch: 1})
		}
	}
}

// AvgPool sums rows, then columns.
func (b *backend) AvgPool(dst, x tensor.Buf, s tensor.PoolShape) {
	if dst.N == 0 {
		return
	}
	b.scratch.reset(b)
	h, w := s.H/s.Size, s.W/s.Size
	rows, sums := b.room(s.N*h*s.W*s.C, 4), b.room(dst.N, 4)
	b.sumRows(at(rows), at(x), s.N*h, s.Size, s.W*s.C, s.Size)
	b.sumRows(at(sums), at(rows), s.N*h*w, s.Size, s.C, s.Size)
	b.Scale(dst, sums, 1/float64(s.Size*s.Size))
}

// AvgPoolGrad repeats columns, then rows.
func (b *backend) AvgPoolGrad(dx, ct tensor.Buf, s tensor.PoolShape) {
	if dx.N == 0 {
		return
	}
	b.scratch.reset(b)
	h, w := s.H/s.Size, s.W/s.Size
	scaled, wide := b.room(ct.N, 4), b.room(s.N*h*s.W*s.C, 4)
	b.Scale(scaled, ct, 1/float64(s.Size*s.Size))
	for j := range s.Size {
		b.Copy2D(wide.Slice(j*s.C, wide.N), scaled, s.N*h*w, s.C, s.Size*s.C, s.C)
	}
	for i := range s.Size {
		b.Copy2D(dx.Slice(i*s.W*s.C, dx.N), wide, s.N*h, s.W*s.C, s.Size*s.W*s.C, s.W*s.C)
	}
}
