package rmt

import (
	"iter"

	"fewshot/autograd"
	"fewshot/tensor"
)

// Predict classifies batches with an encoder, masked or not, and yields the predicted labels batch by batch.
// Masks are applied once for all batches.
func Predict(dev *tensor.Device, e Encoder, h Head, batches iter.Seq2[Batch, error]) iter.Seq2[[]int32, error] {
	return func(yield func([]int32, error) bool) {
		for z, err := range each(dev, e, batches, h.Logits) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(Argmax(z), nil) {
				return
			}
		}
	}
}

// Features yields the features of batches, [N, D], not normalised. A tensor is valid until the next.
func Features(dev *tensor.Device, e Encoder, batches iter.Seq2[Batch, error]) iter.Seq2[*tensor.Tensor, error] {
	return each(dev, e, batches, func(f *autograd.Var) *autograd.Var { return f })
}

// each yields what head makes of the features of each batch. The forward passes are no program: one of a batch keeps a device
// busy for longer than it takes to ask for it, the images take longer still to be decoded, and a program would apply the masks
// in every run, which are applied here once.
func each(dev *tensor.Device, e Encoder, batches iter.Seq2[Batch, error], head func(*autograd.Var) *autograd.Var) iter.Seq2[*tensor.Tensor, error] {
	return func(yield func(*tensor.Tensor, error) bool) {
		t := autograd.NoGrad(dev)
		defer t.Release()
		var images *tensor.Tensor
		defer func() {
			if images != nil {
				images.Release()
			}
		}()
		for b, err := range batches {
			if err != nil {
				yield(nil, err)
				return
			}
			images = fill(dev, images, b)
			out := t.Scope(func() *autograd.Var { return head(e.Encode(t.Const(images))) })
			ok := yield(out.Value, nil)
			t.Done(out)
			if !ok {
				return
			}
		}
		if err := dev.Sync(); err != nil {
			yield(nil, err)
		}
	}
}
