package bf16

import (
	"math"
	"testing"
)

// From is compared with a search among the numbers that there are.
func TestFrom(t *testing.T) {
	for high := range uint32(1 << 16) {
		for _, low := range []uint32{0, 1, 0x7fff, 0x8000, 0x8001, 0xffff} {
			x := math.Float32frombits(high<<16 | low)
			got := To(From(x))
			if x != x {
				if got == got {
					t.Fatalf("NaN %#x became %g", high<<16|low, got)
				}
				continue
			}
			down, up := To(uint16(high)), To(uint16(high+1)) // towards zero, and away
			if math.IsInf(float64(down), 0) {
				up = down
			}
			want := down
			switch {
			case low > 0x8000, low == 0x8000 && high&1 == 1:
				want = up
			}
			if got != want {
				t.Fatalf("%g became %g, want %g", x, got, want)
			}
		}
	}
}

func TestViews(t *testing.T) {
	x := make([]float32, 3)
	h := Over(x)
	if len(h) != 6 {
		t.Fatalf("%d numbers over 3", len(h))
	}
	h[3] = From(2)
	if x[1] != To(h[3]) { // the upper half, where memory is little-endian
		t.Errorf("x[1] = %g", x[1])
	}
	if p := Pairs(h[:5]); len(p) != 2 || p[1] != x[1] {
		t.Errorf("pairs %v of %v", p, x)
	}
	if len(Over(nil)) != 0 || len(Pairs(nil)) != 0 {
		t.Error("something over nothing")
	}
}
