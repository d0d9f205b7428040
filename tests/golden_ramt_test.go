package tests

import (
	"context"
	"encoding/json"
	"math"
	"slices"
	"strings"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

var _ = onGolden("ramt.json", goldenMaskRuns)

// maskRun is ten steps of the authors' own program.
type maskRun struct {
	Name                string
	Model               string // vit or rn
	Leak, LR            float64
	Eps, Penalty, T     float64
	MLP                 bool
	Init                string
	PerEpoch            int `json:"per_epoch"`
	Batch, Images       int
	Classes             int
	Seed, Key           uint64
	Off                 bool
	Tokens              [][]int32
	Labels              []int32
	Masked              []string
	ClassFeatures       expected `json:"class_features"`
	Scale               float64
	LogitsBefore        expected                                          `json:"logits_before"`
	LogitsAfter         expected                                          `json:"logits_after"`
	Sparsity            float64                                           `json:"sparsity_percent"`
	StatisticsStay      bool                                              `json:"batchnorm_statistics_unchanged"`
	TeacherIsInTraining bool                                              `json:"teacher_in_training_mode"`
	Adam                json.RawMessage                                   // what optim.NewAdam is
	FirstStep           map[string]struct{ A, B, Final, Scores expected } `json:"first_step"`
	Steps               []struct {
		LR, CE, KD, Penalty float64
		OffBefore           int `json:"off_before"`
		Tensors             map[string]struct {
			Kept, Off   int
			KeptInDoubt int `json:"kept_in_doubt"`
			OffInDoubt  int `json:"off_in_doubt"`
			Sum         float64
		}
	}
	Scores  map[string]expected
	Float32 struct {
		Loss, Sum, Scores float64
		FirstGradients    float64 `json:"first_gradients"`
		LogitsAfter       float64 `json:"logits_after"`
	}
}

func goldenMaskRuns(g *goldenCase) {
	var want struct{ Runs []maskRun }
	g.Decode(&want)
	for _, r := range want.Runs {
		g.Sub(r.Name, func(g *goldenCase) { g.maskRun(r) })
	}
}

// maskedScore is the score at which element i of a run's mask begins.
func (r maskRun) scores(name string, n int) []float64 {
	v := make([]float64, n)
	var init, off []float64
	if r.Init == "uniform" {
		init = uniforms(tensor.NewKey(r.Seed).Name("init").Name(name), n)
	}
	if r.Off {
		off = uniforms(tensor.NewKey(17).Name("off").Name(name), n)
	}
	for i := range v {
		if v[i] = 0.01; init != nil {
			v[i] *= init[i]
		}
		if off != nil && off[i] < 0.1 {
			v[i] = 0.001
		}
	}
	return v
}

func (g *goldenCase) maskRun(r maskRun) {
	if r.Init != "1s" && r.Init != "uniform" {
		g.Refuse("masks begin as %q", r.Init)
	}
	m := g.Model(r.Model + ".safetensors")
	w := nn.NewWeights(g.Dev, m)
	arch, err := vit.ArchOf(m, vit.Config{})
	if err != nil {
		g.Fatal(err)
	}
	student, teacher := arch.Build(w), arch.Build(w)
	tc, err := text.ConfigOf(m, text.Config{})
	if err != nil {
		g.Fatal(err)
	}
	words := text.New(w, tc)
	if err := w.Err(); err != nil {
		g.Fatal(err)
	}
	classes := text.Ensemble(words, g.Dev, r.Tokens, 1, text.MeanFirst)
	g.Check("class_features", r.ClassFeatures.Apart(classes.Float64s()), r.Float32.FirstGradients, math.Sqrt(float64(words.Width)))
	head := train.Head{Classes: classes, Scale: logitScale(g.T, m)}
	g.Check("scale", math.Abs(head.Scale/r.Scale-1), 0, 4)

	method := "amt"
	if _, net := arch.(vit.ResNetConfig); net || r.MLP {
		method = "pmt"
	}
	c, err := rmt.Defaults("r-"+method, "released", "", 16, false)
	if err != nil {
		g.Fatal(err)
	}
	if c, err = c.For(student.Params()); err != nil {
		g.Fatal(err)
	}
	params, err := rmt.Select(student.Params(), c.Patterns)
	if err != nil {
		g.Fatal(err)
	}
	masks := rmt.Attach(params, 0.01, 0.005)
	var names []string
	elements := 0
	for _, k := range masks {
		names = append(names, k.Param.Name)
		k.Scores.SetFloat64(r.scores(k.Param.Name, k.Scores.Len()))
		elements += k.Scores.Len()
	}
	slices.Sort(names)
	slices.Sort(r.Masked)
	g.Equal("masked", strings.Join(names, " "), strings.Join(r.Masked, " "))

	// The settings that are published, but for those that the run says.
	c.Leak, c.Eps, c.Penalty, c.Seed, c.LR, c.Epochs = r.Leak, r.Eps, r.Penalty, r.Seed, r.LR, len(r.Steps)/r.PerEpoch
	rule := &goldenRule{census: census{GradDrop: c.Rule().(optim.GradDrop), kept: map[*tensor.Tensor]int{}}}
	step, turned, of := 0, map[*tensor.Tensor]int{}, map[*tensor.Tensor]*rmt.Mask{}
	for _, k := range masks {
		of[k.Scores] = k
	}
	led := g.lead(func(ref *goldenCase) { ref.maskRun(r) })
	rule.follow = func(o optim.Optimizer, w *tensor.Tensor) {
		k := of[w]
		if g.Device == "ref" {
			led.record(k.Param.Name, w, o)
			return
		}
		turned[w] = led.follow(k.Param.Name, step, w, o, r.Steps[step].LR, k.Threshold)
	}
	learner := rmt.NewLearner(student, teacher, head, masks, rule)
	if r.T != 1 {
		learner.Temperature = r.T
	}
	trainer := rmt.NewTrainer(g.Dev, learner, c)
	defer trainer.Release()
	images := parityImages(g.Dev, r.Key, r.Images, arch.Sizes().Image)
	logits := func(e train.Encoder) []float64 {
		return value(g.Dev, func(t *autograd.Tape) *autograd.Var { return head.Logits(e.Encode(t.Const(images))) })
	}
	// Losses are of size 1, and logits a few: their own roundings, and those of sums over a row.
	few := math.Sqrt(float64(elements) / float64(len(masks)))
	g.Check("logits_before", r.LogitsBefore.Apart(logits(teacher)), r.Float32.FirstGradients, few)

	for i, want := range r.Steps {
		step = i
		lr := c.Schedule()(i / r.PerEpoch)
		g.Check("rate", math.Abs(lr/want.LR-1), 0, 4)
		lo := i * r.Batch % r.Images
		penalty := 0.0
		off := 0
		for _, k := range masks {
			v := k.Scores.Float64s()
			for i, x := range v {
				v[i] = x * x
			}
			penalty += r.Penalty * math.Sqrt(accurateSum(v))
			off += k.Off()
		}
		g.Check("penalty", math.Abs(penalty-want.Penalty)/max(want.Penalty, 1e-300), r.Float32.Sum, few)
		s, err := trainer.Step(context.Background(), images.Rows(lo, lo+r.Batch), r.Labels[lo:lo+r.Batch], lr)
		if err != nil {
			g.Fatal(err)
		}
		g.Check("loss ce", math.Abs(s.Loss-want.CE), r.Float32.Loss, few*max(want.CE, 1))
		if !math.IsNaN(s.Distill) {
			g.Check("loss kd", math.Abs(s.Distill-want.KD), r.Float32.Loss, few*max(want.KD, 1))
		} else if off > 0 && r.Leak != 0 {
			g.Errorf("step %d: no distillation, though weights are off", i+1)
		}
		for _, k := range masks {
			x := want.Tensors[k.Param.Name]
			if g.Device == "ref" {
				x.KeptInDoubt, x.OffInDoubt = 0, 0
			}
			g.Within("kept "+k.Param.Name, float64(apartInts(rule.kept[k.Scores], x.Kept)), float64(x.KeptInDoubt))
			g.Within("off "+k.Param.Name, float64(apartInts(k.Off(), x.Off)), 0)
			g.Within("turned "+k.Param.Name, float64(turned[k.Scores]), float64(x.KeptInDoubt+x.OffInDoubt))
			g.Check("sum "+k.Param.Name, math.Abs(accurateSum(k.Scores.Float64s())/x.Sum-1), r.Float32.Sum, few)
			if i > 0 {
				continue
			}
			first := r.FirstStep[k.Param.Name]
			got := rule.first[k.Scores]
			g.Check("first_step a "+k.Param.Name, first.A.Apart(got.a), r.Float32.FirstGradients, few)
			if got.b != nil {
				g.Check("first_step b "+k.Param.Name, first.B.Apart(got.b), r.Float32.FirstGradients, few)
			}
			g.Check("first_step final "+k.Param.Name, first.Final.Apart(got.final), r.Float32.FirstGradients, few)
			g.Check("first_step scores "+k.Param.Name, first.Scores.Apart(k.Scores.Float64s()), r.Float32.Scores, few)
		}
		g.Within("off_before", float64(apartInts(off, want.OffBefore)), 0)
	}
	for _, k := range masks {
		g.Check("scores "+k.Param.Name, r.Scores[k.Param.Name].Apart(k.Scores.Float64s()), r.Float32.Scores, few)
	}
	g.Check("logits_after", r.LogitsAfter.Apart(logits(student)), r.Float32.LogitsAfter, few)
	g.Within("sparsity_percent", math.Abs(rmt.SparsityOf(masks).Percent()-r.Sparsity), 1e-12*r.Sparsity)
}

// accurateSum is Σ x, of halves summed apart: n numbers about equal, added one after the other, would be off by as many
// roundings of their sum.
func accurateSum(x []float64) float64 {
	if len(x) <= 8 {
		return sum(x)
	}
	h := len(x) / 2
	return accurateSum(x[:h]) + accurateSum(x[h:])
}

// goldenRule is gradient dropout that keeps what it makes in the first step, and counts what it keeps in each.
type goldenRule struct {
	census
	first  map[*tensor.Tensor]firstGradients
	follow func(o optim.Optimizer, w *tensor.Tensor) // what comes after each update
}

// firstGradients are those of the first step: a with the penalty, b, nil without a second loss, and what the rule
// made of them.
type firstGradients struct{ a, b, final []float64 }

func (r *goldenRule) Apply(o optim.Optimizer, w, a, b *tensor.Tensor, key tensor.Key) {
	if r.first == nil {
		r.first = map[*tensor.Tensor]firstGradients{}
	}
	if _, seen := r.first[w]; !seen {
		dev := w.Device()
		g, squares := dev.New(tensor.Full, w.Shape()...), dev.New(tensor.Full)
		defer g.Release()
		defer squares.Release()
		tensor.SumSquares(squares, w)
		opt := tensor.GradDropOptions{Eps: r.Eps, Key: key, Penalty: float64(r.Penalty), SumSquares: squares}
		var f firstGradients
		tensor.GradDrop(g, a, nil, w, opt)
		f.a = g.Float64s()
		if opt.Leak = r.Leak; b != nil {
			f.b = b.Float64s()
		}
		tensor.GradDrop(g, a, b, w, opt)
		f.final = g.Float64s()
		r.first[w] = f
	}
	r.census.Apply(o, w, a, b, key)
	r.follow(o, w)
}
