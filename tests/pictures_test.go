package tests

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"slices"
	"testing"

	"fewshot/datasets"
	"fewshot/tensor"
)

// noise is a data set in memory of pictures of n sizes, from one pixel to a few hundred, all of random samples.
func noise(t *testing.T, n int, key tensor.Key) *datasets.Dataset {
	t.Helper()
	ds := &datasets.Dataset{Name: "noise", Classes: []string{"a"}}
	for i := range n {
		w, h := side(key, 2*i), side(key, 2*i+1)
		m := image.NewNRGBA(image.Rect(0, 0, w, h))
		for j := range m.Pix {
			m.Pix[j] = byte(key.Fold(uint64(i)).Block(uint64(j / 16))[j/4%4] >> (8 * (j % 4)))
		}
		for j := 3; j < len(m.Pix); j += 4 {
			m.Pix[j] = 255
		}
		var b bytes.Buffer
		if err := png.Encode(&b, m); err != nil {
			t.Fatal(err)
		}
		ds.Train = append(ds.Train, datasets.Item{Path: fmt.Sprintf("%d of %dx%d", i, w, h), Class: "a", Data: b.Bytes()})
	}
	return ds
}

// side is a length from 1 to 400, short ones as frequent as long ones.
func side(key tensor.Key, i int) int {
	bits := key.Block(uint64(i))
	return 1 + int(bits[0]>>8%400)>>(bits[1]%8)
}

// What a device makes of pictures and crops is, to the bit, what the loader makes itself: at sizes that shrink and
// enlarge, for crops of any size, mirrored and not, and for the centres that evaluation takes.
func TestDevicesMakeTheLoadersPixels(t *testing.T) {
	key := tensor.NewKey(11).Name("pictures")
	ds := noise(t, 40, key)
	augments := map[string]*datasets.Augment{
		"centre": nil, "large crops": datasets.RandomResizedCrop(0.5), "tiny crops": {Scale: [2]float64{0.0001, 0.1}, Ratio: [2]float64{0.1, 10}, Flip: 0.5},
	}
	for _, name := range tensor.Devices() {
		t.Run(name, func(t *testing.T) {
			dev, err := tensor.Open(name, tensor.Options{Workers: 2, Poison: true})
			if err != nil {
				if os.Getenv("FEWSHOT_GPU") != "" || os.Getenv("FEWSHOT_SIM") != "" {
					t.Fatal(err)
				}
				t.Skip(err)
			}
			defer dev.Close()
			for what, augment := range augments {
				for _, size := range []int{1, 31, 64} {
					tr := datasets.CLIPTransform(size)
					if size == 31 {
						tr.Pillow = 12
					}
					t.Run(fmt.Sprintf("%s to %d", what, size), func(t *testing.T) { compare(t, dev, ds, tr, augment) })
				}
			}
			if err := dev.Sync(); err != nil {
				t.Error(err)
			}
		})
	}
}

// keep takes the pictures that come with a batch, remembers their numbers by item, and gives the batch's crops in the
// device's terms, in the memory of crops.
func keep(pictures *tensor.Pictures, numbers []int, crops []tensor.Crop, b *datasets.Batch) []tensor.Crop {
	crops = crops[:0]
	for i, c := range b.Crops {
		item := b.Indices[i]
		if m := c.Picture; m != nil {
			numbers[item], _ = pictures.Add(m.Pix, m.W, m.H)
		}
		crops = append(crops, tensor.Crop{Picture: numbers[item], Left: c.Left, Top: c.Top, Columns: c.Columns, Rows: c.Rows, RowsFirst: c.RowsFirst, Flip: c.Flip})
	}
	return crops
}

// compare reads two epochs in both ways.
func compare(t *testing.T, dev *tensor.Device, ds *datasets.Dataset, tr datasets.Transform, augment *datasets.Augment) {
	opt := datasets.LoaderOptions{Transform: tr, Augment: augment, BatchSize: 7, Shuffle: true, Seed: 5, CacheBytes: 1 << 30}
	host := datasets.NewLoader(ds, ds.Train, opt)
	opt.Crops = true
	loader := datasets.NewLoader(ds, ds.Train, opt)
	levels := dev.From(tr.Levels(), 3, 256)
	defer levels.Release()
	pictures := dev.NewPictures(1 << 30)
	defer pictures.Release()
	numbers := make([]int, len(ds.Train))
	for epoch := range 2 {
		var want [][]float32
		for b, err := range host.Epoch(t.Context(), epoch, 0) {
			if err != nil {
				t.Fatal(err)
			}
			want = append(want, slices.Clone(b.Pixels))
		}
		i := 0
		for b, err := range loader.Epoch(t.Context(), epoch, 0) {
			if err != nil {
				t.Fatal(err)
			}
			crops := keep(pictures, numbers, nil, b)
			images := dev.New(tensor.Compute, len(crops), 3, tr.Size, tr.Size)
			tensor.Resample(images, levels, pictures, crops)
			got := images.Floats()
			images.Release()
			for k, v := range want[i] {
				if got[k] != v {
					t.Fatalf("epoch %d, item %s: sample %d is %v, the loader's is %v", epoch, ds.Train[b.Indices[k/(3*tr.Size*tr.Size)]].Path, k%(3*tr.Size*tr.Size), got[k], v)
				}
			}
			i++
		}
		if i != len(want) {
			t.Fatalf("%d batches instead of %d", i, len(want))
		}
	}
	if pictures.Len() != len(ds.Train) {
		t.Errorf("%d pictures for %d items", pictures.Len(), len(ds.Train))
	}
}
