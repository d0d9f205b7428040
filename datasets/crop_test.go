package datasets

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"slices"
	"testing"
)

// pass is one filter's output sample i over n samples that lie step apart, by the filter's description in Crop.
func pass(f []int32, i int, src []uint8, step int) uint8 {
	from, n, at := int(f[3*i]), int(f[3*i+1]), int(f[3*i+2])
	sum := int64(1 << 21)
	for k := range n {
		sum += int64(src[(from+k)*step]) * int64(f[at+k])
	}
	return uint8(min(max(sum>>22, 0), 255))
}

// pixels makes the image of a crop, as whoever reads crops has to.
func (c *Crop) pixels(m *Picture, size int, levels []float32) []float32 {
	// Beyond the crop there are no samples that a filter may take.
	along := func(m *Picture, left int) *Picture {
		out := &Picture{W: size, H: m.H, Pix: make([]uint8, 3*size*m.H)}
		for i := range out.Pix {
			y, x, ch := i/3/size, i/3%size, i%3
			out.Pix[i] = pass(c.Columns, x, m.Pix[3*(y*m.W+left)+ch:], 3)
		}
		return out
	}
	across := func(m *Picture, top int) *Picture {
		out := &Picture{W: m.W, H: size, Pix: make([]uint8, 3*m.W*size)}
		for i := range out.Pix {
			y, x := i/(3*m.W), i%(3*m.W)
			out.Pix[i] = pass(c.Rows, y, m.Pix[3*m.W*top+x:], 3*m.W)
		}
		return out
	}
	if c.RowsFirst {
		m = along(across(m, c.Top), c.Left)
	} else {
		m = across(along(m, c.Left), c.Top)
	}
	out := make([]float32, 3*size*size)
	for ch := range 3 {
		for y := range size {
			for x := range size {
				from := x
				if c.Flip {
					from = size - 1 - x
				}
				out[(ch*size+y)*size+x] = levels[256*ch+int(m.Pix[3*(y*size+from)+ch])]
			}
		}
	}
	return out
}

// keeper keeps the pictures that come with crops, and makes pixels of the batches.
type keeper struct {
	pictures map[int]*Picture
	came     int
}

func (k *keeper) collect(t *testing.T, tr Transform, batches iter.Seq2[*Batch, error]) []Batch {
	t.Helper()
	levels := tr.Levels()
	var all []Batch
	for b, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		if b.Pixels != nil || len(b.Crops) != len(b.Indices) {
			t.Fatalf("%d pixels, %d crops for %d items", len(b.Pixels), len(b.Crops), len(b.Indices))
		}
		var pixels []float32
		for i, index := range b.Indices {
			c := &b.Crops[i]
			if c.Picture != nil {
				k.came++
				k.pictures[index] = c.Picture
			}
			if k.pictures[index] == nil {
				t.Fatalf("item %d: its picture never came", index)
			}
			pixels = append(pixels, c.pixels(k.pictures[index], tr.Size, levels)...)
		}
		all = append(all, Batch{Pixels: pixels, Labels: slices.Clone(b.Labels), Indices: slices.Clone(b.Indices)})
	}
	return all
}

// Whoever keeps the pictures and does the sums gets the pixels that the loader makes, bit for bit, and each picture
// once.
func TestCropsGiveThePixels(t *testing.T) {
	d := loaderData(t, 23)
	ctx := context.Background()
	for _, augment := range []*Augment{nil, loaderOptions.Augment, RandomResizedCrop(0.01)} {
		for _, size := range []int{1, 8, 33} {
			opt := loaderOptions
			opt.Augment, opt.Transform = augment, CLIPTransform(size)
			pixels := NewLoader(d, d.Train, opt)
			opt.Crops, opt.Workers = true, 3
			crops := NewLoader(d, d.Train, opt)
			k := keeper{pictures: map[int]*Picture{}}
			for _, e := range []int{1, 0, 2, 1} {
				from := e % 2
				want := collect(t, pixels.Epoch(ctx, e, from))
				if got := k.collect(t, opt.Transform, crops.Epoch(ctx, e, from)); !equalBatches(got, want) {
					t.Errorf("augment %v, size %d: epoch %d differs", augment, size, e)
				}
			}
			if k.came != len(k.pictures) {
				t.Errorf("%d pictures came for %d items", k.came, len(k.pictures))
			}
		}
	}
}

// An epoch that is left early has not given away the pictures of batches that nobody saw.
func TestCropsLeftEarly(t *testing.T) {
	d := loaderData(t, 20)
	opt := loaderOptions
	opt.Crops = true
	l := NewLoader(d, d.Train, opt)
	k := keeper{pictures: map[int]*Picture{}}
	first := func(yield func(*Batch, error) bool) {
		for b, err := range l.Epoch(context.Background(), 0, 0) {
			yield(b, err)
			return
		}
	}
	if k.collect(t, opt.Transform, first); k.came != 4 {
		t.Errorf("%d pictures came with a batch of 4", k.came)
	}
	if k.collect(t, opt.Transform, l.Epoch(context.Background(), 0, 0)); k.came != 20 {
		t.Errorf("%d pictures came in all, want 20", k.came)
	}
}

// A damaged file is the error that it is without crops.
func TestCropsError(t *testing.T) {
	d := loaderData(t, 30)
	d.Train[13].Data = []byte("no image")
	opt := loaderOptions
	opt.Shuffle = false
	message := func() string {
		for _, err := range NewLoader(d, d.Train, opt).Epoch(context.Background(), 0, 0) {
			if err != nil {
				if _, ok := errors.AsType[*ImageError](err); !ok {
					t.Errorf("%T", err)
				}
				return err.Error()
			}
		}
		return ""
	}
	want := message()
	opt.Crops = true
	if got := message(); got != want || want == "" {
		t.Errorf("%q instead of %q", got, want)
	}
}

// Images a second through one worker from the second epoch on, when only numbers are left to compute.
func BenchmarkCrops(b *testing.B) {
	data := photograph(b)
	d := &Dataset{Classes: []string{"a"}}
	for i := range 64 {
		d.Train = append(d.Train, Item{Path: fmt.Sprint(i), Data: data})
	}
	opt := loaderOptions
	opt.Transform, opt.BatchSize, opt.Workers, opt.Crops = CLIPTransform(224), 32, 1, true
	l := NewLoader(d, d.Train, opt)
	epoch := func(e int) (images int) {
		for batch, err := range l.Epoch(context.Background(), e, 0) {
			if err != nil {
				b.Fatal(err)
			}
			images += len(batch.Indices)
		}
		return images
	}
	epoch(0)
	images := 0
	for b.Loop() {
		images += epoch(1)
	}
	b.ReportMetric(float64(images)/b.Elapsed().Seconds(), "images/s")
}
