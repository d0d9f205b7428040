package probe

import (
	"errors"
	"math"
	"runtime"
	"slices"
	"sync"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"
	"gonum.org/v1/gonum/optimize"

	"fewshot/autograd"
	"fewshot/tensor"
)

// logistic is the objective of multinomial logistic regression on features, as scikit-learn's LogisticRegression minimises it
// by L-BFGS:
//
//	f(W, b) = 1/N·Σ −log softmax(W·x + b)[label] + ‖W‖²/(2·C·N)
//
// With two classes it has, as there, one row: that of class 0 is zero, so that the penalty is that of the difference.
type logistic struct {
	features Features
	rows     int // of W that are free: the classes, or 1
	classes  int
	penalty  float64 // 1/(C·N)

	tape    *autograd.Tape
	w, b    *tensor.Tensor // [classes, D], [classes]
	dw, db  *tensor.Tensor // [1, classes, D], [1, classes]
	logits  *tensor.Tensor // [N, classes]
	program *tensor.Program

	x, grad      []float64 // of the last evaluation
	value        float64
	hostW, hostB []float64
	hostZ        []float64
	losses       []float64 // by row
	evaluations  int

	exact  bool       // evaluated in float64
	double *mat.Dense // the features as that has them, [N, D]; nil until then
}

// exactBelow is the tolerance below which a fit goes on in float64 where it has come to its end in the device's format:
// elements of the gradient, sums of features' numbers of about 1, are uncertain by some 1e-7 in float32.
const exactBelow = 1e-6

// newLogistic prepares the objective; the caller releases it.
func newLogistic(f Features, classes int) (*logistic, error) {
	n, d, dev := len(f.Labels), f.X.Dim(1), f.X.Device()
	t := autograd.NoGrad(dev)
	l := &logistic{features: f, classes: classes, rows: classes, tape: t,
		w: t.New(tensor.Full, classes, d), b: t.New(tensor.Full, classes),
		dw: t.New(tensor.Full, 1, classes, d), db: t.New(tensor.Full, 1, classes), logits: t.New(tensor.Full, n, classes)}
	if classes == 2 {
		l.rows = 1
	}
	l.hostW, l.hostB = make([]float64, classes*d), make([]float64, classes)
	l.x, l.grad = make([]float64, l.rows*(d+1)), make([]float64, l.rows*(d+1))
	l.x[0] = math.NaN() // nothing is evaluated yet
	l.hostZ, l.losses = make([]float64, n*classes), make([]float64, n)
	one, mean := t.New(tensor.Full, 1), t.New(tensor.Full)
	tensor.Fill(one, 1)
	p, g := t.New(tensor.Full, n, classes), t.New(tensor.Full, 1, n, classes)
	var err error
	l.program, err = dev.Record(func() {
		tensor.Gemm(l.logits, f.X, l.w, tensor.GemmOptions{TransB: true, Bias: l.b})
		tensor.CrossEntropy(mean, p, l.logits, f.Labels)
		tensor.CrossEntropyGrad(g, one, p, f.Labels)
		tensor.Gemm(l.dw, g, f.X, tensor.GemmOptions{TransA: true})
		tensor.SumTo(l.db, g)
	})
	if err != nil {
		t.Release()
		return nil, err
	}
	return l, nil
}

func (l *logistic) release() error {
	l.tape.Release()
	return l.program.Release()
}

// free are the parts of v [classes·D] or [classes] that belong to free rows: the last ones.
func (l *logistic) free(v []float64) []float64 { return v[len(v)/l.classes*(l.classes-l.rows):] }

// at evaluates objective and gradient at x, all free weights and then the free biases, unless the last evaluation was there.
func (l *logistic) at(x []float64) {
	if slices.Equal(x, l.x) {
		return
	}
	copy(l.x, x)
	n := len(x) - l.rows
	copy(l.free(l.hostW), x[:n])
	copy(l.free(l.hostB), x[n:])
	l.evaluations++
	w := x[:n]
	if l.exact {
		l.value = l.evaluate()
	} else {
		l.w.SetFloat64(l.hostW)
		l.b.SetFloat64(l.hostB)
		l.program.Run()
		l.logits.ReadFloat64s(l.hostZ)
		l.value = l.meanLoss()
		l.dw.ReadFloat64s(l.hostW)
		l.db.ReadFloat64s(l.hostB)
	}
	l.value += 0.5 * l.penalty * floats.Dot(w, w)
	copy(l.grad[:n], l.free(l.hostW))
	copy(l.grad[n:], l.free(l.hostB))
	floats.AddScaled(l.grad[:n], l.penalty, w)
	clear(l.hostW)
	clear(l.hostB)
}

// evaluate is the mean loss at the weights hostW and hostB, in whose place it puts its gradient, all in float64.
func (l *logistic) evaluate() float64 {
	n, d := len(l.features.Labels), l.features.X.Dim(1)
	if l.double == nil {
		l.double = mat.NewDense(n, d, l.features.X.Float64s())
	}
	z, w := mat.NewDense(n, l.classes, l.hostZ), mat.NewDense(l.classes, d, l.hostW)
	z.Mul(l.double, w.T())
	for row := range slices.Chunk(l.hostZ, l.classes) {
		floats.Add(row, l.hostB)
	}
	loss := l.meanLoss()
	clear(l.hostB)
	for i, label := range l.features.Labels {
		row := l.hostZ[i*l.classes : (i+1)*l.classes]
		whole := l.losses[i] + row[label] // log Σ exp
		for k, v := range row {
			row[k] = math.Exp(v-whole) / float64(n)
		}
		row[label] -= 1 / float64(n)
		floats.Add(l.hostB, row)
	}
	w.Mul(z.T(), l.double)
	return loss
}

// meanLoss is that of the logits hostZ, in float64. A device's float32 resolves about 1e-7 of a mean; with a small C
// all there is to gain may be less, and a line search on such a function finds nothing. The logits are small then, and
// so are their errors.
func (l *logistic) meanLoss() float64 {
	parallel(len(l.losses), func(lo, hi int) {
		for i := lo; i < hi; i++ {
			z := l.hostZ[i*l.classes : (i+1)*l.classes]
			most, sum := floats.Max(z), 0.0
			for _, v := range z {
				sum += math.Exp(v - most)
			}
			l.losses[i] = math.Log(sum) + most - z[l.features.Labels[i]]
		}
	})
	return floats.Sum(l.losses) / float64(len(l.losses))
}

// parallel calls f for parts of 0 … n−1. What it does for a number must not depend on the part.
func parallel(n int, f func(lo, hi int)) {
	const least = 64
	parts := min(runtime.GOMAXPROCS(0), (n+least-1)/least)
	var wait sync.WaitGroup
	for p := range parts {
		wait.Go(func() { f(p*n/parts, (p+1)*n/parts) })
	}
	wait.Wait()
}

// Fit is what a minimisation came to.
type Fit struct {
	C           float64
	Objective   float64 // f at the end, the mean loss with the penalty
	Gradient    float64 // largest element of f's gradient
	Iterations  int
	Evaluations int
	Converged   bool // by the stopping rule, and not because the iterations ran out or rounding let nothing improve
}

// minimize goes from zero by L-BFGS as scipy does for scikit-learn: ten corrections, a line search by Moré and Thuente
// with the same constants, and the same ends: no element of the gradient is larger than tol, the objective is 64
// roundings from where it was, or there were most iterations. Where a line search finds nothing lower, the corrections
// are forgotten once. With a tolerance that the device's format cannot tell it goes on in float64 from where that ends.
// What is left above the minimum is then the tolerance's: where the penalty has all the curvature, ‖∇f‖²/(2·penalty),
// for P weights at most tol²·P·C·N/2. Biases, which have none, may leave more.
func (l *logistic) minimize(c, tol float64, most int) (x []float64, fit Fit, err error) {
	l.penalty = 1 / (c * float64(len(l.features.Labels)))
	l.x[0] = math.NaN() // the penalty is another
	l.evaluations, l.exact = 0, false
	fit.C = c
	problem := optimize.Problem{
		Func: func(x []float64) float64 { l.at(x); return l.value },
		Grad: func(grad, x []float64) { l.at(x); copy(grad, l.grad) },
	}
	x = make([]float64, len(l.x))
	for {
		settings := &optimize.Settings{GradientThreshold: tol, MajorIterations: most - fit.Iterations, Converger: &flat{}}
		method := &optimize.LBFGS{Store: 10, Linesearcher: &lineSearch{}, GradStopThreshold: math.NaN()}
		r, err := optimize.Minimize(problem, x, settings, method)
		stuck := errors.Is(err, optimize.ErrNoProgress) || errors.Is(err, optimize.ErrLinesearcherFailure) || errors.Is(err, optimize.ErrNonDescentDirection)
		if r == nil || err != nil && !stuck {
			return nil, fit, err
		}
		x = r.X
		fit.Iterations += r.MajorIterations
		if stuck && r.MajorIterations > 1 && fit.Iterations < most {
			continue
		}
		if !l.exact && tol < exactBelow && fit.Iterations < most && l.features.X.Device().Backend().ElementSize(tensor.Full) < 8 {
			l.exact = true
			l.x[0] = math.NaN() // the value is another
			continue
		}
		l.at(x)
		fit.Objective, fit.Gradient, fit.Evaluations = l.value, floats.Norm(l.grad, math.Inf(1)), l.evaluations
		fit.Converged = !stuck && r.Status != optimize.IterationLimit
		return x, fit, l.features.X.Device().Sync()
	}
}

// lineSearch is that of L-BFGS-B: an interval narrowed down to a tenth is good enough if there is something lower in it, and
// after fifty evaluations there is not.
type lineSearch struct {
	optimize.MoreThuente
	start float64
	count int
}

func (s *lineSearch) Init(f, g, step float64) optimize.Operation {
	s.DecreaseFactor, s.CurvatureFactor, s.StepTolerance = 1e-3, 0.9, 0.1
	s.start, s.count = f, 0
	return s.MoreThuente.Init(f, g, step)
}

func (s *lineSearch) Iterate(f, g float64) (optimize.Operation, float64, error) {
	op, step, err := s.MoreThuente.Iterate(f, g)
	if err != nil && f < s.start { // the search is at its best point now
		return optimize.MajorIteration, step, nil
	}
	if s.count++; err == nil && s.count == 50 && op != optimize.MajorIteration {
		err = optimize.ErrLinesearcherFailure
	}
	return op, step, err
}

// linear is the classifier at x.
func (l *logistic) linear(x []float64) Linear {
	n := len(x) - l.rows
	w, b := make([]float64, len(l.hostW)), make([]float64, l.classes)
	copy(l.free(w), x[:n])
	copy(l.free(b), x[n:])
	return newLinear(l.features.X.Device(), w, b, false)
}

// flat is scipy's test by the objective, with the factor that scikit-learn gives it.
type flat struct {
	last  float64
	begun bool
}

func (f *flat) Init(int) { f.begun = false }

func (f *flat) Converged(at *optimize.Location) optimize.Status {
	last, begun := f.last, f.begun
	f.last, f.begun = at.F, true
	if begun && last-at.F <= 64*0x1p-52*max(math.Abs(last), math.Abs(at.F), 1) {
		return optimize.FunctionConvergence
	}
	return optimize.NotTerminated
}
