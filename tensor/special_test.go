package tensor_test

import (
	"fmt"
	"math"
	"testing"

	"fewshot/tensor"
	"fewshot/tensor/internal/simd"
)

// What is no number comes out where the portable kernels have it in float64, whatever the kernels: of each operation one
// input after another has a NaN or infinities in some places, and each element of its results is a number, NaN or an
// infinity of the same sign.
func TestSpecialValues(t *testing.T) {
	want := specials(t, "ref", "")
	for _, kernels := range simd.Variants() {
		t.Run("kernels="+kernels, func(t *testing.T) {
			defer simd.Use(kernels)()
			for _, precision := range []string{"float32", "bf16"} {
				got := specials(t, "cpu", precision)
				for i, w := range want {
					g := got[i]
					for j := range w.kinds {
						if g.kinds[j] != w.kinds[j] && !(w.spills && g.kinds[j] == "NaN") {
							t.Errorf("%s, %s: element %d is %s, want %s", precision, w.of, j, g.kinds[j], w.kinds[j])
							break
						}
					}
				}
			}
		})
	}
}

// outcome is what the elements of an operation's results are.
type outcome struct {
	of     string
	kinds  []string
	spills bool // see specialOp
}

func kindOf(v float32) string {
	switch {
	case v != v:
		return "NaN"
	case math.IsInf(float64(v), 1):
		return "+Inf"
	case math.IsInf(float64(v), -1):
		return "-Inf"
	}
	return "a number"
}

func specials(t *testing.T, device, precision string) (all []outcome) {
	d, err := tensor.Open(device, tensor.Options{Workers: 2, Precision: precision})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	inf, nan := float32(math.Inf(1)), float32(math.NaN())
	for _, op := range specialOps {
		for spoiled := range op.in {
			for _, special := range []float32{nan, inf} {
				for place := range 2 {
					in := make([]*tensor.Tensor, len(op.in))
					for i, shape := range op.in {
						in[i] = d.New(tensor.Compute, shape...)
						v := make([]float32, in[i].Len())
						for j := range v {
							h := uint32(j*2654435761+i*40503+97) * 2246822519
							v[j] = float32(int(h>>24)-128) / 64
							if op.positive {
								v[j] = 0.25 + float32(h>>24)/64
							}
						}
						if i == spoiled {
							v[(len(v)-1)/(2-place)] = special
							if place == 0 {
								v[len(v)/3] = -special
							}
						}
						in[i].Set(v)
					}
					out := make([]*tensor.Tensor, len(op.out))
					for i, shape := range op.out {
						out[i] = d.New(tensor.Compute, shape...)
						if op.full {
							out[i] = d.New(tensor.Full, shape...)
						}
					}
					op.f(out, in)
					o := outcome{of: fmt.Sprintf("%s with %v in operand %d at %d", op.name, special, spoiled, place), spills: op.spills}
					for _, x := range out {
						for _, v := range x.Floats() {
							o.kinds = append(o.kinds, kindOf(v))
						}
					}
					all = append(all, o)
				}
			}
		}
	}
	return all
}

type specialOp struct {
	name           string
	in, out        [][]int
	f              func(out, in []*tensor.Tensor)
	positive, full bool
	spills         bool // package simd multiplies more by zeros than the definition does, so that a number may be NaN
}

func shapes(s ...[]int) [][]int { return s }

var specialOps = func() (ops []specialOp) {
	add := func(o specialOp) { ops = append(ops, o) }
	m := []int{7, 37}
	for _, a := range []tensor.Activation{tensor.QuickGELU, tensor.GELU, tensor.ReLU, tensor.TanhGELU} {
		add(specialOp{name: a.String(), in: shapes(m), out: shapes(m), f: func(o, i []*tensor.Tensor) { tensor.Activate(o[0], i[0], a) }})
		add(specialOp{name: a.String() + " grad", in: shapes(m, m), out: shapes(m), f: func(o, i []*tensor.Tensor) { tensor.ActivateGrad(o[0], i[0], i[1], a) }})
	}
	add(specialOp{name: "add", in: shapes(m, []int{37}), out: shapes(m), f: func(o, i []*tensor.Tensor) { tensor.Add(o[0], i[0], i[1]) }})
	add(specialOp{name: "mul", in: shapes(m, []int{37}), out: shapes(m), f: func(o, i []*tensor.Tensor) { tensor.Mul(o[0], i[0], i[1]) }})
	add(specialOp{name: "exp", in: shapes(m), out: shapes(m), f: func(o, i []*tensor.Tensor) { tensor.Exp(o[0], i[0]) }})
	add(specialOp{name: "mask", in: shapes(m, m), out: shapes(m), f: func(o, i []*tensor.Tensor) { tensor.Mask(o[0], i[0], i[1], 0.1) }})
	m = []int{3, 37}
	add(specialOp{name: "softmax", in: shapes(m), out: shapes(m), f: func(o, i []*tensor.Tensor) { tensor.Softmax(o[0], i[0]) }})
	add(specialOp{name: "softmax grad", in: shapes(m, m), out: shapes(m), f: func(o, i []*tensor.Tensor) { tensor.SoftmaxGrad(o[0], i[0], i[1]) }})
	add(specialOp{name: "layernorm", in: shapes(m, []int{37}, []int{37}), out: shapes(m, []int{3, 2}), f: func(o, i []*tensor.Tensor) { tensor.LayerNorm(o[0], o[1], i[0], i[1], i[2], 1e-5) }})
	add(specialOp{name: "l2normalize", in: shapes(m), out: shapes(m, []int{3}), f: func(o, i []*tensor.Tensor) { tensor.L2Normalize(o[0], o[1], i[0]) }})
	add(specialOp{name: "sumto", in: shapes([]int{2, 7, 37}), out: shapes([]int{2, 37}), f: func(o, i []*tensor.Tensor) { tensor.SumTo(o[0], i[0]) }})
	add(specialOp{name: "dot", in: shapes(m, m), out: shapes([]int{1}), f: func(o, i []*tensor.Tensor) { tensor.Dot(o[0], i[0], i[1]) }})
	add(specialOp{name: "crossentropy", in: shapes(m), out: shapes([]int{1}, m), f: func(o, i []*tensor.Tensor) {
		tensor.CrossEntropy(o[0], o[1], i[0], []int32{0, 5, 36})
	}})
	for _, k := range []int{19, 800} {
		for _, trans := range [][2]bool{{false, false}, {false, true}, {true, false}, {true, true}} {
			a, b := []int{17, k}, []int{k, 70}
			if trans[0] {
				a = []int{k, 17}
			}
			if trans[1] {
				b = []int{70, k}
			}
			add(specialOp{name: fmt.Sprintf("gemm %d %v", k, trans), in: shapes(a, b, []int{17, 70}, []int{70}), out: shapes([]int{17, 70}), f: func(o, i []*tensor.Tensor) {
				tensor.Gemm(o[0], i[0], i[1], tensor.GemmOptions{TransA: trans[0], TransB: trans[1], Add: i[2], Bias: i[3]})
			}})
		}
	}
	for _, causal := range []bool{false, true} {
		o := tensor.AttentionOptions{Heads: 2, Q: 0, K: 32, V: 64, Causal: causal}
		qkv := []int{2, 33, 96}
		add(specialOp{name: fmt.Sprintf("attention causal=%v", causal), spills: causal, in: shapes(qkv), out: shapes([]int{2, 33, 32}), f: func(out, in []*tensor.Tensor) {
			lse := in[0].Device().New(tensor.Full, 2, 2, 33)
			tensor.Attention(out[0], lse, in[0], in[0], o)
		}})
		add(specialOp{name: fmt.Sprintf("attention grad causal=%v", causal), spills: causal, in: shapes(qkv, []int{1, 2, 33, 32}), out: shapes([]int{1, 2, 33, 96}), f: func(out, in []*tensor.Tensor) {
			lse := in[0].Device().New(tensor.Full, 2, 2, 33)
			y := in[0].Device().New(tensor.Compute, 2, 33, 32)
			tensor.Attention(y, lse, in[0], in[0], o)
			tensor.AttentionGrad(out[0], out[0], in[1], in[0], in[0], y, lse, o)
		}})
	}
	for _, stride := range []int{1, 2} {
		oh := (9-1)/stride + 1
		x, w, y := []int{2, 9, 9, 5}, []int{9 * 5, 18}, []int{2, oh, oh, 18}
		o := tensor.ConvOptions{Size: 3, Stride: stride}
		add(specialOp{name: fmt.Sprintf("conv %d", stride), in: shapes(x, w), out: shapes(y), f: func(out, in []*tensor.Tensor) { tensor.Conv(out[0], in[0], in[1], o) }})
		add(specialOp{name: fmt.Sprintf("conv grad %d", stride), in: shapes(y, w), out: shapes(x), f: func(out, in []*tensor.Tensor) { tensor.ConvGrad(out[0], in[0], in[1], o) }})
		add(specialOp{name: fmt.Sprintf("conv weight grad %d", stride), spills: true, in: shapes(x, append([]int{1}, y...)), out: shapes(append([]int{1}, w...)), f: func(out, in []*tensor.Tensor) { tensor.ConvWeightGrad(out[0], in[0], in[1], o) }})
	}
	add(specialOp{name: "adam", full: true, positive: true, in: shapes(m, m, m, m), out: shapes(m, m, m), f: func(o, i []*tensor.Tensor) {
		for j := range 3 {
			tensor.Copy(o[j], i[j])
		}
		tensor.Adam(o[0], o[1], o[2], i[3], tensor.AdamArgs{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Step: 2, Decay: 0.1})
	}})
	add(specialOp{name: "graddrop", full: true, in: shapes(m, m), out: shapes(m), f: func(o, i []*tensor.Tensor) {
		tensor.GradDrop(o[0], i[0], i[1], i[0], tensor.GradDropOptions{Leak: 0.5, Eps: 1e-8})
	}})
	return ops
}()
