package autograd

import (
	"slices"

	"fewshot/tensor"
)

// Patches cuts constant images [N,C,H,W] into the rows [N, (H/p)·(W/p), C·p·p] that a patch embedding
// multiplies. What is left over at the right and at the bottom is dropped, as by a convolution.
func Patches(images *Var, p int) *Var {
	if images.NeedsGrad() {
		panic("autograd: Patches: images are constants")
	}
	t, s := images.tape, images.Shape()
	out := t.New(tensor.Compute, s[0], (s[2]/p)*(s[3]/p), s[1]*p*p)
	if h, w := s[2]/p*p, s[3]/p*p; h != s[2] || w != s[3] {
		whole := t.dev.New(images.Value.Kind(), s[0], s[1], h, w)
		defer whole.Release()
		for i := range s[0] * s[1] {
			tensor.CopyBlocks(whole, images.Value, h, w, i*h*w, w, i*s[2]*s[3], s[3])
		}
		tensor.Patches(out, whole, p)
		return t.Const(out)
	}
	tensor.Patches(out, images.Value, p)
	return t.Const(out)
}

// Prepend puts one token [D], the same for the whole batch, before x [B, L, D].
func Prepend(token, x *Var) *Var {
	t := x.tape
	b, l, d := x.Shape()[0], x.Shape()[1], x.Shape()[2]
	out := t.New(x.Value.Kind(), b, l+1, d)
	tensor.CopyBlocks(out, token.Value, b, d, 0, (l+1)*d, 0, 0)
	tensor.CopyBlocks(out, x.Value, b, l*d, d, (l+1)*d, 0, l*d)
	return t.Record(out, []*Var{token, x}, nil, func(s *Sweep, ct *tensor.Tensor) {
		kb := s.lanes * b
		if token.NeedsGrad() {
			g := s.NewLike(ct.Kind(), b, d)
			tensor.CopyBlocks(g, ct, kb, d, 0, d, 0, (l+1)*d)
			s.Give(token, g)
		}
		if x.NeedsGrad() {
			g := s.New(x)
			tensor.CopyBlocks(g, ct, kb, l*d, 0, l*d, d, (l+1)*d)
			s.Give(x, g)
		}
	})
}

// FirstToken takes token 0 of each sequence: x [B, L, D] to [B, D].
func FirstToken(x *Var) *Var { return TakeTokens(x, make([]int32, x.Shape()[0])) }

// TakeTokens takes token at[i] of sequence i: x [B, L, D] to [B, D].
func TakeTokens(x *Var, at []int32) *Var {
	b, l := x.Shape()[0], x.Shape()[1]
	rows := make([]int32, b)
	for i := range rows {
		rows[i] = int32(i*l) + at[i]
	}
	return TakeRows(x, rows)
}

// TakeRows takes rows of x [..., D], counted over all of its axes before the last: [len(rows), D]. A row may be taken
// several times.
func TakeRows(x *Var, rows []int32) *Var {
	t, d := x.tape, x.Value.Dim(1)
	n := x.Value.Len() / d
	out := t.New(x.Value.Kind(), len(rows), d)
	tensor.Gather(out, x.Value.View(n, d), rows)
	return t.Record(out, []*Var{x}, nil, func(s *Sweep, ct *tensor.Tensor) {
		s.Accumulate(x, x.Value.Kind(), func(dx *tensor.Tensor, add bool) {
			if !add {
				tensor.Fill(dx, 0)
			}
			tensor.ScatterAdd(dx.View(s.lanes, n, d), ct, rows)
		})
	})
}

// Rows takes rows [lo, hi) of w's first axis, as a part of a packed weight.
func Rows(w *Var, lo, hi int) *Var {
	t := w.tape
	part := w.Value.Rows(lo, hi)
	return t.Record(part, []*Var{w}, nil, func(s *Sweep, ct *tensor.Tensor) {
		s.Accumulate(w, ct.Kind(), func(dst *tensor.Tensor, add bool) {
			if !add {
				tensor.Fill(dst, 0)
			}
			for k := range s.lanes {
				rows := dst.Index(k).Rows(lo, hi)
				tensor.Add(rows, rows, ct.Index(k))
			}
		})
	})
}

// Gather looks rows up: the result's shape is the ids' shape, then the width of the table [V, D].
func Gather(table *Var, ids []int32, shape ...int) *Var {
	t, d := table.tape, table.Value.Dim(1)
	out := t.New(tensor.Compute, append(slices.Clone(shape), d)...)
	tensor.Gather(out, table.Value, ids)
	return t.Record(out, []*Var{table}, nil, func(s *Sweep, ct *tensor.Tensor) {
		g := s.NewLike(tensor.Full, table.Shape()...)
		tensor.Fill(g, 0)
		tensor.ScatterAdd(g, ct, ids)
		s.Give(table, g)
	})
}

// Concat puts x [..., D] and y [..., E] side by side: [..., D+E].
func Concat(x, y *Var) *Var {
	t := x.tape
	d, e := x.Value.Dim(1), y.Value.Dim(1)
	rows := x.Value.Len() / d
	out := t.New(x.Value.Kind(), replaceLast(x.Shape(), d+e)...)
	tensor.CopyBlocks(out, x.Value, rows, d, 0, d+e, 0, d)
	tensor.CopyBlocks(out, y.Value, rows, e, d, d+e, 0, e)
	return t.Record(out, []*Var{x, y}, nil, func(s *Sweep, ct *tensor.Tensor) {
		at := 0
		for _, v := range []*Var{x, y} {
			n := v.Value.Dim(1)
			if v.NeedsGrad() {
				g := s.New(v)
				tensor.CopyBlocks(g, ct, s.lanes*rows, n, 0, n, at, d+e)
				s.Give(v, g)
			}
			at += n
		}
	})
}

// Matrix views a convolution weight [out, in, kh, kw] as the matrix [out, in·kh·kw].
func Matrix(w *Var) *Var {
	n := w.Shape()[0]
	return Reshape(w, n, w.Value.Len()/n)
}
