package train

import (
	"context"
	"slices"
	"testing"

	"fewshot/tensor"
)

// Every image comes once an epoch, with its label, from the epoch's pass; orders differ, and a run can go on from any
// batch.
func TestCached(t *testing.T) {
	dev := newBench(t, "ref").dev
	const passes, n, d, batch = 2, 7, 3, 3
	v := make([]float64, passes*n*d)
	for i := range v {
		v[i] = float64(i)
	}
	x := dev.New(tensor.Full, passes, n, d)
	x.SetFloat64(v)
	c := &Cached{Passes: x, Labels: []int32{0, 1, 2, 3, 4, 5, 6}, Batch: batch, Key: tensor.NewKey(5)}
	if c.Batches() != 3 {
		t.Fatalf("%d batches, want 3", c.Batches())
	}
	take := func(epoch, from int) (labels []int32) {
		var put *tensor.Tensor
		for b, err := range c.Epoch(context.Background(), epoch, from) {
			if err != nil {
				t.Fatal(err)
			}
			put = b.Put(dev, put)
			for i, f := range put.Float64s() {
				if want := float64(((epoch%passes)*n+int(b.Labels[i/d]))*d + i%d); f != want {
					t.Fatalf("epoch %d: number %d of a batch is %g, want %g", epoch, i, f, want)
				}
			}
			labels = append(labels, b.Labels...)
		}
		put.Release()
		return labels
	}
	orders := map[string]bool{}
	for epoch := range 6 {
		all := take(epoch, 0)
		if rest := take(epoch, 2); !slices.Equal(rest, all[2*batch:]) {
			t.Errorf("epoch %d from batch 2: labels %v of %v", epoch, rest, all)
		}
		orders[string(mapBytes(all))] = true
		slices.Sort(all)
		if !slices.Equal(all, c.Labels) {
			t.Errorf("epoch %d has the images %v", epoch, all)
		}
	}
	if len(orders) < 5 {
		t.Errorf("%d orders in 6 epochs", len(orders))
	}
}

func mapBytes(v []int32) (b []byte) {
	for _, x := range v {
		b = append(b, byte(x))
	}
	return b
}
