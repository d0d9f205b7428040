//go:build cuda

package cuda

import "fewshot/tensor"

func (b *backend) Patches(dst, x tensor.Buf, n, c, h, w, p int) {
	launch(b, "patches", parts(dst.N, threads), struct {
		dst, x        mem
		n, c, h, w, p int64
	}{at(dst), at(x), int64(n), int64(c), int64(h), int64(w), int64(p)})
}

func (b *backend) Gather(dst, table tensor.Buf, ids []int32, width int) {
	b.scratch.reset(b)
	launch(b, "gather", parts(len(ids)*parts(width, pack), threads), struct {
		dst, table mem
		ids        uint64
		width      int64
	}{at(dst), at(table), b.numbers(ids), int64(width)})
}

func (b *backend) ScatterAdd(dst, x tensor.Buf, ids []int32, width, lanes int) {
	if len(ids) == 0 {
		return
	}
	b.scratch.reset(b)
	launch(b, "scatter_add", parts(lanes*width, threads), struct {
		dst, x              mem
		ids                 uint64
		width, lanes, count int64
	}{at(dst), at(x), b.numbers(ids), int64(width), int64(lanes), int64(len(ids))})
}
