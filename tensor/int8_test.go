package tensor_test

import (
	"math"
	"slices"
	"testing"

	"fewshot/tensor"
	"fewshot/tensor/internal/simd"
)

// Products by quantised weights are what integers give, to the bit, with kernels and without.
func TestQuantize(t *testing.T) {
	for _, kernels := range simd.Variants() {
		t.Run("kernels "+kernels, func(t *testing.T) {
			defer simd.Use(kernels)()
			dev, err := tensor.Open("cpu", tensor.Options{Precision: "int8", Workers: 2})
			if err != nil {
				t.Fatal(err)
			}
			defer dev.Close()
			const m, n, k = 2 * 9, 37, 75
			x, w := dev.New(tensor.Compute, 2, 9, k), dev.New(tensor.Compute, n, k)
			tensor.Normal(x, tensor.NewKey(1))
			tensor.Normal(w, tensor.NewKey(2))
			bias, add, dst := dev.New(tensor.Full, n), dev.New(tensor.Compute, 2, 9, n), dev.New(tensor.Compute, 2, 9, n)
			tensor.Normal(bias, tensor.NewKey(3))
			tensor.Normal(add, tensor.NewKey(4))
			o := tensor.GemmOptions{TransB: true, Bias: bias, Add: add}
			tensor.Gemm(dst, x, w, o)
			exact := dst.Floats()
			tensor.Quantize(w)
			tensor.Gemm(dst, x, w, o)
			got := dst.Floats()
			xs, ws, bs, as := x.Floats(), w.Floats(), bias.Floats(), add.Floats()
			for i := range m {
				for j := range n {
					want, bound := naive(xs[i*k:][:k], ws[j*k:][:k])
					want = float32(float32(want+bs[j]) + as[i*n+j])
					if v := got[i*n+j]; v != want {
						t.Fatalf("row %d, column %d: %g, want %g", i, j, v, want)
					}
					if d := math.Abs(float64(want - exact[i*n+j])); d > bound || d == 0 && i == 0 && j == 0 {
						t.Errorf("row %d, column %d: %g from %g, more than quantisation explains, or nothing at all", i, j, d, exact[i*n+j])
					}
				}
			}
			tensor.Unpack(w)
			tensor.Gemm(dst, x, w, o)
			for i, v := range dst.Floats() {
				if v != exact[i] {
					t.Fatal("Unpack leaves integers behind")
				}
			}
			tensor.Discard(w) // which has no integers to be left with
			if !slices.Equal(w.Floats(), ws) {
				t.Error("Discard of what is not quantised")
			}
			tensor.Quantize(w)
			tensor.Discard(w)
			tensor.Quantize(w) // as of one that several encoders share
			tensor.Gemm(dst, x, w, o)
			if !slices.Equal(dst.Floats(), got) {
				t.Error("without its elements the product is another")
			}
			func() {
				defer func() {
					if recover() == nil {
						t.Error("elements that are gone were set")
					}
				}()
				w.Set(ws)
			}()
			w.Release()
			if again := dev.New(tensor.Compute, n, k); len(again.Memory()) != n*k {
				t.Error("memory that was given back is in the pool")
			}
		})
	}
	dev, err := tensor.Open("cpu", tensor.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer dev.Close()
	w := dev.Zeros(tensor.Compute, 3, 4)
	tensor.Quantize(w)
	if w.Buf().Packed.Transposed != nil {
		t.Error("a device of float32 has quantised weights")
	}
}

// naive is a product by its definition, and a bound of its distance from the exact one: both factors are off by half a
// step, and their errors multiply too; float32 adds some of its own.
func naive(x, w []float32) (float32, float64) {
	lo, hi, most := float32(0), float32(0), float32(0)
	for i := range x {
		lo, hi, most = min(lo, x[i]), max(hi, x[i]), max(most, float32(math.Abs(float64(w[i]))))
	}
	inverse, zero, scale := 255/(hi-lo), 0.0, (hi-lo)/255
	zero = math.RoundToEven(float64(-lo * inverse))
	sum, bound := 0, 0.0
	for i := range x {
		q := min(math.RoundToEven(float64(x[i]*inverse))+zero, 255) - zero
		r := math.RoundToEven(float64(w[i] * (127 / most)))
		sum += int(q) * int(r)
		dx, dw := 1.01*float64(scale), 0.51*float64(most)/127
		bound += math.Abs(float64(x[i]))*dw + math.Abs(float64(w[i]))*dx + dx*dw
	}
	v := float32(float32(sum) * scale)
	return float32(v * (most / 127)), bound + 1e-4
}
