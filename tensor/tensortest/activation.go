package tensortest

import (
	"math"

	"fewshot/tensor"
)

var activationCases = []testCase{
	{name: "Activate", run: activate},
	{name: "ActivateGrad", run: activateGrad},
}

// activations gives value and derivative of each activation.
var activations = []struct {
	a tensor.Activation
	f func(a arith, x num) (value, derivative num)
}{
	{tensor.QuickGELU, func(a arith, x num) (num, num) { // x·σ(1.702x), σ' = σ·(1−σ)
		z := a.mul(a.constant(1.702), x)
		s := a.sigmoid(z)
		return a.mul(x, s), a.add(s, a.mul(z, a.mul(s, a.sub(exact(1), s))))
	}},
	{tensor.GELU, func(a arith, x num) (num, num) { // x·Φ(x), Φ' = φ = e^(−x²/2)/√(2π)
		c := a.normalCDF(x)
		density := a.mul(a.constant(1/math.Sqrt(2*math.Pi)), a.exp(a.mul(exact(-0.5), a.mul(x, x))))
		return a.mul(x, c), a.add(c, a.mul(x, density))
	}},
	{tensor.TanhGELU, func(a arith, x num) (num, num) { // x·σ(z), z = √(8/π)·(x + 0.044715·x³)
		switch { // where σ is 0 or 1 in any arithmetic; errors of z say nothing there
		case x.v > 30:
			return x, exact(1)
		case x.v < -30:
			return exact(0), exact(0)
		}
		scale, square := a.constant(math.Sqrt(8/math.Pi)), a.mul(x, x)
		z := a.mul(scale, a.mul(x, a.add(exact(1), a.mul(a.constant(0.044715), square))))
		rise := a.mul(scale, a.add(exact(1), a.mul(a.constant(3*0.044715), square)))
		s := a.sigmoid(z)
		return a.mul(x, s), a.add(s, a.mul(a.mul(x, rise), a.mul(s, a.sub(exact(1), s))))
	}},
	{tensor.ReLU, func(a arith, x num) (num, num) { // max(x, 0), of derivative 0 at 0
		switch {
		case x.v > 0:
			return x, exact(1)
		case x.v <= 0:
			return exact(0), exact(0)
		}
		return x, x // NaN
	}},
}

var activationInputs = []float64{0, math.Copysign(0, -1), 1e-40, 1, -1, -0.75, 5, -5, 8, -8, 13, -13, 52, -52.2, -60, 100, -100, 3e4, -3e4}

func activate(r *rig) {
	for _, act := range activations {
		for _, n := range lengths {
			for _, over := range []bool{false, true} {
				r.variant("%v n=%d over=%t", act.a, n, over)
				x := r.in(r.kind, with(r.uniform(n, 6), append(activationInputs, math.NaN())...), n)
				r.pointwise(x, over, func(dst, x *tensor.Tensor) { tensor.Activate(dst, x, act.a) },
					func(x num) num { v, _ := act.f(r.arith, x); return v })
			}
		}
	}
	r.variant("shapes")
	a, b := r.out(r.kind, 2), r.out(r.kind, 3)
	r.rejects("Activate to a shorter dst", func() { tensor.Activate(a.Tensor, b.Tensor, tensor.ReLU) })
}

func activateGrad(r *rig) {
	for _, act := range activations {
		for _, s := range suffixes {
			for _, over := range []bool{false, true} {
				r.variant("%v ct%v x%v over=%t", act.a, s.x, s.y, over)
				ct := r.in(r.kind, r.uniform(tensor.Len(s.x), 2), s.x...)
				x := r.in(r.kind, with(r.uniform(tensor.Len(s.y), 6), activationInputs...), s.y...)
				dst := r.over(ct, over)
				tensor.ActivateGrad(dst.Tensor, ct.Tensor, x.Tensor, act.a)
				r.check("dst", dst, func() []num {
					want := make([]num, len(ct.v))
					for i := range want {
						_, d := act.f(r.arith, exact(x.v[i%len(x.v)]))
						want[i] = r.mul(exact(ct.v[i]), d)
					}
					return want
				})
			}
		}
	}
	r.variant("shapes")
	a, b := r.out(r.kind, 2, 3), r.out(r.kind, 2)
	r.rejects("ActivateGrad with a prefix", func() { tensor.ActivateGrad(a.Tensor, a.Tensor, b.Tensor, tensor.ReLU) })
	r.rejects("ActivateGrad to a shorter dst", func() { tensor.ActivateGrad(b.Tensor, a.Tensor, a.Tensor, tensor.ReLU) })
}
