package tensor

// Products that keep heads apart. Of w [D, E] head i has rows w_i, D/heads of them, and of x [..., D] as many columns
// x_i; y [..., heads, E] has a row y_i for it. Each function is one product with the heads as its batch.

// SplitHeads is dst_i = x_i·w_i for each head i: dst [..., heads, E], x [..., D].
func SplitHeads(dst, x, w *Tensor) {
	h := headsOf("SplitHeads", x, dst, w)
	dst.dev.backend.Gemm(GemmArgs{Dst: dst.buf, LDC: h.ldY, StrideC: h.wide, A: x.buf, LDA: h.ldX, StrideA: h.size,
		B: w.buf, LDB: h.wide, StrideB: h.size * h.wide, M: h.rows, N: h.wide, K: h.size, Batch: h.heads})
}

// JoinHeads is dst_i = y_i·w_iᵀ for each head i: dst [..., D], y [..., heads, E]. It is the gradient of SplitHeads with
// respect to x, and the other way round.
func JoinHeads(dst, y, w *Tensor) {
	h := headsOf("JoinHeads", dst, y, w)
	dst.dev.backend.Gemm(GemmArgs{Dst: dst.buf, LDC: h.ldX, StrideC: h.size, A: y.buf, LDA: h.ldY, StrideA: h.wide,
		B: w.buf, LDB: h.wide, StrideB: h.size * h.wide, TransB: true, M: h.rows, N: h.size, K: h.wide, Batch: h.heads})
}

// HeadsGrad is dw_i = Σ x_iᵀ·y_i (+ dw_i) for each head i, over everything before the last axes of x [..., D] and
// y [..., heads, E]: the gradient of w [D, E] in both SplitHeads and JoinHeads.
func HeadsGrad(dw, x, y *Tensor, accumulate bool) {
	h := headsOf("HeadsGrad", x, y, dw)
	g := GemmArgs{Dst: dw.buf, LDC: h.wide, StrideC: h.size * h.wide, A: x.buf, LDA: h.ldX, StrideA: h.size, TransA: true,
		B: y.buf, LDB: h.ldY, StrideB: h.wide, M: h.size, N: h.wide, K: h.rows, Batch: h.heads}
	if accumulate {
		g.Add = dw.buf
	}
	dw.dev.backend.Gemm(g)
}

// headSizes are the lengths of x, y and w, and the distances between rows of x and of y.
type headSizes struct{ rows, heads, size, wide, ldX, ldY int }

func headsOf(op string, x, y, w *Tensor) (h headSizes) {
	const rule = "x [...,D], y [...,heads,E], w [D,E], heads divides D"
	check(x.Rank() >= 1 && y.Rank() >= 2 && w.Rank() == 2 && y.Dim(2) > 0, op, rule, "x y w", x, y, w)
	h.rows, h.heads, h.wide, h.ldX = Len(x.shape[:x.Rank()-1]), y.Dim(2), y.Dim(1), x.Dim(1)
	h.size, h.ldY = h.ldX/h.heads, h.heads*h.wide
	check(h.ldX%h.heads == 0 && Len(y.shape[:y.Rank()-2]) == h.rows && w.Dim(2) == h.ldX && w.Dim(1) == h.wide, op, rule, "x y w", x, y, w)
	return h
}
