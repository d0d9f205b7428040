package simd

import (
	"math"

	"fewshot/tensor/internal/bf16"
	"fewshot/tensor/internal/par"
)

// Attention of operands in bfloat16. It differs from attention.go in what products read: q, k, v and cotangents as they are,
// probabilities and the gradients of scores rounded once they are complete. Sums, softmax and lse are float32 as there.

// fits reports whether operands can be read as pairs where they lie: every row begins at a whole pair.
func (s *AttentionShape) fits() bool {
	return HasBF16() && (s.Size|s.ColsQ|s.ColsKV|s.Q|s.K|s.V)%2 == 0 && !s.empty()
}

// AttentionBF16 is Attention for operands in bfloat16. It reports whether it did it: false means that there are no kernels, that
// an extent is 0, or that one along which pairs lie is odd.
func AttentionBF16(p *par.Pool, dst []uint16, lse []float32, q, kv []uint16, s AttentionShape) bool {
	if !s.fits() {
		return false
	}
	s.check("AttentionBF16", 1, operand{"dst", len(dst), s.Batch * s.LenQ * s.width()}, operand{"lse", len(lse), s.Batch * s.Heads * s.LenQ},
		operand{"q", len(q), s.Batch * s.LenQ * s.ColsQ}, operand{"kv", len(kv), s.Batch * s.LenKV * s.ColsKV})
	a := takeNarrowAttention()
	a.AttentionShape, a.v, a.dot, a.dst, a.lse, a.q, a.kv = s, active, active.bf16, dst, lse, q, kv
	p.For(s.Batch*s.Heads, s.grain(p), a.forwardFunc)
	a.release()
	return true
}

// AttentionGradBF16 is AttentionGrad for operands in bfloat16. It reports whether it did it, as AttentionBF16 does.
func AttentionGradBF16(p *par.Pool, dq, dkv, ct, q, kv, out []uint16, lse []float32, s AttentionShape, lanes int) bool {
	if !s.fits() {
		return false
	}
	nq, nkv, no := s.Batch*s.LenQ*s.ColsQ, s.Batch*s.LenKV*s.ColsKV, s.Batch*s.LenQ*s.width()
	s.check("AttentionGradBF16", lanes, operand{"dq", len(dq), lanes * nq}, operand{"dkv", len(dkv), lanes * nkv}, operand{"ct", len(ct), lanes * no},
		operand{"q", len(q), nq}, operand{"kv", len(kv), nkv}, operand{"out", len(out), no}, operand{"lse", len(lse), s.Batch * s.Heads * s.LenQ})
	a := takeNarrowAttention()
	a.AttentionShape, a.v, a.dot, a.dq, a.dkv, a.ct, a.q, a.kv, a.dst, a.lse, a.lanes = s, active, active.bf16, dq, dkv, ct, q, kv, out, lse, lanes
	p.For(s.Batch*s.Heads, s.grain(p), a.gradFunc)
	a.release()
	return true
}

// A narrowAttention is a call in progress, or the scratch memory of one worker. It is used again.
type narrowAttention struct {
	AttentionShape
	v, dot                  *variant
	dst, q, kv, dq, dkv, ct []uint16
	lse                     []float32
	lanes                   int

	forwardFunc, gradFunc func(worker, lo, hi int)

	keysT, valuesT     panels    // Size deep, LenKV wide
	keys, values       panels    // LenKV deep, Size wide
	queries, cotangent panels    // of a block of queries: as deep as it, Size wide
	turned             panels    // P or dS of a block, as a left-hand operand that is transposed
	p, ds              []float32 // P of a tile or block of queries, and dP or dS of a tile
	narrowP, narrowDS  []uint16  // P and dS rounded
	max, denominator   []float32 // of each query: its greatest score, and the sum of exponentials below it
	sum                []float32 // a result before it is rounded
	dk, dv             []float32 // sums over blocks, [lanes, LenKV, Size]
	rowCT, rowOut      []float32
	next               ahead // operands of the next head
}

var idleNarrowAttentions free[narrowAttention]

func takeNarrowAttention() *narrowAttention {
	a := idleNarrowAttentions.take()
	if a.forwardFunc == nil {
		a.forwardFunc, a.gradFunc = a.forward, a.grad
	}
	return a
}

// release makes the attention available again and forgets its operands.
func (a *narrowAttention) release() {
	a.dst, a.lse, a.q, a.kv, a.dq, a.dkv, a.ct = nil, nil, nil, nil, nil, nil, nil
	idleNarrowAttentions.give(a)
}

func (a *narrowAttention) forward(_, lo, hi int) {
	w := takeNarrowAttention()
	for task := lo; task < hi; task++ {
		w.next.clear()
		if task+1 < hi {
			a.operands(&w.next, task+1, 2, bf16.Pairs(a.q), bf16.Pairs(a.kv))
		}
		a.forwardHead(w, task/a.Heads, task%a.Heads)
	}
	w.release()
}

// deep fills panels with rows of b, Size numbers each, as a right-hand operand of which they are k; across, of which they
// are columns.
func (a *narrowAttention) deep(p *panels, rows int, b []uint16, ld int) {
	p.reserve(ceil(a.Size, a.dot.width), ceil(rows, 2)*a.dot.width)
	p.packRows(a.dot, a.dot.packRowsB, a.dot.width, 0, rows, a.Size, bf16.Pairs(b), ld)
}

func (a *narrowAttention) across(p *panels, rows int, b []uint16, ld int) {
	p.fillT(a.dot, rows, a.Size/2, bf16.Pairs(b), ld/2)
}

// forwardHead is AttentionBF16 for head h of example b, in the scratch memory of w.
func (a *narrowAttention) forwardHead(w *narrowAttention, b, h int) {
	v, stride := a.v, a.scoreStride()
	a.across(&w.keysT, a.LenKV, a.kv[a.rowK(b, h, 0):], a.ColsKV)
	a.deep(&w.values, a.LenKV, a.kv[a.rowV(b, h, 0):], a.ColsKV)
	w.p, w.sum = grow(w.p, v.rows*stride), grow(w.sum, v.rows*a.Size)
	w.narrowP = grow(w.narrowP, v.rows*stride)
	w.max, w.denominator = grow(w.max, a.LenQ), grow(w.denominator, a.LenQ)
	for r := range ceil(a.LenQ, v.rows) {
		q0, q1 := part(a.LenQ, v.rows, r)
		n := a.seen(q1)
		a.dot.product(q1-q0, n, a.Size/2, bf16.Pairs(a.q[a.rowQ(b, h, q0):]), a.ColsQ/2, 1, &w.keysT, w.p, stride, false, &w.next)
		for q := q0; q < q1; q++ {
			row := w.p[(q-q0)*stride:][:n]
			seen := a.seen(q + 1)
			w.max[q], w.denominator[q] = v.powersBelowMax(seen, &row[0], &row[0], a.scale2())
			clear(row[seen:])
			narrowRow(w.narrowP[(q-q0)*stride:], row)
		}
		a.dot.product(q1-q0, a.Size, ceil(n, 2), bf16.Pairs(w.narrowP), stride/2, 1, &w.values, w.sum, a.Size, false, nil)
		v.divideRows(q1-q0, a.Size, &w.sum[0], a.Size, &w.denominator[q0])
		narrowRows(q1-q0, a.Size, a.dst[a.out(b, h, q0):], a.width(), w.sum, a.Size)
	}
	v.logSums(a.LenQ, &a.lse[a.stat(b, h, 0)], &w.max[0], &w.denominator[0], a.scale())
}

// narrowRow rounds a row and makes it a whole number of pairs.
func narrowRow(dst []uint16, src []float32) {
	n := len(src)
	Narrow(dst[:n], src)
	if n%2 != 0 {
		dst[n] = 0
	}
}

func (a *narrowAttention) grad(_, lo, hi int) {
	w := takeNarrowAttention()
	for task := lo; task < hi; task++ {
		w.next.clear()
		if task+1 < hi {
			a.operands(&w.next, task+1, 2, bf16.Pairs(a.q), bf16.Pairs(a.kv))
			a.results(&w.next, task+1, 2, bf16.Pairs(a.dst), bf16.Pairs(a.ct), a.lanes)
		}
		a.gradHead(w, task/a.Heads, task%a.Heads)
	}
	w.release()
}

// gradHead is AttentionGradBF16 for head h of example b, in the scratch memory of w.
func (a *narrowAttention) gradHead(w *narrowAttention, b, h int) {
	v, stride, scale := a.v, a.scoreStride(), a.scale()
	a.across(&w.keysT, a.LenKV, a.kv[a.rowK(b, h, 0):], a.ColsKV)
	a.across(&w.valuesT, a.LenKV, a.kv[a.rowV(b, h, 0):], a.ColsKV)
	a.deep(&w.keys, a.LenKV, a.kv[a.rowK(b, h, 0):], a.ColsKV)
	block := min(blockQ, a.LenQ)
	w.p, w.ds = grow(w.p, block*stride), grow(w.ds, v.rows*stride)
	w.narrowP, w.narrowDS = grow(w.narrowP, block*stride), grow(w.narrowDS, block*stride)
	w.sum = grow(w.sum, v.rows*a.Size)
	w.rowCT, w.rowOut = grow(w.rowCT, a.Size), grow(w.rowOut, a.Size)
	size := a.LenKV * a.Size
	w.dk, w.dv = grow(w.dk, a.lanes*size), grow(w.dv, a.lanes*size)
	if a.Causal { // the first queries do not see all keys
		clear(w.dk)
		clear(w.dv)
	}
	sizeQ, sizeKV, sizeOut := a.Batch*a.LenQ*a.ColsQ, a.Batch*a.LenKV*a.ColsKV, a.Batch*a.LenQ*a.width()
	for block := range ceil(a.LenQ, blockQ) {
		q0, q1 := part(a.LenQ, blockQ, block)
		rows, n := q1-q0, a.seen(q1)
		next := &w.next
		if q1 < a.LenQ {
			next = nil // later, lest it be driven out of the cache again
		}
		for t := range ceil(rows, v.rows) {
			t0, t1 := part(rows, v.rows, t)
			p, seen := w.p[t0*stride:], a.seen(q0+t1)
			a.dot.product(t1-t0, seen, a.Size/2, bf16.Pairs(a.q[a.rowQ(b, h, q0+t0):]), a.ColsQ/2, 1, &w.keysT, p, stride, false, next)
			for r := range t1 - t0 {
				q := q0 + t0 + r
				row, seen := p[r*stride:][:n], a.seen(q+1)
				v.powers(seen, &row[0], &row[0], a.scale2(), a.lse[a.stat(b, h, q)]*math.Log2E)
				clear(row[seen:])
				narrowRow(w.narrowP[(t0+r)*stride:], row)
			}
		}
		a.deep(&w.queries, rows, a.q[a.rowQ(b, h, q0):], a.ColsQ)
		for lane := range a.lanes {
			ct := a.ct[lane*sizeOut+a.out(b, h, q0):]
			for t := range ceil(rows, v.rows) {
				t0, t1 := part(rows, v.rows, t)
				narrowDS, seen := w.narrowDS[t0*stride:], a.seen(q0+t1)
				a.dot.product(t1-t0, seen, a.Size/2, bf16.Pairs(ct[t0*a.width():]), a.width()/2, 1, &w.valuesT, w.ds, stride, false, next)
				for r := range t1 - t0 {
					q := q0 + t0 + r
					p, ds, seen := w.p[(t0+r)*stride:], w.ds[r*stride:][:n], a.seen(q+1)
					Widen(w.rowCT[:a.Size], ct[(t0+r)*a.width():][:a.Size])
					Widen(w.rowOut[:a.Size], a.dst[a.out(b, h, q):][:a.Size])
					v.softmaxGrad(seen, &ds[0], &ds[0], &p[0], v.dot(a.Size, &w.rowCT[0], &w.rowOut[0]), scale)
					clear(ds[seen:])
					narrowRow(narrowDS[r*stride:], ds)
				}
				a.dot.product(t1-t0, a.Size, ceil(seen, 2), bf16.Pairs(narrowDS), stride/2, 1, &w.keys, w.sum, a.Size, false, nil)
				narrowRows(t1-t0, a.Size, a.dq[lane*sizeQ+a.rowQ(b, h, q0+t0):], a.ColsQ, w.sum, a.Size)
			}
			a.deep(&w.cotangent, rows, ct, a.width())
			more := a.Causal || block > 0
			a.turnedProduct(w, n, rows, w.narrowP, stride, &w.cotangent, w.dv[lane*size:], more)
			a.turnedProduct(w, n, rows, w.narrowDS, stride, &w.queries, w.dk[lane*size:], more)
		}
	}
	for lane := range a.lanes {
		dkv := a.dkv[lane*sizeKV:]
		narrowRows(a.LenKV, a.Size, dkv[a.rowK(b, h, 0):], a.ColsKV, w.dk[lane*size:], a.Size)
		narrowRows(a.LenKV, a.Size, dkv[a.rowV(b, h, 0):], a.ColsKV, w.dv[lane*size:], a.Size)
	}
}

// turnedProduct is c = xᵀ·b, or c += xᵀ·b, for x of k rows of which n columns count. Its rows are woven into pairs first.
func (a *narrowAttention) turnedProduct(w *narrowAttention, n, k int, x []uint16, ld int, b *panels, c []float32, accumulate bool) {
	v := a.dot
	w.turned.reserve(ceil(n, v.rows), ceil(k, 2)*v.rows)
	w.turned.packRows(v, v.packRowsA, v.rows, 0, k, n, bf16.Pairs(x), ld)
	for t := range ceil(n, v.rows) {
		rows := min(v.rows, n-t*v.rows)
		for j := 0; j < a.Size; j += v.width {
			to := &c[t*v.rows*a.Size+j]
			v.tile(rows, ceil(k, 2), w.turned.at(t), 1, v.rows, b.at(j/v.width), to, a.Size, onto(to, accumulate), nil, min(v.width, a.Size-j), nil, 0)
		}
	}
}
