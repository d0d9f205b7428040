package datasets

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestDigest changes everything that a digest is of, and what it is not of.
func TestDigest(t *testing.T) {
	dir := t.TempDir()
	classImages(t, filepath.Join(dir, "train"), 3, "a", "b")
	classImages(t, filepath.Join(dir, "test"), 1, "a", "b")
	digest := func(change func(d *Dataset)) string {
		t.Helper()
		d, err := OpenFolder(dir, "")
		if err != nil {
			t.Fatal(err)
		}
		if change != nil {
			change(d)
		}
		s, err := d.Digest(t.Context(), d.Train)
		if err != nil || len(s) != 64 {
			t.Fatalf("digest %q, %v", s, err)
		}
		return s
	}
	want := digest(nil)
	if digest(nil) != want {
		t.Error("two digests of the same differ")
	}
	for what, change := range map[string]func(d *Dataset){
		"a class's name": func(d *Dataset) { d.Classes[1] = "c" },
		"a label":        func(d *Dataset) { d.Train[0].Label = 1 },
		"the order":      func(d *Dataset) { d.Train[0], d.Train[1] = d.Train[1], d.Train[0] },
		"an image less":  func(d *Dataset) { d.Train = d.Train[1:] },
	} {
		if digest(change) == want {
			t.Errorf("%s does not count", what)
		}
	}
	for what, change := range map[string]func(d *Dataset){
		"prompts": func(d *Dataset) { d.Template = "{}" },
		"in memory": func(d *Dataset) {
			for i, it := range d.Train {
				data, err := d.ReadItem(it)
				if err != nil {
					t.Fatal(err)
				}
				d.Train[i].Path, d.Train[i].Data = "", data
			}
		},
	} {
		if digest(change) != want {
			t.Errorf("%s counts", what)
		}
	}
	writeFile(t, dir, "test/a/00.jpg", "other")
	if digest(nil) != want {
		t.Error("a test image counts for the training images")
	}
	d, err := OpenFolder(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	// Other contents of the same length under the same name: names and sizes do not show it.
	names := d.SplitHash()
	writeFile(t, dir, "train/b/01.jpg", jpegHead+"a/00.jpg")
	if digest(nil) == want {
		t.Error("the contents do not count")
	}
	if d, err = OpenFolder(dir, ""); err != nil || d.SplitHash() != names {
		t.Errorf("%v, or the split's hash is of contents", err)
	}

	if err := os.Remove(filepath.Join(dir, "train", "a", "02.jpg")); err != nil {
		t.Fatal(err)
	}
	_, err = d.Digest(t.Context(), d.Train)
	asError(t, err, filepath.Join("train", "a", "02.jpg")+": no such file")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Digest(ctx, d.Test); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}
