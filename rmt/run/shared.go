package run

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"io"
	"iter"
	"slices"

	"fewshot/datasets"
	"fewshot/nn"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Shared is what several runs of a process on one model have in common: class features, and features of images by the encoder as it is,
// or under a mask that several runs are trained under. Each is computed once, as a run alone would compute it, in the same batches, so that
// results do not depend on it, to the bit.
type Shared struct {
	heads  method.Heads
	images map[featureKey]*tensor.Tensor
	order  []featureKey // the one used last at the end
	room   int64        // bytes that are left for features of images
}

// NewShared begins with nothing for a model, of which the runs' models are shares ([clip.Model.Share]). Features of images take at most so
// many bytes; those used last stay.
func NewShared(m *clip.Model, most int64) *Shared {
	return &Shared{heads: method.Heads{Model: m}, images: map[featureKey]*tensor.Tensor{}, room: most}
}

// Close gives everything back.
func (s *Shared) Close() {
	s.heads.Close()
	for _, x := range s.images {
		x.Release()
	}
	s.images, s.order = nil, nil
}

// featureKey is what determines features.
type featureKey struct {
	below  string            // mask file
	items  [sha256.Size]byte // images, in their order
	with   datasets.Transform
	batch  int // products of other numbers of rows may round otherwise
	varied method.Augment
	seed   uint64 // of the variations
	pass   int
}

// take gives features that are there, which the caller releases.
func (s *Shared) take(k featureKey) *tensor.Tensor {
	x := s.images[k]
	if x == nil {
		return nil
	}
	i := slices.Index(s.order, k)
	s.order = append(slices.Delete(s.order, i, i+1), k)
	x.Retain()
	return x
}

// keep keeps features, in place of those that were not used for longest.
func (s *Shared) keep(k featureKey, x *tensor.Tensor) {
	n := bytesOf(x)
	for s.room < n && len(s.order) > 0 {
		old := s.images[s.order[0]]
		s.room += bytesOf(old)
		old.Release()
		delete(s.images, s.order[0])
		s.order = s.order[1:]
	}
	if s.room < n {
		return
	}
	s.room -= n
	x.Retain()
	s.images[k], s.order = x, append(s.order, k)
}

func bytesOf(x *tensor.Tensor) int64 { return int64(x.Len()) * int64(x.Buf().Size) }

// itemsSum identifies images: by their bytes where they are in memory, else by their files, which are taken to stay what they are while the
// process runs.
func itemsSum(ds *datasets.Dataset, items []datasets.Item) (sum [sha256.Size]byte) {
	h := sha256.New()
	text := func(s string) {
		binary.Write(h, binary.LittleEndian, uint64(len(s)))
		io.WriteString(h, s)
	}
	text(ds.Root)
	for _, it := range items {
		text(it.Path)
		binary.Write(h, binary.LittleEndian, uint64(len(it.Data)))
		h.Write(it.Data)
	}
	h.Sum(sum[:0])
	return sum
}

// snapshot is what an image encoder's layers see.
func snapshot(m *clip.Model) []nn.State {
	var all []nn.State
	for _, p := range m.Image.Params() {
		all = append(all, p.State())
	}
	return all
}

// key is that of a job's features, if its encoder computes what others' encoders do.
func (d *images) key(items []datasets.Item, a method.Augment, pass int) (k featureKey, ok bool) {
	if d.shared == nil || !slices.Equal(d.state, snapshot(d.model)) {
		return k, false
	}
	k = featureKey{below: d.below, items: itemsSum(d.ds, items), with: d.model.Transform, batch: d.loader.EvalBatch(d.dev, d.model)}
	if a.CropMin > 0 {
		k.varied, k.seed, k.pass = a, d.seed, pass
	}
	return k, true
}

// test classifies the test images, by features that other runs have made or may use where the classifier is of features of the encoder as
// the run found it.
func (r *Request) test(ctx context.Context, what string, d *images, c train.Classifier, tests *Source) (Accuracy, error) {
	p, parted := c.(train.Parted)
	if !parted {
		return Evaluate(ctx, r.UI, what, r.Dev, c, tests)
	}
	encoder, head := p.Parts()
	k, ok := d.key(tests.items, method.Augment{}, 0)
	if !ok || encoder != train.Encoder(r.Model.Image) {
		return Evaluate(ctx, r.UI, what, r.Dev, c, tests)
	}
	x := r.Shared.take(k)
	d.given = x != nil
	if x == nil {
		var err error
		if x, err = d.encode(ctx, what, tests, 0, d.ui.Progress); err != nil {
			return Accuracy{}, err
		}
		r.Shared.keep(k, x)
	}
	defer x.Release()
	all, err := classify(ctx, r.UI, what, r.Dev, []train.Classifier{method.Behind{Encoder: train.Identity{}, Head: head}}, nil, r.Data, tests.items, inBatches(x, k.batch))
	if err != nil {
		return Accuracy{}, err
	}
	return all[0].Accuracy(), nil
}

// inBatches are features, some rows at a time, as the images behind them come.
func inBatches(x *tensor.Tensor, batch int) iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) {
		n := x.Shape()[0]
		for lo := 0; lo < n; lo += batch {
			rows := x.Rows(lo, min(lo+batch, n))
			b := train.Batch{Labels: make([]int32, rows.Shape()[0]), Features: x.Dim(1), Fill: func(into *tensor.Tensor) { tensor.Copy(into, rows) }}
			if !yield(b, nil) {
				return
			}
		}
	}
}

// progress starts a bar, as a UI does.
type progress func(what string, n int) (advance func(done int, say string), finish func())

// encode is the features of a source's images, in their order.
func (d *images) encode(ctx context.Context, what string, source *Source, pass int, progress progress) (*tensor.Tensor, error) {
	all := d.dev.New(tensor.Full, len(source.items), d.model.Image.Sizes().Embed)
	row := 0
	advance, finish := progress(what, len(source.items))
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
	err := ctx.Err()
	if err == nil && row != len(source.items) {
		err = fmt.Errorf("%d of %d images came", row, len(source.items))
	}
	if err != nil {
		all.Release()
		return nil, err
	}
	return all, nil
}
