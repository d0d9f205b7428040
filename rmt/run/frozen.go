package run

import (
	"context"
	"fmt"
	"iter"
	"slices"

	"fewshot/datasets"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Frozen are batches of images with the encoder; or of its features, if other runs may have use of them, and the encoder gives an image the same
// bits in a batch of any size.
func (d *images) Frozen(batch int, a method.Augment) (train.Data, train.Encoder, error) {
	if !d.shareable() || !d.apart() {
		data, err := d.Batches(batch, a)
		return data, d.model.Image, err
	}
	if len(d.ds.Train) == 0 {
		return nil, nil, fmt.Errorf("%s has no training images; it is for evaluation only", d.ds.Name)
	}
	opt := d.options(batch, a, true)
	opt.CacheBytes = 0 // it gives the orders alone
	return &frozen{images: d, varied: a, batch: batch, orders: datasets.NewLoader(d.ds, d.ds.Train, opt)}, train.Identity{}, nil
}

// large reports whether a weight of the image encoder is so large that Strassen's algorithm may multiply by it, which rounds by the shape of the
// batch: 512 on both sides.
func large(m *clip.Model) bool {
	const side = 512
	for _, p := range m.Image.Params() {
		if s := p.Value.Shape(); len(s) > 1 && s[0] >= side && p.Value.Len()/s[0] >= side {
			return true
		}
	}
	return false
}

// frozen are the epochs of a training set as an encoder that stays as it is sees them: in the orders of the images' own batches.
type frozen struct {
	images *images
	varied method.Augment
	batch  int
	orders *datasets.Loader
}

// Batches are those of an epoch.
func (f *frozen) Batches() int { return f.orders.Batches() }

// Epoch yields the features of an epoch.
func (f *frozen) Epoch(ctx context.Context, epoch, from int) iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) {
		if from >= f.Batches() {
			return
		}
		order := f.orders.Order(epoch)
		order = order[:min(f.Batches()*f.batch, len(order))] // those that are left out need no features
		which := slices.Sorted(slices.Values(order))
		x, err := f.images.features(ctx, method.Train, f.varied, epoch, which, func(string, int) (func(int, string), func()) {
			return func(int, string) {}, func() {} // the steps' own bar is shown
		})
		if err != nil {
			yield(train.Batch{}, err)
			return
		}
		defer x.Release()
		row := make(map[int]int32, len(which))
		for r, i := range which {
			row[i] = int32(r)
		}
		for b := from; b < f.Batches(); b++ {
			ids := make([]int32, 0, f.batch)
			batch := train.Batch{Features: x.Dim(1)}
			for _, i := range order[b*f.batch : min((b+1)*f.batch, len(order))] {
				ids = append(ids, row[i])
				batch.Labels = append(batch.Labels, f.images.ds.Train[i].Label)
			}
			batch.Fill = func(into *tensor.Tensor) { tensor.Gather(into, x, ids) }
			if !yield(batch, nil) {
				return
			}
		}
	}
}
