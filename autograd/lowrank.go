package autograd

import (
	"fmt"
	"math"
	"slices"

	"fewshot/tensor"
)

// Dropout says which elements of an input's rows are hidden: those of row i whose number in row Rows[i] of Uniform [R, D] is less than P.
// The numbers are multiples of 2⁻²⁴, as tensor.Uniform makes them, and may be others each time a program runs.
type Dropout struct {
	Uniform *tensor.Tensor
	Rows    []int32
	P       float64
}

// rate is what is left is multiplied by.
func (d *Dropout) rate() float64 {
	if d == nil {
		return 1
	}
	return 1 / (1 - d.P)
}

// hide is dst = x where it is kept and 0 elsewhere, by rows, for x [K, …, D] of any number of lanes.
func (d *Dropout) hide(dst, x *tensor.Tensor) {
	u := x.Device().New(tensor.Full, len(d.Rows), x.Dim(1))
	tensor.Gather(u, d.Uniform, d.Rows)
	// U ≥ P is U > t for the number t before P.
	t, n := (math.Ceil(d.P*(1<<24))-1)/(1<<24), u.Len()
	for k := range x.Len() / n {
		part := func(y *tensor.Tensor) *tensor.Tensor { return y.View(x.Len()/n, n).Index(k) }
		tensor.Mask(part(dst), part(x), u, t)
	}
	u.Release()
}

// Path is one product of two thin matrices: x·Aᵀ·Bᵀ for A [r, D] and B [n, r], which goes to columns from At on.
type Path struct {
	A, B *Var
	At   int
	Drop *Dropout // of x, for this path alone; what is left is divided by 1 − P
}

// LowRank is the sum over paths of scale·drop(x)·Aᵀ·Bᵀ, for x [..., D], in their columns of the result [..., width]; columns of different
// paths are apart. No weight gradient as large as Bᵀ·A is ever made.
func LowRank(x *Var, width int, scale float64, paths []Path) *Var {
	t, d := x.tape, x.Value.Dim(1)
	rows := x.Value.Len() / d
	l := &lowRank{x: x, width: width, paths: paths}
	inputs := []*Var{x}
	for i, p := range paths {
		r, n := p.A.Shape()[0], p.B.Shape()[0]
		if p.A.Value.Dim(1) != d || p.B.Shape()[1] != r || p.At < 0 || p.At+n > width || p.Drop != nil && len(p.Drop.Rows) != rows {
			panic(fmt.Sprintf("autograd: LowRank: path %d of %v and %v at %d of %d, for %v", i, p.A.Shape(), p.B.Shape(), p.At, width, x.Shape()))
		}
		l.at = append(l.at, l.rank)
		l.rank += r
		l.dropped = l.dropped || p.Drop != nil
		l.factor = append(l.factor, scale*p.Drop.rate())
		inputs = append(inputs, p.A, p.B)
	}
	out := t.New(x.Value.Kind(), replaceLast(x.Shape(), width)...)
	h := t.New(tensor.Full, rows, l.rank)
	l.inner(h, x.Value)
	b := l.outer(t.dev)
	tensor.Gemm(matrix(out), h, b, tensor.GemmOptions{TransB: true})
	b.Release()
	keep := slices.Concat([]*tensor.Tensor{h}, x.sources())
	for _, p := range paths {
		keep = append(keep, p.A.Value, p.B.Value)
		if p.Drop != nil {
			keep = append(keep, p.Drop.Uniform)
		}
	}
	return t.Record(out, inputs, keep, func(s *Sweep, ct *tensor.Tensor) { l.pull(s, ct, h) })
}

// lowRank is a LowRank at work. Its paths lie beside each other: h [rows, rank] has the columns of each from at[i] on.
type lowRank struct {
	x       *Var
	width   int
	paths   []Path
	at      []int
	factor  []float64
	rank    int
	dropped bool
}

// inner is h = x·Aᵀ.
func (l *lowRank) inner(h, x *tensor.Tensor) {
	dev := x.Device()
	if !l.dropped {
		a := l.stacked(dev)
		tensor.Gemm(h, matrix(x), a, tensor.GemmOptions{TransB: true})
		a.Release()
		return
	}
	seen := dev.New(x.Kind(), x.Shape()...)
	for i, p := range l.paths {
		from := x
		if p.Drop != nil {
			p.Drop.hide(seen, x)
			from = seen
		}
		r := p.A.Shape()[0]
		part := dev.New(tensor.Full, h.Shape()[0], r)
		tensor.Gemm(part, matrix(from), p.A.Value, tensor.GemmOptions{TransB: true})
		tensor.CopyBlocks(h, part, h.Shape()[0], r, l.at[i], l.rank, 0, r)
		part.Release()
	}
	seen.Release()
}

// stacked are the A of all paths, [rank, D].
func (l *lowRank) stacked(dev *tensor.Device) *tensor.Tensor {
	a := dev.New(tensor.Full, l.rank, l.x.Value.Dim(1))
	for i, p := range l.paths {
		tensor.Copy(a.Rows(l.at[i], l.at[i]+p.A.Shape()[0]), p.A.Value)
	}
	return a
}

// outer are the B of all paths with their factors, each in its place, [width, rank].
func (l *lowRank) outer(dev *tensor.Device) *tensor.Tensor {
	b := dev.Zeros(tensor.Full, l.width, l.rank)
	tensor.Fill(b, 0)
	for i, p := range l.paths {
		n, r := p.B.Shape()[0], p.B.Shape()[1]
		part := dev.New(tensor.Full, n, r)
		tensor.Scale(part, p.B.Value, l.factor[i])
		tensor.CopyBlocks(b, part, n, r, p.At*l.rank+l.at[i], l.rank, 0, r)
		part.Release()
	}
	return b
}

func (l *lowRank) pull(s *Sweep, ct, h *tensor.Tensor) {
	dev, d, rows := s.tape.dev, l.x.Value.Dim(1), h.Shape()[0]
	b := l.outer(dev)
	dh := s.NewLike(tensor.Full, rows, l.rank)
	tensor.Gemm(matrix(dh), matrix(ct), b, tensor.GemmOptions{})
	b.Release()
	db := s.NewLike(tensor.Full, l.width, l.rank)
	tensor.Gemm(db, lanes(ct), h, tensor.GemmOptions{TransA: true})
	for i, p := range l.paths {
		if p.B.NeedsGrad() {
			n, r := p.B.Shape()[0], p.B.Shape()[1]
			g := s.NewLike(tensor.Full, n, r)
			for k := range s.lanes {
				tensor.CopyBlocks(g.Index(k), db.Index(k), n, r, 0, r, p.At*l.rank+l.at[i], l.rank)
			}
			tensor.Scale(g, g, l.factor[i])
			s.Give(p.B, g)
		}
	}
	db.Release()
	x := s.recall(l.x)
	if l.dropped {
		l.pullDropped(s, dh, x)
	} else {
		da := s.NewLike(tensor.Full, l.rank, d)
		tensor.Gemm(da, dh, matrix(x), tensor.GemmOptions{TransA: true})
		for i, p := range l.paths {
			if p.A.NeedsGrad() {
				g := s.NewLike(tensor.Full, p.A.Shape()...)
				for k := range s.lanes {
					tensor.Copy(g.Index(k), da.Index(k).Rows(l.at[i], l.at[i]+p.A.Shape()[0]))
				}
				s.Give(p.A, g)
			}
		}
		da.Release()
		if l.x.NeedsGrad() {
			a, dx := l.stacked(dev), s.New(l.x)
			tensor.Gemm(matrix(dx), matrix(dh), a, tensor.GemmOptions{})
			a.Release()
			s.Give(l.x, dx)
		}
	}
	x.Release()
	dh.Release()
}

// pullDropped takes the gradient of h on, path by path: each sees another x.
func (l *lowRank) pullDropped(s *Sweep, dh, x *tensor.Tensor) {
	dev, d, rows := s.tape.dev, l.x.Value.Dim(1), dh.Dim(2)
	seen := dev.New(x.Kind(), x.Shape()...)
	var dx *tensor.Tensor
	for i, p := range l.paths {
		r := p.A.Shape()[0]
		part := s.NewLike(tensor.Full, rows, r)
		tensor.CopyBlocks(part, dh, s.lanes*rows, r, 0, r, l.at[i], l.rank)
		if p.A.NeedsGrad() {
			from := x
			if p.Drop != nil {
				p.Drop.hide(seen, x)
				from = seen
			}
			g := s.NewLike(tensor.Full, r, d)
			tensor.Gemm(g, part, matrix(from), tensor.GemmOptions{TransA: true})
			s.Give(p.A, g)
		}
		if l.x.NeedsGrad() {
			g := s.New(l.x)
			tensor.Gemm(matrix(g), matrix(part), p.A.Value, tensor.GemmOptions{})
			if p.Drop != nil {
				p.Drop.hide(g, g)
			}
			if dx == nil {
				dx = g
			} else {
				tensor.Add(dx, dx, g)
				g.Release()
			}
		}
		part.Release()
	}
	seen.Release()
	if dx != nil {
		s.Give(l.x, dx)
	}
}
