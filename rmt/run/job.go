package run

import (
	"context"
	"fmt"

	"fewshot/datasets"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// images are a job's images.
type images struct {
	dev    *tensor.Device
	model  *clip.Model
	ds     *datasets.Dataset
	loader Loader
	seed   uint64
	ui     UI
	peeks  bool // the method may see the test images
	open   []*Source
}

// items are those of a split.
func (d *images) items(s method.Split) []datasets.Item {
	switch {
	case s == method.Train:
		return d.ds.Train
	case s == method.Val:
		return d.ds.Val
	case d.peeks:
		return d.ds.Test
	default:
		return nil
	}
}

// Count is the number of images of a split.
func (d *images) Count(s method.Split) int { return len(d.items(s)) }

// Labels are those of a split's images.
func (d *images) Labels(s method.Split) []int32 {
	var all []int32
	for _, it := range d.items(s) {
		all = append(all, it.Label)
	}
	return all
}

// options vary images in an order of their own, or not.
func (d *images) options(batch int, a method.Augment, shuffle bool) datasets.LoaderOptions {
	o := datasets.LoaderOptions{Transform: d.model.Transform, BatchSize: batch, Shuffle: shuffle, DropLast: shuffle, Seed: d.seed, CacheBytes: d.loader.CacheMiB << 20}
	if a.CropMin > 0 {
		o.Augment = datasets.RandomResizedCrop(a.CropMin)
		o.Augment.Flip = a.Flip
	}
	return o
}

// Batches are the training images in random order.
func (d *images) Batches(batch int, a method.Augment) (train.Data, error) {
	if len(d.ds.Train) == 0 {
		return nil, fmt.Errorf("%s has no training images; it is for evaluation only", d.ds.Name)
	}
	s := d.loader.Source(d.dev, d.ui, d.ds, d.ds.Train, d.options(batch, a, true), false)
	d.open = append(d.open, s)
	return s, nil
}

// Features are those of a split's images in its order. Those that are not varied are the same in every pass.
func (d *images) Features(ctx context.Context, s method.Split, a method.Augment, pass int) (*tensor.Tensor, error) {
	items := d.items(s)
	if len(items) == 0 {
		return nil, fmt.Errorf("%s has no images for %v", d.ds.Name, s)
	}
	source := d.loader.Source(d.dev, d.ui, d.ds, items, d.options(d.loader.EvalBatch(d.dev, d.model), a, false), true)
	defer source.Close()
	all := d.dev.New(tensor.Full, len(items), d.model.Image.Sizes().Embed)
	row := 0
	advance, finish := d.ui.Progress(fmt.Sprintf("features of %v images", s), len(items))
	defer finish()
	for f, err := range train.Features(ctx, d.dev, d.model.Image, source.Epoch(ctx, pass, 0)) {
		if err == nil {
			n := f.Shape()[0]
			tensor.Copy(all.Rows(row, row+n), f)
			row += n
			advance(row, "")
			continue
		}
		all.Release()
		return nil, err
	}
	if err := ctx.Err(); err != nil || row != len(items) {
		all.Release()
		return nil, err
	}
	return all, nil
}

// close gives back what batches keep.
func (d *images) close() {
	for _, s := range d.open {
		s.Close()
	}
	d.open = nil
}
