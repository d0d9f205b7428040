package run

import (
	"testing"

	"fewshot/autograd"
	"fewshot/rmt/clip"
	"fewshot/tensor"
)

// An image's feature has the same bits in any batch, so that evaluation may take as many as fit into memory; which is a number that
// follows from the model's sizes, and whose memory stays below the room there is.
func TestEvalBatch(t *testing.T) {
	for _, precision := range []string{"float32", "bf16"} {
		dev, err := tensor.Open("cpu", tensor.Options{Precision: precision, Workers: 2})
		if err != nil {
			t.Fatal(err)
		}
		defer dev.Close()
		m, err := clip.Options{Path: clip.Embedded, NoDigest: true}.Open(dev)
		if err != nil {
			t.Fatal(err)
		}
		const images = 9
		size := m.Transform.Size
		x := dev.New(tensor.Compute, images, 3, size, size)
		tensor.Normal(x, tensor.NewKey(1))
		want := features(dev, m, x)
		for _, batch := range []int{1, 2, 4} {
			for at := 0; at < images; at += batch {
				got := features(dev, m, x.Rows(at, min(at+batch, images)))
				for i, v := range got {
					if w := want[at*len(want)/images+i]; v != w {
						t.Fatalf("%s, batches of %d, from image %d: element %d is %g, in one batch %g", precision, batch, at, i, v, w)
					}
				}
			}
		}
	}
}

func features(dev *tensor.Device, m *clip.Model, x *tensor.Tensor) []float32 {
	t := autograd.NoGrad(dev)
	defer t.Release()
	return m.Image.Encode(t.Const(x)).Value.Floats()
}

// Evaluation of images of any size takes a bounded memory.
func TestEvalBatchFits(t *testing.T) {
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	before := 1 << 30
	for _, side := range []int{1, 4, 8, 20} {
		o := clip.Options{Path: clip.Embedded, NoDigest: true}
		own, err := o.Open(dev)
		if err != nil {
			t.Fatal(err)
		}
		o.ImageSize = side * own.Transform.Size
		m, err := o.Open(dev)
		if err != nil {
			t.Fatal(err)
		}
		l := Loader{Batch: MaxEvalBatch}
		n := l.EvalBatch(dev, m)
		pixels := int64(n) * 4 * int64(3*m.Transform.Size*m.Transform.Size)
		if took := encoding(dev, m, n) + 3*pixels; n > 1 && took > evalRoom+evalRoom/8 {
			t.Errorf("%d images of %d pixels a side take %d bytes", n, m.Transform.Size, took)
		}
		if n < 1 || n > before {
			t.Errorf("images of %d pixels a side are evaluated by %d, smaller ones by %d", m.Transform.Size, n, before)
		}
		before = n
		l.Batch = 2
		if got := l.EvalBatch(dev, m); got > 2 {
			t.Errorf("-eval-batch 2 gives %d", got)
		}
	}
}
