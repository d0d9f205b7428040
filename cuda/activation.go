//go:build cuda

package cuda

import "fewshot/tensor"

func (b *backend) Activate(dst, x tensor.Buf, a tensor.Activation) {
	launch(b, "activate", packs(dst.N), struct {
		dst, x  mem
		kind, _ int32
	}{dst: at(dst), x: at(x), kind: int32(a)})
}

func (b *backend) ActivateGrad(dst, ct, x tensor.Buf, a tensor.Activation) {
	launch(b, "activate_grad", packs(x.N), struct {
		dst, ct, x mem
		kind, _    int32
	}{dst: at(dst), ct: at(ct), x: at(x), kind: int32(a)})
}
