package cpu

// CrossEntropy: p = softmax(x); loss[0] = mean_r −log p[r, labels[r]].
func (k *Kernels[T]) CrossEntropy(loss, p, x []T, labels []int32, width int) {
	losses := k.partials(len(labels))
	ForRows(k.pool, len(x), width, Heavy, func(r int) {
		x := Row(x, r, width)
		logZ := softmax(Row(p, r, width), x)
		losses[r] = logZ - float64(x[labels[r]])
	})
	loss[0] = mean[T](losses)
}

// CrossEntropyGrad is dst[k] = ct[k]·(p − onehot(labels))/rows for each lane k.
func (k *Kernels[T]) CrossEntropyGrad(dst, ct, p []T, labels []int32, width int) {
	rows := len(labels)
	ForRows(k.pool, len(dst), width, Light, func(r int) {
		dst, p := Row(dst, r, width), Row(p, r, width)
		c := T(float64(ct[r/rows]) / float64(rows))
		for i := range dst {
			dst[i] = c * p[i]
		}
		label := labels[r%rows]
		dst[label] = c * (p[label] - 1)
	})
}

// SoftCrossEntropy: p = softmax(x), q = softmax(target); loss[0] = mean_r −Σ q·log p.
func (k *Kernels[T]) SoftCrossEntropy(loss, p, q, x, target []T, width int) {
	losses := k.partials(len(x) / max(width, 1))
	ForRows(k.pool, len(x), width, Heavy, func(r int) {
		x, q := Row(x, r, width), Row(q, r, width)
		softmax(q, Row(target, r, width))
		logZ := softmax(Row(p, r, width), x)
		sum := 0.0
		for i := range q {
			sum += float64(float64(q[i]) * (logZ - float64(x[i])))
		}
		losses[r] = sum
	})
	loss[0] = mean[T](losses)
}

// SoftCrossEntropyGrad is dst[k] = ct[k]·(p − q)/rows for each lane k.
func (k *Kernels[T]) SoftCrossEntropyGrad(dst, ct, p, q []T, width int) {
	rows := len(p) / max(width, 1)
	ForRows(k.pool, len(dst), width, Light, func(r int) {
		dst, p, q := Row(dst, r, width), Row(p, r, width), Row(q, r, width)
		c := T(float64(ct[r/rows]) / float64(rows))
		for i := range dst {
			dst[i] = c * (p[i] - q[i])
		}
	})
}

func mean[T Float](x []float64) T {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return T(sum / float64(len(x)))
}
