package tests

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"math"
	"os"
	"slices"
	"strings"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt/prompt"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

// The cases of methods that learn prompts: ten steps of the published programs in float64, on a toy CLIP.
var (
	_ = onGolden("method coop", goldenPrompts)
	_ = onGolden("method prograd", goldenPrompts)
	_ = onGolden("method cocoop", goldenPrompts)
	_ = onGolden("method vpt_*", goldenPrompts)
	_ = onGolden("method upt", goldenPrompts)
	_ = onGolden("method upt_mvlpt", goldenPrompts)
	_ = onGolden("method kgcoop", goldenPrompts)
	_ = onGolden("method maple", goldenPrompts)
	_ = onGolden("method promptsrc", goldenPrompts)
)

// promptCase is a case; what only some methods have is in the fields that are zero for others.
type promptCase struct {
	Method     string
	Batch      int
	Optim      map[string]any
	Parameters map[string][]int
	Tensors    map[string]map[string]goldenQuantity

	Context     int `json:"n_ctx"`
	Position    string
	CSC         bool
	Words       string `json:"ctx_words"`
	Masked      bool
	Tokens      [][]int32
	Names       []int     `json:"name_lens"`
	TokensNew   [][]int32 `json:"tokens_new"`
	NamesNew    []int     `json:"name_lens_new"`
	LR          []float64
	Loss        []float64
	EvalBefore  [][]float64 `json:"eval_before"`
	EvalAfter   [][]float64 `json:"eval_after"`
	EvalNew     [][]float64 `json:"eval_new_after"`
	TextInit    any         `json:"text_features_init"`
	ImageBatch0 [][]float64 `json:"image_features_batch0"`
	Ill         any         `json:"ill_conditioned"`

	// ProGrad
	FromTemplate  bool `json:"template_init"`
	Dataset       string
	Template      string
	Lambda        float64     `json:"lam"`
	T             float64     `json:"T"`
	TokensTeacher [][]int32   `json:"tokens_teacher"`
	LossCE        []float64   `json:"loss_ce"`
	LossKD        []float64   `json:"loss_kd"`
	Cos           []float64   `json:"cos"`
	Dot           []float64   `json:"dot"`
	NormA         []float64   `json:"norm_a"`
	NormB         []float64   `json:"norm_b"`
	Projected     []bool      `json:"projected"`
	TeacherEval   [][]float64 `json:"teacher_logits_eval"`
	TeacherBatch0 [][]float64 `json:"teacher_logits_batch0"`

	also
	single [][]float64 // logits of one image at a time
}

// also are what the cases of some methods say besides.
type also struct {
	// VPT
	N, Depth     int
	PerLayer     int `json:"per_layer"`
	Layers       int
	Kind         string
	Deep         bool
	InitBound    float64     `json:"init_bound"`
	TextFeatures [][]float64 `json:"text_features"`

	// CoCoOp
	MetaBias     string      `json:"meta_bias_eval_init"`
	ImagesNormed [][]float64 `json:"image_features_eval_normed"`

	// Ours alone
	Weight    float64
	Templates []string
	Mix       bool

	// MVLPT's
	Project int `json:"proj_dim"`
	NText   int `json:"n_text"`

	// UPT
	Dropout      bool
	TextPrompt   string     `json:"text_prompt_init"`
	VisualPrompt string     `json:"visual_prompt_init"`
	Drops        [][]string `json:"dropout_masks"`
}

// goldenQuantity is a tensor of golden.safetensors by name, or a summary of a large one.
type goldenQuantity struct {
	Key     string
	Summary bool
	Shape   []int
	L2, Sum float64
	Stride  int
	Every   []float64
}

func (q *goldenQuantity) UnmarshalJSON(raw []byte) error {
	if raw[0] == '"' {
		return json.Unmarshal(raw, &q.Key)
	}
	type plain goldenQuantity
	return json.Unmarshal(raw, (*plain)(q))
}

// promptRig is the toy CLIP of a folder and its images.
type promptRig struct {
	*goldenCase
	clip        *prompt.CLIP
	images      vit.Image
	classes     []string
	train, eval *tensor.Tensor
	labels      []int32
}

func newPromptRig(g *goldenCase, model, inputs string) *promptRig {
	src := g.Model(model)
	arch, err := vit.ArchOf(src, vit.Config{Activation: tensor.QuickGELU})
	if err != nil {
		g.Fatal(err)
	}
	w := nn.NewWeights(g.Dev, src)
	r := &promptRig{goldenCase: g, images: arch.Build(w), train: g.Tensor(inputs, "train_images"),
		eval: g.Tensor(inputs, "eval_images"), labels: g.Ints(inputs, "train_labels")}
	g.DecodeSet("classes", &r.classes)
	f, err := os.Open(g.Path("merges.txt"))
	if err != nil {
		g.Fatal(err)
	}
	defer f.Close()
	tok, err := text.ReadMerges("merges.txt", f)
	if err != nil {
		g.Fatal(err)
	}
	scale := make([]float32, 1)
	if err := src.Read("logit_scale", scale); err != nil {
		g.Fatal(err)
	}
	if err := w.Err(); err != nil {
		g.Fatal(err)
	}
	r.clip = &prompt.CLIP{Device: g.Dev, Image: r.images, Text: g.TextEncoder(model), Tokenizer: tok, Scale: math.Exp(float64(scale[0]))}
	return r
}

// mask puts the masks of the set's rule on the image encoder's weights.
func (r *promptRig) mask() {
	var rule struct {
		Text    string
		Tensors []string
	}
	r.DecodeSet("mask_rule", &rule)
	if !strings.Contains(rule.Text, "(7*i+3*k) mod 11 = 0") {
		r.Refuse("another rule of masks: %s", rule.Text)
	}
	for k, name := range rule.Tensors {
		i := slices.IndexFunc(r.images.Params(), func(p *nn.Param) bool { return p.Name == name })
		p := r.images.Params()[i]
		v := p.Value.Float64s()
		for i := range v {
			if (7*i+3*k)%11 == 0 {
				v[i] = 0
			}
		}
		p.Value.SetFloat64(v)
	}
}

// learner is what a case trains, and what its parameters are to the case's: learner's name and part by the case's name.
func (r *promptRig) learner(c *promptCase) (prompt.Learner, prompt.Recipe) {
	recipe := r.recipe(c)
	coop := prompt.ContextConfig{Context: c.Context, Position: c.Position, Specific: c.CSC, Words: c.Words, Recipe: recipe}
	vpt := prompt.VPTConfig{Prompts: c.N, Depth: 1, First: "raw", Init: "normal", Template: cmp.Or(c.Template, "a photo of a {}."), Recipe: recipe}
	var l prompt.Learner
	var err error
	switch c.Method {
	case "cocoop":
		l, err = prompt.NewCoCoOp(r.clip, r.classes, prompt.CoCoOpConfig{Context: c.Context, Words: c.Words, Recipe: recipe})
	case "vpt_upt":
		if vpt.Prompts, vpt.Depth = c.PerLayer, 0; strings.HasPrefix(c.Kind, "vpt_upt_shallow") {
			vpt.Prompts, vpt.Depth, vpt.First = cmp.Or(c.PerLayer, c.N), 1, "ln_pre"
		}
		l, err = prompt.NewVPT(r.clip, r.classes, vpt)
	case "vpt_maple":
		vpt.Depth, vpt.First = c.Depth, "ln_pre"
		l, err = prompt.NewVPT(r.clip, r.classes, vpt)
	case "vpt_kmnp":
		if vpt.Init = "uniform"; c.Deep {
			vpt.Depth = 0
		}
		l, err = prompt.NewVPT(r.clip, r.classes, vpt)
	case "kgcoop":
		l, err = prompt.NewKgCoOp(r.clip, r.classes, prompt.KgCoOpConfig{Template: c.Template, Weight: c.Weight, ContextConfig: coop})
	case "maple":
		l, err = prompt.NewMaPLe(r.clip, r.classes, prompt.MaPLeConfig{Context: c.Context, Words: c.Words, Depth: c.Depth, Recipe: recipe})
	case "promptsrc":
		l, err = prompt.NewPromptSRC(r.clip, r.classes, prompt.PromptSRCConfig{Context: c.Context, Words: c.Words, Prompts: c.N, TextDepth: 2, ImageDepth: 2,
			TextWeight: 25, ImageWeight: 10, Mean: 1, Deviation: 1, Templates: c.Templates, Recipe: recipe})
	case "upt_mvlpt":
		l, err = prompt.NewMVLPT(r.clip, r.classes, prompt.MVLPTConfig{Context: cmp.Or(c.NText, c.Context), Position: cmp.Or(c.Position, "end"), Prompts: cmp.Or(c.N, c.Parameters["vpt_embeddings"][1]),
			Deep: c.Parameters["vpt_embeddings_deep"] != nil, Project: c.Project, Mix: c.Mix, Recipe: recipe})
	case "upt":
		upt := prompt.UPTConfig{Prompts: c.Parameters["uni_ctx"][1] / 2, Mix: c.Mix, Recipe: recipe}
		if c.Dropout {
			upt.Dropout = 0.1
		}
		var u *prompt.UPT
		if u, err = prompt.NewUPT(r.clip, r.classes, upt); err == nil && c.Dropout {
			u.Keep = func(step, pass, place int) []bool { return r.flags(c.Drops[step][4*pass+place]) }
		}
		l = u
	case "coop":
		l, err = prompt.NewCoOp(r.clip, r.classes, coop)
	case "prograd":
		l, err = prompt.NewProGrad(r.clip, r.classes, prompt.ProGradConfig{Template: c.Template, Lambda: c.Lambda, Temperature: c.T,
			FromWords: c.FromTemplate, ContextConfig: coop})
	}
	if err != nil {
		r.Fatal(err)
	}
	return l, recipe
}

// recipe is the case's optimizer; what is not CoOp's is refused.
func (r *promptRig) recipe(c *promptCase) prompt.Recipe {
	o := prompt.DefaultCoOp("caltech101", 16, false).Recipe
	for k, v := range c.Optim {
		switch f, _ := v.(float64); k {
		case "LR":
			o.LR = f
		case "MOMENTUM":
			o.Momentum = f
		case "WEIGHT_DECAY":
			o.Decay = f
		case "MAX_EPOCH":
			o.Epochs = int(f)
		case "WARMUP_EPOCH":
			o.Warmup = int(f)
		case "WARMUP_CONS_LR":
			o.WarmupLR = f
		case "NAME", "SGD_NESTEROV", "SGD_DAMPNING", "LR_SCHEDULER", "WARMUP_TYPE", "WARMUP_RECOUNT":
			if want := map[string]any{"NAME": "sgd", "SGD_NESTEROV": false, "SGD_DAMPNING": 0.0, "LR_SCHEDULER": "cosine",
				"WARMUP_TYPE": "constant", "WARMUP_RECOUNT": true}[k]; v != want {
				r.Refuse("optimizer with %s %v", k, v)
			}
		default:
			r.Refuse("optimizer with %s %v", k, v)
		}
	}
	o.Batch = c.Batch
	return o
}

// tolerances are those of the sets' READMEs, in units of the largest entry.
func (g *goldenCase) near(what string, got, want []float64, ref, cpu float64) {
	g.Helper()
	allowed := cpu
	if g.Device == "ref" {
		allowed = ref
	}
	if len(got) != len(want) {
		g.Fatalf("%s: %d numbers, want %d", what, len(got), len(want))
	}
	largest := 0.0
	for _, v := range want {
		largest = max(largest, math.Abs(v))
	}
	off := farthest(got, want)
	if largest > 0 {
		off /= largest
	}
	g.Within(what, off, allowed)
}

// quantity compares a tensor with one of the set.
func (g *goldenCase) quantity(what string, q goldenQuantity, got []float64, ref, cpu float64) {
	g.Helper()
	if !q.Summary {
		g.near(what, got, g.Tensor("golden.safetensors", q.Key).Float64s(), ref, cpu)
		return
	}
	var every []float64
	for i := range q.Every {
		every = append(every, got[i*q.Stride])
	}
	// The JSON has 12 digits. A sum is of terms as large as the tensor's entries are.
	g.near(what+" entries", every, q.Every, ref, cpu)
	g.near(what+" norm", []float64{norm(got)}, []float64{q.L2}, ref, cpu)
	g.Within(what+" sum", math.Abs(sum(got)-q.Sum)/(q.L2*math.Sqrt(float64(len(got)))), map[string]float64{"ref": ref, "cpu": cpu}[g.Device])
}

const (
	exactNumbers, exactTensors, exactFirst = 1e-9, 3e-7, 1e-6
	looseNumbers, looseGradients           = 1e-4, 1e-3
)

func goldenPrompts(g *goldenCase) {
	var c promptCase
	g.Decode(&c)
	r := newPromptRig(g, "model.safetensors", "inputs.safetensors")
	if c.Masked {
		r.mask()
	}
	r.run(&c)
}

// run makes the learner of a case and its steps.
func (r *promptRig) run(c *promptCase) {
	l, recipe := r.learner(c)
	r.steps(c, l, recipe)
}

// steps makes the ten steps.
func (r *promptRig) steps(c *promptCase, l prompt.Learner, recipe prompt.Recipe) {
	params := map[string]*tensor.Tensor{}
	for _, g := range l.Groups() {
		for _, p := range g.Params {
			params[p.Name] = p.Value
		}
	}
	start := map[string][]float64{} // by the case's names
	for name := range c.Parameters {
		start[name] = r.Tensor("golden.safetensors", c.Tensors[name]["init"].Key).Float64s()
	}
	if c.Words != "" && params["ctx"] != nil || c.FromTemplate {
		r.near("init", params["ctx"].Float64s(), start["ctx"], 0, 0)
	}
	for name, v := range c.ours(start, false) {
		if params[name] == nil {
			r.Fatalf("%s is not trained", name)
		}
		params[name].SetFloat64(v)
	}
	if got, want := slices.Sorted(maps.Keys(c.ours(values(params), true))), slices.Sorted(maps.Keys(c.Parameters)); !slices.Equal(got, want) {
		r.Fatalf("trained are %v, want %v", got, want)
	}
	r.near("eval_before", r.logits(l, r.classes), slices.Concat(c.EvalBefore...), exactNumbers, looseNumbers)
	var single []float64
	for i := range c.single {
		single = append(single, r.logitsOf(l, r.classes, r.eval.Rows(i, i+1))...)
	}
	if len(single) > 0 {
		r.near("eval_before_single", single, slices.Concat(c.single...), exactNumbers, looseNumbers)
	}
	trainer := train.New(r.Dev, l, tensor.NewKey(1), 0)
	defer trainer.Release()
	schedule := recipe.Schedule()
	for step := range c.LR {
		lr := schedule(step / 2)
		r.near("lr", []float64{lr}, c.LR[step:step+1], 1e-11, 1e-11)
		lo := step % 2 * c.Batch
		images, labels := r.train.Rows(lo, lo+c.Batch), r.labels[lo:lo+c.Batch]
		if step == 0 {
			r.first(c, l, trainer, images, labels)
		}
		s, err := trainer.Step(context.Background(), images, labels, lr)
		if err != nil {
			r.Fatal(err)
		}
		if c.Ill != nil && step > 0 { // a distillation gradient of rounding noise has been normalised
			r.Logf("the first step is compared alone, without its projected gradient: %v", c.Ill)
			return
		}
		if c.Loss != nil {
			r.near("loss", []float64{s.Loss}, c.Loss[step:step+1], exactNumbers, looseNumbers)
		} else {
			r.near("loss_ce", []float64{s.Loss}, c.LossCE[step:step+1], exactNumbers, looseNumbers)
			r.near("loss_kd", []float64{s.Distill}, c.LossKD[step:step+1], exactNumbers, looseNumbers)
		}
		if c.Ill != nil {
			continue
		}
		for name, moved := range c.ours(values(params), true) {
			for i := range moved {
				moved[i] -= start[name][i]
			}
			switch q := c.Tensors[name]; {
			case step == 0 && r.Device == "ref": // in float32 it is a difference of nearly equal numbers
				r.quantity("delta1 "+name, q["delta1"], moved, exactFirst, 0)
			case step == 2 && len(q["delta3"].Key) > 0:
				r.quantity("delta3 "+name, q["delta3"], moved, exactTensors, looseGradients)
			case step == 9:
				r.quantity("delta10 "+name, q["delta10"], moved, exactTensors, looseGradients)
			}
		}
	}
	r.near("eval_after", r.logits(l, r.classes), slices.Concat(c.EvalAfter...), exactNumbers, looseNumbers)
	if c.EvalNew != nil {
		var names []string
		r.DecodeSet("new_classes", &names)
		r.near("eval_new_after", r.logits(l, names), slices.Concat(c.EvalNew...), exactNumbers, looseNumbers)
	}
}

// first compares the first gradients.
func (r *promptRig) first(c *promptCase, l prompt.Learner, trainer *train.Trainer, images *tensor.Tensor, labels []int32) {
	_, lanes, err := trainer.Gradients(context.Background(), images, labels)
	if err != nil {
		r.Fatal(err)
	}
	i, grads := 0, map[string][]float64{}
	for _, g := range l.Groups() {
		for _, p := range g.Params {
			q, a, b := c.Tensors[p.Name], lanes[i][0], lanes[i][1]
			i++
			grad := a.Float64s()
			if b != nil {
				r.quantity("grad1_ce "+p.Name, q["grad1_ce"], grad, exactTensors, looseGradients)
				if c.Ill != nil {
					return
				}
				r.quantity("grad1_kd "+p.Name, q["grad1_kd"], b.Float64s(), exactTensors, looseGradients)
				x, sgd := r.Dev.Zeros(tensor.Full, p.Value.Shape()...), optim.NewSGD(0, 0)
				sgd.Tick(1)
				g.Rule.Apply(sgd, x, a, b, tensor.NewKey(1)) // from zeros, so what is left is the gradient with another sign
				grad = x.Float64s()
				for i := range grad {
					grad[i] = -grad[i]
				}
			}
			grads[p.Name] = grad
		}
	}
	for name, grad := range c.ours(grads, true) {
		r.quantity("grad1 "+name, c.Tensors[name]["grad1"], grad, exactTensors, looseGradients)
	}
}

// ours maps values of parameters by the case's names to those of the learner's, or back. They differ for visual
// prompts alone, of which the learner has all layers in one tensor.
func (c *promptCase) ours(v map[string][]float64, back bool) map[string][]float64 {
	if c.Method == "plotpp" {
		const prefix = "prompt_learner."
		named := map[string][]float64{}
		for name, x := range v {
			if back {
				named[prefix+name] = x
			} else {
				named[strings.TrimPrefix(name, prefix)] = x
			}
		}
		return named
	}
	if c.Method == "upt_mvlpt" && c.Parameters["vpt_embeddings_deep"] != nil { // the learner has all layers in one tensor
		const first, deep = "vpt_embeddings", "vpt_embeddings_deep"
		w := maps.Clone(v)
		if n := tensor.Len(c.Parameters[first]); back {
			w[first], w[deep] = v[first][:n], v[first][n:]
		} else {
			w[first] = slices.Concat(v[first], v[deep])
			delete(w, deep)
		}
		return w
	}
	if !strings.HasPrefix(c.Method, "vpt_") {
		return v
	}
	var names []string // of the parts, in the order of layers
	switch c.Method {
	case "vpt_upt":
		names = []string{"visual_ctx"}
	case "vpt_maple":
		names = []string{"image_encoder.VPT"}
		for i := 1; i < c.Depth; i++ {
			names = append(names, fmt.Sprintf("image_encoder.transformer.resblocks.%d.VPT_shallow", i))
		}
	case "vpt_kmnp":
		if names = []string{"vpt_embeddings"}; c.Deep {
			names = append(names, "vpt_embeddings_deep")
		}
	}
	if !back {
		var all []float64
		for _, name := range names {
			all = append(all, v[name]...)
		}
		return map[string][]float64{"visual_ctx": c.interleave(all, false)}
	}
	all, parts := c.interleave(v["visual_ctx"], true), map[string][]float64{}
	for _, name := range names {
		n := min(tensor.Len(c.Parameters[name]), len(all))
		parts[name], all = all[:n], all[n:]
	}
	return parts
}

// interleave brings rows from the order of UPT's authors, where token j of layer i is row j·layers + i, to that of
// layers, or back.
func (c *promptCase) interleave(v []float64, back bool) []float64 {
	if c.Method != "vpt_upt" || strings.HasPrefix(c.Kind, "vpt_upt_shallow") {
		return slices.Clone(v)
	}
	w := make([]float64, len(v))
	row := len(v) / (c.Layers * c.PerLayer)
	for i := range c.Layers {
		for j := range c.PerLayer {
			ours, theirs := (i*c.PerLayer+j)*row, (j*c.Layers+i)*row
			if back {
				copy(w[theirs:theirs+row], v[ours:])
			} else {
				copy(w[ours:ours+row], v[theirs:])
			}
		}
	}
	return w
}

// flags are a tensor of zeros and ones.
func (g *goldenCase) flags(name string) []bool {
	f, _ := g.entry("golden.safetensors", name)
	b, err := f.ReadBytes(name)
	if err != nil {
		g.Fatal(err)
	}
	keep := make([]bool, len(b))
	for i := range b {
		keep[i] = b[i] != 0
	}
	return keep
}

// logits are those of the evaluation images as one batch.
func (r *promptRig) logits(l prompt.Learner, classes []string) []float64 {
	return r.logitsOf(l, classes, r.eval)
}

func (r *promptRig) logitsOf(l prompt.Learner, classes []string, images *tensor.Tensor) []float64 {
	c, release, err := l.Classifier(classes)
	if err != nil {
		r.Fatal(err)
	}
	defer release()
	return value(r.Dev, func(t *autograd.Tape) *autograd.Var { return c.Logits(t.Const(images)) })
}

func values(params map[string]*tensor.Tensor) map[string][]float64 {
	all := map[string][]float64{}
	for name, x := range params {
		all[name] = x.Float64s()
	}
	return all
}
