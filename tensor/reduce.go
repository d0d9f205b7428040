package tensor

// SumTo sums x [K, …, S] over everything between the lane axis and S: dst is [K, S].
func SumTo(dst, x *Tensor) {
	k := lanes("SumTo", x)
	check(lanes("SumTo", dst) == k && IsSuffix(dst.shape[1:], x.shape[1:]), "SumTo", "dst [K,S], x [K,…,S]", "dst x", dst, x)
	dst.dev.backend.SumTo(dst.buf, x.buf, k)
}

// SumSquares is dst = Σ x², a scalar.
func SumSquares(dst, x *Tensor) {
	check(dst.Len() == 1, "SumSquares", "dst is one element", "dst x", dst, x)
	dst.dev.backend.SumSquares(dst.buf, x.buf)
}

// Dot is dst = Σ x·y, a scalar.
func Dot(dst, x, y *Tensor) {
	check(dst.Len() == 1 && sameLen(x, y), "Dot", "dst is one element, x like y", "dst x y", dst, x, y)
	dst.dev.backend.Dot(dst.buf, x.buf, y.buf)
}

// MostCounted is how many elements CountAbove takes: float32 has all whole numbers up to there.
const MostCounted = 1 << 24

// CountAbove is dst = how many x > t, a scalar.
func CountAbove(dst, x *Tensor, t float64) {
	check(dst.Len() == 1 && dst.Kind() == Full && x.Len() <= MostCounted, "CountAbove", "dst is one Full element, x has at most 2²⁴", "dst x", dst, x)
	dst.dev.backend.CountAbove(dst.buf, x.buf, t)
}
