package datasets

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// numpy 2.4.6: seed(1), then choice without replacement of two indices of each label, first of train, then of val.
func TestDrawProbe(t *testing.T) {
	train := []int32{7, 1, 3, 7, 1, 3, 7}
	val := []int32{1, 1, 1, 3, 3, 3, 3, 7, 7, 1}
	gotTrain, gotVal, err := DrawProbe(train, val, 2, 1)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]int{{1, 4, 2, 5, 3, 6}, {0, 2, 6, 5, 7, 8}}, [][]int{gotTrain, gotVal}); diff != "" {
		t.Errorf("indices (-want +got):\n%s", diff)
	}
	for _, c := range []struct {
		shots int
		seed  uint64
		want  string
	}{
		{3, 1, "class 1 has 2 training images; the linear probe draws 3"},
		{0, 1, "draws at least 1"},
		{1, 1 << 32, "numpy takes seeds up to 4294967295"},
	} {
		if _, _, err := DrawProbe(train, val, c.shots, c.seed); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%d shots, seed %d: error %v, want one with %q", c.shots, c.seed, err, c.want)
		}
	}
	d := &Dataset{Name: "d"}
	for _, l := range train {
		d.Train = append(d.Train, Item{Label: l})
	}
	few, err := d.FewShotOfProbe(1, 1)
	if err != nil || len(few.Train) != 3 || few.Train[0].Label != 1 || len(few.Val) != 0 {
		t.Errorf("one shot: %v, %v", few, err)
	}
}
