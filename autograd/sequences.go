package autograd

import (
	"fmt"

	"fewshot/tensor"
)

// Sequences are rows of a matrix that make Count sequences of Len tokens, one after the other from row First on. All
// of them continue the same Shared rows from row Prefix on, if Shared is not 0. In a causal network what a prefix is
// does not depend on what follows, so it is computed once, however many sequences it begins.
type Sequences struct{ First, Count, Len, Prefix, Shared int }

// rows is how many rows of their own the sequences have.
func (g Sequences) rows() int { return g.Count * g.Len }

// CausalAttention is Attention, causal, for sequences of unequal lengths: qkv [R, 3D] to [R, D]. Each row belongs to
// one of the groups, and a prefix to an earlier one than those that continue it. It is Attention on the sequences
// written out, to the bit.
func CausalAttention(qkv *Var, heads int, groups []Sequences) *Var {
	t, d := qkv.tape, qkv.Value.Dim(1)/3
	o := tensor.AttentionOptions{Heads: heads, K: d, V: 2 * d, Causal: true}
	checkSequences(qkv.Value, groups)
	out := t.New(qkv.Value.Kind(), replaceLast(qkv.Shape(), d)...)
	keep := []*tensor.Tensor{qkv.Value, out}
	for _, g := range groups {
		x, y, lse := g.whole(qkv.Value), g.room(out), t.New(tensor.Full, heads*g.Count*(g.Shared+g.Len))
		tensor.Attention(y, lse, x, x, o)
		g.put(out, y)
		x.Release()
		y.Release()
		keep = append(keep, lse)
	}
	return t.Record(out, []*Var{qkv}, keep, func(s *Sweep, ct *tensor.Tensor) {
		dqkv := s.New(qkv)
		for i, g := range groups {
			x, y := g.whole(qkv.Value), g.whole(out)
			for k := range s.lanes {
				c, into := g.own(ct.Index(k)), g.room(dqkv.Index(k))
				dx := into.View(append([]int{1}, into.Shape()...)...)
				tensor.AttentionGrad(dx, dx, c.View(append([]int{1}, c.Shape()...)...), x, x, y, keep[2+i], o)
				g.put(dqkv.Index(k), into)
				g.addPrefix(dqkv.Index(k), into)
				c.Release()
				into.Release()
			}
			x.Release()
			y.Release()
		}
		s.Give(qkv, dqkv)
	})
}

func checkSequences(x *tensor.Tensor, groups []Sequences) {
	n := 0
	for _, g := range groups {
		if g.First != n || min(g.Count, g.Len) < 1 || g.Prefix < 0 || g.Shared < 0 || g.Shared > 0 && g.Prefix+g.Shared > g.First {
			panic(fmt.Sprintf("autograd: CausalAttention: %+v after %d rows; groups follow one another, prefixes lie before", g, n))
		}
		n += g.rows()
	}
	if x.Rank() != 2 || x.Shape()[0] != n {
		panic(fmt.Sprintf("autograd: CausalAttention: sequences of %d rows, rows %v", n, x.Shape()))
	}
}

// whole are the sequences of x [R, w] with their prefixes written out, [Count, Shared+Len, w]. The caller releases it.
func (g Sequences) whole(x *tensor.Tensor) *tensor.Tensor {
	y := g.room(x)
	if w := x.Dim(1); g.Shared > 0 {
		tensor.CopyBlocks(y, x, g.Count, g.Shared*w, 0, (g.Shared+g.Len)*w, g.Prefix*w, 0)
		tensor.CopyBlocks(y, x, g.Count, g.Len*w, g.Shared*w, (g.Shared+g.Len)*w, g.First*w, g.Len*w)
	}
	return y
}

// own is whole with zeros for the prefixes: cotangents come from the sequences' own rows.
func (g Sequences) own(x *tensor.Tensor) *tensor.Tensor {
	y := g.room(x)
	if w := x.Dim(1); g.Shared > 0 {
		tensor.Fill(y, 0)
		tensor.CopyBlocks(y, x, g.Count, g.Len*w, g.Shared*w, (g.Shared+g.Len)*w, g.First*w, g.Len*w)
	}
	return y
}

// room is where the sequences written out go: memory of their own, or without prefixes that of x. The caller releases
// it.
func (g Sequences) room(x *tensor.Tensor) *tensor.Tensor {
	if w := x.Dim(1); g.Shared > 0 {
		return x.Device().New(x.Kind(), g.Count, g.Shared+g.Len, w)
	} else {
		x.Retain()
		return x.Rows(g.First, g.First+g.rows()).View(g.Count, g.Len, w)
	}
}

// put takes the sequences' own rows out of those written out.
func (g Sequences) put(x, whole *tensor.Tensor) {
	if w := x.Dim(1); g.Shared > 0 {
		tensor.CopyBlocks(x, whole, g.Count, g.Len*w, g.First*w, g.Len*w, g.Shared*w, (g.Shared+g.Len)*w)
	}
}

// addPrefix adds what all sequences have for their prefix to its rows.
func (g Sequences) addPrefix(x, whole *tensor.Tensor) {
	if g.Shared == 0 {
		return
	}
	n := (g.Shared + g.Len) * x.Dim(1)
	sum := x.Device().New(tensor.Full, 1, n)
	tensor.SumTo(sum, whole.View(1, g.Count, n))
	rows := x.Rows(g.Prefix, g.Prefix+g.Shared)
	tensor.Add(rows, rows, sum.View(g.Shared+g.Len, x.Dim(1)).Rows(0, g.Shared))
	sum.Release()
}
