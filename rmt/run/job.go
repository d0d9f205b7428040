package run

import (
	"context"
	"fmt"

	"fewshot/datasets"
	"fewshot/nn"
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
	again  struct {
		split  method.Split
		varied method.Augment
		source *Source
	}

	shared *Shared // nil for none
	below  string  // mask file that was put on the model
	state  []nn.State
	given  bool // the features of the last test were another run's
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
	return d.features(ctx, s, a, pass, d.ui.Progress)
}

func (d *images) features(ctx context.Context, s method.Split, a method.Augment, pass int, progress progress) (*tensor.Tensor, error) {
	items := d.items(s)
	if len(items) == 0 {
		return nil, fmt.Errorf("%s has no images for %v", d.ds.Name, s)
	}
	key, shared := d.key(items, a, pass)
	if shared {
		if x := d.shared.take(key); x != nil {
			defer x.Release()
			own := d.dev.New(tensor.Full, x.Shape()...)
			tensor.Copy(own, x)
			return own, nil
		}
	}
	all, err := d.encode(ctx, fmt.Sprintf("features of %v images", s), d.passes(s, a), pass, progress)
	if err != nil || !shared {
		return all, err
	}
	kept := d.dev.New(tensor.Full, all.Shape()...)
	tensor.Copy(kept, all)
	d.shared.keep(key, kept)
	kept.Release()
	return all, nil
}

// passes is the source of a split's images for features. That of the last call is kept while it is asked for again, with other variations: its
// pictures are decoded once.
func (d *images) passes(s method.Split, a method.Augment) *Source {
	if d.again.source != nil && d.again.split == s && d.again.varied == a {
		return d.again.source
	}
	d.forget()
	d.again.split, d.again.varied = s, a
	d.again.source = d.loader.Source(d.dev, d.ui, d.ds, d.items(s), d.options(d.loader.EvalBatch(d.dev, d.model), a, false), a.CropMin == 0)
	return d.again.source
}

func (d *images) forget() {
	if d.again.source != nil {
		d.again.source.Close()
		d.again.source = nil
	}
}

// close gives back what batches keep.
func (d *images) close() {
	d.forget()
	for _, s := range d.open {
		s.Close()
	}
	d.open = nil
}
