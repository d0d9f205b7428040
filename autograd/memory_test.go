package autograd_test

import (
	"math"
	"slices"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/autograd/gradcheck"
	"fewshot/tensor"
)

// network is four layers, a weight seen through a view and a constant one, on rows [n, 16].
type network struct {
	dev         *tensor.Device
	x, w, fixed *tensor.Tensor
}

func newNetwork(t *testing.T, rows int) *network {
	dev := gradcheck.Ref(t)
	random := func(seed uint64, rows int) *tensor.Tensor {
		return gradcheck.Random(dev, tensor.NewKey(seed), 0.3, rows, 16)
	}
	return &network{dev, random(1, rows), random(2, 16), random(3, 16)}
}

// view is the weight as the layers see it.
func (n *network) view(t *autograd.Tape) *autograd.Var { return autograd.Scale(t.Leaf(n.w), 2) }

// losses are the mean cross-entropies of rows lo to hi to two labels each, by their share of all rows.
func (n *network) losses(w *autograd.Var, lo, hi int) []*autograd.Var {
	t := w.Tape()
	y := t.Const(n.x.Rows(lo, hi))
	for range 4 {
		x := y
		y = t.Scope(func() *autograd.Var {
			h := autograd.Activate(autograd.Linear(x, w, nil), tensor.GELU)
			return autograd.Add(x, autograd.Linear(h, t.Const(n.fixed), nil))
		})
		t.Done(x)
	}
	var all []*autograd.Var
	for lane := range 2 {
		labels := make([]int32, hi-lo)
		for i := range labels {
			labels[i] = int32((lo + i + 5*lane) % 16)
		}
		all = append(all, autograd.Scale(autograd.CrossEntropy(y, labels), float64(hi-lo)/float64(n.x.Shape()[0])))
	}
	return all
}

// inParts are the gradients in parts that end at the given rows.
func (n *network) inParts(t *autograd.Tape, ends ...int) *autograd.Grads {
	w := n.view(t)
	return autograd.BackwardParts(t, 2, func(yield func([]*autograd.Var) bool) {
		lo := 0
		for i, hi := range ends {
			if i == len(ends)-1 {
				t.LastPart()
			}
			if !yield(n.losses(w, lo, hi)) {
				return
			}
			lo = hi
		}
	}, nil)
}

// Gradients in parts are those of the whole but for rounding, and take the memory of a part: of that which grows with
// the rows a program needs as much for parts of a half as for a half of the rows alone.
func TestBackwardParts(t *testing.T) {
	const rows = 24
	n := newNetwork(t, rows)
	tape := autograd.NewTape(n.dev)
	want := autograd.Backward(n.losses(n.view(tape), 0, rows)...).Of(n.w).Float64s()
	tape.Release()
	size := 0.0
	for _, v := range want {
		size = max(size, math.Abs(v))
	}
	for _, ends := range [][]int{{24}, {12, 24}, {7, 8, 24}} {
		tape := autograd.NewTape(n.dev)
		got := n.inParts(tape, ends...).Of(n.w).Float64s()
		tape.Release()
		for i := range got {
			// Sums of 4·24 products and shares, rounded in another order.
			if bound := 4 * rows * 0x1p-52 * size; math.Abs(got[i]-want[i]) > bound {
				t.Fatalf("parts that end at %v: element %d is %g, want %g", ends, i, got[i], want[i])
			}
		}
	}
	measure := func(n *network, ends ...int) int64 {
		return n.dev.Measure(func() {
			tape := autograd.NewTape(n.dev)
			n.inParts(tape, ends...)
			tape.Release()
		})
	}
	large, half := newNetwork(t, 2400), newNetwork(t, 1200)
	// Beside the second part there is the gradient of the first one, of two lanes.
	if parts, alone := measure(large, 1200, 2400), measure(half, 1200); parts > alone+2*16*16*8 {
		t.Errorf("two parts of 1200 rows take %d bytes, one takes %d", parts, alone)
	}
	if all, part := measure(large, 2400), measure(half, 1200); all < part*18/10 {
		t.Errorf("2400 rows take %d bytes at once, which is no more than 1200 do, %d: this test shows nothing", all, part)
	}
}

// Gradients that are taken are those that are not, and of layers with a weight each, under a view each, those of one at
// a time are in memory.
func TestBackwardPartsTakes(t *testing.T) {
	const n, layers = 32, 12
	dev := gradcheck.Ref(t)
	x := gradcheck.Random(dev, tensor.NewKey(1), 1, 2, n)
	var ws []*tensor.Tensor
	for i := range layers {
		ws = append(ws, gradcheck.Random(dev, tensor.NewKey(2).Fold(uint64(i)), 0.3, n, n))
	}
	sweep := func(take func(leaf, g *tensor.Tensor) bool, see func(*autograd.Grads)) {
		tape := autograd.NewTape(dev)
		defer tape.Release()
		var seen []*autograd.Var
		for _, w := range ws {
			seen = append(seen, tape.Keep(func() *autograd.Var { return autograd.Scale(tape.Leaf(w), 2) }))
		}
		see(autograd.BackwardParts(tape, 2, func(yield func([]*autograd.Var) bool) {
			for part := range 2 {
				if part == 1 {
					tape.LastPart()
				}
				y := tape.Const(x.Rows(part, part+1))
				for _, w := range seen {
					y = autograd.Linear(y, w, nil)
				}
				if !yield([]*autograd.Var{autograd.CrossEntropy(y, []int32{1}), autograd.CrossEntropy(y, []int32{2})}) {
					return
				}
			}
		}, take))
	}
	want := map[*tensor.Tensor][]float64{}
	sweep(nil, func(g *autograd.Grads) {
		for _, w := range ws {
			want[w] = g.Of(w).Float64s()
		}
	})
	taken := 0
	sweep(func(leaf, g *tensor.Tensor) bool {
		if leaf == ws[3] {
			return false
		}
		if !slices.Equal(g.Float64s(), want[leaf]) {
			t.Error("a gradient that is taken differs")
		}
		tensor.Fill(leaf, math.NaN()) // nobody reads it
		taken++
		return true
	}, func(g *autograd.Grads) {
		for i, w := range ws {
			switch left := g.Of(w); {
			case i != 3 && left != nil:
				t.Errorf("the gradient of weight %d is taken and there", i)
			case i == 3 && !slices.Equal(left.Float64s(), want[w]):
				t.Error("the gradient that nobody took differs")
			}
		}
	})
	if taken != layers-1 {
		t.Errorf("%d gradients taken of %d", taken, layers-1)
	}
}

// Of gradients that are taken, those of one layer at a time are in memory, in each lane.
func TestTakenMemory(t *testing.T) {
	const n, layers = 64, 12
	dev := gradcheck.Ref(t)
	x := dev.New(tensor.Full, 1, n)
	var ws []*tensor.Tensor
	for range layers {
		ws = append(ws, dev.New(tensor.Full, n, n))
	}
	for _, c := range []struct {
		take     bool
		matrices float64
		what     string
	}{
		{false, 2 * layers, "all gradients"},
		// Of each layer but the first, whose input needs no gradient, the weight as it is seen, and two gradients of the
		// last one.
		{true, layers - 1 + 2, "weights and a layer's gradients"},
	} {
		bytes := dev.Measure(func() {
			tape := autograd.NewTape(dev)
			defer tape.Release()
			var seen []*autograd.Var
			for _, w := range ws {
				seen = append(seen, tape.Keep(func() *autograd.Var { return autograd.Scale(tape.Leaf(w), 2) }))
			}
			autograd.BackwardParts(tape, 2, func(yield func([]*autograd.Var) bool) {
				tape.LastPart()
				y := tape.Const(x)
				for _, w := range seen {
					y = autograd.Linear(y, w, nil)
				}
				yield([]*autograd.Var{autograd.CrossEntropy(y, []int32{1}), autograd.CrossEntropy(y, []int32{2})})
			}, func(_, _ *tensor.Tensor) bool { return c.take })
		})
		// And vectors: of each layer a result, and cotangents, and what the losses are made of.
		if got := float64(bytes) / (8 * n * n); got > c.matrices+(layers+16.)/n || got < c.matrices {
			t.Errorf("%s: the room of %g matrices, want %g", c.what, got, c.matrices)
		}
	}
}

func TestBackwardPartsRefuses(t *testing.T) {
	n := newNetwork(t, 2)
	for name, part := range map[string]func(*autograd.Tape) []*autograd.Var{
		"leaf":   func(tape *autograd.Tape) []*autograd.Var { return n.losses(n.view(tape), 0, 2) },
		"1 loss": func(tape *autograd.Tape) []*autograd.Var { return n.losses(tape.Const(n.w), 0, 2)[:1] },
	} {
		t.Run(name, func(t *testing.T) {
			defer func() {
				if text, _ := recover().(string); !strings.Contains(text, "BackwardParts: "+name) {
					t.Errorf("panic: %q", text)
				}
			}()
			tape := autograd.NewTape(n.dev)
			autograd.BackwardParts(tape, 2, func(yield func([]*autograd.Var) bool) { yield(part(tape)) }, nil)
		})
	}
}

// What a tape with its sweep takes, in matrices: a cotangent of which nobody else knows is overwritten by the next,
// and a second gradient of a weight is added to the first as it is computed.
func TestSweepMemory(t *testing.T) {
	const n = 64
	dev := gradcheck.Ref(t)
	x, w, cts := dev.New(tensor.Full, n, n), dev.New(tensor.Full, n, n), dev.New(tensor.Full, 1, n, n)
	for name, c := range map[string]struct {
		f    func(x, w *autograd.Var) *autograd.Var
		most float64
	}{
		// Two values and a cotangent; those that come from outside are not overwritten.
		"scale":      {func(_, w *autograd.Var) *autograd.Var { return autograd.Scale(autograd.Scale(w, 2), 2) }, 3},
		"exp":        {func(_, w *autograd.Var) *autograd.Var { return autograd.Scale(autograd.Exp(w), 2) }, 3},
		"activation": {func(_, w *autograd.Var) *autograd.Var { return autograd.Scale(autograd.Activate(w, tensor.GELU), 2) }, 3},
		"layer norm": {func(x, w *autograd.Var) *autograd.Var {
			row := x.Tape().Const(x.Value.Index(0))
			return autograd.Scale(autograd.LayerNorm(w, row, row, 1e-5), 2)
		}, 3 + 2./n},
		// A gradient beside these.
		"weight twice": {func(x, w *autograd.Var) *autograd.Var { return autograd.Linear(autograd.Linear(x, w, nil), w, nil) }, 4},
		"residuals": {func(x, w *autograd.Var) *autograd.Var {
			y := autograd.LinearAdd(x, w, nil, x)
			return autograd.LinearAdd(y, w, nil, y)
		}, 4},
		// Of each layer two products; the activation between them is computed again, beside a cotangent, for the weight's
		// gradient.
		"computed again": {func(x, w *autograd.Var) *autograd.Var {
			for range 6 {
				y := x
				x = x.Tape().Scope(func() *autograd.Var {
					return autograd.Linear(autograd.Activate(autograd.Linear(y, w, nil), tensor.GELU), w, nil)
				})
				x.Tape().Done(y)
			}
			return x
		}, 6*2 + 3},
		"matrix twice": {func(x, w *autograd.Var) *autograd.Var { return autograd.MatMul(autograd.MatMul(x, w), w) }, 4},
	} {
		bytes := dev.Measure(func() {
			tape := autograd.NewTape(dev)
			autograd.Pullback(c.f(tape.Const(x), tape.Leaf(w)), cts)
			tape.Release()
		})
		if got := float64(bytes) / (8 * n * n); got > c.most {
			t.Errorf("%s: the room of %g matrices, want %g", name, got, c.most)
		}
	}
}
