package cpu

import (
	"testing"

	"fewshot/tensor/internal/par"
)

// The kernels themselves are tested through the devices, by package tensortest.

func TestForSuffix(t *testing.T) {
	p := par.New(3)
	defer p.Close()
	for _, c := range []struct{ n, suffix, chunk int }{{0, 1, 4}, {1, 1, 4}, {10, 10, 4}, {12, 3, 4}, {12, 4, 3}, {12, 1, 5}, {30, 10, 100}} {
		at := make([]int, c.n)
		for i := range at {
			at[i] = -1
		}
		ForSuffix(p, c.n, c.suffix, c.chunk, func(lo, hi, from int) {
			if lo >= hi || from+hi-lo > c.suffix || lo/c.chunk != (hi-1)/c.chunk && c.n > c.chunk {
				t.Errorf("%+v: piece [%d,%d) from %d", c, lo, hi, from)
			}
			for i := lo; i < hi; i++ {
				at[i] = from + i - lo
			}
		})
		for i, got := range at {
			if got != i%c.suffix {
				t.Errorf("%+v: element %d meets %d", c, i, got)
			}
		}
	}
}

func TestRow(t *testing.T) {
	x := []int{0, 1, 2, 3, 4, 5}
	for r, want := range []int{0, 2, 4, 0, 2, 4, 0} {
		if got := Row(x, r, 2); len(got) != 2 || cap(got) != 2 || got[0] != want {
			t.Errorf("row %d is %v", r, got)
		}
	}
}

// A sum has as many parts as its length alone says, and few enough.
func TestBlocks(t *testing.T) {
	for _, c := range []struct{ n, least, want int }{{0, 10, 1}, {1, 10, 1}, {10, 10, 1}, {11, 10, 2}, {1 << 30, 10, 64}} {
		if got := blocks(c.n, c.least); got != c.want {
			t.Errorf("blocks(%d, %d) = %d, want %d", c.n, c.least, got, c.want)
		}
	}
}
