package nn_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

// memory is a source of constant tensors by name.
type memory map[string][]int

func (m memory) Names() []string { return slices.Sorted(maps.Keys(m)) }

func (m memory) Shape(name string) ([]int, bool) { s, ok := m[name]; return s, ok }

func (m memory) Read(name string, dst []float32) error {
	if strings.Contains(name, "broken") {
		return fmt.Errorf("%s: cannot be read", name)
	}
	for i := range dst {
		dst[i] = float32(i%7) - 3
	}
	return nil
}

func open(t testing.TB) *tensor.Device {
	t.Helper()
	dev, err := tensor.Open("ref", tensor.Options{Workers: 1, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// All faults of a checkpoint are reported together, by name.
func TestWeightsReportEverything(t *testing.T) {
	src := memory{"a.weight": {2, 3}, "a.bias": {3}, "b.broken": {1}, "rest": {1}}
	w := nn.NewWeights(open(t), src)
	nn.NewLinear(w.In("a"), 3, 2)                  // a.bias has the wrong shape
	nn.NewLayerNorm(w.In("blocks", 0, "ln"), 4, 0) // missing altogether
	w.In("b").Param(tensor.Full, "broken", 1)      // unreadable
	w.In("a").Param(tensor.Compute, "weight", 6)   // used in two shapes
	err := w.Err()
	if err == nil {
		t.Fatal("no error")
	}
	for _, want := range []string{"a.bias: has shape [3], want [2]", "blocks.0.ln.weight: missing, want shape [4]",
		"blocks.0.ln.bias: missing", "b.broken: cannot be read", "a.weight: used as [2 3] and as [6]"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("the error does not say %q:\n%v", want, err)
		}
	}
	if got := w.Unused(); !slices.Equal(got, []string{"rest"}) {
		t.Errorf("unused: %v, want rest", got)
	}
}

// together is a source that may be read by several goroutines at once.
type together struct{ memory }

func (together) Concurrent() bool { return true }

// Large tensors are read while the constructor goes on: with Err they have their values, and what is wrong with one is
// told in its place.
func TestWeightsReadTogether(t *testing.T) {
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	src := together{memory{}}
	for i := range 8 {
		src.memory[fmt.Sprint(i)] = []int{1 << 9, 1 << 10}
	}
	w := nn.NewWeights(dev, src)
	var params []*nn.Param
	for i := range 8 {
		params = append(params, w.Param(tensor.Compute, fmt.Sprint(i), 1<<9, 1<<10))
	}
	if err := w.Err(); err != nil {
		t.Fatal(err)
	}
	want := make([]float32, 1<<19)
	src.Read("", want)
	for _, p := range params {
		if !slices.Equal(p.Value.Floats(), want) {
			t.Errorf("%s has other values than the source", p.Name)
		}
	}
	src.memory["broken"] = []int{1 << 9, 1 << 10}
	w.Param(tensor.Compute, "before", 1)
	w.Param(tensor.Compute, "broken", 1<<9, 1<<10)
	w.Param(tensor.Compute, "behind", 1)
	if got, want := fmt.Sprint(w.Err()), "before: missing, want shape [1]\nbroken: cannot be read\nbehind: missing, want shape [1]"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// Two parameters of one name share their storage; a parametrisation on one is not seen through the other.
func TestParametrize(t *testing.T) {
	dev := open(t)
	w := nn.NewWeights(dev, memory{"w": {2, 2}})
	student, teacher := w.Param(tensor.Compute, "w", 2, 2), w.Param(tensor.Compute, "w", 2, 2)
	if student.Value != teacher.Value {
		t.Error("two tensors for one name")
	}
	student.Parametrize(func(_ *autograd.Tape, v *autograd.Var) *autograd.Var { return autograd.Scale(v, 2) })
	tape := autograd.NewTape(dev)
	defer tape.Release()
	if got, want := student.On(tape).Value.Float64s(), []float64{-6, -4, -2, 0}; !slices.Equal(got, want) {
		t.Errorf("seen through the parametrisation: %v, want %v", got, want)
	}
	if student.On(tape) != student.On(tape) {
		t.Error("the parametrisation was computed twice on one tape")
	}
	if got, want := teacher.On(tape).Value.Float64s(), []float64{-3, -2, -1, 0}; !slices.Equal(got, want) {
		t.Errorf("the other parameter: %v, want %v", got, want)
	}
	student.Parametrize(nil)
	if got := student.On(tape).Value; got != teacher.Value {
		t.Error("the parametrisation did not come off")
	}
}

// What is released is gone from all parameters over it, and its memory is the device's again; the rest stays.
func TestWeightsRelease(t *testing.T) {
	dev := open(t)
	w := nn.NewWeights(dev, memory{"text.w": {64, 64}, "image.w": {2, 2}})
	gone, same := w.Param(tensor.Compute, "text.w", 64, 64), w.In("text").Param(tensor.Compute, "w", 64, 64)
	stays := w.Param(tensor.Compute, "image.w", 2, 2)
	peak := dev.PeakBytes()
	w.Release([]*nn.Param{gone, same})
	if gone.Value != nil || same.Value != nil {
		t.Error("a parameter still has what was released")
	}
	if got := stays.Value.Float64s(); !slices.Equal(got, []float64{-3, -2, -1, 0}) {
		t.Errorf("the other parameter: %v", got)
	}
	dev.New(tensor.Compute, 64, 64)
	if got := dev.PeakBytes(); got != peak {
		t.Errorf("another tensor of that size takes %d bytes more", got-peak)
	}
}

// Token 0 of a stack of blocks, computed alone, is token 0 of all tokens.
func TestForwardFirstIsExact(t *testing.T) {
	dev := open(t)
	const width, batch, length = 16, 2, 5
	src := memory{}
	for i := range 2 {
		for name, shape := range map[string][]int{"ln_1.weight": {width}, "ln_1.bias": {width}, "ln_2.weight": {width}, "ln_2.bias": {width},
			"attn.in_proj_weight": {3 * width, width}, "attn.in_proj_bias": {3 * width}, "attn.out_proj.weight": {width, width}, "attn.out_proj.bias": {width},
			"mlp.c_fc.weight": {4 * width, width}, "mlp.c_fc.bias": {4 * width}, "mlp.c_proj.weight": {width, 4 * width}, "mlp.c_proj.bias": {width}} {
			src[fmt.Sprintf("resblocks.%d.%s", i, name)] = shape
		}
	}
	w := nn.NewWeights(dev, src)
	stack := nn.NewTransformer(w, nn.TransformerConfig{Width: width, Layers: 2, Heads: 2})
	if err := w.Err(); err != nil {
		t.Fatal(err)
	}
	x := dev.New(tensor.Compute, batch, length, width)
	tensor.Normal(x, tensor.NewKey(4))
	tape := autograd.NoGrad(dev)
	defer tape.Release()
	all := stack.Forward(tape.Const(x)).Value.Float64s()
	first := stack.ForwardFirst(tape.Const(x)).Value.Float64s()
	for b := range batch {
		for j := range width {
			got, want := first[b*width+j], all[b*length*width+j]
			// The same products, summed in orders that may differ: some hundred roundings of values of a few hundred.
			if d := got - want; d > 1e-10 || d < -1e-10 {
				t.Fatalf("sequence %d, element %d: %.15g alone, %.15g among all", b, j, got, want)
			}
		}
	}
}

// Packed weights give the same values and gradients, to the bit; what layers see through a parametrisation is not
// packed.
func TestPack(t *testing.T) {
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	a, x := firstRig(dev)
	full := func(x *autograd.Var) *autograd.Var { return a.Forward(x, nil) }
	want, wants := pull(dev, a, x, full)
	a.Out.W.Parametrize(func(_ *autograd.Tape, v *autograd.Var) *autograd.Var { return v })
	a.Pack(true)
	got, gots := pull(dev, a, x, full)
	if !slices.Equal(got, want) {
		t.Error("packed: another value")
	}
	for i, name := range []string{"tokens", "weight", "bias"} {
		if !slices.Equal(gots[i], wants[i]) {
			t.Errorf("packed: another gradient by the %s", name)
		}
	}
	if a.Out.W.Value.Buf().Packed != (tensor.Packed{}) {
		t.Error("a weight was packed that the layer does not see")
	}
}
