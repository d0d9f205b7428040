package adapter

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

// LoRAConfig are the settings of CLIP-LoRA.
type LoRAConfig struct {
	Encoder    string   `json:"encoder"` // vision, text or both
	Params     []string `json:"params"`  // of q, k, v and o, the projections that get a path, in every block
	Rank       int      `json:"rank"`
	Alpha      float64  `json:"alpha"`       // what a path says counts by alpha/√rank
	Dropout    float64  `json:"dropout"`     // of the paths' inputs
	LogitScale float64  `json:"logit_scale"` // what cosines are multiplied by; 0 for what the model does
	Iterations int      `json:"iterations"`
	LR         float64  `json:"lr"`
	LeastLR    float64  `json:"least_lr"` // where the cosine ends
	Decay      float64  `json:"weight_decay"`
	Batch      int      `json:"batch"`
	Seed       uint64   `json:"seed"`
}

// DefaultLoRA has the published settings, which are the same for all data sets.
func DefaultLoRA(shots int) LoRAConfig {
	return LoRAConfig{Encoder: "both", Params: []string{"q", "k", "v"}, Rank: 2, Alpha: 1, Dropout: 0.25, LogitScale: 100, Iterations: 500 * max(shots, 1),
		LR: 2e-4, LeastLR: 1e-6, Decay: 0.01, Batch: 32, Seed: 1}
}

// LoRAEncoders are what LoRAConfig.Encoder may be.
func LoRAEncoders() []string { return []string{"vision", "text", "both"} }

// projections are those of attention by their letter: the names of their paths, and which third of the packed input projection they are.
var projections = map[string]struct {
	name  string
	third int
}{"q": {"q_proj", 0}, "k": {"k_proj", 1}, "v": {"v_proj", 2}, "o": {"proj", -1}}

// Validate reports the first setting that makes no sense.
func (c LoRAConfig) Validate() error {
	if !slices.Contains(LoRAEncoders(), c.Encoder) {
		return fmt.Errorf("encoder %q: there are %s", c.Encoder, strings.Join(LoRAEncoders(), ", "))
	}
	if len(c.Params) == 0 {
		return fmt.Errorf("clip-lora has no projection to change: of q, k, v and o at least one")
	}
	for i, p := range c.Params {
		if _, ok := projections[p]; !ok {
			return fmt.Errorf("projection %q: there are q, k, v and o", p)
		}
		if slices.Contains(c.Params[:i], p) {
			return fmt.Errorf("projection %q is named twice", p)
		}
	}
	switch {
	case c.Rank < 1:
		return fmt.Errorf("rank %d: at least 1", c.Rank)
	case c.Alpha == 0 || math.IsNaN(c.Alpha) || math.IsInf(c.Alpha, 0):
		return fmt.Errorf("alpha %g: a path needs a factor other than 0", c.Alpha)
	case !(c.Dropout >= 0 && c.Dropout < 1):
		return fmt.Errorf("dropout %g must lie in [0, 1)", c.Dropout)
	case !(c.LogitScale >= 0) || math.IsInf(c.LogitScale, 0):
		return fmt.Errorf("logit scale %g: cosines are multiplied by a number above 0, or with 0 by the model's own", c.LogitScale)
	case !(c.LeastLR >= 0 && c.LeastLR <= c.LR):
		return fmt.Errorf("the learning rate goes from %g to %g, which must be no more and not negative", c.LR, c.LeastLR)
	}
	return validate(c.Iterations, c.LR, c.Decay, c.Batch)
}

// Schedule is the learning rate by step.
func (c LoRAConfig) Schedule() optim.Schedule { return optim.CosineTo(c.LR, c.LeastLR, c.Iterations) }

// LoRA is CLIP-LoRA (Zanella and Ben Ayed, CVPRW 2024): beside projections W of the attention of one or both encoders stand paths of
// low rank,
//
//	y = W·x + b + alpha/√rank·B·A·drop(x)
//
// of which A begins at random and B at zero. The encoders do not know of it. With the text encoder among them, the classes' prompts go
// through it at every step, each class by one template.
//
// Gradients are exact. The released program's are not where there is no dropout: it takes the path out of the weights again before the
// way back, so that the gradient that a layer hands to those before it lacks the path's part.
type LoRA struct {
	train.Base
	Config LoRAConfig
	Head   train.Head // classes of a frozen text encoder; otherwise only its Scale counts, which is the settings' where they have one
	Key    tensor.Key // of the dropout

	image   vit.Image
	text    *text.Encoder
	prompts [][]int32
	sites   []*site
	group   train.Group

	first, images, batch int            // of the part of a batch that is being computed, and of that
	textRows, textEnds   []int32        // of the part of the prompts: the dropout's rows for the encoder's, and for those that become features
	learning             bool           // features of prompts, of which some are computed twice, the first time without a recording tape
	classes              *autograd.Var  // on the tape that is being recorded
	drawn                *tensor.Tensor // numbers of a path of the image encoder, by token and then by image; nil without
	order                []int32        // its rows by image and then by token, for a batch of so many
}

// site is a weight with its paths.
type site struct {
	weight *nn.Param
	text   bool
	paths  []*path
}

type path struct {
	name    string // <block>.attn.q_proj
	at      int    // column of the packed projection
	a, b    *nn.Param
	uniform *tensor.Tensor // numbers of the dropout, which Begin draws, by image and then by token, or by token and then by class; nil without
}

// NewLoRA puts paths on the encoders, Detach and Release take them off. prompts are the classes', tokenised; where the text encoder is frozen, the
// head has their features.
func NewLoRA(image vit.Image, txt *text.Encoder, prompts [][]int32, head train.Head, c LoRAConfig) (*LoRA, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	l := &LoRA{Config: c, Head: head, image: image, text: txt, prompts: prompts, Key: tensor.NewKey(c.Seed).Name("clip-lora")}
	if c.LogitScale > 0 {
		l.Head.Scale = c.LogitScale
	}
	if c.Encoder != "vision" && txt.CLS && c.Dropout > 0 {
		return nil, fmt.Errorf("clip-lora drops numbers by token, and this text encoder's texts have a token more than their own (CoCa): give -dropout 0, or -encoder vision")
	}
	if c.Encoder != "text" {
		l.attach(image.Params(), false, c.Batch*image.Sizes().Tokens)
		if len(l.sites) == 0 {
			return nil, fmt.Errorf("clip-lora changes the attention of transformers, and this image encoder is none; -encoder text would leave it alone")
		}
		if u := l.sites[0].paths[0].uniform; u != nil {
			l.drawn = u.Device().New(tensor.Full, u.Shape()...)
		}
	}
	if c.Encoder != "vision" {
		var run [][]int32
		if !txt.CLS {
			run, _ = txt.Run(prompts)
		}
		longest := 0
		for _, ids := range run {
			longest = max(longest, len(ids))
		}
		l.attach(txt.Params(), true, len(prompts)*longest)
	}
	l.group.Optimizer = optim.NewAdamW(c.Decay)
	for _, s := range l.sites {
		for _, p := range s.paths {
			l.group.Params = append(l.group.Params, p.a, p.b)
		}
		s.weight.Extend(func(x *autograd.Var) (h, w *autograd.Var) { return l.along(s, x) })
	}
	return l, nil
}

// attach makes the paths of an encoder's blocks, whose attention sees at most so many rows at a time. That of a query which pools tokens,
// as SigLIP has one, is none of theirs.
func (l *LoRA) attach(params []*nn.Param, text bool, rows int) {
	const in, out = ".attn.in_proj_weight", ".attn.out_proj.weight"
	for _, p := range params {
		if !strings.Contains(p.Name, ".resblocks.") {
			continue
		}
		block, input := strings.CutSuffix(p.Name, in)
		if !input {
			var output bool
			if block, output = strings.CutSuffix(p.Name, out); !output {
				continue
			}
		}
		s := &site{weight: p, text: text}
		width := p.Value.Dim(1)
		for _, letter := range l.Config.Params {
			if of := projections[letter]; input == (of.third >= 0) {
				s.paths = append(s.paths, l.path(p.Value.Device(), block+".attn."+of.name, max(of.third, 0)*width, width, rows))
			}
		}
		if len(s.paths) > 0 {
			l.sites = append(l.sites, s)
		}
	}
}

func (l *LoRA) path(dev *tensor.Device, name string, at, width, rows int) *path {
	p := &path{name: name, at: at,
		a: &nn.Param{Name: name + ".w_lora_A", Value: dev.New(tensor.Full, l.Config.Rank, width)},
		b: &nn.Param{Name: name + ".w_lora_B", Value: dev.Zeros(tensor.Full, width, l.Config.Rank)}}
	uniform(p.a.Value, l.Key.Name(p.a.Name), 1/math.Sqrt(float64(width)))
	if l.Config.Dropout > 0 {
		p.uniform = dev.New(tensor.Full, rows, width)
	}
	return p
}

// along is what a site's paths make of an input, in its factors. Where nothing is being learned nothing is dropped.
func (l *LoRA) along(s *site, x *autograd.Var) (h, w *autograd.Var) {
	t, width := x.Tape(), s.weight.Value.Shape()[0]
	var rows []int32
	if l.Config.Dropout > 0 && (t.Recording() || l.learning) {
		rows = l.rows(s.text, x.Value.Len()/x.Value.Dim(1))
	}
	var paths []autograd.Path
	for _, p := range s.paths {
		along := autograd.Path{A: p.a.On(t), B: p.b.On(t), At: p.at}
		if rows != nil {
			along.Drop = &autograd.Dropout{Uniform: p.uniform, Rows: rows, P: l.Config.Dropout}
		}
		paths = append(paths, along)
	}
	return autograd.LowRank(x, width, l.Config.Alpha/math.Sqrt(float64(l.Config.Rank)), paths)
}

// rows says which numbers of the dropout are those of n rows: all tokens of all images or texts, or one of each, the one that becomes
// the feature.
func (l *LoRA) rows(ofText bool, n int) []int32 {
	switch {
	case ofText && n == len(l.textEnds):
		return l.textEnds
	case ofText:
		return l.textRows
	}
	rows, tokens := make([]int32, 0, n), l.image.Sizes().Tokens
	for i := range l.images {
		for j := range n / l.images {
			rows = append(rows, int32((l.first+i)*tokens+j))
		}
	}
	return rows
}

// Groups are all paths.
func (l *LoRA) Groups() []train.Group { return []train.Group{l.group} }

// Plan has one loss.
func (l *LoRA) Plan() train.Plan { return train.Plan{Classes: l.count(), Lanes: 1} }

func (l *LoRA) count() int {
	if l.trainsText() {
		return len(l.prompts)
	}
	return l.Head.Classes.Shape()[0]
}

func (l *LoRA) trainsText() bool { return l.Config.Encoder != "vision" }

// Shared encodes the prompts.
func (l *LoRA) Shared(t *autograd.Tape) {
	if l.classes = nil; l.trainsText() {
		l.learning = true
		l.classes = autograd.L2Normalize(l.encodeText(t))
		l.learning = false
	}
}

// encodeText gives the features of the prompts.
func (l *LoRA) encodeText(t *autograd.Tape) *autograd.Var {
	var trained []*nn.Param
	for _, s := range l.sites {
		for _, p := range s.paths {
			if s.text {
				trained = append(trained, p.a, p.b)
			}
		}
	}
	return l.text.EncodeParts(t, l.prompts, trained, l.encodePart)
}

// encodePart gives those of some. With dropout each text has tokens of its own, though it share its beginning with others.
func (l *LoRA) encodePart(t *autograd.Tape, prompts [][]int32, first int) *autograd.Var {
	if l.Config.Dropout == 0 || !t.Recording() && !l.learning {
		return l.text.Encode(t, prompts)
	}
	run, ends := l.text.Run(prompts)
	lengths := make([]int, len(run))
	for i, p := range run {
		lengths[i] = len(p)
	}
	layout, where := text.Continued(0, lengths)
	ids := make([]int32, layout.Rows())
	l.textRows, l.textEnds = make([]int32, layout.Rows()), make([]int32, len(run))
	number := func(i, j int) int32 { return int32(j*len(l.prompts) + first + i) } // of token j of text i, by token first
	for i, p := range run {
		copy(ids[where[i]:], p)
		for j := range p {
			l.textRows[where[i]+j] = number(i, j)
		}
		l.textEnds[i] = number(i, int(ends[i]))
	}
	if l.text.Full { // all are equally long, and end where they will
		return l.text.EncodeEmbeddings(autograd.Reshape(l.text.Embeddings(t, ids), len(run), l.text.Context, l.text.Width), ends)
	}
	x := t.Scope(func() *autograd.Var { return l.text.Place(l.text.Embeddings(t, ids), layout) })
	return l.text.EncodeRows(x, layout, nn.Prompts{})
}

// Losses are the cross-entropy.
func (l *LoRA) Losses(t *autograd.Tape, p train.Part) ([]*autograd.Var, *autograd.Var) {
	l.first, l.images, l.batch = p.First, len(p.Labels), p.Batch
	classes := l.classes
	if classes == nil {
		classes = t.Const(l.Head.Classes)
	}
	features := autograd.L2Normalize(l.image.Encode(t.Const(p.Images)))
	logits := autograd.Scale(autograd.Linear(features, classes, nil), l.Head.Scale)
	return []*autograd.Var{autograd.CrossEntropy(logits, p.Labels)}, logits
}

// Begin draws the dropout of a step: numbers are by token first, as the released program's activations are. Those of images are put into
// the order in which the image encoder has its rows, so that a part of a batch finds its own in one piece.
func (l *LoRA) Begin(step int) {
	tokens := l.image.Sizes().Tokens
	if l.drawn != nil && len(l.order) != l.batch*tokens {
		l.order = l.order[:0]
		for i := range l.batch {
			for j := range tokens {
				l.order = append(l.order, int32(j*l.batch+i))
			}
		}
	}
	for _, s := range l.sites {
		for _, p := range s.paths {
			if p.uniform == nil {
				continue
			}
			key := l.Key.Name("dropout").Fold(uint64(step)).Name(p.name + ".dropout")
			if s.text {
				tensor.Uniform(p.uniform, key)
				continue
			}
			tensor.Uniform(l.drawn.Rows(0, len(l.order)), key)
			tensor.Gather(p.uniform.Rows(0, len(l.order)), l.drawn.Rows(0, len(l.order)), l.order)
		}
	}
}

// Model is the classifier as it stands, for the classes that it was trained on. Its head is the caller's, where the text encoder has
// paths, and the learner's where not.
func (l *LoRA) Model() train.Model {
	if !l.trainsText() {
		return train.Model{Encoder: l.image, Head: l.Head}
	}
	return l.ModelOf(l.prompts)
}

// ModelOf is the classifier for the classes of any prompts, by the text encoder as it stands. The head is the caller's.
func (l *LoRA) ModelOf(prompts [][]int32) train.Model {
	t := autograd.NoGrad(l.group.Params[0].Value.Device())
	defer t.Release()
	c := autograd.L2Normalize(l.text.EncodeParts(t, prompts, nil, func(t *autograd.Tape, some [][]int32, _ int) *autograd.Var {
		return l.text.Encode(t, some)
	})).Value
	c.Retain()
	return train.Model{Encoder: l.image, Head: train.Head{Classes: c, Scale: l.Head.Scale}}
}

// Detach takes the paths off the encoders again.
func (l *LoRA) Detach() {
	for _, s := range l.sites {
		s.weight.Extend(nil)
	}
}

// Release detaches the paths and gives their memory back.
func (l *LoRA) Release() {
	l.Detach()
	for _, s := range l.sites {
		for _, p := range s.paths {
			p.a.Value.Release()
			p.b.Value.Release()
			if p.uniform != nil {
				p.uniform.Release()
			}
		}
	}
	if l.drawn != nil {
		l.drawn.Release()
	}
	l.sites, l.drawn = nil, nil
}
