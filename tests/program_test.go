package tests

import (
	"slices"
	"testing"

	"fewshot/rmt/train"
	"fewshot/tensor"
)

// A step that was recorded, teacher, student, both losses and all gradients, gives the bits that its operations give
// one by one, on every device and whatever images and labels it finds.
func TestRecordedStepBits(t *testing.T) {
	const batch = 3
	for _, device := range devices {
		dev := open(t, device, 1)
		c := newCLIP(t, dev, newTinyCLIP(), tensor.QuickGELU, 0, 0)
		masks := c.mask(t, patterns(t, true), func(_ string, i int) float64 { return 0.01 * float64(min(i%7, 1)) })
		classes := dev.New(tensor.Full, 5, 8)
		tensor.Normal(classes, tensor.NewKey(1))
		tensor.L2Normalize(classes, dev.New(tensor.Full, 5), classes)
		head := train.Head{Classes: classes, Scale: 10}
		images, labels := dev.New(tensor.Compute, batch, 3, paritySize, paritySize), make([]int32, batch)
		fill := func(step int) {
			tensor.Normal(images, tensor.NewKey(2).Fold(uint64(step)))
			for i := range labels {
				labels[i] = int32(i+step) % 5
			}
		}
		var want [][]float64
		for step := range 3 {
			fill(step)
			x, release := ask(dev, c, head, masks, images, labels)
			want = append(want, x.values())
			release()
		}
		var x asked
		p, err := dev.Record(func() { x, _ = ask(dev, c, head, masks, images, labels) })
		if err != nil {
			t.Fatal(err)
		}
		for step := range want {
			fill(step)
			p.Run()
			if got := x.values(); !slices.Equal(got, want[step]) {
				t.Errorf("%s: recorded, step %d gives other bits than its operations one by one", device, step)
			}
		}
		if err := p.Release(); err != nil {
			t.Error(err)
		}
	}
}

// values are all numbers of a sweep.
func (x asked) values() []float64 {
	v := slices.Concat(x.logits.Float64s(), x.ce.Float64s(), x.kd.Float64s())
	for _, g := range x.grads {
		v = append(v, g.Float64s()...)
	}
	return v
}
