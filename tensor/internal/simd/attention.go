package simd

import (
	"fmt"
	"math"

	"fewshot/tensor/internal/par"
)

// AttentionShape describes scaled dot-product attention over packed projections; its fields are those of
// tensor.AttentionShape. Rows of q are ColsQ wide and hold the query at column Q; rows of kv are ColsKV wide
// and hold key and value at columns K and V; each is Heads·Size wide. Causal hides keys after the
// query's position.
type AttentionShape struct {
	Batch, LenQ, LenKV, Heads, Size int
	ColsQ, ColsKV, Q, K, V          int
	Causal                          bool
}

// blockQ is how many queries the gradient works on at a time: their probabilities and the gradients of
// their scores stay in the L2 cache for sequences of some hundred keys.
const blockQ = 112

func (s *AttentionShape) width() int     { return s.Heads * s.Size }
func (s *AttentionShape) scale() float32 { return float32(1 / math.Sqrt(float64(s.Size))) }

// scale2 is scale where powers are those of 2.
func (s *AttentionShape) scale2() float32 { return float32(math.Log2E / math.Sqrt(float64(s.Size))) }

// Where row r of head h of example b is: in q, as key and value in kv, in the result and in lse.
func (s *AttentionShape) rowQ(b, h, r int) int { return (b*s.LenQ+r)*s.ColsQ + s.Q + h*s.Size }
func (s *AttentionShape) rowK(b, h, r int) int { return (b*s.LenKV+r)*s.ColsKV + s.K + h*s.Size }
func (s *AttentionShape) rowV(b, h, r int) int { return (b*s.LenKV+r)*s.ColsKV + s.V + h*s.Size }
func (s *AttentionShape) out(b, h, r int) int  { return (b*s.LenQ+r)*s.width() + h*s.Size }
func (s *AttentionShape) stat(b, h, r int) int { return (b*s.Heads+h)*s.LenQ + r }
func (s *AttentionShape) empty() bool          { return s.Batch*s.LenQ*s.LenKV*s.width() == 0 }

// grain is how many heads make a task: neighbours, so that one is fetched while the other is computed.
func (s *AttentionShape) grain(p *par.Pool) int {
	return min(s.Heads, ceil(s.Batch*s.Heads, tasksPerWorker*p.Workers()))
}

// operands adds a head's q, k and v to what is to be fetched. A float32 holds so many of their elements.
func (s *AttentionShape) operands(next *ahead, head, each int, q, kv []float32) {
	b, h := head/s.Heads, head%s.Heads
	next.add(s.LenKV, kv[s.rowK(b, h, 0)/each:], s.ColsKV/each)
	next.add(s.LenKV, kv[s.rowV(b, h, 0)/each:], s.ColsKV/each)
	next.add(s.LenQ, q[s.rowQ(b, h, 0)/each:], s.ColsQ/each)
}

// results adds a head's result and its cotangents.
func (s *AttentionShape) results(next *ahead, head, each int, out, ct []float32, lanes int) {
	at, lane := s.out(head/s.Heads, head%s.Heads, 0)/each, s.Batch*s.LenQ*s.width()/each
	next.add(s.LenQ, out[at:], s.width()/each)
	for i := range lanes {
		next.add(s.LenQ, ct[i*lane+at:], s.width()/each)
	}
}

// seen is the number of keys that at least one of the first queries sees.
func (s *AttentionShape) seen(queries int) int {
	if s.Causal {
		return min(queries, s.LenKV)
	}
	return s.LenKV
}

func (s *AttentionShape) check(op string, lanes int, operands ...operand) {
	d := s.width()
	if min(s.Batch, s.LenQ, s.LenKV, s.Heads, s.Size, s.Q, s.K, s.V) < 0 || s.Q+d > s.ColsQ || max(s.K, s.V)+d > s.ColsKV {
		panic(fmt.Sprintf("simd.%s: impossible shape %+v", op, *s))
	}
	for _, o := range operands {
		if o.have != o.need {
			panic(fmt.Sprintf("simd.%s: %s has %d elements, should have %d: %+v, %d lanes", op, o.name, o.have, o.need, *s, lanes))
		}
	}
}

// An operand is a length to check.
type operand struct {
	name       string
	have, need int
}

// Attention is, for each example and head, dst = softmax(q·kᵀ/√Size)·v, dst [Batch, LenQ, Heads·Size]; lse
// [Batch, Heads, LenQ] gets the logarithms of the denominators. It reports whether it did it: false means
// that there are no kernels, or that one of the extents is 0.
//
// Scores of a head exist for one tile of queries at a time, as exponentials below their maximum: it is the result that is divided
// by their sum, being the narrower. While a head is computed, what the next one reads is fetched. The bits of the result do not
// depend on the number of workers.
func Attention(p *par.Pool, dst, lse, q, kv []float32, s AttentionShape) bool {
	if active == nil {
		return false
	}
	s.check("Attention", 1, operand{"dst", len(dst), s.Batch * s.LenQ * s.width()}, operand{"lse", len(lse), s.Batch * s.Heads * s.LenQ},
		operand{"q", len(q), s.Batch * s.LenQ * s.ColsQ}, operand{"kv", len(kv), s.Batch * s.LenKV * s.ColsKV})
	if s.empty() {
		return false
	}
	a := takeAttention()
	a.AttentionShape, a.v, a.dst, a.lse, a.q, a.kv = s, active, dst, lse, q, kv
	p.For(s.Batch*s.Heads, s.grain(p), a.forwardFunc)
	a.release()
	return true
}

// AttentionGrad gives the gradients of Attention for each lane of ct [lanes, Batch, LenQ, Heads·Size]: dq
// and dkv, packed like q and kv, with lanes before. Only the columns that Attention reads are written.
// dq and dkv may be one slice. out and lse are Attention's results. It reports whether it did it, as Attention does.
//
// With P = softmax(q·kᵀ·scale), recomputed from lse once for all lanes: dv = Pᵀ·ct, dP = ct·vᵀ,
// dS = P⊙(dP − D)·scale where D, the sum of P⊙dP by rows, is also that of ct⊙out; dq = dS·k, dk = dSᵀ·q
// (Dao et al., FlashAttention, 2022, section 3.1).
func AttentionGrad(p *par.Pool, dq, dkv, ct, q, kv, out, lse []float32, s AttentionShape, lanes int) bool {
	if active == nil {
		return false
	}
	nq, nkv, no := s.Batch*s.LenQ*s.ColsQ, s.Batch*s.LenKV*s.ColsKV, s.Batch*s.LenQ*s.width()
	s.check("AttentionGrad", lanes, operand{"dq", len(dq), lanes * nq}, operand{"dkv", len(dkv), lanes * nkv}, operand{"ct", len(ct), lanes * no},
		operand{"q", len(q), nq}, operand{"kv", len(kv), nkv}, operand{"out", len(out), no}, operand{"lse", len(lse), s.Batch * s.Heads * s.LenQ})
	if s.empty() {
		return false
	}
	a := takeAttention()
	a.AttentionShape, a.v, a.dq, a.dkv, a.ct, a.q, a.kv, a.dst, a.lse, a.lanes = s, active, dq, dkv, ct, q, kv, out, lse, lanes
	p.For(s.Batch*s.Heads, s.grain(p), a.gradFunc)
	a.release()
	return true
}

// An attention is a call in progress, or the scratch memory of one worker. It is used again.
type attention struct {
	AttentionShape
	v                            *variant
	dst, lse, q, kv, dq, dkv, ct []float32
	lanes                        int

	forwardFunc, gradFunc func(worker, lo, hi int)

	keysT, valuesT     panels    // Size deep, LenKV wide
	keys, values       panels    // LenKV deep, Size wide
	queries, cotangent panels    // of a block of queries: as deep as it, Size wide
	p, ds              []float32 // P, and dP or dS, of a tile or block of queries
	max, sum           []float32 // of each query: its greatest score, and the sum of exponentials below it
	next               ahead     // operands of the next head
}

var idleAttentions free[attention]

func takeAttention() *attention {
	a := idleAttentions.take()
	if a.forwardFunc == nil {
		a.forwardFunc, a.gradFunc = a.forward, a.grad
	}
	return a
}

// release makes the attention available again and forgets its operands.
func (a *attention) release() {
	a.dst, a.lse, a.q, a.kv, a.dq, a.dkv, a.ct = nil, nil, nil, nil, nil, nil, nil
	idleAttentions.give(a)
}

// scoreStride is the length of a row of scores: whole cache lines, but no large power of two, so that
// the rows of a tile do not fall into the same cache sets.
func (s *AttentionShape) scoreStride() int {
	n := ceil(s.LenKV, 16) * 16
	if n%256 == 0 {
		n += 16
	}
	return n
}

func (a *attention) forward(_, lo, hi int) {
	w := takeAttention()
	for task := lo; task < hi; task++ {
		w.next.clear()
		if task+1 < hi {
			a.operands(&w.next, task+1, 1, a.q, a.kv)
		}
		a.forwardHead(w, task/a.Heads, task%a.Heads)
	}
	w.release()
}

// forwardHead is Attention for head h of example b, in the scratch memory of w.
func (a *attention) forwardHead(w *attention, b, h int) {
	v, stride := a.v, a.scoreStride()
	w.keysT.fillT(v, a.LenKV, a.Size, a.kv[a.rowK(b, h, 0):], a.ColsKV)
	w.values.fill(v, a.LenKV, a.Size, a.kv[a.rowV(b, h, 0):], a.ColsKV)
	w.p = grow(w.p, v.rows*stride)
	w.max, w.sum = grow(w.max, a.LenQ), grow(w.sum, a.LenQ)
	for r := range ceil(a.LenQ, v.rows) {
		q0, q1 := part(a.LenQ, v.rows, r)
		n := a.seen(q1)
		v.product(q1-q0, n, a.Size, a.q[a.rowQ(b, h, q0):], a.ColsQ, 1, &w.keysT, w.p, stride, false, &w.next)
		for q := q0; q < q1; q++ {
			row := w.p[(q-q0)*stride:][:n]
			seen := a.seen(q + 1)
			w.max[q], w.sum[q] = v.powersBelowMax(seen, &row[0], &row[0], a.scale2())
			clear(row[seen:])
		}
		out := a.dst[a.out(b, h, q0):]
		v.product(q1-q0, a.Size, n, w.p, stride, 1, &w.values, out, a.width(), false, nil)
		v.divideRows(q1-q0, a.Size, &out[0], a.width(), &w.sum[q0])
	}
	v.logSums(a.LenQ, &a.lse[a.stat(b, h, 0)], &w.max[0], &w.sum[0], a.scale())
}

func (a *attention) grad(_, lo, hi int) {
	w := takeAttention()
	for task := lo; task < hi; task++ {
		w.next.clear()
		if task+1 < hi {
			a.operands(&w.next, task+1, 1, a.q, a.kv)
			a.results(&w.next, task+1, 1, a.dst, a.ct, a.lanes)
		}
		a.gradHead(w, task/a.Heads, task%a.Heads)
	}
	w.release()
}

// gradHead is AttentionGrad for head h of example b, in the scratch memory of w.
func (a *attention) gradHead(w *attention, b, h int) {
	v, stride, scale := a.v, a.scoreStride(), a.scale()
	w.keysT.fillT(v, a.LenKV, a.Size, a.kv[a.rowK(b, h, 0):], a.ColsKV)
	w.valuesT.fillT(v, a.LenKV, a.Size, a.kv[a.rowV(b, h, 0):], a.ColsKV)
	w.keys.fill(v, a.LenKV, a.Size, a.kv[a.rowK(b, h, 0):], a.ColsKV)
	w.p = grow(w.p, blockQ*stride)
	w.ds = grow(w.ds, blockQ*stride)
	sizeQ, sizeKV, sizeOut := a.Batch*a.LenQ*a.ColsQ, a.Batch*a.LenKV*a.ColsKV, a.Batch*a.LenQ*a.width()

	// The first queries of causal attention do not see all keys, whose gradients they begin.
	if a.Causal {
		for lane := range a.lanes {
			for r := range a.LenKV {
				clear(a.dkv[lane*sizeKV+a.rowK(b, h, r):][:a.Size])
				clear(a.dkv[lane*sizeKV+a.rowV(b, h, r):][:a.Size])
			}
		}
	}
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
			v.product(t1-t0, seen, a.Size, a.q[a.rowQ(b, h, q0+t0):], a.ColsQ, 1, &w.keysT, p, stride, false, next)
			for r := range t1 - t0 {
				q := q0 + t0 + r
				row, seen := p[r*stride:][:n], a.seen(q+1)
				v.powers(seen, &row[0], &row[0], a.scale2(), a.lse[a.stat(b, h, q)]*math.Log2E)
				clear(row[seen:])
			}
		}
		w.queries.fill(v, rows, a.Size, a.q[a.rowQ(b, h, q0):], a.ColsQ)
		for lane := range a.lanes {
			ct, dkv := a.ct[lane*sizeOut:], a.dkv[lane*sizeKV:]
			for t := range ceil(rows, v.rows) {
				t0, t1 := part(rows, v.rows, t)
				ds, seen := w.ds[t0*stride:], a.seen(q0+t1)
				v.product(t1-t0, seen, a.Size, ct[a.out(b, h, q0+t0):], a.width(), 1, &w.valuesT, ds, stride, false, next)
				for r := range t1 - t0 {
					q := q0 + t0 + r
					p, row := w.p[(t0+r)*stride:], ds[r*stride:][:n]
					seen, at := a.seen(q+1), a.out(b, h, q)
					v.softmaxGrad(seen, &row[0], &row[0], &p[0], v.dot(a.Size, &ct[at], &a.dst[at]), scale)
					clear(row[seen:])
				}
				v.product(t1-t0, a.Size, seen, ds, stride, 1, &w.keys, a.dq[lane*sizeQ+a.rowQ(b, h, q0+t0):], a.ColsQ, false, nil)
			}
			w.cotangent.fill(v, rows, a.Size, ct[a.out(b, h, q0):], a.width())
			more := a.Causal || block > 0
			v.product(n, a.Size, rows, w.p, 1, stride, &w.cotangent, dkv[a.rowV(b, h, 0):], a.ColsKV, more, nil)
			v.product(n, a.Size, rows, w.ds, 1, stride, &w.queries, dkv[a.rowK(b, h, 0):], a.ColsKV, more, nil)
		}
	}
}
