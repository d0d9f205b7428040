package cpu

// CrossEntropy: p = softmax(x); loss[0] = mean_r −log p[r, labels[r]].
func (k *Kernels[T]) CrossEntropy(loss, p, x []T, labels []int32, width int) {
	losses := k.partials(len(labels))
	DoRows(k.pool, len(x), width, Heavy, crossEntropy[T]{losses, p, x, labels, width})
	loss[0] = mean[T](losses)
}

type crossEntropy[T Float] struct {
	losses []float64
	p, x   []T
	labels []int32
	width  int
}

func (k *crossEntropy[T]) Row(r int) {
	x := Row(k.x, r, k.width)
	logZ := softmax(Row(k.p, r, k.width), x)
	k.losses[r] = logZ - float64(x[k.labels[r]])
}

// CrossEntropyGrad is dst[k] = ct[k]·(p − onehot(labels))/rows for each lane k.
func (k *Kernels[T]) CrossEntropyGrad(dst, ct, p []T, labels []int32, width int) {
	DoRows(k.pool, len(dst), width, Light, crossEntropyGrad[T]{dst, ct, p, labels, width})
}

type crossEntropyGrad[T Float] struct {
	dst, ct, p []T
	labels     []int32
	width      int
}

func (k *crossEntropyGrad[T]) Row(r int) {
	rows := len(k.labels)
	dst, p := Row(k.dst, r, k.width), Row(k.p, r, k.width)
	c := T(float64(k.ct[r/rows]) / float64(rows))
	for i := range dst {
		dst[i] = c * p[i]
	}
	label := k.labels[r%rows]
	dst[label] = c * (p[label] - 1)
}

// SoftCrossEntropy: p = softmax(x), q = softmax(target); loss[0] = mean_r −Σ q·log p.
func (k *Kernels[T]) SoftCrossEntropy(loss, p, q, x, target []T, width int) {
	losses := k.partials(len(x) / max(width, 1))
	DoRows(k.pool, len(x), width, Heavy, softCrossEntropy[T]{losses, p, q, x, target, width})
	loss[0] = mean[T](losses)
}

type softCrossEntropy[T Float] struct {
	losses          []float64
	p, q, x, target []T
	width           int
}

func (k *softCrossEntropy[T]) Row(r int) {
	x, q := Row(k.x, r, k.width), Row(k.q, r, k.width)
	softmax(q, Row(k.target, r, k.width))
	logZ := softmax(Row(k.p, r, k.width), x)
	sum := 0.0
	for i := range q {
		sum += float64(float64(q[i]) * (logZ - float64(x[i])))
	}
	k.losses[r] = sum
}

// SoftCrossEntropyGrad is dst[k] = ct[k]·(p − q)/rows for each lane k.
func (k *Kernels[T]) SoftCrossEntropyGrad(dst, ct, p, q []T, width int) {
	DoRows(k.pool, len(dst), width, Light, softCrossEntropyGrad[T]{dst, ct, p, q, width})
}

type softCrossEntropyGrad[T Float] struct {
	dst, ct, p, q []T
	width         int
}

func (k *softCrossEntropyGrad[T]) Row(r int) {
	rows := len(k.p) / k.width
	dst, p, q := Row(k.dst, r, k.width), Row(k.p, r, k.width), Row(k.q, r, k.width)
	c := T(float64(k.ct[r/rows]) / float64(rows))
	for i := range dst {
		dst[i] = c * (p[i] - q[i])
	}
}

func mean[T Float](x []float64) T {
	sum := 0.0
	for _, v := range x {
		sum += v
	}
	return T(sum / float64(len(x)))
}
