package autograd

import (
	"fmt"
	"math"

	"fewshot/tensor"
)

// Dropout says which elements of an input's rows are hidden: those of row i whose number in row Rows[i] of Uniform [R,
// D] is less than P. The numbers are multiples of 2⁻²⁴, as tensor.Uniform makes them, and may be others each time a
// program runs.
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

// numbers are those of the rows; release gives back what they took.
func (d *Dropout) numbers() (u *tensor.Tensor, release func()) {
	first, n := d.Rows[0], len(d.Rows)
	inOrder := true
	for i, r := range d.Rows {
		inOrder = inOrder && r == first+int32(i)
	}
	if inOrder { // as they lie there
		return d.Uniform.Rows(int(first), int(first)+n), func() {}
	}
	u = d.Uniform.Device().New(tensor.Full, n, d.Uniform.Dim(1))
	tensor.Gather(u, d.Uniform, d.Rows)
	return u, u.Release
}

// hide is dst = x where it is kept and 0 elsewhere, by rows, for x [K, …, D] of any number of lanes.
func (d *Dropout) hide(dst, x *tensor.Tensor) {
	u, release := d.numbers()
	defer release()
	// U ≥ P is U > t for the number t before P.
	t, n := (math.Ceil(d.P*(1<<24))-1)/(1<<24), u.Len()
	for k := range x.Len() / n {
		part := func(y *tensor.Tensor) *tensor.Tensor { return y.View(x.Len()/n, n).Index(k) }
		tensor.Mask(part(dst), part(x), u, t)
	}
}

// Path is one product of two thin matrices: x·Aᵀ·Bᵀ for A [r, D] and B [n, r], which goes to columns from At on.
type Path struct {
	A, B *Var
	At   int
	Drop *Dropout // of x, for this path alone; what is left is divided by 1 − P
}

// LowRank is a product of low rank in its two factors: h [..., rank] and w [width, rank], for x [..., D], with
//
//	h·wᵀ = Σ scale·drop(x)·Aᵀ·Bᵀ
//
// over the paths, each in its columns of the result, which are apart. [LowRankAdd] multiplies them. No weight gradient
// as large as Bᵀ·A is ever made.
func LowRank(x *Var, width int, scale float64, paths []Path) (h, w *Var) {
	d := x.Value.Dim(1)
	rows := x.Value.Len() / d
	l := &lowRank{x: x, width: width, paths: paths}
	for i, p := range paths {
		r, n := p.A.Shape()[0], p.B.Shape()[0]
		if p.A.Value.Dim(1) != d || p.B.Shape()[1] != r || p.At < 0 || p.At+n > width || p.Drop != nil && len(p.Drop.Rows) != rows {
			panic(fmt.Sprintf("autograd: LowRank: path %d of %v and %v at %d of %d, for %v", i, p.A.Shape(), p.B.Shape(), p.At, width, x.Shape()))
		}
		l.at = append(l.at, l.rank)
		l.rank += r
		l.dropped = l.dropped || p.Drop != nil
		l.factor = append(l.factor, scale*p.Drop.rate())
	}
	return l.inner(), l.outer()
}

// LowRankAdd is h·wᵀ + r for the factors of a LowRank and a residual r [..., width] or nil, in the given kind, which
// is r's.
func LowRankAdd(h, w, r *Var, k tensor.Kind) *Var { return linear(k, h, w, nil, r) }

// lowRank is a LowRank at work. Its paths lie beside each other: h and w have the columns of each from at[i] on.
type lowRank struct {
	x       *Var
	width   int
	paths   []Path
	at      []int
	factor  []float64
	rank    int
	dropped bool
}

// inner is h, drop(x)·Aᵀ.
func (l *lowRank) inner() *Var {
	x := l.x.Value
	h := l.x.tape.New(tensor.Full, replaceLast(l.x.Shape(), l.rank)...)
	l.project(matrix(h), x)
	inputs, keep := []*Var{l.x}, l.x.sources()
	keep = keep[:len(keep):len(keep)]
	for _, p := range l.paths {
		inputs, keep = append(inputs, p.A), append(keep, p.A.Value)
		if p.Drop != nil {
			keep = append(keep, p.Drop.Uniform)
		}
	}
	return l.x.tape.Record(h, inputs, keep, func(s *Sweep, dh *tensor.Tensor) {
		x := s.recall(l.x)
		if l.dropped {
			l.pullDropped(s, lanes(dh), x)
		} else {
			l.pull(s, lanes(dh), x)
		}
		x.Release()
	})
}

// project makes h [rows, rank].
func (l *lowRank) project(h, x *tensor.Tensor) {
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

// outer is w, the B of all paths with their factors, each in its place.
func (l *lowRank) outer() *Var {
	t := l.x.tape
	w := t.New(tensor.Full, l.width, l.rank)
	tensor.Fill(w, 0)
	var inputs []*Var
	for i, p := range l.paths {
		n, r := p.B.Shape()[0], p.B.Shape()[1]
		part := t.dev.New(tensor.Full, n, r)
		tensor.Scale(part, p.B.Value, l.factor[i])
		tensor.CopyBlocks(w, part, n, r, p.At*l.rank+l.at[i], l.rank, 0, r)
		part.Release()
		inputs = append(inputs, p.B)
	}
	return t.Record(w, inputs, nil, func(s *Sweep, dw *tensor.Tensor) {
		for i, p := range l.paths {
			if p.B.NeedsGrad() {
				n, r := p.B.Shape()[0], p.B.Shape()[1]
				g := s.NewLike(tensor.Full, n, r)
				for k := range s.lanes {
					tensor.CopyBlocks(g.Index(k), dw.Index(k), n, r, 0, r, p.At*l.rank+l.at[i], l.rank)
				}
				tensor.Scale(g, g, l.factor[i])
				s.Give(p.B, g)
			}
		}
	})
}

// pull takes the gradient dh [K, rows, rank] on where nothing is dropped.
func (l *lowRank) pull(s *Sweep, dh, x *tensor.Tensor) {
	da := s.NewLike(tensor.Full, l.rank, x.Dim(1))
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
		a, dx := l.stacked(s.tape.dev), s.New(l.x)
		tensor.Gemm(matrix(dx), matrix(dh), a, tensor.GemmOptions{})
		a.Release()
		s.Give(l.x, dx)
	}
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
