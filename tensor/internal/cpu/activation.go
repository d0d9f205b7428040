package cpu

import "math"

// QuickGELU is dst[i] = x[i]·σ(1.702·x[i]).
func (k *Kernels[T]) QuickGELU(dst, x []T) { k.each(dst, x, quickGELU) }

// QuickGELUGrad is dst[i] = ct[i] · QuickGELU'(x[i mod |x|]).
func (k *Kernels[T]) QuickGELUGrad(dst, ct, x []T) { k.chain(dst, ct, x, quickGELUSlope) }

// GELU is dst[i] = x[i]·Φ(x[i]).
func (k *Kernels[T]) GELU(dst, x []T) { k.each(dst, x, gelu) }

// GELUGrad is dst[i] = ct[i] · GELU'(x[i mod |x|]).
func (k *Kernels[T]) GELUGrad(dst, ct, x []T) { k.chain(dst, ct, x, geluSlope) }

// TanhGELU is dst[i] = x[i]·(1 + tanh(√(2/π)·(x[i] + 0.044715·x[i]³)))/2.
func (k *Kernels[T]) TanhGELU(dst, x []T) { k.each(dst, x, tanhGELU) }

// TanhGELUGrad is dst[i] = ct[i] · TanhGELU'(x[i mod |x|]).
func (k *Kernels[T]) TanhGELUGrad(dst, ct, x []T) { k.chain(dst, ct, x, tanhGELUSlope) }

// ReLU is dst[i] = max(x[i], 0).
func (k *Kernels[T]) ReLU(dst, x []T) {
	k.pool.For(len(dst), Light, func(_, lo, hi int) {
		dst, x := dst[lo:hi], x[lo:hi]
		for i := range dst {
			dst[i] = max(x[i], 0)
		}
	})
}

// ReLUGrad is dst[i] = ct[i] where x[i mod |x|] > 0, else 0.
func (k *Kernels[T]) ReLUGrad(dst, ct, x []T) {
	ForSuffix(k.pool, len(dst), len(x), Light, func(lo, hi, at int) {
		dst, ct, x := dst[lo:hi], ct[lo:hi], x[at:at+hi-lo]
		for i := range dst {
			c := ct[i]
			if !(x[i] > 0) {
				c = 0
			}
			dst[i] = c
		}
	})
}

// chain is dst[i] = ct[i] · slope(x[i mod |x|]).
func (k *Kernels[T]) chain(dst, ct, x []T, slope func(float64) float64) {
	ForSuffix(k.pool, len(dst), len(x), Heavy, func(lo, hi, at int) {
		dst, ct, x := dst[lo:hi], ct[lo:hi], x[at:at+hi-lo]
		for i := range dst {
			dst[i] = T(float64(ct[i]) * slope(float64(x[i])))
		}
	})
}

func sigmoid(x float64) float64 { return 1 / (1 + math.Exp(-x)) }

func quickGELU(x float64) float64 { return x * sigmoid(1.702*x) }

func quickGELUSlope(x float64) float64 {
	s := sigmoid(1.702 * x)
	return s * (1 + float64(1.702*x*(1-s)))
}

// phi is the normal distribution function, by erfc: 1+erf would cancel for negative x.
func phi(x float64) float64 { return float64(0.5 * math.Erfc(-x/math.Sqrt2)) }

func gelu(x float64) float64 { return x * phi(x) }

func geluSlope(x float64) float64 {
	density := math.Exp(-0.5*x*x) / math.Sqrt(2*math.Pi)
	return phi(x) + float64(x*density)
}

// Since (1 + tanh u)/2 = σ(2u), the argument of σ is linear·x + cubic·x³.
var (
	linear = 2 * math.Sqrt(2/math.Pi)
	cubic  = linear * 0.044715
)

func tanhGELU(x float64) float64 { return x * sigmoid(x*(linear+float64(cubic*x*x))) }

func tanhGELUSlope(x float64) float64 {
	s := sigmoid(x * (linear + float64(cubic*x*x)))
	return s * (1 + float64(x*(1-s)*(linear+float64(3*cubic*x*x))))
}
