package train

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

// Encoder maps images [N, 3, S, S] to features [N, D], not normalised.
type Encoder interface {
	Encode(images *autograd.Var) *autograd.Var
}

// Classifier maps images [N, 3, S, S], normalised, to logits [N, C]. It is what a method leaves.
type Classifier interface {
	Logits(images *autograd.Var) *autograd.Var
}

// Head turns image features into logits: Scale times the cosine to each row of Classes [C, D], which has
// length 1.
type Head struct {
	Classes *tensor.Tensor
	Scale   float64
}

// Logits are [N, C] for features [N, D].
func (h Head) Logits(features *autograd.Var) *autograd.Var {
	t := features.Tape()
	return autograd.Scale(autograd.Linear(autograd.L2Normalize(features), t.Const(h.Classes), nil), h.Scale)
}

// Formula makes h [Stated].
func (h Head) Formula() nn.Formula { return nn.Formula{Classes: h.Classes.Floats(), Scale: h.Scale} }

// Model is an encoder with a head behind it: CLIP as a zero-shot classifier, under masks or not.
type Model struct {
	Encoder
	Head Head
}

// Logits are [N, C] for images [N, 3, S, S].
func (m Model) Logits(images *autograd.Var) *autograd.Var { return m.Head.Logits(m.Encode(images)) }

// Parts makes m Parted.
func (m Model) Parts() (Encoder, FeatureHead) { return m.Encoder, m.Head }

// FeatureHead maps features [N, D], not normalised, to logits [N, C].
type FeatureHead interface {
	Logits(features *autograd.Var) *autograd.Var
}

// Stated is a head that has a formula.
type Stated interface {
	FeatureHead
	Formula() nn.Formula
}

// Parted is a classifier that is nothing but an encoder and a head behind it.
type Parted interface {
	Classifier
	Parts() (Encoder, FeatureHead)
}

// ErrLogits says that a classifier gave logits that are no numbers, so that no label follows from them.
var ErrLogits = errors.New("the model's logits are not finite, so that they say nothing of the image")

// Predict classifies batches and yields the predicted labels batch by batch. Masks are applied once for all batches.
// An image whose logits are not all finite ends it with ErrLogits.
func Predict(ctx context.Context, dev *tensor.Device, c Classifier, batches iter.Seq2[Batch, error]) iter.Seq2[[]int32, error] {
	return func(yield func([]int32, error) bool) {
		for labels, err := range PredictEach(ctx, dev, []Classifier{c}, nil, batches) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(labels[0], nil) {
				return
			}
		}
	}
}

// PredictEach is Predict by several classifiers in one pass over the images: it yields the labels of each. For heads
// behind the encoder backbone, which may be nil, features are computed once. Each encoder's masks are applied for
// every batch, so that the masked weights of one are in memory.
func PredictEach(ctx context.Context, dev *tensor.Device, cs []Classifier, backbone Encoder, batches iter.Seq2[Batch, error]) iter.Seq2[[][]int32, error] {
	return func(yield func([][]int32, error) bool) {
		first := 0
		for outs, err := range each(ctx, dev, batches, share(cs, backbone)) {
			if err != nil {
				yield(nil, err)
				return
			}
			labels := make([][]int32, len(outs))
			for i, z := range outs {
				for row := range slices.Chunk(z.Float64s(), z.Dim(1)) {
					if slices.ContainsFunc(row, func(v float64) bool { return !finite(v) }) {
						yield(nil, fmt.Errorf("image %d: %w", first+len(labels[i])+1, ErrLogits))
						return
					}
					labels[i] = append(labels[i], int32(argmax(row)))
				}
			}
			first += len(labels[0])
			if !yield(labels, nil) {
				return
			}
		}
	}
}

// Logits yields what a classifier says of batches, a row of C logits for each image. Whether they are finite is not
// looked at.
func Logits(ctx context.Context, dev *tensor.Device, c Classifier, batches iter.Seq2[Batch, error]) iter.Seq2[[][]float64, error] {
	return func(yield func([][]float64, error) bool) {
		for z, err := range each(ctx, dev, batches, share([]Classifier{c}, nil)) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(slices.Collect(slices.Chunk(z[0].Float64s(), z[0].Dim(1))), nil) {
				return
			}
		}
	}
}

// Features yields the features of batches, [N, D], not normalised. A tensor is valid until the next.
func Features(ctx context.Context, dev *tensor.Device, e Encoder, batches iter.Seq2[Batch, error]) iter.Seq2[*tensor.Tensor, error] {
	return func(yield func(*tensor.Tensor, error) bool) {
		for f, err := range each(ctx, dev, batches, []work{{heads: []part{{0, e.Encode}}}}) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(f[0], nil) {
				return
			}
		}
	}
}

// work is an encoder and what is made of its features; without an encoder, what is made of images.
type work struct {
	encoder Encoder
	heads   []part
}

// part is a function with the number of its result.
type part struct {
	at int
	f  func(*autograd.Var) *autograd.Var
}

// share puts those classifiers together that are heads behind the backbone. (Not any two encoders can be compared.)
func share(cs []Classifier, backbone Encoder) []work {
	var all []work
	shared := -1
	for i, c := range cs {
		p, ok := c.(Parted)
		var e Encoder
		var head FeatureHead
		if ok && backbone != nil {
			e, head = p.Parts()
		}
		switch {
		case head == nil || e != backbone:
			all = append(all, work{heads: []part{{i, c.Logits}}})
		case shared < 0:
			shared = len(all)
			all = append(all, work{backbone, []part{{i, head.Logits}}})
		default:
			all[shared].heads = append(all[shared].heads, part{i, head.Logits})
		}
	}
	return all
}

// run appends results to outs, by their numbers. The caller releases them.
func (w work) run(t *autograd.Tape, images *autograd.Var, outs []*tensor.Tensor) {
	x := images
	if w.encoder != nil {
		x = t.Scope(func() *autograd.Var { return w.encoder.Encode(images) })
		defer t.Done(x)
	}
	for _, h := range w.heads {
		y := t.Scope(func() *autograd.Var { return h.f(x) })
		outs[h.at] = y.Value
		y.Value.Retain()
		t.Done(y)
	}
}

// each yields what all work makes of the images of each batch, valid until the next. The forward passes are no
// program: one of a batch keeps a device busy for longer than it takes to ask for it, the images take longer still to
// be decoded, and a program would apply the masks in every run, which are applied here once, unless several would
// have to be kept.
func each(ctx context.Context, dev *tensor.Device, batches iter.Seq2[Batch, error], all []work) iter.Seq2[[]*tensor.Tensor, error] {
	return func(yield func([]*tensor.Tensor, error) bool) {
		t := autograd.NoGrad(dev)
		defer func() { t.Release() }()
		var images *tensor.Tensor
		results := 0
		for _, w := range all {
			results += len(w.heads)
		}
		outs := make([]*tensor.Tensor, results)
		drop := func() {
			for _, x := range outs {
				x.Release()
			}
		}
		defer func() {
			if images != nil {
				images.Release()
			}
		}()
		for b, err := range batches {
			if err == nil {
				err = ctx.Err()
			}
			if err != nil {
				yield(nil, err)
				return
			}
			images = b.Put(dev, images)
			end := dev.Interruptible(ctx)
			for _, w := range all {
				w.run(t, t.Const(images), outs)
				if len(all) > 1 {
					t.Release()
					t = autograd.NoGrad(dev)
				}
			}
			if end() {
				drop()
				yield(nil, ctx.Err())
				return
			}
			ok := yield(outs, nil)
			drop()
			if !ok {
				return
			}
		}
		if err := dev.Sync(); err != nil {
			yield(nil, err)
		}
	}
}

// Argmax is the index of the largest element of each row; ties go to the lowest.
func Argmax(x *tensor.Tensor) []int32 {
	v, w := x.Floats(), x.Dim(1)
	best := make([]int32, len(v)/w)
	for r := range best {
		best[r] = int32(argmax(v[r*w : (r+1)*w]))
	}
	return best
}

// argmax is the index of the largest element; the lowest, if there are several.
func argmax[T float32 | float64](row []T) (best int) {
	for j, v := range row {
		if v > row[best] {
			best = j
		}
	}
	return best
}
