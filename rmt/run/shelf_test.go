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
	key := func(pass int) featureKey { return featureKey{pass: pass} }
	s := shelf{most: 2 * 4 * rows * width}
	for pass := range 3 {
		if err := s.put(key(pass), draw(uint64(pass))); err != nil {
			t.Fatal(err)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("%v, %v", left, err)
	}
	for pass := range 3 {
		x, err := s.get(dev, key(pass))
		if err != nil || (x == nil) != (pass == 2) || x != nil && !slices.Equal(x.Floats(), draw(uint64(pass)).Floats()) {
			t.Errorf("pass %d: %v, %v", pass, x, err)
		}
	}
	s.clear()
	if x, err := s.get(dev, key(0)); x != nil || err != nil {
		t.Errorf("what was given up is there: %v", err)
	}
	if err := s.put(key(7), draw(7)); err != nil || len(s.at) != 1 {
		t.Errorf("%v, %d", err, len(s.at))
	}
	s.clear()
	// Without room anywhere that is said once.
	t.Setenv("TMPDIR", filepath.Join(dir, "nowhere"))
	if err := s.put(key(0), draw(0)); err == nil {
		t.Error("there is no such folder")
	}
	if err := s.put(key(0), draw(0)); err != nil {
		t.Error(err)
	}
}
