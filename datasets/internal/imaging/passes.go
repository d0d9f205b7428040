package imaging

// along filters rows of src, stride bytes apart, of which src has the pixels from number first on. It writes them to dst, one
// after the other.
func (r *Resizer) along(dst, src []uint8, stride, rows, first int) {
	f := &r.columns
	n := 3 * len(f.taps)
	if useAVX2 && rows >= 8 {
		for y := 0; y < rows; y += 8 {
			at := min(y, rows-8) // the last eight rows may begin before the ones before end
			r.eight.along(f, dst[n*at:][:8*n], src[stride*at:], stride, first)
		}
		return
	}
	for y := range rows {
		f.alongRow(dst[n*y:][:n], src[stride*y:], first)
	}
}

// alongRow filters one row of pixels, of which src has those from number first on.
func (f *filter) alongRow(dst, src []uint8, first int) {
	for _, t := range f.taps {
		r, g, b := int32(1<<(weightBits-1)), int32(1<<(weightBits-1)), int32(1<<(weightBits-1))
		pix := src[3*(t.from-first):][:3*t.n]
		for _, w := range f.weights[t.at:][:t.n] {
			r += int32(pix[0]) * w
			g += int32(pix[1]) * w
			b += int32(pix[2]) * w
			pix = pix[3:]
		}
		dst[0], dst[1], dst[2] = clipWeight(r), clipWeight(g), clipWeight(b)
		dst = dst[3:]
	}
}

// eightRows is the memory of eight rows that are filtered together, a lane each: the bytes of a column lie side by side.
type eightRows struct{ in, out []uint8 }

// along is alongRow for eight rows.
func (e *eightRows) along(f *filter, dst, src []uint8, stride, first int) {
	_, last := f.span()
	m, n := 3*(last-first), 3*len(f.taps)
	e.in, e.out = grow(e.in, 8*m), grow(e.out, 8*n)
	turnEight(e.in, 8, 64, src[:7*stride+m], stride, 8, m/8)
	for i := m &^ 7; i < m; i++ {
		for y := range 8 {
			e.in[8*i+y] = src[stride*y+i]
		}
	}
	alongAVX2(len(f.taps), &e.out[0], &e.in[0], &f.taps[0], &f.weights[0], first)
	turnEight(dst, n, 8, e.out, 8, 64, n/8)
	for i := n &^ 7; i < n; i++ {
		for y := range 8 {
			dst[n*y+i] = e.out[8*i+y]
		}
	}
}

// turnEight transposes n squares of eight by eight bytes, whose rows lie stride apart and which follow each other step by step.
func turnEight(dst []uint8, dstStride, dstStep int, src []uint8, srcStride, srcStep, n int) {
	if n > 0 {
		_, _ = dst[(n-1)*dstStep+7*dstStride+7], src[(n-1)*srcStep+7*srcStride+7]
		turnAVX2(n, &dst[0], dstStride, dstStep, &src[0], srcStride, srcStep)
	}
}

// across filters across the rows of src, stride bytes apart, of which the first is number first. It writes rows of n bytes to
// dst.
func (r *Resizer) across(dst []uint8, n int, src []uint8, stride, first int) {
	r.sums = grow(r.sums, n)
	for i := range r.rows.taps {
		r.rows.acrossRows(dst[n*i:][:n], src, stride, r.sums, i, first)
	}
}

// acrossRows makes output row i from the rows of src, which lie stride apart; the first is input row first.
func (f *filter) acrossRows(dst, src []uint8, stride int, sums []int32, i, first int) {
	t := f.taps[i]
	weights := f.weights[t.at:][:t.n]
	src = src[stride*(t.from-first):]
	done := 0
	if useAVX2 && len(dst) >= acrossWidth {
		done = len(dst) / acrossWidth * acrossWidth
		_ = src[stride*(t.n-1)+done-1]
		acrossAVX2(done, &dst[0], &src[0], stride, &weights[0], t.n)
	}
	acrossGo(dst[done:], src[done:], stride, sums, weights)
}

// acrossWidth is how many columns acrossAVX2 makes at a time.
const acrossWidth = 32

// acrossGo is acrossRows without assembly, and defines it.
func acrossGo(dst, src []uint8, stride int, sums, weights []int32) {
	n, at := len(dst), 0
	sums = sums[:n]
	for j := range sums {
		sums[j] = 1 << (weightBits - 1)
	}
	for ; len(weights) >= 4; weights = weights[4:] {
		w0, w1, w2, w3 := weights[0], weights[1], weights[2], weights[3]
		r0, r1, r2, r3 := src[at:][:n], src[at+stride:][:n], src[at+2*stride:][:n], src[at+3*stride:][:n]
		for j := range sums {
			sums[j] += int32(r0[j])*w0 + int32(r1[j])*w1 + int32(r2[j])*w2 + int32(r3[j])*w3
		}
		at += 4 * stride
	}
	for _, w := range weights {
		for j, v := range src[at:][:n] {
			sums[j] += int32(v) * w
		}
		at += stride
	}
	for j, s := range sums {
		dst[j] = clipWeight(s)
	}
}

func clipWeight(v int32) uint8 { return uint8(min(max(v>>weightBits, 0), 255)) }
