package rmt

import (
	"bytes"
	"math"
	"slices"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/autograd/gradcheck"
	"fewshot/nn"
	"fewshot/tensor"
)

// A coarse score hides a row or a column, in the weight, in its bits, in what is counted and in the file.
func TestCoarseMasks(t *testing.T) {
	dev, err := tensor.Open("ref", tensor.Options{Workers: 1, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	for _, c := range []struct {
		granularity string
		shape       []int
		scores      []int
		hidden      func(at []int) bool // of score 1
	}{
		{"filter", []int{3, 4}, []int{3, 1}, func(at []int) bool { return at[0] == 1 }},
		{"channel", []int{3, 4}, []int{1, 4}, func(at []int) bool { return at[1] == 1 }},
		{"filter", []int{2, 3, 2, 2}, []int{2, 1, 1, 1}, func(at []int) bool { return at[0] == 1 }},
		{"channel", []int{2, 3, 2, 2}, []int{1, 3, 1, 1}, func(at []int) bool { return at[1] == 1 }},
	} {
		p := &nn.Param{Name: "w", Value: gradcheck.Random(dev, tensor.NewKey(1), 1, c.shape...)}
		m := AttachAs([]*nn.Param{p}, c.granularity, 0.01, 0.005)[0]
		if !slices.Equal(m.Scores.Shape(), c.scores) {
			t.Fatalf("%s of %v: scores %v, want %v", c.granularity, c.shape, m.Scores.Shape(), c.scores)
		}
		v := m.Scores.Float64s()
		v[1] = 0
		m.Scores.SetFloat64(v)
		tape := autograd.NewTape(dev)
		seen, all := p.On(tape).Value.Float64s(), p.Value.Float64s()
		bits, off := m.Bits(), 0
		sums := make([]float64, len(v)) // gradients of Σ w'·i
		cts := dev.New(tensor.Full, append([]int{1}, c.shape...)...)
		ct := make([]float64, len(all))
		for i := range all {
			at, rest := make([]int, len(c.shape)), i
			for k := len(at) - 1; k >= 0; k-- {
				at[k], rest = rest%c.shape[k], rest/c.shape[k]
			}
			want, score := all[i], at[0]
			if c.granularity == "channel" {
				score = at[1]
			}
			if c.hidden(at) {
				want = 0
				off++
			}
			if seen[i] != want || bits[i] == c.hidden(at) {
				t.Errorf("%s of %v, element %v: %g, bit %v", c.granularity, c.shape, at, seen[i], bits[i])
			}
			ct[i] = float64(i + 1)
			sums[score] += ct[i] * all[i]
		}
		if s := SparsityOf([]*Mask{m}); s.Off != off || s.Total != len(all) {
			t.Errorf("%s of %v: %v, want %d of %d", c.granularity, c.shape, s, off, len(all))
		}
		cts.SetFloat64(ct)
		for i, g := range autograd.Pullback(p.On(tape), cts).Of(m.Scores).Float64s() {
			if math.Abs(g-sums[i]) > 1e-13 {
				t.Errorf("%s of %v: gradient %d is %g, want %g", c.granularity, c.shape, i, g, sums[i])
			}
		}
		tape.Release()
		var coarse, fine bytes.Buffer
		digest := strings.Repeat("ab", 32)
		if err := WriteMasks(&coarse, []*Mask{m}, digest, nil); err != nil {
			t.Fatal(err)
		}
		if err := WriteMasks(&fine, []*Mask{Fixed(p, bits)}, digest, nil); err != nil || !bytes.Equal(coarse.Bytes(), fine.Bytes()) {
			t.Errorf("%s of %v: another file than that of the same bits, %v", c.granularity, c.shape, err)
		}
		m.Detach()
	}
}
