package rmt

import (
	"bytes"
	"math"
	"slices"
	"testing"

	"fewshot/tensor"
)

// pattern switches weights off with probability p.
func pattern(n int, p float64, seed uint64) []bool {
	key := tensor.NewKey(seed)
	keep := make([]bool, n)
	for i := range keep {
		keep[i] = key.Uniform(uint64(i)) >= p
	}
	return keep
}

func TestRiceRoundTrip(t *testing.T) {
	for _, n := range []int{0, 1, 7, 8, 9, 63, 64, 1000, 100003} {
		for _, p := range []float64{0, 0.001, 0.025, 0.3, 0.9, 1} {
			keep := pattern(n, p, uint64(n))
			code, k, off := riceEncode(keep)
			got, err := riceDecode(code, k, off, n)
			if err != nil || !slices.Equal(got, keep) {
				t.Fatalf("n=%d p=%g k=%d off=%d: %v", n, p, k, off, err)
			}
			raw := packBits(keep)
			if got, err := unpackBits(raw, n); err != nil || !slices.Equal(got, keep) {
				t.Fatalf("raw n=%d p=%g: %v", n, p, err)
			}
		}
	}
}

// At the sparsity the paper reports the code comes within 2 % of the entropy.
func TestRiceIsNearTheEntropy(t *testing.T) {
	const n, p = 1 << 20, 0.025
	code, _, off := riceEncode(pattern(n, p, 5))
	q := float64(off) / n
	entropy := -n * (q*math.Log2(q) + (1-q)*math.Log2(1-q)) / 8
	if r := float64(len(code)) / entropy; r > 1.02 {
		t.Errorf("%d bytes, entropy %.0f: ratio %.4f", len(code), entropy, r)
	}
}

func FuzzRice(f *testing.F) {
	code, k, off := riceEncode(pattern(200, 0.1, 1))
	f.Add(code, k, off, uint16(200))
	f.Add([]byte{0xff}, 0, 1, uint16(9))
	f.Fuzz(func(t *testing.T, code []byte, k, off int, n uint16) {
		keep, err := riceDecode(code, k, off, int(n))
		if err != nil {
			return
		}
		again, k2, off2 := riceEncode(keep)
		if !bytes.Equal(again, code) || k2 != k || off2 != off {
			t.Fatalf("accepted a code that is not canonical: k %d/%d, off %d/%d", k, k2, off, off2)
		}
	})
}
