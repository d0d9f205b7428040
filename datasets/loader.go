package datasets

import (
	"context"
	"fmt"
	"image"
	"iter"
	"math"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"

	"fewshot/datasets/internal/imaging"
	"fewshot/datasets/internal/philox"
	"fewshot/nn/quote"
)

// A Batch is a number of images ready for the model.
type Batch struct {
	Pixels  []float32 // [N, 3, Size, Size]; nil with LoaderOptions.Crops
	Crops   []Crop    // [N] with LoaderOptions.Crops
	Labels  []int32   // [N]
	Indices []int     // [N], into the loader's items
}

// LoaderOptions say how a Loader makes batches.
type LoaderOptions struct {
	Transform Transform
	// Augment, if not nil, takes a random crop of each image in place of the centre.
	Augment *Augment
	// BatchSize is the number of images in a batch, at least 1.
	BatchSize int
	// Shuffle draws a new order of the items for every epoch; without it they come as they are.
	Shuffle bool
	// DropLast leaves out the last batch of an epoch if it is short, unless it is the only one.
	DropLast bool
	// Seed determines the orders and the crops.
	Seed uint64
	// Workers is the number of images being decoded at the same time; 0 means one for each processor.
	Workers int
	// CacheBytes is how much memory may hold decoded images from one epoch to the next. What is kept is the whole image
	// with Augment, three bytes a pixel, and the cropped one without. Once the cache is full nothing replaces what it has:
	// in epochs of random order every other choice is as good.
	CacheBytes int64
	// Crops asks for batches of crops in place of pixels. Each item's picture comes with the first batch that has the
	// item, and its file is never read again: whoever reads the batches keeps the pictures. CacheBytes is of no use
	// then.
	Crops bool
}

// A Loader makes batches of the items of a data set, decoding in the background.
//
// The batches of an epoch are a function of the items, the options that say what to compute, and the number of the
// epoch. Workers and CacheBytes have no influence, nor have the batches that were read before. Several epochs may be
// read at the same time.
type Loader struct {
	ds    *Dataset
	items []Item
	opt   LoaderOptions
	table *normalization

	cache []atomic.Pointer[imaging.RGB] // by item
	room  atomic.Int64                  // bytes of the cache that are free
	given []atomic.Pointer[image.Point] // by item: the size of its picture, once a batch has had it
	last  atomic.Int64                  // see Last
}

// NewLoader makes a loader of items, which must be items of ds. It panics if BatchSize or Transform.Size is less than
// 1.
func NewLoader(ds *Dataset, items []Item, opt LoaderOptions) *Loader {
	if opt.BatchSize < 1 || opt.Transform.Size < 1 {
		panic(fmt.Sprintf("datasets.NewLoader: batch size %d, image size %d", opt.BatchSize, opt.Transform.Size))
	}
	if opt.Workers < 1 {
		opt.Workers = runtime.GOMAXPROCS(0)
	}
	l := &Loader{ds: ds, items: items, opt: opt, table: opt.Transform.table()}
	l.cache = make([]atomic.Pointer[imaging.RGB], len(items))
	l.given = make([]atomic.Pointer[image.Point], len(items))
	l.room.Store(opt.CacheBytes)
	l.last.Store(math.MaxInt64)
	return l
}

// LoadImages makes batches of all items in their order, with the centre of each image: what evaluation and feature
// extraction read. See [Loader.Epoch] for the batches and errors.
func LoadImages(ctx context.Context, ds *Dataset, items []Item, t Transform, batchSize, workers int) iter.Seq2[*Batch, error] {
	return NewLoader(ds, items, LoaderOptions{Transform: t, BatchSize: batchSize, Workers: workers}).Epoch(ctx, 0, 0)
}

// Last says that no epoch after the given one will be read: in it what is decoded is not kept, and what was kept is
// given up once it was used. An epoch that is read all the same is decoded anew.
func (l *Loader) Last(epoch int) { l.last.Store(int64(epoch)) }

// Batches is the number of batches in an epoch.
func (l *Loader) Batches() int {
	n, b := len(l.items), l.opt.BatchSize
	if l.opt.DropLast && n >= b {
		return n / b
	}
	return (n + b - 1) / b
}

// prefetch is how many batches may be ready or in work while one is being used. One more would cover nothing but a
// batch that takes as long as two.
const prefetch = 2

// BatchesHeld is of how many batches a loader keeps the pixels.
const BatchesHeld = prefetch + 1

// Epoch gives the batches of an epoch from number from on (0 for all of them), for a range statement:
//
//	for batch, err := range loader.Epoch(ctx, epoch, 0) {
//		if err != nil {
//			return err
//		}
//		...
//	}
//
// A batch is valid until the next one is asked for; then its memory is used again. The first error, which names the
// file, ends the epoch; if several images fail, it is that of the first in the epoch's order. When ctx is done, the
// epoch ends with its error. Leaving the loop early is fine: the workers have stopped when the statement after it
// runs.
func (l *Loader) Epoch(ctx context.Context, epoch, from int) iter.Seq2[*Batch, error] {
	if epoch < 0 || from < 0 {
		panic(fmt.Sprintf("datasets.Loader: epoch %d from batch %d", epoch, from))
	}
	return func(yield func(*Batch, error) bool) {
		n, batches := l.opt.BatchSize, l.Batches()
		if from < batches {
			order := l.Order(epoch)
			l.batches(ctx, epoch, order[from*n:min(batches*n, len(order))])(yield)
		}
	}
}

// Some gives batches of the items with these indices, in their order, as the epoch has them. The last may be short.
func (l *Loader) Some(ctx context.Context, epoch int, indices []int) iter.Seq2[*Batch, error] {
	if epoch < 0 {
		panic(fmt.Sprintf("datasets.Loader: epoch %d", epoch))
	}
	return l.batches(ctx, epoch, indices)
}

// batches are those of an epoch of items in the given order.
func (l *Loader) batches(ctx context.Context, epoch int, order []int) iter.Seq2[*Batch, error] {
	return func(yield func(*Batch, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		batches := (len(order) + l.opt.BatchSize - 1) / l.opt.BatchSize
		slots := make([]*slot, min(BatchesHeld, batches))
		jobs := make(chan job, len(slots)*l.opt.BatchSize)
		var workers sync.WaitGroup
		defer func() {
			cancel()
			close(jobs)
			workers.Wait()
		}()
		for range l.opt.Workers {
			workers.Go(func() {
				w := worker{loader: l, epoch: uint32(epoch)}
				for j := range jobs {
					w.do(ctx, j)
				}
			})
		}

		next := 0
		// begin hands the next batch that nobody works on to the workers. There is always room for its jobs: a slot has
		// none left when it gets new ones.
		begin := func(s *slot) {
			if next < batches {
				lo := next * l.opt.BatchSize
				s.prepare(order[lo:min(lo+l.opt.BatchSize, len(order))])
				for i := range s.batch.Indices {
					jobs <- job{s, i}
				}
				next++
			}
		}
		for i := range slots {
			slots[i] = l.newSlot(min(l.opt.BatchSize, len(order)))
			begin(slots[i])
		}
		for b := range batches {
			s := slots[b%len(slots)]
			select {
			case <-s.done:
			case <-ctx.Done():
				yield(nil, ctx.Err())
				return
			}
			for _, err := range s.errs {
				if err != nil {
					yield(nil, err)
					return
				}
			}
			l.give(&s.batch)
			if !yield(&s.batch, nil) {
				return
			}
			begin(s)
		}
	}
}

// give remembers whose pictures a batch has.
func (l *Loader) give(b *Batch) {
	for i, c := range b.Crops {
		if m := c.Picture; m != nil {
			l.given[b.Indices[i]].Store(&image.Point{X: m.W, Y: m.H})
		}
	}
}

// imageLen is the number of samples in an image of a batch.
func (l *Loader) imageLen() int { return 3 * l.opt.Transform.Size * l.opt.Transform.Size }

// Order gives the items' indices in the order of an epoch.
func (l *Loader) Order(epoch int) []int {
	if l.opt.Shuffle {
		s := philox.NewStream(l.opt.Seed, purposeShuffle, uint32(epoch), 0)
		return s.Perm(len(l.items))
	}
	order := make([]int, len(l.items))
	for i := range order {
		order[i] = i
	}
	return order
}

// slot is the memory of a batch, used again and again.
type slot struct {
	loader  *Loader
	pixels  []float32 // of a whole batch; batch.Pixels is the part in use
	crops   []Crop    // in their place
	batch   Batch
	errs    []error // by position in the batch
	pending atomic.Int64
	done    chan struct{} // gets a value when the batch is complete
}

// newSlot is one for batches of up to n images.
func (l *Loader) newSlot(n int) *slot {
	s := &slot{loader: l, done: make(chan struct{}, 1)}
	if l.opt.Crops {
		s.crops = make([]Crop, n)
	} else {
		s.pixels = make([]float32, n*l.imageLen())
	}
	return s
}

// prepare makes the slot ready for the images with these indices.
func (s *slot) prepare(indices []int) {
	if s.loader.opt.Crops {
		s.batch.Crops = s.crops[:len(indices)]
	} else {
		s.batch.Pixels = s.pixels[:len(indices)*s.loader.imageLen()]
	}
	s.batch.Indices = append(s.batch.Indices[:0], indices...)
	s.batch.Labels = s.batch.Labels[:0]
	s.errs = s.errs[:0]
	for _, i := range indices {
		s.batch.Labels = append(s.batch.Labels, s.loader.items[i].Label)
		s.errs = append(s.errs, nil)
	}
	s.pending.Store(int64(len(indices)))
}

// job is one image of a batch.
type job struct {
	slot     *slot
	position int
}

// worker decodes and transforms one image at a time.
type worker struct {
	loader  *Loader
	epoch   uint32
	resizer imaging.Resizer
	filters imaging.Filters
	pix     []uint8 // [Size, Size, 3]
}

func (w *worker) do(ctx context.Context, j job) {
	s := j.slot
	if err := ctx.Err(); err != nil {
		s.errs[j.position] = err
	} else {
		index := s.batch.Indices[j.position]
		if w.loader.opt.Crops {
			s.errs[j.position] = w.crop(&s.batch.Crops[j.position], index)
		} else {
			n := w.loader.imageLen()
			s.errs[j.position] = w.load(s.batch.Pixels[j.position*n:][:n], index)
		}
	}
	if s.pending.Add(-1) == 0 {
		s.done <- struct{}{}
	}
}

// load writes the pixels of item number index.
func (w *worker) load(dst []float32, index int) error {
	l := w.loader
	size := l.opt.Transform.Size
	m, err := w.decoded(index)
	if err != nil {
		return err
	}
	pix, flip := m.Pix, false
	if l.opt.Augment != nil {
		if w.pix == nil {
			w.pix = make([]uint8, l.imageLen())
		}
		pix = w.pix
		var r region
		r, flip = l.region(w.epoch, index, image.Pt(m.W, m.H))
		r.resize(&w.resizer, pix, m)
	}
	l.table.normalize(dst, pix, size, flip)
	return nil
}

// crop makes the crop of item number index.
func (w *worker) crop(c *Crop, index int) error {
	l := w.loader
	c.Picture = nil
	size := l.given[index].Load()
	if size == nil {
		m, err := w.read(index)
		if err != nil {
			return err
		}
		c.Picture, size = m, &image.Point{X: m.W, Y: m.H}
	}
	r, flip := l.region(w.epoch, index, *size)
	r.filters(&w.filters, c)
	c.Flip = flip
	return nil
}

// decoded gives the image of an item from the cache or from its file: whole if it is to be augmented, else its centre.
func (w *worker) decoded(index int) (*imaging.RGB, error) {
	l := w.loader
	last := int64(w.epoch) >= l.last.Load()
	if m := l.cache[index].Load(); m != nil {
		if last {
			l.cache[index].Store(nil)
		}
		return m, nil
	}
	m, err := w.read(index)
	if err != nil {
		return nil, err
	}
	if l.opt.Augment == nil {
		size := l.opt.Transform.Size
		center := imaging.NewRGB(size, size)
		l.opt.Transform.center(image.Pt(m.W, m.H)).resize(&w.resizer, center.Pix, m)
		m = center
	}
	if last {
		return m, nil
	}
	if n := int64(len(m.Pix)); l.room.Add(-n) < 0 {
		l.room.Add(n)
	} else if !l.cache[index].CompareAndSwap(nil, m) {
		l.room.Add(n) // another epoch that runs beside this one was faster
	}
	return m, nil
}

// read decodes the file of an item.
func (w *worker) read(index int) (*imaging.RGB, error) {
	data, err := w.loader.ds.ReadItem(w.loader.items[index])
	if err != nil {
		return nil, err
	}
	return imaging.Decode(w.loader.name(index), data, imaging.DefaultLimits)
}

// name is what an error calls an item.
func (l *Loader) name(index int) string {
	if item := l.items[index]; item.Data == nil {
		return quote.Plain(filepath.Join(l.ds.Root, filepath.FromSlash(item.Path)))
	} else {
		return item.name(index)
	}
}

// name is what an error calls item number i of its list, without the folder.
func (it Item) name(i int) string {
	if it.Path != "" {
		return quote.Plain(it.Path)
	}
	return fmt.Sprintf("image %d of class %s", i, quote.String(it.Class))
}
