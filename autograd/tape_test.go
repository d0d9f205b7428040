package autograd_test

import (
	"testing"

	"fewshot/autograd"
	"fewshot/autograd/gradcheck"
	"fewshot/tensor"
)

// A Scope gives its memory back, keeps its result, and leaves the sweep what it needs.
func TestScope(t *testing.T) {
	dev := gradcheck.Ref(t)
	x := gradcheck.Random(dev, tensor.NewKey(1), 1, 64, 8)
	w := gradcheck.Random(dev, tensor.NewKey(2), 1, 8, 8)
	run := func(tape *autograd.Tape, scoped bool) *autograd.Var {
		y := tape.Const(x)
		for range 6 {
			half := func() *autograd.Var {
				return autograd.Add(y, autograd.Activate(autograd.Linear(y, tape.Leaf(w), nil), tensor.GELU))
			}
			if !scoped {
				y = half()
				continue
			}
			next := tape.Scope(half)
			tape.Done(y)
			y = next
		}
		return y
	}
	var grads [2][]float64
	for i, scoped := range []bool{false, true} {
		tape := autograd.NewTape(dev)
		y := run(tape, scoped)
		cts := gradcheck.Random(dev, tensor.NewKey(3), 1, append([]int{2}, y.Shape()...)...)
		grads[i] = autograd.Pullback(y, cts).Of(w).Float64s()
		tape.Release()
	}
	for i := range grads[0] {
		if grads[0][i] != grads[1][i] {
			t.Fatalf("element %d: %g without scopes, %g with", i, grads[0][i], grads[1][i])
		}
	}
	// Without recording, six layers in scopes take the memory of one.
	small, err := tensor.Open("ref", tensor.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	defer small.Close()
	x, w = gradcheck.Random(small, tensor.NewKey(1), 1, 64, 8), gradcheck.Random(small, tensor.NewKey(2), 1, 8, 8)
	tape := autograd.NoGrad(small)
	before := small.PeakBytes()
	run(tape, true)
	tape.Release()
	if got, most := small.PeakBytes()-before, int64(4*64*8*8); got > most {
		t.Errorf("six scoped layers took %d bytes, want at most %d", got, most)
	}
}

func TestSecondSweepPanics(t *testing.T) {
	dev := gradcheck.Ref(t)
	tape := autograd.NewTape(dev)
	defer tape.Release()
	loss := autograd.CrossEntropy(tape.Leaf(gradcheck.Random(dev, tensor.NewKey(1), 1, 2, 3)), []int32{0, 1})
	autograd.Backward(loss)
	defer func() {
		if recover() == nil {
			t.Error("a second sweep over freed memory was not refused")
		}
	}()
	autograd.Backward(loss)
}

func TestUnreachedLeafHasNoGradient(t *testing.T) {
	dev := gradcheck.Ref(t)
	tape := autograd.NewTape(dev)
	defer tape.Release()
	a, b := gradcheck.Random(dev, tensor.NewKey(1), 1, 2, 3), gradcheck.Random(dev, tensor.NewKey(2), 1, 2, 3)
	tape.Leaf(b)
	if g := autograd.Backward(autograd.CrossEntropy(tape.Leaf(a), []int32{0, 1})); g.Of(b) != nil || g.Of(a) == nil || g.Lanes() != 1 {
		t.Errorf("gradients: reached %v, unreached %v, lanes %d", g.Of(a), g.Of(b), g.Lanes())
	}
}
