package adapter

import (
	"testing"

	"fewshot/rmt/cputime"
	"fewshot/rmt/probe"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Cached features of 100 classes, 16 images each, of 512 numbers.
const n, d, classes = 1600, 512, 100

// open opens the device as the program does.
func open(b *testing.B) *tensor.Device {
	dev, err := tensor.Open("cpu", tensor.Options{Strassen: tensor.StrassenPays()})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { dev.Close() })
	return dev
}

// timed reports what a function takes of processors, too.
func timed(b *testing.B, f func()) {
	before := cputime.Used()
	b.ResetTimer()
	f()
	b.StopTimer()
	b.ReportMetric((cputime.Used()-before).Seconds()/float64(b.N), "cpu-s/op")
}

// BenchmarkTipFEpoch is an epoch of Tip-Adapter-F in batches of 256: what tests/peers/heads.py measures beside PyTorch.
func BenchmarkTipFEpoch(b *testing.B) {
	dev := open(b)
	passes, text, norm := dev.New(tensor.Full, 1, n, d), dev.New(tensor.Full, classes, d), dev.New(tensor.Full, classes)
	tensor.Normal(passes, tensor.NewKey(1))
	tensor.Normal(text, tensor.NewKey(2))
	tensor.L2Normalize(text, norm, text)
	labels := make([]int32, n)
	for i := range labels {
		labels[i] = int32(i % classes)
	}
	tip, err := NewTip(passes, labels, text, DefaultTip(""))
	if err != nil {
		b.Fatal(err)
	}
	// Choosing the epoch is not PyTorch's work there either: one image costs nothing.
	val := probe.Features{X: passes.Index(0).Rows(0, 1), Labels: labels[:1]}
	c := DefaultTipF("")
	l, err := NewTipF(tip, train.Identity{}, val, c)
	if err != nil {
		b.Fatal(err)
	}
	data := &train.Cached{Passes: passes, Labels: labels, Batch: c.Batch, Key: tensor.NewKey(3)}
	run := train.Run{Trainer: train.New(dev, l, tensor.NewKey(4), 0), Epochs: 3, Schedule: c.Schedule(data.Batches()), PerStep: true, Data: data}
	if err := run.Train(b.Context()); err != nil {
		b.Fatal(err)
	}
	run.Epochs += b.N
	timed(b, func() {
		if err := run.Train(b.Context()); err != nil {
			b.Fatal(err)
		}
	})
}

// BenchmarkTipFProducts is the two products of such an epoch that are as large as the cache is for every image, and
// nothing else: affinities, and the gradient of the keys. The epoch cannot take less.
func BenchmarkTipFProducts(b *testing.B) {
	dev, batch := open(b), DefaultTipF("").Batch
	keys, grad := dev.New(tensor.Full, n, d), dev.New(tensor.Full, n, d)
	tensor.Normal(keys, tensor.NewKey(1))
	var images, affinities []*tensor.Tensor
	for lo := 0; lo < n; lo += batch {
		f := dev.New(tensor.Full, min(batch, n-lo), d)
		tensor.Normal(f, tensor.NewKey(2))
		images, affinities = append(images, f), append(affinities, dev.New(tensor.Full, n, f.Shape()[0]))
	}
	epoch := func() {
		for i, f := range images {
			tensor.Gemm(affinities[i], keys, f, tensor.GemmOptions{TransB: true})
			tensor.Gemm(grad, affinities[i], f, tensor.GemmOptions{})
		}
	}
	epoch()
	timed(b, func() {
		for range b.N {
			epoch()
		}
	})
}
