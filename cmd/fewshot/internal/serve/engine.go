package serve

import (
	"context"
	"errors"
	"math"
	"net/http"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"fewshot/autograd"
	"fewshot/datasets"
	"fewshot/nn/quote"
	"fewshot/rmt/clip"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// tower is what images are computed through together: an encoder, whose features go to heads, or a classifier that is not made of these.
type tower struct {
	encoder    train.Encoder
	classifier train.Classifier // where encoder is nil

	company company // the queue's
}

// head is what makes logits of a tower's features: a task's, or the texts of a request.
type head struct {
	of   train.FeatureHead
	rows []float32 // [C, D] of length 1, where of is nil
}

// clock is the time, but for tests.
type clock interface {
	Now() time.Time
	// After sends when d has passed; stop says that nobody waits any more.
	After(d time.Duration) (c <-chan time.Time, stop func())
}

type wallClock struct{}

func (wallClock) Now() time.Time { return time.Now() }

func (wallClock) After(d time.Duration) (<-chan time.Time, func()) {
	t := time.NewTimer(d)
	return t.C, func() { t.Stop() }
}

// engine is the only user of a device. Batches, and other work as loading tasks and encoding texts, take turns.
type engine struct {
	dev     *tensor.Device
	model   *clip.Model
	plain   *tower // the untouched encoder
	clock   clock
	limits  datasets.ImageLimits
	metrics *metrics

	wake     chan struct{}
	decoders chan *datasets.Preparer // those at leisure, of one for each processor

	mu      sync.Mutex
	queue   queue
	work    []func()
	closing bool          // nothing new is taken
	ended   chan struct{} // closed when run has returned
	each    time.Duration // about what an image takes
	pixels  sync.Pool
}

func newEngine(dev *tensor.Device, m *clip.Model, o Options, c clock, mt *metrics) *engine {
	e := &engine{dev: dev, model: m, plain: &tower{encoder: m.Image}, clock: c, metrics: mt,
		limits: datasets.ImageLimits{FileBytes: o.Body, Side: 1 << 16, Pixels: o.Pixels},
		wake:   make(chan struct{}, 1), decoders: make(chan *datasets.Preparer, runtime.GOMAXPROCS(0)), ended: make(chan struct{}),
		queue: queue{most: o.Queue, batch: o.Batch, delay: o.Delay}}
	for range cap(e.decoders) {
		e.decoders <- m.Transform.Preparer()
	}
	n := 3 * m.Transform.Size * m.Transform.Size
	e.pixels.New = func() any { p := make([]float32, n); return &p }
	return e
}

// nudge wakes the engine.
func (e *engine) nudge() {
	select {
	case e.wake <- struct{}{}:
	default:
	}
}

// run computes until it is told to end and nothing is left, or until the device fails.
func (e *engine) run() error {
	defer close(e.ended) // after those who wait have been told
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.closing = true
		for _, it := range e.queue.items {
			it.done(nil, errStopped)
		}
		e.queue.items = nil
	}()
	turn := false // of other work
	for {
		turn = !turn
		work, batch, wait, over := e.next(turn)
		switch {
		case over:
			return nil
		case work != nil:
			work()
		case batch != nil:
			if err := e.compute(batch); err != nil {
				return err
			}
		default:
			e.pause(wait)
		}
	}
}

// next is what is to be done: other work, which goes first if it is its turn, or a batch, or nothing for a while; over if there will be nothing.
func (e *engine) next(turn bool) (work func(), batch []*item, wait time.Duration, over bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if turn {
		work = e.takeWork()
	}
	if work == nil {
		if batch, wait = e.queue.next(e.clock.Now()); batch == nil {
			work = e.takeWork()
		}
	}
	return work, batch, wait, e.closing && work == nil && batch == nil && e.queue.length() == 0
}

// takeWork is the next of other work; nil without any.
func (e *engine) takeWork() func() {
	if len(e.work) == 0 {
		return nil
	}
	work := e.work[0]
	e.work[0] = nil // what it holds is not kept until the list grows
	e.work = e.work[1:]
	return work
}

// pause waits for something to do, or for a while.
func (e *engine) pause(wait time.Duration) {
	if wait <= 0 {
		<-e.wake
		return
	}
	after, stop := e.clock.After(wait)
	defer stop()
	select {
	case <-e.wake:
	case <-after:
	}
}

// errStopped is told to those who were still waiting.
var errStopped = overf(http.StatusServiceUnavailable, "stopping", time.Second, "the server is shutting down")

// end makes run return once all that was taken is done.
func (e *engine) end() {
	e.mu.Lock()
	e.closing = true
	e.mu.Unlock()
	e.nudge()
}

// errDevice is a fault of the device in what is no image's.
var errDevice = errors.New("the device has failed")

// do has the engine do something with the device, and waits for it. Where ctx ends before, it is not done; once begun it is waited for, as what it makes
// would have no owner else.
func (e *engine) do(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	var taken atomic.Bool // by the engine, or back
	e.mu.Lock()
	if e.closing {
		e.mu.Unlock()
		return errStopped
	}
	e.work = append(e.work, func() {
		if !taken.Swap(true) {
			done <- f()
		}
	})
	e.mu.Unlock()
	e.nudge()
	gone := ctx.Done()
	for {
		select {
		case err := <-done:
			return err
		case <-gone:
			if !taken.Swap(true) {
				return ctx.Err()
			}
			gone = nil
		case <-e.ended: // by a fault, or with this one done
			select {
			case err := <-done:
				return err
			default:
				return errStopped
			}
		}
	}
}

// admit makes places in the queue, or says when there may be some.
func (e *engine) admit(n int) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.closing {
		return errStopped
	}
	if !e.queue.admit(n) {
		return overf(http.StatusTooManyRequests, "queue", time.Duration(e.queue.length())*e.each, "%d images wait already, and there is room for %d (-queue); try again later", e.queue.length(), e.queue.most)
	}
	return nil
}

// places is how many are taken in the queue.
func (e *engine) places() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.queue.length()
}

func (e *engine) withdraw(n int) {
	e.mu.Lock()
	e.queue.withdraw(n)
	e.mu.Unlock()
	e.nudge()
}

// through is where an image shall go.
type through struct {
	tower *tower
	head  *head
	stats *statistics // that count it; nil for none
}

// classify decodes images and gives the logits of each, by each of the ways, whose first one is that of the task that was asked. An image that is no
// good is named by its number.
func (e *engine) classify(ctx context.Context, images [][]byte, ways ...through) (_ [][][]float32, err error) {
	begun := e.clock.Now()
	var spent stages
	defer func() {
		now := e.clock.Now()
		ways[0].stats.answered(now, now.Sub(begun), spent, len(images), err)
	}()
	n := len(images) * len(ways)
	if err := e.admit(n); err != nil {
		return nil, err
	}
	pixels, err := e.decode(ctx, images)
	spent.input = e.clock.Now().Sub(begun)
	if err != nil {
		e.recycle(pixels)
		e.withdraw(n)
		return nil, err
	}
	out := make([][][]float32, len(ways)) // no result by name: the engine may still write to it when this has returned
	errs := make([]error, n)
	left := make(chan struct{}, n)
	items := make([]*item, 0, n)
	for w, way := range ways {
		out[w] = make([][]float32, len(images))
		for i := range images {
			at := len(items)
			items = append(items, &item{through: way, pixels: *pixels[i], ctx: ctx, done: func(logits []float32, err error) {
				out[w][i], errs[at] = logits, err
				left <- struct{}{}
			}})
		}
	}
	e.mu.Lock()
	e.queue.add(e.clock.Now(), items...)
	e.mu.Unlock()
	e.nudge()
	for range items {
		select {
		case <-left:
		case <-ctx.Done(): // the device may be reading the pixels, which are left to the garbage collector
			return nil, ctx.Err()
		case <-e.ended: // by a fault, or with this one's answer
			select {
			case <-left:
			default:
				return nil, errStopped
			}
		}
	}
	e.recycle(pixels)
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
	first, last := items[0], items[len(images)-1]
	spent.queue, spent.infer, spent.output = first.began.Sub(first.since), last.computed.Sub(first.began), e.clock.Now().Sub(last.computed)
	return out, nil
}

// recycle gives pixels back that nobody reads any more.
func (e *engine) recycle(pixels []*[]float32) {
	for _, p := range pixels {
		if p != nil {
			e.pixels.Put(p)
		}
	}
}

// decode makes pixels of images, as many at a time as there are processors. They are to be given back also after an error.
func (e *engine) decode(ctx context.Context, images [][]byte) ([]*[]float32, error) {
	pixels := make([]*[]float32, len(images))
	errs := make([]error, len(images))
	var group sync.WaitGroup
	for i, data := range images {
		var decoder *datasets.Preparer
		select {
		case decoder = <-e.decoders:
		case <-ctx.Done():
			errs[i] = ctx.Err()
			continue
		}
		one := func() {
			defer func() { e.decoders <- decoder }()
			defer func() { // not all images have the request's goroutine, whose faults are caught
				if p := recover(); p != nil {
					errs[i] = &fault{p, debug.Stack()}
				}
			}()
			start := e.clock.Now()
			pixels[i] = e.pixels.Get().(*[]float32)
			if err := decoder.Image(*pixels[i], imageName(i, len(images)), data, e.limits); err != nil {
				errs[i] = badf("%s", quote.Text(err.Error()))
			}
			e.metrics.decode.Observe(e.clock.Now().Sub(start).Seconds())
		}
		if len(images) == 1 {
			one()
		} else {
			group.Go(one)
		}
	}
	group.Wait()
	for _, err := range errs {
		if err != nil {
			return pixels, err
		}
	}
	return pixels, nil
}

// compute runs a batch.
func (e *engine) compute(batch []*item) error {
	start := e.clock.Now()
	// Images of one head lie together.
	order := make(map[*head]int, len(batch))
	for i, it := range batch {
		if _, ok := order[it.head]; !ok {
			order[it.head] = i
		}
	}
	slices.SortStableFunc(batch, func(a, b *item) int { return order[a.head] - order[b.head] })
	size := e.model.Transform.Size
	images := e.dev.New(tensor.Compute, len(batch), 3, size, size)
	defer images.Release()
	for i, it := range batch {
		images.Index(i).Set(it.pixels)
	}
	put := e.clock.Now()
	t := autograd.NoGrad(e.dev)
	defer t.Release()
	tower := batch[0].tower
	var logits [][]float32
	if tower.encoder == nil {
		logits = rows(t.Scope(func() *autograd.Var { return tower.classifier.Logits(t.Const(images)) }).Value)
	} else {
		features := t.Scope(func() *autograd.Var { return tower.encoder.Encode(t.Const(images)) }).Value
		for lo := 0; lo < len(batch); {
			hi := lo + 1
			for hi < len(batch) && batch[hi].head == batch[lo].head {
				hi++
			}
			logits = append(logits, e.apply(t, batch[lo].head, features.Rows(lo, hi))...)
			lo = hi
		}
	}
	err := e.dev.Sync()
	now := e.clock.Now()
	took := now.Sub(start)
	e.metrics.batch(len(batch), took.Seconds())
	e.mu.Lock()
	e.each = took / time.Duration(len(batch))
	e.queue.finished(tower, len(batch), took, now)
	e.mu.Unlock()
	errs := make([]error, len(batch))
	for i := range batch {
		switch {
		case err != nil:
			errs[i] = errDevice
		case slices.ContainsFunc(logits[i], notFinite):
			errs[i] = train.ErrLogits
		}
	}
	checked := e.clock.Now().Sub(now)
	counted := map[*statistics]bool{nil: true}
	for _, it := range batch { // before anybody has an answer, and may ask
		if !counted[it.stats] {
			counted[it.stats] = true
			it.stats.executed(len(batch), put.Sub(start), now.Sub(put), checked)
		}
	}
	for i, it := range batch {
		it.began, it.computed = start, now
		if errs[i] != nil {
			logits[i] = nil
		}
		it.done(logits[i], errs[i])
	}
	return err
}

// apply is a head's logits of features.
func (e *engine) apply(t *autograd.Tape, h *head, features *tensor.Tensor) [][]float32 {
	of := h.of
	if of == nil {
		d := features.Dim(1)
		classes := e.dev.From(h.rows, len(h.rows)/d, d)
		defer classes.Release()
		of = train.Head{Classes: classes, Scale: e.model.Scale()}
	}
	return rows(t.Scope(func() *autograd.Var { return of.Logits(t.Const(features)) }).Value)
}

// rows are those of a matrix.
func rows(x *tensor.Tensor) (all [][]float32) {
	v, w := x.Floats(), x.Dim(1)
	for ; len(v) > 0; v = v[w:] {
		all = append(all, v[:w:w])
	}
	return all
}

func notFinite(v float32) bool { return math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) }
