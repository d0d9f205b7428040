package tensortest

import (
	"math"
	"strings"

	"fewshot/tensor"
)

var deviceCases = []testCase{
	{name: "Describe", run: describe},
	{name: "Kernels", run: kernels},
	{name: "ElementSize", run: elementSize},
	{name: "Alloc", run: alloc},
	{name: "Upload", run: upload},
	{name: "Download", run: download},
	{name: "Sync", run: syncs},
}

func describe(r *rig) {
	if r.be.Describe() == "" {
		r.errorf("a device without a description")
	}
}

// kernels say what results depend on, and nothing that they do not, as the number of workers.
func kernels(r *rig) {
	if s := r.be.Kernels(); s == "" || strings.Contains(s, "worker") {
		r.errorf("kernels are called %q", s)
	}
}

// elementSize is that of the format in which the kind is kept, and what memory says of itself.
func elementSize(r *rig) {
	bytes := map[string]int{"float64": 8, "float32": 4, "float16": 2, "bfloat16": 2}
	f := r.dev.formats[r.kind]
	b := r.be.Alloc(1, r.kind)
	if got, want := r.be.ElementSize(r.kind), bytes[f.name]; got != want || int(b.Size) != want {
		r.errorf("a %s has %d bytes, in memory %d, want %d", f.name, got, b.Size, want)
	}
	r.be.Free(b)
}

// alloc also frees: a device that minds would say so at Sync.
func alloc(r *rig) {
	for _, n := range []int{0, 1, 4099} {
		r.variant("n=%d", n)
		b := r.be.Alloc(n, r.kind)
		if b.N != n || b.Kind != r.kind || b.Ptr == 0 && len(b.F32)+len(b.F64)+len(b.BF16) != n {
			r.errorf("Alloc gave %d elements of kind %d, and slices of %d, %d and %d", b.N, b.Kind, len(b.F32), len(b.F64), len(b.BF16))
		}
		if s := b.Slice(n, n); s.N != 0 {
			r.errorf("the empty end of the memory has %d elements", s.N)
		}
		r.be.Free(b)
	}
}

// transfers are float32 values that every device has to carry over, each rounded to the tensor's format.
var transfers = []float32{0, 1, -1, 0.5, 1.0 / 3, -1e-3, 255, 65504, -24576, 0x1p-14}

func upload(r *rig) {
	for _, n := range []int{0, 1, 2, 9, 4099} {
		r.variant("n=%d", n)
		x := r.out(r.kind, n)
		v := make([]float32, n)
		for i := range v {
			v[i] = transfers[i%len(transfers)]
		}
		x.Set(v)
		r.check("Set", x, func() []num {
			want := make([]num, n)
			for i := range want {
				want[i] = exact(float64(v[i]))
			}
			return want
		})
	}
	r.variant("special values")
	x := r.in(r.kind, []float64{math.Inf(1), math.Inf(-1), math.NaN(), math.Copysign(0, -1)}, 4)
	if v := x.v; !math.IsInf(v[0], 1) || !math.IsInf(v[1], -1) || v[2] == v[2] || v[3] != 0 {
		r.errorf("+Inf, -Inf, NaN, -0 arrive as %v", v)
	}
}

// download reads through all ways out.
func download(r *rig) {
	x := r.in(r.kind, r.wide(1001), 7, 11, 13)
	got := x.Floats()
	for i, v := range x.v {
		if got[i] != float32(v) {
			r.errorf("Floats: element %d is %v, want %v", i, got[i], float32(v))
		}
	}
	one := x.View(1001).Rows(500, 501)
	if one.Item() != x.v[500] || x.Index(3).Rows(5, 6).Floats()[12] != float32(x.v[3*143+5*13+12]) {
		r.errorf("views do not show the elements they are views of")
	}
}

// syncs: the order of work is the order of calls, whatever Sync lies between.
func syncs(r *rig) {
	x := r.inout(r.kind, r.whole(5000), 5000)
	for range 4 {
		tensor.Scale(x.Tensor, x.Tensor, 2)
		if err := r.dev.Sync(); err != nil {
			r.errorf("Sync: %v", err)
		}
		tensor.Add(x.Tensor, x.Tensor, x.Tensor)
	}
	r.check("4⁴·x", x, func() []num {
		want := exacts(x.v)
		for i := range want {
			want[i].v *= 256
		}
		return want
	})
}
