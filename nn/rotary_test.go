package nn_test

import (
	"fmt"
	"math"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

// The block that both tests have: heads 8 wide, a grid of 2×2 tokens behind one other, and two that have no place.
const (
	rotaryWidth, rotaryHeads, rotaryMLP = 16, 2, 12
	rotaryGrid, rotaryBefore            = 2, 1
	rotaryTokens                        = rotaryBefore + rotaryGrid*rotaryGrid + 2
)

// rotaryBlock is a block of random weights, with what EVA-02's have beside rotary positions if all.
func rotaryBlock(dev *tensor.Device, c nn.TransformerConfig, all bool) (nn.Block, *nn.Weights) {
	c.Width, c.Heads, c.MLP, c.Before, c.Grid = rotaryWidth, rotaryHeads, rotaryMLP, rotaryBefore, rotaryGrid
	src := memory{"attn.in_proj_weight": {3 * c.Width, c.Width}, "attn.in_proj_bias": {3 * c.Width}}
	linear := func(name string, in, out int) { src[name+".weight"], src[name+".bias"] = []int{out, in}, []int{out} }
	norm := func(name string, n int) { src[name+".weight"], src[name+".bias"] = []int{n}, []int{n} }
	norm("ln_1", c.Width)
	norm("ln_2", c.Width)
	linear("attn.out_proj", c.Width, c.Width)
	linear("mlp.c_fc", c.Width, c.MLP)
	linear("mlp.c_proj", c.MLP, c.Width)
	if all {
		norm("attn.ln_inner", c.Width)
		norm("mlp.ln", c.MLP)
		linear("mlp.c_gate", c.Width, c.MLP)
	}
	w := nn.NewWeights(dev, src)
	b := nn.NewBlock(w, c)
	for i, p := range w.Params() {
		p.Trainable = true
		tensor.Normal(p.Value, tensor.NewKey(uint64(i)))
		if p.Value.Rank() == 2 {
			tensor.Scale(p.Value, p.Value, 1/math.Sqrt(rotaryWidth))
		}
	}
	return b, w
}

func rotaryInput(dev *tensor.Device) *tensor.Tensor {
	x := dev.New(tensor.Compute, 2, rotaryTokens, rotaryWidth)
	tensor.Normal(x, tensor.NewKey(99))
	return x
}

// turned is element j of a head, at row and column of a grid: the definition, pair by pair.
func turned(c nn.RotaryConfig, head []float64, row, column, grid, j int) float64 {
	d, first, second := len(head), row, column
	if c.ColumnsFirst {
		first, second = column, row
	}
	at, band := first, j/2
	if j >= d/2 {
		at, band = second, (j-d/2)/2
	}
	angle := float64(at+c.Offset) * float64(c.Ref) / float64(grid) / math.Pow(10000, float64(4*band)/float64(d))
	x, y := head[j/2*2], head[j/2*2+1]
	if j%2 == 0 {
		return x*math.Cos(angle) - y*math.Sin(angle)
	}
	return y*math.Cos(angle) + x*math.Sin(angle)
}

// Attention with rotary positions is attention of queries and keys that were turned by the definition; the token
// before the grid and those behind it are not.
func TestRotary(t *testing.T) {
	const d = rotaryWidth / rotaryHeads
	for _, c := range []nn.RotaryConfig{{Ref: 3}, {Ref: 2, Offset: 1, ColumnsFirst: true}} {
		t.Run(fmt.Sprintf("%+v", c), func(t *testing.T) {
			dev := open(t)
			b, _ := rotaryBlock(dev, nn.TransformerConfig{Rotary: c}, false)
			tape := autograd.NoGrad(dev)
			defer tape.Release()
			x := tape.Const(rotaryInput(dev))
			got := b.Attn.Forward(x, nil).Value.Float64s()

			qkv := autograd.Linear(x, b.Attn.InW.On(tape), b.Attn.InB.On(tape)).Value
			plain := qkv.Float64s()
			out := make([]float64, len(plain))
			copy(out, plain)
			for token := range 2 * rotaryTokens {
				place := token%rotaryTokens - rotaryBefore
				if place < 0 || place >= rotaryGrid*rotaryGrid {
					continue
				}
				for head := 0; head < 2*rotaryWidth; head += d { // queries, then keys
					for j := range d {
						first := token*3*rotaryWidth + head
						out[first+j] = turned(c, plain[first:first+d], place/rotaryGrid, place%rotaryGrid, rotaryGrid, j)
					}
				}
			}
			y := dev.New(tensor.Compute, qkv.Shape()...)
			y.SetFloat64(out)
			want := b.Attn.Out.Forward(autograd.Attention(tape.Const(y), rotaryHeads, false)).Value.Float64s()
			far := 0.0
			for i := range want {
				far = max(far, math.Abs(got[i]-want[i]))
			}
			if !(far < 1e-12) { // some hundred roundings of numbers of about ten
				t.Errorf("off by %g", far)
			}
		})
	}
}

// The gradients of whole blocks are those of central differences: with norms before and behind, a gate, and a norm in
// each half.
func TestRotaryGradients(t *testing.T) {
	for name, c := range map[string]nn.TransformerConfig{
		"EVA-02":     {Rotary: nn.RotaryConfig{Ref: 3}},
		"norms last": {PostNorm: true},
	} {
		t.Run(name, func(t *testing.T) {
			dev := open(t)
			b, w := rotaryBlock(dev, c, name == "EVA-02")
			x := rotaryInput(dev)
			for _, forward := range []func(*autograd.Var) *autograd.Var{b.Forward, b.ForwardFirst} {
				leaves := []*tensor.Tensor{x}
				for _, p := range w.Params() {
					leaves = append(leaves, p.Value)
				}
				var cotangent []float64
				value := func() float64 {
					tape := autograd.NoGrad(dev)
					defer tape.Release()
					sum := 0.0
					for i, y := range forward(tape.Const(x)).Value.Float64s() {
						sum += y * cotangent[i]
					}
					return sum
				}
				tape := autograd.NewTape(dev)
				defer tape.Release()
				y := forward(tape.Leaf(x))
				for i := range y.Value.Len() {
					cotangent = append(cotangent, float64(i*i%7-3))
				}
				ct := dev.New(y.Value.Kind(), append([]int{1}, y.Shape()...)...)
				ct.SetFloat64(cotangent)
				grads := autograd.Pullback(y, ct)
				for k, leaf := range leaves {
					v, g := leaf.Float64s(), grads.Of(leaf).Float64s()
					for i := k % 5; i < len(v); i += 1 + len(v)/7 {
						const step = 1e-5
						was := v[i]
						v[i] = was + step
						leaf.SetFloat64(v)
						up := value()
						v[i] = was - step
						leaf.SetFloat64(v)
						down := value()
						v[i] = was
						leaf.SetFloat64(v)
						// A third derivative of some hundreds times step², and roundings of a sum of some hundreds over step.
						if want := (up - down) / (2 * step); !(math.Abs(g[i]-want) < 1e-6*(1+math.Abs(want))) {
							t.Errorf("leaf %d, element %d: gradient %g, by differences %g", k, i, g[i], want)
						}
					}
				}
			}
		})
	}
}
