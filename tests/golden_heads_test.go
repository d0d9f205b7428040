package tests

import (
	"fmt"
	"math"
	"slices"
	"strconv"

	"gonum.org/v1/gonum/floats"
	"gonum.org/v1/gonum/mat"

	"fewshot/autograd"
	"fewshot/rmt/adapter"
	"fewshot/rmt/probe"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

var (
	_ = onGolden("tip.json", goldenTip)
	_ = onGolden("gda.json", goldenGDA)
	_ = onGolden("gda-new.json", goldenGDANew)
	_ = onGolden("lpplus.json", goldenLPP)
)

// head is a classifier of features.
type head interface {
	Logits(features *autograd.Var) *autograd.Var
}

// logitsOf are those of the first n features, or of all.
func logitsOf(h head, f probe.Features, n int) []float64 {
	if n == 0 {
		n = len(f.Labels)
	}
	return value(f.X.Device(), func(t *autograd.Tape) *autograd.Var { return h.Logits(t.Const(f.X.Rows(0, n))) })
}

// passes are the augmented passes over the training images, and their labels.
func (g *goldenCase) passes() (*tensor.Tensor, []int32) {
	const file = "features.safetensors"
	return g.Tensor(file, "train_passes"), g.Ints(file, "train_labels")
}

// count compares a number of images: exactly.
func (g *goldenCase) count(what string, got, want int) {
	g.Helper()
	g.Within(what, math.Abs(float64(got-want)), 0)
}

// loss compares a cross-entropy, which is what is left of the difference of two logits of about the given size.
func (g *goldenCase) loss(name string, want, got, logits float64, float32s map[string]float64) {
	g.Helper()
	g.Check(name, math.Abs(got/want-1), float32s[name], logits*max(1, 1/want))
}

func goldenGDA(g *goldenCase) {
	var want struct {
		Passes      int
		Means       expected
		Inverse     expected `json:"inverse_covariance"`
		W           expected // [D, C]
		B           expected
		Alphas      []float64 `json:"alpha_grid"`
		ValCorrect  []int     `json:"val_correct"`
		Best        float64   `json:"best_alpha"`
		TestLogits  expected  `json:"test_logits_first"`
		TestCorrect int       `json:"test_correct"`
		ValLogits   expected  `json:"val_logits_first_at_alpha_1"`
		Float32     map[string]float64
	}
	g.Decode(&want)
	passes, labels := g.passes()
	train, val, test := probe.Stack(passes.Rows(0, want.Passes), labels), g.Features("val"), g.Features("test")
	text := g.Tensor("features.safetensors", "text")
	c := probe.DefaultGDA()
	if !slices.Equal(c.Alphas, want.Alphas) {
		g.Refuse("it has the weights %v", want.Alphas)
	}
	head, fit, err := probe.FitGDA(train, val, text, c)
	if err != nil {
		g.Fatal(err)
	}
	check := func(name string, w expected, got []float64) {
		g.Check(name, w.Apart(got), want.Float32[name], math.Sqrt(float64(text.Dim(1))))
	}
	check("means", want.Means, fit.Means.RawMatrix().Data)
	check("inverse_covariance", want.Inverse, symmetric(fit.Precision))
	classes, d := fit.Means.Dims()
	w := make([]float64, d*classes)
	for i := range d {
		for j := range classes {
			w[i*classes+j] = fit.W.At(j, i)
		}
	}
	check("W", want.W, w)
	check("b", want.B, fit.B)
	for i, n := range want.ValCorrect {
		g.count(fmt.Sprintf("val_correct %g", want.Alphas[i]), fit.Correct[i], n)
	}
	g.Within("best_alpha", math.Abs(fit.Alpha-want.Best), 0)
	check("test_logits_first", relativeToMean(g, want.TestLogits, classes), centred(logitsOf(head, test, 4), classes))
	g.count("test_correct", head.Correct(test), want.TestCorrect)
	one := fit.Head(text, c.Scale, 1)
	check("val_logits_first_at_alpha_1", relativeToMean(g, want.ValLogits, classes), centred(logitsOf(one, val, 4), classes))
}

// relativeToMean are logits less the mean of their row: the product leaves out what all classes have in common.
func relativeToMean(g *goldenCase, want expected, classes int) expected {
	if want.All == nil {
		g.Refuse("its logits are not there as a whole")
	}
	want.All = centred(want.All, classes)
	return want
}

func centred(logits []float64, classes int) []float64 {
	logits = slices.Clone(logits)
	for row := range slices.Chunk(logits, classes) {
		floats.AddConst(-floats.Sum(row)/float64(classes), row)
	}
	return logits
}

func goldenLPP(g *goldenCase) {
	var want struct {
		LRW          float64   `json:"lr_w"`
		LRAlpha      float64   `json:"lr_alpha"`
		AlphaInit    float64   `json:"alpha_init"`
		WeightInit   expected  `json:"weight_init"`
		BiasInit     []float64 `json:"bias_init"`
		Momentum     float64
		Losses       []float64
		GradW        expected            `json:"first_gradient_weight"`
		GradB        expected            `json:"first_gradient_bias"`
		Sums         map[string]expected `json:"alpha_gradient_sum_after"`
		AlphaBefore  map[string]expected `json:"alpha_before_step"`
		AlphaLast    expected            `json:"alpha_last"`
		Weight       map[string]expected `json:"weight_after"`
		Bias         map[string]expected `json:"bias_after"`
		TestAccuracy float64             `json:"test_accuracy_reported"`
		Epochs       int
		Float32      map[string]float64
	}
	g.Decode(&want)
	passes, labels := g.passes()
	train, val, test := probe.Features{X: passes.Index(0), Labels: labels}, g.Features("val"), g.Features("test")
	text := g.Tensor("features.safetensors", "text")
	c := probe.DefaultLPP()
	c.Epochs = want.Epochs
	if c.Momentum != want.Momentum {
		g.Refuse("it has momentum %g", want.Momentum)
	}
	l, err := probe.NewLPP(train, text, c)
	if err != nil {
		g.Fatal(err)
	}
	defer l.Release()
	floor := math.Sqrt(float64(text.Dim(1)))
	check := func(name string, w expected, got []float64) {
		g.Helper()
		g.Check(name, w.Apart(got), want.Float32[name], floor)
	}
	one := func(name string, w, got float64) { check(name, expected{All: []float64{w}}, []float64{got}) }
	one("lr_w", want.LRW, l.RateW)
	one("lr_alpha", want.LRAlpha, l.RateAlpha)
	one("alpha_init", want.AlphaInit, l.InitAlpha)
	check("weight_init", want.WeightInit, l.W.Float64s())
	l.B.SetFloat64(want.BiasInit)
	right, atBest := -1, 0
	for e := 1; e <= c.Epochs; e++ {
		n := strconv.Itoa(e)
		if w, ok := want.AlphaBefore[n]; ok {
			check("alpha_before_step."+n, w, l.Alpha.Float64s())
		}
		g.loss(fmt.Sprintf("losses.%d", e-1), want.Losses[e-1], l.Epoch(), want.AlphaInit, want.Float32)
		if e == 1 {
			check("first_gradient_weight", want.GradW, l.GradW.Float64s())
			check("first_gradient_bias", want.GradB, l.GradB.Float64s())
		}
		for name, m := range map[string]map[string]expected{"alpha_gradient_sum_after." + n: want.Sums, "weight_after." + n: want.Weight, "bias_after." + n: want.Bias} {
			if w, ok := m[n]; ok {
				switch name[0] {
				case 'a':
					check(name, w, l.Sums.Float64s())
				case 'w':
					check(name, w, l.W.Float64s())
				case 'b':
					check(name, w, l.B.Float64s())
				}
			}
		}
		h := l.Head(text)
		if k := h.Correct(val); k >= right {
			right, atBest = k, h.Correct(test)
		}
		h.Release()
	}
	check("alpha_last", want.AlphaLast, l.Alpha.Float64s())
	g.Within("test_accuracy_reported", math.Abs(100*float64(atBest)/float64(len(test.Labels))-want.TestAccuracy), 1e-12)
}

func goldenTip(g *goldenCase) {
	type search struct {
		Beta    float64 `json:"best_beta"`
		Alpha   float64 `json:"best_alpha"`
		Correct []int
		Best    int   `json:"correct_best"`
		Differs []int `json:"float32_differs_at"`
	}
	var want struct {
		Keys      expected `json:"cache_keys"`
		Values    []int32  `json:"cache_values_onehot_of"`
		Search    search
		ValLogits expected `json:"val_logits_first_at_init"`
		TestBest  expected `json:"test_logits_first_at_best"`
		Correct   struct {
			ZeroShot int `json:"zero_shot"`
			Best     int `json:"tip_at_best"`
			Init     int `json:"tip_at_init"`
		} `json:"test_correct"`
		F struct {
			Batches [][]int
			Pass    int
			Losses  []float64
			LR      []float64
			AdamW   struct {
				Betas []float64
				Eps   float64
				Decay float64 `json:"weight_decay"`
			}
			Gradient  expected `json:"first_gradient"`
			After1    expected `json:"keys_after_1"`
			AfterLast expected `json:"keys_after_last"`
			Steps     int
			search
			Kept       expected `json:"kept_keys"`
			KeptStep   int      `json:"kept_is_step"`
			TestLogits expected `json:"test_logits_first_at_last_keys_init"`
			Report     []string
		}
		Settings struct {
			Aug    int
			Scale  []float64
			Step   []int
			LR     float64
			Epochs int
			Init   []float64
		}
		Float32 map[string]float64
	}
	g.Decode(&want)
	s := want.Settings
	c := adapter.TipConfig{Scale: 100, Beta: s.Init[0], Alpha: s.Init[1], MostBeta: s.Scale[0], MostAlpha: s.Scale[1], BetaSteps: s.Step[0], AlphaSteps: s.Step[1]}
	passes, labels := g.passes()
	text, val, test := g.Tensor("features.safetensors", "text"), g.Features("val"), g.Features("test")
	tip, err := adapter.NewTip(passes.Rows(0, s.Aug), labels, text, c)
	if err != nil {
		g.Fatal(err)
	}
	floor := math.Sqrt(float64(text.Dim(1)))
	check := func(name string, w expected, got []float64) {
		g.Helper()
		g.Check(name, w.Apart(got), want.Float32[name], floor)
	}
	grid := func(name string, tip *adapter.Tip, w search) {
		got, err := tip.Search(val, c)
		if err != nil {
			g.Fatal(err)
		}
		differ := 0
		for i, n := range slices.Concat(got.Grid...) {
			if n != w.Correct[i] {
				differ++
			}
		}
		g.count(name+" correct", differ, 0)
		check(name+".best_beta", expected{All: []float64{w.Beta}}, []float64{got.Beta})
		check(name+".best_alpha", expected{All: []float64{w.Alpha}}, []float64{got.Alpha})
		tip.Alpha, tip.Beta = got.Alpha, got.Beta
	}
	check("cache_keys", want.Keys, tip.Keys.Float64s())
	check("val_logits_first_at_init", want.ValLogits, logitsOf(tip, val, 4))
	g.count("tip_at_init", tip.Correct(test), want.Correct.Init)
	grid("search", tip, want.Search)
	check("test_logits_first_at_best", want.TestBest, logitsOf(tip, test, 4))
	g.count("tip_at_best", tip.Correct(test), want.Correct.Best)

	// Tip-Adapter-F, which looks at test images to choose its epoch, as released.
	tip, err = adapter.NewTip(passes.Rows(0, s.Aug), labels, text, c)
	if err != nil {
		g.Fatal(err)
	}
	f := want.F
	l, err := adapter.NewTipF(tip, train.Identity{}, test, adapter.TipFConfig{Epochs: s.Epochs, LR: s.LR, Eps: f.AdamW.Eps, Decay: f.AdamW.Decay, Batch: 256})
	if err != nil {
		g.Fatal(err)
	}
	trainer := train.New(g.Dev, l, tensor.NewKey(1), 0)
	all := probe.Features{X: passes.Index(f.Pass), Labels: labels}
	rate := adapter.TipFConfig{Epochs: s.Epochs, LR: s.LR}.Schedule(len(f.Batches))
	for step := range f.Steps {
		b := g.Pick(all, f.Batches[step%len(f.Batches)])
		g.Within("rate", math.Abs(rate(step)-f.LR[step]), 1e-15)
		if step == 0 {
			_, grads, err := trainer.Gradients(g.Context(), b.X, b.Labels)
			if err != nil {
				g.Fatal(err)
			}
			check("F.first_gradient", f.Gradient, grads[0][0].Float64s())
		}
		stats, err := trainer.Step(g.Context(), b.X, b.Labels, rate(step))
		if err != nil {
			g.Fatal(err)
		}
		g.loss(fmt.Sprintf("F.losses.%d", step), f.Losses[step], stats.Loss, c.Scale, want.Float32)
		if step == 0 {
			check("F.keys_after_1", f.After1, tip.Keys.Float64s())
		}
		if (step+1)%len(f.Batches) == 0 {
			l.EndEpoch(step / len(f.Batches))
		}
	}
	check("F.keys_after_last", f.AfterLast, tip.Keys.Float64s())
	check("F.test_logits_first_at_last_keys_init", f.TestLogits, logitsOf(tip, test, 4))
	epoch, _ := l.Best()
	g.count("F.kept_is_step", epoch*len(f.Batches), f.KeptStep)
	check("F.kept_keys", f.Kept, tip.Keys.Float64s())
	grid("F", tip, f.search)
	if err := trainer.Release(); err != nil {
		g.Fatal(err)
	}
}

func goldenGDANew(g *goldenCase) {
	var want struct {
		Nearest     int
		TextSame    int `json:"text_same"`
		Alpha       float64
		BaseInverse expected `json:"base_inverse"`
		BaseLogits  expected `json:"base_logits"`
		NewMeans    expected `json:"new_means"`
		NewInverse  expected `json:"new_inverse"`
		NewLogits   expected `json:"new_logits"`
		Float32     map[string]float64
	}
	g.Decode(&want)
	passes, labels := g.passes()
	all := probe.Stack(passes, labels)
	text, words, test := g.Tensor("features.safetensors", "text"), g.Tensor("features.safetensors", "new_text"), g.Features("test")
	check := func(name string, w expected, got []float64) {
		g.Helper()
		g.Check(name, w.Apart(got), want.Float32[name], math.Sqrt(float64(text.Dim(1))))
	}
	c := probe.DefaultGDA()
	c.Nearest, c.TextSame = want.Nearest, want.TextSame
	_, fit, err := probe.FitGDABase(all, g.Features("val"), text, c)
	if err != nil {
		g.Fatal(err)
	}
	check("base_inverse", want.BaseInverse, symmetric(fit.Precision))
	classes := text.Shape()[0]
	check("base_logits", relativeToMean(g, want.BaseLogits, classes), centred(logitsOf(fit.Head(text, c.Scale, want.Alpha), test, 0), classes))
	h, fresh, err := probe.FitGDANew(all, words, want.Alpha, c)
	if err != nil {
		g.Fatal(err)
	}
	check("new_means", want.NewMeans, fresh.Means.RawMatrix().Data)
	check("new_inverse", want.NewInverse, symmetric(fresh.Precision))
	classes = words.Shape()[0]
	check("new_logits", relativeToMean(g, want.NewLogits, classes), centred(logitsOf(h, test, 0), classes))
}

// symmetric are all elements of a matrix.
func symmetric(m *mat.SymDense) (v []float64) {
	d := m.SymmetricDim()
	for i := range d {
		for j := range d {
			v = append(v, m.At(i, j))
		}
	}
	return v
}
