package datasets

import (
	"context"
	"fmt"
	"iter"
	"os"
	"runtime"
	"sync"
	"sync/atomic"

	"fewshot/datasets/internal/imaging"
	"fewshot/nn/quote"
)

// Streamed is an image of a stream: its file, and why it could not be read, or nil.
type Streamed struct {
	Path string
	Err  error
}

// StreamBatch is a number of images of a stream.
type StreamBatch struct {
	Images []Streamed // all, in the stream's order
	Pixels []float32  // [N, 3, Size, Size] of those N without an error, in the same order
}

// Stream makes batches of image files that come one after the other, with the centre of each image. A batch has the
// next so many paths, whether they can be read or not, so that what is in it depends on the paths alone. Paths are
// asked for, and files decoded, while batches are being used: as many files at the same time as there are workers (0
// for one a processor), and two batches ahead.
//
// An error beside a path is that image's. One without a path ends the stream behind the batches of those before it; so
// does ctx, with its own. A batch is valid until the next one is asked for. A paths function that waits, as for
// standard input, is not waited for when the loop is left early.
func Stream(ctx context.Context, paths iter.Seq2[string, error], t Transform, batch, workers int) iter.Seq2[*StreamBatch, error] {
	if batch < 1 || t.Size < 1 {
		panic(fmt.Sprintf("datasets.Stream: batch size %d, image size %d", batch, t.Size))
	}
	if workers < 1 {
		workers = runtime.GOMAXPROCS(0)
	}
	return func(yield func(*StreamBatch, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		s := &stream{transform: t, ctx: ctx, jobs: make(chan streamJob, batch)}
		var decoders sync.WaitGroup
		defer func() {
			cancel()
			decoders.Wait()
		}()
		for range workers {
			decoders.Go(s.decode)
		}
		const slots = prefetch + 1
		free, queue := make(chan *streamSlot, slots), make(chan *streamSlot, slots+1)
		for range slots {
			free <- &streamSlot{images: make([]Streamed, 0, batch), done: make(chan struct{}, 1)}
		}
		go s.feed(paths, batch, free, queue)
		for {
			slot, err := s.next(queue)
			switch {
			case err != nil:
				yield(nil, err)
				return
			case slot == nil || !yield(slot.batch(s.imageLen()), nil):
				return
			}
			free <- slot
		}
	}
}

type stream struct {
	transform Transform
	ctx       context.Context
	jobs      chan streamJob
}

// streamSlot is the memory of a batch, used again and again.
type streamSlot struct {
	images  []Streamed
	pixels  []float32
	out     StreamBatch
	pending atomic.Int64
	done    chan struct{} // gets a value when the batch is complete
	err     error         // of the paths; such a slot has no images
}

type streamJob struct {
	slot *streamSlot
	at   *Streamed
	dst  []float32
}

func (s *stream) imageLen() int { return 3 * s.transform.Size * s.transform.Size }

// feed hands paths to the decoders. The queue has batches in their order from their first path on.
func (s *stream) feed(paths iter.Seq2[string, error], batch int, free, queue chan *streamSlot) {
	defer close(queue)
	var slot *streamSlot
	for path, err := range paths {
		if err != nil && path == "" {
			slot.finished()
			queue <- &streamSlot{err: err}
			return
		}
		if slot == nil {
			select {
			case slot = <-free:
			case <-s.ctx.Done():
				return
			}
			slot.images = slot.images[:0]
			slot.pending.Store(1) // until it has all its images
			queue <- slot
		}
		n, i := s.imageLen(), len(slot.images)
		if slot.pixels == nil {
			slot.pixels = make([]float32, batch*n)
		}
		slot.images = append(slot.images, Streamed{path, err})
		slot.pending.Add(1)
		select {
		case s.jobs <- streamJob{slot, &slot.images[i], slot.pixels[i*n:][:n]}:
		case <-s.ctx.Done():
			return
		}
		if i+1 == batch {
			slot.finished()
			slot = nil
		}
	}
	slot.finished()
}

// finished says that a batch gets no more images.
func (b *streamSlot) finished() {
	if b != nil && b.pending.Add(-1) == 0 {
		b.done <- struct{}{}
	}
}

// next waits for the next batch; nil at the end.
func (s *stream) next(queue chan *streamSlot) (*streamSlot, error) {
	select {
	case b, ok := <-queue:
		if !ok || b.err != nil {
			if ok {
				return nil, b.err
			}
			return nil, s.ctx.Err()
		}
		select {
		case <-b.done:
			return b, nil
		case <-s.ctx.Done():
		}
	case <-s.ctx.Done():
	}
	return nil, s.ctx.Err()
}

// batch closes the gaps that images have left which could not be read.
func (b *streamSlot) batch(n int) *StreamBatch {
	good := 0
	for i, m := range b.images {
		if m.Err != nil {
			continue
		}
		if good < i {
			copy(b.pixels[good*n:][:n], b.pixels[i*n:][:n])
		}
		good++
	}
	b.out = StreamBatch{Images: b.images, Pixels: b.pixels[:good*n]}
	return &b.out
}

// decode works until the stream ends.
func (s *stream) decode() {
	p := s.transform.Preparer()
	for {
		select {
		case <-s.ctx.Done():
			return
		case j := <-s.jobs:
			if j.at.Err == nil {
				j.at.Err = load(p, j)
			}
			j.slot.finished()
		}
	}
}

// load writes the pixels of an image.
func load(p *Preparer, j streamJob) error {
	data, err := ReadImage(j.at.Path)
	if err != nil {
		return err
	}
	return p.Image(j.dst, quote.Plain(j.at.Path), data, imaging.DefaultLimits)
}

// ReadImage reads an image file whole, if it is a file of a sane size. The error is an *Error naming it.
func ReadImage(path string) ([]byte, error) {
	s, err := os.Stat(path)
	switch {
	case err != nil:
		return nil, readError(path, err)
	case s.IsDir():
		return nil, fault(path, nil, "", "is a folder, and no image")
	case !s.Mode().IsRegular():
		return nil, fault(path, nil, "", "%v", errNotRegular)
	case s.Size() > MaxImageBytes:
		return nil, tooLarge(path, s.Size())
	}
	data, err := os.ReadFile(path)
	if err != nil {
		return nil, readError(path, err)
	}
	return data, nil
}
