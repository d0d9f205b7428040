package tests

import (
	"math"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt/adapter"
	"fewshot/rmt/probe"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// TestFormulas: every head's formula, computed as its comment says, gives the head's logits.
func TestFormulas(t *testing.T) {
	const n, d, c, keys, middle = 5, 12, 4, 7, 3
	dev := open(t, "cpu", 0)
	draw := func(name string, shape ...int) *tensor.Tensor {
		x := dev.New(tensor.Full, shape...)
		tensor.Normal(x, tensor.NewKey(1).Name(name))
		return x
	}
	unit := func(name string, rows int) *tensor.Tensor {
		x, norm := draw(name, rows, d), dev.New(tensor.Full, rows)
		tensor.L2Normalize(x, norm, x)
		return x
	}
	head := train.Head{Classes: unit("classes", c), Scale: 30}
	features := draw("features", n, d)
	for name, h := range map[string]train.Stated{
		"zero-shot": head,
		"adapter": &adapter.ClipAdapter{Down: &nn.Param{Value: draw("down", middle, d)}, Up: &nn.Param{Value: draw("up", d, middle)},
			Head: head, Ratio: 0.2},
		"taskres":     &adapter.TaskRes{Residual: &nn.Param{Value: draw("residual", c, d)}, Base: draw("base", c, d), Alpha: 0.5, Scale: 30},
		"tip":         &adapter.Tip{Text: head.Classes, Keys: unit("keys", keys), Values: draw("values", keys, c), Scale: 100, Alpha: 1.5, Beta: 3},
		"linear":      probe.Linear{W: draw("weight", c, d), B: draw("bias", c)},
		"linear unit": probe.Linear{W: draw("weight", c, d), B: draw("bias", c), Unit: true},
	} {
		tape := autograd.NoGrad(dev)
		got := h.Logits(tape.Const(features)).Value.Floats()
		f, x := h.Formula(), features.Floats()
		for i := range n {
			want := compute(f, x[i*d:(i+1)*d], c)
			for k, w := range want {
				// Sums of at most 12 terms by float32, of values up to 100.
				if e := math.Abs(float64(got[i*c+k]) - w); !(e <= 1e-4) {
					t.Errorf("%s: image %d, class %d: %g, by the formula %g", name, i, k, got[i*c+k], w)
				}
			}
		}
		tape.Release()
	}
}

// compute is a formula's comment in float64, of one feature.
func compute(f nn.Formula, feature []float32, classes int) []float64 {
	times := func(m []float32, x []float64) (y []float64) {
		for r := range len(m) / len(x) {
			sum := 0.0
			for j, v := range x {
				sum += float64(m[r*len(x)+j]) * v
			}
			y = append(y, sum)
		}
		return y
	}
	relu := func(x []float64) []float64 {
		for i := range x {
			x[i] = max(x[i], 0)
		}
		return x
	}
	var x []float64
	for _, v := range feature {
		x = append(x, float64(v))
	}
	if f.Down != nil {
		y := relu(times(f.Up, relu(times(f.Down, x))))
		for i := range x {
			x[i] = f.Ratio*y[i] + (1-f.Ratio)*x[i]
		}
	}
	if !f.Raw {
		sum := 0.0
		for _, v := range x {
			sum += v * v
		}
		for i := range x {
			x[i] /= math.Sqrt(sum)
		}
	}
	logits := times(f.Classes, x)
	for k := range logits {
		logits[k] *= f.Scale
		if f.Bias != nil {
			logits[k] += float64(f.Bias[k])
		}
	}
	for i, a := range times(f.Keys, x) {
		for k := range logits {
			logits[k] += f.Alpha * math.Exp(-f.Beta*(1-a)) * float64(f.Values[i*classes+k])
		}
	}
	return logits
}
