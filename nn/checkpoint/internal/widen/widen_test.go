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

func TestNonFinite(t *testing.T) {
	inf := float32(math.Inf(1))
	for _, n := range lengths {
		x := make([]float32, n)
		for i := range x {
			x[i] = math.MaxFloat32
			if i%2 == 1 {
				x[i] = -x[i]
			}
		}
		if got := NonFinite(x); got != -1 {
			t.Errorf("%d finite numbers: %d", n, got)
		}
		for i := range x {
			was := x[i]
			for _, bad := range []float32{inf, -inf, float32(math.NaN()), math.Float32frombits(0xff800001)} {
				x[i] = bad
				if got := NonFinite(x); got != i {
					t.Errorf("number %d of %d is %g: found at %d", i, n, bad, got)
				}
			}
			x[i] = was
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
