package prompt

import (
	"fmt"
	"strings"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/vit"
)

// TransportConfig are the settings of matching by optimal transport.
type TransportConfig struct {
	Eps       float64 `json:"eps"` // of the entropy
	Most      int     `json:"iterations"`
	Threshold float64 `json:"threshold"` // of how far the rows' factors move in the mean
	// Stop says which mean: "pair" stops each image and class by itself, so that no image's logits depend on others'; "batch" stops all
	// at once, as the released program does.
	Stop string `json:"stop"`
}

func defaultTransport() TransportConfig {
	return TransportConfig{Eps: 0.1, Most: 100, Threshold: 0.01, Stop: "pair"}
}

// Validate reports the first setting that makes no sense.
func (c TransportConfig) Validate() error {
	switch {
	case !(c.Eps >= tensor.LeastEps):
		return fmt.Errorf("eps %g: at least %g, for whose factors numbers have room", c.Eps, tensor.LeastEps)
	case c.Most < 1:
		return fmt.Errorf("%d iterations: at least 1", c.Most)
	case !(c.Threshold >= 0):
		return fmt.Errorf("threshold %g must not be negative", c.Threshold)
	}
	return oneOf("stop", c.Stop, "pair", "batch")
}

// WholeBatch makes the settings [method.Whole]: what stops by the mean over a batch would stop by that over a part.
func (c TransportConfig) WholeBatch() bool { return c.Stop == "batch" }

func (c TransportConfig) options() tensor.SinkhornOptions {
	return tensor.SinkhornOptions{Eps: c.Eps, Most: c.Most, Threshold: c.Threshold, Together: c.Stop == "batch"}
}

// PLOTConfig are the settings of PLOT.
type PLOTConfig struct {
	Contexts int  `json:"contexts"` // of each class
	Pooled   bool `json:"pooled"`   // the global feature's cosine is added
	TransportConfig
	ContextConfig
}

// DefaultPLOT has the published settings: 4 contexts of 16 vectors, batches of 128 but on three data sets. The global feature is looked at
// on ImageNet alone.
func DefaultPLOT(dataset string, shots int) PLOTConfig {
	c := PLOTConfig{Contexts: 4, Pooled: dataset == "imagenet", TransportConfig: defaultTransport(), ContextConfig: DefaultCoOp(dataset, shots, false)}
	switch dataset {
	case "oxford_flowers", "fgvc_aircraft", "stanford_cars":
	default:
		c.Batch = 128
	}
	return c
}

// Validate reports the first setting that makes no sense.
func (c PLOTConfig) Validate() error {
	switch {
	case c.Contexts < 1:
		return fmt.Errorf("%d contexts: at least 1", c.Contexts)
	case c.Specific:
		return fmt.Errorf("PLOT's contexts are shared by all classes: class-specific ones fail in the published program")
	case c.Words != "" && c.Contexts > 1:
		return fmt.Errorf("%d contexts that start from the same words stay the same; drop -words, or ask for one context", c.Contexts)
	}
	if err := c.TransportConfig.Validate(); err != nil {
		return err
	}
	return c.ContextConfig.Validate()
}

// local is an image encoder that gives all tokens' features.
type local interface {
	EncodeTokens(images *autograd.Var) *autograd.Var
}

// PLOT learns several contexts, whose class features are matched with an image's local ones by optimal transport: a logit is the scale times
// the sum of cosines, weighed by the plan, which is a constant for the gradient. Its parameter is ctx [N, n, Width].
//
// A transformer's local features are what ln_post and the projection make of its patches. The authors have PLOT on ResNets alone.
type PLOT struct {
	train.Base
	clip    *CLIP
	image   local
	config  PLOTConfig
	classes []string
	context promptContext
	texts   *texts
	ctx     *nn.Param
	groups  []train.Group
	head    matching // of the sweep that is being recorded
}

// NewPLOT starts contexts for classes.
func NewPLOT(m *CLIP, classes []string, c PLOTConfig) (*PLOT, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	image, ok := m.Image.(local)
	if !ok {
		return nil, fmt.Errorf("plot looks at local features, and this image encoder gives none")
	}
	l := &PLOT{clip: m, image: image, config: c, classes: classes, context: newContext(c.Context, c.Position, false)}
	if c.Words != "" {
		l.context = l.context.of(c.Words)
		x, err := l.context.embeddings(m)
		if err != nil {
			return nil, err
		}
		l.ctx = &nn.Param{Name: "ctx", Value: x.View(1, c.Context, m.Text.Width)}
	} else {
		l.ctx = m.normal(c.Seed, "plot", "ctx", c.Contexts, c.Context, m.Text.Width)
	}
	var err error
	if l.texts, err = l.layout(classes); err != nil {
		l.ctx.Value.Release()
		return nil, err
	}
	l.groups = c.group(nil, l.ctx)
	return l, nil
}

// layout has the prompts of all classes for one context after the other.
func (l *PLOT) layout(classes []string) (*texts, error) {
	prompts, shared, err := l.context.prompts(l.clip, classes)
	if err != nil {
		return nil, err
	}
	return newTexts(l.clip.Text, families(prompts, shared, l.config.Contexts, l.context.vectors), chunkRows), nil
}

// families are the same prompts for several contexts, which follow each other among the vectors.
func families(prompts []prompt, shared, contexts, vectors int) (all []family) {
	for j := range contexts {
		f := family{shared: shared}
		for _, p := range prompts {
			f.prompts = append(f.prompts, p.shift(j*vectors))
		}
		all = append(all, f)
	}
	return all
}

func (l *PLOT) beside() []*tensor.Tensor { return nil }

// Groups are the contexts.
func (l *PLOT) Groups() []train.Group { return l.groups }

// Plan has one loss.
func (l *PLOT) Plan() train.Plan { return train.Plan{Classes: len(l.classes), Lanes: 1} }

// Shared computes the class features.
func (l *PLOT) Shared(t *autograd.Tape) {
	l.head = l.matching(l.texts.features(t, rows(l.ctx.On(t))))
}

func (l *PLOT) matching(features *autograd.Var) matching {
	return newMatching(features, l.config.Contexts, l.config.Pooled, l.clip.Scale, l.config.TransportConfig)
}

// Losses are the cross-entropy.
func (l *PLOT) Losses(t *autograd.Tape, p train.Part) ([]*autograd.Var, *autograd.Var) {
	logits := l.logits(t.Const(p.Images), l.head)
	return []*autograd.Var{autograd.CrossEntropy(logits, p.Labels)}, logits
}

func (l *PLOT) logits(images *autograd.Var, h matching) *autograd.Var {
	t := images.Tape()
	x := t.Scope(func() *autograd.Var { return l.image.EncodeTokens(images) }) // [B, 1+M, Embed]
	return h.logits(autograd.Tokens(x, 1, x.Shape()[1]), autograd.FirstToken(x))
}

// Classifier puts the contexts before other names.
func (l *PLOT) Classifier(classes []string) (train.Classifier, func(), error) {
	texts, err := l.layout(classes)
	if err != nil {
		return nil, nil, err
	}
	features := frozen(l.clip.Device, func(t *autograd.Tape) *autograd.Var { return texts.features(t, rows(t.Const(l.ctx.Value))) })
	return classifier(func(images *autograd.Var) *autograd.Var {
		return l.logits(images, l.matching(images.Tape().Const(features)))
	}), features.Release, nil
}

// classifier is one by a function.
type classifier func(images *autograd.Var) *autograd.Var

// Logits calls it.
func (f classifier) Logits(images *autograd.Var) *autograd.Var { return f(images) }

// matching is a head of N features a class.
type matching struct {
	each, pooled *autograd.Var // [N·C, Embed], context by context, and their means [C, Embed]; of length 1
	n            int
	scale        float64
	config       TransportConfig
}

func newMatching(features *autograd.Var, n int, pooled bool, scale float64, c TransportConfig) matching {
	h := matching{each: autograd.L2Normalize(features), n: n, scale: scale, config: c}
	if pooled { // a mean's length does not matter, so a sum will do
		h.pooled = autograd.L2Normalize(sums(features, n))
	}
	return h
}

// sums adds up the n parts of x [n·r, w]: [r, w].
func sums(x *autograd.Var, n int) *autograd.Var {
	r := x.Shape()[0] / n
	sum := autograd.Rows(x, 0, r)
	for j := 1; j < n; j++ {
		sum = autograd.Add(sum, autograd.Rows(x, j*r, (j+1)*r))
	}
	return sum
}

// logits are [B, C], for local features [B, M, Embed] and a global one [B, Embed].
func (h matching) logits(local, global *autograd.Var) *autograd.Var {
	b, m, c := local.Shape()[0], local.Shape()[1], h.each.Shape()[0]/h.n
	s := autograd.Linear(autograd.L2Normalize(local), h.each, nil) // [B, M, N·C]
	z := autograd.Transport(autograd.Reshape(s, b, m, h.n, c), h.config.options())
	if h.pooled != nil {
		z = autograd.Add(z, autograd.Linear(autograd.L2Normalize(global), h.pooled, nil))
	}
	return autograd.Scale(z, h.scale)
}

// PLOTPlusConfig are the settings of a stage of PLOT++.
type PLOTPlusConfig struct {
	// Stage is "vision", which learns tokens of images beside contexts that stay at their words, "joint", which learns both, or "both", which
	// is one after the other: each has all epochs, their rates, and an optimizer without momentum to begin with.
	Stage     string   `json:"stage"`
	Templates []string `json:"templates"` // a context each; without {}, as "a photo of a"
	Sets      int      `json:"sets"`      // of tokens: as often an image is encoded
	Prompts   int      `json:"prompts"`   // tokens of a set
	TransportConfig
	Recipe
}

// plotTemplates are the released program's, in which the third for ImageNet is a word short: it has the usual four here.
var plotTemplates = map[string][]string{
	"":               {"a photo of a", "this is a photo", "this is picture of", "one picture of a"},
	"dtd":            {"a photo of a texture", "this is a photo texture", "this is a picture texture", "one picture of a texture"},
	"eurosat":        {"a centered satellite photo of", "a centered satellite picture of", "this is centered satellite photo of", "one centered satellite photo of a"},
	"fgvc_aircraft":  {"a photo of an aircraft", "a picture of an aircraft", "this is aircraft picture of", "one picture of an aircraft"},
	"food101":        {"a photo of a food", "this is a food photo", "this is food picture of", "one picture of a food"},
	"oxford_flowers": {"a photo of a flower", "one picture of a flower", "this is flower picture of", "one picture of a flower"},
	"oxford_pets":    {"a photo of a pet", "one picture of a pet", "this is pet picture of", "one picture of a pet"},
	"ucf101":         {"a photo of a person doing", "this is a photo people doing", "this is picture of people doing", "one picture of a person doing"},
}

// DefaultPLOTPlus has the published settings.
func DefaultPLOTPlus(stage, dataset string, shots int) PLOTPlusConfig {
	c := PLOTPlusConfig{Stage: stage, Sets: 4, Prompts: 2, Templates: plotTemplates[dataset], TransportConfig: defaultTransport(), Recipe: coopRecipe(dataset, shots)}
	if c.Templates == nil {
		c.Templates = plotTemplates[""]
	}
	return c
}

// Validate reports the first setting that makes no sense.
func (c PLOTPlusConfig) Validate() error {
	if err := oneOf("stage", c.Stage, "both", "vision", "joint"); err != nil {
		return err
	}
	if c.Sets < 1 || c.Prompts < 1 {
		return fmt.Errorf("%d sets of %d visual prompts: at least one of each", c.Sets, c.Prompts)
	}
	if len(c.Templates) == 0 {
		return fmt.Errorf("no template: each of the contexts starts from one")
	}
	for _, t := range c.Templates {
		if n := len(strings.Fields(c.Templates[0])); len(strings.Fields(t)) < n || n == 0 {
			return fmt.Errorf("template %q has %d words and the first one, which says how many vectors a context has, %d: with fewer the class name would lose its beginning",
				t, len(strings.Fields(t)), n)
		}
	}
	if err := c.TransportConfig.Validate(); err != nil {
		return err
	}
	return c.Recipe.Validate()
}

// Total is how many epochs all stages have.
func (c PLOTPlusConfig) Total() int {
	if c.Stage == "both" {
		return 2 * c.Epochs
	}
	return c.Epochs
}

// Schedule is the learning rate by epoch, of all stages.
func (c PLOTPlusConfig) Schedule() optim.Schedule {
	s := c.Recipe.Schedule()
	return func(epoch int) float64 { return s(epoch % c.Epochs) }
}

// PLOTPlus is PLOT++: in place of local features an image has as many global ones as there are sets of tokens in its encoder,
// each joined before ln_pre. In the stage "vision" the cosine of their mean is added. Its parameters are ctx [N, n, Width], but for that
// stage alone, and ctx_vision [sets, n, width].
type PLOTPlus struct {
	train.Base
	clip    *CLIP
	image   *vit.Encoder
	config  PLOTPlusConfig
	classes []string
	texts   *texts
	ctx     *nn.Param
	vision  *nn.Param
	frozen  *tensor.Tensor // class features, where contexts stay; nil otherwise
	joint   *tensor.Tensor // 1 in the stage of that name, else 0
	second  bool           // the same, on the host
	groups  []train.Group
	head    matching // of the sweep that is being recorded
	sets    []vit.Prompts
}

// NewPLOTPlus starts a stage.
func NewPLOTPlus(m *CLIP, classes []string, c PLOTPlusConfig) (*PLOTPlus, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	image, err := m.transformer("plot++")
	if err != nil {
		return nil, err
	}
	l := &PLOTPlus{clip: m, image: image, config: c, classes: classes}
	if l.texts, err = l.layout(classes); err != nil {
		return nil, err
	}
	n := len(strings.Fields(c.Templates[0]))
	l.ctx = m.constant("ctx", 0, len(c.Templates), n, m.Text.Width)
	for j, t := range c.Templates {
		x, err := newContext(n, "end", false).of(t).embeddings(m)
		if err != nil {
			l.ctx.Value.Release()
			return nil, err
		}
		tensor.Copy(l.ctx.Value.Index(j), x)
		x.Release()
	}
	l.vision = m.normal(c.Seed, "plot++", "ctx_vision", c.Sets, c.Prompts, image.Width)
	l.joint = m.Device.Zeros(tensor.Full)
	l.groups = c.group(nil, l.vision)
	if c.Stage != "vision" {
		l.groups = append(l.groups, c.group(nil, l.ctx)...)
	}
	if c.Stage == "joint" {
		tensor.Fill(l.joint, 1)
	} else {
		l.frozen = frozen(m.Device, func(t *autograd.Tape) *autograd.Var { return l.texts.features(t, rows(t.Const(l.ctx.Value))) })
	}
	l.Restored()
	return l, nil
}

// Contexts are the text contexts [N, n, Width], which the first stage leaves as they are.
func (l *PLOTPlus) Contexts() *tensor.Tensor { return l.ctx.Value }

// layout has the prompts of all classes for one template after the other: what of its tokens are no vectors may differ.
func (l *PLOTPlus) layout(classes []string) (*texts, error) {
	n := len(strings.Fields(l.config.Templates[0]))
	var all []family
	for j, t := range l.config.Templates {
		prompts, shared, err := newContext(n, "end", false).of(t).prompts(l.clip, classes)
		if err != nil {
			return nil, err
		}
		all = append(all, family{shared, nil})
		for _, p := range prompts {
			all[j].prompts = append(all[j].prompts, p.shift(j*n))
		}
	}
	return newTexts(l.clip.Text, all, chunkRows), nil
}

func (l *PLOTPlus) beside() []*tensor.Tensor {
	all := []*tensor.Tensor{l.joint}
	if l.frozen != nil {
		all = append(all, l.frozen)
	}
	if l.config.Stage == "vision" {
		all = append(all, l.ctx.Value)
	}
	return all
}

// Groups are what the stage trains.
func (l *PLOTPlus) Groups() []train.Group { return l.groups }

// Plan has one loss. Contexts rest in the first of two stages.
func (l *PLOTPlus) Plan() train.Plan {
	p := train.Plan{Classes: len(l.classes), Lanes: 1}
	if len(l.groups) > 1 && !l.second {
		p.Rests = 1 << 1
	}
	return p
}

// EndEpoch goes over to the second stage.
func (l *PLOTPlus) EndEpoch(epoch int) {
	if l.config.Stage == "both" && epoch+1 == l.config.Epochs {
		l.finished()
		for _, s := range l.groups[0].Optimizer.State(l.vision.Value) {
			tensor.Fill(s.Tensor, 0)
		}
	}
}

// finished puts the learner into its last stage, in which what was learned is used.
func (l *PLOTPlus) finished() {
	if l.config.Stage != "vision" {
		tensor.Fill(l.joint, 1)
		l.second = true
	}
}

// State is whether the second stage has begun.
func (l *PLOTPlus) State() []optim.Named { return []optim.Named{{Name: "joint", Tensor: l.joint}} }

// Restored finds out which stage it is.
func (l *PLOTPlus) Restored() { l.second = l.joint.Item() != 0 }

// Shared computes the class features, where they change, and the tokens.
func (l *PLOTPlus) Shared(t *autograd.Tape) {
	l.sets = l.tokens(l.vision.On(t))
	if !l.second {
		l.head = l.matching(t.Const(l.frozen))
	} else {
		l.head = l.matching(l.texts.features(t, rows(l.ctx.On(t))))
	}
}

func (l *PLOTPlus) matching(features *autograd.Var) matching {
	return newMatching(features, len(l.config.Templates), !l.second, l.clip.Scale, l.config.TransportConfig)
}

func (l *PLOTPlus) tokens(v *autograd.Var) (sets []vit.Prompts) {
	for i := range l.config.Sets {
		sets = append(sets, vit.Prompts{Input: layer(v, i)})
	}
	return sets
}

// Losses are the cross-entropy.
func (l *PLOTPlus) Losses(t *autograd.Tape, p train.Part) ([]*autograd.Var, *autograd.Var) {
	logits := l.logits(t.Const(p.Images), l.sets, l.head)
	return []*autograd.Var{autograd.CrossEntropy(logits, p.Labels)}, logits
}

func (l *PLOTPlus) logits(images *autograd.Var, sets []vit.Prompts, h matching) *autograd.Var {
	b, n := images.Shape()[0], len(sets)
	var all []*autograd.Var
	for _, p := range sets {
		all = append(all, l.image.EncodeWith(images, p))
	}
	stacked := autograd.JoinTokens(all...) // [sets·B, Embed]
	order := make([]int32, 0, n*b)         // by image
	for i := range b {
		for k := range n {
			order = append(order, int32(k*b+i))
		}
	}
	local := autograd.Reshape(autograd.TakeRows(stacked, order), b, n, l.clip.Text.Embed)
	return h.logits(local, sums(stacked, n))
}

// Classifier puts the contexts before other names.
func (l *PLOTPlus) Classifier(classes []string) (train.Classifier, func(), error) {
	texts, err := l.layout(classes)
	if err != nil {
		return nil, nil, err
	}
	features := frozen(l.clip.Device, func(t *autograd.Tape) *autograd.Var { return texts.features(t, rows(t.Const(l.ctx.Value))) })
	return classifier(func(images *autograd.Var) *autograd.Var {
		t := images.Tape()
		return l.logits(images, l.tokens(t.Const(l.vision.Value)), l.matching(t.Const(features)))
	}), features.Release, nil
}
