package synth

import "math"

// All geometry is integer arithmetic, so that every platform draws the same bytes: no fused multiply-add, no
// library sine. Three fixed-point conventions are used throughout.
//
//	pixel lengths   Q8: 256 is one pixel; pixel (0, 0) has its centre at (128, 128)
//	sines, weights  Q14: 16384 is one
//	blending        0…256
//	angles          4096 to the full turn, clockwise on the screen (y points down)
const (
	px   = 256
	one  = 1 << 14
	turn = 4096
)

// sines holds the first quarter of the sine in Q14.
var sines = func() (quarter [turn/4 + 1]int32) {
	const halfPi = 1686629713 // π/2 in Q30
	for i := range quarter {
		x := int64(halfPi) * int64(i) / (turn / 4)
		square := x * x >> 30
		term, sum := x, x
		for n := int64(3); n <= 15; n += 2 { // Taylor series, below half a unit of Q30 at π/2
			term = -(term * square >> 30) / (n * (n - 1))
			sum += term
		}
		quarter[i] = int32((sum + 1<<15) >> 16)
	}
	return quarter
}()

func sin(angle int32) int32 {
	a := angle & (turn - 1)
	switch quarter := a >> 10; quarter {
	case 0:
		return sines[a]
	case 1:
		return sines[turn/2-a]
	case 2:
		return -sines[a-turn/2]
	default:
		return -sines[turn-a]
	}
}

func cos(angle int32) int32 { return sin(angle + turn/4) }

func degrees(d int32) int32 { return d * turn / 360 }

// root is the integer square root. The conversion is exact below 2⁵³ and IEEE 754 rounds Sqrt correctly everywhere.
func root(v int32) int32 { return int32(math.Sqrt(float64(v))) }

func clamp(v, lo, hi int32) int32 { return min(max(v, lo), hi) }

// share limits a blending weight to 0…256.
func share(v int32) int32 { return clamp(v, 0, 256) }

func abs(v int32) int32 {
	if v < 0 {
		return -v
	}
	return v
}

// triangle is the triangle wave of a phase with period 256: 0 at 0, 127 at half the period.
func triangle(phase int32) int32 {
	p := phase & 255
	if p > 127 {
		return 255 - p
	}
	return p
}
