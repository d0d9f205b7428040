package nn_test

import (
	"math"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

const firstWidth, firstHeads, firstBatch, firstLength = 48, 3, 4, 21

// firstRig is an attention layer of random weights, and tokens.
func firstRig(dev *tensor.Device) (a nn.Attention, x *tensor.Tensor) {
	const d = firstWidth
	w := nn.NewWeights(dev, memory{"in_proj_weight": {3 * d, d}, "in_proj_bias": {3 * d}, "out_proj.weight": {d, d}, "out_proj.bias": {d}})
	a = nn.NewAttention(w, d, firstHeads, false)
	for i, p := range w.Params() {
		p.Trainable = true
		tensor.Normal(p.Value, tensor.NewKey(uint64(i)))
		if p.Value.Rank() == 2 {
			tensor.Scale(p.Value, p.Value, 1/math.Sqrt(d)) // so that the softmax is of values of about 1
		}
	}
	x = dev.New(tensor.Compute, firstBatch, firstLength, d)
	tensor.Normal(x, tensor.NewKey(9))
	return a, x
}

// pull is a value's gradients by tokens, in_proj_weight and in_proj_bias for two lanes of cotangents.
func pull(dev *tensor.Device, a nn.Attention, x *tensor.Tensor, f func(x *autograd.Var) *autograd.Var) (value []float64, grads [3][]float64) {
	t := autograd.NewTape(dev)
	defer t.Release()
	y := f(t.Leaf(x))
	cts := dev.New(y.Value.Kind(), append([]int{2}, y.Shape()...)...)
	v := make([]float64, cts.Len())
	for i := range v {
		v[i] = float64(i*i%7 - 3)
	}
	cts.SetFloat64(v)
	defer cts.Release()
	g := autograd.Pullback(y, cts)
	for i, leaf := range []*tensor.Tensor{x, a.InW.Value, a.InB.Value} {
		grads[i] = g.Of(leaf).Float64s()
	}
	return y.Value.Float64s(), grads
}

// first is attention of the first token alone, without a residual.
func first(a nn.Attention) func(x *autograd.Var) *autograd.Var {
	return func(x *autograd.Var) *autograd.Var { return a.ForwardFirst(x, nil) }
}

// Attention of one query has the gradients that come by keys and values of all tokens, for each lane; those of the
// keys' bias are zero, and exactly so, as softmax does not see it.
func TestForwardFirstGradients(t *testing.T) {
	dev := open(t)
	a, x := firstRig(dev)
	want, wants := pull(dev, a, x, func(x *autograd.Var) *autograd.Var { return autograd.FirstToken(a.Forward(x, nil)) })
	got, gots := pull(dev, a, x, first(a))
	// Either way a number goes through at most ten sums, one after the other, of at most so many products, and so each
	// of the two is off by as many roundings of the largest number on the way. Factors are of the order of 1, a sum at
	// most of that of its terms.
	const terms = max(firstWidth, firstBatch*firstLength)
	const tolerance = 2 * 10 * terms * terms * 0x1p-53
	compare := func(what string, got, want []float64) {
		for i := range want {
			if !(math.Abs(got[i]-want[i]) <= tolerance) {
				t.Fatalf("%s, element %d: %.17g alone, %.17g among all", what, i, got[i], want[i])
			}
		}
	}
	compare("value", got, want)
	for i, what := range []string{"gradient by tokens", "gradient by in_proj_weight", "gradient by in_proj_bias"} {
		compare(what, gots[i], wants[i])
	}
	for lane := range 2 {
		for i, g := range gots[2][(3*lane+1)*firstWidth : (3*lane+2)*firstWidth] {
			if g != 0 {
				t.Errorf("lane %d: the gradient by the keys' bias %d is %g", lane, i, g)
			}
		}
	}
}

// The same with a second path of low rank on the input projection, whose factors get gradients, too.
func TestForwardFirstOfLowRank(t *testing.T) {
	dev := open(t)
	const d, rank = firstWidth, 2
	a, x := firstRig(dev)
	var factors []*tensor.Tensor
	for i, shape := range [][]int{{rank, d}, {d, rank}, {rank, d}, {d, rank}, {rank, d}, {d, rank}} {
		f := dev.New(tensor.Full, shape...)
		tensor.Normal(f, tensor.NewKey(uint64(20+i)))
		tensor.Scale(f, f, 1/math.Sqrt(float64(shape[1])))
		factors = append(factors, f)
	}
	u := dev.New(tensor.Full, firstBatch*firstLength, d)
	tensor.Uniform(u, tensor.NewKey(30))
	drop := &autograd.Dropout{Uniform: u, P: 0.25}
	for i := range firstBatch * firstLength {
		drop.Rows = append(drop.Rows, int32(i))
	}
	a.InW.Extend(func(x *autograd.Var) (h, w *autograd.Var) {
		var paths []autograd.Path
		for i := range 3 {
			paths = append(paths, autograd.Path{A: x.Tape().Leaf(factors[2*i]), B: x.Tape().Leaf(factors[2*i+1]), At: i * d, Drop: drop})
		}
		return autograd.LowRank(x, 3*d, 0.7, paths)
	})
	run := func(f func(x *autograd.Var) *autograd.Var) (all [][]float64) {
		tape := autograd.NewTape(dev)
		defer tape.Release()
		y := f(tape.Leaf(x))
		cts := dev.New(y.Value.Kind(), append([]int{2}, y.Shape()...)...)
		tensor.Normal(cts, tensor.NewKey(31))
		defer cts.Release()
		g := autograd.Pullback(y, cts)
		all = append(all, y.Value.Float64s())
		for _, leaf := range append([]*tensor.Tensor{x, a.InW.Value, a.InB.Value}, factors...) {
			all = append(all, g.Of(leaf).Float64s())
		}
		return all
	}
	want := run(func(x *autograd.Var) *autograd.Var { return autograd.FirstToken(a.Forward(x, nil)) })
	// As in TestForwardFirstGradients, with a few products more in each sum.
	const terms = max(firstWidth+3*rank, firstBatch*firstLength)
	const tolerance = 2 * 12 * terms * terms * 0x1p-53
	for i, got := range run(first(a)) {
		for j, v := range got {
			if !(math.Abs(v-want[i][j]) <= tolerance) {
				t.Fatalf("result %d, element %d: %.17g alone, %.17g among all", i, j, v, want[i][j])
			}
		}
	}
}

// In bfloat16, attention of one query is about as near to what float64 makes of the same numbers as attention by keys
// and values of all tokens. Those are rounded, and so is the result; of such roundings there may be one more here,
// where a processor without products of bfloat16 keeps all probabilities in float32, so that errors are at most
// √(3/2) times as large.
func TestForwardFirstInBfloat16(t *testing.T) {
	narrow, err := tensor.Open("cpu", tensor.Options{Workers: 1, Precision: "bf16"})
	if err != nil {
		t.Fatal(err)
	}
	defer narrow.Close()
	ref := open(t)
	a, x := firstRig(narrow)
	exact, tokens := firstRig(ref)
	for to, from := range map[*tensor.Tensor]*tensor.Tensor{tokens: x, exact.InW.Value: a.InW.Value, exact.InB.Value: a.InB.Value,
		exact.Out.W.Value: a.Out.W.Value, exact.Out.B.Value: a.Out.B.Value} {
		to.SetFloat64(from.Float64s())
	}
	want, wants := pull(ref, exact, tokens, first(exact))
	first, firsts := pull(narrow, a, x, first(a))
	all, alls := pull(narrow, a, x, func(x *autograd.Var) *autograd.Var { return autograd.FirstToken(a.Forward(x, nil)) })
	rms := func(got, want []float64) (e float64) {
		for i := range want {
			e += (got[i] - want[i]) * (got[i] - want[i])
		}
		return math.Sqrt(e / float64(len(want)))
	}
	compare := func(what string, first, all, want []float64) {
		e, most := rms(first, want), rms(all, want)*math.Sqrt(1.5)
		if !(e <= most) {
			t.Errorf("%s: errors of %.3g alone, %.3g is most among all", what, e, most)
		}
		t.Logf("%s: root mean square error %.3g alone, %.3g among all", what, e, rms(all, want))
	}
	compare("value", first, all, want)
	for i, what := range []string{"gradient by tokens", "gradient by in_proj_weight", "gradient by in_proj_bias"} {
		compare(what, firsts[i], alls[i], wants[i])
	}
}
