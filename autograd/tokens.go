package autograd

import (
	"fmt"

	"fewshot/tensor"
)

// JoinTokens puts sequences one behind the other: parts [B, L_i, D], or [L_i, D] for tokens that are the same for the
// whole batch, to [B, ΣL_i, D]. If no part has a batch of its own, the result is [ΣL_i, D].
func JoinTokens(parts ...*Var) *Var {
	t, first := parts[0].tape, parts[0].Value
	b, length, d := 1, 0, first.Dim(1)
	batched := false
	for _, p := range parts {
		length += p.Value.Dim(2)
		if p.Value.Rank() == 3 {
			b, batched = p.Shape()[0], true
		}
	}
	shape := []int{length, d}
	if batched {
		shape = []int{b, length, d}
	}
	out := t.New(first.Kind(), shape...)
	at := 0
	for _, p := range parts {
		l := p.Value.Dim(2)
		stride := l * d
		if p.Value.Rank() == 2 {
			stride = 0
		} else if p.Shape()[0] != b {
			panic(fmt.Sprintf("autograd: JoinTokens: a part %v among sequences of a batch of %d", p.Shape(), b))
		}
		tensor.CopyBlocks(out, p.Value, b, l*d, at*d, length*d, 0, stride)
		at += l
	}
	return t.Record(out, parts, nil, func(s *Sweep, ct *tensor.Tensor) {
		at := 0
		for _, p := range parts {
			l := p.Value.Dim(2)
			giveTokens(s, p, ct, s.lanes*b, length, at, batched)
			at += l
		}
	})
}

// ReplaceTokens is x [B, L, D] or [L, D] with tokens [n, D], or [B, n, D], in the place of those from at on.
func ReplaceTokens(x, tokens *Var, at int) *Var {
	t := x.tape
	length, n, d := x.Value.Dim(2), tokens.Value.Dim(2), x.Value.Dim(1)
	b := x.Value.Len() / (length * d)
	if at < 0 || at+n > length || tokens.Value.Rank() == 3 && tokens.Shape()[0] != b {
		panic(fmt.Sprintf("autograd: ReplaceTokens: %v at %d of %v", tokens.Shape(), at, x.Shape()))
	}
	out := t.New(x.Value.Kind(), x.Shape()...)
	tensor.Copy(out, x.Value)
	stride := n * d
	if tokens.Value.Rank() == 2 {
		stride = 0
	}
	tensor.CopyBlocks(out, tokens.Value, b, n*d, at*d, length*d, 0, stride)
	return t.Record(out, []*Var{x, tokens}, nil, func(s *Sweep, ct *tensor.Tensor) {
		kb := s.lanes * b
		giveTokens(s, tokens, ct, kb, length, at, true)
		if x.NeedsGrad() {
			dx, nothing := s.Over(ct, x), t.dev.Zeros(ct.Kind(), n*d)
			if !dx.SameMemory(ct) {
				tensor.Copy(dx, ct)
			}
			tensor.CopyBlocks(dx, nothing, kb, n*d, at*d, length*d, 0, 0)
			nothing.Release()
			s.Give(x, dx)
		}
	})
}

// Tokens are those from lo to hi of each sequence: x [B, L, D] to [B, hi-lo, D].
func Tokens(x *Var, lo, hi int) *Var {
	t := x.tape
	b, l, d := x.Shape()[0], x.Shape()[1], x.Shape()[2]
	out := t.New(x.Value.Kind(), b, hi-lo, d)
	tensor.CopyBlocks(out, x.Value, b, (hi-lo)*d, 0, (hi-lo)*d, lo*d, l*d)
	return t.Record(out, []*Var{x}, nil, func(s *Sweep, ct *tensor.Tensor) {
		dx := s.New(x)
		tensor.Fill(dx, 0)
		tensor.CopyBlocks(dx, ct, s.lanes*b, (hi-lo)*d, lo*d, l*d, 0, (hi-lo)*d)
		s.Give(x, dx)
	})
}

// giveTokens gives v its tokens of ct, those from at on of kb sequences of the given length. Where v is the same for a
// batch, they are summed.
func giveTokens(s *Sweep, v *Var, ct *tensor.Tensor, kb, length, at int, batched bool) {
	if !v.NeedsGrad() {
		return
	}
	n, d := v.Value.Dim(2), v.Value.Dim(1)
	shape := v.Shape()
	if batched && v.Value.Rank() == 2 {
		shape = []int{kb / s.lanes, n, d}
	}
	g := s.NewLike(ct.Kind(), shape...)
	tensor.CopyBlocks(g, ct, kb, n*d, 0, n*d, at*d, length*d)
	s.Give(v, g)
}

// Reshape gives the same elements another shape.
func Reshape(x *Var, shape ...int) *Var {
	return x.tape.Record(x.Value.View(shape...), []*Var{x}, nil, func(s *Sweep, ct *tensor.Tensor) {
		s.Pass(x, ct.View(append([]int{s.lanes}, x.Shape()...)...))
	})
}
