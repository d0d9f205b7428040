package widen

import (
	"encoding/binary"
	"math"
	"testing"
)

// lengths are on both sides of what the kernels take at a time.
var lengths = []int{0, 1, block - 1, block, block + 1, 3*block + 7}

// Every half comes out as its value, wherever it stands, and every NaN with its bits: kernels and loops agree.
func TestHalves(t *testing.T) {
	src := make([]byte, 2*(1<<16))
	for h := range 1 << 16 {
		binary.LittleEndian.PutUint16(src[2*h:], uint16(h))
	}
	check := func(first int, dst []float32) {
		t.Helper()
		for i, got := range dst {
			h := uint16(first + i)
			if want := Half(h); math.Float32bits(got) != math.Float32bits(want) {
				t.Fatalf("%#04x gives %g (%#x), want %g", h, got, math.Float32bits(got), want)
			}
			if e := h >> 10 & 31; e != 31 {
				value := math.Ldexp(float64(h&1023|1024), int(e)-25)
				if e == 0 {
					value = math.Ldexp(float64(h&1023), -24)
				}
				if h>>15 == 1 {
					value = -value
				}
				if float64(got) != value {
					t.Fatalf("%#04x gives %g, want %g", h, got, value)
				}
			}
		}
	}
	dst := make([]float32, 1<<16)
	Halves(dst, src)
	check(0, dst)
	for _, n := range lengths {
		for _, first := range []int{0, 5, 0x7bf0, 0xfbf0} {
			dst := make([]float32, n)
			Halves(dst, src[2*first:])
			check(first, dst)
		}
	}
}

// bfloat16 and float32 come out as they are.
func TestFloats(t *testing.T) {
	for _, n := range lengths {
		var words, halves []byte
		for i := range n {
			v := uint32(i)*0x9e3779b9 + 0x7f
			words = binary.LittleEndian.AppendUint32(words, v)
			halves = binary.LittleEndian.AppendUint16(halves, uint16(v>>16))
		}
		got, brains := make([]float32, n), make([]float32, n)
		Floats(got, words)
		Brains(brains, halves)
		back := make([]byte, len(words))
		if Bytes(back, got); string(back) != string(words) {
			t.Errorf("%d numbers do not come back as their bytes", n)
		}
		for i := range n {
			v := uint32(i)*0x9e3779b9 + 0x7f
			if b := math.Float32bits(got[i]); b != v {
				t.Errorf("%d of %d: %#x, want %#x", i, n, b, v)
			}
			if b := math.Float32bits(brains[i]); b != v&0xffff0000 {
				t.Errorf("bfloat16 %d of %d: %#x, want %#x", i, n, b, v&0xffff0000)
			}
		}
	}
}

// Each format says whether all numbers are finite, wherever one is that is not, and widens those around it all the same.
func TestNonFinite(t *testing.T) {
	for _, f := range []struct {
		name       string
		widen      func([]float32, []byte) bool
		size       int
		most       uint32 // the bits of the largest finite number
		infinities []uint32
	}{
		{"halves", Halves, 2, 0x7bff, []uint32{0x7c00, 0xfc00, 0x7e00, 0xfc01}},
		{"brains", Brains, 2, 0x7f7f, []uint32{0x7f80, 0xff80, 0x7fc0, 0xff81}},
		{"floats", Floats, 4, 0x7f7fffff, []uint32{0x7f800000, 0xff800000, 0x7fc00000, 0xff800001}},
	} {
		for _, n := range lengths {
			src, dst := make([]byte, f.size*n), make([]float32, n)
			put := func(i int, bits uint32) {
				for b := range f.size {
					src[f.size*i+b] = byte(bits >> (8 * b))
				}
			}
			for i := range n {
				put(i, f.most)
			}
			if !f.widen(dst, src) || NonFinite(dst) != -1 {
				t.Errorf("%s: %d finite numbers are not", f.name, n)
			}
			for i := range n {
				for _, bad := range f.infinities {
					put(i, bad)
					clear(dst)
					if f.widen(dst, src) || NonFinite(dst) != i {
						t.Errorf("%s: number %d of %d is %#x: found at %d", f.name, i, n, bad, NonFinite(dst))
					}
					if dst[n-1] == 0 || dst[0] == 0 {
						t.Errorf("%s: the rest was not widened", f.name)
					}
				}
				put(i, f.most)
			}
		}
	}
}

// BenchmarkHalves is what opening a file of half precision takes of a core, per byte of float32; off is without kernels.
func BenchmarkHalves(b *testing.B) {
	const n = 1 << 17
	dst, src := make([]float32, n), make([]byte, 2*n)
	for i := range src {
		src[i] = byte(i) & 0x3b
	}
	with := halves
	for _, c := range []struct {
		name string
		k    kernel
	}{{"on", with}, {"off", nil}} {
		b.Run(c.name, func(b *testing.B) {
			halves = c.k
			b.SetBytes(4 * n)
			for b.Loop() {
				Halves(dst, src)
			}
			halves = with
		})
	}
}
