package tensortest

import (
	"math"
	"slices"

	"fewshot/tensor"
)

var gemmCases = []testCase{
	{name: "Gemm/small whole", run: gemmSizes(smallGemms, true)},
	{name: "Gemm/small", run: gemmSizes(smallGemms, false)},
	{name: "Gemm/tokens", run: gemmSizes(tokenGemms, true)},
	{name: "Gemm/batch", run: gemmBatches},
	{name: "Gemm/lanes", run: gemmLanes},
	{name: "Gemm/strided", run: gemmStrided},
	{name: "Gemm/packed", run: gemmPacked},
	{name: "Gemm/empty", run: gemmEmpty},
	{name: "Gemm/not a number", run: gemmNaN},
	{name: "Gemm/shapes", run: gemmShapes},
}

// smallGemms runs each size through 1 to 70, which crosses the edges of every tile, then combines sizes
// at the edges.
var smallGemms = func() (mnk [][3]int) {
	for i := 1; i <= 70; i++ {
		mnk = append(mnk, [3]int{i, 19, 23}, [3]int{13, i, 17}, [3]int{9, 21, i})
	}
	edges := []int{1, 8, 15, 48, 65}
	for _, m := range edges {
		for _, n := range edges {
			for _, k := range edges {
				mnk = append(mnk, [3]int{m, n, k})
			}
		}
	}
	return mnk
}()

// tokenGemms are of the size of a layer on the 197 tokens of an image.
var tokenGemms = [][3]int{{197, 64, 300}, {197, 300, 64}, {64, 197, 257}, {1, 301, 300}}

// addition is what a product is added to.
type addition string

const (
	nothing addition = "nothing"
	itself  addition = "dst"
	another addition = "another"
)

// additions lists them, to take turns.
var additions = []addition{nothing, itself, another}

// gemmSizes checks products of [m,k] and [k,n] in all transpositions. Biases and what is added take turns.
func gemmSizes(sizes [][3]int, whole bool) func(*rig) {
	return func(r *rig) {
		for i, s := range sizes {
			for t := range 4 {
				o := tensor.GemmOptions{TransA: t&1 != 0, TransB: t&2 != 0}
				r.gemm(s[0], s[1], s[2], nil, nil, nil, o, additions[(i+t)%3], (i+t)&2 != 0, whole)
			}
		}
	}
}

// gemm checks one Gemm of matrices with the given leading axes.
func (r *rig) gemm(m, n, k int, leadDst, leadA, leadB []int, o tensor.GemmOptions, add addition, bias, whole bool) {
	r.variant("%v[%d,%d] = a%v·b%v, k=%d, transposed %t %t, to %s, bias %t, whole %t",
		leadDst, m, n, leadA, leadB, k, o.TransA, o.TransB, add, bias, whole)
	matrix := func(lead []int, rows, cols int, trans bool) *operand {
		if trans {
			rows, cols = cols, rows
		}
		shape := append(slices.Clone(lead), rows, cols)
		return r.in(r.kind, r.inputs(whole, tensor.Len(shape)), shape...)
	}
	a, b := matrix(leadA, m, k, o.TransA), matrix(leadB, k, n, o.TransB)
	batch := tensor.Len(leadDst)
	shape := append(slices.Clone(leadDst), m, n)
	var dst, terms *operand
	switch add {
	case nothing:
		dst = r.out(r.kind, shape...)
	case itself:
		dst = r.inout(r.kind, r.inputs(whole, batch*m*n), shape...)
		terms = dst
	case another:
		dst, terms = r.out(r.kind, shape...), r.in(r.kind, r.inputs(whole, batch*m*n), shape...)
	}
	g := product{m: m, n: n, k: k, batch: batch, transA: o.TransA, transB: o.TransB,
		a: a.v, b: b.v, dst: dst.v, lda: a.Dim(1), ldb: b.Dim(1), ldc: n, strideC: m * n}
	if len(leadA) > 0 {
		g.strideA = m * k
	}
	if len(leadB) > 0 {
		g.strideB = k * n
	}
	if terms != nil {
		o.Add, g.add = terms.Tensor, terms.v
	}
	if bias {
		v := r.in(r.kind, r.inputs(whole, n), n)
		o.Bias, g.bias = v.Tensor, v.v
	}
	tensor.Gemm(dst.Tensor, a.Tensor, b.Tensor, o)
	r.check("dst", dst, func() []num { return g.define(r.arith, dst.Len()) })
}

// product is tensor.GemmArgs on slices.
type product struct {
	m, n, k, batch            int
	transA, transB            bool
	a, b, add, bias, dst      []float64
	lda, ldb, ldc             int
	strideA, strideB, strideC int
}

// define gives all of dst, of the given length. What the product does not write keeps its value.
func (g product) define(a arith, length int) []num {
	want := make([]num, length)
	for i, v := range g.dst {
		want[i] = exact(v)
	}
	rowA, colA := steps(g.lda, g.transA)
	rowB, colB := steps(g.ldb, g.transB)
	exactly := a.holds(float64(g.k) * largest(g.a) * largest(g.b)) // then so are all partial sums
	for p := range g.batch {
		for i := range g.m {
			for j := range g.n {
				var s accumulator
				atA, atB := p*g.strideA+i*rowA, p*g.strideB+j*colB
				if exactly {
					sum := 0.0
					for k := range g.k {
						sum += g.a[atA+k*colA] * g.b[atB+k*rowB]
					}
					s.add(exact(sum))
				} else {
					for k := range g.k {
						s.product(a, g.a[atA+k*colA], g.b[atB+k*rowB])
					}
				}
				at := p*g.strideC + i*g.ldc + j
				if g.add != nil {
					s.add(exact(g.add[at]))
				}
				if g.bias != nil {
					s.add(exact(g.bias[j]))
				}
				want[at] = s.sum(a)
			}
		}
	}
	return want
}

// largest is the largest magnitude in v if all are whole numbers, else NaN.
func largest(v []float64) (m float64) {
	for _, x := range v {
		if x != math.Trunc(x) {
			return nan
		}
		m = max(m, math.Abs(x))
	}
	return m
}

// steps is how far apart the elements of a column and of a row are in op(matrix).
func steps(ld int, trans bool) (row, col int) {
	if trans {
		return 1, ld
	}
	return ld, 1
}

// gemmBatches: an operand of rank 2 serves the whole batch.
func gemmBatches(r *rig) {
	b3, b23 := []int{3}, []int{2, 3}
	for _, c := range []struct {
		dst, a, b      []int
		transA, transB bool
	}{
		{b3, b3, b3, false, false}, {b3, b3, b3, true, false}, {b3, b3, b3, false, true}, {b3, b3, b3, true, true},
		{b3, nil, b3, false, false}, {b3, nil, b3, true, true}, // one a
		{b3, b3, nil, false, false}, {b3, b3, nil, false, true}, {b3, b3, nil, true, false}, // one b
		{b3, nil, nil, false, false}, {b3, nil, nil, true, false}, // the same product three times
		{b23, b23, nil, false, true}, {b23, b23, b23, false, true}, {b23, nil, b23, false, false}, {b23, b23, nil, true, true},
		{[]int{1}, nil, nil, false, false}, {nil, []int{1}, []int{1}, true, false}, {[]int{7}, []int{7}, []int{7}, false, true},
	} {
		for i, s := range [][3]int{{1, 1, 1}, {5, 7, 3}, {17, 16, 31}, {50, 50, 8}, {33, 49, 65}} {
			for _, whole := range []bool{true, false} {
				r.gemm(s[0], s[1], s[2], c.dst, c.a, c.b, tensor.GemmOptions{TransA: c.transA, TransB: c.transB}, additions[i%3], i&2 != 0, whole)
			}
		}
	}
}

// gemmLanes is the gradient of a weight: dst [K,N,D] = ct [K,R,N]ᵀ · x [R,D], and that of an input,
// dst [K,R,D] = ct [K,R,N] · w [N,D].
func gemmLanes(r *rig) {
	for k := 1; k <= 3; k++ {
		lanes := []int{k}
		for _, s := range [][3]int{{6, 4, 5}, {50, 24, 16}, {197, 48, 33}, {7, 65, 130}} {
			rows, n, d := s[0], s[1], s[2]
			for _, add := range additions {
				r.gemm(n, d, rows, lanes, lanes, nil, tensor.GemmOptions{TransA: true}, add, false, true)
				r.gemm(rows, d, n, lanes, lanes, nil, tensor.GemmOptions{}, add, false, true)
			}
		}
	}
}

// gemmStrided uses what Backend.Gemm offers beyond the checked entry point: leading dimensions and
// strides that leave gaps. Gaps of dst stay as they are.
func gemmStrided(r *rig) {
	for i, s := range [][3]int{{1, 1, 1}, {4, 6, 5}, {19, 33, 17}, {16, 48, 64}, {67, 20, 31}} {
		for t := range 4 {
			for _, reuse := range []string{"none", "a", "b"} {
				for j, batch := range []int{1, 3} {
					g := product{m: s[0], n: s[1], k: s[2], batch: batch, transA: t&1 != 0, transB: t&2 != 0}
					add := additions[(i+t+j)%3]
					r.variant("m,n,k=%v transposed %t %t batch %d reuse %s to %s", s, g.transA, g.transB, batch, reuse, add)
					size := func(rows, cols, gap int, trans bool) (ld, stride int) {
						if trans {
							rows, cols = cols, rows
						}
						return cols + gap, rows*(cols+gap) + 2*gap
					}
					g.lda, g.strideA = size(g.m, g.k, 3, g.transA)
					g.ldb, g.strideB = size(g.k, g.n, 5, g.transB)
					g.ldc, g.strideC = size(g.m, g.n, 7, false)
					na, nb, nc := batch*g.strideA, batch*g.strideB, batch*g.strideC
					switch reuse {
					case "a":
						g.strideA = 0
					case "b":
						g.strideB = 0
					}
					a, b := r.in(r.kind, r.whole(na), na), r.in(r.kind, r.whole(nb), nb)
					bias, dst := r.in(r.kind, r.whole(g.n), g.n), r.inout(r.kind, r.whole(nc), nc)
					g.a, g.b, g.bias, g.dst = a.v, b.v, bias.v, dst.v
					var terms tensor.Buf
					switch add {
					case itself:
						terms, g.add = dst.Buf(), dst.v
					case another:
						x := r.in(r.kind, r.whole(nc), nc)
						terms, g.add = x.Buf(), x.v
					}
					r.be.Gemm(tensor.GemmArgs{Dst: dst.Buf(), A: a.Buf(), B: b.Buf(), Add: terms, Bias: bias.Buf(), M: g.m, N: g.n, K: g.k,
						TransA: g.transA, TransB: g.transB, LDA: g.lda, LDB: g.ldb, LDC: g.ldc,
						Batch: batch, StrideA: g.strideA, StrideB: g.strideB, StrideC: g.strideC})
					r.check("dst", dst, func() []num { return g.define(r.arith, nc) })
				}
			}
		}
	}
}

// gemmPacked: a factor that the device has packed multiplies as before, also in the ways it was not packed for.
func gemmPacked(r *rig) {
	for _, s := range [][3]int{{1, 1, 1}, {5, 33, 64}, {14, 65, 770}, {3, 300, 2}} {
		for _, transB := range []bool{true, false} {
			m, n, k := s[0], s[1], s[2]
			r.variant("m,n,k=%v transposed %t", s, transB)
			a, w := r.in(r.kind, r.whole(m*k), m, k), r.in(r.kind, r.whole(n*k), n, k)
			dst, ld := r.out(r.kind, m, n), k
			if !transB {
				w.Tensor, ld = w.View(k, n), n
			}
			want := func() []num {
				g := product{m: m, n: n, k: k, batch: 1, a: a.v, b: w.v, lda: k, ldb: ld, ldc: n, transB: transB}
				return g.define(r.arith, m*n)
			}
			for _, way := range []bool{!transB, transB} { // the way it is not read, then both
				tensor.Pack(w.Tensor, way)
				tensor.Gemm(dst.Tensor, a.Tensor, w.Tensor, tensor.GemmOptions{TransB: transB})
				r.check("dst", dst, want)
			}
			tensor.Unpack(w.Tensor)
			tensor.Gemm(dst.Tensor, a.Tensor, w.Tensor, tensor.GemmOptions{TransB: transB})
			r.check("dst", dst, want)
			tensor.Quantize(w.Tensor) // which no device does that was opened for other numbers
			tensor.Discard(w.Tensor)  // which leaves what has no integers as it is
			tensor.Gemm(dst.Tensor, a.Tensor, w.Tensor, tensor.GemmOptions{TransB: transB})
			r.check("dst", dst, want)
		}
	}
}

// gemmEmpty: a sum of no products is 0, or what it is added to.
func gemmEmpty(r *rig) {
	for _, s := range [][3]int{{0, 4, 5}, {4, 0, 5}, {4, 5, 0}} {
		for t := range 4 {
			for _, bias := range []bool{false, true} {
				for _, add := range additions {
					r.gemm(s[0], s[1], s[2], nil, nil, nil, tensor.GemmOptions{TransA: t&1 != 0, TransB: t&2 != 0}, add, bias, true)
				}
			}
		}
	}
}

// gemmNaN: one NaN or infinity spoils its row or column and nothing else, and is not lost against a 0.
func gemmNaN(r *rig) {
	const m, n, k = 21, 35, 19
	r.variant("NaN in a row of a, a column of b, against zeros")
	va, vb := fill(m*k, func() float64 { return 0 }), r.whole(k*n)
	va[4*k+18], va[20*k] = nan, nan
	vb[2*n+34] = nan
	a, b := r.in(r.kind, va, m, k), r.in(r.kind, vb, k, n)
	dst := r.out(r.kind, m, n)
	tensor.Gemm(dst.Tensor, a.Tensor, b.Tensor, tensor.GemmOptions{})
	r.check("dst", dst, func() []num {
		g := product{m: m, n: n, k: k, batch: 1, a: a.v, b: b.v, lda: k, ldb: n, ldc: n}
		return g.define(r.arith, m*n)
	})
}

func gemmShapes(r *rig) {
	r.variant("shapes")
	t23, t24, t34, v3 := r.out(r.kind, 2, 3), r.out(r.kind, 2, 4), r.out(r.kind, 3, 4), r.out(r.kind, 3)
	t223, t334 := r.out(r.kind, 2, 2, 3), r.out(r.kind, 3, 3, 4)
	none := tensor.GemmOptions{}
	r.rejects("Gemm whose inner lengths differ", func() { tensor.Gemm(t24.Tensor, t23.Tensor, t24.Tensor, none) })
	r.rejects("Gemm to too few rows", func() { tensor.Gemm(t24.Tensor, t34.Tensor, t34.Tensor, tensor.GemmOptions{TransB: true}) })
	r.rejects("Gemm to too few columns", func() { tensor.Gemm(t23.Tensor, t23.Tensor, t34.Tensor, none) })
	r.rejects("Gemm of a vector", func() { tensor.Gemm(v3.Tensor, t23.Tensor, v3.Tensor, none) })
	r.rejects("Gemm with a bias a row", func() {
		tensor.Gemm(t24.Tensor, t23.Tensor, t34.Tensor, tensor.GemmOptions{Bias: v3.Tensor})
	})
	r.rejects("Gemm to which a vector is added", func() {
		tensor.Gemm(t24.Tensor, t23.Tensor, t34.Tensor, tensor.GemmOptions{Add: r.out(r.kind, 8).Tensor})
	})
	rows := r.out(r.kind, 5, 4)
	r.rejects("Gemm to which its own rows are added, one late", func() {
		tensor.Gemm(rows.Rows(0, 2), t23.Tensor, t34.Tensor, tensor.GemmOptions{Add: rows.Rows(1, 3)})
	})
	r.rejects("Pack of a vector", func() { tensor.Pack(v3.Tensor, true) })
	r.rejects("Quantize of a vector", func() { tensor.Quantize(v3.Tensor) })
	r.rejects("Gemm of batches of 2 and 3", func() { tensor.Gemm(t24.Tensor, t223.Tensor, t334.Tensor, none) })
}
