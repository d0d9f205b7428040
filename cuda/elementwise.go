//go:build cuda

package cuda

import "fewshot/tensor"

type binary struct{ dst, x, y mem }

type factor struct {
	dst, x, y mem
	c         float32
	_         int32
}

type unary struct {
	dst, x mem
	c      float32
	_      int32
}

func (b *backend) Add(dst, x, y tensor.Buf) {
	launch(b, "add", packs(dst.N), binary{at(dst), at(x), at(y)})
}
func (b *backend) Mul(dst, x, y tensor.Buf) {
	launch(b, "mul", packs(dst.N), binary{at(dst), at(x), at(y)})
}

func (b *backend) Scale(dst, x tensor.Buf, c float64) {
	launch(b, "scale", packs(dst.N), unary{dst: at(dst), x: at(x), c: float32(c)})
}

func (b *backend) AXPY(dst tensor.Buf, c float64, x tensor.Buf) {
	launch(b, "axpy", packs(dst.N), factor{dst: at(dst), x: at(x), y: at(dst), c: float32(c)})
}

func (b *backend) Exp(dst, x tensor.Buf) {
	launch(b, "exponential", packs(dst.N), unary{dst: at(dst), x: at(x)})
}

func (b *backend) Mask(dst, w, s tensor.Buf, t float64) {
	launch(b, "mask", packs(dst.N), factor{dst: at(dst), x: at(w), y: at(s), c: float32(t)})
}

func (b *backend) Fill(dst tensor.Buf, c float64) {
	launch(b, "fill", packs(dst.N), struct {
		dst mem
		c   float32
		_   int32
	}{dst: at(dst), c: float32(c)})
}

func (b *backend) Copy2D(dst, src tensor.Buf, rows, cols, ldd, lds int) {
	b.copy2D(at(dst), at(src), rows, cols, ldd, lds)
}

func (b *backend) copy2D(dst, src mem, rows, cols, ldd, lds int) {
	if cols == ldd && cols == lds { // one long row
		rows, cols = 1, rows*cols
	}
	launch(b, "copy_2d", parts(rows*parts(cols, pack), threads), struct {
		dst, src             mem
		rows, cols, ldd, lds int64
	}{dst, src, int64(rows), int64(cols), int64(ldd), int64(lds)})
}
