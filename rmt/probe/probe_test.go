package probe

import (
	"math"
	"slices"
	"strings"
	"testing"

	"fewshot/tensor"
)

func device(t *testing.T, name string) *tensor.Device {
	t.Helper()
	dev, err := tensor.Open(name, tensor.Options{Workers: 1, Poison: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	return dev
}

// clouds are features of classes around centres, n in turn.
func clouds(dev *tensor.Device, key tensor.Key, n, classes, d int) Features {
	f := Features{X: dev.New(tensor.Full, n, d)}
	v := make([]float64, n*d)
	for i := range n {
		f.Labels = append(f.Labels, int32(i%classes))
		centre := tensor.NewKey(1).Name("centre").Fold(uint64(i % classes))
		for j := range d {
			v[i*d+j] = centre.Normal(uint64(j)) + 0.8*key.Fold(uint64(i)).Normal(uint64(j))
		}
	}
	f.X.SetFloat64(v)
	return f
}

// With a tolerance that float32 cannot tell, a fit comes to the minimum of features that are nearly alike as nearly as
// one in float64 does: in float32 alone it stays 5e-5 above.
func TestFitBelowFloat32(t *testing.T) {
	const n, classes, d, c, tol = 160, 10, 32, 100, 1e-8
	var objective []float64
	var at []float64 // the same float32 numbers on both devices
	for _, name := range []string{"ref", "cpu"} {
		f := clouds(device(t, name), tensor.NewKey(3), n, classes, d)
		if at == nil {
			for i, v := range f.X.Float64s() {
				at = append(at, float64(float32(math.Sin(float64(i%d))+0.05*v)))
			}
		}
		f.X.SetFloat64(at)
		_, fit, err := FitC(f, classes, c, tol, 20000)
		if err != nil || !fit.Converged || fit.Gradient > tol {
			t.Fatalf("%s: %+v, %v", name, fit, err)
		}
		objective = append(objective, fit.Objective)
	}
	// The penalty's curvature leaves tol²·P·C·N/2, and biases, which have no penalty, some times that.
	if most := 100 * tol * tol * classes * (d + 1) * c * n / 2; !(math.Abs(objective[1]-objective[0]) <= most) {
		t.Errorf("the objective is %.12g, in float64 %.12g; want at most %g between", objective[1], objective[0], most)
	}
}

func words(dev *tensor.Device, classes, d int) *tensor.Tensor {
	x, norm := dev.New(tensor.Full, classes, d), dev.New(tensor.Full, classes)
	tensor.Normal(x, tensor.NewKey(2))
	tensor.L2Normalize(x, norm, x)
	return x
}

// The objective's gradient is that of its values, with one row and with several.
func TestLogisticGradient(t *testing.T) {
	dev := device(t, "ref")
	for _, classes := range []int{2, 3} {
		l, err := newLogistic(clouds(dev, tensor.NewKey(3), 7, classes, 4), classes)
		if err != nil {
			t.Fatal(err)
		}
		l.penalty = 0.3
		at := func(x []float64) float64 { l.at(x); return l.value }
		x := make([]float64, len(l.x))
		for i := range x {
			x[i] = tensor.NewKey(4).Normal(uint64(i))
		}
		l.at(x)
		grad := append([]float64{}, l.grad...)
		const h = 1e-5
		for i := range x {
			x[i] += h
			up := at(x)
			x[i] -= 2 * h
			down := at(x)
			x[i] += h
			if d := math.Abs((up-down)/(2*h) - grad[i]); d > 1e-9 { // h² and rounding/h
				t.Errorf("%d classes, element %d: gradient %g, differences say %g", classes, i, grad[i], (up-down)/(2*h))
			}
		}
		if err := l.release(); err != nil {
			t.Error(err)
		}
	}
}

// A search on float32 that cannot improve by rounding ends, and says so.
func TestFitEnds(t *testing.T) {
	dev := device(t, "cpu")
	f := clouds(dev, tensor.NewKey(3), 30, 3, 8)
	h, fit, err := FitC(f, 3, 1, 1e-12, 1000)
	if err != nil {
		t.Fatal(err)
	}
	if fit.Gradient > 1e-4 || h.Correct(f) < 28 {
		t.Errorf("fit %+v with %d of 30 right", fit, h.Correct(f))
	}
	if _, fit, err = FitC(f, 3, 1, 1e-12, 3); err != nil || fit.Converged || fit.Iterations > 4 {
		t.Errorf("three iterations: %+v, %v", fit, err)
	}
}

// No C is fitted twice, though the rounds come back to some, and what the search gives is the fit with its C.
func TestSearchFitsOnce(t *testing.T) {
	dev := device(t, "cpu")
	train, val := clouds(dev, tensor.NewKey(3), 30, 3, 8), clouds(dev, tensor.NewKey(4), 30, 3, 8)
	c := DefaultSearch()
	h, s, err := SearchC(train, val, 3, c)
	if err != nil {
		t.Fatal(err)
	}
	made := map[float64]bool{}
	for _, f := range s.Fits {
		if made[f.C] {
			t.Errorf("fitted twice with C %g", f.C)
		}
		made[f.C] = true
	}
	tried := map[float64]bool{}
	for _, r := range s.Rounds {
		tried[r.Left], tried[r.Right] = true, true
	}
	if len(s.Rounds) != c.Rounds || len(tried) == 2*c.Rounds {
		t.Errorf("%d rounds with %d values of C: nothing to fit twice", len(s.Rounds), len(tried))
	}
	alone, fit, err := FitC(train, 3, s.Best.C, c.Tol, c.MaxIter)
	if err != nil {
		t.Fatal(err)
	}
	if fit != s.Best || !slices.Equal(h.W.Floats(), alone.W.Floats()) || !slices.Equal(h.B.Floats(), alone.B.Floats()) || h.Correct(val) != s.Correct {
		t.Errorf("the search gives %+v with %d right, a fit alone %+v with %d", s.Best, s.Correct, fit, alone.Correct(val))
	}
}

// With fresh gradients the blend goes along the last epoch's, which after the first one are other numbers.
func TestLPPFresh(t *testing.T) {
	dev := device(t, "ref")
	f, text := clouds(dev, tensor.NewKey(3), 9, 3, 8), words(dev, 3, 8)
	c := DefaultLPP()
	var sums [2][]float64
	for i, fresh := range []bool{false, true} {
		c.Fresh = fresh
		l, err := NewLPP(f, text, c)
		if err != nil {
			t.Fatal(err)
		}
		l.Epoch()
		first := l.Sums.Float64s()
		l.Epoch()
		sums[i] = l.Sums.Float64s()
		for j := range first {
			if own := l.dotsG.Float64s()[j]; fresh && sums[i][j] != own || !fresh && math.Abs(sums[i][j]-first[j]-own) > 1e-15 {
				t.Errorf("fresh %v: class %d goes along %g after %g and %g", fresh, j, sums[i][j], first[j], own)
			}
		}
		l.Release()
	}
}

// Where validation looks at the training images, LP++ keeps an epoch that has most of them right, and of such the last.
func TestFitLPP(t *testing.T) {
	dev := device(t, "cpu")
	f, text := clouds(dev, tensor.NewKey(3), 24, 3, 8), words(dev, 3, 8)
	c := DefaultLPP()
	c.Epochs = 40
	h, fit, err := FitLPP(f, f, text, c)
	if err != nil {
		t.Fatal(err)
	}
	if fit.Epoch != 40 || fit.Correct != 24 || h.Correct(f) != 24 || len(fit.Losses) != 40 || fit.Losses[39] > fit.Losses[0] {
		t.Errorf("epoch %d with %d of 24 right, losses %v", fit.Epoch, fit.Correct, fit.Losses)
	}
}

func TestBadInput(t *testing.T) {
	dev := device(t, "cpu")
	good, text := clouds(dev, tensor.NewKey(3), 9, 3, 8), words(dev, 3, 8)
	val := clouds(dev, tensor.NewKey(4), 6, 3, 8)
	odd := func(change func(f *Features)) Features {
		f := clouds(dev, tensor.NewKey(3), 9, 3, 8)
		change(&f)
		return f
	}
	missing := odd(func(f *Features) {
		for i, l := range f.Labels {
			f.Labels[i] = min(l, 1)
		}
	})
	outside := odd(func(f *Features) { f.Labels[4] = 3 })
	short := odd(func(f *Features) { f.Labels = f.Labels[:8] })
	infinite := odd(func(f *Features) {
		v := f.X.Floats()
		v[17] = float32(math.Inf(1))
		f.X.Set(v)
	})
	zero := odd(func(f *Features) { tensor.Fill(f.X.Index(2), 0) })
	same := odd(func(f *Features) {
		for i, l := range f.Labels {
			tensor.Copy(f.X.Index(i), text.Index(int(l)))
		}
	})
	search := func(train, val Features, change func(*SearchConfig)) error {
		c := DefaultSearch()
		if change != nil {
			change(&c)
		}
		_, _, err := SearchC(train, val, 3, c)
		return err
	}
	lpp := func(train, val Features, change func(*LPPConfig)) error {
		c := DefaultLPP()
		if change != nil {
			change(&c)
		}
		_, _, err := FitLPP(train, val, text, c)
		return err
	}
	gda := func(train, val Features, change func(*GDAConfig)) error {
		c := DefaultGDA()
		if change != nil {
			change(&c)
		}
		_, _, err := FitGDA(train, val, text, c)
		return err
	}
	base := func(train Features) error {
		_, _, err := FitGDABase(train, val, text, DefaultGDA())
		return err
	}
	fresh := func(train Features) error {
		_, _, err := FitGDANew(train, text, 1, DefaultGDA())
		return err
	}
	for _, c := range []struct {
		err  error
		want string
	}{
		{search(good, Features{}, nil), "chooses C by validation images, and there are none"},
		{search(missing, val, nil), "class 2 has no training images"},
		{search(outside, val, nil), "training image 4 has label 3; there are 3 classes"},
		{search(good, outside, nil), "validation image 4 has label 3"},
		{search(short, val, nil), "9 training features for 8 labels"},
		{search(infinite, val, nil), "features of training image 2 have length +Inf"},
		{search(zero, val, nil), "features of training image 2 have length 0"},
		{search(Features{}, val, nil), "no training images"},
		{search(good, val, func(c *SearchConfig) { c.Coarse = nil }), "no value to begin with"},
		{search(good, val, func(c *SearchConfig) { c.Coarse[2] = 0 }), "C 0 must be positive"},
		{search(good, val, func(c *SearchConfig) { c.Tol = math.NaN() }), "tolerance NaN"},
		{search(good, val, func(c *SearchConfig) { c.MaxIter = 0 }), "0 iterations"},
		{search(good, val, func(c *SearchConfig) { c.Rounds = -1 }), "rounds -1"},
		{lpp(good, Features{}, nil), "lp++ chooses its epoch by validation images"},
		{lpp(missing, val, nil), "class 2 has no training images"},
		{lpp(good, val, func(c *LPPConfig) { c.Epochs = 0 }), "epochs 0"},
		{lpp(good, val, func(c *LPPConfig) { c.Momentum = 1 }), "momentum 1"},
		{lpp(good, val, func(c *LPPConfig) { c.Every = 0 }), "every 0 epochs"},
		{gda(good, Features{}, nil), "gda chooses its weight by validation images"},
		{gda(missing, val, nil), "class 2 has no training images"},
		{gda(same, val, nil), "gda needs more shots or augmented passes"},
		{gda(good, val, func(c *GDAConfig) { c.Alphas = nil }), "no weight to choose"},
		{gda(good, val, func(c *GDAConfig) { c.Alphas[0] = -1 }), "must not be negative"},
		{gda(good, val, func(c *GDAConfig) { c.Scale = 0 }), "scale 0"},
		{base(same), "gda needs more shots or augmented passes"},
		{base(clouds(dev, tensor.NewKey(3), 3, 3, 8)), "class 0 has one training feature"},
		{fresh(good), "the 64 nearest training features, and there are 9"},
	} {
		if c.err == nil || !strings.Contains(c.err.Error(), c.want) || strings.Contains(c.err.Error(), "\n") {
			t.Errorf("error %v, want one line with %q", c.err, c.want)
		}
	}
}
