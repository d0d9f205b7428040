package tensortest

import "math"

// next is the generator of test inputs: SplitMix64 (Steele, Lea and Flood 2014), started anew in each case.
func (r *rig) next() uint64 {
	r.random += 0x9e3779b97f4a7c15
	z := r.random
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// unit is a number in [0, 1).
func (r *rig) unit() float64 { return float64(r.next()>>11) / (1 << 53) }

// fill makes n numbers with f.
func fill(n int, f func() float64) []float64 {
	v := make([]float64, n)
	for i := range v {
		v[i] = f()
	}
	return v
}

// uniform is n numbers in [−scale, scale).
func (r *rig) uniform(n int, scale float64) []float64 {
	return fill(n, func() float64 { return scale * (2*r.unit() - 1) })
}

// whole is n whole numbers from −4 to 4. Sums of less than 2²⁰ products of two of them are exact in
// float32, whatever the order.
func (r *rig) whole(n int) []float64 {
	return fill(n, func() float64 { return float64(r.next()%9) - 4 })
}

// wide is n numbers of either sign whose magnitudes run from 2⁻¹⁰ to 2¹⁰.
func (r *rig) wide(n int) []float64 {
	return fill(n, func() float64 { return math.Ldexp(2*r.unit()-1, int(r.next()%21)-10) })
}

// with puts special values into v, from its first element to its last, as many as fit.
func with(v []float64, special ...float64) []float64 {
	for i, s := range special[:min(len(special), len(v))] {
		v[i*(len(v)-1)/max(len(special)-1, 1)] = s
	}
	return v
}

// inputs are the two ways most kernels are fed.
func (r *rig) inputs(whole bool, n int) []float64 {
	if whole {
		return r.whole(n)
	}
	return r.uniform(n, 2)
}

// ids is n row numbers below rows, some repeated.
func (r *rig) ids(n, rows int) []int32 {
	id := make([]int32, n)
	for i := range id {
		id[i] = int32(r.next() % uint64(rows))
	}
	return id
}
