package train

import (
	"context"
	"iter"

	"fewshot/autograd"
	"fewshot/tensor"
)

// Cached is a training set whose features were computed once, for methods that leave the encoder alone: a number of
// passes over the same images, each with other crops. Its batches are features; [Identity] stands for the encoder.
type Cached struct {
	Passes *tensor.Tensor // [P, N, D], of kind Full; epoch e takes number e mod P
	Labels []int32        // [N]
	Batch  int            // the last one of an epoch is what is left
	Key    tensor.Key     // of the orders
}

// Batches are those of an epoch.
func (c *Cached) Batches() int { return (len(c.Labels) + c.Batch - 1) / c.Batch }

// Epoch yields the features of an epoch in an order of its own.
func (c *Cached) Epoch(ctx context.Context, epoch, from int) iter.Seq2[Batch, error] {
	return func(yield func(Batch, error) bool) {
		n, pass := len(c.Labels), c.Passes.Index(epoch%c.Passes.Shape()[0])
		order, key := make([]int32, n), c.Key.Fold(uint64(epoch))
		for i := range order { // Fisher and Yates, from the front
			j := int(key.Uniform(uint64(i)) * float64(i+1))
			order[i] = order[j]
			order[j] = int32(i)
		}
		for b := from; b < c.Batches() && ctx.Err() == nil; b++ {
			ids := order[b*c.Batch : min((b+1)*c.Batch, n)]
			labels := make([]int32, len(ids))
			for i, id := range ids {
				labels[i] = c.Labels[id]
			}
			fill := func(x *tensor.Tensor) { tensor.Gather(x, pass, ids) }
			if !yield(Batch{Features: pass.Dim(1), Fill: fill, Labels: labels}, nil) {
				return
			}
		}
	}
}

// Identity is the encoder of features, which are what they are.
type Identity struct{}

// Encode returns the features.
func (Identity) Encode(features *autograd.Var) *autograd.Var { return features }
