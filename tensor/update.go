package tensor

// GradDropArgs describe gradient dropout regularity (R-AMT, §3.3): with a the gradient of the task's loss
// and b that of the distillation loss, an element's purity is P = ½(1 + sgn(a)(a+b)/(|a|+|b|+Eps)), where
// 0/0 counts as 1; the result is a where P > U and (1−Leak)·a elsewhere, U uniform by Key and index.
// Leak 0 gives a itself.
type GradDropArgs struct {
	Leak, Eps float64
	Key       Key
	// Penalty adds Penalty·s/‖s‖₂ to a first: the gradient of Penalty·‖s‖₂ for the scores s, of which
	// SumSquares holds ‖s‖₂². Unused when Penalty is 0.
	Penalty    float64
	Scores     Buf
	SumSquares Buf
}

// AdamArgs are one step of Adam (Kingma and Ba 2015) with decoupled weight decay (AdamW) where Decay > 0:
// m = β₁m+(1−β₁)g; v = β₂v+(1−β₂)g²; w = w(1−LR·Decay) − LR·m̂/(√v̂+Eps), hats corrected for bias at Step ≥ 1.
type AdamArgs struct {
	LR, Beta1, Beta2, Eps, Decay float64
	Step                         int
}

// GradDropOptions are GradDropArgs in terms of tensors.
type GradDropOptions struct {
	Leak, Eps, Penalty float64
	Key                Key
	SumSquares         *Tensor // Σ s² of the scores; needed when Penalty is not 0
}

func (o GradDropOptions) args(scores *Tensor) GradDropArgs {
	r := GradDropArgs{Leak: o.Leak, Eps: o.Eps, Key: o.Key, Penalty: o.Penalty}
	if o.Penalty != 0 {
		check(scores != nil && o.SumSquares != nil && o.SumSquares.Len() == 1, "GradDrop", "a penalty needs the scores and their sum of squares",
			"scores sumsquares", scores, o.SumSquares)
		r.Scores, r.SumSquares = scores.buf, o.SumSquares.buf
	}
	return r
}

// GradDrop is dst = the gradient that gradient dropout makes of a and b. b may be nil: then it counts as
// zeros. scores are only read for the penalty.
func GradDrop(dst, a, b, scores *Tensor, o GradDropOptions) {
	check(sameLen(dst, a) && (b == nil || sameLen(a, b)) && (scores == nil || sameLen(a, scores)), "GradDrop", "all alike", "dst a b", dst, a, b)
	dst.dev.backend.GradDrop(dst.buf, a.buf, bufOf(b), o.args(scores))
}

// GradDropAdam updates w with Adam by the gradient that GradDrop makes of a and b, w being the scores.
func GradDropAdam(w, m, v, a, b *Tensor, o GradDropOptions, s AdamArgs) {
	check(sameLen(w, m) && sameLen(w, v) && sameLen(w, a) && (b == nil || sameLen(w, b)) && s.Step >= 1, "GradDropAdam",
		"all alike, Step ≥ 1", "w m v a b", w, m, v, a, b)
	w.dev.backend.GradDropAdam(w.buf, m.buf, v.buf, a.buf, bufOf(b), o.args(w), s)
}

// SignAgree is dst = a+b where the signs agree, 0 elsewhere (Agr-Sum of Mansilla et al. 2021). With
// keepZero an element of b that is exactly 0 agrees with anything.
func SignAgree(dst, a, b *Tensor, keepZero bool) {
	check(sameLen(dst, a) && sameLen(a, b), "SignAgree", "all alike", "dst a b", dst, a, b)
	dst.dev.backend.SignAgree(dst.buf, a.buf, b.buf, keepZero)
}

// SignDrop is gradient sign dropout (Chen et al. 2020, algorithm 1, leak 0) of two gradients.
func SignDrop(dst, a, b *Tensor, k Key) {
	check(sameLen(dst, a) && sameLen(a, b), "SignDrop", "all alike", "dst a b", dst, a, b)
	dst.dev.backend.SignDrop(dst.buf, a.buf, b.buf, k)
}

// Adam updates w and its moments m, v by the gradient g.
func Adam(w, m, v, g *Tensor, s AdamArgs) {
	check(sameLen(w, m) && sameLen(w, v) && sameLen(w, g) && s.Step >= 1, "Adam", "all alike, Step ≥ 1", "w m v g", w, m, v, g)
	w.dev.backend.Adam(w.buf, m.buf, v.buf, g.buf, s)
}

// SGD updates w and its momentum v by the gradient g, as torch.optim.SGD: g' = g + decay·w,
// v = momentum·v + g', w −= lr·v. A v of zeros makes the first step equal to PyTorch's.
func SGD(w, v, g *Tensor, lr, momentum, decay float64) {
	check(sameLen(w, v) && sameLen(w, g), "SGD", "all alike", "w v g", w, v, g)
	w.dev.backend.SGD(w.buf, v.buf, g.buf, lr, momentum, decay)
}

func bufOf(t *Tensor) Buf {
	if t == nil {
		return Buf{}
	}
	return t.buf
}
