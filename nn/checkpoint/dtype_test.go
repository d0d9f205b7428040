package checkpoint

import (
	"encoding/binary"
	"math"
	"testing"

	"fewshot/nn/checkpoint/internal/widen"
)

// All 65,536 halves against the definition, and back.
func TestHalf(t *testing.T) {
	for i := range 1 << 16 {
		h := uint16(i)
		sign, exponent, mantissa := 1.0, int(h>>10&31), float64(h&1023)
		if h>>15 == 1 {
			sign = -1
		}
		var want float64
		switch exponent {
		case 0:
			want = sign * math.Ldexp(mantissa, -24)
		case 31:
			want = math.Inf(int(sign))
			if mantissa != 0 {
				want = math.NaN()
			}
		default:
			want = sign * math.Ldexp(1024+mantissa, exponent-25)
		}
		got := widen.Half(h)
		if math.IsNaN(want) {
			if got == got || !isNaN16(floatToHalf(got)) {
				t.Fatalf("%04x: %v", h, got)
			}
			continue
		}
		if float64(got) != want || math.Signbit(float64(got)) != (sign < 0) {
			t.Fatalf("%04x: %v, want %v", h, got, want)
		}
		if back := floatToHalf(got); back != h {
			t.Fatalf("%04x became %v became %04x", h, got, back)
		}
	}
}

func isNaN16(h uint16) bool { return h>>10&31 == 31 && h&1023 != 0 }

// Between two neighbours, rounding goes to the nearer; from the middle, to
// the even one. Both formats' neighbours are one apart as integers.
func TestRounding(t *testing.T) {
	for _, f := range []struct {
		name   string
		widen  func(uint16) float32
		narrow func(float32) uint16
		last   uint16 // largest finite
	}{
		{"fp16", widen.Half, floatToHalf, 0x7bff},
		{"bf16", func(b uint16) float32 { return math.Float32frombits(uint32(b) << 16) }, floatToBrain, 0x7f7f},
	} {
		for h := uint16(0); h < f.last; h++ {
			low, high := f.widen(h), f.widen(h+1)
			middle := low + (high-low)/2
			even := h + h&1
			for _, c := range []struct {
				v    float32
				want uint16
			}{
				{math.Nextafter32(middle, 0), h},
				{middle, even},
				{math.Nextafter32(middle, math.MaxFloat32), h + 1},
			} {
				if c.v == low || c.v == high { // no room between subnormals of bf16
					continue
				}
				if got := f.narrow(c.v); got != c.want {
					t.Fatalf("%s: %v became %04x, want %04x", f.name, c.v, got, c.want)
				}
				if got := f.narrow(-c.v); got != c.want|0x8000 {
					t.Fatalf("%s: %v became %04x, want %04x", f.name, -c.v, got, c.want|0x8000)
				}
			}
		}
		inf := f.last + 1
		for v, want := range map[float32]uint16{
			float32(math.Inf(1)): inf, math.MaxFloat32: inf, float32(math.Inf(-1)): inf | 0x8000, 0: 0,
		} {
			if got := f.narrow(v); got != want {
				t.Errorf("%s: %v became %04x, want %04x", f.name, v, got, want)
			}
		}
	}
	if floatToHalf(65519.996) != 0x7bff || floatToHalf(65520) != 0x7c00 {
		t.Error("limit of fp16")
	}
	if b := floatToBrain(math.Float32frombits(0x7f800001)); b&0x7f80 != 0x7f80 || b&0x7f == 0 {
		t.Errorf("NaN became %04x", b)
	}
}

func TestWidenNarrow(t *testing.T) {
	values := []float32{0, 1, -1.5, 0.25, 1024}
	for _, d := range []DType{F64, F32, F16, BF16} {
		buf := make([]byte, len(values)*d.Size())
		narrow(buf, values, d)
		got := make([]float32, len(values))
		decode(got, buf, d)
		for i := range values {
			if got[i] != values[i] {
				t.Errorf("%v: %v became %v", d, values[i], got[i])
			}
		}
	}
	// float64 rounds to nearest even.
	buf := binary.LittleEndian.AppendUint64(nil, math.Float64bits(1+0x1p-24))
	got := make([]float32, 1)
	decode(got, buf, F64)
	if got[0] != 1 {
		t.Errorf("1+2^-24 became %v", got[0])
	}
}

func TestDTypeNames(t *testing.T) {
	for d := F64; d.valid(); d++ {
		if back, ok := parseDType(d.String()); !ok || back != d {
			t.Errorf("%v: %v, %v", d, back, ok)
		}
		if s := dtypes[d].storage; s != "" {
			if back, ok := storageDType(s); !ok || back != d {
				t.Errorf("%s: %v, %v", s, back, ok)
			}
		}
	}
	if DType(0).valid() || DType(0).Size() != 0 || DType(99).String() != "invalid" {
		t.Error("invalid types")
	}
}
