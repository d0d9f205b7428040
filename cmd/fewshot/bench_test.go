package main

import (
	"math"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestBench(t *testing.T) {
	r := last[benchResult](t, must(t, "bench", "-json", "-model", tiny(t), "-rounds", "2", "-batch", "4"))
	kinds := map[string]int{}
	for _, m := range r.Cases {
		kinds[m.Kind]++
		if m.FLOP <= 0 || m.Min <= 0 || m.Min > m.Median || m.Median > m.Max || m.GFLOPS <= 0 || m.Peak <= 0 || (m.Images > 0) != (m.Kind != "gemm") {
			t.Errorf("%+v", m)
		}
	}
	if kinds["gemm"] != 12 || kinds["inference"] != 2 || kinds["step"] != 2 || r.Rounds != 2 {
		t.Errorf("%v, %+v", kinds, r)
	}
	if r.Sizes.Layers == 0 || r.Sizes.Width == 0 {
		t.Errorf("sizes %+v", r.Sizes)
	}
	more := last[benchResult](t, must(t, "bench", "-json", "-model", tiny(t), "-rounds", "1", "-batch", "33", "-square", "50"))
	var names []string
	for _, m := range more.Cases {
		names = append(names, strings.TrimSpace(m.Name))
	}
	for _, want := range []string{"square  50×50×50", "batch 1", "batch 32", "batch 33"} {
		if !slices.Contains(names, want) {
			t.Errorf("%q is not among %q", want, names)
		}
	}
	out := must(t, "bench", "-model", tiny(t), "-rounds", "1", "-only", "step")
	if strings.Contains(out, "gemm") || !strings.Contains(out, "some weights off") || !strings.Contains(out, "GFLOP/s") {
		t.Error(out)
	}
}

// The operations counted from sizes are those of the published table: 17.56 GMAC for ViT-B/16, less what the last block
// saves by computing the class token alone.
func TestCountedOperations(t *testing.T) {
	c := archs["ViT-B-16"]
	if n := tokens(c); n != 197 {
		t.Fatalf("%d tokens", n)
	}
	in, attention, out, mlp := blockFLOP(c, false)
	block := in + attention + out + mlp
	in, attention, out, mlp = blockFLOP(c, true)
	whole := forwardFLOP(c) + block - (in + attention + out + mlp)
	if got := whole / 2e9; math.Abs(got-17.56) > 0.02 {
		t.Errorf("%.3f GMAC forwards, published 17.56", got)
	}
	// A step: two forwards, twice the way back, with weight gradients for attention only: 82 GMAC without any saving.
	if got := stepFLOP(c, true) / 2e9; got < 70 || got > 82 {
		t.Errorf("%.2f GMAC a step, published at most 82", got)
	}
	if r := stepFLOP(c, true) / stepFLOP(c, false); r != 2 {
		t.Errorf("a step with two losses costs %g of one with one", r)
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		times []time.Duration
		want  float64
	}{{[]time.Duration{3, 1, 2}, 2}, {[]time.Duration{4, 1, 2, 3}, 2.5}, {[]time.Duration{7}, 7}} {
		m := measurement{FLOP: 1, times: nil}
		for _, d := range c.times {
			m.times = append(m.times, d*time.Second)
		}
		m.sum()
		if m.Median != c.want {
			t.Errorf("%v: %g", c.times, m.Median)
		}
	}
}
