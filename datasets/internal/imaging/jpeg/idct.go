package jpeg

// The constants of the transform, in 13-bit fixed point: round(c * 8192).
const (
	fix0_298 = 2446
	fix0_390 = 3196
	fix0_541 = 4433
	fix0_765 = 6270
	fix0_899 = 7373
	fix1_175 = 9633
	fix1_501 = 12299
	fix1_847 = 15137
	fix1_961 = 16069
	fix2_053 = 16819
	fix2_562 = 20995
	fix3_072 = 25172

	fixBits = 13
	// pass1Bits is the extra precision that the column pass leaves for the row pass.
	pass1Bits = 2
)

// idct dequantises a block of coefficients, transforms it back and writes 8x8 samples, level-shifted by 128 and clamped, to
// dst with rows stride apart. Coefficients and quantisation steps are in natural (row-major) order.
//
// The algorithm is that of Loeffler, Ligtenberg and Moschytz (ICASSP 1989) with 12 multiplications a pass, columns first, in
// the fixed-point precision of libjpeg's ISLOW variant: 13 fractional bits for constants, 2 for the values between the
// passes, each pass rounding half up once. All else is exact integer arithmetic, so that any order of the additions gives
// the same samples.
func idct(dst []byte, stride int, coefs *[64]int16, quant *[64]uint16) {
	if useAVX2 {
		_ = dst[7*stride+7]
		idctAVX2(&dst[0], stride, &coefs[0], &quant[0])
		return
	}
	idctGo(dst, stride, coefs, quant)
}

// idctGo is idct without assembly, and defines it.
func idctGo(dst []byte, stride int, coefs *[64]int16, quant *[64]uint16) {
	var ws [64]int32
	for x := range 8 {
		c0 := int32(coefs[x]) * int32(quant[x])
		if coefs[8+x]|coefs[16+x]|coefs[24+x]|coefs[32+x]|coefs[40+x]|coefs[48+x]|coefs[56+x] == 0 && short(c0) {
			v := c0 << pass1Bits
			for y := 0; y < 64; y += 8 {
				ws[y+x] = v
			}
			continue
		}
		o0, o1, o2, o3, o4, o5, o6, o7 := idct8(
			c0,
			int32(coefs[8+x])*int32(quant[8+x]),
			int32(coefs[16+x])*int32(quant[16+x]),
			int32(coefs[24+x])*int32(quant[24+x]),
			int32(coefs[32+x])*int32(quant[32+x]),
			int32(coefs[40+x])*int32(quant[40+x]),
			int32(coefs[48+x])*int32(quant[48+x]),
			int32(coefs[56+x])*int32(quant[56+x]))
		const shift, half = fixBits - pass1Bits, 1 << (fixBits - pass1Bits - 1)
		ws[x] = (o0 + half) >> shift
		ws[8+x] = (o1 + half) >> shift
		ws[16+x] = (o2 + half) >> shift
		ws[24+x] = (o3 + half) >> shift
		ws[32+x] = (o4 + half) >> shift
		ws[40+x] = (o5 + half) >> shift
		ws[48+x] = (o6 + half) >> shift
		ws[56+x] = (o7 + half) >> shift
	}
	for y := range 8 {
		w := (*[8]int32)(ws[8*y:])
		d := (*[8]byte)(dst[y*stride:])
		if w[1]|w[2]|w[3]|w[4]|w[5]|w[6]|w[7] == 0 && short(w[0]) {
			const shift, half = pass1Bits + 3, 1 << (pass1Bits + 2)
			v := clamp((w[0]+half)>>shift + 128)
			*d = [8]byte{v, v, v, v, v, v, v, v}
			continue
		}
		o0, o1, o2, o3, o4, o5, o6, o7 := idct8(w[0], w[1], w[2], w[3], w[4], w[5], w[6], w[7])
		const shift, bias = fixBits + pass1Bits + 3, 128<<(fixBits+pass1Bits+3) + 1<<(fixBits+pass1Bits+2)
		d[0] = clamp((o0 + bias) >> shift)
		d[1] = clamp((o1 + bias) >> shift)
		d[2] = clamp((o2 + bias) >> shift)
		d[3] = clamp((o3 + bias) >> shift)
		d[4] = clamp((o4 + bias) >> shift)
		d[5] = clamp((o5 + bias) >> shift)
		d[6] = clamp((o6 + bias) >> shift)
		d[7] = clamp((o7 + bias) >> shift)
	}
}

// short reports whether a value can be scaled without overflow. Only those of damaged files cannot; there the shortcuts would
// give something else than the arithmetic modulo 2³² of all others.
func short(v int32) bool { return uint32(v+1<<17) < 1<<18 }

// flat is the sample that idct makes of a block whose DC coefficient alone is not zero.
func flat(dc int16, quant uint16) byte {
	w := int32(dc) * int32(quant)
	if short(w) {
		w <<= pass1Bits
	} else {
		w = (w<<fixBits + 1<<(fixBits-pass1Bits-1)) >> (fixBits - pass1Bits)
	}
	if short(w) {
		return clamp((w+1<<(pass1Bits+2))>>(pass1Bits+3) + 128)
	}
	return clamp((w<<fixBits + 128<<(fixBits+pass1Bits+3) + 1<<(fixBits+pass1Bits+2)) >> (fixBits + pass1Bits + 3))
}

// idct8 is the eight-point inverse DCT, scaled by the square root of 8 and by 1<<fixBits.
func idct8(x0, x1, x2, x3, x4, x5, x6, x7 int32) (o0, o1, o2, o3, o4, o5, o6, o7 int32) {
	// Even part: a rotation by 6π/16 and two butterflies.
	r := (x2 + x6) * fix0_541
	e2 := r - x6*fix1_847
	e3 := r + x2*fix0_765
	e0 := (x0 + x4) << fixBits
	e1 := (x0 - x4) << fixBits
	a0, a3 := e0+e3, e0-e3
	a1, a2 := e1+e2, e1-e2

	// Odd part: the four-input network with the shared factor cos(3π/16)·√2.
	s := (x1 + x3 + x5 + x7) * fix1_175
	p17 := -(x1 + x7) * fix0_899
	p35 := -(x3 + x5) * fix2_562
	p37 := s - (x3+x7)*fix1_961
	p15 := s - (x1+x5)*fix0_390
	b0 := x1*fix1_501 + p17 + p15
	b1 := x3*fix3_072 + p35 + p37
	b2 := x5*fix2_053 + p35 + p15
	b3 := x7*fix0_298 + p17 + p37

	return a0 + b0, a1 + b1, a2 + b2, a3 + b3, a3 - b3, a2 - b2, a1 - b1, a0 - b0
}

func clamp(v int32) byte {
	if uint32(v) <= 255 {
		return byte(v)
	}
	return byte(^v >> 31) // all ones where v > 255, zero where v < 0
}
