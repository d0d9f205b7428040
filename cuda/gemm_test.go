//go:build cuda

package cuda

import (
	"os"
	"testing"

	"fewshot/tensor"
)

// A product for which cuBLASLt proposes an algorithm and refuses it then is made by the package's own kernel, also in a
// program.
func TestProductThatIsRefusedLate(t *testing.T) {
	simulated(t)
	t.Setenv("FEWSHOT_SIM_REFUSE", "cublasLtMatmul")
	d := device(t, tensor.Options{Precision: "bf16"})
	x, y, z := d.New(tensor.Compute, 16, 16), d.New(tensor.Compute, 16, 16), d.New(tensor.Compute, 16, 16)
	tensor.Fill(x, 2)
	tensor.Fill(y, 3)
	p, err := d.Record(func() { tensor.Gemm(z, x, y, tensor.GemmOptions{}) })
	if err != nil {
		t.Fatal(err)
	}
	tensor.Fill(z, 0)
	p.Run()
	if got := z.Floats(); got[0] != 96 || got[255] != 96 {
		t.Errorf("the product is %v, not 96 everywhere", got)
	}
	if err := p.Release(); err != nil {
		t.Error(err)
	}
	closeDevice(t, d)
}

// The products of an image encoder and of its gradients go to cuBLASLt as they are, and not to the package's own
// kernel, which is many times slower: a device without that kernel, and without the one that converts, makes them
// all.
func TestProductsOfEncodersGoToCuBLASLt(t *testing.T) {
	images, tokens, width := 2, 17, 64
	if os.Getenv("FEWSHOT_GPU") != "" {
		images, tokens, width = 32, 197, 768
	}
	const losses = 2
	rows := images * tokens
	for _, precision := range []string{"float32", "bf16"} {
		d := device(t, tensor.Options{Precision: precision})
		b := d.Backend().(*backend)
		if b.about().CuBLASLt == 0 {
			t.Skip("there is no cuBLASLt")
		}
		delete(b.kernels, "gemm")
		delete(b.kernels, "copy_2d")
		made := func(what string) {
			if err := d.Sync(); err != nil {
				t.Fatalf("%s: %s: %v", precision, what, err)
			}
		}
		for _, layer := range []struct {
			what          string
			rows, in, out int
		}{
			{"patches", images * (tokens - 1), width, width},
			{"queries, keys and values", rows, width, 3 * width},
			{"attention's output", rows, width, width},
			{"the hidden layer", rows, width, 4 * width},
			{"the hidden layer's output", rows, 4 * width, width},
			{"queries of class tokens", images, width, width},
			{"keys and values of the last block", rows, width, 2 * width},
			{"one image's class token", 1, width, 3 * width},
		} {
			x, w := d.Zeros(tensor.Compute, layer.rows, layer.in), d.Zeros(tensor.Compute, layer.out, layer.in)
			y, ct := d.New(tensor.Compute, layer.rows, layer.out), d.Zeros(tensor.Compute, losses, layer.rows, layer.out)
			bias := d.Zeros(d.BiasKind(), layer.out)
			tensor.Gemm(y, x, w, tensor.GemmOptions{TransB: true, Bias: bias})
			made(layer.what)
			residual := d.Zeros(tensor.Compute, layer.rows, layer.out)
			tensor.Gemm(y, x, w, tensor.GemmOptions{TransB: true, Add: residual, Bias: bias})
			made(layer.what + ", added to a residual")
			tensor.Gemm(d.New(tensor.Compute, losses*layer.rows, layer.in), ct.View(losses*layer.rows, layer.out), w, tensor.GemmOptions{})
			made(layer.what + ", backwards to the input")
			tensor.Gemm(d.New(tensor.Full, losses, layer.out, layer.in), ct, x, tensor.GemmOptions{TransA: true})
			made(layer.what + ", backwards to the weight")
		}
		closeDevice(t, d)
	}
}
