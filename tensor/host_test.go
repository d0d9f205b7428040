package tensor

import (
	"fmt"
	"math"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// bench lays out operands for one call of each Backend method and remembers them, so that a run can be
// compared with the run of another device bit by bit.
type bench struct {
	dev  *Device
	key  Key
	held []*Tensor
	text []string // results that are not tensors
}

func (b *bench) normal(shape ...int) Buf {
	t := b.dev.New(Full, shape...)
	b.key = b.key.Fold(1)
	Normal(t, b.key)
	b.held = append(b.held, t)
	return t.Buf()
}

// positive is normal without its signs, and away from 0: norms, second moments, 1/σ.
func (b *bench) positive(shape ...int) Buf {
	t := b.dev.New(Full, shape...)
	b.key = b.key.Fold(1)
	Uniform(t, b.key)
	v := t.Float64s()
	for i := range v {
		v[i] += 0.5
	}
	t.SetFloat64(v)
	b.held = append(b.held, t)
	return t.Buf()
}

func ids(n, below int) []int32 {
	v := make([]int32, n)
	for i := range v {
		v[i] = int32(i * i % below)
	}
	return v
}

// calls has one call of every kernel, large enough for several chunks, with lengths that no block divides.
var calls = map[string]func(b *bench, d Backend){
	"Fill":   func(b *bench, d Backend) { d.Fill(b.normal(20011), 1.5) },
	"Copy2D": func(b *bench, d Backend) { d.Copy2D(b.normal(301*203), b.normal(301*207), 301, 201, 203, 207) },
	"Upload": func(b *bench, d Backend) { d.Upload(b.normal(20011), make([]float32, 20011)) },
	"Download": func(b *bench, d Backend) {
		v := make([]float32, 20011)
		d.Download(v, b.normal(20011))
		b.text = append(b.text, fmt.Sprint(v[:5], v[20010]))
	},
	"Add":   func(b *bench, d Backend) { d.Add(b.normal(53*769), b.normal(53*769), b.normal(769)) },
	"Mul":   func(b *bench, d Backend) { d.Mul(b.normal(53*769), b.normal(53*769), b.normal(53*769)) },
	"Scale": func(b *bench, d Backend) { d.Scale(b.normal(20011), b.normal(20011), 0.3) },
	"AXPY":  func(b *bench, d Backend) { d.AXPY(b.normal(20011), 0.3, b.normal(20011)) },
	"Exp":   func(b *bench, d Backend) { d.Exp(b.normal(5003), b.normal(5003)) },
	"Mask":  func(b *bench, d Backend) { d.Mask(b.normal(20011), b.normal(20011), b.normal(20011), 0.1) },
	"Activate": func(b *bench, d Backend) {
		for a := range ReLU + 1 {
			d.Activate(b.normal(5003), b.normal(5003), a)
		}
	},
	"ActivateGrad": func(b *bench, d Backend) {
		for a := range ReLU + 1 {
			d.ActivateGrad(b.normal(3*5001), b.normal(3*5001), b.normal(5001), a)
		}
	},
	"Softmax": func(b *bench, d Backend) { d.Softmax(b.normal(101*197), b.normal(101*197), 197) },
	"SoftmaxGrad": func(b *bench, d Backend) {
		d.SoftmaxGrad(b.normal(2*101*197), b.normal(2*101*197), b.normal(101*197), 197)
	},
	"LayerNorm": func(b *bench, d Backend) {
		d.LayerNorm(b.normal(101*197), b.normal(202), b.normal(101*197), b.normal(197), b.normal(197), 197, 1e-5)
	},
	"LayerNormGrad": func(b *bench, d Backend) {
		d.LayerNormGrad(b.normal(2*101*197), b.normal(2*101*197), b.normal(101*197), b.positive(202), b.normal(197), 197)
	},
	"LayerNormParamGrad": func(b *bench, d Backend) {
		d.LayerNormParamGrad(b.normal(2*197), b.normal(2*197), b.normal(2*501*197), b.normal(501*197), b.positive(1002), 197, 2)
	},
	"L2Normalize": func(b *bench, d Backend) { d.L2Normalize(b.normal(101*197), b.normal(101), b.normal(101*197), 197) },
	"L2NormalizeGrad": func(b *bench, d Backend) {
		d.L2NormalizeGrad(b.normal(2*101*197), b.normal(2*101*197), b.normal(101*197), b.positive(101), 197)
	},
	"CrossEntropy": func(b *bench, d Backend) {
		d.CrossEntropy(b.normal(1), b.normal(67*103), b.normal(67*103), ids(67, 103), 103)
	},
	"CrossEntropyGrad": func(b *bench, d Backend) {
		d.CrossEntropyGrad(b.normal(2*267*103), b.normal(2), b.normal(267*103), ids(267, 103), 103)
	},
	"SoftCrossEntropy": func(b *bench, d Backend) {
		d.SoftCrossEntropy(b.normal(1), b.normal(67*103), b.normal(67*103), b.normal(67*103), b.normal(67*103), 103)
	},
	"SoftCrossEntropyGrad": func(b *bench, d Backend) {
		d.SoftCrossEntropyGrad(b.normal(2*267*103), b.normal(2), b.normal(267*103), b.normal(267*103), 103)
	},
	"SumTo": func(b *bench, d Backend) {
		d.SumTo(b.normal(2*197), b.normal(2*501*197), 2)
		d.SumTo(b.normal(2*9001), b.normal(2*5*9001), 2)
		d.SumTo(b.normal(2), b.normal(2*20011), 2)
	},
	"SumSquares": func(b *bench, d Backend) { d.SumSquares(b.normal(1), b.normal(50021)) },
	"Dot":        func(b *bench, d Backend) { d.Dot(b.normal(1), b.normal(50021), b.normal(50021)) },
	"CountAbove": func(b *bench, d Backend) { d.CountAbove(b.normal(1), b.normal(50021), 0.2) },
	"Gemm": func(b *bench, d Backend) {
		for i := range 4 {
			g := GemmArgs{Dst: b.normal(3 * 131 * 133), A: b.normal(3 * 131 * 300), B: b.normal(3 * 133 * 300), Bias: b.normal(133),
				M: 131, N: 133, K: 300, TransA: i&1 != 0, TransB: i&2 != 0, LDA: 300, LDB: 133, LDC: 133,
				Batch: 3, StrideA: 131 * 300, StrideB: 133 * 300, StrideC: 131 * 133}
			if g.TransA {
				g.LDA = 131
			}
			if g.TransB {
				g.LDB = 300
			}
			switch i {
			case 1:
				g.Add = g.Dst
			case 2:
				g.Add = b.normal(3 * 131 * 133)
			}
			d.Gemm(g)
		}
	},
	"Sinkhorn": func(b *bench, d Backend) {
		a := SinkhornArgs{Batch: 5, Rows: 7, Columns: 4, Classes: 33, Eps: 0.1, Threshold: 1e-3, Most: 20}
		s := b.positive(5 * 7 * 4 * 33)
		for _, a.Together = range []bool{false, true} {
			d.Sinkhorn(b.normal(5*7*4*33), s, a)
		}
	},
	"Attention": func(b *bench, d Backend) {
		s := AttentionShape{Batch: 2, LenQ: 37, LenKV: 37, Heads: 3, Size: 20, ColsQ: 180, ColsKV: 180, K: 60, V: 120}
		for _, s.Causal = range []bool{false, true} {
			qkv := b.normal(2 * 37 * 180)
			d.Attention(b.normal(2*37*60), b.normal(2*3*37), qkv, qkv, s)
		}
	},
	"AttentionGrad": func(b *bench, d Backend) {
		s := AttentionShape{Batch: 2, LenQ: 37, LenKV: 37, Heads: 3, Size: 20, ColsQ: 180, ColsKV: 180, K: 60, V: 120}
		for _, s.Causal = range []bool{false, true} {
			qkv, out, lse, dqkv := b.normal(2*37*180), b.normal(2*37*60), b.normal(2*3*37), b.normal(2*2*37*180)
			d.Attention(out, lse, qkv, qkv, s)
			d.AttentionGrad(dqkv, dqkv, b.normal(2*2*37*60), qkv, qkv, out, lse, s, 2)
		}
	},
	"Conv": func(b *bench, d Backend) {
		for _, stride := range []int{1, 2} {
			s := ConvShape{N: 3, H: 13, W: 14, C: 19, O: 67, Size: 3, Stride: stride}
			y := s.N * s.OutH() * s.OutW() * s.O
			d.Conv(b.normal(y), b.normal(3*13*14*19), b.normal(9*19*67), b.normal(y), b.normal(67), s)
		}
	},
	"ConvGrad": func(b *bench, d Backend) {
		for _, stride := range []int{1, 2} {
			s := ConvShape{N: 3, H: 13, W: 14, C: 19, O: 67, Size: 3, Stride: stride}
			d.ConvGrad(b.normal(3*13*14*19), b.normal(s.N*s.OutH()*s.OutW()*s.O), b.normal(9*19*67), s)
		}
	},
	"ConvWeightGrad": func(b *bench, d Backend) {
		for _, stride := range []int{1, 2} {
			s := ConvShape{N: 3, H: 13, W: 14, C: 19, O: 67, Size: 3, Stride: stride}
			d.ConvWeightGrad(b.normal(2*9*19*67), b.normal(3*13*14*19), b.normal(2*s.N*s.OutH()*s.OutW()*s.O), s, 2)
		}
	},
	"AvgPool": func(b *bench, d Backend) {
		d.AvgPool(b.normal(5*16*24*37), b.normal(5*32*48*37), PoolShape{N: 5, H: 32, W: 48, C: 37, Size: 2})
	},
	"AvgPoolGrad": func(b *bench, d Backend) {
		d.AvgPoolGrad(b.normal(5*32*48*37), b.normal(5*16*24*37), PoolShape{N: 5, H: 32, W: 48, C: 37, Size: 2})
	},
	"Patches":    func(b *bench, d Backend) { d.Patches(b.normal(5*3*32*48), b.normal(5*3*32*48), 5, 3, 32, 48, 8) },
	"Gather":     func(b *bench, d Backend) { d.Gather(b.normal(301*197), b.normal(53*197), ids(301, 53), 197) },
	"ScatterAdd": func(b *bench, d Backend) { d.ScatterAdd(b.normal(2*53*197), b.normal(2*301*197), ids(301, 53), 197, 2) },
	"Resample": func(b *bench, d Backend) {
		const size, w, h = 37, 53, 71
		pix := make([]byte, 3*w*h)
		for i := range pix {
			pix[i] = byte(i * i)
		}
		at := d.AllocBytes(len(pix))
		d.UploadBytes(at, pix)
		f := make([]int32, 3*size)
		for i := range size {
			f[3*i], f[3*i+1], f[3*i+2] = int32(i/2), 3, int32(3*size)
		}
		f = append(f, 3<<20, -1<<20, 2<<20)
		crops := make([]CropArgs, 9)
		for i := range crops {
			crops[i] = CropArgs{Pix: at.From(3 * (i*w + i)), Stride: 3 * w, Columns: f, Rows: f, Flip: i%2 > 0}
		}
		d.Resample(b.normal(len(crops)*3*size*size), b.normal(3*256), crops, size)
	},
	"Uniform": func(b *bench, d Backend) { d.Uniform(b.normal(20011), NewKey(7)) },
	"Normal":  func(b *bench, d Backend) { d.Normal(b.normal(20011), NewKey(7)) },
	"GradDrop": func(b *bench, d Backend) {
		d.GradDrop(b.normal(5003), b.normal(5003), b.normal(5003), b.dropArgs(5003))
	},
	"SignAgree": func(b *bench, d Backend) { d.SignAgree(b.normal(20011), b.normal(20011), b.normal(20011), true) },
	"SignDrop":  func(b *bench, d Backend) { d.SignDrop(b.normal(5003), b.normal(5003), b.normal(5003), NewKey(7)) },
	"Adam": func(b *bench, d Backend) {
		d.Adam(b.normal(5003), b.normal(5003), b.positive(5003), b.normal(5003), adamStep)
	},
	"GradDropAdam": func(b *bench, d Backend) {
		d.GradDropAdam(b.normal(5003), b.normal(5003), b.positive(5003), b.normal(5003), b.normal(5003), b.dropArgs(5003), adamStep)
	},
	"SGD": func(b *bench, d Backend) { d.SGD(b.normal(20011), b.normal(20011), b.normal(20011), 0.1, 0.9, 0.01) },
}

var adamStep = AdamArgs{LR: 1e-3, Beta1: 0.9, Beta2: 0.999, Eps: 1e-8, Decay: 0.01, Step: 3}

func (b *bench) dropArgs(n int) GradDropArgs {
	return GradDropArgs{Leak: 0.7, Eps: 1e-8, Key: NewKey(3), Penalty: 0.1, Scores: b.normal(n), SumSquares: b.positive(1)}
}

func TestCallsAreComplete(t *testing.T) {
	notKernels := []string{"Describe", "Kernels", "ElementSize", "Alloc", "Free", "AllocBytes", "FreeBytes", "UploadBytes", "Sync", "Close"}
	backend := reflect.TypeFor[Backend]()
	for i := range backend.NumMethod() {
		name := backend.Method(i).Name
		if calls[name] == nil && !slices.Contains(notKernels, name) {
			t.Errorf("no call of %s: its results are not compared over numbers of workers", name)
		}
	}
}

// run makes all calls of the name and returns every bit that they could have written.
func run(t *testing.T, device string, workers int, name string) (bits []uint64, text []string) {
	d, err := Open(device, Options{Workers: workers})
	if err != nil {
		t.Fatal(err)
	}
	defer d.Close()
	b := &bench{dev: d, key: NewKey(1).Name(name)}
	calls[name](b, d.Backend())
	for _, h := range b.held {
		for _, v := range h.Float64s() {
			bits = append(bits, math.Float64bits(v))
		}
	}
	return bits, b.text
}

// Results are the same bits for any number of workers.
func TestWorkersChangeNothing(t *testing.T) {
	for _, device := range []string{"cpu", "ref"} {
		for name := range calls {
			t.Run(device+"/"+name, func(t *testing.T) {
				want, wantText := run(t, device, 1, name)
				for _, w := range []int{2, 3, 7, 16} {
					got, text := run(t, device, w, name)
					if !slices.Equal(text, wantText) {
						t.Fatalf("%d workers: %v, 1 worker: %v", w, text, wantText)
					}
					for i := range want {
						if got[i] != want[i] {
							t.Fatalf("%d workers, element %d of all operands: %v, 1 worker: %v", w, i,
								math.Float64frombits(got[i]), math.Float64frombits(want[i]))
						}
					}
				}
			})
		}
	}
}

func TestOpenErrors(t *testing.T) {
	for _, c := range []struct {
		device string
		o      Options
		want   string
	}{
		{"gpu", Options{}, `device "gpu" is not known; this binary has`},
		{"cpu:1", Options{}, `device "cpu:1": there is only one of this kind; drop ":1"`},
		{"cpu", Options{Precision: "fp8"}, `device "cpu": precision "fp8" is not offered; this device computes in float32, bf16 or int8`},
		{"ref", Options{Precision: "float32"}, `device "ref": precision "float32" is not offered; this device computes in float64`},
		{"cpu", Options{Workers: -1}, `device "cpu": -1 workers: want 1 to 1024, or 0 for one a core`},
		{"ref", Options{Workers: 5000}, `device "ref": 5000 workers: want 1 to 1024, or 0 for one a core`},
	} {
		if _, err := Open(c.device, c.o); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Open(%q, %+v): %v, want %q", c.device, c.o, err, c.want)
		}
	}
}

func TestDescribe(t *testing.T) {
	for device, want := range map[string]string{"cpu": "float32, 3 workers", "ref": "float64, 3 workers"} {
		d, err := Open(device, Options{Workers: 3})
		if err != nil {
			t.Fatal(err)
		}
		if got := d.Describe(); !strings.Contains(got, want) {
			t.Errorf("%s: %q lacks %q", device, got, want)
		}
		if err := d.Close(); err != nil {
			t.Error(err)
		}
	}
}
