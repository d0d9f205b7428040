package tests

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"fewshot/rmt/probe"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

var (
	_ = onGolden("twostage-*.json", func(g *goldenCase) { goldenTwoStage(g, "vit.safetensors") })
	_ = onGolden("twostage-small.json", func(g *goldenCase) { goldenTwoStage(g, smallCLIP) })
	_ = onGolden("finetune-small.json", func(g *goldenCase) { goldenFinetune(g, smallCLIP) })
	_ = onGolden("finetune-vit*.json", func(g *goldenCase) { goldenFinetune(g, "vit.safetensors") })
	_ = onGolden("finetune-rn*.json", func(g *goldenCase) { goldenFinetune(g, "rn.safetensors") })
)

// adamW are the settings of a recorded optimizer.
type adamW struct {
	LR    float64
	Betas []float64
	Eps   float64
	Decay float64 `json:"weight_decay"`
}

func goldenFinetune(g *goldenCase, model string) {
	var want struct {
		Tokens       [][]int32
		Labels       []int32
		Losses, LR   []float64
		LogitsBefore expected            `json:"logits_before"`
		Gradient     map[string]expected `json:"first_gradient"`
		After1       map[string]expected `json:"after_1"`
		After10      map[string]expected `json:"after_10"`
		LogitsAfter  expected            `json:"logits_after"`
		Images       goldenImages
		Batch        int
		Epochs       int
		AdamW        adamW
		Note         string
		Float32      map[string]float64
	}
	g.Decode(&want)
	clip := g.CLIP(model)
	c := probe.DefaultFinetune("")
	c.Epochs, c.LR, c.Decay = want.Epochs, want.AdamW.LR, want.AdamW.Decay
	l, err := probe.NewFinetune(clip.image, train.Head{Classes: clip.classes(g.Dev, want.Tokens), Scale: clip.scale}, c)
	if err != nil {
		g.Fatal(err)
	}
	images, floor := want.Images.on(g.Dev), math.Sqrt(512)
	before := g.classify(l.Model(), images)
	g.Check("logits_before", want.LogitsBefore.Apart(before), want.Float32["logits_before"], floor)
	tr := train.New(g.Dev, l, tensor.NewKey(1), 0)
	per := len(want.Labels) / want.Batch
	g.steps(tr, images, want.Labels, func(step int) float64 { return c.Schedule()(step / per) },
		goldenSteps{want.Losses, want.LR, want.Gradient, want.After1, want.After10, want.Batch, 6e-14}, want.Float32, "after_10", floor)
	after := g.classify(l.Model(), images)
	g.Check("logits_after", want.LogitsAfter.Apart(after), want.Float32["logits_after"], floor)
	// The ends of the interpolation are both models, to the bit, and so is the encoder given back.
	l.Interpolate(0)
	if !slices.Equal(g.classify(l.Model(), images), before) {
		g.Error("no way from the weights before training is not the model before")
	}
	l.Interpolate(1)
	if !slices.Equal(g.classify(l.Model(), images), after) {
		g.Error("all the way is not the model after training")
	}
	l.Detach()
	if !slices.Equal(g.classify(l.Model(), images), before) {
		g.Error("the encoder that is given back is another one")
	}
}

func goldenTwoStage(g *goldenCase, model string) {
	var want struct {
		Tokens       [][]int32
		Labels       []int32
		LogitsBefore expected `json:"logits_before"`
		Losses, LR   []float64
		AdamW        adamW
		Stage1       int      `json:"stage_1_steps"`
		Stage2       int      `json:"stage_2_steps"`
		InOptimizer  []string `json:"in_optimizer"`
		Trained      []string
		Without      []string            `json:"without_gradient"`
		Gradient     map[string]expected `json:"first_gradient"`
		After1       map[string]expected `json:"norms_after_1"`
		AfterStage1  map[string]expected `json:"norms_after_stage_1"`
		Init         expected            `json:"classifier_init"`
		Classifier   expected            `json:"classifier_first_gradient"`
		Classifier1  expected            `json:"classifier_after_1"`
		AfterStage2  expected            `json:"classifier_after_stage_2"`
		Logits       map[string]expected `json:"logits_test"`
		Accuracy     map[string]float64
		NewLabels    []int32 `json:"base_labels_new"`
		Images       goldenImages
		NewImages    struct {
			Key uint64
			N   int
		} `json:"new_images"`
		Batch   int
		Float32 map[string]float64
	}
	g.Decode(&want)
	clip := g.CLIP(model)
	const classes = 5
	c := probe.DefaultTwoStage(1)
	c.Iterations, c.LR, c.Batch = want.Stage1+want.Stage2, want.LR[0], want.Batch
	if c.Stage1() != want.Stage1 || c.Decay != want.AdamW.Decay {
		g.Refuse("it has %d steps and then %d, decay %g", want.Stage1, want.Stage2, want.AdamW.Decay)
	}
	base, fresh := want.Tokens[:classes], want.Tokens[classes:]
	l, err := probe.NewTwoStage(clip.image, clip.text, base, clip.scale, c)
	if err != nil {
		g.Fatal(err)
	}
	images, floor := want.Images.on(g.Dev), math.Sqrt(512)
	one := func(name string, w expected, got []float64, agree float64) {
		g.Helper()
		off, yard := w.Apart(got), want.Float32[name]
		if g.Device == "ref" {
			g.Within(name, off, max(slack*max(yard*0x1p-29, floor*0x1p-53), 2*agree))
			return
		}
		g.Check(name, off, yard, floor)
	}
	before := g.classify(train.Model{Encoder: clip.image, Head: train.Head{Classes: clip.classes(g.Dev, base), Scale: clip.scale}}, images)
	one("logits_before", want.LogitsBefore, before, 0)
	tr := train.New(g.Dev, l, tensor.NewKey(1), 0)
	groups := l.Groups()
	norms := func() map[string][]float64 {
		v := map[string][]float64{}
		for _, p := range groups[0].Params {
			v[p.Name] = p.Value.Float64s()
		}
		return v
	}
	if got := slices.Sorted(maps.Keys(norms())); !slices.Equal(got, slices.Sorted(slices.Values(want.Trained))) {
		g.Errorf("trained are %v, want %v", got, want.Trained)
	}
	all := c
	all.LN = "all"
	if err := func() error {
		every, err := probe.NewTwoStage(clip.image, clip.text, base, clip.scale, all)
		if err == nil {
			if n := len(every.Groups()[0].Params); n != len(want.InOptimizer) {
				g.Errorf("%d parameters of all norms, want %d", n, len(want.InOptimizer))
			}
			every.Detach()
		}
		return err
	}(); err != nil {
		g.Fatal(err)
	}
	const agree = 5e-14 // by the folder's README
	compare := func(what string, got map[string][]float64, w map[string]expected) {
		g.Helper()
		for name, e := range w {
			one(what+"."+name, e, got[name], agree)
		}
	}
	classifier := groups[1].Params[0].Value
	n := len(want.Labels)
	for step := range want.Losses {
		lo := step * want.Batch % n
		x, y := images.Rows(lo, lo+want.Batch), want.Labels[lo:lo+want.Batch]
		g.Within("lr", math.Abs(c.Schedule()(step)/want.LR[step]-1), 1e-12)
		if step == 0 || step == want.Stage1 {
			_, grads, err := tr.Gradients(g.Context(), x, y)
			if err != nil {
				g.Fatal(err)
			}
			if step == 0 {
				first := map[string][]float64{}
				for i, p := range groups[0].Params {
					first[p.Name] = grads[i][0].Float64s()
				}
				compare("first_gradient", first, want.Gradient)
			} else {
				one("classifier_init", want.Init, classifier.Float64s(), agree)
				one("classifier_first_gradient", want.Classifier, grads[len(groups[0].Params)][0].Float64s(), agree)
			}
		}
		stats, err := tr.Step(g.Context(), x, y, c.Schedule()(step))
		if err != nil {
			g.Fatal(err)
		}
		one(fmt.Sprintf("losses.%d", step), expected{All: want.Losses[step : step+1]}, []float64{stats.Loss}, agree)
		switch step + 1 {
		case 1:
			compare("norms_after_1", norms(), want.After1)
		case want.Stage1:
			compare("norms_after_stage_1", norms(), want.AfterStage1)
		case want.Stage1 + 1:
			one("classifier_after_1", want.Classifier1, classifier.Float64s(), agree)
		}
	}
	compare("norms_after_stage_1", norms(), want.AfterStage1) // the second stage leaves them alone
	one("classifier_after_stage_2", want.AfterStage2, classifier.Float64s(), agree)
	newImages := goldenImages{want.NewImages.Key, want.NewImages.N, want.Images.Size}.on(g.Dev)
	accuracy := func(logits []float64, labels []int32) float64 {
		x := from(g.Dev, tensor.Full, logits, len(labels), len(logits)/len(labels))
		return 100 * float64(probe.Correct(x, labels)) / float64(len(labels))
	}
	for name, w := range want.Logits {
		var got []float64
		key, acc := "acc_test", 0.0
		switch name {
		case "c0+c1+c2+c3+c4":
			got = g.classify(l.Model(base, []int{0, 1, 2, 3, 4}), images)
			acc = accuracy(got, want.Labels)
			if len(want.Logits) > 1 {
				key = "acc_test_base"
			}
		case "c5+c6+c7":
			got = g.classify(l.Model(fresh, []int{-1, -1, -1}), newImages)
			key, acc = "acc_test_new", accuracy(got, want.NewLabels)
		default:
			g.Refuse("it has logits of %s", name)
		}
		one("logits_test."+name, w, got, agree)
		g.Within(key, math.Abs(acc-want.Accuracy[key]), 1e-12)
	}
	if err := tr.Release(); err != nil {
		g.Fatal(err)
	}
	l.Detach()
	if got := g.classify(train.Model{Encoder: clip.image, Head: train.Head{Classes: clip.classes(g.Dev, base), Scale: clip.scale}}, images); !slices.Equal(got, before) {
		g.Error("the encoders that are given back are others")
	}
}
