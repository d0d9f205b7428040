package simd

import (
	"math"
	"math/rand/v2"
	"runtime"
	"slices"
	"testing"

	"golang.org/x/sys/cpu"
)

// unit is the unit roundoff of float32.
const unit = 1.0 / (1 << 24)

// gamma is γₙ = n·u/(1−n·u), the bound of the relative error of n roundings (Higham, Accuracy and
// Stability of Numerical Algorithms, section 3.1).
func gamma(n int) float64 { return float64(n) * unit / (1 - float64(n)*unit) }

// eachVariant runs f under every variant of this machine.
func eachVariant(t *testing.T, f func(t *testing.T)) {
	for _, name := range Variants() {
		if name == "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			defer Use(name)()
			f(t)
		})
	}
}

func TestVariants(t *testing.T) {
	var want []string
	if compiled && runtime.GOARCH == "arm64" {
		want = append(want, "neon")
	} else if compiled {
		if cpu.X86.HasAVX512F && cpu.X86.HasBMI2 {
			want = append(want, "avx512")
		}
		if cpu.X86.HasAVX2 && cpu.X86.HasFMA {
			want = append(want, "avx2")
		}
	}
	want = append(want, "")
	if got := Variants(); !slices.Equal(got, want) {
		t.Errorf("Variants() = %q, this machine should have %q", got, want)
	}
	if Kernels() != want[0] {
		t.Errorf("Kernels() = %q, want the best, %q", Kernels(), want[0])
	}
	for _, name := range want {
		restore := Use(name)
		if Kernels() != name {
			t.Errorf("after Use(%q): Kernels() = %q", name, Kernels())
		}
		restore()
	}
	if Kernels() != want[0] {
		t.Errorf("restore left %q", Kernels())
	}
}

const guard = -987654.25

// A buffer is a slice between guards. Its start is at any distance from a vector's boundary.
type buffer struct {
	x      []float32
	whole  []float32 // x and the guards
	start  int       // of x in whole
	before []float32 // contents, for inputs
}

func newBuffer(n int, r *rand.Rand) *buffer {
	const margin = 32
	start := margin + r.IntN(16)
	b := &buffer{whole: make([]float32, start+n+margin), start: start}
	for i := range b.whole {
		b.whole[i] = guard
	}
	b.x = b.whole[start : start+n : start+n]
	return b
}

// input is a buffer with contents that must not change.
func input(n int, r *rand.Rand, f func() float32) *buffer {
	b := newBuffer(n, r)
	for i := range b.x {
		b.x[i] = f()
	}
	b.before = slices.Clone(b.x)
	return b
}

func (b *buffer) check(t *testing.T, name string) {
	t.Helper()
	for i, v := range b.whole {
		if at := i - b.start; (at < 0 || at >= len(b.x)) && v != guard {
			t.Fatalf("%s: written outside, at %d of %d", name, at, len(b.x))
		}
	}
	if b.before != nil {
		for i := range b.x {
			if math.Float32bits(b.x[i]) != math.Float32bits(b.before[i]) {
				t.Fatalf("%s: input %d changed", name, i)
			}
		}
	}
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0)) }

func normal(r *rand.Rand) func() float32 {
	return func() float32 { return float32(r.NormFloat64()) }
}

// near fails unless got is within bound of want; numbers that are none must agree.
func near(t *testing.T, what string, i int, got float32, want, bound float64) {
	t.Helper()
	g := float64(got)
	if math.IsNaN(want) && math.IsNaN(g) || g == want {
		return
	}
	if d := math.Abs(g - want); !(d <= bound) {
		t.Fatalf("%s[%d] = %g, want %g: off by %g, bound %g", what, i, got, want, d, bound)
	}
}

func sameBits(t *testing.T, what string, got, want []float32) {
	t.Helper()
	for i := range want {
		if math.Float32bits(got[i]) != math.Float32bits(want[i]) {
			t.Fatalf("%s: element %d is %g, with one worker %g", what, i, got[i], want[i])
		}
	}
}
