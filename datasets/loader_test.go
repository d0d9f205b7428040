package datasets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io/fs"
	"iter"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
)

// loaderData makes a data set of n small PNG images in memory, all different.
func loaderData(t testing.TB, n int) *Dataset {
	t.Helper()
	d := &Dataset{Name: "loader", Classes: []string{"a", "b", "c"}}
	for i := range n {
		m := image.NewRGBA(image.Rect(0, 0, 20+i%7, 17+i%5))
		for y := range m.Rect.Dy() {
			for x := range m.Rect.Dx() {
				m.SetRGBA(x, y, color.RGBA{uint8(11*x + i), uint8(7*y + 3*i), uint8(x*y + 5*i), 255})
			}
		}
		var b bytes.Buffer
		if err := png.Encode(&b, m); err != nil {
			t.Fatal(err)
		}
		label := int32(i % 3)
		d.Train = append(d.Train, Item{Path: fmt.Sprintf("%d.png", i), Label: label, Class: d.Classes[label], Data: b.Bytes()})
	}
	return d
}

var loaderOptions = LoaderOptions{
	Transform: CLIPTransform(8), Augment: RandomResizedCrop(0.5), BatchSize: 4, Shuffle: true, DropLast: true, Seed: 3,
}

// collect copies all batches of an epoch.
func collect(t testing.TB, batches iter.Seq2[*Batch, error]) []Batch {
	t.Helper()
	var all []Batch
	for b, err := range batches {
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, Batch{Pixels: slices.Clone(b.Pixels), Labels: slices.Clone(b.Labels), Indices: slices.Clone(b.Indices)})
	}
	return all
}

func equalBatches(a, b []Batch) bool {
	return slices.EqualFunc(a, b, func(a, b Batch) bool {
		return slices.Equal(a.Pixels, b.Pixels) && slices.Equal(a.Labels, b.Labels) && slices.Equal(a.Indices, b.Indices)
	})
}

// In the last epoch nothing is kept, and what was kept is given up; the batches are the same.
func TestLastEpoch(t *testing.T) {
	d := loaderData(t, 16)
	want := collect(t, NewLoader(d, d.Train, loaderOptions).Epoch(t.Context(), 1, 0))
	for _, first := range []int{0, 1} {
		opt := loaderOptions
		opt.CacheBytes = 1 << 20
		l := NewLoader(d, d.Train, opt)
		l.Last(1)
		if first == 0 {
			if collect(t, l.Epoch(t.Context(), 0, 0)); l.room.Load() == opt.CacheBytes {
				t.Error("nothing is kept for the last epoch")
			}
		}
		if got := collect(t, l.Epoch(t.Context(), 1, 0)); !equalBatches(got, want) {
			t.Errorf("from epoch %d on: other batches", first)
		}
		for i := range l.cache {
			if l.cache[i].Load() != nil {
				t.Fatalf("from epoch %d on: image %d is kept after the last", first, i)
			}
		}
	}
}

// Workers, cache, earlier epochs and the batch to start from have no influence on a batch.
func TestLoaderIsDeterministic(t *testing.T) {
	d := loaderData(t, 23)
	ctx := context.Background()
	for _, augment := range []*Augment{nil, loaderOptions.Augment} {
		opt := loaderOptions
		opt.Augment = augment
		opt.Workers = 1
		reference := NewLoader(d, d.Train, opt)
		var want [3][]Batch
		for e := range want {
			want[e] = collect(t, reference.Epoch(ctx, e, 0))
			if len(want[e]) != 5 || reference.Batches() != 5 {
				t.Fatalf("%d batches, Batches() = %d, want 5", len(want[e]), reference.Batches())
			}
		}
		if slices.Equal(want[0][0].Indices, want[1][0].Indices) {
			t.Error("two epochs have the same order")
		}
		for _, workers := range []int{1, 2, 7} {
			for _, cache := range []int64{0, 2000, 1 << 20} {
				opt.Workers, opt.CacheBytes = workers, cache
				l := NewLoader(d, d.Train, opt)
				for _, e := range []int{2, 0, 1, 0} {
					from := e % 2 * 3
					if got := collect(t, l.Epoch(ctx, e, from)); !equalBatches(got, want[e][from:]) {
						t.Errorf("%d workers, %d bytes of cache: epoch %d from batch %d differs", workers, cache, e, from)
					}
				}
				if l.room.Load() < 0 || cache == 1<<20 && l.room.Load() == cache {
					t.Errorf("%d of %d bytes of cache are free", l.room.Load(), cache)
				}
			}
		}
	}
}

func TestLoaderContents(t *testing.T) {
	d := loaderData(t, 10)
	opt := loaderOptions
	opt.Augment, opt.Shuffle, opt.DropLast = nil, false, false
	batches := collect(t, NewLoader(d, d.Train, opt).Epoch(context.Background(), 0, 0))
	if !equalBatches(batches, collect(t, LoadImages(context.Background(), d, d.Train, opt.Transform, 4, 2))) {
		t.Error("LoadImages differs from the loader")
	}
	i := 0
	for _, b := range batches {
		for k, index := range b.Indices {
			want := make([]float32, 3*8*8)
			if err := opt.Transform.Image(want, "x", d.Train[i].Data); err != nil {
				t.Fatal(err)
			}
			if index != i || b.Labels[k] != d.Train[i].Label || !slices.Equal(b.Pixels[k*len(want):][:len(want)], want) {
				t.Errorf("item %d is wrong", i)
			}
			i++
		}
	}
	if i != 10 || len(batches[2].Indices) != 2 || len(batches[2].Pixels) != 2*3*8*8 {
		t.Errorf("%d items; last batch of %d, %d pixels", i, len(batches[2].Indices), len(batches[2].Pixels))
	}
}

// A shuffled epoch holds each item at most once, and the orders of a seed are fixed for all time.
func TestLoaderOrder(t *testing.T) {
	d := loaderData(t, 9)
	opt := loaderOptions
	opt.DropLast = false
	var order []int
	for _, b := range collect(t, NewLoader(d, d.Train, opt).Epoch(context.Background(), 1, 0)) {
		order = append(order, b.Indices...)
	}
	if want := []int{1, 6, 3, 4, 7, 8, 2, 5, 0}; !slices.Equal(order, want) {
		t.Errorf("order of epoch 1 under seed 3 is %v, want %v", order, want)
	}
	slices.Sort(order)
	if !slices.Equal(order, []int{0, 1, 2, 3, 4, 5, 6, 7, 8}) {
		t.Errorf("items of the epoch: %v", order)
	}
}

func TestLoaderBatches(t *testing.T) {
	d := loaderData(t, 9)
	for _, c := range []struct {
		n, size int
		drop    bool
		want    int
	}{
		{0, 4, true, 0}, {3, 4, true, 1}, {4, 4, true, 1}, {7, 4, true, 1}, {8, 4, true, 2}, {9, 4, false, 3}, {3, 4, false, 1},
	} {
		opt := loaderOptions
		opt.BatchSize, opt.DropLast = c.size, c.drop
		l := NewLoader(d, d.Train[:c.n], opt)
		if got := len(collect(t, l.Epoch(context.Background(), 0, 0))); got != c.want || l.Batches() != c.want {
			t.Errorf("%d items by %d, drop %v: %d batches, Batches() = %d, want %d", c.n, c.size, c.drop, got, l.Batches(), c.want)
		}
		if got := collect(t, l.Epoch(context.Background(), 0, c.want)); len(got) != 0 {
			t.Errorf("%d batches after the last", len(got))
		}
	}
}

// Some items of an epoch are what they are among all.
func TestLoaderSome(t *testing.T) {
	d := loaderData(t, 14)
	l := NewLoader(d, d.Train, loaderOptions)
	type image struct {
		pixels string
		label  int32
	}
	images := func(all []Batch) map[int]image {
		of := map[int]image{}
		for _, b := range all {
			n := len(b.Pixels) / len(b.Labels)
			for i, index := range b.Indices {
				of[index] = image{fmt.Sprint(b.Pixels[i*n : (i+1)*n]), b.Labels[i]}
			}
		}
		return of
	}
	want := images(collect(t, l.Epoch(t.Context(), 2, 0)))
	which := l.Order(2)[1:7]
	some := collect(t, l.Some(t.Context(), 2, which))
	if len(some) != 2 || len(some[0].Labels) != 4 || !slices.Equal(slices.Concat(some[0].Indices, some[1].Indices), which) {
		t.Errorf("%d batches of other images than %v", len(some), which)
	}
	for index, got := range images(some) {
		if got != want[index] {
			t.Errorf("image %d is another one", index)
		}
	}
	if none := collect(t, l.Some(t.Context(), 2, nil)); len(none) > 0 {
		t.Errorf("%d batches of nothing", len(none))
	}
}

// The first bad image in order is reported, after the batches before it, however many workers race.
func TestLoaderError(t *testing.T) {
	d := loaderData(t, 30)
	d.Root = t.TempDir()
	d.Train[13].Data = []byte("no image")
	d.Train[14].Data = nil // its file does not exist
	d.Train[29].Data = []byte("neither")
	for _, workers := range []int{1, 2, 7} {
		opt := loaderOptions
		opt.Shuffle, opt.Workers = false, workers
		n := 0
		var last error
		for b, err := range NewLoader(d, d.Train, opt).Epoch(context.Background(), 0, 0) {
			if last != nil {
				t.Fatal("epoch goes on after an error")
			}
			if last = err; err == nil {
				n += len(b.Indices)
			}
		}
		if e, ok := errors.AsType[*ImageError](last); n != 12 || !ok || e.Name != "13.png" {
			t.Errorf("%d workers: %d items, then %v", workers, n, last)
		}
	}
	for _, err := range LoadImages(context.Background(), d, d.Train[14:15], CLIPTransform(8), 1, 1) {
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), "14.png") {
			t.Errorf("missing file: %v", err)
		}
	}
}

// An epoch that is left early, or cancelled, leaves no goroutine behind.
func TestLoaderStops(t *testing.T) {
	d := loaderData(t, 40)
	before := runtime.NumGoroutine()
	l := NewLoader(d, d.Train, loaderOptions)
	for b, err := range l.Epoch(context.Background(), 0, 0) {
		if err != nil || len(b.Indices) != 4 {
			t.Fatal(err)
		}
		break
	}
	settled(before)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n := 0
	var last error
	for _, err := range l.Epoch(ctx, 0, 0) {
		if last = err; err != nil {
			break
		}
		if n++; n == 2 {
			cancel()
		}
	}
	// Batches that were ready may still come.
	if !errors.Is(last, context.Canceled) || n > 2+prefetch {
		t.Errorf("%d batches, then %v", n, last)
	}
	settled(before)
}

// settled waits until there are no more than n goroutines; one that has done its work still has to end. How long that
// takes is the machine's affair: one that never ends is shown, with where it is, when the test's own timeout is over.
func settled(n int) {
	for runtime.NumGoroutine() > n {
		runtime.Gosched()
	}
}

func TestNewLoaderPanics(t *testing.T) {
	defer func() {
		if recover() == nil {
			t.Error("no panic for a batch size of 0")
		}
	}()
	NewLoader(&Dataset{}, nil, LoaderOptions{Transform: CLIPTransform(8)})
}

// photograph is a JPEG file of 500x375 pixels, the commonest size of ImageNet, with about as much detail.
func photograph(b *testing.B) []byte {
	m := image.NewRGBA(image.Rect(0, 0, 500, 375))
	rnd := rand.New(rand.NewPCG(1, 1))
	for y := range 375 {
		for x := range 500 {
			wave := 90 * math.Sin(float64(x)/19) * math.Cos(float64(y)/13)
			v := func(c float64) uint8 { return uint8(min(max(c+wave+9*rnd.NormFloat64(), 0), 255)) }
			m.SetRGBA(x, y, color.RGBA{v(120), v(float64(x) / 2), v(float64(y) / 2), 255})
		}
	}
	var buf bytes.Buffer
	if err := jpeg.Encode(&buf, m, &jpeg.Options{Quality: 90}); err != nil {
		b.Fatal(err)
	}
	return buf.Bytes()
}

// Images a second through one worker: decoding, cropping at random and normalising, or the latter two alone.
func BenchmarkLoader(b *testing.B) {
	data := photograph(b)
	b.Logf("file of %d bytes", len(data))
	d := &Dataset{Classes: []string{"a"}}
	for i := range 64 {
		d.Train = append(d.Train, Item{Path: fmt.Sprint(i), Data: data})
	}
	for _, cache := range []int64{0, 1 << 30} {
		b.Run(fmt.Sprintf("cache=%d", cache), func(b *testing.B) {
			opt := loaderOptions
			opt.Transform, opt.BatchSize, opt.CacheBytes, opt.Workers = CLIPTransform(224), 32, cache, 1
			l := NewLoader(d, d.Train, opt)
			images := 0
			for b.Loop() {
				for batch, err := range l.Epoch(context.Background(), 0, 0) {
					if err != nil {
						b.Fatal(err)
					}
					images += len(batch.Indices)
				}
			}
			b.ReportMetric(float64(images)/b.Elapsed().Seconds(), "images/s")
		})
	}
}

// Image files of the folder FEWSHOT_IMAGES, one after the other on one processor, for tests/peers/images.py.
func BenchmarkFiles(b *testing.B) {
	names, err := filepath.Glob(filepath.Join(os.Getenv("FEWSHOT_IMAGES"), "*"))
	if err != nil || os.Getenv("FEWSHOT_IMAGES") == "" || len(names) == 0 {
		b.Skip("FEWSHOT_IMAGES names no folder with images")
	}
	var files [][]byte
	for _, name := range names {
		data, err := os.ReadFile(name)
		if err != nil {
			b.Fatal(err)
		}
		files = append(files, data)
	}
	tr := CLIPTransform(224)
	dst := make([]float32, 3*224*224)
	for what, do := range map[string]func(name string, data []byte) error{
		"decode": CheckImage,
		"tensor": func(name string, data []byte) error { return tr.Image(dst, name, data) },
	} {
		b.Run(what, func(b *testing.B) {
			i := 0
			for b.Loop() {
				if err := do(names[i%len(names)], files[i%len(files)]); err != nil {
					b.Fatal(err)
				}
				i++
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "images/s")
		})
	}
}
