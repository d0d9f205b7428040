package text

import (
	"maps"
	"math"
	"slices"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

// withCLS is tiny with a token behind each text.
func withCLS(t *testing.T, dev *tensor.Device) *Encoder {
	t.Helper()
	c := Config{Context: 6, Vocab: 60, Width: 16, Layers: 2, Heads: 2, Embed: 8, CLS: true}
	src := newRandom(c)
	maps.Copy(src, random{"cls_emb": {c.Width}, "positional_embedding": {c.Context + 1, c.Width}})
	known, err := ConfigOf(src, Config{Heads: 2, CLS: true})
	if err != nil || known.Context != c.Context || known.Embed != c.Embed {
		t.Fatalf("%+v, %v", known, err)
	}
	w := nn.NewWeights(dev, src)
	e := New(w, known)
	if err := w.Err(); err != nil {
		t.Fatal(err)
	}
	return e
}

// clsTexts are a short one, one with a hole, one that fills the context, and one that ends it with padding.
var clsTexts = [][]int32{{58, 3, 59}, {58, 0, 4, 59}, {58, 3, 4, 5, 6, 59}, {58, 3, 4, 5, 6, 0}}

// TestCLSGradients compares gradients with differences: those of what has no key or no value of its own too.
func TestCLSGradients(t *testing.T) {
	dev := openDevice(t, "ref")
	e := withCLS(t, dev)
	ct := dev.New(tensor.Full, 1, len(clsTexts), e.Embed)
	tensor.Normal(ct, tensor.NewKey(3))
	loss := func() float64 {
		tape := autograd.NoGrad(dev)
		defer tape.Release()
		sum := 0.0
		for i, v := range e.Encode(tape, clsTexts).Value.Float64s() {
			sum += v * ct.Float64s()[i]
		}
		return sum
	}
	for _, p := range e.Params() {
		if !strings.Contains(p.Name, "emb") && !strings.Contains(p.Name, ".0.attn") {
			continue
		}
		p.Trainable = true
		tape := autograd.NewTape(dev)
		got := autograd.Pullback(e.Encode(tape, clsTexts), ct).Of(p.Value).Float64s()
		tape.Release()
		p.Trainable = false
		values := p.Value.Float64s()
		key := tensor.NewKey(5).Name(p.Name)
		for k := range 6 {
			i := int(key.Uniform(uint64(k)) * float64(len(values)))
			const h = 1e-5
			at := func(d float64) float64 {
				moved := slices.Clone(values)
				moved[i] += d
				p.Value.SetFloat64(moved)
				defer p.Value.SetFloat64(values)
				return loss()
			}
			// What the difference leaves out is of the order h² times the third derivative; its rounding is 1e-16/h.
			if want := (at(h) - at(-h)) / (2 * h); math.Abs(got[i]-want) > 1e-7*(1+math.Abs(want)) {
				t.Errorf("%s, element %d: %g, want %g", p.Name, i, got[i], want)
			}
		}
	}
}

// TestCLSTogether looks whether texts have an influence on each other.
func TestCLSTogether(t *testing.T) {
	dev := openDevice(t, "cpu")
	e := withCLS(t, dev)
	tape := autograd.NoGrad(dev)
	defer tape.Release()
	together := e.Encode(tape, clsTexts).Value.Float64s()
	for i := range clsTexts {
		alone := e.Encode(tape, clsTexts[i:i+1]).Value.Float64s()
		if got := together[i*e.Embed:][:e.Embed]; !slices.Equal(got, alone) {
			t.Errorf("text %d: %v, alone %v", i, got, alone)
		}
	}
	if _, err := ConfigOf(newRandom(tiny), Config{CLS: true}); err == nil || !strings.Contains(err.Error(), "cls_emb") {
		t.Errorf("without the token: %v", err)
	}
}
