package adapter

import (
	"testing"

	"fewshot/rmt/cputime"
	"fewshot/rmt/probe"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// BenchmarkTipFEpoch is an epoch of Tip-Adapter-F on cached features of 100 classes, 16 images each, of 512 numbers, batches of 256: what
// tests/peers/heads.py measures beside PyTorch.
func BenchmarkTipFEpoch(b *testing.B) {
	dev, err := tensor.Open("cpu", tensor.Options{})
	if err != nil {
		b.Fatal(err)
	}
	defer dev.Close()
	const n, d, classes = 1600, 512, 100
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
	before := cputime.Used()
	b.ResetTimer()
	if err := run.Train(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.StopTimer()
	b.ReportMetric((cputime.Used()-before).Seconds()/float64(b.N), "cpu-s/op")
}
