//go:build cuda

package cuda

import (
	"errors"
	"fmt"
	"strconv"

	"fewshot/cuda/internal/driver"
	"fewshot/cuda/kernels"
	"fewshot/tensor"
)

func init() { tensor.Register("cuda", open) }

// open opens the GPU that arg numbers, the first if it is empty.
func open(arg string, o tensor.Options) (tensor.Backend, error) {
	ordinal := 0
	if arg != "" {
		n, err := strconv.Atoi(arg)
		if err != nil || n < 0 {
			return nil, fmt.Errorf("%q is not the number of a GPU; want cuda:0, cuda:1, …", arg)
		}
		ordinal = n
	}
	b := &backend{args: new([argWords]uint64), debug: driver.Setting("FEWSHOT_CUDA_DEBUG") != ""}
	switch o.Precision {
	case "", "float32":
	case "bf16":
		b.narrow = true
	default:
		return nil, fmt.Errorf("precision %q is not offered; this device computes in float32 or bf16", o.Precision)
	}
	d, err := driver.Open(ordinal)
	if err != nil {
		return nil, fmt.Errorf("%w; -device cpu needs no GPU", err)
	}
	b.dev = d
	if err := b.prepare(); err != nil {
		return nil, errors.Join(err, d.Close())
	}
	return b, nil
}

// prepare loads the kernels and sets aside what every step needs.
func (b *backend) prepare() error {
	about := b.dev.About()
	if about.Capability[0] < 8 {
		return fmt.Errorf("%s has compute capability %d.%d; the kernels need 8.0 or later", about.Name, about.Capability[0], about.Capability[1])
	}
	if about.CuBLASLt == 0 && !refusedByUser(about.Searched) {
		return fmt.Errorf("cuBLASLt was not found; tried %s. Set FEWSHOT_CUBLASLT to the path of libcublasLt.so.12 or .13, which comes with "+
			"CUDA and with PyTorch (site-packages/nvidia/*/lib), or to none to use the program's own, slow multiplication", about.Searched)
	}
	modules, err := kernels.Modules()
	if err != nil {
		return err
	}
	b.kernels = map[string]kernel{}
	for _, m := range modules {
		names := make([]string, len(m.Kernels))
		for i, k := range m.Kernels {
			names[i] = k.Name
		}
		functions, err := b.dev.Load(m.PTX, names)
		if err != nil {
			return fmt.Errorf("kernels of family %s: %w", m.Family, err)
		}
		for i, k := range m.Kernels {
			b.kernels[k.Name] = kernel{functions[i], uintptr(k.ArgBytes)}
		}
	}
	if err := b.allowShared(); err != nil {
		return err
	}
	return b.openStaging()
}

// refusedByUser: with FEWSHOT_CUBLASLT=none no place is tried.
func refusedByUser(searched string) bool { return searched == "" }

// Kernels names the GPU and, as it decides how products are rounded, its cuBLASLt.
func (b *backend) Kernels() string {
	a := b.dev.About()
	return fmt.Sprintf("cuda %s cublaslt %d", a.Name, a.CuBLASLt)
}

func (b *backend) Describe() string {
	a := b.dev.About()
	precision, products := "float32", "own multiplication"
	if b.narrow {
		precision = "bf16"
	}
	if v := a.CuBLASLt; v != 0 {
		products = fmt.Sprintf("cuBLASLt %d.%d.%d", v/10000, v/100%100, v%100)
	}
	return fmt.Sprintf("cuda %s (%d.%d, %d multiprocessors, %.0f GiB) %s, driver for CUDA %d.%d, %s",
		a.Name, a.Capability[0], a.Capability[1], a.Multiprocessors, float64(a.Memory)/(1<<30), precision, a.Driver/1000, a.Driver%1000/10, products)
}
