package jpeg

// upsampler writes row y of a component at the full width of the picture. dst has room for the width rounded up to a whole
// number of samples of the component.
type upsampler func(c *component, y int, dst []byte)

// chooseUpsampler picks the way libjpeg brings a component to full size. h and v are the ratios of the largest sampling
// factors to the component's own; ok is false where they are not whole, which libjpeg does not support either.
func chooseUpsampler(c *component, hMax, vMax int) (up upsampler, ok bool) {
	if hMax%c.h != 0 || vMax%c.v != 0 {
		return nil, false
	}
	h, v := hMax/c.h, vMax/c.v
	switch {
	case h == 1 && v == 1:
		return func(c *component, y int, dst []byte) { copy(dst, c.row(y)) }, true
	case h == 2 && v == 1 && c.width > 2:
		return func(c *component, y int, dst []byte) { triangleH2(dst, c.row(y)) }, true
	case h == 1 && v == 2:
		return triangleV2, true
	case h == 2 && v == 2 && c.width > 2:
		return triangleH2V2, true
	}
	return func(c *component, y int, dst []byte) { replicate(dst, c.row(y/v), h) }, true
}

// row gives the samples of one row, without the padding to whole blocks.
func (c *component) row(y int) []byte { return c.plane[(y-c.top)*c.stride:][:c.width] }

// nearRows gives the row whose samples cover output row y when the component has half the rows, and the next nearest one,
// which at the upper and lower edge is the same.
func (c *component) nearRows(y int) (near, far []byte) {
	i := y / 2
	j := i - 1 + 2*(y&1)
	return c.row(i), c.row(min(max(j, 0), c.height-1))
}

func replicate(dst, src []byte, h int) {
	for i, s := range src {
		for j := range h {
			dst[i*h+j] = s
		}
	}
}

// triangleH2 doubles a row: each output sample lies a quarter off an input sample and mixes it 3:1 with the neighbour on that
// side. Rounding alternates between 1/4 and 1/2 to be unbiased. The outermost samples are copies.
func triangleH2(dst, src []byte) { triangle(dst, src, src, 4, 8) }

// triangleV2 is triangleH2 along columns; the upper of the two output rows rounds by 1/4, the lower by 1/2.
func triangleV2(c *component, y int, dst []byte) {
	near, far := c.nearRows(y)
	bias := 1 + uint32(y&1)
	for i, s := range near {
		dst[i] = byte((3*uint32(s) + uint32(far[i]) + bias) >> 2)
	}
}

// triangleH2V2 mixes 9:3:3:1. The sums of the columns keep their two fractional bits; only the result is rounded.
func triangleH2V2(c *component, y int, dst []byte) {
	near, far := c.nearRows(y)
	triangle(dst, near, far, 8, 7)
}

// triangle is the filter along a row of columns, each 3·near + far, with what is added before four fractional bits are cut
// off even and odd samples.
func triangle(dst, near, far []byte, even, odd uint16) {
	n := len(near)
	dst, far = dst[:2*n], far[:n]
	column := func(i int) uint32 { return 3*uint32(near[i]) + uint32(far[i]) }
	first := column(0)
	dst[0] = byte((4*first + uint32(even)) >> 4)
	dst[1] = byte((3*first + column(1) + uint32(odd)) >> 4)
	from := 1
	if useAVX2 && n >= 18 {
		m := (n - 2) &^ 15
		triangleAVX2(m, &dst[2], &near[1], &far[1], even, odd)
		from += m
	}
	triangleGo(dst[2*from:], near[from-1:], far[from-1:], even, odd)
	last := column(n - 1)
	dst[2*n-2] = byte((3*last + column(n-2) + uint32(even)) >> 4)
	dst[2*n-1] = byte((4*last + uint32(odd)) >> 4)
}

// triangleGo makes the samples of all columns but the first and the last, and defines triangleAVX2.
func triangleGo(dst, near, far []byte, even, odd uint16) {
	n := len(near)
	far = far[:n]
	column := func(i int) uint32 { return 3*uint32(near[i]) + uint32(far[i]) }
	left, here := column(0), column(1)
	for i := 1; i < n-1; i++ {
		right := column(i + 1)
		dst[2*i-2] = byte((3*here + left + uint32(even)) >> 4)
		dst[2*i-1] = byte((3*here + right + uint32(odd)) >> 4)
		left, here = here, right
	}
}
