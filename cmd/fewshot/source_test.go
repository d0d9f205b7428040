package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"fewshot/rmt/run"
)

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
	train := func(store string) run.Result {
		dir := filepath.Join(t.TempDir(), "run")
		r := last[run.Result](t, must(t, tune(t, dir, "-store", store, "-zeroshot", "-json")...))
		if got := read(t, r.File); !bytes.Equal(got, want) {
			t.Errorf("-store %s: another mask", store)
		}
		e := last[evalResult](t, must(t, "eval", "-model", tiny(t), "-data", tinyData(t), "-dataset", "few", "-mask", r.File, "-json", "-eval-batch", "5", "-store", store))
		if e.Test != *r.Test {
			t.Errorf("-store %s: eval says %+v, train %+v", store, e.Test, r.Test)
		}
		return r
	}
	host, device := train("host"), train("device")
	if *host.ZeroShot != *device.ZeroShot || *host.Test != *device.Test || !cmp.Equal(host.Epochs, device.Epochs) {
		t.Errorf("on the host %+v, %+v; on the device %+v, %+v", host.ZeroShot, host.Test, device.ZeroShot, device.Test)
	}

	dir := filepath.Join(t.TempDir(), "run")
	if code, errw := interrupt(t, 7, tune(t, dir, "-save-every", "1ns", "-store", "device"), dir); code != exitInterrupted {
		t.Skipf("exit code %d before it could be stopped: %s", code, errw)
	}
	must(t, tune(t, dir, "-resume", "-store", "device")...)
	if got := read(t, filepath.Join(dir, run.MaskName)); !bytes.Equal(got, want) {
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
