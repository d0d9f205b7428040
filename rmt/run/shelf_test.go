package run

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"fewshot/tensor"
)

// Features come back to the bit, from a file without a name; of too many those that came first are kept.
func TestShelf(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	dev, err := tensor.Open("cpu", tensor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	const rows, width = 2*shelfChunk/48 + 5, 48 // two whole parts, and a short one
	draw := func(seed uint64) *tensor.Tensor {
		x := dev.New(tensor.Full, rows, width)
		tensor.Normal(x, tensor.NewKey(seed))
		return x
	}
	all := upTo(rows)
	key := func(pass int) featureKey { return featureKey{pass: pass} }
	s := shelf{most: 2 * 4 * rows * width}
	for pass := range 3 {
		if err := s.put(key(pass), all, draw(uint64(pass))); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	for pass := range 3 {
		x, lacking := dev.New(tensor.Full, rows, width), s.lacking(key(pass), all)
		err := s.read(x, key(pass), all)
		if err != nil || pass < 2 && (len(lacking) > 0 || !slices.Equal(x.Floats(), draw(uint64(pass)).Floats())) || pass == 2 && len(lacking) != rows {
			t.Errorf("pass %d: %v, %v, %v", pass, x, lacking, err)
		}
	}
	s.clear()
	if lacking := s.lacking(key(0), all); len(lacking) != rows {
		t.Errorf("of what was given up %d images are lacking", len(lacking))
	}
	if err := s.put(key(7), all, draw(7)); err != nil || len(s.at) != 1 {
		t.Errorf("%v, %d", err, len(s.at))
	}
	s.clear()
	// Without room anywhere that is said once.
	t.Setenv("TMPDIR", filepath.Join(dir, "nowhere"))
	if err := s.put(key(0), all, draw(0)); err == nil {
		t.Error("there is no such folder")
	}
	if err := s.put(key(0), all, draw(0)); err != nil {
		t.Error(err)
	}
}

// Some of a pass may be there, in any order, and is told from what is not.
func TestShelfOfSome(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	dev, err := tensor.Open("cpu", tensor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	s := shelf{most: 1 << 20}
	defer s.clear()
	k := featureKey{pass: 1}
	for _, images := range [][]int{{5, 6, 7, 2}, {9, 0}} {
		x := dev.New(tensor.Full, len(images), 2)
		for i, n := range images {
			x.Rows(i, i+1).Set([]float32{float32(n), -float32(n)})
		}
		if err := s.put(k, images, x); err != nil {
			t.Fatal(err)
		}
	}
	want := []int{0, 1, 2, 5, 6, 7, 8, 9, 20}
	x := dev.New(tensor.Full, len(want), 2)
	tensor.Fill(x, 99)
	if err := s.read(x, k, want); err != nil {
		t.Fatal(err)
	}
	if lacking := s.lacking(k, want); !slices.Equal(lacking, []int{1, 6, 8}) {
		t.Errorf("%v are lacking", lacking)
	}
	if got := x.Floats(); !slices.Equal(got, []float32{0, 0, 99, 99, 2, -2, 5, -5, 6, -6, 7, -7, 99, 99, 9, -9, 99, 99}) {
		t.Errorf("%v", got)
	}
	if s.number([32]byte{1}) != 0 || s.number([32]byte{2}) != 1 || s.number([32]byte{1}) != 0 {
		t.Error("an image has one number")
	}
}
