package adapter

import (
	"fmt"
	"math"
	"slices"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt/probe"
	"fewshot/tensor"
)

// TipConfig are the settings of Tip-Adapter.
type TipConfig struct {
	Scale float64 `json:"scale"` // of the text classifier's cosines
	// Alpha, the weight of the cache, and Beta, the sharpness of its affinities, to begin with.
	Alpha float64 `json:"alpha"`
	Beta  float64 `json:"beta"`
	// The grid of the search: from 0.1 up to, not including, these, in so many steps.
	MostAlpha  float64 `json:"most_alpha"`
	MostBeta   float64 `json:"most_beta"`
	AlphaSteps int     `json:"alpha_steps"`
	BetaSteps  int     `json:"beta_steps"`
}

// tipTable are the published settings by data set: the grid's ends, and α to begin with; β begins with 1.
var tipTable = map[string]struct{ mostBeta, mostAlpha, alpha float64 }{
	"imagenet":       {7, 3, 1.17},
	"caltech101":     {12, 5, 3},
	"dtd":            {13, 13, 2},
	"eurosat":        {12, 10, 2},
	"fgvc_aircraft":  {30, 30, 5},
	"food101":        {10, 10, 1.17},
	"oxford_flowers": {50, 50, 10},
	"oxford_pets":    {7, 3, 1.17},
	"stanford_cars":  {20, 10, 3},
	"sun397":         {12, 10, 1.17},
	"ucf101":         {7, 3, 3},
}

// DefaultTip has the settings published for a data set, and for others those for ImageNet.
func DefaultTip(dataset string) TipConfig {
	s, ok := tipTable[dataset]
	if !ok {
		s = tipTable["imagenet"]
	}
	return TipConfig{Scale: 100, Alpha: s.alpha, Beta: 1, MostAlpha: s.mostAlpha, MostBeta: s.mostBeta, AlphaSteps: 20, BetaSteps: 200}
}

// Validate reports the first setting that makes no sense.
func (c TipConfig) Validate() error {
	for _, v := range []float64{c.Scale, c.Alpha, c.Beta, c.MostAlpha, c.MostBeta} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return fmt.Errorf("a setting of tip-adapter is not a finite number")
		}
	}
	switch {
	case c.Scale <= 0:
		return fmt.Errorf("scale %g must be positive", c.Scale)
	case c.Alpha < 0 || c.Beta < 0:
		return fmt.Errorf("alpha %g and beta %g must not be negative", c.Alpha, c.Beta)
	case c.MostAlpha <= tipLeast || c.MostBeta <= tipLeast:
		return fmt.Errorf("the search goes from %g up to alpha %g and beta %g, which must be more", tipLeast, c.MostAlpha, c.MostBeta)
	case c.AlphaSteps < 1 || c.BetaSteps < 1:
		return fmt.Errorf("the search has %d steps of alpha and %d of beta: at least 1", c.AlphaSteps, c.BetaSteps)
	}
	return nil
}

const tipLeast = 0.1

// Alphas and Betas are the points of the grid.
func (c TipConfig) Alphas() []float64 { return grid(c.MostAlpha, c.AlphaSteps) }

// Betas are the points of the grid.
func (c TipConfig) Betas() []float64 { return grid(c.MostBeta, c.BetaSteps) }

func grid(most float64, steps int) []float64 {
	v := make([]float64, steps)
	for i := range v {
		v[i] = float64(i)*(most-tipLeast)/float64(steps) + tipLeast
	}
	return v
}

// Tip is a cache of training images beside the text classifier: for features f of length 1
//
//	logits = scale·f·Tᵀ + α·exp(−β(1 − f·Keysᵀ))·L
//
// where L says which class each key is of.
type Tip struct {
	Text        *tensor.Tensor // T [C, D], rows of length 1
	Keys        *tensor.Tensor // [N, D]
	Values      *tensor.Tensor // L [N, C]
	Scale       float64
	Alpha, Beta float64

	labels []int32 // what Values say, of a cache that NewTip made
}

// NewTip makes the cache from augmented passes over the training images, [P, N, D] as the encoder gives them: a key is their mean,
// divided by its length. text is [C, D], rows of length 1, and is not copied.
func NewTip(passes *tensor.Tensor, labels []int32, text *tensor.Tensor, c TipConfig) (*Tip, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	p, n, d := passes.Shape()[0], passes.Shape()[1], passes.Shape()[2]
	classes, dev := text.Shape()[0], passes.Device()
	if err := probe.Stack(passes, labels).Check("training", classes, true); err != nil {
		return nil, err
	}
	if text.Dim(1) != d {
		return nil, fmt.Errorf("features have %d numbers, text features %d", d, text.Dim(1))
	}
	t := &Tip{Text: text, Keys: dev.New(tensor.Full, n, d), Values: dev.New(tensor.Full, n, classes), Scale: c.Scale, Alpha: c.Alpha, Beta: c.Beta, labels: slices.Clone(labels)}
	text.Retain()
	norm := dev.New(tensor.Full, n)
	tensor.SumTo(t.Keys.View(1, n, d), passes.View(1, p, n, d))
	tensor.L2Normalize(t.Keys, norm, t.Keys) // the mean's length does not matter: a sum will do
	norm.Release()
	hot := make([]float32, n*classes)
	for i, l := range labels {
		hot[i*classes+int(l)] = 1
	}
	t.Values.Set(hot)
	if err := dev.Sync(); err != nil {
		t.Release()
		return nil, err
	}
	return t, nil
}

// Logits are [N, C] for features [N, D] as the encoder gives them.
func (t *Tip) Logits(features *autograd.Var) *autograd.Var {
	tape := features.Tape()
	f := autograd.L2Normalize(features)
	a := autograd.Scale(autograd.Linear(f, tape.Const(t.Keys), nil), t.Beta) // β·affinity
	// exp(−β(1 − A)) = e^(−β)·exp(β·A) would overflow for a large β: shift first.
	shift := tape.New(tensor.Full, t.Keys.Shape()[0])
	tensor.Fill(shift, -t.Beta)
	e := autograd.Exp(autograd.Add(a, tape.Const(shift)))
	cache := autograd.Scale(autograd.MatMul(e, tape.Const(t.Values)), t.Alpha)
	return t.besideText(f, cache)
}

// learnable are the logits of features of length 1, by keys on their tape and without a product with Values, of which
// all but one number in a row are 0: the cache must be NewTip's.
func (t *Tip) learnable(f, keys *autograd.Var) *autograd.Var {
	return t.besideText(f, autograd.Scale(autograd.ClassAffinities(f, keys, t.labels, t.Text.Shape()[0], t.Beta), t.Alpha))
}

// besideText adds the text classifier's logits to the cache's.
func (t *Tip) besideText(f, cache *autograd.Var) *autograd.Var {
	return autograd.Add(autograd.Scale(autograd.Linear(f, f.Tape().Const(t.Text), nil), t.Scale), cache)
}

// Formula is the classifier in numbers.
func (t *Tip) Formula() nn.Formula {
	return nn.Formula{Classes: t.Text.Floats(), Scale: t.Scale, Keys: t.Keys.Floats(), Values: t.Values.Floats(), Alpha: t.Alpha, Beta: t.Beta}
}

// Correct counts the images that the classifier gets right.
func (t *Tip) Correct(f probe.Features) int {
	tape := autograd.NoGrad(f.X.Device())
	defer tape.Release()
	return probe.Correct(t.Logits(tape.Const(f.X)).Value, f.Labels)
}

// Release gives the cache's memory back.
func (t *Tip) Release() {
	t.Text.Release()
	t.Keys.Release()
	t.Values.Release()
}

// Searched is how a search for α and β went.
type Searched struct {
	Alpha, Beta float64
	Correct     int     // images right there
	Grid        [][]int // images right, by β and then α
}

// Search chooses α and β by the images of a grid's points that are right, β outside, α inside; of several best the first. What it
// looks at should be validation images: the protocol published for ImageNet looks at test images here.
func (t *Tip) Search(val probe.Features, c TipConfig) (Searched, error) {
	var s Searched
	if err := c.Validate(); err != nil {
		return s, err
	}
	if val.X == nil || len(val.Labels) == 0 {
		return s, fmt.Errorf("tip-adapter chooses alpha and beta by validation images, and there are none")
	}
	classes := t.Text.Shape()[0]
	if err := val.Check("validation", classes, false); err != nil {
		return s, err
	}
	n, dev := len(val.Labels), val.X.Device()
	tape := autograd.NoGrad(dev)
	defer tape.Release()
	f := autograd.L2Normalize(tape.Const(val.X)).Value
	byText, byCache := tape.New(tensor.Full, n, classes), tape.New(tensor.Full, n, classes)
	tensor.Gemm(byText, f, t.Text, tensor.GemmOptions{TransB: true})
	tensor.Scale(byText, byText, t.Scale)
	// A − 1, at most a rounding above 0, once for all points.
	keys := t.Keys.Shape()[0]
	distance, one, e := tape.New(tensor.Full, n, keys), tape.New(tensor.Full, keys), tape.New(tensor.Full, n, keys)
	tensor.Gemm(distance, f, t.Keys, tensor.GemmOptions{TransB: true})
	tensor.Fill(one, -1)
	tensor.Add(distance, distance, one)
	z, r := byText.Float64s(), make([]float64, n*classes)
	alphas := c.Alphas()
	for _, beta := range c.Betas() {
		tensor.Scale(e, distance, beta)
		tensor.Exp(e, e)
		tensor.Gemm(byCache, e, t.Values, tensor.GemmOptions{})
		byCache.ReadFloat64s(r)
		right := make([]int, len(alphas))
		for i, label := range val.Labels {
			count(right, alphas, z[i*classes:(i+1)*classes], r[i*classes:(i+1)*classes], int(label))
		}
		s.Grid = append(s.Grid, right)
		if best := slices.Max(right); best > s.Correct {
			s.Correct, s.Beta, s.Alpha = best, beta, alphas[slices.Index(right, best)]
		}
	}
	return s, dev.Sync()
}

// count adds an image to the counts of the α for which z + α·r is largest at its label, and larger than all before it.
func count(right []int, alphas, z, r []float64, label int) {
	for i, a := range alphas {
		own, ok := z[label]+a*r[label], true
		for c := range z {
			if v := z[c] + a*r[c]; v > own || v == own && c < label {
				ok = false
				break
			}
		}
		if ok {
			right[i]++
		}
	}
}
