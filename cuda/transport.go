//go:build cuda

package cuda

import (
	"fmt"

	"fewshot/tensor"
)

// leastEps is the smallest for whose factors, up to e^(2/eps), float32 has room.
const leastEps = 0.025

func (b *backend) Sinkhorn(dst, s tensor.Buf, a tensor.SinkhornArgs) {
	switch {
	case a.Together:
		b.fail("sinkhorn", fmt.Errorf("this device stops each pair of an image and a class by itself; not all by their mean"))
	case a.Eps < leastEps:
		b.fail("sinkhorn", fmt.Errorf("eps %g: this device has float32, and room for %g and more", a.Eps, leastEps))
	}
	if b.err != nil {
		return
	}
	b.scratch.reset(b)
	n, m := a.Batch*a.Rows*a.Classes, a.Batch*a.Columns*a.Classes
	launch(b, "sinkhorn", parts(a.Batch*a.Classes, threads), struct {
		dst, s, r, q                        mem
		batch, rows, columns, classes, most int64
		eps, threshold                      float32
	}{at(dst), at(s), floats(b.scratch.take(b, 4*n), n), floats(b.scratch.take(b, 4*m), m),
		int64(a.Batch), int64(a.Rows), int64(a.Columns), int64(a.Classes), int64(a.Most), float32(a.Eps), float32(min(a.Threshold, 3e38))})
}
