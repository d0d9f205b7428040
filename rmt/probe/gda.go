package probe

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"fewshot/autograd"
	"fewshot/tensor"
)

// GDAConfig are the settings of Gaussian discriminant analysis beside the text classifier.
type GDAConfig struct {
	Alphas   []float64 `json:"alphas"`    // weights of the discriminant that validation chooses from
	Scale    float64   `json:"scale"`     // of the text classifier's cosines
	Nearest  int       `json:"nearest"`   // training images from which a new class is made
	TextSame int       `json:"text_same"` // copies of its text feature beside them
}

// DefaultGDA has the published settings.
func DefaultGDA() GDAConfig {
	return GDAConfig{Alphas: []float64{1e-4, 1e-3, 1e-2, 1e-1, 1, 10, 100}, Scale: 100, Nearest: 64, TextSame: 16}
}

// gdaFallback is the weight when no candidate gets a single validation image right.
const gdaFallback = 0.1

// Validate reports the first setting that makes no sense.
func (c GDAConfig) Validate() error {
	switch {
	case len(c.Alphas) == 0:
		return fmt.Errorf("gda has no weight to choose")
	case slices.ContainsFunc(c.Alphas, func(a float64) bool { return !(a >= 0) || math.IsInf(a, 0) }):
		return fmt.Errorf("weights %v of the discriminant must not be negative", c.Alphas)
	case !(c.Scale > 0) || math.IsInf(c.Scale, 0):
		return fmt.Errorf("scale %g must be positive", c.Scale)
	case c.Nearest < 2 || c.TextSame < 0:
		return fmt.Errorf("a new class is made of %d images, at least 2, and %d copies of its text", c.Nearest, c.TextSame)
	}
	return nil
}

// Gaussians are a discriminant: classes are normal distributions with means of their own and a common covariance, so that for
// features f of length 1 the log odds are f·W_c + b_c.
type Gaussians struct {
	Means     *mat.Dense    // [C, D]
	Precision *mat.SymDense // inverse covariance [D, D]
	W         *mat.Dense    // [C, D]
	B         []float64     // [C]
}

// newGaussians makes them of means and precision, with classes equally likely.
func newGaussians(means *mat.Dense, precision *mat.SymDense) Gaussians {
	classes, d := means.Dims()
	g := Gaussians{means, precision, mat.NewDense(classes, d, nil), make([]float64, classes)}
	g.W.Mul(means, precision)
	for c := range g.B {
		g.B[c] = -math.Log(float64(classes)) - 0.5*mat.Dot(means.RowView(c), g.W.RowView(c))
	}
	return g
}

// relative are W [C·D] and b less their means over classes, which changes all logits of an image by the same. What
// classes have in common grows with the inverse square of how far features lie apart, differences with the inverse
// alone: of features that are nearly alike, float32 has logits' differences by hundreds of times more exactly without
// it.
func (g Gaussians) relative() (w, b []float64) {
	classes, d := g.Means.Dims()
	w, b = rowMajor(g.W), slices.Clone(g.B)
	mean := make([]float64, d)
	for c := range classes {
		floats.AddScaled(mean, 1/float64(classes), w[c*d:(c+1)*d])
	}
	for c := range classes {
		floats.Sub(w[c*d:(c+1)*d], mean)
	}
	floats.AddConst(-floats.Sum(b)/float64(classes), b)
	return w, b
}

// Head adds the discriminant, with a weight, to the text classifier of features text [C, D]: scale·f·t_c + alpha·(f·W_c + b_c), less
// what alpha is multiplied with in the mean over classes.
func (g Gaussians) Head(text *tensor.Tensor, scale, alpha float64) Linear {
	w, b := g.relative()
	floats.Scale(alpha, w)
	floats.Scale(alpha, b)
	floats.AddScaled(w, scale, text.Float64s())
	return newLinear(text.Device(), w, b, true)
}

// GDAFit is how the weight of a discriminant was chosen.
type GDAFit struct {
	Gaussians
	Correct []int // validation images right, by candidate
	Alpha   float64
}

// FitGDA estimates the Gaussians on augmented passes over the training images, stacked (see [Stack]), with text features [C, D] of
// length 1, and chooses their weight on validation images. The precision is the regularised
//
//	Σ⁻¹ = D·((n−1)·S + tr(S)·I)⁻¹
//
// where S is the covariance around the classes' means.
func FitGDA(train, val Features, text *tensor.Tensor, c GDAConfig) (Linear, GDAFit, error) {
	return fitGDA(train, val, text, c, func(x *centred) (*mat.SymDense, error) {
		scatter, n := x.scatter(0, x.n), float64(x.n)
		return shrunk(scatter, mat.Trace(scatter)/(n-1), float64(x.d), "training")
	})
}

// FitGDABase is FitGDA as the authors have it for classes that leave others for later: the precision is the pseudo-inverse of the
// mean of the classes' own covariances.
func FitGDABase(train, val Features, text *tensor.Tensor, c GDAConfig) (Linear, GDAFit, error) {
	return fitGDA(train, val, text, c, func(x *centred) (*mat.SymDense, error) {
		mean := mat.NewSymDense(x.d, nil)
		for k := range x.counts {
			lo, hi := x.starts[k], x.starts[k+1]
			if hi-lo < 2 {
				return nil, fmt.Errorf("class %d has one training feature, which has no covariance: gda of base classes needs more shots or passes", k)
			}
			s := x.scatter(lo, hi)
			s.ScaleSym(1/(float64(hi-lo-1)*float64(len(x.counts))), s)
			mean.AddSym(mean, s)
		}
		return pseudoInverse(mean)
	})
}

func fitGDA(train, val Features, text *tensor.Tensor, c GDAConfig, precision func(*centred) (*mat.SymDense, error)) (Linear, GDAFit, error) {
	var fit GDAFit
	if err := c.Validate(); err != nil {
		return Linear{}, fit, err
	}
	classes := text.Shape()[0]
	if val.X == nil || len(val.Labels) == 0 {
		return Linear{}, fit, fmt.Errorf("gda chooses its weight by validation images, and there are none")
	}
	if err := val.Check("validation", classes, false); err != nil {
		return Linear{}, fit, err
	}
	if err := train.Check("training", classes, true); err != nil {
		return Linear{}, fit, err
	}
	if train.X.Dim(1) != text.Dim(1) {
		return Linear{}, fit, fmt.Errorf("features have %d numbers, text features %d", train.X.Dim(1), text.Dim(1))
	}
	t := autograd.NoGrad(train.X.Device())
	defer t.Release()
	x := center(t, unit(t, train.X), train.Labels, classes)
	p, err := precision(x)
	if err != nil {
		return Linear{}, fit, err
	}
	fit.Gaussians = newGaussians(x.means, p)

	// The same two products serve all weights.
	v := unit(t, val.X)
	byText, byDensity := t.New(tensor.Full, len(val.Labels), classes), t.New(tensor.Full, len(val.Labels), classes)
	tensor.Gemm(byText, v, text, tensor.GemmOptions{TransB: true})
	tensor.Scale(byText, byText, c.Scale)
	w, b := fit.relative()
	density := newLinear(train.X.Device(), w, b, true)
	defer density.Release()
	tensor.Gemm(byDensity, v, density.W, tensor.GemmOptions{TransB: true, Bias: density.B})
	logits := t.New(tensor.Full, len(val.Labels), classes)
	best := 0
	fit.Alpha = gdaFallback
	for _, a := range c.Alphas {
		tensor.Copy(logits, byText)
		tensor.AXPY(logits, a, byDensity)
		n := Correct(logits, val.Labels)
		fit.Correct = append(fit.Correct, n)
		if n > best {
			best, fit.Alpha = n, a
		}
	}
	return fit.Head(text, c.Scale, fit.Alpha), fit, train.X.Device().Sync()
}

// FitGDANew makes the head for classes without images, of text features [C', D] of length 1: each is a Gaussian around the mean of the
// training features nearest to its text and copies of that text, and the covariance is of those features around it. alpha is the
// weight that the base classes chose.
func FitGDANew(train Features, text *tensor.Tensor, alpha float64, c GDAConfig) (Linear, Gaussians, error) {
	if err := c.Validate(); err != nil {
		return Linear{}, Gaussians{}, err
	}
	n, classes, d := len(train.Labels), text.Shape()[0], text.Dim(1)
	if n < c.Nearest {
		return Linear{}, Gaussians{}, fmt.Errorf("gda makes a new class of the %d nearest training features, and there are %d: more shots or passes are needed", c.Nearest, n)
	}
	t := autograd.NoGrad(train.X.Device())
	defer t.Release()
	x := unit(t, train.X)
	near := t.New(tensor.Full, classes, n)
	tensor.Gemm(near, text, x, tensor.GemmOptions{TransB: true})
	cosines, features, words := near.Float64s(), x.Float64s(), text.Float64s()
	means, mean := mat.NewDense(classes, d, nil), mat.NewSymDense(d, nil)
	picked := t.New(tensor.Full, c.Nearest, d)
	gram := t.New(tensor.Full, d, d)
	order, rows := make([]int, n), make([]float64, c.Nearest*d)
	for k := range classes {
		row, w := cosines[k*n:(k+1)*n], words[k*d:(k+1)*d]
		for i := range order {
			order[i] = i
		}
		slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(row[b], row[a]) })
		m := means.RawRowView(k)
		for j := range d {
			m[j] = float64(c.TextSame) * w[j]
		}
		for i, at := range order[:c.Nearest] {
			for j, v := range features[at*d : (at+1)*d] {
				m[j] += v
				rows[i*d+j] = v - w[j]
			}
		}
		for j := range m {
			m[j] /= float64(c.Nearest + c.TextSame)
		}
		picked.SetFloat64(rows)
		tensor.Gemm(gram, picked, picked, tensor.GemmOptions{TransA: true})
		scatter := symmetric(gram)
		p, err := shrunk(scatter, mat.Trace(scatter)/float64(c.Nearest-1), float64(d), "nearest")
		if err != nil {
			return Linear{}, Gaussians{}, err
		}
		p.ScaleSym(1/float64(classes), p)
		mean.AddSym(mean, p)
	}
	g := newGaussians(means, mean)
	return g.Head(text, c.Scale, alpha), g, train.X.Device().Sync()
}

// centred are features minus their classes' means, in the order of the classes.
type centred struct {
	n, d   int
	x      *tensor.Tensor // [n, D]
	means  *mat.Dense     // [C, D]
	counts []int
	starts []int // of each class's rows, and their end
	tape   *autograd.Tape
}

// center subtracts means, in float64.
func center(t *autograd.Tape, x *tensor.Tensor, labels []int32, classes int) *centred {
	n, d := len(labels), x.Dim(1)
	c := &centred{n: n, d: d, means: mat.NewDense(classes, d, nil), counts: make([]int, classes), starts: make([]int, classes+1), tape: t}
	v := x.Float64s()
	for i, l := range labels {
		c.counts[l]++
		m := c.means.RawRowView(int(l))
		for j, f := range v[i*d : (i+1)*d] {
			m[j] += f
		}
	}
	for k, count := range c.counts {
		c.starts[k+1] = c.starts[k] + count
		m := c.means.RawRowView(k)
		for j := range m {
			m[j] /= float64(count)
		}
	}
	sorted, at := make([]float64, len(v)), slices.Clone(c.starts)
	for i, l := range labels {
		to := sorted[at[l]*d : (at[l]+1)*d]
		at[l]++
		m := c.means.RawRowView(int(l))
		for j, f := range v[i*d : (i+1)*d] {
			to[j] = f - m[j]
		}
	}
	c.x = t.New(tensor.Full, n, d)
	c.x.SetFloat64(sorted)
	return c
}

// scatter is Σ x·xᵀ over some rows.
func (c *centred) scatter(lo, hi int) *mat.SymDense {
	gram := c.x.Device().New(tensor.Full, c.d, c.d)
	defer gram.Release()
	x := c.x.Rows(lo, hi)
	tensor.Gemm(gram, x, x, tensor.GemmOptions{TransA: true})
	return symmetric(gram)
}

// shrunk is factor·(scatter + ridge·I)⁻¹.
func shrunk(scatter *mat.SymDense, ridge, factor float64, what string) (*mat.SymDense, error) {
	d := scatter.SymmetricDim()
	if !(ridge > 0) {
		return nil, fmt.Errorf("the %s features of every class are all the same, so they have no covariance: gda needs more shots or augmented passes", what)
	}
	for i := range d {
		scatter.SetSym(i, i, scatter.At(i, i)+ridge)
	}
	var chol mat.Cholesky
	if !chol.Factorize(scatter) {
		return nil, fmt.Errorf("the covariance of the %s features is not positive", what)
	}
	inverse := mat.NewSymDense(d, nil)
	if err := chol.InverseTo(inverse); err != nil {
		return nil, fmt.Errorf("the covariance of the %s features: %w", what, err)
	}
	inverse.ScaleSym(factor, inverse)
	return inverse, nil
}

// pseudoInverse leaves out what is below D·2⁻²³ of the largest eigenvalue: as torch.linalg.pinv of a float32 matrix, as the
// authors' are.
func pseudoInverse(s *mat.SymDense) (*mat.SymDense, error) {
	d := s.SymmetricDim()
	var eigen mat.EigenSym
	if !eigen.Factorize(s, true) {
		return nil, fmt.Errorf("the mean covariance has no eigenvalues")
	}
	values := eigen.Values(nil)
	if !(values[d-1] > 0) {
		return nil, fmt.Errorf("the training features of every class are all the same, so they have no covariance: gda needs more shots or augmented passes")
	}
	var v mat.Dense
	eigen.VectorsTo(&v)
	least := float64(d) * 0x1p-23 * values[d-1]
	scaled := mat.NewDense(d, d, nil)
	for j, e := range values {
		if e > least {
			for i := range d {
				scaled.Set(i, j, v.At(i, j)/e)
			}
		}
	}
	var full mat.Dense
	full.Mul(scaled, v.T())
	inverse := mat.NewSymDense(d, nil)
	for i := range d {
		for j := i; j < d; j++ {
			inverse.SetSym(i, j, 0.5*(full.At(i, j)+full.At(j, i)))
		}
	}
	return inverse, nil
}

// rowMajor are a matrix's elements.
func rowMajor(m *mat.Dense) []float64 {
	r, c := m.Dims()
	v := make([]float64, 0, r*c)
	for i := range r {
		v = append(v, m.RawRowView(i)...)
	}
	return v
}
