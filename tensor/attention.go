package tensor

// AttentionOptions say where queries, keys and values are in packed projections.
type AttentionOptions struct {
	Heads   int
	Q, K, V int  // first column of the queries in q's rows, of the keys and values in kv's rows
	Causal  bool // hide keys after the query's position
}

func attentionShape(dst, q, kv *Tensor, o AttentionOptions) AttentionShape {
	const rule = "dst [B,Lq,D], q [B,Lq,≥D], kv [B,Lk,≥2D or one projection], Heads divides D"
	ok := dst.Rank() >= 2 && q.Rank() >= 2 && kv.Rank() >= 2 && o.Heads > 0 && dst.Dim(1)%o.Heads == 0
	check(ok, "Attention", rule, "dst q kv", dst, q, kv)
	d := dst.Dim(1)
	s := AttentionShape{Batch: Len(dst.shape[:dst.Rank()-2]), LenQ: q.Dim(2), LenKV: kv.Dim(2), Heads: o.Heads, Size: d / o.Heads,
		ColsQ: q.Dim(1), ColsKV: kv.Dim(1), Q: o.Q, K: o.K, V: o.V, Causal: o.Causal}
	check(dst.Dim(2) == s.LenQ && q.Len() == s.Batch*s.LenQ*s.ColsQ && kv.Len() == s.Batch*s.LenKV*s.ColsKV &&
		min(o.Q, o.K, o.V) >= 0 && o.Q+d <= s.ColsQ && o.K+d <= s.ColsKV && o.V+d <= s.ColsKV, "Attention", rule, "dst q kv", dst, q, kv)
	return s
}

// Attention is scaled dot-product attention: for each head, dst = softmax(q·kᵀ/√size)·v. lse
// [B, Heads, Lq] keeps the logarithms of the softmax denominators, all that the gradient needs to
// recompute the probabilities (Dao et al. 2022).
func Attention(dst, lse, q, kv *Tensor, o AttentionOptions) {
	s := attentionShape(dst, q, kv, o)
	check(lse.Len() == s.Batch*s.Heads*s.LenQ, "Attention", "lse [B,Heads,Lq]", "lse dst", lse, dst)
	dst.dev.backend.Attention(dst.buf, lse.buf, q.buf, kv.buf, s)
}

// AttentionGrad gives the gradients with respect to q and kv for the K lanes of ct [K, B, Lq, D] in the
// packed layout: dq [K, B, Lq, …], dkv [K, B, Lk, …]. Only the columns that Attention read are written.
// When q and kv are one tensor, so are dq and dkv.
func AttentionGrad(dq, dkv, ct, q, kv, out, lse *Tensor, o AttentionOptions) {
	s := attentionShape(out, q, kv, o)
	k := lanes("AttentionGrad", ct)
	check(ct.Len() == k*out.Len() && dq.Len() == k*q.Len() && dkv.Len() == k*kv.Len() && lse.Len() == s.Batch*s.Heads*s.LenQ,
		"AttentionGrad", "ct [K,out…], dq [K,q…], dkv [K,kv…]", "dq dkv ct q kv out lse", dq, dkv, ct, q, kv, out, lse)
	dq.dev.backend.AttentionGrad(dq.buf, dkv.buf, ct.buf, q.buf, kv.buf, out.buf, lse.buf, s, k)
}
