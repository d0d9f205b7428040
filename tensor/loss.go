package tensor

// CrossEntropy is loss = mean over rows of −log softmax(logits)[label]; prob keeps the softmax.
func CrossEntropy(loss, prob, logits *Tensor, labels []int32) {
	n, w := rows(logits)
	check(loss.Len() == 1 && sameLen(prob, logits) && len(labels) == n, "CrossEntropy",
		"loss one element, prob like logits, one label a row", "loss prob logits", loss, prob, logits)
	checkIDs("CrossEntropy", labels, w)
	loss.dev.backend.CrossEntropy(loss.buf, prob.buf, logits.buf, labels, w)
}

// CrossEntropyGrad is dst[k] = ct[k]·(prob − onehot(labels))/rows for each lane of ct [K].
func CrossEntropyGrad(dst, ct, prob *Tensor, labels []int32) {
	n, w := rows(prob)
	check(dst.Len() == ct.Len()*prob.Len() && len(labels) == n, "CrossEntropyGrad", "dst [K,prob…], ct [K], one label a row", "dst ct prob", dst, ct, prob)
	checkIDs("CrossEntropyGrad", labels, w)
	dst.dev.backend.CrossEntropyGrad(dst.buf, ct.buf, prob.buf, labels, w)
}

// SoftCrossEntropy is loss = mean over rows of −Σ softmax(target)·log softmax(logits): the KL divergence
// from the target plus the target's entropy, with the same gradient. prob and want keep the softmaxes.
func SoftCrossEntropy(loss, prob, want, logits, target *Tensor) {
	_, w := rows(logits)
	check(loss.Len() == 1 && sameLen(prob, logits) && sameLen(want, logits) && sameLen(target, logits), "SoftCrossEntropy",
		"loss one element, the rest like logits", "loss prob want logits target", loss, prob, want, logits, target)
	loss.dev.backend.SoftCrossEntropy(loss.buf, prob.buf, want.buf, logits.buf, target.buf, w)
}

// SoftCrossEntropyGrad is dst[k] = ct[k]·(prob − want)/rows for each lane of ct [K].
func SoftCrossEntropyGrad(dst, ct, prob, want *Tensor) {
	_, w := rows(prob)
	check(dst.Len() == ct.Len()*prob.Len() && sameLen(prob, want), "SoftCrossEntropyGrad", "dst [K,prob…], ct [K]", "dst ct prob want", dst, ct, prob, want)
	dst.dev.backend.SoftCrossEntropyGrad(dst.buf, ct.buf, prob.buf, want.buf, w)
}
