package words

import (
	"strings"
	"testing"
)

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

func TestDistance(t *testing.T) {
	for _, c := range []struct {
		a, b string
		want int
	}{
		{"", "", 0}, {"", "abc", 3}, {"coop", "coop", 0}, {"coop", "cocoop", 2}, {"kitten", "sitting", 3},
		{"amt", "mat", 1}, {"ab", "ba", 1}, {"ca", "abc", 3}, // an exchange, and nothing between the two
		{strings.Repeat("x", 1000), strings.Repeat("x", 100) + "y", 0},
	} {
		if d, back := Distance(c.a, c.b), Distance(c.b, c.a); d != c.want || back != c.want {
			t.Errorf("%q and %q: %d, %d the other way, want %d", c.a, c.b, d, back, c.want)
		}
	}
}
