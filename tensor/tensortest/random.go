package tensortest

import (
	"math"

	"fewshot/tensor"
)

var randomCases = []testCase{
	{name: "Uniform", run: uniform},
	{name: "Uniform/statistics", run: uniformStatistics},
	{name: "Normal", run: normal},
	{name: "Normal/statistics", run: normalStatistics},
}

// philox4x32 is Philox4x32-10, as its paper has it: ten rounds, and between them the key is bumped by
// the golden ratio and √3−1.
func philox4x32(k0, k1 uint32, c [4]uint32) [4]uint32 {
	for round := uint32(0); round < 10; round++ {
		p, q := 0xd2511f53*uint64(c[0]), 0xcd9e8d57*uint64(c[2])
		c = [4]uint32{
			uint32(q>>32) ^ c[1] ^ (k0 + round*0x9e3779b9), uint32(q),
			uint32(p>>32) ^ c[3] ^ (k1 + round*0xbb67ae85), uint32(p),
		}
	}
	return c
}

// word is word w of block n of the stream of k.
func word(k tensor.Key, n uint64, w int) uint32 {
	lo, hi := k.Words()
	return philox4x32(lo, hi, [4]uint32{uint32(n), uint32(n >> 32), 0, 0})[w]
}

// uniformAt is number i of k's uniform numbers.
func uniformAt(k tensor.Key, i int) float64 {
	return float64(word(k, uint64(i/4), i%4)>>8) * 0x1p-24
}

// keys come from seeds, numbers and words.
var keys = []tensor.Key{tensor.NewKey(0), tensor.NewKey(1), tensor.NewKey(0xfedcba9876543210), tensor.NewKey(1).Fold(7), tensor.NewKey(1).Name("dropout").Fold(1 << 40)}

func uniform(r *rig) {
	for i, k := range keys {
		for _, n := range lengths {
			r.variant("key %d, n=%d", i, n)
			dst := r.out(r.kind, n)
			tensor.Uniform(dst.Tensor, k)
			r.check("dst", dst, func() []num {
				want := make([]num, n)
				for i := range want {
					want[i] = exact(uniformAt(k, i))
				}
				return want
			})
		}
	}
}

// normal holds the device to Key.Normal, rounded to its format, and Key.Normal to its definition.
func normal(r *rig) {
	for i, k := range keys {
		for _, n := range lengths[:len(lengths)-i] {
			r.variant("key %d, n=%d", i, n)
			dst := r.out(r.kind, n)
			tensor.Normal(dst.Tensor, k)
			r.check("dst", dst, func() []num {
				want := make([]num, n)
				for i := range want {
					want[i] = exact(r.dev.formats[r.kind].round(k.Normal(uint64(i))))
				}
				return want
			})
		}
		r.variant("key %d", i)
		a := arith{u: 0x1p-52}
		for i := range 1001 {
			block := uint64(i / 2)
			radius := math.Sqrt(-2 * math.Log((float64(word(k, block, 0))+0.5)/(1<<32)))
			angle := 2 * math.Pi * float64(word(k, block, 1)) / (1 << 32)
			v := radius * math.Cos(angle)
			if i%2 == 1 {
				v = radius * math.Sin(angle)
			}
			// log, sqrt, cosine and products, and the angle's rounding.
			err := (2*ulps + 4 + angle) * a.u * radius
			if got := k.Normal(uint64(i)); math.Abs(got-v) > err {
				r.errorf("Key.Normal(%d) is %v, want %v ± %.2g", i, got, v, err)
			}
		}
	}
}

// far is how many standard deviations a statistic of a good generator may be off: for the few that are
// looked at here, one in a million keys would be farther.
const far = 5.5

func uniformStatistics(r *rig) {
	const n, bins = 1 << 17, 64
	if r.bits != nil {
		return
	}
	r.variant("n=%d", n)
	x := r.out(r.kind, n)
	tensor.Uniform(x.Tensor, tensor.NewKey(3))
	count, mean, lag := [bins]float64{}, 0.0, 0.0
	v := x.Float64s()
	for i, u := range v {
		if !(u >= 0 && u <= 1) {
			r.errorf("element %d is %v", i, u)
			return
		}
		count[min(int(u*bins), bins-1)]++
		mean += u / n
		lag += (u - 0.5) * (v[(i+1)%n] - 0.5) / n
	}
	chi2 := 0.0
	for _, c := range count {
		chi2 += (c - n/bins) * (c - n/bins) / (n / bins)
	}
	slack := r.dev.formats[r.kind].u // a coarse format moves numbers to its grid
	r.within("mean", mean, 0.5, slack+far*math.Sqrt(1.0/12/n))
	r.within("covariance of neighbours", lag, 0, slack+far/12/math.Sqrt(n))
	if slack <= 0x1p-24 {
		r.within("χ² of 64 bins", chi2, bins-1, far*math.Sqrt(2*(bins-1)))
	}
}

func normalStatistics(r *rig) {
	const n = 1 << 17
	if r.bits != nil {
		return
	}
	r.variant("n=%d", n)
	x := r.out(r.kind, n)
	tensor.Normal(x.Tensor, tensor.NewKey(3))
	v := x.Float64s()
	var moment [5]float64
	lag, inside := 0.0, 0.0
	for i, z := range v {
		for p := range moment {
			moment[p] += math.Pow(z, float64(p)) / n
		}
		lag += z * v[(i+1)%n] / n
		if math.Abs(z) < 1 {
			inside += 1.0 / n
		}
	}
	slack := r.dev.formats[r.kind].u
	// The variances of the sample moments are E z²ᵖ − (E zᵖ)².
	r.within("mean", moment[1], 0, slack+far/math.Sqrt(n))
	r.within("E z²", moment[2], 1, 2*slack+far*math.Sqrt(2.0/n))
	r.within("E z³", moment[3], 0, 3*slack+far*math.Sqrt(15.0/n))
	r.within("E z⁴", moment[4], 3, 12*slack+far*math.Sqrt(96.0/n))
	r.within("covariance of neighbours", lag, 0, slack+far/math.Sqrt(n))
	p := math.Erf(1 / math.Sqrt2)
	r.within("share of |z| < 1", inside, p, slack+far*math.Sqrt(p*(1-p)/n))
}

func (r *rig) within(what string, got, want, bound float64) {
	if !(math.Abs(got-want) <= bound) {
		r.errorf("%s is %v, want %v ± %.2g", what, got, want, bound)
	}
}
