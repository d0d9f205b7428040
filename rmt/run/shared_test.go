package run

import (
	"slices"
	"strings"
	"testing"

	"fewshot/datasets"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/tensor"
)

// An image goes through the encoder once, and only if its features are needed: samples that have images in common share those that are not
// varied, and of a varied pass whose last batch is left out nobody encodes that, until somebody needs it. The features are those of a run alone.
func TestSharedByImage(t *testing.T) {
	dev, err := tensor.Open("cpu", tensor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	m, err := clip.Options{Path: clip.Embedded}.Open(dev)
	if err != nil {
		t.Fatal(err)
	}
	whole := textures(t)
	shared := NewShared(m, 1<<20)
	defer shared.Close()
	packed := int64(0)
	for _, p := range m.Share().Image.Params() {
		packed += p.Value.PackedBytes()
	}
	if _, packs := dev.Backend().(tensor.Packer); packs && packed == 0 {
		t.Error("runs look through an encoder that is not packed")
	}
	job := func(train, val []datasets.Item, with *Shared) *images {
		ds := *whole
		ds.Train, ds.Val = train, val
		r := Request{Dev: dev, Model: m.Share(), Data: &ds, Seed: 7, Shared: with, Loader: Loader{Store: "auto", Batch: 3}, UI: &said{&strings.Builder{}}}
		j, release := r.Job(false)
		t.Cleanup(release)
		return j.Data.(*images)
	}
	features := func(d *images, s method.Split, a method.Augment, pass int) *tensor.Tensor {
		x, err := d.Features(t.Context(), s, a, pass)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	all := whole.Test
	samples := [][2][]datasets.Item{{all[:10], all[10:14]}, {all[5:15], all[12:16]}}
	wants := []int{10, 14, 15, 16}
	for i, s := range samples {
		d, alone := job(s[0], s[1], shared), job(s[0], s[1], nil)
		for k, split := range []method.Split{method.Train, method.Val} {
			got, want := features(d, split, method.Augment{}, 0), features(alone, split, method.Augment{}, 0)
			if !slices.Equal(got.Floats(), want.Floats()) {
				t.Errorf("sample %d, %v: other features", i, split)
			}
			if n := wants[2*i+k]; shared.encoded != n {
				t.Errorf("sample %d, %v: %d images were encoded, and %d are needed", i, split, shared.encoded, n)
			}
		}
		if n := []int{14, 11}[i]; len(shared.known) != n {
			t.Errorf("sample %d: %d images are known, of %d", i, len(shared.known), n)
		}
		shared.NextSample()
	}

	s, varied := samples[1], method.Augment{CropMin: 0.3, Flip: 0.5}
	d := job(s[0], s[1], shared)
	const epoch = 3
	want := features(job(s[0], s[1], nil), method.Train, varied, epoch)
	for _, c := range []struct{ batch, encoded int }{{4, 8}, {4, 8}, {3, 9}, {2, 10}, {6, 10}} { // images of 10 that whole batches have
		data, _, err := d.Frozen(c.batch, varied)
		if err != nil {
			t.Fatal(err)
		}
		order, n := data.(*frozen).orders.Order(epoch), 0
		for b, err := range data.Epoch(t.Context(), epoch, 0) {
			if err != nil {
				t.Fatal(err)
			}
			x := b.Put(dev, nil)
			for i, label := range b.Labels {
				item := order[n]
				if n++; label != s[0][item].Label || !slices.Equal(x.Rows(i, i+1).Floats(), want.Rows(item, item+1).Floats()) {
					t.Errorf("batches of %d: image %d is not number %d of the sample", c.batch, n, item)
				}
			}
			x.Release()
		}
		if shared.encoded != 16+c.encoded || n != 10/c.batch*c.batch {
			t.Errorf("batches of %d: %d images were encoded, and %d are needed; %d came", c.batch, shared.encoded-16, c.encoded, n)
		}
	}
}
