package run

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"iter"

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
	passes *passes // over images for their features; Shared's, if there is one

	shared *Shared // nil for none
	below  string  // mask file that was put on the model
	state  []nn.State
	given  bool // the features of the last test were another run's
	sums   map[method.Split]*sums
	batch  int  // in which features are computed; 0 if it is not known yet
	blind  bool // a method is only asked whether it can begin
}

// errBlind is what a method gets that looks at images where it is only asked whether it can begin.
var errBlind = errors.New("no images are shown")

// unseen are batches that nobody gets.
type unseen struct{ train.Data }

func (unseen) Epoch(context.Context, int, int) iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) { yield(train.Batch{}, errBlind) }
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
	d.passes.forget() // whose pictures would be there twice
	s := d.loader.Source(d.dev, d.ui, d.ds, d.ds.Train, d.options(batch, a, true), false)
	d.open = append(d.open, s)
	if d.blind {
		return unseen{s}, nil
	}
	return s, nil
}

// Features are those of a split's images in its order. Those that are not varied are the same in every pass.
func (d *images) Features(ctx context.Context, s method.Split, a method.Augment, pass int) (*tensor.Tensor, error) {
	return d.features(ctx, s, a, pass, upTo(d.Count(s)), d.ui.Progress)
}

// features are those of some images of a split; of all of them, unless they are the encoder's [images.apart].
func (d *images) features(ctx context.Context, s method.Split, a method.Augment, pass int, which []int, progress progress) (*tensor.Tensor, error) {
	if d.blind {
		return nil, errBlind
	}
	items := d.items(s)
	if len(items) == 0 {
		return nil, fmt.Errorf("%s has no images for %v", d.ds.Name, s)
	}
	encode := func(which []int) (*tensor.Tensor, error) {
		return d.encode(ctx, fmt.Sprintf("features of %v images", s), d.source(s, items, a), pass, which, progress)
	}
	if !d.shareable() {
		return encode(which)
	}
	return d.kept(d.place(s, items, which, a, pass), which, encode)
}

// passes are passes over images that are varied in one way. Their source is kept while it is asked for again: pictures are decoded once.
type passes struct {
	over struct {
		items  [sha256.Size]byte
		varied method.Augment
		seed   uint64
	}
	source *Source // nil for none
}

// source is that of a split's images for features.
func (d *images) source(s method.Split, items []datasets.Item, a method.Augment) *Source {
	p, over := d.passes, d.passes.over
	over.items, over.varied, over.seed = d.sum(s, items).all, a, d.seed
	if p.source == nil || p.over != over {
		p.forget()
		d.dev.Trim() // blocks for batches of another number of images are of no use to these
		p.over = over
		p.source = d.loader.Source(d.dev, d.ui, d.ds, items, d.options(d.evalBatch(), a, false), a.CropMin == 0)
	}
	return p.source
}

func (p *passes) forget() {
	if p.source != nil {
		p.source.Close()
		p.source = nil
	}
}

// close gives back what batches keep.
func (d *images) close() {
	if d.shared == nil {
		d.passes.forget()
	}
	for _, s := range d.open {
		s.Close()
	}
	d.open = nil
}
