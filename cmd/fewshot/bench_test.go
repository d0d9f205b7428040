package main

import (
	"maps"
	"math"
	"runtime"
	"slices"
	"strings"
	"testing"

	"fewshot/vit"
)

func TestBench(t *testing.T) {
	r := last[benchResult](t, must(t, "bench", "-json", "-model", tiny(t), "-rounds", "2", "-batch", "2", "-only", "gemm,inference,step,scaling,data"))
	kinds := map[string]int{}
	for _, m := range r.Cases {
		kinds[m.Kind]++
		if m.Min <= 0 || m.Min > m.Median || m.Median > m.Max || m.Peak <= 0 || (m.Images > 0) != (m.Kind != "gemm") || (m.Product != nil) != (m.Kind == "gemm") {
			t.Errorf("%+v", m)
		}
		if counted := m.Kind != "data" || strings.HasPrefix(m.Name, "R-AMT"); (m.FLOP > 0) != counted || (m.GFLOPS > 0) != counted {
			t.Errorf("%s: %g operations, %g GFLOP/s", m.Name, m.FLOP, m.GFLOPS)
		}
		if hasPeak := len(r.Peaks) > 0; (m.Share > 0) != (hasPeak && m.FLOP > 0) {
			t.Errorf("%s: share of peak %g, peaks %v", m.Name, m.Share, r.Peaks)
		}
		if related := m.Kind == "scaling" || m.Kind == "data"; (m.Relative > 0) != related {
			t.Errorf("%s: relative %g", m.Name, m.Relative)
		}
	}
	workers := []int{1, 2, runtime.GOMAXPROCS(0), 8 * runtime.GOMAXPROCS(0)}
	slices.Sort(workers)
	want := map[string]int{"gemm": 44, "inference": 3, "step": 3, "scaling": len(slices.Compact(workers)) + 6 + 3, "data": 4}
	if !maps.Equal(kinds, want) || r.Rounds != 2 {
		t.Errorf("%v cases, want %v; %d rounds", kinds, want, r.Rounds)
	}
	if len(r.Peaks) == 0 && strings.Contains(r.Device, "avx") {
		t.Errorf("no peak on %s", r.Device)
	}
	// There may be no reading on a busy machine.
	if trip := r.Trip; trip == nil || trip.Median > 0 && !(1 < trip.Min && trip.Min <= trip.Median && trip.Median <= trip.Max && trip.Max < 1e6) {
		t.Errorf("round trip %+v", trip)
	}
}

func TestBenchMore(t *testing.T) {
	r := last[benchResult](t, must(t, "bench", "-json", "-model", tiny(t), "-rounds", "1", "-only", "gemm,inference", "-batch", "33", "-square", "50", "-match", "square|batch"))
	var names []string
	for _, m := range r.Cases {
		names = append(names, strings.TrimSpace(m.Name))
	}
	if want := []string{"square  50×50×50", "batch 1", "batch 32", "batch 33", "batch 1, weights packed"}; !slices.Equal(names, want) {
		t.Errorf("measured %q, want %q", names, want)
	}
	if sizes, ok := r.Sizes.(map[string]any); !ok || sizes["Layers"] == nil || sizes["Width"] == nil {
		t.Errorf("sizes %+v", r.Sizes)
	}
}

func TestBenchMatch(t *testing.T) {
	out := must(t, "bench", "-model", tiny(t), "-rounds", "1", "-match", "^R-AMT.*off$")
	if strings.Contains(out, "gemm") || strings.Contains(out, "weights on") || !strings.Contains(out, "some weights off") || !strings.Contains(out, "GFLOP/s") {
		t.Error(out)
	}
	if code, _, errw := cli(t, "bench", "-model", tiny(t), "-only", "inference", "-match", "nothing"); code != exitUsage || !strings.Contains(errw, `-match "nothing": no case`) {
		t.Errorf("exit code %d\n%s", code, errw)
	}
	r := last[benchResult](t, must(t, "bench", "-json", "-model", tiny(t), "-rounds", "1", "-only", "scaling", "-match", "batch 4$"))
	if len(r.Cases) != 1 || r.Cases[0].Relative != 0 {
		t.Errorf("without the first case there is nothing to compare with: %+v", r.Cases)
	}
}

// The operations counted from sizes are those of the published table: 17.56 GMAC for ViT-B/16, less what the last block
// saves by computing the class token alone.
func TestCountedOperations(t *testing.T) {
	c := archs["ViT-B-16"].(vit.Config)
	if n := c.Tokens(); n != 197 {
		t.Fatalf("%d tokens", n)
	}
	in, attention, out, mlp := blockFLOP(c, false)
	block := in + attention + out + mlp
	in, attention, out, mlp = blockFLOP(c, true)
	whole := forwardFLOP(c) + block - (in + attention + out + mlp)
	if got := whole / 2e9; math.Abs(got-17.56) > 0.02 {
		t.Errorf("%.3f GMAC forwards, published 17.56", got)
	}
	// The last block: one token through all weights, and twelve heads that score, and add up, tokens of full width.
	if got, want := in+attention+out+mlp, 2.*(12*768*768+2*12*197*768); got != want {
		t.Errorf("%g operations in the last block, want %g", got, want)
	}
	// A step: two forwards, twice the way back, with weight gradients for attention only: 82 GMAC without any saving.
	if got := stepFLOP(c, true) / 2e9; got < 70 || got > 82 {
		t.Errorf("%.2f GMAC a step, published at most 82", got)
	}
	if r := stepFLOP(c, true) / stepFLOP(c, false); r != 2 {
		t.Errorf("a step with two losses costs %g of one with one", r)
	}
}

// Those of a ResNet are of the published table too: 5.37 GMAC in the convolutions of RN50. What the attention pool
// costs less is not among them.
func TestCountedOperationsOfResNets(t *testing.T) {
	for name, want := range map[string]float64{"RN50": 5.37, "RN101": 9.08} {
		c := archs[name].(vit.ResNetConfig)
		all, first := netFLOP(c)
		pool := 2*3*2048.*2048 + 2*2*32*2048.*50 + 2*2048*float64(c.Embed)
		if got := (all - pool) / 2e9; math.Abs(got-want) > 0.01 {
			t.Errorf("%s: %.3f GMAC in convolutions, published %g", name, got, want)
		}
		if got := stepFLOP(c, true); got != 2*(3*all-first) {
			t.Errorf("%s: %g operations a step", name, got)
		}
	}
}

func TestMedian(t *testing.T) {
	for _, c := range []struct {
		v    []float64
		want float64
	}{{[]float64{3, 1, 2}, 2}, {[]float64{4, 1, 2, 3}, 2.5}, {[]float64{7}, 7}} {
		if got := median(c.v); got != c.want {
			t.Errorf("%v: %g", c.v, got)
		}
	}
}

// A group's figures are those of its samples: medians, and rates by the median time.
func TestSum(t *testing.T) {
	c := &benchCase{measurement: measurement{FLOP: 6e9, Images: 4}, samples: []sample{{3, 6, 10, 100}, {1, 2, 30, 300}, {2, 5, 20, 200}}}
	c.sum([]*peakMeter{{Format: "bf16", readings: []float64{1}}, {Format: "float32", readings: []float64{5, 7, 6}}}, "float32")
	got := []float64{c.Median, c.Min, c.Max, c.CPU, c.GFLOPS, c.Share, c.Rate, c.Mallocs, c.Allocated}
	if want := []float64{2, 1, 3, 5, 3, 0.5, 2, 20, 200}; !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
}

func TestPeakForFormat(t *testing.T) {
	single, half := &peakMeter{Format: "float32"}, &peakMeter{Format: "bf16"}
	for _, c := range []struct {
		meters []*peakMeter
		format string
		want   *peakMeter
	}{
		{[]*peakMeter{single, half}, "float32", single},
		{[]*peakMeter{single, half}, "bf16", half},
		{[]*peakMeter{single}, "bf16", single},
		{nil, "float32", nil},
	} {
		if got := peakFor(c.meters, c.format); got != c.want {
			t.Errorf("%s of %d meters: %+v", c.format, len(c.meters), got)
		}
	}
}
