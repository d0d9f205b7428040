package datasets

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// brokenDTD builds a data set with one image of every kind of bad.
func brokenDTD(t *testing.T) string {
	root := t.TempDir()
	var train []Item
	for i := range 6 {
		train = append(train, Item{Path: fmt.Sprintf("banded/%d.jpg", i), Label: 0, Class: "banded"})
	}
	test := []Item{{Path: "gone/1.jpg", Label: 0, Class: "banded"}}
	dir := filepath.Join(root, "dtd")
	writeFile(t, dir, "split_zhou_DescribableTextures.json", splitJSON(t, train, nil, test))
	writeImages(t, dir, "images/banded/0.jpg", "images/banded/5.jpg")
	writeFile(t, dir, "images/banded/1.jpg", "")
	writeFile(t, dir, "images/banded/2.jpg", "<!DOCTYPE html><html>")
	if err := os.MkdirAll(filepath.Join(dir, "images/banded/3.jpg"), 0o777); err != nil {
		t.Fatal(err)
	}
	return root
}

func TestCheck(t *testing.T) {
	root := brokenDTD(t)
	var want *Report
	for _, workers := range []int{1, 4} {
		r, err := Check(t.Context(), root, "dtd", CheckOptions{Workers: workers})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(FileList{2, []string{"banded/4.jpg", "gone/1.jpg"}}, r.Missing); diff != "" {
			t.Errorf("missing (-want +got):\n%s", diff)
		}
		if diff := cmp.Diff(FileList{3, []string{
			"banded/1.jpg: is empty",
			`banded/2.jpg: is not an image of a format that is read; it starts with "<!DOCTYPE html><"`,
			"banded/3.jpg: not a regular file",
		}}, r.Unreadable); diff != "" {
			t.Errorf("unreadable (-want +got):\n%s", diff)
		}
		if r.OK() || r.Got != (Counts{1, 6, 0, 1}) || r.Want.Classes != 47 {
			t.Errorf("report %+v", r)
		}
		if want != nil {
			if diff := cmp.Diff(want, r); diff != "" {
				t.Errorf("the report depends on the number of workers:\n%s", diff)
			}
		}
		want = r
	}
	var b bytes.Buffer
	if err := want.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{"DescribableTextures (dtd)", "there    images/", "2 images missing:\n  banded/4.jpg",
		"3 images unreadable:", "differs", "DATASETS.md, section DTD"} {
		if !strings.Contains(b.String(), text) {
			t.Errorf("the text does not say %q:\n%s", text, b.String())
		}
	}
}

func TestCheckDecodes(t *testing.T) {
	root := brokenDTD(t)
	calls := 0
	last := 0
	r, err := Check(t.Context(), root, "dtd", CheckOptions{
		Names: 1,
		Decode: func(path string, data []byte) error {
			calls++
			if strings.HasSuffix(path, "5.jpg") {
				return errors.New("short Huffman data")
			}
			return nil
		},
		Progress: func(done, total int) {
			if total != 7 || done <= last {
				t.Errorf("progress %d of %d", done, total)
			}
			last = done
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	if calls != 2 || last != 7 {
		t.Errorf("%d calls of Decode, want 2; progress to %d, want 7", calls, last)
	}
	if r.Unreadable.Total != 4 || len(r.Unreadable.First) != 1 {
		t.Errorf("unreadable %+v", r.Unreadable)
	}
}

func TestCheckGood(t *testing.T) {
	root := t.TempDir()
	classImages(t, filepath.Join(root, "mine"), 4, "a", "b")
	r, err := Check(t.Context(), root, "mine", CheckOptions{})
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil {
		t.Fatal(err)
	}
	if !r.OK() || !strings.Contains(b.String(), "All images are there") || strings.Contains(b.String(), "published") {
		t.Errorf("text:\n%s", b.String())
	}
}

// TestCheckWithoutData says what is missing for every data set that is not there at all.
func TestCheckWithoutData(t *testing.T) {
	root := t.TempDir()
	for _, name := range Names() {
		r, err := Check(t.Context(), root, name, CheckOptions{})
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		if r.OK() || r.Problem == "" || len(r.Hints) < len(r.Needs)+1 {
			t.Errorf("%s: report %+v", name, r)
		}
		for _, n := range r.Needs {
			if n.Present {
				t.Errorf("%s: %s is there", name, n.Path)
			}
		}
	}
}

// TestCheckLayouts finds nothing missing in any of the accepted layouts.
func TestCheckLayouts(t *testing.T) {
	for _, l := range layouts {
		if l.made {
			continue
		}
		t.Run(l.label, func(t *testing.T) {
			root := t.TempDir()
			l.build(t, root)
			r, err := Check(t.Context(), root, l.name, CheckOptions{})
			if err != nil {
				t.Fatal(err)
			}
			if !r.OK() || len(r.Hints) != 0 {
				t.Errorf("report %+v", r)
			}
		})
	}
}

func TestCheckErrors(t *testing.T) {
	root := brokenDTD(t)
	if _, err := Check(t.Context(), root, "cifar10", CheckOptions{}); err == nil {
		t.Error("no error for an unknown name")
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := Check(ctx, root, "dtd", CheckOptions{}); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	d, err := Open(root, "dtd")
	if err != nil {
		t.Fatal(err)
	}
	if err := d.Verify(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	e := asError(t, d.Verify(t.Context()), "banded/4.jpg: no such file", "gone/1.jpg", "not a regular file")
	if e.Total != 3 {
		t.Errorf("%d problems, want 3", e.Total)
	}
}

// TestCheckCopies finds equal bytes under different names, across parts and labels, beyond the first bytes.
func TestCheckCopies(t *testing.T) {
	dir := t.TempDir()
	long := jpegHead + strings.Repeat("x", 10000)
	for name, content := range map[string]string{
		"train/a/1.jpg": long + "1", "train/a/2.jpg": long + "2", "train/b/1.jpg": long + "3", "train/b/2.jpg": long + "1",
		"val/a/1.jpg": long + "2", "test/a/1.jpg": long + "4", "test/b/1.jpg": long + "3", "test/a/copy.jpg": long + "4",
	} {
		writeFile(t, dir, name, content)
	}
	r, err := Check(t.Context(), "", dir, CheckOptions{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(FileList{2, []string{"val/a/1.jpg (val) is train/a/2.jpg (train)", "test/b/1.jpg (test) is train/b/1.jpg (train)"}}, r.Copies); diff != "" {
		t.Errorf("copies (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(FileList{1, []string{`train/b/2.jpg, "b", is train/a/1.jpg, "a"`}}, r.Mislabeled); diff != "" {
		t.Errorf("mislabeled (-want +got):\n%s", diff)
	}
	var b bytes.Buffer
	if err := r.WriteText(&b); err != nil || !strings.Contains(b.String(), "what is tested was trained on") {
		t.Errorf("%v: %s", err, b.String())
	}
}
