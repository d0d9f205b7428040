package simd

import (
	"runtime"
	"unsafe"

	"fewshot/tensor/internal/int8"
	"fewshot/tensor/internal/par"
)

// Int8 are the weights of a layer as integers of eight bits, in the order in which tiles read them: four neighbours in
// k are one number of 32 bits to the code for float32, as two of bfloat16 are.
type Int8 struct {
	Packed
	w *int8.Weights // without its integers
}

// HasInt8 reports whether GemmInt8 can do anything: the machine has VPDPBUSD, which adds products of four integers to a
// sum of 32 bits without saturating in between. (By VPMADDUBSW, which AVX2 has, two such products overflow 16 bits.)
func HasInt8() bool { return active != nil && active.int8 != nil }

// QuantizeInt8 packs the weights b [n, k] of a layer as integers. It returns nil if there are no kernels for them.
func QuantizeInt8(p *par.Pool, b []float32, n, k int) *Int8 {
	if !HasInt8() || n == 0 || k == 0 || k > int8.MaxK {
		return nil
	}
	v := active.int8
	quads := ceil(k, 4)
	w := &Int8{Packed{v: v, n: n, k: quads, transB: true, step: quads}, &int8.Weights{N: n, K: k, Scales: make([]float32, n), Sums: make([]int32, n)}}
	part := panels{stride: quads*v.width + padding}
	part.x = grow[float32](nil, ceil(n, v.width)*part.stride)
	runtime.AddCleanup(w, release[float32], part.x)
	all := bytesOf(part.x)
	p.For(ceil(n, v.width), 1, func(_, lo, hi int) {
		row := int8.New(1, k)
		for panel := lo; panel < hi; panel++ {
			for j := panel * v.width; j < min((panel+1)*v.width, n); j++ {
				row.Set(0, b[j*k:][:k])
				w.w.Scales[j], w.w.Sums[j] = row.Scales[0], row.Sums[0]
				to := all[4*(panel*part.stride+j-panel*v.width):]
				for i, q := range row.Q {
					to[4*v.width*(i/4)+i%4] = uint8(q)
				}
			}
		}
	})
	w.parts = []panels{part}
	return w
}

// bytesOf is the memory of x.
func bytesOf(x []float32) []uint8 {
	return unsafe.Slice((*uint8)(unsafe.Pointer(&x[0])), 4*len(x))
}

// ints is what a product of integers needs beside the operands: those of A, and by what its rows are quantised.
type ints struct {
	w     *int8.Weights
	x     []float32 // what is multiplied
	lda   int
	q     []float32 // quads, a row of them each distance
	scale []float32 // by row
	zero  []int32
}

// GemmInt8 is g, whose A is float32 and is quantised row by row and whose B, not looked at, is w, transposed; with Add
// and Bias. It reports whether it did it.
func GemmInt8(p *par.Pool, g *GemmArgs, w *Int8) bool {
	if g.TransA || !g.TransB || g.Batch != 1 || g.N != w.w.N || g.K != w.w.K || !HasInt8() || w.v != active.int8 {
		return false
	}
	g.checkAllButB()
	if g.M == 0 {
		return true
	}
	args := *g
	args.K, args.LDA, args.LDB = w.k, w.k, w.k
	args.Packed, args.Strassen = &w.Packed, false
	j := takeGemm(p, w.v, &args)
	own := &j.own
	own.w, own.x, own.lda = w.w, g.A, g.LDA
	own.q, own.scale = grow(own.q, g.M*w.k), grow(own.scale, g.M)
	if cap(own.zero) < g.M {
		own.zero = make([]int32, g.M)
	}
	own.zero = own.zero[:g.M]
	j.ints = own
	j.A = own.q
	par.Do(p, g.M, max(1, leastQuantized/g.K), quantizing{j})
	j.run(p)
	return true
}

// leastQuantized is how many numbers a worker quantises at a time.
const leastQuantized = 1 << 14

type quantizing struct{ j *gemm }

// Do quantises rows.
func (z *quantizing) Do(worker, lo, hi int) {
	q := z.j.ints
	ends := z.j.shares[worker].tile[:3*16]
	k := q.w.K
	v := active
	quads := ceil(k, 4)
	all := bytesOf(q.q)
	whole := k - k%v.lanes
	for m := lo; m < hi; m++ {
		row := q.x[m*q.lda:][:k]
		to := all[4*quads*m:][:4*quads]
		least, most, finite := int8.Ends(row[whole:])
		if whole > 0 {
			v.int8.ends(whole, &ends[0], &row[0])
			bad := float32(0)
			for i := range v.lanes {
				least, most = min(least, ends[i]), max(most, ends[16+i])
				bad += ends[32+i]
			}
			finite = finite && bad == 0
		}
		r := int8.RangeOf(least, most, finite)
		q.scale[m], q.zero[m] = r.Scale, r.Zero
		if !finite || r.Scale != r.Scale {
			clear(to)
			continue
		}
		if whole > 0 {
			v.int8.quantize(whole, &to[0], &row[0], r.Inverse(), r.Zero)
		}
		r.Row(to[whole:k], row[whole:])
		clear(to[k:])
	}
}

// intTile computes a tile of sums apart, and what they stand for.
func (j *gemm) intTile(own *gemm, m, n, rows, cols, k int, a *float32, rs, ks int, b, next *float32, ns int) {
	j.v.column(cols)[rows-1](1, k, a, 0, rs, ks, b, &own.tile[0], j.v.width, nil, nil, cols, next, ns)
	x, at := j.ints, j.at+m*j.LDC+n
	var bias, add *float32
	if len(j.Bias) > 0 {
		bias = &j.Bias[n]
	}
	if len(j.Add) > 0 {
		add = &j.Add[at]
	}
	j.v.dequantize(rows, cols, &own.tile[0], &x.scale[m], &x.zero[m], &x.w.Scales[n], &x.w.Sums[n], bias, add, &j.Dst[at], j.LDC)
}
