package nn

import (
	"fmt"
	"math"

	"fewshot/autograd"
	"fewshot/tensor"
)

// RotaryConfig says how queries and keys are turned by where their tokens stand in a square grid: rotary positions in
// two dimensions, as EVA-02 and the Perception Encoders have them. The zero value is none.
type RotaryConfig struct {
	Ref          int  // side of the grid in which steps are 1, as the model was trained; 0 for no rotary positions
	Offset       int  // of the first row and column
	ColumnsFirst bool // the first half of a head is turned by the column, the second by the row; else the other way round
}

// rotary turns the queries and keys in a packed projection. Pairs of a head's elements are coordinates in a plane,
// and that of token (row, column) of a g×g grid is turned by an angle
//
//	(row + Offset)/g·Ref · 10000^(-j/(d/4))     pair j of the first half of the head, of the width d; by column in the second
//
// The neighbours' change of places and signs is a product with a constant matrix, exact as each sum has one term that
// is not zero.
type rotary struct {
	tokens   int            // from the first on; what lies behind them, as a caller's prompts, has no place in the grid
	swap     *tensor.Tensor // [d, d]: (x0, x1) to (-x1, x0) for each pair
	cos, sin *tensor.Tensor // [tokens, 3·width]; 1 and 0 for values, and for tokens before the grid
}

// newRotary makes the tables for a grid of tokens behind before others; nil if c is none.
func newRotary(w *Weights, c RotaryConfig, before, grid, width, heads int) *rotary {
	if c.Ref == 0 {
		return nil
	}
	d, tokens := width/heads, before+grid*grid
	table := func(f func(float64) float64) func() []float64 {
		return func() []float64 {
			t := make([]float64, tokens*3*width)
			for i := range tokens {
				for j := range 3 * width {
					angle := 0.0
					if i >= before && j < 2*width {
						angle = c.Angle(i-before, j%d, grid, d)
					}
					t[i*3*width+j] = f(angle)
				}
			}
			return t
		}
	}
	swap := func() []float64 {
		m := make([]float64, d*d)
		for i := 0; i < d; i += 2 {
			m[i*d+i+1], m[(i+1)*d+i] = 1, -1
		}
		return m
	}
	name := fmt.Sprintf("%+v %d %d %d %d", c, before, grid, width, heads)
	return &rotary{tokens, w.Constant(tensor.Compute, "swap "+name, swap, d, d),
		w.Constant(tensor.Full, "cos "+name, table(math.Cos), tokens, 3*width), w.Constant(tensor.Full, "sin "+name, table(math.Sin), tokens, 3*width)}
}

// Angle is that of element j of a head of width d for a token of a grid×grid grid, in the order of rows.
func (c RotaryConfig) Angle(token, j, grid, d int) float64 {
	at, band := token/grid, j/2
	if second := band >= d/4; second != c.ColumnsFirst {
		at = token % grid
	}
	return float64(at+c.Offset) / float64(grid) * float64(c.Ref) * math.Pow(10000, -float64(band%(d/4))/float64(d/4))
}

// turn is the projection [B, L, 3·width] with its queries and keys turned.
func (r *rotary) turn(qkv *autograd.Var) *autograd.Var {
	if r == nil {
		return qkv
	}
	t, length := qkv.Tape(), qkv.Shape()[1]
	if length == r.tokens {
		return r.grid(t, qkv)
	}
	return autograd.JoinTokens(r.grid(t, autograd.Tokens(qkv, 0, r.tokens)), autograd.Tokens(qkv, r.tokens, length))
}

func (r *rotary) grid(t *autograd.Tape, x *autograd.Var) *autograd.Var {
	shape, d := x.Shape(), r.swap.Dim(1)
	swapped := autograd.Reshape(autograd.MatMul(autograd.Reshape(x, x.Value.Len()/d, d), t.Const(r.swap)), shape...)
	return autograd.Add(autograd.Mul(x, t.Const(r.cos)), autograd.Mul(swapped, t.Const(r.sin)))
}
