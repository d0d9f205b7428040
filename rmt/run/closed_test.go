package run

import (
	"context"
	"errors"
	"flag"
	"iter"
	"slices"
	"testing"

	"fewshot/autograd"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// noise is a data set of random images, six of three classes, which are all of its splits.
type noise struct {
	dev *tensor.Device
	m   *clip.Model
}

func (d noise) Batches() int                { return 1 }
func (d noise) Count(method.Split) int      { return 6 }
func (d noise) Labels(method.Split) []int32 { return []int32{0, 1, 2, 0, 1, 2} }

func (d noise) Epoch(context.Context, int, int) iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) {
		yield(train.Batch{Size: d.m.Transform.Size, Labels: d.Labels(method.Train), Fill: d.fill}, nil)
	}
}

func (d noise) fill(x *tensor.Tensor) { tensor.Normal(x, tensor.NewKey(1)) }

type noisy struct{ noise }

func (d noisy) Batches(int, method.Augment) (train.Data, error) { return d.noise, nil }

func (d noisy) Frozen(int, method.Augment) (train.Data, train.Encoder, error) {
	return d.noise, d.m.Image, nil
}

func (d noisy) Features(_ context.Context, s method.Split, _ method.Augment, pass int) (*tensor.Tensor, error) {
	x := d.dev.New(tensor.Full, d.Count(s), d.m.Image.Sizes().Embed)
	tensor.Normal(x, tensor.NewKey(2).Fold(uint64(pass)))
	return x, nil
}

// What a method takes it gives back when it is closed, after a training, after being loaded, and after a tuned file that ends before
// any of its tensors. What it was on is then as it was, too.
func TestClosed(t *testing.T) {
	dev, m := embedded(t)
	ctx, classes, others := t.Context(), []string{"red circle", "blue square", "green star"}, []string{"two dots", "a line"}
	short := map[string][]string{"cocoop": {"-context=2"}, "maple": {"-depth=2"}, "promptsrc": {"-text-depth=2", "-image-depth=2"}, "gda": {"-new-classes", "-nearest=4"},
		"lp++": {"-epochs=2"}, "linear-probe": {"-rounds=1"}, "tip-adapter": {"-beta-steps=2"}, "clip-lora": {"-iterations=2"}, "2sfs": {"-iterations=2", "-first-stage=0.5"},
		"finetune": {"-wise=0.5"}}
	for _, row := range Methods() {
		t.Run(row.Name, func(t *testing.T) {
			job := func() *method.Job {
				s, err := row.Defaults(method.Task{Shots: 1, Recipe: "paper"})
				if err != nil {
					t.Fatal(err)
				}
				fs := flag.NewFlagSet(row.Name, flag.ContinueOnError)
				s.Declare(fs)
				if err := fs.Parse(short[row.Name]); err != nil {
					t.Fatal(err)
				}
				share := m.Share()
				return &method.Job{Dev: dev, Model: share, Classes: classes, Templates: []string{"a photo of a {}."}, Settings: s, Seed: 1,
					Data: noisy{noise{dev, share}}, Micro: func(int) int { return 0 }}
			}
			logits := func(l method.Learned, classes []string) (v []float32, err error) {
				c, err := l.Classifier(ctx, classes)
				if err != nil {
					return nil, err
				}
				x := dev.New(tensor.Compute, 2, 3, m.Transform.Size, m.Transform.Size)
				tensor.Normal(x, tensor.NewKey(3))
				tape := autograd.NoGrad(dev)
				v = c.Logits(tape.Const(x)).Value.Floats()
				tape.Release()
				x.Release()
				return v, nil
			}
			before := dev.LiveBytes()
			closed := func(what string) {
				t.Helper()
				if now := dev.LiveBytes(); now != before {
					t.Fatalf("%s leaves %d bytes", what, now-before)
				}
			}
			j := job()
			tr, err := row.Begin(ctx, j)
			if err != nil { // as of layers none of which it chooses
				j.Close()
				closed(err.Error())
				return
			}
			if tr.Run != nil {
				tr.Run.Epochs = min(tr.Run.Epochs, 2)
				if err := tr.Run.Train(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if tr.Solve != nil {
				if err := tr.Solve(ctx); err != nil {
					t.Fatal(err)
				}
			}
			if _, err := logits(tr.Learned, classes); err != nil {
				t.Fatal(err)
			}
			if _, err := logits(tr.Learned, others); err != nil && !errors.Is(err, method.ErrClasses) {
				t.Fatal(err)
			}
			var names []string
			shapes := map[string][]int{}
			for _, n := range tr.Learned.Tensors() {
				names = append(names, n.Name)
				shapes[n.Name] = n.Tensor.Shape()
			}
			if err := tr.Close(); err != nil {
				t.Fatal(err)
			}
			for i, p := range j.Model.Image.Params() {
				if p.Changed(m.Image.Params()[i].Value) {
					t.Errorf("%s is not what it was", p.Name)
				}
			}
			j.Close()
			closed("a training")
			if row.Load == nil {
				return
			}
			short := errors.New("the file is short")
			for _, n := range slices.Compact([]int{0, 1, len(names) - 1, len(names)}) {
				j, left := job(), n
				l, err := row.Load(ctx, j, func(name string) (*tensor.Tensor, error) {
					if left--; left < 0 {
						return nil, short
					}
					return dev.Zeros(tensor.Full, shapes[name]...), nil
				})
				switch {
				case n < len(names) && !errors.Is(err, short):
					t.Fatalf("%d of %d tensors: %v", n, len(names), err)
				case n == len(names):
					if err != nil {
						t.Fatal(err)
					}
					if _, err := logits(l, classes); err != nil {
						t.Fatal(err)
					}
					l.Close()
				}
				j.Close()
				closed("loading")
			}
		})
	}
}
