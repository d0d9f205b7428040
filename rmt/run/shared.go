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
// or under a mask that several runs are trained under. Each is computed once: image by image, where the encoder gives an image the same bits in a
// batch of any size, else in the batches of a run alone. So results do not depend on it, to the bit. Features lie in files, so that the runs
// together take the memory of one.
type Shared struct {
	heads  method.Heads
	still  shelf    // of test images, and of others that are not varied: samples of a data set have them in common
	sample shelf    // of the sample at hand
	known  inMemory // images of the sample and its tests
	passes *passes  // over images of the sample: their pictures, decoded

	packed  *clip.Model // whose image encoder is packed; nil for none
	encoded int         // images that went through the encoder for features to keep
}

// NewShared begins with nothing for a model, of which the runs' models are shares ([clip.Model.Share]). Features of images as they are, and
// those of a sample, take at most so many bytes each, in files in the system's folder for temporary files.
// A small image encoder is packed for all that look through it.
func NewShared(m *clip.Model, most int64) *Shared {
	s := &Shared{heads: method.Heads{Model: m}, still: shelf{most: most}, sample: shelf{most: most}, known: inMemory{}, passes: &passes{}}
	weights := 0
	for _, p := range m.Image.Params() {
		weights += p.Value.Len() * int(p.Value.Buf().Size)
	}
	if weights <= mostPacked {
		m.Image.Pack(false)
		s.packed = m
	}
	return s
}

// mostPacked is up to how many bytes of weights are packed, into as many once more. With small matrices, putting the second factor of each
// product in order takes some percent of the encoder's time; with large ones it takes nothing to speak of, and memory is worth more.
const mostPacked = 8 << 20

// NextSample gives up what runs had in common that were trained on one sample under one mask.
func (s *Shared) NextSample() {
	s.sample.clear()
	s.passes.forget()
	clear(s.known) // which holds on to images
}

// NextDataset is NextSample, with the features of images as they are.
func (s *Shared) NextDataset() {
	s.NextSample()
	s.still.clear()
}

// Close gives everything back.
func (s *Shared) Close() {
	s.NextDataset()
	s.heads.Close()
	if s.packed != nil {
		s.packed.Image.Unpack()
	}
}

// featureKey is what determines features of images, but for the images' numbers.
type featureKey struct {
	below  string            // mask file
	items  [sha256.Size]byte // images, in their order; zero where their numbers say which they are
	with   datasets.Transform
	batch  int // products of other numbers of rows may round otherwise; 0 where they do not
	varied method.Augment
	seed   uint64 // of the variations
	pass   int
}

// place is where features of some images are kept.
type place struct {
	shelf   *shelf
	key     featureKey
	numbers []int
}

// place is that of items of a split. An image that is not varied has its own, whichever split or sample it is in, unless its features
// are of a batch; a varied one is varied by its number in the sample.
func (d *images) place(s method.Split, items []datasets.Item, which []int, a method.Augment, pass int) place {
	sums := d.sum(s, items)
	p := place{&d.shared.sample, featureKey{below: d.below, with: d.model.Transform}, which}
	still := a.CropMin == 0
	if still && d.apart() {
		p.shelf, p.numbers = &d.shared.still, nil
		for _, i := range which {
			p.numbers = append(p.numbers, p.shelf.number(sums.each[i]))
		}
		return p
	}
	p.key.items = sums.all
	if !d.apart() {
		p.key.batch = d.evalBatch()
	}
	if still && s == method.Test {
		p.shelf = &d.shared.still
	}
	if !still {
		p.key.varied, p.key.seed, p.key.pass = a, d.seed, pass
	}
	return p
}

// apart reports whether the encoder gives an image the same bits in a batch of any size.
func (d *images) apart() bool {
	return !(d.dev.Strassen() && large(d.model)) && d.dev.OwnMemory() == 0 && d.dev.Precision() == "float32"
}

// evalBatch is the number of images in which features are computed.
func (d *images) evalBatch() int {
	if d.batch == 0 {
		d.batch = d.loader.EvalBatch(d.dev, d.model)
	}
	return d.batch
}

// kept gives features of items of a split, which the caller releases: those that other runs have made, and what encode makes of the items
// that are left. All are kept for other runs.
func (d *images) kept(p place, which []int, encode func(which []int) (*tensor.Tensor, error)) (*tensor.Tensor, error) {
	lacking := p.shelf.lacking(p.key, p.numbers)
	some := func(all []int) (of []int) {
		for _, i := range lacking {
			of = append(of, all[i])
		}
		return of
	}
	var x, y *tensor.Tensor
	if len(lacking) > 0 {
		d.shared.encoded += len(lacking)
		var err error
		if y, err = encode(some(which)); err != nil {
			return nil, err
		}
		defer func() {
			if err := p.shelf.put(p.key, some(p.numbers), y); err != nil {
				d.ui.Warn("features that runs have in common cannot be kept, and each run computes them: %v; TMPDIR says where there is room", err)
			}
			if y != x {
				y.Release()
			}
		}()
	}
	if len(lacking) == len(which) {
		x = y
		return x, nil
	}
	x = d.dev.New(tensor.Full, len(which), d.model.Image.Sizes().Embed)
	if err := p.shelf.read(x, p.key, p.numbers); err != nil {
		d.ui.Warn("features that runs have in common could not be read back, and are computed again: %v", err)
		x.Release()
		return encode(which)
	}
	for row, i := range lacking {
		tensor.Copy(x.Rows(i, i+1), y.Rows(row, row+1))
	}
	return x, nil
}

// sums identify images, one by one and all in their order.
type sums struct {
	each [][sha256.Size]byte
	all  [sha256.Size]byte
}

func sumsOf(ds *datasets.Dataset, items []datasets.Item, known inMemory) *sums {
	s, all := &sums{}, sha256.New()
	for _, it := range items {
		one := known.sum(ds, it)
		s.each = append(s.each, one)
		all.Write(one[:])
	}
	all.Sum(s.all[:0])
	return s
}

// inMemory are the sums of images whose bytes are in memory, by where these begin: they are looked at once for all runs on
// a sample.
type inMemory map[*byte][sha256.Size]byte

// sum identifies an image: by its bytes where they are in memory, else by its file, which is taken to stay what it is while the process
// runs.
func (known inMemory) sum(ds *datasets.Dataset, it datasets.Item) (sum [sha256.Size]byte) {
	if len(it.Data) > 0 {
		sum, there := known[&it.Data[0]]
		if !there {
			sum = sha256.Sum256(it.Data)
			known[&it.Data[0]] = sum
		}
		return sum
	}
	h := sha256.New()
	for _, s := range []string{ds.Root, it.Path} {
		binary.Write(h, binary.LittleEndian, uint64(len(s)))
		io.WriteString(h, s)
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
func (d *images) sum(s method.Split, items []datasets.Item) *sums {
	if d.sums[s] == nil {
		known := inMemory{}
		if d.shared != nil {
			known = d.shared.known
		}
		d.sums[s] = sumsOf(d.ds, items, known)
	}
	return d.sums[s]
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
	d.given = true
	which := upTo(len(tests.items))
	x, err := d.kept(d.place(method.Test, tests.items, which, method.Augment{}, 0), which, func(which []int) (*tensor.Tensor, error) {
		d.given = false
		r.Dev.Trim() // as classify does
		return d.encode(ctx, what, tests, 0, which, d.ui.Progress)
	})
	if err != nil {
		return Accuracy{}, err
	}
	defer x.Release()
	all, err := classify(ctx, r.UI, what, r.Dev, []train.Classifier{method.Behind{Encoder: train.Identity{}, Head: head}}, nil, r.Data, tests.items, inBatches(x, d.evalBatch()))
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

// upTo is 0 … n−1.
func upTo(n int) []int {
	all := make([]int, n)
	for i := range all {
		all[i] = i
	}
	return all
}

// encode is the features of some of a source's images.
func (d *images) encode(ctx context.Context, what string, source *Source, pass int, which []int, progress progress) (*tensor.Tensor, error) {
	all := d.dev.New(tensor.Full, len(which), d.model.Image.Sizes().Embed)
	row := 0
	advance, finish := progress(what, len(which))
	defer finish()
	for f, err := range train.Features(ctx, d.dev, d.model.Image, source.Some(ctx, pass, which)) {
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
	if err == nil && row != len(which) {
		err = fmt.Errorf("%d of %d images came", row, len(which))
	}
	if err != nil {
		all.Release()
		return nil, err
	}
	return all, nil
}
