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

// The decoder accepts what the encoder writes and nothing else.
func TestRiceDecodeRefuses(t *testing.T) {
	keep := pattern(200, 0.05, 3)
	code, k, off := riceEncode(keep)
	if riceCost(gapsOf(keep), k)%8 == 0 {
		t.Fatal("the example should have padding")
	}
	change := func(f func(b []byte) []byte) []byte { return f(slices.Clone(code)) }
	for name, c := range map[string]struct {
		code      []byte
		k, off, n int
	}{
		"padding":       {change(func(b []byte) []byte { b[len(b)-1] |= 0x80; return b }), k, off, 200},
		"one byte more": {change(func(b []byte) []byte { return append(b, 0) }), k, off, 200},
		"one byte less": {code[:len(code)-1], k, off, 200},
		"fewer gaps":    {code, k, off - 1, 200},
		"more gaps":     {code, k, off + 1, 200},
		"fewer weights": {code, k, off, slices.Index(keep, false)},
		"k of another":  {riceCode(gapsOf(keep), k+1), k + 1, off, 200},
		"k negative":    {code, -1, off, 200},
		"k too large":   {code, maxRice + 1, off, 200},
		"off negative":  {code, k, -1, 200},
		"off too large": {code, k, 201, 200},
		"endless ones":  {bytes.Repeat([]byte{0xff}, 100), 0, 1, 200},
		"ends in ones":  {[]byte{0xff}, 0, 1, 200},
		"ends in a low": {[]byte{0}, 9, 1, 200},
	} {
		if _, err := riceDecode(c.code, c.k, c.off, c.n); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
	for name, c := range map[string]struct {
		raw []byte
		n   int
	}{"padding": {[]byte{0xff, 0x80}, 15}, "short": {[]byte{0xff}, 15}, "long": {make([]byte, 3), 15}, "none": {nil, 1}} {
		if _, err := unpackBits(c.raw, c.n); err == nil {
			t.Errorf("raw, %s: accepted", name)
		}
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
