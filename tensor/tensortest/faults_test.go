package tensortest

import (
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"fewshot/tensor"
)

// broken is the device ref with one fault, of those that its methods ask for by b.is. The fault's name
// starts with the method that has it. It is the positive control of the suite: each fault must be found
// by a case about that method.
type broken struct {
	tensor.Backend
	fault   string
	workers int
	memory  []tensor.Buf
	failed  error
}

func (b *broken) is(fault string) bool { return b.fault == fault }

func init() {
	tensor.Register("broken", func(fault string, o tensor.Options) (tensor.Backend, error) {
		d, err := tensor.Open("ref", tensor.Options{Workers: 1})
		if err != nil {
			return nil, err
		}
		return &broken{Backend: d.Backend(), fault: fault, workers: o.Workers}, nil
	})
}

// faults lists the faults by what the methods of broken ask for.
func faults(t *testing.T) (names []string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), "faults_test.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	ast.Inspect(file, func(n ast.Node) bool {
		if call, ok := n.(*ast.CallExpr); ok {
			if f, ok := call.Fun.(*ast.SelectorExpr); ok && f.Sel.Name == "is" {
				name, err := strconv.Unquote(call.Args[0].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, name)
			}
		}
		return true
	})
	return names
}

func openBroken(t *testing.T, fault string, workers int) *device {
	t.Helper()
	d := start(t, func(o tensor.Options) (*tensor.Device, error) { return tensor.Open("broken:"+fault, o) },
		tensor.Options{Poison: true, Workers: workers})
	d.impatient = true
	t.Cleanup(func() { d.Close() })
	return d
}

func TestFaultsAreFound(t *testing.T) {
	var broken []string
	for _, fault := range faults(t) {
		t.Run(fault, func(t *testing.T) {
			method, _, _ := strings.Cut(fault, ":")
			broken = append(broken, method)
			d := openBroken(t, fault, 1)
			for _, c := range table() {
				if c.method() == method && len(runCase(d, c, tensor.Full, nil)) > 0 {
					return
				}
			}
			t.Error("no case finds this fault")
		})
	}
	for _, m := range methodsOf(t) {
		if !slices.Contains(broken, m) && elsewhere[m] == "" {
			t.Errorf("there is no fault to try the cases of %s on", m)
		}
	}
}

// Without a fault the wrapper is as good as what it wraps: it is the faults that are found.
func TestNoFaultIsFoundWhereNoneIs(t *testing.T) {
	d := openBroken(t, "", 1)
	for _, c := range table() {
		for _, f := range runCase(d, c, tensor.Full, nil) {
			t.Errorf("%s: %s", c.name, f)
		}
	}
}

// A sum that depends on the number of workers, and is yet within the bounds.
func TestDifferentBitsAreFound(t *testing.T) {
	sums := func(tensor.Kind) []testCase {
		return slices.DeleteFunc(table(), func(c testCase) bool { return c.name != "Dot" })
	}
	one, failed := results(openBroken(t, "workers matter", 1), sums)
	if len(one) == 0 || len(failed) > 0 {
		t.Fatalf("%d results; %v", len(one), failed)
	}
	two, _ := results(openBroken(t, "workers matter", 2), sums)
	if names := different(one, two); len(names) == 0 {
		t.Error("the results are called the same")
	}
	if names := different(one, slices.Clone(one)); len(names) != 0 {
		t.Errorf("equal results are called different: %v", names)
	}
	d := openBroken(t, "workers matter", 2)
	for _, c := range sums(tensor.Full) {
		for _, f := range runCase(d, c, tensor.Full, nil) {
			t.Errorf("the difference is not one of mere rounding: %s", f)
		}
	}
}

// copyOf is a new buffer with the values of x.
func copyOf(x tensor.Buf) tensor.Buf {
	x.F64 = slices.Clone(x.F64)
	return x
}

// mapped is a new buffer with f of each element's index and value.
func mapped(x tensor.Buf, f func(i int, v float64) float64) tensor.Buf {
	x = copyOf(x)
	for i, v := range x.F64 {
		x.F64[i] = f(i, v)
	}
	return x
}

// rotated starts at element n of x and ends with what lies before it.
func rotated(x tensor.Buf, n int) tensor.Buf {
	if x.N == 0 {
		return x
	}
	n = (n%x.N + x.N) % x.N
	x.F64 = slices.Concat(x.F64[n:], x.F64[:n])
	return x
}

// without is x without its last element.
func without(x tensor.Buf) tensor.Buf { return x.Slice(0, max(x.N-1, 0)) }

// Memory

func (b *broken) Describe() string {
	if b.is("Describe: nothing") {
		return ""
	}
	return b.Backend.Describe()
}

func (b *broken) Kernels() string {
	if b.is("Kernels: workers too") {
		return b.Backend.Describe()
	}
	return b.Backend.Kernels()
}

func (b *broken) ElementSize(k tensor.Kind) int {
	if b.is("ElementSize: half") {
		return b.Backend.ElementSize(k) / 2
	}
	return b.Backend.ElementSize(k)
}

func (b *broken) Alloc(n int, k tensor.Kind) tensor.Buf {
	m := b.Backend.Alloc(n, k)
	b.memory = append(b.memory, m)
	if b.is("Alloc: one too few of many") && n > 4000 {
		return without(m)
	}
	return m
}

func (b *broken) Free(m tensor.Buf) {
	if b.is("Alloc: memory is given back twice") {
		b.failed = fmt.Errorf("invalid free")
	}
	b.Backend.Free(m)
}

func (b *broken) Sync() error {
	if b.is("Sync: always an error") {
		return fmt.Errorf("device lost")
	}
	return b.failed
}

func (b *broken) Upload(dst tensor.Buf, src []float32) {
	if b.is("Upload: leaves the last") && dst.N > 0 {
		dst, src = without(dst), src[:dst.N-1]
	}
	b.Backend.Upload(dst, src)
}

func (b *broken) Download(dst []float32, src tensor.Buf) {
	if b.is("Download: rotates") {
		src = rotated(src, 1)
	}
	b.Backend.Download(dst, src)
}

func (b *broken) Fill(dst tensor.Buf, c float64) {
	if b.is("Fill: in float32") {
		c = float64(float32(c))
	}
	b.Backend.Fill(dst, c)
}

func (b *broken) Copy2D(dst, src tensor.Buf, rows, cols, ldd, lds int) {
	if b.is("Copy2D: takes src for dense") {
		lds = cols
	}
	if b.is("Copy2D: fills gaps") && rows > 1 && cols < min(ldd, lds) {
		cols++
		rows--
	}
	b.Backend.Copy2D(dst, src, rows, cols, ldd, lds)
}

// Elementwise

func (b *broken) Add(dst, x, y tensor.Buf) {
	if b.is("Add: the suffix starts one late") {
		y = rotated(y, 1)
	}
	if b.is("Add: NaN is 0") {
		x = mapped(x, func(_ int, v float64) float64 {
			if v != v {
				return 0
			}
			return v
		})
	}
	b.Backend.Add(dst, x, y)
	if b.is("Add: writes before its beginning") && dst.N > 0 {
		b.before(dst, 7)
	}
}

// before writes v right before dst, whatever tensor that is in.
func (b *broken) before(dst tensor.Buf, v float64) {
	for _, m := range b.memory {
		for i := 1; i < m.N; i++ {
			if &m.F64[i] == &dst.F64[0] {
				m.F64[i-1] = v
			}
		}
	}
}

func (b *broken) Mul(dst, x, y tensor.Buf) {
	if b.is("Mul: meets the suffix once") && y.N < x.N {
		dst, x = dst.Slice(0, y.N), x.Slice(0, y.N)
	}
	b.Backend.Mul(dst, x, y)
}

func (b *broken) Scale(dst, x tensor.Buf, c float64) {
	if b.is("Scale: in float32") {
		c = float64(float32(c))
	}
	b.Backend.Scale(dst, x, c)
}

func (b *broken) AXPY(dst tensor.Buf, c float64, x tensor.Buf) {
	if b.is("AXPY: overwrites") {
		b.Backend.Scale(dst, x, c)
		return
	}
	b.Backend.AXPY(dst, c, x)
}

func (b *broken) Exp(dst, x tensor.Buf) {
	if b.is("Exp: goes only to 88") {
		x = mapped(x, func(_ int, v float64) float64 { return min(v, 88) })
	}
	b.Backend.Exp(dst, x)
	if b.is("Exp: spoils x") && dst.N > 0 {
		x.F64[x.N/2] = 0
	}
}

func (b *broken) Mask(dst, w, s tensor.Buf, t float64) {
	if b.is("Mask: keeps the threshold") {
		t = math.Nextafter(t, math.Inf(-1))
	}
	b.Backend.Mask(dst, w, s, t)
	if b.is("Mask: multiplies") {
		for i, v := range w.F64 {
			dst.F64[i] += 0 * v
		}
	}
}

func (b *broken) Activate(dst, x tensor.Buf, a tensor.Activation) {
	if b.is("Activate: GELU by tanh") && a == tensor.GELU {
		for i, v := range x.F64 {
			dst.F64[i] = v / 2 * (1 + math.Tanh(math.Sqrt(2/math.Pi)*(v+0.044715*v*v*v)))
		}
		return
	}
	if b.is("Activate: QuickGELU of 1.7x") && a == tensor.QuickGELU {
		for i, v := range x.F64 {
			dst.F64[i] = v / (1 + math.Exp(-1.7*v))
		}
		return
	}
	b.Backend.Activate(dst, x, a)
}

func (b *broken) ActivateGrad(dst, ct, x tensor.Buf, a tensor.Activation) {
	if b.is("ActivateGrad: ReLU has a slope at 0") && a == tensor.ReLU {
		x = mapped(x, func(_ int, v float64) float64 { return v + 1e-300 })
	}
	if b.is("ActivateGrad: forgets the lanes") {
		dst = dst.Slice(0, x.N)
		ct = ct.Slice(0, x.N)
	}
	b.Backend.ActivateGrad(dst, ct, x, a)
}

// Rowwise

func (b *broken) Softmax(dst, x tensor.Buf, width int) {
	if b.is("Softmax: does not shift") {
		for r := 0; r+width <= x.N; r += width {
			sum := 0.0
			for i := r; i < r+width; i++ {
				dst.F64[i] = math.Exp(x.F64[i])
				sum += dst.F64[i]
			}
			for i := r; i < r+width; i++ {
				dst.F64[i] /= sum
			}
		}
		return
	}
	b.Backend.Softmax(dst, x, width)
}

func (b *broken) SoftmaxGrad(dst, ct, y tensor.Buf, width int) {
	if b.is("SoftmaxGrad: without the sum") {
		b.Backend.Mul(dst, ct, y)
		return
	}
	if b.is("SoftmaxGrad: meets the next row") {
		y = rotated(y, width)
	}
	b.Backend.SoftmaxGrad(dst, ct, y, width)
}

func (b *broken) LayerNorm(dst, stats, x, w, bias tensor.Buf, width int, eps float64) {
	if b.is("LayerNorm: without bias") {
		bias = mapped(bias, func(int, float64) float64 { return 0 })
	}
	if b.is("LayerNorm: eps is 1e-6 less") {
		eps -= 1e-6
	}
	b.Backend.LayerNorm(dst, stats, x, w, bias, width, eps)
	if b.is("LayerNorm: stats have the variance unbiased") && width > 1 {
		for i := 1; i < stats.N; i += 2 {
			stats.F64[i] *= math.Sqrt(float64(width-1) / float64(width))
		}
	}
}

func (b *broken) LayerNormGrad(dst, ct, x, stats, w tensor.Buf, width int) {
	if b.is("LayerNormGrad: the mean is not that of g") {
		w = rotated(w, 1)
	}
	if b.is("LayerNormGrad: meets the next row") {
		x, stats = rotated(x, width), rotated(stats, 2)
	}
	b.Backend.LayerNormGrad(dst, ct, x, stats, w, width)
}

func (b *broken) LayerNormParamGrad(dw, db, ct, x, stats tensor.Buf, width, lanes int) {
	b.Backend.LayerNormParamGrad(dw, db, ct, x, stats, width, lanes)
	if b.is("LayerNormParamGrad: the last lane's db is the first's") {
		copy(db.F64[(lanes-1)*width:], db.F64[:width])
	}
	if b.is("LayerNormParamGrad: a row is left out of dw") && x.N > 0 {
		s := stats.F64[stats.N-2:]
		for j := range width {
			dw.F64[(lanes-1)*width+j] -= ct.F64[ct.N-width+j] * (x.F64[x.N-width+j] - s[0]) * s[1]
		}
	}
}

func (b *broken) L2Normalize(dst, norm, x tensor.Buf, width int) {
	b.Backend.L2Normalize(dst, norm, x, width)
	if b.is("L2Normalize: with an epsilon") {
		for i := range dst.F64 {
			dst.F64[i] = x.F64[i] / (norm.F64[i/width] + 1e-12)
		}
	}
	if b.is("L2Normalize: squared norms") {
		b.Backend.Mul(norm, norm, norm)
	}
}

func (b *broken) L2NormalizeGrad(dst, ct, y, norm tensor.Buf, width int) {
	if b.is("L2NormalizeGrad: the first lane's norms serve one row more") && norm.N > 1 {
		norm = copyOf(norm)
		norm.F64[1] = norm.F64[0]
	}
	b.Backend.L2NormalizeGrad(dst, ct, y, norm, width)
}

func (b *broken) CrossEntropy(loss, p, x tensor.Buf, labels []int32, width int) {
	b.Backend.CrossEntropy(loss, p, x, labels, width)
	rows := float64(len(labels))
	if b.is("CrossEntropy: the sum, not the mean") {
		loss.F64[0] *= rows
	}
	if b.is("CrossEntropy: by float32 probabilities") {
		loss.F64[0] = 0
		for r, l := range labels {
			loss.F64[0] -= math.Log(float64(float32(p.F64[r*width+int(l)]))) / rows
		}
	}
}

func (b *broken) CrossEntropyGrad(dst, ct, p tensor.Buf, labels []int32, width int) {
	if b.is("CrossEntropyGrad: the label beside") {
		labels = slices.Clone(labels)
		for i := range labels {
			labels[i] = (labels[i] + 1) % int32(width)
		}
	}
	if b.is("CrossEntropyGrad: lanes in reverse") {
		ct = copyOf(ct)
		slices.Reverse(ct.F64)
	}
	b.Backend.CrossEntropyGrad(dst, ct, p, labels, width)
}

func (b *broken) SoftCrossEntropy(loss, p, q, x, target tensor.Buf, width int) {
	b.Backend.SoftCrossEntropy(loss, p, q, x, target, width)
	if b.is("SoftCrossEntropy: less the entropy") {
		rows := float64(x.N / width)
		for _, v := range q.F64 {
			if v > 0 {
				loss.F64[0] += v * math.Log(v) / rows
			}
		}
	}
	if b.is("SoftCrossEntropy: the wrong softmax kept") {
		copy(q.F64, p.F64)
	}
}

func (b *broken) SoftCrossEntropyGrad(dst, ct, p, q tensor.Buf, width int) {
	if b.is("SoftCrossEntropyGrad: descends") {
		p, q = q, p
	}
	b.Backend.SoftCrossEntropyGrad(dst, ct, p, q, width)
}

func (b *broken) SumTo(dst, x tensor.Buf, lanes int) {
	if b.is("SumTo: leaves out a number") && x.N > 0 {
		x = copyOf(x)
		x.F64[x.N-1] = 0
	}
	b.Backend.SumTo(dst, x, lanes)
	if b.is("SumTo: lanes in reverse") && lanes > 1 {
		n := dst.N / lanes
		first := slices.Clone(dst.F64[:n])
		copy(dst.F64, dst.F64[dst.N-n:])
		copy(dst.F64[dst.N-n:], first)
	}
}

func (b *broken) SumSquares(dst, x tensor.Buf) {
	if b.is("SumSquares: leaves out one of many") && x.N > 10000 {
		x = without(x)
	}
	b.Backend.SumSquares(dst, x)
}

func (b *broken) Dot(dst, x, y tensor.Buf) {
	if b.is("Dot: leaves out one of many") && x.N > 10000 {
		x, y = without(x), without(y)
	}
	b.Backend.Dot(dst, x, y)
	if b.fault == "workers matter" && b.workers > 1 && x.N > 64 && dst.F64[0] != math.Trunc(dst.F64[0]) {
		dst.F64[0] = math.Nextafter(dst.F64[0], math.Inf(1))
	}
}

func (b *broken) CountAbove(dst, x tensor.Buf, t float64) {
	if b.is("CountAbove: counts the threshold") {
		t = math.Nextafter(t, math.Inf(-1))
	}
	b.Backend.CountAbove(dst, x, t)
}

// Matrix

func (b *broken) Gemm(g tensor.GemmArgs) {
	if b.is("Gemm: the bias is one late") {
		g.Bias = rotated(g.Bias, 1)
	}
	if b.is("Gemm: nothing is added") {
		g.Add = tensor.Buf{}
	}
	if b.is("Gemm: adds to what is there") && g.Add.N > 0 {
		g.Add = g.Dst
	}
	if b.is("Gemm: one product too few") && g.K > 64 {
		g.K--
	}
	if b.is("Gemm: square matrices are not transposed") && g.M == g.K {
		g.TransA = false
	}
	if b.is("Gemm: b is the first of the batch throughout") {
		g.StrideB = 0
	}
	if b.is("Gemm: the last matrix is missing") && g.Batch > 6 {
		g.Batch--
	}
	if b.is("Gemm: rows of dst are dense") && g.M*g.N > 0 {
		g.LDC = g.N
	}
	if b.is("Gemm: zeros are skipped") {
		g.B = mapped(g.B, func(_ int, v float64) float64 {
			if v != v {
				return 0
			}
			return v
		})
	}
	b.Backend.Gemm(g)
	if b.is("Gemm: bfloat16 products") && g.Batch > 0 && g.M*g.N > 0 {
		g.Dst.F64[0] *= 1 + 0x1p-9
	}
}

func (b *broken) Attention(dst, lse, q, kv tensor.Buf, s tensor.AttentionShape) {
	d := s.Heads * s.Size
	if b.is("Attention: scaled by the size") {
		q = mapped(q, func(i int, v float64) float64 {
			if c := i%s.ColsQ - s.Q; c >= 0 && c < d {
				v /= math.Sqrt(float64(s.Size))
			}
			return v
		})
	}
	if b.is("Attention: causal from the last key") && s.LenKV > s.LenQ {
		s.Causal = false
	}
	if b.is("Attention: keys for values") {
		s.V = s.K
	}
	b.Backend.Attention(dst, lse, q, kv, s)
	if b.is("Attention: lse is the maximum") {
		for i := range lse.F64 {
			lse.F64[i] -= 0.5
		}
	}
}

func (b *broken) AttentionGrad(dq, dkv, ct, q, kv, out, lse tensor.Buf, s tensor.AttentionShape, lanes int) {
	if b.is("AttentionGrad: without Σ ct·out") {
		out = mapped(out, func(int, float64) float64 { return 0 })
	}
	if b.is("AttentionGrad: lanes in reverse") && lanes > 1 {
		ct = rotated(ct, out.N)
	}
	if b.is("AttentionGrad: sees the future") {
		s.Causal = false
	}
	if b.is("AttentionGrad: saved columns are cleared") {
		for i := range dq.F64 {
			dq.F64[i] = 0
		}
	}
	b.Backend.AttentionGrad(dq, dkv, ct, q, kv, out, lse, s, lanes)
	if b.is("AttentionGrad: dk is not scaled") {
		for r := s.K; r < dkv.N; r += s.ColsKV {
			for e := range s.Heads * s.Size {
				dkv.F64[r+e] *= math.Sqrt(float64(s.Size))
			}
		}
	}
}

// Layout

func (b *broken) Conv(dst, x, w, add, bias tensor.Buf, s tensor.ConvShape) {
	if b.is("Conv: pixels of the window in another order") && s.Size > 1 {
		w = rotated(w, s.C*s.O)
	}
	if b.is("Conv: adds nothing") {
		add = tensor.Buf{}
	}
	if b.is("Conv: no bias") {
		bias = tensor.Buf{}
	}
	if b.is("Conv: the first image for all") {
		x = mapped(x, func(i int, _ float64) float64 { return x.F64[i%max(x.N/max(s.N, 1), 1)] })
	}
	b.Backend.Conv(dst, x, w, add, bias, s)
}

func (b *broken) ConvGrad(dx, ct, w tensor.Buf, s tensor.ConvShape) {
	if b.is("ConvGrad: pixels of the window in another order") && s.Size > 1 {
		w = rotated(w, s.C*s.O)
	}
	b.Backend.ConvGrad(dx, ct, w, s)
	if b.is("ConvGrad: not at the last pixel") && dx.N > 0 {
		dx.F64[dx.N-1] = 0
	}
}

func (b *broken) ConvWeightGrad(dw, x, ct tensor.Buf, s tensor.ConvShape, lanes int) {
	if b.is("ConvWeightGrad: the first lane for all") {
		ct = mapped(ct, func(i int, _ float64) float64 { return ct.F64[i%(ct.N/lanes)] })
	}
	b.Backend.ConvWeightGrad(dw, x, ct, s, lanes)
	if b.is("ConvWeightGrad: pixels of the window in another order") && s.Size > 1 {
		copy(dw.F64, rotated(dw, s.C*s.O).F64)
	}
}

func (b *broken) AvgPool(dst, x tensor.Buf, s tensor.PoolShape) {
	b.Backend.AvgPool(dst, x, s)
	if b.is("AvgPool: a sum") {
		b.Backend.Scale(dst, dst, float64(s.Size*s.Size))
	}
}

func (b *broken) AvgPoolGrad(dx, ct tensor.Buf, s tensor.PoolShape) {
	if b.is("AvgPoolGrad: the first image for all") {
		ct = mapped(ct, func(i int, _ float64) float64 { return ct.F64[i%max(ct.N/max(s.N, 1), 1)] })
	}
	b.Backend.AvgPoolGrad(dx, ct, s)
}

func (b *broken) Patches(dst, x tensor.Buf, n, c, h, w, p int) {
	b.Backend.Patches(dst, x, n, c, h, w, p)
	if b.is("Patches: columns before rows") {
		for at := 0; at < dst.N; at += p * p {
			m := slices.Clone(dst.F64[at : at+p*p])
			for i := range m {
				dst.F64[at+i] = m[i%p*p+i/p]
			}
		}
	}
	if b.is("Patches: channels last") {
		for at := 0; at < dst.N; at += c * p * p {
			m := slices.Clone(dst.F64[at : at+c*p*p])
			for i := range m {
				dst.F64[at+i] = m[i%c*p*p+i/c]
			}
		}
	}
}

func (b *broken) Gather(dst, table tensor.Buf, ids []int32, width int) {
	if b.is("Gather: the next row") {
		table = rotated(table, width)
	}
	b.Backend.Gather(dst, table, ids, width)
}

func (b *broken) ScatterAdd(dst, x tensor.Buf, ids []int32, width, lanes int) {
	if b.is("ScatterAdd: clears dst") {
		b.Backend.Fill(dst, 0)
	}
	if b.is("ScatterAdd: the last lane twice") && lanes > 1 {
		x = copyOf(x)
		n := x.N / lanes
		copy(x.F64, x.F64[x.N-n:])
	}
	b.Backend.ScatterAdd(dst, x, ids, width, lanes)
}

func (b *broken) Uniform(dst tensor.Buf, k tensor.Key) {
	b.Backend.Uniform(dst, k)
	if b.is("Uniform: from 1 on") {
		for i := range dst.F64 {
			dst.F64[i] = k.Uniform(uint64(i + 1))
		}
	}
	if b.is("Uniform: to 53 bits") {
		for i := range dst.F64 {
			dst.F64[i] += 0x1p-30
		}
	}
}

func (b *broken) Normal(dst tensor.Buf, k tensor.Key) {
	b.Backend.Normal(dst, k)
	if b.is("Normal: sine before cosine") {
		for i := 1; i < dst.N; i += 2 {
			dst.F64[i-1], dst.F64[i] = dst.F64[i], dst.F64[i-1]
		}
	}
}

// Imaging

func (b *broken) AllocBytes(n int) tensor.Bytes {
	m := b.Backend.AllocBytes(n)
	if b.is("AllocBytes: one too few of many") && n > 4000 {
		m.N, m.Host = n-1, m.Host[:n-1]
	}
	return m
}

func (b *broken) FreeBytes(m tensor.Bytes) {
	if b.is("AllocBytes: memory is given back twice") {
		b.failed = fmt.Errorf("invalid free")
	}
	b.Backend.FreeBytes(m)
}

func (b *broken) UploadBytes(dst tensor.Bytes, src []byte) {
	if b.is("UploadBytes: no more than 4 MiB") {
		src = src[:min(len(src), 4<<20)]
	}
	if b.is("UploadBytes: shifted") {
		src = append(src[1:len(src):len(src)], 0)
	}
	b.Backend.UploadBytes(dst, src)
}

func (b *broken) Resample(dst, levels tensor.Buf, crops []tensor.CropArgs, size int) {
	crops = slices.Clone(crops)
	for i := range crops {
		c := &crops[i]
		if b.is("Resample: does not flip") {
			c.Flip = false
		}
		if b.is("Resample: the first filter serves both") && len(c.Columns) == len(c.Rows) {
			c.Rows = c.Columns
		}
		if b.is("Resample: the last weight is lost") {
			c.Rows = slices.Clone(c.Rows)
			c.Rows[len(c.Rows)-1] = 0
		}
		if b.is("Resample: weights are a thousandth too high") {
			c.Rows = slices.Clone(c.Rows)
			for j := int(c.Rows[2]); j < len(c.Rows); j++ {
				c.Rows[j] += c.Rows[j] >> 10
			}
		}
		if b.is("Resample: rows are as long as the crop is wide") {
			c.Stride = max(c.Stride-3, 3)
		}
	}
	if b.is("Resample: red's levels throughout") {
		levels = mapped(levels, func(i int, _ float64) float64 { return levels.F64[i%256] })
	}
	b.Backend.Resample(dst, levels, crops, size)
	if b.is("Resample: the last image is missing") && len(crops) > 1 {
		image := 3 * size * size
		copy(dst.F64[len(dst.F64)-image:], dst.F64[:image])
	}
}

// Update

func (b *broken) GradDrop(dst, x, y tensor.Buf, r tensor.GradDropArgs) {
	if b.is("GradDrop: the other loss votes") && y.N > 0 {
		x, y = y, x
	}
	if b.is("GradDrop: the penalty is left out") {
		r.Penalty = 0
	}
	if b.is("GradDrop: drops all of what it drops") && r.Leak > 0 {
		r.Leak = 1
	}
	if b.is("GradDrop: always the same epsilon") {
		r.Eps = 1e-3
	}
	if b.is("GradDrop: another stream") {
		r.Key = r.Key.Fold(0)
	}
	b.Backend.GradDrop(dst, x, y, r)
}

func (b *broken) GradDropAdam(w, m, v, ga, gb tensor.Buf, r tensor.GradDropArgs, a tensor.AdamArgs) {
	if b.is("GradDropAdam: without dropout") {
		r.Leak = 0
	}
	if b.is("GradDropAdam: b counts as zeros") {
		gb = tensor.Buf{}
	}
	if b.is("GradDropAdam: the penalty is of the new weights") && r.Penalty != 0 {
		r.Scores = mapped(r.Scores, func(_ int, v float64) float64 { return v - a.LR })
	}
	b.Backend.GradDropAdam(w, m, v, ga, gb, r, a)
}

func (b *broken) SignAgree(dst, x, y tensor.Buf, keepZero bool) {
	if b.is("SignAgree: zero always agrees") {
		keepZero = true
	}
	if b.is("SignAgree: by a float32 product") {
		for i := range dst.F64 {
			if dst.F64[i] = 0; float32(x.F64[i])*float32(y.F64[i]) > 0 || keepZero && y.F64[i] == 0 {
				dst.F64[i] = x.F64[i] + y.F64[i]
			}
		}
		return
	}
	b.Backend.SignAgree(dst, x, y, keepZero)
}

func (b *broken) SignDrop(dst, x, y tensor.Buf, k tensor.Key) {
	if b.is("SignDrop: keeps the other sign") {
		neg := func(_ int, v float64) float64 { return -v }
		b.Backend.SignDrop(dst, mapped(x, neg), mapped(y, neg), k)
		b.Backend.Scale(dst, dst, -1)
		return
	}
	b.Backend.SignDrop(dst, x, y, k)
}

func (b *broken) Adam(w, m, v, g tensor.Buf, a tensor.AdamArgs) {
	if b.is("Adam: bias is not corrected") {
		a.Step = 1 << 30
	}
	if b.is("Adam: decay is part of the gradient") {
		g = mapped(g, func(i int, x float64) float64 { return x + a.Decay*w.F64[i] })
		a.Decay = 0
	}
	if b.is("Adam: epsilon before the correction") {
		a.Eps /= math.Sqrt(1 - math.Pow(a.Beta2, float64(a.Step)))
	}
	b.Backend.Adam(w, m, v, g, a)
}

func (b *broken) SGD(w, v, g tensor.Buf, lr, momentum, decay float64) {
	if b.is("SGD: decay beside momentum") {
		old := copyOf(w)
		b.Backend.SGD(w, v, g, lr, momentum, 0)
		b.Backend.AXPY(w, -lr*decay, old)
		return
	}
	b.Backend.SGD(w, v, g, lr, momentum, decay)
	if b.is("SGD: Nesterov's momentum") {
		for i := range w.F64 {
			w.F64[i] -= lr * (momentum*v.F64[i] + g.F64[i] - v.F64[i])
		}
	}
}

func (b *broken) Sinkhorn(dst, s tensor.Buf, a tensor.SinkhornArgs) {
	if b.is("Sinkhorn: one iteration more") {
		a.Most++
	}
	if b.is("Sinkhorn: never done before the last") {
		a.Threshold = 0
	}
	b.Backend.Sinkhorn(dst, s, a)
}
