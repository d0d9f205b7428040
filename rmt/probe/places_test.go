package probe

import (
	"slices"
	"testing"
)

// Each class has its own place among the learned ones, those of one name too.
func TestPlaces(t *testing.T) {
	learned := []string{"crane", "dog", "crane", "cat"}
	for _, c := range []struct {
		classes []string
		want    []int
	}{
		{learned, []int{0, 1, 2, 3}},
		{[]string{"cat", "bird", "crane", "crane", "crane"}, []int{3, -1, 0, 2, -1}},
	} {
		if got := places(learned, c.classes); !slices.Equal(got, c.want) {
			t.Errorf("%q: %d, want %d", c.classes, got, c.want)
		}
	}
}
