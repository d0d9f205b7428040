package tensor

// Add is dst = x + y, where y's shape is a suffix of x's. dst may be x.
func Add(dst, x, y *Tensor) {
	check(sameLen(dst, x) && IsSuffix(y.shape, x.shape), "Add", "dst like x, y a suffix of x", "dst x y", dst, x, y)
	dst.dev.backend.Add(dst.buf, x.buf, y.buf)
}

// Mul is dst = x ⊙ y, where y's shape is a suffix of x's. dst may be x.
func Mul(dst, x, y *Tensor) {
	check(sameLen(dst, x) && IsSuffix(y.shape, x.shape), "Mul", "dst like x, y a suffix of x", "dst x y", dst, x, y)
	dst.dev.backend.Mul(dst.buf, x.buf, y.buf)
}

// Scale is dst = c·x. dst may be x.
func Scale(dst, x *Tensor, c float64) {
	check(sameLen(dst, x), "Scale", "dst like x", "dst x", dst, x)
	dst.dev.backend.Scale(dst.buf, x.buf, c)
}

// AXPY is dst += c·x.
func AXPY(dst *Tensor, c float64, x *Tensor) {
	check(sameLen(dst, x), "AXPY", "dst like x", "dst x", dst, x)
	dst.dev.backend.AXPY(dst.buf, c, x.buf)
}

// Exp is dst = eˣ. dst may be x.
func Exp(dst, x *Tensor) {
	check(sameLen(dst, x), "Exp", "dst like x", "dst x", dst, x)
	dst.dev.backend.Exp(dst.buf, x.buf)
}

// Fill sets every element to c.
func Fill(dst *Tensor, c float64) { dst.dev.backend.Fill(dst.buf, c) }

// Copy is dst = x, converting between kinds.
func Copy(dst, x *Tensor) {
	check(sameLen(dst, x), "Copy", "dst like x", "dst x", dst, x)
	dst.dev.backend.Copy2D(dst.buf, x.buf, 1, x.Len(), x.Len(), x.Len())
}

// Mask is dst = w ⊙ [s > t]: the weight as a mask with real-valued scores s lets it through (R-AMT, §3.2).
func Mask(dst, w, s *Tensor, t float64) {
	check(sameLen(dst, w) && sameLen(w, s), "Mask", "dst, w and scores alike", "dst w scores", dst, w, s)
	dst.dev.backend.Mask(dst.buf, w.buf, s.buf, t)
}

func sameLen(a, b *Tensor) bool { return a.buf.N == b.buf.N }
