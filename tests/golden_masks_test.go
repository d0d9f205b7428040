package tests

import (
	"context"
	"fmt"
	"iter"
	"math"
	"slices"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

var (
	_ = onGolden("masks-*.json", goldenMasks)
	_ = onGolden("dmt.json", goldenDMT)
)

// goldenMasks are masks of coarser scores, and on the text encoder: ten steps of gradient dropout.
func goldenMasks(g *goldenCase) {
	var want struct {
		Tokens     [][]int32
		Labels     []int32
		Masked     []string
		CE, KD, LR []float64
		Off        []int
		Before     expected            `json:"logits_before_masks"`
		Start      expected            `json:"logits_at_start"`
		A          map[string]expected `json:"first_a"`
		B          map[string]expected `json:"first_b"`
		Kept       int                 `json:"first_kept"`
		Final      map[string]expected `json:"first_final"`
		After1     map[string]expected `json:"scores_after_1"`
		After10    map[string]expected `json:"scores_after_10"`
		After      expected            `json:"logits_after"`
		Kind       string
		Encoders   string
		Leak, Eps  float64
		Seed       uint64
		Images     goldenImages
		Batch      int
		Epochs     int
		BaseLR     float64 `json:"base_lr"`
		Float32    map[string]float64
	}
	g.Decode(&want)
	m := g.Model("vit.safetensors")
	arch, err := vit.ArchOf(m, vit.Config{})
	if err != nil {
		g.Fatal(err)
	}
	tc, err := text.ConfigOf(m, text.Config{})
	if err != nil {
		g.Fatal(err)
	}
	w := nn.NewWeights(g.Dev, m)
	student, teacher, words, original := arch.Build(w), arch.Build(w), text.New(w, tc), text.New(w, tc)
	if err := w.Err(); err != nil {
		g.Fatal(err)
	}

	recipe, encoder := "paper", want.Encoders
	if encoder == "image+stem" {
		recipe, encoder = "released", "image"
	}
	c, err := rmt.Defaults("r-amt", recipe, "", 16, false)
	if err != nil {
		g.Fatal(err)
	}
	c = c.WithEncoder(encoder)
	c.Leak, c.Eps, c.Penalty, c.Seed, c.LR, c.Epochs = want.Leak, want.Eps, 0, want.Seed, want.BaseLR, want.Epochs
	if c.Granularity = want.Kind; c.Granularity == "element" {
		c.Granularity = "weight"
	}
	if err := c.Validate(); err != nil {
		g.Fatal(err)
	}
	params, err := rmt.Select(slices.Concat(student.Params(), words.Params()), c.Patterns)
	if err != nil {
		g.Fatal(err)
	}
	masks := rmt.AttachAs(params, c.Granularity, 0.01, 0.005)
	var names []string
	elements := 0
	for _, k := range masks {
		names = append(names, k.Param.Name)
		r := maskRun{Off: true, Init: "1s"}
		k.Scores.SetFloat64(r.scores(k.Param.Name, k.Scores.Len()))
		elements += k.Scores.Len()
	}
	if slices.Sort(names); !slices.Equal(names, slices.Sorted(slices.Values(want.Masked))) {
		g.Errorf("masked are %v, want %v", names, want.Masked)
	}
	head := train.Head{Classes: text.Ensemble(original, g.Dev, want.Tokens, 1, text.NormalizeFirst), Scale: logitScale(g.T, m)}
	rule := &goldenRule{census: census{GradDrop: c.Rule().(optim.GradDrop), kept: map[*tensor.Tensor]int{}}}
	now, turned, of := 0, 0, map[*tensor.Tensor]*rmt.Mask{}
	for _, k := range masks {
		of[k.Scores] = k
	}
	led := g.lead(goldenMasks)
	rule.follow = func(o optim.Optimizer, w *tensor.Tensor) {
		k := of[w]
		if g.Device == "ref" {
			led.record(k.Param.Name, w, o)
			return
		}
		turned += led.follow(k.Param.Name, now, w, o, want.LR[now], k.Threshold)
	}
	l := rmt.NewLearner(student, teacher, head, masks, rule)
	if encoder != "image" {
		l.Text = func(t *autograd.Tape) *autograd.Var { return autograd.L2Normalize(words.Encode(t, want.Tokens)) }
	}
	images, floor := want.Images.on(g.Dev), math.Sqrt(512)
	check := func(name string, e expected, got []float64, more ...float64) {
		g.Helper()
		if off, yard := e.Apart(got), want.Float32[name]; g.Device == "ref" {
			g.Within(name, off, max(slack*max(yard*0x1p-29, floor*0x1p-53), 8e-11)) // as far as two programs in float64 agree, by the folder's README
		} else {
			g.Check(name, max(0, off-sum(more)), yard, floor)
		}
	}
	logits := func(e vit.Image, txt *text.Encoder) []float64 {
		return value(g.Dev, func(t *autograd.Tape) *autograd.Var {
			classes := autograd.L2Normalize(txt.Encode(t, want.Tokens))
			return autograd.Scale(autograd.Linear(autograd.L2Normalize(e.Encode(t.Const(images))), classes, nil), head.Scale)
		})
	}
	check("logits_before_masks", want.Before, logits(teacher, original))
	check("logits_at_start", want.Start, logits(student, words))
	tr := rmt.NewTrainer(g.Dev, l, c)
	per := len(want.Labels) / want.Batch
	for step := range want.CE {
		now, turned = step, 0
		lr := c.Schedule()(step / per)
		g.Within("lr", math.Abs(lr/want.LR[step]-1), 1e-12)
		lo := step * want.Batch % len(want.Labels)
		s, err := tr.Step(g.Context(), images.Rows(lo, lo+want.Batch), want.Labels[lo:lo+want.Batch], lr)
		if err != nil {
			g.Fatal(err)
		}
		check(fmt.Sprintf("ce.%d", step), expected{All: want.CE[step : step+1]}, []float64{s.Loss})
		check(fmt.Sprintf("kd.%d", step), expected{All: want.KD[step : step+1]}, []float64{s.Distill})
		off := 0
		for _, k := range masks {
			for _, v := range k.Scores.Float64s() {
				if !(v > k.Threshold) {
					off++
				}
			}
		}
		doubt := 0.0 // near a decision rounding may decide, in float32
		if g.Device != "ref" {
			doubt = 2 + float64(elements)*1e-4
		}
		g.Within(fmt.Sprintf("off %d", step), float64(apartInts(off, want.Off[step])), 0)
		g.Within(fmt.Sprintf("turned %d", step), float64(turned), doubt)
		if step == 0 {
			// Where a row of keys is off, that of queries has no gradient but rounding, and rounding decides.
			kept, noise := 0, slack*0x1p-53*1e3
			if g.Device != "ref" {
				noise = slack * 0x1p-24 * 1e3
			}
			for _, k := range masks {
				name, f := k.Param.Name, rule.first[k.Scores]
				check("first_a."+name, want.A[name], f.a)
				check("first_b."+name, want.B[name], f.b)
				// In float32 rounding may decide on an element or two otherwise: each moves a projection by half of it.
				one := 0.0
				if g.Device != "ref" {
					rms := norm(f.final) / math.Sqrt(float64(len(f.final)))
					one = 2 * 0.5 * slices.Max(absolute(f.a)) / rms / math.Sqrt(float64(len(f.a))/12)
				}
				check("first_final."+name, want.Final[name], f.final, one)
				check("scores_after_1."+name, want.After1[name], k.Scores.Float64s())
				kept += rule.kept[k.Scores]
				for i, a := range f.a {
					if math.Abs(a)+math.Abs(f.b[i]) < noise*norm(f.a)/math.Sqrt(float64(len(f.a))) {
						doubt++
					}
				}
			}
			g.Within("first_kept", math.Abs(float64(kept-want.Kept)), doubt)
		}
	}
	for _, k := range masks {
		check("scores_after_10."+k.Param.Name, want.After10[k.Param.Name], k.Scores.Float64s())
	}
	check("logits_after", want.After, logits(student, words))
	if err := tr.Release(); err != nil {
		g.Fatal(err)
	}
}

func absolute(v []float64) []float64 {
	all := make([]float64, len(v))
	for i, x := range v {
		all[i] = math.Abs(x)
	}
	return all
}

// batches are a training set of one epoch.
type batches struct {
	images []float32
	labels []int32
	size   int // pixels a side
	each   int
}

func (b batches) Batches() int { return len(b.labels) / b.each }

func (b batches) Epoch(_ context.Context, _, from int) iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) {
		n := len(b.images) / len(b.labels)
		for i := from * b.each; i < len(b.labels); i += b.each {
			if !yield(train.Batch{Pixels: b.images[i*n : (i+b.each)*n], Labels: b.labels[i : i+b.each], Size: b.size}, nil) {
				return
			}
		}
	}
}

// goldenDMT is which weights DMT masks.
func goldenDMT(g *goldenCase) {
	var want struct {
		Tokens  [][]int32
		Labels  []int32
		Mean    map[string]float64 `json:"mean_gradient"`
		Chosen  []string
		Images  goldenImages
		Batch   int
		Float32 map[string]float64
	}
	g.Decode(&want)
	clip := g.CLIP("vit.safetensors")
	c, err := rmt.Defaults("r-dmt", "paper", "", 16, false)
	if err != nil {
		g.Fatal(err)
	}
	params, err := rmt.Select(clip.image.Params(), c.Patterns)
	if err != nil {
		g.Fatal(err)
	}
	head := train.Head{Classes: clip.classes(g.Dev, want.Tokens), Scale: clip.scale}
	// On ref the images are what the formula gives; there are no float32 between.
	data := batches{want.Images.on(g.Dev).Floats(), want.Labels, want.Images.Size, want.Batch}
	layers, err := rmt.ChooseLayers(g.Context(), g.Dev, clip.image, head, params, data)
	if err != nil {
		g.Fatal(err)
	}
	if len(layers) != len(want.Mean) {
		g.Errorf("%d layers, want %d", len(layers), len(want.Mean))
	}
	var chosen []string
	for _, x := range layers {
		name := x.Param.Name
		// A mean is what is left of elements that are about Error·√n large; so is its rounding.
		g.Check("mean_gradient "+name, math.Abs(x.Mean/want.Mean[name]-1), want.Float32["mean_gradient."+name], 64*x.Error/math.Abs(x.Mean))
		if x.Chosen() {
			chosen = append(chosen, name)
		}
	}
	if !slices.Equal(chosen, want.Chosen) || !slices.Equal(c.WithLayers(layers).Patterns, want.Chosen) {
		g.Errorf("chosen are %v, want %v", chosen, want.Chosen)
	}
}
