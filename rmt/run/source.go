package run

import (
	"context"
	"fmt"
	"iter"
	"math"

	"fewshot/datasets"
	"fewshot/rmt/clip"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Source gives labelled images in batches, to train on or to classify. From one epoch to the next decoded pictures are kept in
// one of two places: in the process's memory, where the loader makes images of them; or in the device's, as bytes, and the
// device makes the images. The numbers that come out are the same.
type Source struct {
	ds     *datasets.Dataset
	items  []datasets.Item
	opt    datasets.LoaderOptions
	loader *datasets.Loader
	ui     UI

	store  *store // nil: pictures are kept by the loader
	once   bool   // no image is looked at twice, so that no picture is kept beyond its batch
	strict bool   // pictures that do not fit the device are an error
	last   int    // see Last
}

// store is pictures on a device, by item.
type store struct {
	dev      *tensor.Device
	pictures *tensor.Pictures
	room     int64          // bytes that they may take
	levels   *tensor.Tensor // [3, 256]
	numbers  []int          // of each item's picture
	crops    []tensor.Crop  // of the batch
	fill     func(*tensor.Tensor)
}

// storeShare is the part of a device's own memory that the pictures of one source may take: an eighth, so that those of
// training and of evaluation leave three quarters.
const storeShare = 8

// Source makes one. once says that there will be one epoch only.
func (l Loader) Source(dev *tensor.Device, u UI, ds *datasets.Dataset, items []datasets.Item, opt datasets.LoaderOptions, once bool) *Source {
	opt.Workers = l.Workers
	s := &Source{ds: ds, items: items, opt: opt, ui: u, once: once, strict: l.Store == "device", last: math.MaxInt}
	own := dev.OwnMemory()
	if l.Store == "device" || l.Store == "auto" && own > 0 {
		room := own / storeShare
		if own == 0 {
			room = l.CacheMiB << 20
		}
		s.store = newStore(dev, opt.Transform, len(items), room)
		s.opt.Crops = true
	}
	s.loader = datasets.NewLoader(ds, items, s.opt)
	return s
}

// InOrder is a source of the centres of items, in their order: what is classified.
func (l Loader) InOrder(dev *tensor.Device, u UI, m *clip.Model, ds *datasets.Dataset, items []datasets.Item, once bool) *Source {
	return l.Source(dev, u, ds, items, datasets.LoaderOptions{Transform: m.Transform, BatchSize: l.EvalBatch(dev, m)}, once)
}

// Batches is how many an epoch has.
func (s *Source) Batches() int { return s.loader.Batches() }

// Last says that no epoch after the given one will be read, so that pictures need not be kept for one.
func (s *Source) Last(epoch int) {
	s.last = epoch
	s.loader.Last(epoch)
}

// Epoch yields the batches of an epoch from the given one on.
func (s *Source) Epoch(ctx context.Context, epoch, from int) iter.Seq2[train.Batch, error] {
	return s.batches(func(done int) iter.Seq2[*datasets.Batch, error] { return s.loader.Epoch(ctx, epoch, from+done) })
}

// Some yields batches of the items with these indices, as the epoch has them.
func (s *Source) Some(ctx context.Context, epoch int, indices []int) iter.Seq2[train.Batch, error] {
	return s.batches(func(done int) iter.Seq2[*datasets.Batch, error] {
		return s.loader.Some(ctx, epoch, indices[done*s.opt.BatchSize:])
	})
}

// batches yields what the loader gives behind the batches that are done, by whichever loader it is then.
func (s *Source) batches(behind func(done int) iter.Seq2[*datasets.Batch, error]) iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) {
		full, done := false, 0
		for b, err := range behind(0) {
			out := train.Batch{Size: s.opt.Transform.Size}
			switch {
			case err != nil:
			case s.store == nil:
				out.Pixels, out.Labels = b.Pixels, b.Labels
			case s.store.keep(b, s.once):
				out.Fill, out.Labels = s.store.fill, b.Labels
			case s.strict:
				err = fmt.Errorf("%s; use -store host", s.store.full(s.ds))
			default:
				full = true
			}
			if full {
				break
			}
			if !yield(out, err) || err != nil {
				return
			}
			done++
		}
		if full {
			s.ui.Note("%s: the rest is done as with -store host", s.store.full(s.ds))
			s.keepOnHost()
			s.batches(func(more int) iter.Seq2[*datasets.Batch, error] { return behind(done + more) })(yield)
		}
	}
}

// keepOnHost gives the device's pictures up. Loaders of crops and of pixels make the same batches.
func (s *Source) keepOnHost() {
	s.Close()
	s.opt.Crops = false
	s.loader = datasets.NewLoader(s.ds, s.items, s.opt)
	s.loader.Last(s.last)
}

// Close gives the device's memory back.
func (s *Source) Close() {
	if s.store != nil {
		s.store.pictures.Release()
		s.store.levels.Release()
		s.store = nil
	}
}

func newStore(dev *tensor.Device, t datasets.Transform, items int, room int64) *store {
	k := &store{dev: dev, pictures: dev.NewPictures(room), room: room, levels: dev.From(t.Levels(), 3, 256), numbers: make([]int, items)}
	k.fill = func(images *tensor.Tensor) { tensor.Resample(images, k.levels, k.pictures, k.crops) }
	return k
}

// full says that there is no room for the images of a data set.
func (k *store) full(ds *datasets.Dataset) string {
	return fmt.Sprintf("the images of %s, decoded, take more than the %d MiB that are set aside for them on %s", ds.Name, k.room>>20, k.dev.Name())
}

// keep takes the pictures of a batch that are new, and reports whether there was room for all.
func (k *store) keep(b *datasets.Batch, once bool) bool {
	if once {
		k.pictures.Clear()
	}
	k.crops = k.crops[:0]
	for i, c := range b.Crops {
		item := b.Indices[i]
		if m := c.Picture; m != nil {
			n, ok := k.pictures.Add(m.Pix, m.W, m.H)
			if !ok {
				return false
			}
			k.numbers[item] = n
		}
		k.crops = append(k.crops, tensor.Crop{Picture: k.numbers[item], Left: c.Left, Top: c.Top, Columns: c.Columns, Rows: c.Rows, RowsFirst: c.RowsFirst, Flip: c.Flip})
	}
	return true
}
