package serve

import (
	"context"
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"
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
	decoders chan struct{} // one for each image that is being decoded

	mu      sync.Mutex
	queue   queue
	work    []func()
	closing bool          // nothing new is taken
	broken  error         // of the device
	ended   chan struct{} // closed when run has returned
	each    time.Duration // about what an image takes
	pixels  sync.Pool
}

func newEngine(dev *tensor.Device, m *clip.Model, o Options, c clock, mt *metrics) *engine {
	e := &engine{dev: dev, model: m, plain: &tower{encoder: m.Image}, clock: c, metrics: mt,
		limits: datasets.ImageLimits{FileBytes: o.Body, Side: 1 << 16, Pixels: o.Pixels},
		wake:   make(chan struct{}, 1), decoders: make(chan struct{}, runtime.GOMAXPROCS(0)), ended: make(chan struct{}),
		queue: queue{most: o.Queue, batch: o.Batch, delay: o.Delay}}
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
func (e *engine) run() (err error) {
	defer close(e.ended)
	defer func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.closing, e.broken = true, err
		for _, it := range e.queue.items {
			it.done(nil, errStopped)
		}
		e.queue.items = nil
	}()
	turn := false // of other work
	for {
		e.mu.Lock()
		var work func()
		var batch []*item
		var wait time.Duration
		turn = !turn
		if turn {
			work = e.takeWork()
		}
		if work == nil {
			if batch, wait = e.queue.next(e.clock.Now()); batch == nil {
				work = e.takeWork()
			}
		}
		over := e.closing && work == nil && batch == nil && e.queue.length() == 0
		e.mu.Unlock()
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

// takeWork is the next of other work; nil without any.
func (e *engine) takeWork() func() {
	if len(e.work) == 0 {
		return nil
	}
	work := e.work[0]
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
var errStopped = overf(503, "stopping", time.Second, "the server is shutting down")

// end makes run return once all that was taken is done.
func (e *engine) end() {
	e.mu.Lock()
	e.closing = true
	e.mu.Unlock()
	e.nudge()
}

// errDevice is a fault of the device in what is no image's.
var errDevice = errors.New("the device has failed")

// do has the engine do something with the device, and waits for it.
func (e *engine) do(ctx context.Context, f func() error) error {
	done := make(chan error, 1)
	e.mu.Lock()
	if e.closing {
		e.mu.Unlock()
		return errStopped
	}
	e.work = append(e.work, func() {
		if err := ctx.Err(); err != nil {
			done <- err
			return
		}
		done <- f()
	})
	e.mu.Unlock()
	e.nudge()
	select {
	case err := <-done:
		return err
	case <-ctx.Done():
		return ctx.Err()
	case <-e.ended:
		return errStopped
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
		return overf(429, "queue", time.Duration(e.queue.length())*e.each, "%d images wait already, and there is room for %d (-queue)", e.queue.length(), e.queue.most)
	}
	return nil
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
}

// classify decodes images and gives the logits of each, by each of the ways. An image that is no good is named by its number.
func (e *engine) classify(ctx context.Context, images [][]byte, ways ...through) ([][][]float32, error) {
	n := len(images) * len(ways)
	if err := e.admit(n); err != nil {
		return nil, err
	}
	pixels, err := e.decode(ctx, images)
	if err != nil {
		e.recycle(pixels)
		e.withdraw(n)
		return nil, err
	}
	out := make([][][]float32, len(ways))
	errs := make([]error, n)
	left := make(chan struct{}, n)
	items := make([]*item, 0, n)
	for w, way := range ways {
		out[w] = make([][]float32, len(images))
		for i := range images {
			at := len(items)
			items = append(items, &item{tower: way.tower, head: way.head, pixels: *pixels[i], ctx: ctx, done: func(logits []float32, err error) {
				out[w][i], errs[at] = logits, err
				left <- struct{}{}
			}})
		}
	}
	e.mu.Lock()
	if e.closing && e.broken != nil {
		e.queue.withdraw(n)
		e.mu.Unlock()
		return nil, errStopped
	}
	e.queue.add(e.clock.Now(), items...)
	e.mu.Unlock()
	e.nudge()
	for range items {
		select {
		case <-left:
		case <-ctx.Done(): // the device may be reading the pixels, which are left to the garbage collector
			return nil, ctx.Err()
		}
	}
	e.recycle(pixels)
	for _, err := range errs {
		if err != nil {
			return nil, err
		}
	}
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
		select {
		case e.decoders <- struct{}{}:
		case <-ctx.Done():
			errs[i] = ctx.Err()
			continue
		}
		one := func() {
			defer func() { <-e.decoders }()
			start := e.clock.Now()
			pixels[i] = e.pixels.Get().(*[]float32)
			if err := e.model.Transform.ImageWithin(*pixels[i], imageName(i, len(images)), data, e.limits); err != nil {
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
	slices.SortStableFunc(batch, func(a, b *item) int { return e.order(batch, a) - e.order(batch, b) })
	size := e.model.Transform.Size
	images := e.dev.New(tensor.Compute, len(batch), 3, size, size)
	defer images.Release()
	for i, it := range batch {
		images.Index(i).Set(it.pixels)
	}
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
	e.queue.finished(tower, len(batch), now)
	e.mu.Unlock()
	for i, it := range batch {
		switch {
		case err != nil:
			it.done(nil, errDevice)
		case slices.ContainsFunc(logits[i], notFinite):
			it.done(nil, train.ErrLogits)
		default:
			it.done(logits[i], nil)
		}
	}
	return err
}

// order is the number of the first item of a batch with the same head.
func (e *engine) order(batch []*item, it *item) int {
	return slices.IndexFunc(batch, func(o *item) bool { return o.head == it.head })
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
