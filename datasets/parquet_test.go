package datasets

import (
	"bytes"
	"fmt"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// numberOf is the number of a picture of testdata/parquet.py, which is in its colours.
func numberOf(t *testing.T, d *Dataset, it Item) int {
	t.Helper()
	data, err := d.ReadItem(it)
	if err != nil {
		t.Fatal(err)
	}
	m, err := png.Decode(bytes.NewReader(data))
	if err != nil {
		t.Fatalf("%s: %v", it.Path, err)
	}
	c := color.RGBAModel.Convert(m.At(1, 1)).(color.RGBA)
	n := int(c.B)
	if c.R != uint8(n*7) || c.G != uint8(n*31) {
		t.Fatalf("%s: colours %v", it.Path, c)
	}
	return n
}

// TestParquet reads what Hugging Face's datasets writes: its order of classes, its parts, its mark for no label.
func TestParquet(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"train-00000-of-00001.parquet", "test-00000-of-00001.parquet"} {
		data, err := os.ReadFile(filepath.Join("testdata", "parquet", name))
		if err != nil {
			t.Fatal(err)
		}
		writeFile(t, dir, "data/"+name, string(data))
	}
	d, err := OpenFolder(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]string{"zebra", "cat", "ant"}, d.Classes); diff != "" {
		t.Errorf("classes (-want +got):\n%s", diff)
	}
	if d.Counts() != (Counts{3, 6, 0, 3}) {
		t.Errorf("counts %v", d.Counts())
	}
	wantWarning(t, d, "images without a label, not used: 2")
	for i, it := range d.Train {
		if n := numberOf(t, d, it); n != i || int(it.Label) != i%3 || it.Data != nil {
			t.Errorf("training image %d is picture %d, label %d", i, n, it.Label)
		}
	}
	for i, it := range d.Test {
		if n := numberOf(t, d, it); n != 50+i || int(it.Label) != 2-i {
			t.Errorf("test image %d is picture %d, label %d", i, n, it.Label)
		}
	}
	if r, err := Check(t.Context(), "", dir, CheckOptions{Decode: CheckImage}); err != nil || !r.OK() {
		t.Errorf("%v, %+v", err, r)
	}
	if err := d.Verify(t.Context()); err != nil {
		t.Error(err)
	}
	before, err := d.Digest(t.Context(), d.Train)
	if err != nil {
		t.Fatal(err)
	}
	shots, err := d.FewShot(1, 1)
	if err != nil || len(shots.Train) != 3 {
		t.Fatalf("%v", err)
	}
	out := filepath.Join(t.TempDir(), "copy")
	d.Title = "Copy"
	if err := Export(out, d); err != nil {
		t.Fatal(err)
	}
	copied, err := OpenFolder(out, "")
	if err != nil {
		t.Fatal(err)
	}
	if after, err := copied.Digest(t.Context(), copied.Train); err != nil || after != before {
		t.Errorf("%v: the copy's contents differ", err)
	}
	// A file that was exchanged for a shorter one is no picture, and no panic.
	writeFile(t, dir, "data/train-00000-of-00001.parquet", "PAR1")
	_, err = d.ReadItem(d.Train[5])
	asError(t, err, "became shorter")
}

// TestParquetForms reads pages of both versions, compressed and not, with dictionaries and without.
func TestParquetForms(t *testing.T) {
	for _, c := range []struct {
		name    string
		classes []string
		held    bool // images are in memory
		column  string
	}{
		{"snappy", []string{"cat", "dog"}, true, ""},
		{"plain-v2", []string{"cat", "dog"}, false, ""},
		{"gzip-v2", []string{"cat", "dog"}, true, ""},
		{"dictionary", []string{"cat", "dog"}, true, ""},
		{"numbers", []string{"0", "1"}, true, ""},
		{"nulls", []string{"cat", "dog"}, true, ""},
		{"flat", []string{"cat", "dog"}, true, ""},
		{"lists", []string{"cat", "dog"}, true, ""},
		{"two", []string{"cat", "dog"}, true, "class"},
	} {
		t.Run(c.name, func(t *testing.T) {
			v, _ := ParseDivision("0.5", 1)
			d, err := OpenWith("", filepath.Join("testdata", "parquet", c.name+".parquet"), Options{Division: v, LabelColumn: c.column})
			if err != nil {
				t.Fatal(err)
			}
			if !slices.Equal(d.Classes, c.classes) {
				t.Errorf("classes %q", d.Classes)
			}
			var seen []int
			for _, it := range slices.Concat(d.Train, d.Test) {
				n := numberOf(t, d, it)
				if c.name != "dictionary" && filepath.Base(it.Path) != fmt.Sprintf("%07d", n) {
					t.Errorf("%s is picture %d", it.Path, n)
				}
				if c.name != "dictionary" && int(it.Label) != n%2 {
					t.Errorf("picture %d has label %d", n, it.Label)
				}
				if c.held != (it.Data != nil) && c.name != "numbers" && c.name != "nulls" && c.name != "flat" {
					t.Errorf("picture %d in memory: %v", n, it.Data != nil)
				}
				seen = append(seen, n)
			}
			want := 20
			if c.name == "nulls" {
				want = 15
				wantWarning(t, d, "rows without an image, not used: 5")
			}
			if len(seen) != want {
				t.Errorf("%d images", len(seen))
			}
		})
	}
	for name, want := range map[string]string{
		"zstd":  "is compressed by ZSTD; Snappy, gzip and none are read",
		"two":   `has several columns of labels, "label class": say which by -label-column`,
		"paths": "embed_table_storage",
		"text":  `has no column of images: it has "text" (BYTE_ARRAY)`,
	} {
		_, err := Open("", filepath.Join("testdata", "parquet", name+".parquet"))
		asError(t, err, name+".parquet", want)
	}
	_, err := OpenWith("", filepath.Join("testdata", "parquet", "two.parquet"), Options{LabelColumn: "kind"})
	asError(t, err, `has no column "kind" of whole numbers or texts`)
}

// TestHubCache opens a data set in a hub's cache, whose files are links to blobs beside the snapshots.
func TestHubCache(t *testing.T) {
	repo := filepath.Join(t.TempDir(), "datasets--me--pets")
	data, err := os.ReadFile(filepath.Join("testdata", "parquet", "train-00000-of-00001.parquet"))
	if err != nil {
		t.Fatal(err)
	}
	writeFile(t, repo, "blobs/0123", string(data))
	dir := filepath.Join(repo, "snapshots", "abcd")
	if err := os.MkdirAll(filepath.Join(dir, "data"), 0o777); err != nil {
		t.Fatal(err)
	}
	link(t, filepath.Join("..", "..", "..", "blobs", "0123"), filepath.Join(dir, "data", "train-00000-of-00001.parquet"))
	v, _ := ParseDivision("0.5", 1)
	_, err = OpenFolder(dir, "")
	asError(t, err, "has training images alone: to divide them add -split 0.8")
	if d, err := OpenWith("", dir, Options{Division: v}); err != nil || d.Counts() != (Counts{3, 3, 0, 3}) {
		t.Errorf("%v, %v", d, err)
	}
	writeFile(t, repo, "blobs/4567", string(data))
	link(t, filepath.Join("..", "..", "..", "blobs", "4567"), filepath.Join(dir, "data", "test-00000-of-00001.parquet"))
	d, err := OpenFolder(dir, "")
	if err != nil {
		t.Fatal(err)
	}
	if d.Counts() != (Counts{3, 6, 0, 6}) {
		t.Errorf("counts %v", d.Counts())
	}
	numberOf(t, d, d.Test[0])
}
