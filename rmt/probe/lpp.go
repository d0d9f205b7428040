package probe

import (
	"fmt"
	"math"

	"gonum.org/v1/gonum/mat"

	"fewshot/autograd"
	"fewshot/tensor"
)

// LPPConfig are the settings of LP++.
type LPPConfig struct {
	Epochs   int     `json:"epochs"`
	Momentum float64 `json:"momentum"`
	Every    int     `json:"alpha_every"` // epochs from one step of the blend to the next
	// Fresh takes the gradient of the blend from the last epoch. The released code never clears it: its step is along the sum of
	// all epochs' gradients so far, in which the first counts in every step.
	Fresh bool   `json:"alpha_fresh"`
	Seed  uint64 `json:"seed"` // of the initial biases
}

// DefaultLPP has the published settings.
func DefaultLPP() LPPConfig { return LPPConfig{Epochs: 300, Momentum: 0.9, Every: 10, Seed: 1} }

// Validate reports the first setting that makes no sense.
func (c LPPConfig) Validate() error {
	switch {
	case c.Epochs < 1:
		return fmt.Errorf("epochs %d: at least 1", c.Epochs)
	case c.Every < 1:
		return fmt.Errorf("a step of the blend every %d epochs: at least 1", c.Every)
	case !(c.Momentum >= 0 && c.Momentum < 1):
		return fmt.Errorf("momentum %g must lie in [0, 1)", c.Momentum)
	}
	return nil
}

// LPP is LP++ at work: for features f and text features t of length 1
//
//	logits_c = w_c·f + b_c + α_c·(f·t_c)
//
// without a temperature. W and b go down the gradient of the mean cross-entropy by steps of 4N/λmax(FᵀF), with momentum; the blend α
// by N/(4·max_c Σ_i (f_i·t_c)²), every so many epochs.
type LPP struct {
	Config     LPPConfig
	W, B, Sums *tensor.Tensor // [C, D], [C] and, of what the next step of α goes along, [C]
	Alpha      *tensor.Tensor // [C]
	RateW      float64
	RateAlpha  float64
	InitAlpha  float64

	// Of the last epoch.
	GradW, GradB *tensor.Tensor

	tape         *autograd.Tape // holds everything
	x, xt        *tensor.Tensor // features and their products with text
	labels       []int32
	vw, vb       *tensor.Tensor // momenta
	loss, p, g   *tensor.Tensor
	blend, dotsG *tensor.Tensor
	one          *tensor.Tensor
	epoch        int
}

// NewLPP prepares LP++ on one pass over the training images, with text features [C, D] of length 1. Release gives it back.
func NewLPP(train Features, text *tensor.Tensor, c LPPConfig) (*LPP, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	classes, d, n := text.Shape()[0], text.Dim(1), len(train.Labels)
	if err := train.Check("training", classes, true); err != nil {
		return nil, err
	}
	if train.X.Dim(1) != d {
		return nil, fmt.Errorf("features have %d numbers, text features %d", train.X.Dim(1), d)
	}
	dev := train.X.Device()
	t := autograd.NoGrad(dev)
	zeros := func(shape ...int) *tensor.Tensor {
		z := t.New(tensor.Full, shape...)
		tensor.Fill(z, 0)
		return z
	}
	l := &LPP{Config: c, tape: t, labels: train.Labels, x: unit(t, train.X), xt: t.New(tensor.Full, n, classes),
		W: t.New(tensor.Full, classes, d), B: t.New(tensor.Full, classes), Alpha: t.New(tensor.Full, classes), Sums: zeros(classes),
		GradW: t.New(tensor.Full, 1, classes, d), GradB: t.New(tensor.Full, 1, classes), vw: zeros(classes, d), vb: zeros(classes),
		loss: t.New(tensor.Full), p: t.New(tensor.Full, n, classes), g: t.New(tensor.Full, 1, n, classes),
		blend: t.New(tensor.Full, n, classes), dotsG: t.New(tensor.Full, 1, classes), one: t.New(tensor.Full, 1)}
	tensor.Fill(l.one, 1)
	tensor.Gemm(l.xt, l.x, text, tensor.GemmOptions{TransB: true})
	tensor.Gemm(l.W, oneHot(t, l.labels, classes), l.x, tensor.GemmOptions{TransA: true}) // sums, not means: as released

	gram := t.New(tensor.Full, d, d)
	tensor.Gemm(gram, l.x, l.x, tensor.GemmOptions{TransA: true})
	var eigen mat.EigenSym
	if !eigen.Factorize(symmetric(gram), false) {
		l.Release()
		return nil, fmt.Errorf("no eigenvalues of the features' products")
	}
	l.RateW = 4 * float64(n) / eigen.Values(nil)[d-1]

	xt := l.xt.Float64s()
	mean, count, squares := make([]float64, classes), make([]float64, classes), make([]float64, classes)
	for i, y := range l.labels {
		row := xt[i*classes : (i+1)*classes]
		mean[y] += row[y]
		count[y]++
		for j, v := range row {
			squares[j] += v * v
		}
	}
	most := 0.0
	for j := range mean {
		l.InitAlpha += 250 * mean[j] / count[j] / float64(classes)
		most = max(most, squares[j])
	}
	l.RateAlpha = float64(n) / (4 * most)
	tensor.Fill(l.Alpha, l.InitAlpha)

	// torch.nn.Linear's default, by a stream of our own.
	tensor.Uniform(l.B, tensor.NewKey(c.Seed).Name("lp++").Name("bias"))
	v, bound := l.B.Float64s(), 1/math.Sqrt(float64(d))
	for i := range v {
		v[i] = (2*v[i] - 1) * bound
	}
	l.B.SetFloat64(v)
	return l, dev.Sync()
}

// Epoch is one step on all images; it returns their loss before it.
func (l *LPP) Epoch() float64 {
	tensor.Gemm(l.blend, l.x, l.W, tensor.GemmOptions{TransB: true, Bias: l.B})
	l.addText(l.blend, l.xt)
	tensor.CrossEntropy(l.loss, l.p, l.blend, l.labels)
	tensor.CrossEntropyGrad(l.g, l.one, l.p, l.labels)
	tensor.Gemm(l.GradW, l.g, l.x, tensor.GemmOptions{TransA: true})
	tensor.SumTo(l.GradB, l.g)
	tensor.Mul(l.g, l.g, l.xt)
	tensor.SumTo(l.dotsG, l.g)
	if l.Config.Fresh {
		tensor.Fill(l.Sums, 0)
	}
	tensor.AXPY(l.Sums, 1, l.dotsG.Index(0))
	tensor.SGD(l.W, l.vw, l.GradW.Index(0), l.RateW, l.Config.Momentum, 0)
	tensor.SGD(l.B, l.vb, l.GradB.Index(0), l.RateW, l.Config.Momentum, 0)
	if l.epoch++; l.epoch%l.Config.Every == 0 {
		tensor.AXPY(l.Alpha, -l.RateAlpha, l.Sums)
	}
	return l.loss.Item()
}

// addText adds α ⊙ xt to logits.
func (l *LPP) addText(logits, xt *tensor.Tensor) {
	dev := logits.Device()
	s := dev.New(tensor.Full, xt.Shape()...)
	tensor.Mul(s, xt, l.Alpha)
	tensor.AXPY(logits, 1, s)
	s.Release()
}

// Head is the classifier as it stands: text is folded into the weights.
func (l *LPP) Head(text *tensor.Tensor) Linear {
	classes, d := text.Shape()[0], text.Dim(1)
	w, t, a := l.W.Float64s(), text.Float64s(), l.Alpha.Float64s()
	for c := range classes {
		for j := range d {
			w[c*d+j] += a[c] * t[c*d+j]
		}
	}
	return newLinear(l.x.Device(), w, l.B.Float64s(), true)
}

// Release gives back what LP++ keeps.
func (l *LPP) Release() { l.tape.Release() }

// LPPFit is how LP++ went.
type LPPFit struct {
	Losses  []float64 // by epoch
	Epoch   int       // whose head was kept, from 1
	Correct int       // validation images that it gets right
}

// FitLPP trains LP++ and keeps the head of the epoch that is best on validation images, of several the last.
func FitLPP(train, val Features, text *tensor.Tensor, c LPPConfig) (Linear, LPPFit, error) {
	var fit LPPFit
	if val.X == nil || len(val.Labels) == 0 {
		return Linear{}, fit, fmt.Errorf("lp++ chooses its epoch by validation images, and there are none")
	}
	if err := val.Check("validation", text.Shape()[0], false); err != nil {
		return Linear{}, fit, err
	}
	l, err := NewLPP(train, text, c)
	if err != nil {
		return Linear{}, fit, err
	}
	defer l.Release()
	t := autograd.NoGrad(val.X.Device())
	defer t.Release()
	x := unit(t, val.X)
	xt, logits := t.New(tensor.Full, len(val.Labels), text.Shape()[0]), t.New(tensor.Full, len(val.Labels), text.Shape()[0])
	tensor.Gemm(xt, x, text, tensor.GemmOptions{TransB: true})
	var best Linear
	for e := range c.Epochs {
		loss := l.Epoch()
		if math.IsNaN(loss) || math.IsInf(loss, 0) {
			if best.W != nil {
				best.Release()
			}
			return Linear{}, fit, fmt.Errorf("the loss of epoch %d of lp++ is %g", e+1, loss)
		}
		fit.Losses = append(fit.Losses, loss)
		tensor.Gemm(logits, x, l.W, tensor.GemmOptions{TransB: true, Bias: l.B})
		l.addText(logits, xt)
		if n := Correct(logits, val.Labels); n >= fit.Correct {
			if best.W != nil {
				best.Release()
			}
			best, fit.Correct, fit.Epoch = l.Head(text), n, e+1
		}
	}
	return best, fit, val.X.Device().Sync()
}

// symmetric reads a symmetric matrix, whose rounding may not be.
func symmetric(x *tensor.Tensor) *mat.SymDense {
	v, d := x.Float64s(), x.Dim(1)
	for i := range d {
		for j := i + 1; j < d; j++ {
			v[i*d+j] = 0.5 * (v[i*d+j] + v[j*d+i])
		}
	}
	return mat.NewSymDense(d, v)
}
