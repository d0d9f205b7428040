//go:build cuda

package cuda

import "fewshot/tensor"

func (b *backend) Softmax(dst, x tensor.Buf, width int) {
	launch(b, "softmax", warps(rowsOf(dst.N, width)), struct {
		dst, x mem
		width  int64
	}{at(dst), at(x), int64(width)})
}

func (b *backend) SoftmaxGrad(dst, ct, y tensor.Buf, width int) {
	launch(b, "softmax_grad", warps(rowsOf(dst.N, width)), struct {
		dst, ct, y mem
		width      int64
	}{at(dst), at(ct), at(y), int64(width)})
}

func (b *backend) LayerNorm(dst, stats, x, w, bias tensor.Buf, width int, eps float64) {
	launch(b, "layer_norm", warps(rowsOf(dst.N, width)), struct {
		dst, stats, x, w, b mem
		width               int64
		eps                 float32
		_                   int32
	}{dst: at(dst), stats: at(stats), x: at(x), w: at(w), b: at(bias), width: int64(width), eps: float32(eps)})
}

func (b *backend) LayerNormGrad(dst, ct, x, stats, w tensor.Buf, width int) {
	launch(b, "layer_norm_grad", warps(rowsOf(x.N, width)), struct {
		dst, ct, x, stats, w mem
		width                int64
	}{at(dst), at(ct), at(x), at(stats), at(w), int64(width)})
}

func (b *backend) LayerNormParamGrad(dw, db, ct, x, stats tensor.Buf, width, lanes int) {
	rows := rowsOf(x.N, width)
	if rows == 0 {
		b.Fill(dw, 0)
		b.Fill(db, 0)
		return
	}
	chunk := chunkRows(rows)
	chunks := parts(rows, chunk)
	b.scratch.reset(b)
	n := lanes * chunks * width
	partW, partB := floats(b.scratch.take(b, 4*n), n), floats(b.scratch.take(b, 4*n), n)
	launch(b, "layer_norm_param_grad", lanes*chunks*parts(width, sumCols), struct {
		dw, db, ct, x, stats mem
		width, rows, chunk   int64
	}{partW, partB, at(ct), at(x), at(stats), int64(width), int64(rows), int64(chunk)})
	b.sumRows(at(dw), partW, lanes, chunks, width, chunks)
	b.sumRows(at(db), partB, lanes, chunks, width, chunks)
}

func (b *backend) L2Normalize(dst, norm, x tensor.Buf, width int) {
	launch(b, "l2_normalize", warps(rowsOf(dst.N, width)), struct {
		dst, norm, x mem
		width        int64
	}{at(dst), at(norm), at(x), int64(width)})
}

func (b *backend) L2NormalizeGrad(dst, ct, y, norm tensor.Buf, width int) {
	launch(b, "l2_normalize_grad", warps(rowsOf(dst.N, width)), struct {
		dst, ct, y, norm mem
		width            int64
	}{at(dst), at(ct), at(y), at(norm), int64(width)})
}
