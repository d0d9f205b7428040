package rmt

import (
	"fmt"
	"math"
	"slices"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

// Mask hides elements of a frozen weight W: layers see W ⊙ [M > α] for the real-valued scores M.
type Mask struct {
	Param *nn.Param
	// Scores are M, of the weight's shape: one for each of its elements. One for each output, of the shape [out, 1, …],
	// or for each input, [1, in, 1, …], stands for all elements of that.
	Scores    *tensor.Tensor
	Threshold float64 // α

	init      float64        // what the scores were to begin with
	frozen    bool           // read from a file: nothing differentiates by it
	gradients *tensor.Tensor // one of gradientSums; nil of a mask that no learner has
}

// Attach puts a mask of constant scores on each parameter. A constant above the threshold hides nothing
// yet.
func Attach(params []*nn.Param, init, threshold float64) []*Mask {
	return AttachAs(params, "weight", init, threshold)
}

// AttachAs is Attach with scores as coarse as a granularity says, one of Granularities; empty is a score for each
// weight.
func AttachAs(params []*nn.Param, granularity string, init, threshold float64) []*Mask {
	var masks []*Mask
	for _, p := range params {
		shape := slices.Clone(p.Value.Shape())
		for i := range shape {
			if granularity == "filter" && i != 0 || granularity == "channel" && i != 1 {
				shape[i] = 1
			}
		}
		m := &Mask{Param: p, Scores: p.Value.Device().New(tensor.Full, shape...), Threshold: threshold, init: init}
		tensor.Fill(m.Scores, init)
		p.Parametrize(m.apply)
		masks = append(masks, m)
	}
	return masks
}

// each is how many elements of the weight a score stands for.
func (m *Mask) each() int { return m.Param.Value.Len() / m.Scores.Len() }

// Detach takes the mask off again: the parameter is what it was, to the bit.
func (m *Mask) Detach() { m.Param.Parametrize(nil) }

// apply is the parametrisation. Its gradient is straight-through (Bengio et al. 2013; R-AMT eq. 3): with
// W' the masked weight, ∂L/∂M = ∂L/∂W' ⊙ W, also for elements that are switched off, so that they can come
// back.
func (m *Mask) apply(t *autograd.Tape, w *autograd.Var) *autograd.Var {
	if w.NeedsGrad() {
		panic("rmt: " + m.Param.Name + ": a masked weight is frozen")
	}
	scores := t.Const(m.Scores)
	if !m.frozen {
		scores = t.Leaf(m.Scores)
	}
	if m.each() > 1 {
		return m.applyCoarse(t, w, scores)
	}
	out := t.New(tensor.Compute, w.Shape()...)
	tensor.Mask(out, w.Value, m.Scores, m.Threshold)
	return t.Record(out, []*autograd.Var{scores}, []*tensor.Tensor{w.Value}, func(s *autograd.Sweep, ct *tensor.Tensor) {
		g := s.Over(ct, scores)
		tensor.Mul(g, ct, w.Value)
		s.Give(scores, g)
	})
}

// applyCoarse is apply for scores that stand for several elements: those of the weight, seen as [A, scores, B], that
// have the same place between. The gradient of a score is the sum of theirs.
func (m *Mask) applyCoarse(t *autograd.Tape, w, scores *autograd.Var) *autograd.Var {
	dev, n := t.Device(), m.Scores.Len()
	outer := 1
	if m.Scores.Shape()[0] == 1 {
		outer = w.Shape()[0]
	}
	inner := w.Value.Len() / (outer * n)
	ones := func(shape ...int) *tensor.Tensor {
		x := dev.New(tensor.Full, shape...)
		tensor.Fill(x, 1)
		return x
	}
	kept, row, wide := ones(n, 1), ones(1, inner), dev.New(tensor.Full, n, inner)
	tensor.Mask(kept, kept, m.Scores, m.Threshold)
	tensor.Gemm(wide, kept, row, tensor.GemmOptions{})
	out := t.New(tensor.Compute, w.Shape()...)
	tensor.Mul(out.View(outer, n, inner), w.Value.View(outer, n, inner), wide)
	for _, x := range []*tensor.Tensor{kept, row, wide} {
		x.Release()
	}
	return t.Record(out, []*autograd.Var{scores}, []*tensor.Tensor{w.Value}, func(s *autograd.Sweep, ct *tensor.Tensor) {
		k := s.Lanes()
		all, across, column := s.NewLike(tensor.Full, outer, n, inner), s.NewLike(tensor.Full, n, inner), ones(inner, 1)
		tensor.Copy(all, ct)
		tensor.Mul(all.View(append([]int{k}, w.Shape()...)...), all.View(append([]int{k}, w.Shape()...)...), w.Value)
		tensor.SumTo(across, all)
		g := s.NewLike(tensor.Full, m.Scores.Shape()...)
		tensor.Gemm(g.View(k*n, 1), across.View(k*n, inner), column, tensor.GemmOptions{})
		for _, x := range []*tensor.Tensor{all, across, column} {
			x.Release()
		}
		s.Give(scores, g)
	})
}

// Off is the number of elements the mask hides.
func (m *Mask) Off() int { return SparsityOf([]*Mask{m}).Off }

// Bits are the mask's elements in row-major order: true where the weight is kept.
func (m *Mask) Bits() []bool {
	bits, scores := make([]bool, m.Param.Value.Len()), m.Scores.Floats()
	n := len(scores)
	inner := m.each() // of the elements that lie together and have one score
	if m.Scores.Shape()[0] == 1 {
		inner /= m.Param.Value.Shape()[0]
	}
	for i := range bits {
		bits[i] = float64(scores[i/inner%n]) > m.Threshold
	}
	return bits
}

// Sparsity counts what masks hide.
type Sparsity struct {
	Off   int `json:"off"`   // weights switched off
	Total int `json:"total"` // weights that carry a mask
}

// Percent is the share of masked weights that is off, as the paper and its code count it.
func (s Sparsity) Percent() float64 {
	if s.Total == 0 {
		return 0
	}
	return 100 * float64(s.Off) / float64(s.Total)
}

func (s Sparsity) String() string {
	return fmt.Sprintf("%.2f %% (%d of %d)", s.Percent(), s.Off, s.Total)
}

// SparsityOf sums over masks. It waits for the device once.
func SparsityOf(masks []*Mask) Sparsity {
	var s Sparsity
	for _, of := range sparsities(masks) {
		s.Off += of.Off
		s.Total += of.Total
	}
	return s
}

// TensorSparsity is the sparsity of one mask.
type TensorSparsity struct {
	Name string `json:"name"`
	Sparsity
	// Change is how far its scores are from where they began, the mean of |M − M₀|; nil of a mask that was read from a
	// file.
	Change *float64 `json:"mean_change,omitempty"`
	// GradientSum is the mean over its scores of Σ γ·∂L/∂M, the sum over the steps, with γ the learning rate and L the
	// cross-entropy: how far plain gradient descent would have moved them, downwards, along the way that the training
	// took. nil of a mask that no learner had.
	GradientSum *float64 `json:"mean_gradient_sum,omitempty"`
}

// Sparsities are those of each mask.
func Sparsities(masks []*Mask) []TensorSparsity {
	var all []TensorSparsity
	for i, s := range sparsities(masks) {
		of := TensorSparsity{Name: masks[i].Param.Name, Sparsity: s, Change: masks[i].change()}
		if g := masks[i].gradients; g != nil {
			sum := g.Item()
			of.GradientSum = &sum
		}
		all = append(all, of)
	}
	return all
}

// change is the mean of |M − M₀|.
func (m *Mask) change() *float64 {
	if m.frozen {
		return nil
	}
	sum, begin := 0.0, float64(float32(m.init)) // as it is stored
	for _, v := range m.Scores.Floats() {
		sum += math.Abs(float64(v) - begin)
	}
	mean := sum / float64(m.Scores.Len())
	return &mean
}

// sparsities are those of each mask.
func sparsities(masks []*Mask) []Sparsity {
	if len(masks) == 0 {
		return nil
	}
	kept := masks[0].Scores.Device().New(tensor.Full, counts(masks))
	defer kept.Release()
	countKept(kept, masks)
	rest, all := kept.Float64s(), make([]Sparsity, len(masks))
	for i, m := range masks {
		all[i].Total = m.Param.Value.Len()
		all[i].Off, rest = all[i].Total-m.each()*int(sum(rest[:m.counts()])), rest[m.counts():]
	}
	return all
}

// counts is how many numbers a device takes to count what the mask lets through: one, unless it is very large.
func (m *Mask) counts() int { return (m.Scores.Len() + tensor.MostCounted - 1) / tensor.MostCounted }

// counts is how many all masks take.
func counts(masks []*Mask) (n int) {
	for _, m := range masks {
		n += m.counts()
	}
	return n
}

// countKept counts what masks let through, into dst [counts].
func countKept(dst *tensor.Tensor, masks []*Mask) {
	i := 0
	for _, m := range masks {
		scores := m.Scores.View(m.Scores.Len())
		for lo := 0; lo < scores.Len(); lo += tensor.MostCounted {
			tensor.CountAbove(dst.Index(i), scores.Rows(lo, min(lo+tensor.MostCounted, scores.Len())), m.Threshold)
			i++
		}
	}
}

func sum(v []float64) (s float64) {
	for _, x := range v {
		s += x
	}
	return s
}
