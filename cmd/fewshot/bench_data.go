package main

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"

	"fewshot/datasets"
	"fewshot/datasets/synth"
	"fewshot/tensor"
)

// photos are images of 500×375 pixels, the size of the usual few-shot sets, as JPEG files in memory: enlarged pictures of
// the synthetic world under noise, which makes them as large as photographs, some 100 kB.
const photoWidth, photoHeight = 500, 375

func photos(n int) (*datasets.Dataset, error) {
	task := synth.Tasks()[0]
	small := make([]uint8, synth.Size*synth.Size*3)
	items := make([]datasets.Item, n)
	for i := range items {
		task.Item(small, worldSeed, "train", i%task.Len("train"))
		key := tensor.NewKey(uint64(i)).Name("photo")
		m := image.NewRGBA(image.Rect(0, 0, photoWidth, photoHeight))
		for y := range photoHeight {
			for x := range photoWidth {
				noise := key.Block(uint64(y*photoWidth + x))
				at := (y*synth.Size/photoHeight*synth.Size + x*synth.Size/photoWidth) * 3
				var c [3]uint8
				for j := range c {
					c[j] = uint8(min(max(int(small[at+j])+int(noise[j]%32)-16, 0), 255))
				}
				m.SetRGBA(x, y, color.RGBA{c[0], c[1], c[2], 255})
			}
		}
		var file bytes.Buffer
		if err := jpeg.Encode(&file, m, &jpeg.Options{Quality: 90}); err != nil {
			return nil, err
		}
		items[i] = datasets.Item{Data: file.Bytes(), Path: fmt.Sprintf("photo%d.jpg", i)}
	}
	return datasets.New("photos", "Photos", "a {}.", []string{"photo"}, items, nil, nil)
}

// dataCases are a step of R-AMT, decoding and augmenting its images on the same workers, from files and from the cache
// of decoded images, and the step while its next images are being made, as in training.
func dataCases(b *bench) (*benchGroup, error) {
	const batches = 4 // an epoch
	ds, err := photos(batches * b.batch)
	if err != nil {
		return nil, err
	}
	size := b.clip.Image.Sizes().Image
	loader := func(cache int64) *datasets.Loader {
		return datasets.NewLoader(ds, ds.Train, datasets.LoaderOptions{
			Transform: datasets.CLIPTransform(size), Augment: datasets.RandomResizedCrop(0.5), BatchSize: b.batch, Shuffle: true, DropLast: true,
			Workers: b.device.workers, CacheBytes: cache,
		})
	}
	s := stepper{dev: b.dev, clip: b.clip, method: "r-" + placement(b.clip.Arch), off: true, batch: b.batch, micro: b.micro}
	// epoch reads all batches and hands them to use.
	epoch := func(l *datasets.Loader, use func(*datasets.Batch) error) error {
		for batch, err := range l.Epoch(context.Background(), 0, 0) {
			if err != nil {
				return err
			}
			if err := use(batch); err != nil {
				return err
			}
		}
		return nil
	}
	reading := func(name string, cache int64) *benchCase {
		return &benchCase{
			measurement: measurement{Kind: "data", Name: name, Images: len(ds.Train)}, dev: b.dev,
			open: func() (func() error, func(), error) {
				l := loader(cache)
				return func() error { return epoch(l, func(*datasets.Batch) error { return nil }) }, func() {}, nil
			},
		}
	}
	fed := &benchCase{
		measurement: measurement{Kind: "data", Name: "R-AMT steps fed with files", Images: len(ds.Train), FLOP: batches * s.flop()}, dev: b.dev,
		open: func() (func() error, func(), error) {
			t, closeTuner, err := s.tuner()
			if err != nil {
				return nil, nil, err
			}
			images := b.dev.New(tensor.Compute, b.batch, 3, size, size)
			l := loader(0)
			return func() error {
				return epoch(l, func(batch *datasets.Batch) error {
					images.Set(batch.Pixels)
					_, err := t.Step(context.Background(), images, batch.Labels, 0)
					return err
				})
			}, func() { images.Release(); closeTuner() }, nil
		},
	}
	return &benchGroup{
		relative: func(c, first *measurement) float64 { return first.Rate / c.Rate },
		cases: []*benchCase{
			s.stepCase("data", fmt.Sprintf("R-AMT, batch %d", b.batch)),
			reading("decode and augment", 0),
			reading("augment decoded images", 1<<40),
			fed,
		},
	}, nil
}
