package train

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"

	"fewshot/autograd"
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

// Model is an encoder with a head behind it: CLIP as a zero-shot classifier, under masks or not.
type Model struct {
	Encoder
	Head Head
}

// Logits are [N, C] for images [N, 3, S, S].
func (m Model) Logits(images *autograd.Var) *autograd.Var { return m.Head.Logits(m.Encode(images)) }

// ErrLogits says that a classifier gave logits that are no numbers, so that no label follows from them.
var ErrLogits = errors.New("the model's logits are not finite, so that they say nothing of the image")

// Predict classifies batches and yields the predicted labels batch by batch. Masks are applied once for all batches. An image whose
// logits are not all finite ends it with ErrLogits.
func Predict(ctx context.Context, dev *tensor.Device, c Classifier, batches iter.Seq2[Batch, error]) iter.Seq2[[]int32, error] {
	return func(yield func([]int32, error) bool) {
		first := 0
		for rows, err := range Logits(ctx, dev, c, batches) {
			if err != nil {
				yield(nil, err)
				return
			}
			labels := make([]int32, len(rows))
			for i, row := range rows {
				if slices.ContainsFunc(row, func(v float64) bool { return !finite(v) }) {
					yield(nil, fmt.Errorf("image %d: %w", first+i+1, ErrLogits))
					return
				}
				labels[i] = int32(argmax(row))
			}
			first += len(labels)
			if !yield(labels, nil) {
				return
			}
		}
	}
}

// Logits yields what a classifier says of batches, a row of C logits for each image. Whether they are finite is not looked at.
func Logits(ctx context.Context, dev *tensor.Device, c Classifier, batches iter.Seq2[Batch, error]) iter.Seq2[[][]float64, error] {
	return func(yield func([][]float64, error) bool) {
		for z, err := range each(ctx, dev, batches, c.Logits) {
			if err != nil {
				yield(nil, err)
				return
			}
			if !yield(slices.Collect(slices.Chunk(z.Float64s(), z.Dim(1))), nil) {
				return
			}
		}
	}
}

// Features yields the features of batches, [N, D], not normalised. A tensor is valid until the next.
func Features(ctx context.Context, dev *tensor.Device, e Encoder, batches iter.Seq2[Batch, error]) iter.Seq2[*tensor.Tensor, error] {
	return each(ctx, dev, batches, e.Encode)
}

// each yields what f makes of the images of each batch. The forward passes are no program: one of a batch keeps a device
// busy for longer than it takes to ask for it, the images take longer still to be decoded, and a program would apply the masks
// in every run, which are applied here once.
func each(ctx context.Context, dev *tensor.Device, batches iter.Seq2[Batch, error], f func(*autograd.Var) *autograd.Var) iter.Seq2[*tensor.Tensor, error] {
	return func(yield func(*tensor.Tensor, error) bool) {
		t := autograd.NoGrad(dev)
		defer t.Release()
		var images *tensor.Tensor
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
			out := t.Scope(func() *autograd.Var { return f(t.Const(images)) })
			if end() {
				yield(nil, ctx.Err())
				return
			}
			ok := yield(out.Value, nil)
			t.Done(out)
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
