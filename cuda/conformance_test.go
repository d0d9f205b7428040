//go:build cuda

package cuda

import (
	"os"
	"strings"
	"testing"

	"fewshot/tensor"
	"fewshot/tensor/tensortest"
)

// TestMain keeps a GPU open all the while: otherwise its context would be made anew for each test that opens it,
// which takes longer than most of them.
func TestMain(m *testing.M) {
	if os.Getenv("FEWSHOT_GPU") != "" {
		tensor.Open("cuda", tensor.Options{}) // what is wrong with it, tests say
	}
	os.Exit(m.Run())
}

// device opens the GPU, or the simulated one of cuda/sim. Without either the test is skipped; FEWSHOT_GPU=1
// makes that an error.
func device(t testing.TB, o tensor.Options) *tensor.Device {
	t.Helper()
	d, err := tensor.Open("cuda", o)
	if err != nil {
		if os.Getenv("FEWSHOT_GPU") == "" && os.Getenv("FEWSHOT_SIM") == "" {
			t.Skip(err)
		}
		t.Fatal(err)
	}
	return d
}

// closeDevice closes a device whose work went well.
func closeDevice(t testing.TB, d *tensor.Device) {
	t.Helper()
	if err := d.Sync(); err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}

// simulated skips tests that steer the simulated device.
func simulated(t *testing.T) {
	t.Helper()
	if os.Getenv("FEWSHOT_SIM") == "" {
		t.Skip("this is about the simulated device: run cuda/sim/test.sh")
	}
}

// Between them the two runs take every kernel through both formats, and products through cuBLASLt, the package's own
// kernel, and the way from the one to the other: operands lie at all alignments, of which cuBLASLt refuses some.
func TestConformance(t *testing.T) {
	for _, c := range []struct{ precision, products string }{{"bf16", ""}, {"float32", "none"}} {
		t.Run(c.precision, func(t *testing.T) {
			if c.products != "" {
				t.Setenv("FEWSHOT_CUBLASLT", c.products)
			}
			d := device(t, tensor.Options{Precision: c.precision})
			t.Log(d.Describe())
			closeDevice(t, d)
			tensortest.Run(t, func(o tensor.Options) (*tensor.Device, error) {
				o.Precision = c.precision
				return tensor.Open("cuda:0", o)
			})
		})
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, c := range []struct {
		name, precision, want string
	}{
		{"cuda:x", "", `"x" is not the number of a GPU; want cuda:0, cuda:1, …`},
		{"cuda:-1", "", `"-1" is not the number of a GPU`},
		{"cuda", "fp8", `precision "fp8" is not offered; this device computes in float32 or bf16`},
	} {
		_, err := tensor.Open(c.name, tensor.Options{Precision: c.precision})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Open(%q, %q): error %v, want %q", c.name, c.precision, err, c.want)
		}
	}
	if _, err := tensor.Open("cuda:99", tensor.Options{}); err == nil ||
		!strings.Contains(err.Error(), "GPU 99 does not exist") && !strings.Contains(err.Error(), "libcuda.so.1") {
		t.Errorf("Open(cuda:99): error %v, want one that says that the driver or the GPU is missing", err)
	}
}
