package tensortest

import (
	"math"
	"slices"

	"fewshot/tensor"
)

var attentionCases = []testCase{
	{name: "Attention", run: attention},
	{name: "Attention/not a number", run: attentionNaN},
	{name: "Attention/shapes", run: attentionShapes},
	{name: "AttentionGrad", run: attentionGrad},
	{name: "AttentionGrad/differences", run: attentionDifferences},
}

// attentionCase is one arrangement of queries, keys and values.
type attentionCase struct {
	tensor.AttentionShape
	packed bool // q and kv are one tensor
}

// attentionCaseList covers self-attention on packed projections, a class token's query on keys and values
// that it shares with nobody, unused columns, and unequal lengths under a causal mask.
func attentionCaseList() (all []attentionCase) {
	type heads struct{ heads, size int }
	for _, h := range []heads{{2, 8}, {1, 64}, {3, 5}, {1, 1}, {4, 16}} {
		d := h.heads * h.size
		for _, causal := range []bool{false, true} {
			self := func(batch, length, gap int) {
				all = append(all, attentionCase{tensor.AttentionShape{Batch: batch, LenQ: length, LenKV: length, Heads: h.heads, Size: h.size,
					ColsQ: 3*d + gap, ColsKV: 3*d + gap, Q: gap, K: d + gap, V: 2*d + gap, Causal: causal}, true})
			}
			cross := func(batch, lenQ, lenKV, colsQ, q, colsKV, k, v int) {
				all = append(all, attentionCase{tensor.AttentionShape{Batch: batch, LenQ: lenQ, LenKV: lenKV, Heads: h.heads, Size: h.size,
					ColsQ: colsQ, ColsKV: colsKV, Q: q, K: k, V: v, Causal: causal}, false})
			}
			self(1, 1, 0)
			self(3, 7, 0)
			self(2, 17, 2)
			self(1, 67, 0)
			cross(3, 1, 10, d, 0, 2*d, 0, d)          // the class token alone
			cross(2, 1, 9, d, 0, 3*d, d, 2*d)         // its keys and values in a packed projection
			cross(2, 5, 3, 3*d+1, d+1, 2*d+3, d+2, 1) // values before keys, more queries than keys
			cross(1, 4, 33, d, 0, 2*d, d, 0)
		}
	}
	for _, n := range []struct { // the tokens of an image
		tokens int
		causal bool
	}{{197, false}, {197, true}, {257, false}} {
		all = append(all, attentionCase{tensor.AttentionShape{Batch: 1, LenQ: n.tokens, LenKV: n.tokens, Heads: 1, Size: 64,
			ColsQ: 192, ColsKV: 192, K: 64, V: 128, Causal: n.causal}, true})
	}
	return all
}

func (c attentionCase) options() tensor.AttentionOptions {
	return tensor.AttentionOptions{Heads: c.Heads, Q: c.Q, K: c.K, V: c.V, Causal: c.Causal}
}

// inputs makes q and kv. Columns that attention has no business with are NaN.
func (c attentionCase) inputs(r *rig, scale float64) (q, kv *operand) {
	d := c.Heads * c.Size
	columns := func(n, width int, used ...int) []float64 {
		v := fill(n*width, func() float64 { return nan })
		for i := range n {
			for _, at := range used {
				copy(v[i*width+at:], r.uniform(d, scale))
			}
		}
		return v
	}
	if c.packed {
		q = r.in(r.kind, columns(c.Batch*c.LenQ, c.ColsQ, c.Q, c.K, c.V), c.Batch, c.LenQ, c.ColsQ)
		return q, q
	}
	q = r.in(r.kind, columns(c.Batch*c.LenQ, c.ColsQ, c.Q), c.Batch, c.LenQ, c.ColsQ)
	return q, r.in(r.kind, columns(c.Batch*c.LenKV, c.ColsKV, c.K, c.V), c.Batch, c.LenKV, c.ColsKV)
}

// head gives the vectors of one head of one batch entry: width columns of rows [rows, cols] from column col on.
func head(v []num, batch, rows, cols, col, h, width int) [][]num {
	m := make([][]num, rows)
	for i := range m {
		at := (batch*rows+i)*cols + col + h*width
		m[i] = v[at : at+width]
	}
	return m
}

// scores is q·kᵀ/√size for the keys that query i may see.
func (c attentionCase) scores(a arith, q []num, k [][]num, i int) []num {
	if c.Causal {
		k = k[:min(i+1, len(k))]
	}
	s := make([]num, len(k))
	for j := range s {
		scaled := slices.Clone(q)
		for e := range scaled {
			scaled[e] = a.mul(scaled[e], a.constant(1/math.Sqrt(float64(c.Size))))
		}
		s[j] = a.dot(scaled, k[j])
	}
	return s
}

// each calls f for each head of each batch entry with its queries, keys and values.
func (c attentionCase) each(q, kv []num, f func(b, h int, q, k, v [][]num)) {
	for b := range c.Batch {
		for h := range c.Heads {
			f(b, h, head(q, b, c.LenQ, c.ColsQ, c.Q, h, c.Size), head(kv, b, c.LenKV, c.ColsKV, c.K, h, c.Size), head(kv, b, c.LenKV, c.ColsKV, c.V, h, c.Size))
		}
	}
}

// define gives out and lse.
func (c attentionCase) define(r *rig, q, kv []num) (out, lse []num) {
	d := c.Heads * c.Size
	out, lse = make([]num, c.Batch*c.LenQ*d), make([]num, c.Batch*c.Heads*c.LenQ)
	c.each(q, kv, func(b, h int, q, k, v [][]num) {
		for i, o := range head(out, b, c.LenQ, d, 0, h, c.Size) {
			p, l := softmaxRow(r.arith, c.scores(r.arith, q[i], k, i))
			lse[(b*c.Heads+h)*c.LenQ+i] = l
			for e := range o {
				var s accumulator
				for j := range p {
					s.add(r.mul(r.stored(p[j]), v[j][e]))
				}
				o[e] = s.sum(r.arith)
			}
		}
	})
	return out, lse
}

// stored is an intermediate that a kernel may keep in the format of its main operands: the probabilities and dS, where they
// are operands of further products.
func (r *rig) stored(x num) num {
	if f := r.dev.formats[r.kind]; f.u > r.u {
		x.err += f.u * (math.Abs(x.v) + x.err)
	}
	return x
}

// attentionScales are sizes of q and k at which the softmax is nearly even, and nearly one key's.
var attentionScales = []float64{1, 12}

func attention(r *rig) {
	for _, c := range attentionCaseList() {
		for i, scale := range attentionScales {
			if c.LenQ > 100 && i > 0 { // slow
				continue
			}
			r.variant("%+v |q|<%v", c, scale)
			q, kv := c.inputs(r, scale)
			out, lse := r.out(r.kind, c.Batch, c.LenQ, c.Heads*c.Size), r.out(tensor.Full, c.Batch, c.Heads, c.LenQ)
			tensor.Attention(out.Tensor, lse.Tensor, q.Tensor, kv.Tensor, c.options())
			var wantOut, wantLSE []num
			r.check("out", out, func() []num {
				wantOut, wantLSE = c.define(r, exacts(q.v), exacts(kv.v))
				return wantOut
			})
			r.check("lse", lse, func() []num { return wantLSE })
		}
	}
}

// attentionNaN: a query that is not a number spoils its own row and no other.
func attentionNaN(r *rig) {
	for _, size := range []int{8, 64} {
		d := 2 * size
		c := attentionCase{tensor.AttentionShape{Batch: 2, LenQ: 21, LenKV: 21, Heads: 2, Size: size, ColsQ: d, ColsKV: 2 * d, V: d}, false}
		r.variant("%+v", c)
		q, kv := c.inputs(r, 1)
		v := q.Float64s()
		v[20*d+3], v[25*d+d-1] = nan, nan
		q = r.in(r.kind, v, q.Shape()...)
		out, lse := r.out(r.kind, c.Batch, c.LenQ, d), r.out(tensor.Full, c.Batch, c.Heads, c.LenQ)
		tensor.Attention(out.Tensor, lse.Tensor, q.Tensor, kv.Tensor, c.options())
		var wantOut, wantLSE []num
		r.check("out", out, func() []num {
			wantOut, wantLSE = c.define(r, exacts(q.v), exacts(kv.v))
			return wantOut
		})
		r.check("lse", lse, func() []num { return wantLSE })
	}
}

func attentionShapes(r *rig) {
	r.variant("shapes")
	qkv, out, lse := r.out(r.kind, 2, 5, 24), r.out(r.kind, 2, 5, 8), r.out(tensor.Full, 2, 2, 5)
	o := tensor.AttentionOptions{Heads: 2, K: 8, V: 16}
	bad := func(call string, out, lse, q, kv *operand, change func(o *tensor.AttentionOptions)) {
		o := o
		change(&o)
		r.rejects(call, func() { tensor.Attention(out.Tensor, lse.Tensor, q.Tensor, kv.Tensor, o) })
	}
	asIs := func(*tensor.AttentionOptions) {}
	bad("Attention with values beyond the columns", out, lse, qkv, qkv, func(o *tensor.AttentionOptions) { o.V = 17 })
	bad("Attention with negative columns", out, lse, qkv, qkv, func(o *tensor.AttentionOptions) { o.Q = -1 })
	bad("Attention with heads that do not divide", out, lse, qkv, qkv, func(o *tensor.AttentionOptions) { o.Heads = 3 })
	bad("Attention with no heads", out, lse, qkv, qkv, func(o *tensor.AttentionOptions) { o.Heads = 0 })
	bad("Attention with a short lse", out, r.out(tensor.Full, 2, 5), qkv, qkv, asIs)
	bad("Attention of another length", r.out(r.kind, 2, 4, 8), lse, qkv, qkv, asIs)
	bad("Attention of another batch", out, lse, qkv, r.out(r.kind, 3, 5, 24), asIs)
	ct, d := r.out(r.kind, 2, 2, 5, 8), r.out(r.kind, 2, 2, 5, 24)
	one := r.out(r.kind, 1, 2, 5, 24)
	r.rejects("AttentionGrad with a lane missing", func() {
		tensor.AttentionGrad(one.Tensor, one.Tensor, ct.Tensor, qkv.Tensor, qkv.Tensor, out.Tensor, lse.Tensor, o)
	})
	r.rejects("AttentionGrad without lanes", func() {
		tensor.AttentionGrad(d.Tensor, d.Tensor, out.Tensor, qkv.Tensor, qkv.Tensor, out.Tensor, lse.Tensor, o)
	})
}

// attentionGrad takes out and lse from the device: the gradient's definition is one in terms of them.
func attentionGrad(r *rig) {
	for _, c := range attentionCaseList() {
		for lanes := 1; lanes <= 3; lanes++ {
			if c.LenQ > 100 && (lanes > 1 || c.Causal) { // slow
				continue
			}
			r.variant("%+v lanes=%d", c, lanes)
			q, kv := c.inputs(r, attentionScales[lanes%2])
			out, lse := r.out(r.kind, c.Batch, c.LenQ, c.Heads*c.Size), r.out(tensor.Full, c.Batch, c.Heads, c.LenQ)
			tensor.Attention(out.Tensor, lse.Tensor, q.Tensor, kv.Tensor, c.options())
			out.keep()
			lse.keep()
			ct := r.in(r.kind, r.uniform(lanes*out.Len(), 2), append([]int{lanes}, out.Shape()...)...)
			dq := r.out(r.kind, append([]int{lanes}, q.Shape()...)...)
			dkv := dq
			if !c.packed {
				dkv = r.out(r.kind, append([]int{lanes}, kv.Shape()...)...)
			}
			for _, d := range []*operand{dq, dkv} { // columns that are nobody's gradient stay
				tensor.Fill(d.Tensor, guardValue)
			}
			tensor.AttentionGrad(dq.Tensor, dkv.Tensor, ct.Tensor, q.Tensor, kv.Tensor, out.Tensor, lse.Tensor, c.options())
			var wantQ, wantKV []num
			r.check("dq", dq, func() []num {
				wantQ, wantKV = c.defineGrad(r, lanes, ct.v, q.v, kv.v, out, lse)
				return wantQ
			})
			if !c.packed {
				r.check("dkv", dkv, func() []num { return wantKV })
			}
		}
	}
}

// saved is what an operand holds of a result that a kernel may also compute again: uncertain by one rounding.
func (r *rig) saved(x *operand) []num {
	u := r.dev.formats[x.Kind()].u
	n := exacts(x.v)
	for i := range n {
		n[i].err = u*math.Abs(n[i].v) + r.tiny
	}
	return n
}

// defineGrad gives dq and dkv, one slice if packed:
//
//	P = exp(s − lse), dP = ct·vᵀ, dS = P ⊙ (dP − Σ ct·out)
//	dq = dS·k/√size, dk = dSᵀ·q/√size, dv = Pᵀ·ct
func (c attentionCase) defineGrad(r *rig, lanes int, ct, q, kv []float64, out, lse *operand) (dq, dkv []num) {
	width := c.Heads * c.Size
	untouched := func(n int) []num {
		v := make([]num, n)
		for i := range v {
			v[i] = exact(guardValue)
		}
		return v
	}
	dq = untouched(lanes * len(q))
	dkv = dq
	if !c.packed {
		dkv = untouched(lanes * len(kv))
	}
	factor := r.constant(1 / math.Sqrt(float64(c.Size)))
	outs, lses, cts := r.saved(out), r.saved(lse), exacts(ct)
	c.each(exacts(q), exacts(kv), func(b, h int, q, k, v [][]num) {
		p := make([][]num, c.LenQ)
		for i := range p {
			p[i] = c.scores(r.arith, q[i], k, i)
			for j := range p[i] {
				p[i][j] = r.exp(r.sub(p[i][j], lses[(b*c.Heads+h)*c.LenQ+i]))
			}
		}
		o := head(outs, b, c.LenQ, width, 0, h, c.Size)
		for lane := range lanes {
			g := head(part(cts, lane, lanes), b, c.LenQ, width, 0, h, c.Size)
			gq := head(part(dq, lane, lanes), b, c.LenQ, c.ColsQ, c.Q, h, c.Size)
			gk := head(part(dkv, lane, lanes), b, c.LenKV, c.ColsKV, c.K, h, c.Size)
			gv := head(part(dkv, lane, lanes), b, c.LenKV, c.ColsKV, c.V, h, c.Size)
			sk, sv := make([]accumulator, c.LenKV*c.Size), make([]accumulator, c.LenKV*c.Size)
			for i := range q {
				d := r.dot(g[i], o[i])
				sq := make([]accumulator, c.Size)
				for j, p := range p[i] {
					p = r.stored(p)
					ds := r.stored(r.mul(r.mul(p, r.sub(r.dot(g[i], v[j]), d)), factor))
					for e := range c.Size {
						sq[e].add(r.mul(ds, k[j][e]))
						sk[j*c.Size+e].add(r.mul(ds, q[i][e]))
						sv[j*c.Size+e].add(r.mul(p, g[i][e]))
					}
				}
				copy(gq[i], r.sums(sq))
			}
			for j := range gk {
				copy(gk[j], r.sums(sk[j*c.Size:(j+1)*c.Size]))
				copy(gv[j], r.sums(sv[j*c.Size:(j+1)*c.Size]))
			}
		}
	})
	return dq, dkv
}

// part is part i of n equal ones.
func part(v []num, i, n int) []num { return v[i*len(v)/n : (i+1)*len(v)/n] }

// attentionDifferences compares AttentionGrad with central differences of Attention in a random direction,
// on devices that keep float64. The error of a difference quotient is estimated from those of two steps:
// it falls with the square of the step.
func attentionDifferences(r *rig) {
	if r.dev.formats[r.kind].u > 0x1p-53 || r.bits != nil {
		return
	}
	for _, c := range attentionCaseList() {
		r.variant("%+v", c)
		q, kv := c.inputs(r, 1)
		outShape, lseShape := []int{c.Batch, c.LenQ, c.Heads * c.Size}, []int{c.Batch, c.Heads, c.LenQ}
		ct := r.uniform(tensor.Len(outShape), 1)
		dirQ, dirKV := r.uniform(q.Len(), 1), r.uniform(kv.Len(), 1)
		forward := func(step float64) (out, lse *operand, f, size float64) {
			q2 := r.in(r.kind, shifted(q.v, dirQ, step), q.Shape()...)
			kv2 := q2
			if !c.packed {
				kv2 = r.in(r.kind, shifted(kv.v, dirKV, step), kv.Shape()...)
			}
			out, lse = r.out(r.kind, outShape...), r.out(tensor.Full, lseShape...)
			tensor.Attention(out.Tensor, lse.Tensor, q2.Tensor, kv2.Tensor, c.options())
			for i, o := range out.Float64s() {
				f += ct[i] * o
				size += math.Abs(ct[i] * o)
			}
			return out, lse, f, size
		}
		slope := func(h float64) float64 {
			_, _, up, _ := forward(h)
			_, _, down, _ := forward(-h)
			return (up - down) / (2 * h)
		}
		const h = 0x1p-13 // near the cube root of the roundoff, where truncation and rounding weigh alike
		out, lse, _, size := forward(0)
		coarse, fine := slope(2*h), slope(h)
		terms := float64(tensor.Len(outShape) + c.LenKV + c.Size)
		bound := math.Abs(coarse-fine) + terms*r.u*size/h

		g := r.in(r.kind, ct, append([]int{1}, outShape...)...)
		dq := r.out(r.kind, append([]int{1}, q.Shape()...)...)
		dkv := dq
		if !c.packed {
			dkv = r.out(r.kind, append([]int{1}, kv.Shape()...)...)
		}
		tensor.AttentionGrad(dq.Tensor, dkv.Tensor, g.Tensor, q.Tensor, kv.Tensor, out.Tensor, lse.Tensor, c.options())
		got := 0.0
		along := func(d *operand, dir []float64) {
			for i, v := range d.Float64s() {
				if v == v { // columns that attention does not read
					got += v * dir[i]
				}
			}
		}
		along(dq, dirQ)
		if !c.packed {
			along(dkv, dirKV)
		}
		if !(math.Abs(got-fine) <= bound) {
			r.errorf("the gradient in a random direction is %v, by differences %v ± %.2g", got, fine, bound)
		}
	}
}

func shifted(v, dir []float64, step float64) []float64 {
	w := make([]float64, len(v))
	for i := range v {
		w[i] = v[i] + step*dir[i]
	}
	return w
}
