package jpeg

// yccTables hold the JFIF matrix in 16-bit fixed point, indexed by a chroma sample:
//
//	R = Y + 1.40200·Cr,  G = Y − 0.34414·Cb − 0.71414·Cr,  B = Y + 1.77200·Cb
//
// Red and blue are rounded in the table; the two parts of green are added first and carry the half in one of them.
var yccTables = func() (t struct{ crR, cbB, crG, cbG [256]int32 }) {
	const half = 1 << 15
	for i := range int32(256) {
		x := i - 128
		t.crR[i] = (91881*x + half) >> 16
		t.cbB[i] = (116130*x + half) >> 16
		t.crG[i] = -46802 * x
		t.cbG[i] = -22554*x + half
	}
	return t
}()

func yccToRGB(dst, y, cb, cr []byte) {
	n := 0
	if useAVX2 && len(y) >= 10 {
		// The last two pixels at least are left, so that what is written after a pixel is in dst.
		n = (len(y) - 2) &^ 7
		_, _, _ = dst[3*n+5], cb[n], cr[n]
		yccToRGBAVX2(n, &dst[0], &y[0], &cb[0], &cr[0])
	}
	yccToRGBGo(dst[3*n:], y[n:], cb[n:], cr[n:])
}

// yccToRGBGo is yccToRGB without assembly, and defines it.
func yccToRGBGo(dst, y, cb, cr []byte) {
	t := &yccTables
	for i, l := range y {
		b, r := cb[i], cr[i]
		d := dst[3*i : 3*i+3 : 3*i+3]
		d[0] = clamp(int32(l) + t.crR[r])
		d[1] = clamp(int32(l) + (t.cbG[b]+t.crG[r])>>16)
		d[2] = clamp(int32(l) + t.cbB[b])
	}
}

func interleave(dst, r, g, b []byte) {
	for i := range r {
		d := dst[3*i : 3*i+3 : 3*i+3]
		d[0], d[1], d[2] = r[i], g[i], b[i]
	}
}

// invert makes the CMY of YCCK, which is stored as the YCbCr of its complement.
func invert(pix []byte) {
	for i, v := range pix {
		pix[i] = 255 - v
	}
}

// cmykToRGB converts, in place, what Adobe's programs write: inverted ink, so that the stored cyan is the red that the ink
// leaves. Pillow takes every four-component file to be of that kind. A channel is then stored·key/255, rounded the way
// Pillow rounds: nk − round((255−stored)·nk/255).
func cmykToRGB(rgb, key []byte) {
	for i, k := range key {
		nk := uint32(k)
		for j := 3 * i; j < 3*i+3; j++ {
			p := (255-uint32(rgb[j]))*nk + 128
			rgb[j] = byte(nk - (p>>8+p)>>8)
		}
	}
}
