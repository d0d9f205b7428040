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
// results do not depend on it, to the bit. Features lie in files, so that the runs together take the memory of one.
type Shared struct {
	heads  method.Heads
	tests  shelf   // of test images, which all samples of a data set have in common
	sample shelf   // of the images of the sample at hand
	passes *passes // over images of the sample: their pictures, decoded
}

// NewShared begins with nothing for a model, of which the runs' models are shares ([clip.Model.Share]). Features of test images, and those of
// a sample, take at most so many bytes each, in files in the system's folder for temporary files.
func NewShared(m *clip.Model, most int64) *Shared {
	return &Shared{heads: method.Heads{Model: m}, tests: shelf{most: most}, sample: shelf{most: most}, passes: &passes{}}
}

// NextSample gives up what runs had in common that were trained on one sample under one mask.
func (s *Shared) NextSample() {
	s.sample.clear()
	s.passes.forget()
}

// NextDataset is NextSample, with the features of test images.
func (s *Shared) NextDataset() {
	s.NextSample()
	s.tests.clear()
}

// Close gives everything back.
func (s *Shared) Close() {
	s.NextDataset()
	s.heads.Close()
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

// shelf is where features of images of a split are kept.
func (s *Shared) shelf(of method.Split) *shelf {
	if of == method.Test {
		return &s.tests
	}
	return &s.sample
}

// take gives features that are there, which the caller releases; nil where they are not.
func (d *images) take(s method.Split, k featureKey) *tensor.Tensor {
	x, err := d.shared.shelf(s).get(d.dev, k)
	if err != nil {
		d.ui.Warn("features that runs have in common could not be read back, and are computed again: %v", err)
	}
	return x
}

// keep keeps features for other runs.
func (d *images) keep(s method.Split, k featureKey, x *tensor.Tensor) {
	if err := d.shared.shelf(s).put(k, x); err != nil {
		d.ui.Warn("features that runs have in common cannot be kept, and each run computes them: %v; TMPDIR says where there is room", err)
	}
}

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

// shareable reports whether the encoder computes what others' encoders do, so that they may have the features.
func (d *images) shareable() bool {
	return d.shared != nil && slices.Equal(d.state, snapshot(d.model))
}

// sum identifies the images of a split. They are those of the job's data set, and so are looked at once.
func (d *images) sum(s method.Split, items []datasets.Item) [sha256.Size]byte {
	sum, known := d.sums[s]
	if !known {
		sum = itemsSum(d.ds, items)
		d.sums[s] = sum
	}
	return sum
}

// key is that of the features of a split, which are shareable.
func (d *images) key(s method.Split, items []datasets.Item, a method.Augment, pass int) featureKey {
	if d.batch == 0 {
		d.batch = d.loader.EvalBatch(d.dev, d.model)
	}
	k := featureKey{below: d.below, items: d.sum(s, items), with: d.model.Transform, batch: d.batch}
	if a.CropMin > 0 {
		k.varied, k.seed, k.pass = a, d.seed, pass
	}
	return k
}

// test classifies the test images, by features that other runs have made or may use where the classifier is of features of the encoder as
// the run found it.
func (r *Request) test(ctx context.Context, what string, d *images, c train.Classifier, tests *Source) (Accuracy, error) {
	p, parted := c.(train.Parted)
	if !parted || !d.shareable() {
		return Evaluate(ctx, r.UI, what, r.Dev, c, tests)
	}
	encoder, head := p.Parts()
	if encoder != train.Encoder(r.Model.Image) {
		return Evaluate(ctx, r.UI, what, r.Dev, c, tests)
	}
	k := d.key(method.Test, tests.items, method.Augment{}, 0)
	x := d.take(method.Test, k)
	d.given = x != nil
	if x == nil {
		r.Dev.Trim() // as classify does
		var err error
		if x, err = d.encode(ctx, what, tests, 0, d.ui.Progress); err != nil {
			return Accuracy{}, err
		}
		d.keep(method.Test, k, x)
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
