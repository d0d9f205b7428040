package simd

import (
	"testing"
	"time"

	"golang.org/x/sys/cpu"

	"fewshot/tensor/internal/par"
)

// TestPeak runs every kernel of Peak, and sees that work grows with the workers and that each format is there where the
// processor has it.
func TestPeak(t *testing.T) {
	one, three := par.New(1), par.New(3)
	defer one.Close()
	defer three.Close()
	eachVariant(t, func(t *testing.T) {
		flop := map[string]float64{}
		for _, format := range []string{"float32", "bf16"} {
			if flop[format] = PeakFLOP(one, format); flop[format] == 0 {
				continue
			}
			Peak(one, format)
			if got := PeakFLOP(three, format); got != 3*flop[format] {
				t.Errorf("%s: %g operations with one worker, %g with three", format, flop[format], got)
			}
		}
		bf16 := 0.0
		if Kernels() == "avx512" && cpu.X86.HasAVX512BF16 {
			bf16 = 1
		}
		if Loop(one); LoopFLOP(one) < flop["float32"]/2 || LoopFLOP(three) != 3*LoopFLOP(one) {
			t.Errorf("loop: %g operations with one worker, %g with three", LoopFLOP(one), LoopFLOP(three))
		}
		if flop["float32"] == 0 || min(flop["bf16"], 1) != bf16 {
			t.Errorf("%v operations", flop)
		}
	})
}

func TestPeakWithoutKernels(t *testing.T) {
	defer Use("")()
	p := par.New(1)
	defer p.Close()
	if n := PeakFLOP(p, "float32") + LoopFLOP(p); n != 0 {
		t.Errorf("%g operations", n)
	}
	defer func() {
		if recover() == nil {
			t.Error("Peak without a kernel returned")
		}
	}()
	Peak(p, "float32")
}

// BenchmarkPeak is what the Gemm kernels are measured against.
func BenchmarkPeak(b *testing.B) {
	p := par.New(0)
	defer p.Close()
	for _, v := range machine {
		for _, format := range []string{"float32", "bf16"} {
			b.Run("impl="+v.name+"/format="+format, func(b *testing.B) {
				defer Use(v.name)()
				flop := PeakFLOP(p, format)
				if flop == 0 {
					b.Skip("not on this machine")
				}
				for b.Loop() {
					Peak(p, format)
				}
				b.ReportMetric(flop*float64(b.N)/float64(b.Elapsed()/time.Nanosecond), "GFLOP/s")
			})
		}
	}
}
