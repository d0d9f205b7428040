package optim_test

import (
	"math"
	"testing"

	"fewshot/optim"
	"fewshot/tensor"
)

func ref(t testing.TB) *tensor.Device {
	t.Helper()
	dev, err := tensor.Open("ref", tensor.Options{Workers: 1, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

func vector(dev *tensor.Device, v ...float64) *tensor.Tensor {
	x := dev.New(tensor.Full, len(v))
	x.SetFloat64(v)
	return x
}

// gradient is what a rule hands to the optimizer: the change under SGD with rate 1 and no momentum.
func gradient(t *testing.T, dev *tensor.Device, r optim.Rule, scores, a, b []float64) []float64 {
	t.Helper()
	w := vector(dev, scores...)
	var tb *tensor.Tensor
	if b != nil {
		tb = vector(dev, b...)
	}
	sgd := optim.NewSGD(0, 0)
	sgd.Tick(1)
	r.Apply(sgd, w, vector(dev, a...), tb, tensor.NewKey(1))
	g := make([]float64, len(scores))
	for i, v := range w.Float64s() {
		g[i] = scores[i] - v
	}
	return g
}

func near(t *testing.T, what string, got, want []float64) {
	t.Helper()
	for i := range want {
		// One subtraction from a score of size 1 recovers the gradient.
		if math.Abs(got[i]-want[i]) > 4e-16 {
			t.Errorf("%s: element %d is %.17g, want %.17g", what, i, got[i], want[i])
		}
	}
}

func TestRules(t *testing.T) {
	dev := ref(t)
	scores := []float64{1, 1, 1, 1, 1}
	a := []float64{0.5, -0.25, 0.125, 0, 0.5}
	b := []float64{0.25, 0.5, 0, 1, -0.5}
	norm := math.Sqrt(5)
	dot := 0.5*0.25 - 0.25*0.5 - 0.25 // a·b < 0
	bb := 0.0625 + 0.25 + 1 + 0.25
	project := make([]float64, len(a))
	both := make([]float64, len(a))
	aa := 0.25 + 0.0625 + 0.015625 + 0.25
	for i := range a {
		project[i] = a[i] - dot/bb*b[i]
		both[i] = project[i] + b[i] - dot/aa*a[i]
	}
	for _, c := range []struct {
		name string
		rule optim.Rule
		b    []float64
		want []float64
	}{
		{"AMT", optim.GradDrop{}, b, a},
		{"AMT with penalty", optim.GradDrop{Penalty: 0.5}, nil, []float64{0.5 + 0.5/norm, -0.25 + 0.5/norm, 0.125 + 0.5/norm, 0.5 / norm, 0.5 + 0.5/norm}},
		{"gradient dropout without b", optim.GradDrop{Leak: 1}, nil, a},
		{"sum", optim.Sum{Weight: 2}, b, []float64{1, 0.75, 0.125, 2, -0.5}},
		{"sum without b", optim.Sum{Weight: 2}, nil, a},
		{"agree", optim.AgreeGrad{}, b, []float64{0.75, 0, 0.125, 0, 0}},
		{"agree, zeros disagree", optim.AgreeGrad{DropZero: true}, b, []float64{0.75, 0, 0, 0, 0}},
		{"agree without b", optim.AgreeGrad{}, nil, a},
		{"agree without b, zeros disagree", optim.AgreeGrad{DropZero: true}, nil, []float64{0, 0, 0, 0, 0}},
		{"ProGrad against", optim.ProGrad{Lambda: 1}, b, project},
		{"ProGrad along", optim.ProGrad{Lambda: 1}, a, a},
		{"ProGrad without b", optim.ProGrad{Lambda: 1}, nil, a},
		{"PCGrad against", optim.PCGrad{}, b, both},
		{"PCGrad along", optim.PCGrad{}, a, []float64{1, -0.5, 0.25, 0, 1}},
		{"PCGrad without b", optim.PCGrad{}, nil, a},
		{"sign drop that drops nothing", optim.SignDrop{LeakA: 1, LeakB: 1}, b, []float64{0.75, 0.25, 0.125, 1, 0}},
		{"sign drop where signs agree", optim.SignDrop{LeakA: 0.5}, a, []float64{1, -0.5, 0.25, 0, 1}},
		{"sign drop without b", optim.SignDrop{}, nil, a},
	} {
		near(t, c.name, gradient(t, dev, c.rule, scores, a, c.b), c.want)
	}
}

// With leak 1 an element is kept with probability P = ½(1 + sgn(a)(a+b)/(|a|+|b|)).
func TestGradDropKeepsByPurity(t *testing.T) {
	dev := ref(t)
	const n = 40000
	scores, a, b := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		scores[i], a[i], b[i] = 1, 0.5, -0.25
	}
	const purity = 0.5 * (1 + 0.25/0.75)
	kept := 0
	for i, g := range gradient(t, dev, optim.GradDrop{Leak: 1}, scores, a, b) {
		switch g {
		case 0.5:
			kept++
		case 0:
		default:
			t.Fatalf("element %d: gradient %g is neither a nor nothing", i, g)
		}
	}
	// Five standard deviations of a binomial count.
	if math.Abs(float64(kept)-purity*n) > 5*math.Sqrt(n*purity*(1-purity)) {
		t.Errorf("kept %d of %d, want about %.0f", kept, n, purity*n)
	}
}

// The fused update and the two steps it stands for agree.
func TestGradDropAdamIsGradDropThenAdam(t *testing.T) {
	dev := ref(t)
	key := tensor.NewKey(9)
	a, b := dev.New(tensor.Full, 1000), dev.New(tensor.Full, 1000)
	tensor.Normal(a, key.Name("a"))
	tensor.Normal(b, key.Name("b"))
	rule := optim.GradDrop{Leak: 0.3, Eps: 1e-8, Penalty: 1e-4}
	fused, apart := dev.New(tensor.Full, 1000), dev.New(tensor.Full, 1000)
	tensor.Fill(fused, 0.01)
	tensor.Fill(apart, 0.01)
	one, two := optim.NewAdam(), optim.NewAdam()
	for step := range 3 {
		one.Tick(1e-3)
		two.Tick(1e-3)
		rule.Apply(one, fused, a, b, key.Fold(uint64(step)))
		rule.Apply(struct{ optim.Optimizer }{two}, apart, a, b, key.Fold(uint64(step))) // hides that it is Adam
	}
	x, y := fused.Float64s(), apart.Float64s()
	for i := range x {
		if math.Abs(x[i]-y[i]) > 1e-15 {
			t.Fatalf("element %d: fused %.17g, apart %.17g", i, x[i], y[i])
		}
	}
}

func TestWarmupLinear(t *testing.T) {
	s := optim.WarmupLinear(4, optim.Constant(8))
	for i, want := range []float64{2, 4, 6, 8, 8} {
		if got := s(i); got != want {
			t.Errorf("step %d: %g, want %g", i, got, want)
		}
	}
}

// torch.optim.Adam with weight_decay adds it to the gradient; AdamW shrinks the weight beside the step. Both through
// gradient dropout, too.
func TestAdamL2(t *testing.T) {
	dev := ref(t)
	const lr, decay = 0.1, 0.5
	for _, rule := range []optim.Rule{nil, optim.GradDrop{}} {
		l2, plain := optim.NewAdam(), optim.NewAdam()
		l2.L2 = decay
		w, v := vector(dev, 2, -1, 0.5), vector(dev, 2, -1, 0.5)
		for _, g := range [][]float64{{1, 2, 3}, {-1, 0.5, 0}} {
			l2.Tick(lr)
			plain.Tick(lr)
			whole := vector(dev, g...)
			tensor.AXPY(whole, decay, v)
			if rule == nil {
				l2.Update(w, vector(dev, g...))
			} else {
				rule.Apply(l2, w, vector(dev, g...), nil, tensor.NewKey(1))
			}
			plain.Update(v, whole)
			near(t, "Adam with L2", w.Float64s(), v.Float64s())
		}
	}
	adamw := optim.NewAdamW(decay)
	adamw.Tick(lr)
	w := vector(dev, 2)
	adamw.Update(w, vector(dev, 1))
	near(t, "AdamW", w.Float64s(), []float64{2*(1-lr*decay) - lr/(1+1e-8)})
}

func TestCosineTo(t *testing.T) {
	s := optim.CosineTo(8, 2, 4)
	for i, want := range map[int]float64{0: 8, 2: 5, 4: 2} {
		if got := s(i); math.Abs(got-want) > 1e-15 {
			t.Errorf("step %d: %g, want %g", i, got, want)
		}
	}
}

// As one vector, two parameters conflict or not together: here the second's agreement outweighs the first's conflict,
// or the other way round.
func TestPCGradOfTheWhole(t *testing.T) {
	dev := ref(t)
	as, bs := [][]float64{{1, 0}, {2, 1}}, [][]float64{{-1, 1}, {1, 0}}
	for _, sign := range []float64{1, -1} {
		var ws, a, b []*tensor.Tensor
		ab, aa, bb := 0.0, 0.0, 0.0
		for i := range as {
			bi := []float64{bs[i][0], bs[i][1]}
			for j := range bi {
				if i == 1 {
					bi[j] *= sign
				}
				ab += as[i][j] * bi[j]
				aa += as[i][j] * as[i][j]
				bb += bi[j] * bi[j]
			}
			ws, a, b = append(ws, vector(dev, 0, 0)), append(a, vector(dev, as[i]...)), append(b, vector(dev, bi...))
		}
		rule := optim.PCGrad{Whole: true}.Over(ws, a, b)
		sgd := optim.NewSGD(0, 0)
		sgd.Tick(1)
		for i := range ws {
			rule.Apply(sgd, ws[i], a[i], b[i], tensor.NewKey(1))
			want := make([]float64, 2)
			va, vb := a[i].Float64s(), b[i].Float64s()
			for j := range want {
				want[j] = -(va[j] + vb[j])
				if ab < 0 {
					want[j] = -(va[j]*(1-ab/aa) + vb[j]*(1-ab/bb))
				}
			}
			near(t, "PCGrad of the whole", ws[i].Float64s(), want)
		}
	}
}
