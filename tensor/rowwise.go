package tensor

// Softmax is dst = softmax of each row of x. dst may be x.
func Softmax(dst, x *Tensor) {
	_, w := rows(x)
	check(sameLen(dst, x), "Softmax", "dst like x", "dst x", dst, x)
	dst.dev.backend.Softmax(dst.buf, x.buf, w)
}

// SoftmaxGrad is dst = y·(ct − Σ ct·y) by rows, where y's shape is a suffix of ct's. dst may be ct.
func SoftmaxGrad(dst, ct, y *Tensor) {
	_, w := rows(y)
	check(sameLen(dst, ct) && IsSuffix(y.shape, ct.shape), "SoftmaxGrad", "dst like ct, y a suffix of ct", "dst ct y", dst, ct, y)
	dst.dev.backend.SoftmaxGrad(dst.buf, ct.buf, y.buf, w)
}

// LayerNorm normalises rows of x to mean 0 and (biased) variance 1, then scales by w and adds b. stats
// [rows, 2] receives each row's mean and 1/√(var+eps), which the gradients want.
func LayerNorm(dst, stats, x, w, b *Tensor, eps float64) {
	n, width := rows(x)
	check(sameLen(dst, x) && stats.Len() == 2*n && w.Len() == width && b.Len() == width, "LayerNorm",
		"dst like x, stats [rows,2], w and b one row", "dst stats x w b", dst, stats, x, w, b)
	dst.dev.backend.LayerNorm(dst.buf, stats.buf, x.buf, w.buf, b.buf, width, eps)
}

// LayerNormGrad is the gradient with respect to x; x's shape is a suffix of ct's. dst may be ct.
func LayerNormGrad(dst, ct, x, stats, w *Tensor) {
	n, width := rows(x)
	check(sameLen(dst, ct) && IsSuffix(x.shape, ct.shape) && stats.Len() == 2*n && w.Len() == width, "LayerNormGrad",
		"dst like ct, x a suffix of ct, stats [rows,2], w one row", "dst ct x stats w", dst, ct, x, stats, w)
	dst.dev.backend.LayerNormGrad(dst.buf, ct.buf, x.buf, stats.buf, w.buf, width)
}

// LayerNormParamGrad gives dw and db [K, width] for the K lanes of ct.
func LayerNormParamGrad(dw, db, ct, x, stats *Tensor) {
	n, width := rows(x)
	k := lanes("LayerNormParamGrad", ct)
	check(dw.Len() == k*width && sameLen(dw, db) && IsSuffix(x.shape, ct.shape) && ct.Len() == k*x.Len() && stats.Len() == 2*n,
		"LayerNormParamGrad", "dw, db [K,width], ct [K,x…]", "dw db ct x stats", dw, db, ct, x, stats)
	dw.dev.backend.LayerNormParamGrad(dw.buf, db.buf, ct.buf, x.buf, stats.buf, width, k)
}

// L2Normalize divides each row of x by its Euclidean norm, which goes to norm [rows]. There is no
// epsilon, as in CLIP: a row of zeros gives NaN.
func L2Normalize(dst, norm, x *Tensor) {
	n, w := rows(x)
	check(sameLen(dst, x) && norm.Len() == n, "L2Normalize", "dst like x, norm [rows]", "dst norm x", dst, norm, x)
	dst.dev.backend.L2Normalize(dst.buf, norm.buf, x.buf, w)
}

// L2NormalizeGrad is the gradient with respect to x from the result y and the norms.
func L2NormalizeGrad(dst, ct, y, norm *Tensor) {
	n, w := rows(y)
	check(sameLen(dst, ct) && IsSuffix(y.shape, ct.shape) && norm.Len() == n, "L2NormalizeGrad",
		"dst like ct, y a suffix of ct, norm [rows]", "dst ct y norm", dst, ct, y, norm)
	dst.dev.backend.L2NormalizeGrad(dst.buf, ct.buf, y.buf, norm.buf, w)
}
