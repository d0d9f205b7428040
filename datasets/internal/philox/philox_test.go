package philox

import (
	"slices"
	"testing"
)

// The known answers of the authors' Random123 distribution.
func TestBlock(t *testing.T) {
	for _, c := range []struct {
		counter [4]uint32
		key     [2]uint32
		want    [4]uint32
	}{
		{[4]uint32{}, [2]uint32{}, [4]uint32{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}},
		{
			[4]uint32{0xffffffff, 0xffffffff, 0xffffffff, 0xffffffff}, [2]uint32{0xffffffff, 0xffffffff},
			[4]uint32{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd},
		},
	} {
		if got := Block(c.counter, c.key); got != c.want {
			t.Errorf("Block(%x, %x) = %x, want %x", c.counter, c.key, got, c.want)
		}
	}
}

// The numbers of a sample are part of what a seed means: they must never change.
func TestStreamIsFixed(t *testing.T) {
	s := NewStream(0, 0, 0, 0)
	if got, want := s.Uint64(), uint64(0xe169c58d6627e8d5); got != want {
		t.Errorf("first number %x, want %x", got, want)
	}
	if got, want := s.Uint64(), uint64(0x9b00dbd8bc57ac4c); got != want {
		t.Errorf("second number %x, want %x", got, want)
	}
	s = NewStream(1, 2, 3, 4)
	if got, want := s.Perm(10), []int{3, 8, 1, 4, 5, 9, 7, 6, 2, 0}; !slices.Equal(got, want) {
		t.Errorf("Perm(10) = %v, want %v", got, want)
	}
}

func TestStreamsDiffer(t *testing.T) {
	seen := map[uint64]bool{}
	for _, s := range []Stream{
		NewStream(0, 0, 0, 0), NewStream(1, 0, 0, 0), NewStream(1<<32, 0, 0, 0), NewStream(0, 1, 0, 0), NewStream(0, 0, 1, 0),
		NewStream(0, 0, 0, 1),
	} {
		for range 5 {
			v := s.Uint64()
			if seen[v] {
				t.Errorf("%x twice", v)
			}
			seen[v] = true
		}
	}
}

func TestRanges(t *testing.T) {
	s := NewStream(7, 0, 0, 0)
	const n = 6000
	var counts [6]int
	sum := 0.0
	for range n {
		counts[s.IntN(6)]++
		u := s.Float64()
		if u < 0 || u >= 1 {
			t.Fatalf("Float64() = %v", u)
		}
		sum += u
	}
	// Six standard deviations: of a binomial count with p = 1/6 (σ = 28.9), and of the mean of n uniform numbers
	// (σ = 1/√(12n) = 0.0037).
	for v, c := range counts {
		if c < 1000-174 || c > 1000+174 {
			t.Errorf("%d came up %d times of %d", v, c, n)
		}
	}
	if mean := sum / n; mean < 0.5-0.0224 || mean > 0.5+0.0224 {
		t.Errorf("mean of Float64 is %v", mean)
	}
}
