package words

import "testing"

func TestCount(t *testing.T) {
	for _, c := range []struct {
		n           int
		thing, want string
	}{
		{0, "image", "0 images"}, {1, "image", "1 image"}, {2, "test image", "2 test images"}, {1, "class", "1 class"}, {3, "class", "3 classes"},
		{2, "batch", "2 batches"}, {2, "epoch", "2 epochs"}, {4, "entry", "4 entries"}, {2, "key", "2 keys"}, {-1, "point", "-1 points"}, {2, "y", "2 ys"},
	} {
		if got := Count(c.n, c.thing); got != c.want {
			t.Errorf("%q, want %q", got, c.want)
		}
	}
	if got := Plural(1, "run is", "runs are") + ", " + Plural(2, "run is", "runs are"); got != "1 run is, 2 runs are" {
		t.Errorf("%q", got)
	}
}
