package tensortest

import (
	"fmt"
	"slices"
	"testing"

	"fewshot/tensor"
)

// accelerator looks from outside like a device with memory of its own: buffers are addresses, Full tensors
// have the format float32, Compute tensors bfloat16. Inside, the kernels are ref's, and what they write
// is rounded. It shows that the suite holds where formats are mixed, on machines without such a device.
type accelerator struct {
	ref    tensor.Backend
	next   uintptr
	blocks []region // by address
}

type region struct {
	base uintptr
	host tensor.Buf
}

func init() {
	tensor.Register("accelerator", func(_ string, o tensor.Options) (tensor.Backend, error) {
		d, err := tensor.Open("ref", tensor.Options{Workers: 1})
		if err != nil {
			return nil, err
		}
		return &accelerator{ref: d.Backend(), next: 1 << 20}, nil
	})
}

func TestMixedFormats(t *testing.T) {
	d := start(t, func(o tensor.Options) (*tensor.Device, error) { return tensor.Open("accelerator", o) }, tensor.Options{Poison: true})
	if k := d.kinds(); len(k) != 2 || d.formats[0].name != "float32" || d.formats[1].name != "bfloat16" {
		t.Fatalf("%d kinds are told apart, with formats %+v", len(k), d.formats)
	}
	for _, c := range casesOf(tensor.Compute) {
		for _, f := range runCase(d, c, tensor.Compute, nil) {
			t.Errorf("%s: %s", c.name, f)
		}
	}
}

func (a *accelerator) format(k tensor.Kind) format {
	if k == tensor.Full {
		return formats[1]
	}
	return formats[3]
}

func (a *accelerator) find(p uintptr) int {
	i, found := slices.BinarySearchFunc(a.blocks, p, func(r region, p uintptr) int {
		if r.base <= p {
			return -1
		}
		return 1
	})
	if found || i == 0 {
		panic(fmt.Sprintf("no memory at %#x", p))
	}
	return i - 1
}

// at is what is behind a buffer.
func (a *accelerator) at(b tensor.Buf) tensor.Buf {
	if b.Ptr == 0 {
		return tensor.Buf{}
	}
	r := a.blocks[a.find(b.Ptr)]
	lo := int(b.Ptr-r.base) / int(b.Size)
	return r.host.Slice(lo, lo+b.N)
}

// wrote rounds what a kernel has written.
func (a *accelerator) wrote(bs ...tensor.Buf) {
	for _, b := range bs {
		f, v := a.format(b.Kind), a.at(b).F64
		for i := range v {
			v[i] = f.round(v[i])
		}
	}
}

func (a *accelerator) Describe() string { return "float32 and bfloat16, emulated" }

func (a *accelerator) Kernels() string { return "test" }
func (a *accelerator) Sync() error     { return a.ref.Sync() }
func (a *accelerator) Close() error    { return a.ref.Close() }

func (a *accelerator) ElementSize(k tensor.Kind) int {
	if k == tensor.Full {
		return 4
	}
	return 2
}

func (a *accelerator) Alloc(n int, k tensor.Kind) tensor.Buf {
	b := tensor.Buf{Ptr: a.next, N: n, Kind: k, Size: 4}
	if k == tensor.Compute {
		b.Size = 2
	}
	a.blocks = append(a.blocks, region{a.next, a.ref.Alloc(n, k)})
	a.next += uintptr(n*int(b.Size))/256*256 + 512
	return b
}

func (a *accelerator) Free(b tensor.Buf) {
	i := a.find(b.Ptr)
	a.blocks = slices.Delete(a.blocks, i, i+1)
}

func (a *accelerator) Upload(dst tensor.Buf, src []float32) {
	a.ref.Upload(a.at(dst), src)
	a.wrote(dst)
}

func (a *accelerator) Download(dst []float32, src tensor.Buf) { a.ref.Download(dst, a.at(src)) }

func (a *accelerator) Fill(dst tensor.Buf, c float64) {
	a.ref.Fill(a.at(dst), c)
	a.wrote(dst)
}

func (a *accelerator) Copy2D(dst, src tensor.Buf, rows, cols, ldd, lds int) {
	a.ref.Copy2D(a.at(dst), a.at(src), rows, cols, ldd, lds)
	a.wrote(dst)
}

func (a *accelerator) Add(dst, x, y tensor.Buf) {
	a.ref.Add(a.at(dst), a.at(x), a.at(y))
	a.wrote(dst)
}

func (a *accelerator) Mul(dst, x, y tensor.Buf) {
	a.ref.Mul(a.at(dst), a.at(x), a.at(y))
	a.wrote(dst)
}

func (a *accelerator) Scale(dst, x tensor.Buf, c float64) {
	a.ref.Scale(a.at(dst), a.at(x), c)
	a.wrote(dst)
}

func (a *accelerator) AXPY(dst tensor.Buf, c float64, x tensor.Buf) {
	a.ref.AXPY(a.at(dst), c, a.at(x))
	a.wrote(dst)
}

func (a *accelerator) Exp(dst, x tensor.Buf) {
	a.ref.Exp(a.at(dst), a.at(x))
	a.wrote(dst)
}

func (a *accelerator) Mask(dst, w, s tensor.Buf, t float64) {
	a.ref.Mask(a.at(dst), a.at(w), a.at(s), t)
	a.wrote(dst)
}

func (a *accelerator) Activate(dst, x tensor.Buf, f tensor.Activation) {
	a.ref.Activate(a.at(dst), a.at(x), f)
	a.wrote(dst)
}

func (a *accelerator) ActivateGrad(dst, ct, x tensor.Buf, f tensor.Activation) {
	a.ref.ActivateGrad(a.at(dst), a.at(ct), a.at(x), f)
	a.wrote(dst)
}

func (a *accelerator) Softmax(dst, x tensor.Buf, width int) {
	a.ref.Softmax(a.at(dst), a.at(x), width)
	a.wrote(dst)
}

func (a *accelerator) SoftmaxGrad(dst, ct, y tensor.Buf, width int) {
	a.ref.SoftmaxGrad(a.at(dst), a.at(ct), a.at(y), width)
	a.wrote(dst)
}

func (a *accelerator) LayerNorm(dst, stats, x, w, b tensor.Buf, width int, eps float64) {
	a.ref.LayerNorm(a.at(dst), a.at(stats), a.at(x), a.at(w), a.at(b), width, eps)
	a.wrote(dst, stats)
}

func (a *accelerator) LayerNormGrad(dst, ct, x, stats, w tensor.Buf, width int) {
	a.ref.LayerNormGrad(a.at(dst), a.at(ct), a.at(x), a.at(stats), a.at(w), width)
	a.wrote(dst)
}

func (a *accelerator) LayerNormParamGrad(dw, db, ct, x, stats tensor.Buf, width, lanes int) {
	a.ref.LayerNormParamGrad(a.at(dw), a.at(db), a.at(ct), a.at(x), a.at(stats), width, lanes)
	a.wrote(dw, db)
}

func (a *accelerator) L2Normalize(dst, norm, x tensor.Buf, width int) {
	a.ref.L2Normalize(a.at(dst), a.at(norm), a.at(x), width)
	a.wrote(dst, norm)
}

func (a *accelerator) L2NormalizeGrad(dst, ct, y, norm tensor.Buf, width int) {
	a.ref.L2NormalizeGrad(a.at(dst), a.at(ct), a.at(y), a.at(norm), width)
	a.wrote(dst)
}

func (a *accelerator) CrossEntropy(loss, p, x tensor.Buf, labels []int32, width int) {
	a.ref.CrossEntropy(a.at(loss), a.at(p), a.at(x), labels, width)
	a.wrote(loss, p)
}

func (a *accelerator) CrossEntropyGrad(dst, ct, p tensor.Buf, labels []int32, width int) {
	a.ref.CrossEntropyGrad(a.at(dst), a.at(ct), a.at(p), labels, width)
	a.wrote(dst)
}

func (a *accelerator) SoftCrossEntropy(loss, p, q, x, target tensor.Buf, width int) {
	a.ref.SoftCrossEntropy(a.at(loss), a.at(p), a.at(q), a.at(x), a.at(target), width)
	a.wrote(loss, p, q)
}

func (a *accelerator) SoftCrossEntropyGrad(dst, ct, p, q tensor.Buf, width int) {
	a.ref.SoftCrossEntropyGrad(a.at(dst), a.at(ct), a.at(p), a.at(q), width)
	a.wrote(dst)
}

func (a *accelerator) SumTo(dst, x tensor.Buf, lanes int) {
	a.ref.SumTo(a.at(dst), a.at(x), lanes)
	a.wrote(dst)
}

func (a *accelerator) SumSquares(dst, x tensor.Buf) {
	a.ref.SumSquares(a.at(dst), a.at(x))
	a.wrote(dst)
}

func (a *accelerator) Dot(dst, x, y tensor.Buf) {
	a.ref.Dot(a.at(dst), a.at(x), a.at(y))
	a.wrote(dst)
}

func (a *accelerator) CountAbove(dst, x tensor.Buf, t float64) {
	a.ref.CountAbove(a.at(dst), a.at(x), t)
	a.wrote(dst)
}

func (a *accelerator) Gemm(g tensor.GemmArgs) {
	dst := g.Dst
	g.Dst, g.A, g.B, g.Add, g.Bias = a.at(g.Dst), a.at(g.A), a.at(g.B), a.at(g.Add), a.at(g.Bias)
	a.ref.Gemm(g)
	a.wrote(dst)
}

func (a *accelerator) Attention(dst, lse, q, kv tensor.Buf, s tensor.AttentionShape) {
	a.ref.Attention(a.at(dst), a.at(lse), a.at(q), a.at(kv), s)
	a.wrote(dst, lse)
}

func (a *accelerator) AttentionGrad(dq, dkv, ct, q, kv, out, lse tensor.Buf, s tensor.AttentionShape, lanes int) {
	a.ref.AttentionGrad(a.at(dq), a.at(dkv), a.at(ct), a.at(q), a.at(kv), a.at(out), a.at(lse), s, lanes)
	a.wrote(dq, dkv)
}

func (a *accelerator) Conv(dst, x, w, add, bias tensor.Buf, s tensor.ConvShape) {
	a.ref.Conv(a.at(dst), a.at(x), a.at(w), a.at(add), a.at(bias), s)
	a.wrote(dst)
}

func (a *accelerator) ConvGrad(dx, ct, w tensor.Buf, s tensor.ConvShape) {
	a.ref.ConvGrad(a.at(dx), a.at(ct), a.at(w), s)
	a.wrote(dx)
}

func (a *accelerator) ConvWeightGrad(dw, x, ct tensor.Buf, s tensor.ConvShape, lanes int) {
	a.ref.ConvWeightGrad(a.at(dw), a.at(x), a.at(ct), s, lanes)
	a.wrote(dw)
}

func (a *accelerator) AvgPool(dst, x tensor.Buf, s tensor.PoolShape) {
	a.ref.AvgPool(a.at(dst), a.at(x), s)
	a.wrote(dst)
}

func (a *accelerator) AvgPoolGrad(dx, ct tensor.Buf, s tensor.PoolShape) {
	a.ref.AvgPoolGrad(a.at(dx), a.at(ct), s)
	a.wrote(dx)
}

func (a *accelerator) Patches(dst, x tensor.Buf, n, c, h, w, p int) {
	a.ref.Patches(a.at(dst), a.at(x), n, c, h, w, p)
	a.wrote(dst)
}

func (a *accelerator) Gather(dst, table tensor.Buf, ids []int32, width int) {
	a.ref.Gather(a.at(dst), a.at(table), ids, width)
	a.wrote(dst)
}

// ScatterAdd rounds after each row, as a device that adds in place.
func (a *accelerator) ScatterAdd(dst, x tensor.Buf, ids []int32, width, lanes int) {
	rows, table := x.N/lanes, dst.N/lanes
	for lane := range lanes {
		for i := range ids {
			at := lane*rows + i*width
			a.ref.ScatterAdd(a.at(dst.Slice(lane*table, (lane+1)*table)), a.at(x.Slice(at, at+width)), ids[i:i+1], width, 1)
			a.wrote(dst.Slice(lane*table+int(ids[i])*width, lane*table+int(ids[i]+1)*width))
		}
	}
}

func (a *accelerator) AllocBytes(n int) tensor.Bytes            { return a.ref.AllocBytes(n) }
func (a *accelerator) FreeBytes(b tensor.Bytes)                 { a.ref.FreeBytes(b) }
func (a *accelerator) UploadBytes(dst tensor.Bytes, src []byte) { a.ref.UploadBytes(dst, src) }

func (a *accelerator) Resample(dst, levels tensor.Buf, crops []tensor.CropArgs, size int) {
	a.ref.Resample(a.at(dst), a.at(levels), crops, size)
	a.wrote(dst)
}

func (a *accelerator) Uniform(dst tensor.Buf, k tensor.Key) {
	a.ref.Uniform(a.at(dst), k)
	a.wrote(dst)
}

func (a *accelerator) Normal(dst tensor.Buf, k tensor.Key) {
	a.ref.Normal(a.at(dst), k)
	a.wrote(dst)
}

func (a *accelerator) drop(r tensor.GradDropArgs) tensor.GradDropArgs {
	r.Scores, r.SumSquares = a.at(r.Scores), a.at(r.SumSquares)
	return r
}

func (a *accelerator) GradDrop(dst, x, y tensor.Buf, r tensor.GradDropArgs) {
	a.ref.GradDrop(a.at(dst), a.at(x), a.at(y), a.drop(r))
	a.wrote(dst)
}

func (a *accelerator) SignAgree(dst, x, y tensor.Buf, keepZero bool) {
	a.ref.SignAgree(a.at(dst), a.at(x), a.at(y), keepZero)
	a.wrote(dst)
}

func (a *accelerator) SignDrop(dst, x, y tensor.Buf, k tensor.Key) {
	a.ref.SignDrop(a.at(dst), a.at(x), a.at(y), k)
	a.wrote(dst)
}

func (a *accelerator) Adam(w, m, v, g tensor.Buf, s tensor.AdamArgs) {
	a.ref.Adam(a.at(w), a.at(m), a.at(v), a.at(g), s)
	a.wrote(w, m, v)
}

func (a *accelerator) GradDropAdam(w, m, v, ga, gb tensor.Buf, r tensor.GradDropArgs, s tensor.AdamArgs) {
	a.ref.GradDropAdam(a.at(w), a.at(m), a.at(v), a.at(ga), a.at(gb), a.drop(r), s)
	a.wrote(w, m, v)
}

func (a *accelerator) SGD(w, v, g tensor.Buf, lr, momentum, decay float64) {
	a.ref.SGD(a.at(w), a.at(v), a.at(g), lr, momentum, decay)
	a.wrote(w, v)
}

func (a *accelerator) Sinkhorn(dst, s tensor.Buf, o tensor.SinkhornArgs) {
	a.ref.Sinkhorn(a.at(dst), a.at(s), o)
}
