package tests

import (
	"math"
	"slices"

	"fewshot/nn"
	"fewshot/tensor"
	"fewshot/text"
)

var _ = onGolden("ensemble.json", goldenEnsemble)

// goldenEnsemble compares classifiers of several templates, in both orders, with those of the programs they come
// from. The model lies beside the file, as vit.safetensors.
func goldenEnsemble(g *goldenCase) {
	var want struct {
		Tokens         [][][]int32
		NormalizeFirst expected `json:"normalise_mean_normalise"`
		MeanFirst      expected `json:"mean_normalise"`
		First          expected `json:"single_template_0"`
		Float32        map[string]float64
	}
	g.Decode(&want)
	e := g.TextEncoder("vit.safetensors")
	each := len(want.Tokens[0])
	first := make([][]int32, len(want.Tokens))
	for i, prompts := range want.Tokens {
		first[i] = prompts[0]
	}
	check := func(name string, prompts [][]int32, each int, order text.Order, w expected) {
		c := text.Ensemble(e, g.Dev, prompts, each, order)
		g.Check(name, w.Apart(c.Float64s()), want.Float32[name], math.Sqrt(float64(e.Width)))
		c.Release()
	}
	all := slices.Concat(want.Tokens...)
	check("normalise_mean_normalise", all, each, text.NormalizeFirst, want.NormalizeFirst)
	check("mean_normalise", all, each, text.MeanFirst, want.MeanFirst)
	check("single_template_0", first, 1, text.NormalizeFirst, want.First)
	check("single_template_0", first, 1, text.MeanFirst, want.First)
}

// TextEncoder opens the text encoder of a checkpoint of the folder, with QuickGELU and OpenAI's heads.
func (g *goldenCase) TextEncoder(name string) *text.Encoder {
	g.Helper()
	m := g.Model(name)
	c, err := text.ConfigOf(m, text.Config{Activation: tensor.QuickGELU})
	if err != nil {
		g.Fatal(err)
	}
	w := nn.NewWeights(g.Dev, m)
	e := text.New(w, c)
	if err := w.Err(); err != nil {
		g.Fatal(err)
	}
	return e
}
