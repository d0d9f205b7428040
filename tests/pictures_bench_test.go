package tests

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"math"
	"testing"

	"fewshot/datasets"
	"fewshot/tensor"
)

// BenchmarkPictures is what a training step of 32 images of 224 pixels waits for, from JPEG files of 500x375, the
// commonest size of ImageNet: the loader's own pixels, copied to the device, and the device's, from pictures that it
// keeps. The first epoch decodes. Compare with the step itself, which fewshot bench measures.
func BenchmarkPictures(b *testing.B) {
	ds := &datasets.Dataset{Classes: []string{"a"}}
	for i := range 64 {
		ds.Train = append(ds.Train, datasets.Item{Path: fmt.Sprint(i), Data: photograph(b, tensor.NewKey(uint64(i)))})
	}
	tr := datasets.CLIPTransform(224)
	opt := datasets.LoaderOptions{Transform: tr, Augment: datasets.RandomResizedCrop(0.5), BatchSize: 32, Shuffle: true, Workers: 2, CacheBytes: 1 << 30}
	for _, name := range tensor.Devices() {
		dev, err := tensor.Open(name, tensor.Options{Workers: 2})
		if err != nil {
			continue
		}
		defer dev.Close()
		images, levels := dev.New(tensor.Compute, 32, 3, 224, 224), dev.From(tr.Levels(), 3, 256)
		for _, path := range []string{"host", "device"} {
			opt.Crops = path == "device"
			fresh := func() (epoch func(), done func()) {
				loader, pictures, numbers := datasets.NewLoader(ds, ds.Train, opt), dev.NewPictures(1<<30), make([]int, 64)
				var crops []tensor.Crop
				number := 0
				return func() {
					for batch, err := range loader.Epoch(b.Context(), number, 0) {
						if err != nil {
							b.Fatal(err)
						}
						if !opt.Crops {
							images.Set(batch.Pixels)
							continue
						}
						crops = keep(pictures, numbers, crops, batch)
						tensor.Resample(images, levels, pictures, crops)
					}
					if err := dev.Sync(); err != nil {
						b.Fatal(err)
					}
					number++
				}, pictures.Release
			}
			report := func(b *testing.B) { b.ReportMetric(2*float64(b.N)/b.Elapsed().Seconds(), "batches/s") }
			b.Run(fmt.Sprintf("device=%s/path=%s/epoch=first", name, path), func(b *testing.B) {
				for b.Loop() {
					epoch, done := fresh()
					epoch()
					done()
				}
				report(b)
			})
			b.Run(fmt.Sprintf("device=%s/path=%s/epoch=later", name, path), func(b *testing.B) {
				epoch, done := fresh()
				defer done()
				for epoch(); b.Loop(); {
					epoch()
				}
				report(b)
			})
		}
	}
}

// photograph is a JPEG file with about as much detail as one.
func photograph(b *testing.B, key tensor.Key) []byte {
	m := image.NewRGBA(image.Rect(0, 0, 500, 375))
	for y := range 375 {
		for x := range 500 {
			wave := 90 * math.Sin(float64(x)/19) * math.Cos(float64(y)/13)
			v := func(i int, c float64) uint8 {
				return uint8(min(max(c+wave+9*key.Normal(uint64(3*(500*y+x)+i)), 0), 255))
			}
			m.SetRGBA(x, y, color.RGBA{v(0, 120), v(1, float64(x)/2), v(2, float64(y)/2), 255})
		}
	}
	var buf bytes.Buffer
	if err := jpeg.Encode(&buf, m, &jpeg.Options{Quality: 90}); err != nil {
		b.Fatal(err)
	}
	return buf.Bytes()
}
