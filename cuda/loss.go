//go:build cuda

package cuda

import "fewshot/tensor"

func (b *backend) CrossEntropy(loss, p, x tensor.Buf, labels []int32, width int) {
	rows := len(labels)
	b.scratch.reset(b)
	losses := floats(b.scratch.take(b, 4*rows), rows)
	launch(b, "cross_entropy", warps(rows), struct {
		losses, p, x mem
		labels       uint64
		width        int64
	}{losses, at(p), at(x), b.numbers(labels), int64(width)})
	b.total(at(loss), losses, rows)
}

func (b *backend) CrossEntropyGrad(dst, ct, p tensor.Buf, labels []int32, width int) {
	b.scratch.reset(b)
	launch(b, "cross_entropy_grad", warps(rowsOf(dst.N, width)), struct {
		dst, ct, p  mem
		labels      uint64
		width, rows int64
	}{at(dst), at(ct), at(p), b.numbers(labels), int64(width), int64(len(labels))})
}

func (b *backend) SoftCrossEntropy(loss, p, q, x, target tensor.Buf, width int) {
	rows := rowsOf(x.N, width)
	b.scratch.reset(b)
	losses := floats(b.scratch.take(b, 4*rows), rows)
	launch(b, "soft_cross_entropy", warps(rows), struct {
		losses, p, q, x, target mem
		width                   int64
	}{losses, at(p), at(q), at(x), at(target), int64(width)})
	b.total(at(loss), losses, rows)
}

func (b *backend) SoftCrossEntropyGrad(dst, ct, p, q tensor.Buf, width int) {
	launch(b, "soft_cross_entropy_grad", warps(rowsOf(dst.N, width)), struct {
		dst, ct, p, q mem
		width, rows   int64
	}{at(dst), at(ct), at(p), at(q), int64(width), int64(rowsOf(p.N, width))})
}
