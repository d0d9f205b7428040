package run

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"fewshot/datasets"
	"fewshot/datasets/synth"
	"fewshot/tensor"
)

// textures are fifty drawn images, in memory.
func textures(t *testing.T) *datasets.Dataset {
	t.Helper()
	task, ok := synth.Lookup("textures")
	if !ok {
		t.Fatal("no such task")
	}
	var items []datasets.Item
	rgb := make([]uint8, synth.Size*synth.Size*3)
	for i := range 50 {
		label := task.Item(rgb, 1, "test", i)
		png, err := synth.EncodePNG(rgb)
		if err != nil {
			t.Fatal(err)
		}
		items = append(items, datasets.Item{Label: int32(label), Data: png})
	}
	ds, err := datasets.New("textures", "Textures", task.Template, task.Classes, nil, nil, items)
	if err != nil {
		t.Fatal(err)
	}
	return ds
}

// said is a UI that keeps notes.
type said struct{ notes *strings.Builder }

func (s *said) Note(format string, a ...any) { fmt.Fprintf(s.notes, format+"\n", a...) }
func (s *said) Warn(string, ...any)          {}
func (s *said) Log(string, ...any)           {}
func (s *said) Event(any) error              { return nil }
func (s *said) Progress(string, int) (func(int, string), func()) {
	return func(int, string) {}, func() {}
}

// contents are the images of an epoch's batches from one on, as the tuner gets them.
func contents(t *testing.T, dev *tensor.Device, s *Source, epoch, from int) (all [][]float32) {
	t.Helper()
	for b, err := range s.Epoch(t.Context(), epoch, from) {
		if err != nil {
			t.Fatal(err)
		}
		x := dev.New(tensor.Compute, len(b.Labels), 3, b.Size, b.Size)
		if b.Fill != nil {
			b.Fill(x)
		} else {
			x.Set(b.Pixels)
		}
		all = append(all, x.Floats())
		x.Release()
	}
	return all
}

// Wherever pictures are kept, and even where they turn out not to fit, the batches are the same.
func TestSourcesAreEqual(t *testing.T) {
	dev, err := tensor.Open("cpu", tensor.Options{Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	ds := textures(t)
	items := ds.Test
	options := map[string]datasets.LoaderOptions{
		"training": {Transform: datasets.CLIPTransform(40), Augment: datasets.RandomResizedCrop(0.3), BatchSize: 8, Shuffle: true, DropLast: true, Seed: 1},
		"in order": {Transform: datasets.CLIPTransform(40), BatchSize: 8},
	}
	bytes := 3 * 48 * 48 // of a picture
	for name, opt := range options {
		t.Run(name, func(t *testing.T) {
			var u strings.Builder
			epochs := func(s *Source) (all [][]float32) {
				defer s.Close()
				all = contents(t, dev, s, 0, 0)
				if !s.once {
					all = slices.Concat(all, contents(t, dev, s, 1, 2), contents(t, dev, s, 0, 0))
				}
				return all
			}
			equal := func(a, b [][]float32) bool { return slices.EqualFunc(a, b, slices.Equal) }
			host := Loader{Store: "host", Workers: 2}
			want := epochs(host.Source(dev, nil, ds, items, opt, false))
			device := Loader{Store: "device", Workers: 2, CacheMiB: 1}
			s := device.Source(dev, nil, ds, items, opt, false)
			if !equal(epochs(s), want) {
				t.Error("kept on the device, the batches differ")
			}
			// Enough for a few batches of the first epoch, for all but the last item, for none.
			for _, room := range []int{20 * bytes, 49 * bytes, 0} {
				s := device.Source(dev, &said{&u}, ds, items, opt, false)
				s.strict = false
				s.store.room = int64(room)
				s.store.pictures = dev.NewPictures(int64(room))
				u.Reset()
				if !equal(epochs(s), want) {
					t.Errorf("with room for %d bytes the batches differ", room)
				}
				// Three epochs that each leave out two others of 50 items may do with 49.
				if n := strings.Count(u.String(), "set aside"); n > 1 || n == 0 && !(opt.DropLast && room > 48*bytes) {
					t.Errorf("with room for %d bytes it says %q", room, u.String())
				}
			}
			// Some images, of which the third batch finds no room.
			which := upTo(30)
			slices.Reverse(which)
			some := func(s *Source) (all [][]float32) {
				defer s.Close()
				for b, err := range s.Some(t.Context(), 1, which) {
					if err != nil {
						t.Fatal(err)
					}
					x := b.Put(dev, nil)
					all = append(all, x.Floats())
					x.Release()
				}
				return all
			}
			s = device.Source(dev, &said{&u}, ds, items, opt, false)
			s.strict, s.store.room, s.store.pictures = false, int64(20*bytes), dev.NewPictures(int64(20*bytes))
			if want := some(host.Source(dev, nil, ds, items, opt, false)); len(want) != 4 || !equal(some(s), want) {
				t.Error("some of the images differ")
			}
			once := device.Source(dev, nil, ds, items, opt, true)
			once.store.pictures = dev.NewPictures(int64(8 * (bytes + 64)))
			if got := epochs(once); !equal(got, want[:len(got)]) || len(got) != once.Batches() {
				t.Errorf("looked at once, the batches differ")
			}
		})
	}
}
