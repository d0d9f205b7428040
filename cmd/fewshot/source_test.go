package main

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fewshot/datasets"
	"fewshot/tensor"
)

// contents are the images of an epoch's batches from one on, as the tuner gets them.
func contents(t *testing.T, dev *tensor.Device, s *source, epoch, from int) (all [][]float32) {
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
	ds, err := synthetic("textures")
	if err != nil {
		t.Fatal(err)
	}
	items := ds.Test[:50]
	options := map[string]datasets.LoaderOptions{
		"training": {Transform: datasets.CLIPTransform(40), Augment: datasets.RandomResizedCrop(0.3), BatchSize: 8, Shuffle: true, DropLast: true, Seed: 1},
		"in order": {Transform: datasets.CLIPTransform(40), BatchSize: 8},
	}
	bytes := 3 * 48 * 48 // of a picture
	for name, opt := range options {
		t.Run(name, func(t *testing.T) {
			var u strings.Builder
			epochs := func(s *source) (all [][]float32) {
				defer s.close()
				all = contents(t, dev, s, 0, 0)
				if !s.once {
					all = slices.Concat(all, contents(t, dev, s, 1, 2), contents(t, dev, s, 0, 0))
				}
				return all
			}
			equal := func(a, b [][]float32) bool { return slices.EqualFunc(a, b, slices.Equal) }
			host := &loaderFlags{store: "host", workers: 2}
			want := epochs(host.source(dev, nil, ds, items, opt, false))
			device := &loaderFlags{store: "device", workers: 2, cacheMiB: 1}
			s := device.source(dev, nil, ds, items, opt, false)
			if !equal(epochs(s), want) {
				t.Error("kept on the device, the batches differ")
			}
			// Enough for a few batches of the first epoch, for all but the last item, for none.
			for _, room := range []int{20 * bytes, 49 * bytes, 0} {
				s := device.source(dev, newUI(&u, io.Discard, false), ds, items, opt, false)
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
			once := device.source(dev, nil, ds, items, opt, true)
			once.store.pictures = dev.NewPictures(int64(8 * (bytes + 64)))
			if got := epochs(once); !equal(got, want[:len(got)]) || len(got) != once.Batches() {
				t.Errorf("looked at once, the batches differ")
			}
		})
	}
}

// A device without memory of its own has no store unless it is asked for, and what does not fit then is an error.
func TestStoreFlag(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	code, _, errw := cli(t, tune(t, dir, "-store", "device", "-cache", "0")...)
	if code != exitFailed || !strings.Contains(errw, "the images of few, decoded, take more than the 0 MiB that are set aside for them on cpu; use -store host") {
		t.Errorf("exit code %d: %s", code, errw)
	}
	if code, _, errw = cli(t, tune(t, dir, "-store", "disk")...); code != exitUsage || !strings.Contains(errw, `-store "disk"`) {
		t.Errorf("exit code %d: %s", code, errw)
	}
	must(t, tune(t, dir, "-cache", "0")...)
}

// A whole run whose pictures are on the device ends with the mask, to the byte, and the accuracies of one on the host. So does
// one that was interrupted there.
func TestTrainFromTheDevice(t *testing.T) {
	_, want := undisturbedRun(t)
	train := func(store string) trainResult {
		dir := filepath.Join(t.TempDir(), "run")
		r := last[trainResult](t, must(t, tune(t, dir, "-store", store, "-zeroshot", "-json")...))
		if got := read(t, r.Mask); !bytes.Equal(got, want) {
			t.Errorf("-store %s: another mask", store)
		}
		e := last[evalResult](t, must(t, "eval", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-mask", r.Mask, "-json", "-eval-batch", "5", "-store", store))
		if e.Test != r.Test {
			t.Errorf("-store %s: eval says %+v, train %+v", store, e.Test, r.Test)
		}
		return r
	}
	host, device := train("host"), train("device")
	if *host.ZeroShot != *device.ZeroShot || host.Test != device.Test || !cmp.Equal(host.Epochs, device.Epochs) {
		t.Errorf("on the host %+v, %+v; on the device %+v, %+v", host.ZeroShot, host.Test, device.ZeroShot, device.Test)
	}

	dir := filepath.Join(t.TempDir(), "run")
	if code, errw := interrupt(t, 7, tune(t, dir, "-save-every", "1ns", "-store", "device"), dir); code != exitInterrupted {
		t.Skipf("exit code %d before it could be stopped: %s", code, errw)
	}
	must(t, tune(t, dir, "-resume", "-store", "device")...)
	if got := read(t, filepath.Join(dir, maskName)); !bytes.Equal(got, want) {
		t.Error("stopped and resumed: another mask")
	}
}

// A damaged image is the same error wherever pictures are kept.
func TestDamagedImage(t *testing.T) {
	root := t.TempDir()
	ex := last[exportResult](t, must(t, "data", "export", "-json", "-dataset", "synth:textures", "-out", root))
	images, err := filepath.Glob(filepath.Join(ex.Dir, "images", "*", "*.png"))
	if err != nil || len(images) == 0 {
		t.Fatalf("%d images, %v", len(images), err)
	}
	for _, path := range images {
		if err := os.WriteFile(path, read(t, path)[:100], 0o666); err != nil {
			t.Fatal(err)
		}
	}
	var said []string
	for _, store := range []string{"host", "device"} {
		code, _, errw := cli(t, "train", "-model", tiny(t), "-data", ex.Data, "-dataset", ex.Dataset, "-zeroshot=false", "-store", store, "-out", filepath.Join(t.TempDir(), "run"))
		if code != exitFailed || !strings.Contains(errw, ex.Dir) || !strings.Contains(errw, "PNG") {
			t.Errorf("-store %s: exit code %d, %s", store, code, errw)
		}
		said = append(said, errw[strings.LastIndex(errw, ex.Dir):])
	}
	if said[0] != said[1] {
		t.Errorf("on the host %q, on the device %q", said[0], said[1])
	}
}
