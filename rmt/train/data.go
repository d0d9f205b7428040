package train

import (
	"context"
	"iter"

	"fewshot/tensor"
)

// Data is a training set in batches. The order of an epoch is fixed by the data's own seed and the epoch's
// number, so that a run can go on from any batch.
type Data interface {
	Batches() int // per epoch
	// Epoch yields the batches of an epoch from the given one on. A batch is valid until the next.
	Epoch(ctx context.Context, epoch, from int) iter.Seq2[Batch, error]
}

// Batch is a number of normalised images [N, 3, Size, Size] with their labels: Pixels, or else Fill, which puts the
// images into a tensor of kind Compute. Where Features is not 0 there are features [N, Features] in their place, of
// kind Full.
type Batch struct {
	Pixels   []float32
	Fill     func(images *tensor.Tensor)
	Labels   []int32
	Size     int
	Features int
}

// Put puts a batch on the device, into the tensor of the batch before where that has the right size.
func (b Batch) Put(dev *tensor.Device, x *tensor.Tensor) *tensor.Tensor {
	n := len(b.Labels)
	if x != nil && x.Shape()[0] != n {
		x.Release()
		x = nil
	}
	switch {
	case x != nil:
	case b.Features != 0:
		x = dev.New(tensor.Full, n, b.Features)
	default:
		x = dev.New(tensor.Compute, n, 3, b.Size, b.Size)
	}
	if b.Fill != nil {
		b.Fill(x)
	} else {
		x.Set(b.Pixels)
	}
	return x
}
