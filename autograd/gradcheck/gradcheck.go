// Package gradcheck tests gradients against central differences, in one random direction: for a function f,
// leaves x, a direction u and a cotangent c it compares ⟨c, (f(x+hu) − f(x−hu))/2h⟩ with ⟨∂⟨c, f⟩/∂x, u⟩. Both are one
// number whatever the size, and a wrong rule has no chance to hide in a cotangent of ones.
package gradcheck

import (
	"math"
	"testing"

	"fewshot/autograd"
	"fewshot/tensor"
)

// Func computes a value from leaves on a tape.
type Func func(t *autograd.Tape, leaves []*autograd.Var) *autograd.Var

// Ref opens the float64 device with poisoned memory.
func Ref(t testing.TB) *tensor.Device {
	t.Helper()
	dev, err := tensor.Open("ref", tensor.Options{Workers: 1, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// Random fills a new tensor with normal numbers times scale.
func Random(dev *tensor.Device, key tensor.Key, scale float64, shape ...int) *tensor.Tensor {
	x := dev.New(tensor.Full, shape...)
	tensor.Normal(x, key)
	tensor.Scale(x, x, scale)
	return x
}

// Check compares gradients of f at the leaves with central differences, then K lanes with K separate sweeps for
// K = 1, 2, 3. The device must be ref.
//
// The step h = 1e-5 balances truncation, of order h²·|f”'|, against rounding, of order ε·|f|/h ≈ 1e-11·|f|: both are
// below the tolerance of 1e-7 relative to the sizes of the two products' terms.
func Check(t *testing.T, dev *tensor.Device, f Func, leaves ...*tensor.Tensor) {
	t.Helper()
	key := tensor.NewKey(77)
	shape := value(dev, f, leaves, func(*autograd.Var) {})
	cts := Random(dev, key.Name("cotangent"), 1, append([]int{3}, shape...)...)
	dirs := make([]*tensor.Tensor, len(leaves))
	for i, x := range leaves {
		dirs[i] = Random(dev, key.Name("direction").Fold(uint64(i)), 1, x.Shape()...)
	}
	alone := make([][][]float64, 3) // [lane][leaf]
	for k := range alone {
		alone[k] = sweep(dev, f, leaves, cts.Rows(k, k+1))
	}
	for i, x := range leaves {
		compare(t, dev, f, leaves, i, x, dirs[i], cts.Index(0), alone[0][i])
	}
	for k := 2; k <= 3; k++ {
		together := sweep(dev, f, leaves, cts.Rows(0, k))
		for i, x := range leaves {
			n := x.Len()
			for lane := range k {
				for j := range n {
					got, want := together[i][lane*n+j], alone[lane][i][j]
					if math.Abs(got-want) > 1e-12*(1+math.Abs(want)) {
						t.Fatalf("%d lanes: leaf %d, lane %d, element %d: %g, alone %g", k, i, lane, j, got, want)
					}
				}
			}
		}
	}
}

func compare(t *testing.T, dev *tensor.Device, f Func, leaves []*tensor.Tensor, i int, x, dir, ct *tensor.Tensor, grad []float64) {
	t.Helper()
	const h = 1e-5
	c, at := ct.Float64s(), x.Float64s()
	probe := func(sign float64) []float64 {
		moved := make([]float64, len(at))
		for j, u := range dir.Float64s() {
			moved[j] = at[j] + sign*h*u
		}
		x.SetFloat64(moved)
		var v []float64
		value(dev, f, leaves, func(y *autograd.Var) { v = y.Value.Float64s() })
		return v
	}
	up, down := probe(1), probe(-1)
	x.SetFloat64(at)
	var numeric, analytic, size float64
	for j := range c {
		d := c[j] * (up[j] - down[j]) / (2 * h)
		numeric += d
		size += math.Abs(d)
	}
	for j, u := range dir.Float64s() {
		analytic += grad[j] * u
		size += math.Abs(grad[j] * u)
	}
	if math.Abs(numeric-analytic) > 1e-7*(size+1e-3) || math.IsNaN(analytic) {
		t.Errorf("leaf %d %v: gradient along the direction is %.12g, central difference %.12g", i, x.Shape(), analytic, numeric)
	}
}

// value runs f without gradients and returns the result's shape.
func value(dev *tensor.Device, f Func, leaves []*tensor.Tensor, use func(*autograd.Var)) []int {
	t := autograd.NoGrad(dev)
	defer t.Release()
	y := f(t, vars(t, leaves))
	use(y)
	return append([]int{}, y.Shape()...)
}

func sweep(dev *tensor.Device, f Func, leaves []*tensor.Tensor, cts *tensor.Tensor) [][]float64 {
	t := autograd.NewTape(dev)
	defer t.Release()
	g := autograd.Pullback(f(t, vars(t, leaves)), cts)
	out := make([][]float64, len(leaves))
	for i, x := range leaves {
		out[i] = make([]float64, cts.Shape()[0]*x.Len())
		if d := g.Of(x); d != nil {
			out[i] = d.Float64s()
		}
	}
	return out
}

func vars(t *autograd.Tape, leaves []*tensor.Tensor) []*autograd.Var {
	var vs []*autograd.Var
	for _, x := range leaves {
		vs = append(vs, t.Leaf(x))
	}
	return vs
}
