package prompt

import (
	"fmt"
	"math"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/vit"
)

// UPTConfig are the settings of unified prompts.
type UPTConfig struct {
	Prompts int     `json:"prompts"` // of each encoder
	Mix     bool    `json:"mix"`     // the small network's attention mixes the prompts, as the paper says; as released each sees itself alone
	Dropout float64 `json:"dropout"`
	Recipe
}

// DefaultUPT has the settings of the released program: 4 prompts of each encoder, CoOp's recipe, and attention that mixes nothing.
func DefaultUPT(dataset string, shots int) UPTConfig {
	return UPTConfig{Prompts: 4, Dropout: 0.1, Recipe: coopRecipe(dataset, shots)}
}

// Validate reports the first setting that makes no sense.
func (c UPTConfig) Validate() error {
	switch {
	case c.Prompts < 1:
		return fmt.Errorf("%d prompts of each encoder: at least 1", c.Prompts)
	case !(c.Dropout >= 0 && c.Dropout < 1):
		return fmt.Errorf("dropout %g must lie in [0, 1)", c.Dropout)
	}
	return c.Recipe.Validate()
}

// UPT learns prompts of both encoders: rows u of one matrix, and a layer of a transformer between them and their use,
//
//	y = LN₁(u + A(u)),  z = y + W₂·relu(W₁·LN₂(y) + b₁) + b₂
//
// with dropout of attention weights, of A, of the relu, and of the last sum's second half. The first half of z are a context of class
// prompts; the second, by one more product, tokens of images before ln_pre. A is attention with one head. As released it is given the rows as
// that many sequences of length 1, so that A(u) = W_o·(W_v·u + b_v) + b_o.
//
// Parameters have the names of the released program. The layer is evaluated twice a step, for images and for texts, with dropout of its own.
type UPT struct {
	train.Base
	clip    *CLIP
	image   *vit.Encoder
	config  UPTConfig
	classes []string
	context promptContext
	texts   *texts

	prompts       *nn.Param // uni_ctx [1, 2n, Width]
	attention     nn.Attention
	norm1, norm2  nn.LayerNorm
	first, second nn.Linear
	mlp           nn.Linear
	groups        []train.Group

	// Keep, if set, says what dropout keeps, in place of random numbers: of a step, in the pass for images (0) or texts (1), at each of the
	// four places, as many as there are weights or elements.
	Keep  func(step, pass, place int) []bool
	drops [2][4]*tensor.Tensor // factors, by pass and place; nil without dropout

	features *autograd.Var // of the sweep that is being recorded
	tokens   *autograd.Var
}

// places of dropout.
const (
	weights = iota
	attended
	activated
	summed
)

// NewUPT starts prompts for both encoders.
func NewUPT(m *CLIP, classes []string, c UPTConfig) (*UPT, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	image, err := m.transformer("upt")
	if err != nil {
		return nil, err
	}
	l := &UPT{clip: m, image: image, config: c, classes: classes, context: newContext(c.Prompts, "end", false)}
	if l.texts, err = l.context.layout(l.clip, classes); err != nil {
		return nil, err
	}
	d, n, root := m.Text.Width, 2*c.Prompts, 1/math.Sqrt(float64(m.Text.Width))
	const method = "upt"
	norm := func(name string) nn.LayerNorm {
		return nn.LayerNorm{W: m.constant(name+".weight", 1, d), B: m.constant(name+".bias", 0, d), Eps: nn.LayerNormEps}
	}
	l.prompts = m.normal(c.Seed, method, "uni_ctx", 1, n, d)
	l.attention = nn.Attention{InW: m.uniform(c.Seed, method, "self_attn.in_proj_weight", math.Sqrt(6/float64(4*d)), 3*d, d), InB: m.constant("self_attn.in_proj_bias", 0, 3*d),
		Out: nn.Linear{W: m.uniform(c.Seed, method, "self_attn.out_proj.weight", root, d, d), B: m.constant("self_attn.out_proj.bias", 0, d)}}
	l.norm1, l.norm2 = norm("norm1"), norm("norm2")
	l.first, l.second = m.linear(c.Seed, method, "linear1", d, d), m.linear(c.Seed, method, "linear2", d, d)
	l.mlp = m.linear(c.Seed, method, "mlp", d, image.Width)
	l.groups = c.group(nil, l.prompts, l.attention.InW, l.attention.InB, l.attention.Out.W, l.attention.Out.B, l.norm1.W, l.norm1.B, l.norm2.W, l.norm2.B,
		l.first.W, l.first.B, l.second.W, l.second.B, l.mlp.W, l.mlp.B)
	if c.Dropout > 0 {
		for pass := range l.drops {
			for place := range l.drops[pass] {
				l.drops[pass][place] = m.Device.New(tensor.Full, l.dropped(place)...)
			}
		}
	}
	return l, nil
}

// dropped is the shape of the factors of dropout. Without mixing there is one attention weight a row, which takes all of the row's value.
func (l *UPT) dropped(place int) []int {
	n := 2 * l.config.Prompts
	if place == weights && l.config.Mix {
		return []int{n, n}
	}
	return []int{n, l.clip.Text.Width}
}

func (l *UPT) beside() (all []*tensor.Tensor) {
	for _, pass := range l.drops {
		for _, x := range pass {
			if x != nil {
				all = append(all, x)
			}
		}
	}
	return all
}

// Groups are the prompts and the layer.
func (l *UPT) Groups() []train.Group { return l.groups }

// Plan has one loss.
func (l *UPT) Plan() train.Plan { return train.Plan{Classes: len(l.classes), Lanes: 1} }

// Begin draws what dropout keeps.
func (l *UPT) Begin(step int) {
	if l.config.Dropout == 0 {
		return
	}
	for pass := range l.drops {
		for place, x := range l.drops[pass] {
			each := 1
			if place == weights && !l.config.Mix {
				each = x.Dim(1)
			}
			factors := make([]float64, x.Len())
			keep := l.keep(step, pass, place, len(factors)/each)
			for i := range factors {
				if keep[i/each] {
					factors[i] = 1 / (1 - l.config.Dropout)
				}
			}
			x.SetFloat64(factors)
		}
	}
}

func (l *UPT) keep(step, pass, place, n int) []bool {
	if l.Keep != nil {
		return l.Keep(step, pass, place)
	}
	key := tensor.NewKey(l.config.Seed).Name("upt/dropout").Fold(uint64(step)).Fold(uint64(4*pass + place))
	keep := make([]bool, n)
	for i := range keep {
		keep[i] = key.Uniform(uint64(i)) >= l.config.Dropout
	}
	return keep
}

// layer is z [2n, Width], with dropout of a pass, or without if it is negative.
func (l *UPT) layer(t *autograd.Tape, pass int) *autograd.Var {
	drop := func(x *autograd.Var, place int) *autograd.Var {
		if pass < 0 || l.drops[pass][place] == nil {
			return x
		}
		return autograd.Mul(x, t.Const(l.drops[pass][place]))
	}
	d, u := l.clip.Text.Width, rows(l.prompts.On(t))
	w, b := l.attention.InW.On(t), l.attention.InB.On(t)
	project := func(i int) *autograd.Var {
		return autograd.Linear(u, autograd.Rows(w, i*d, (i+1)*d), autograd.Rows(b, i*d, (i+1)*d))
	}
	var a *autograd.Var
	if v := project(2); l.config.Mix {
		p := autograd.Softmax(autograd.Scale(autograd.Linear(project(0), project(1), nil), 1/math.Sqrt(float64(d))))
		a = autograd.MatMul(drop(p, weights), v)
	} else {
		a = drop(v, weights)
	}
	y := l.norm1.Forward(autograd.Add(u, drop(l.attention.Out.Forward(a), attended)))
	h := drop(autograd.Activate(l.first.Forward(l.norm2.Forward(y)), tensor.ReLU), activated)
	return autograd.Add(y, drop(l.second.Forward(h), summed))
}

// visual are the tokens of images [n, width], and textual is the context [n, Width].
func (l *UPT) visual(t *autograd.Tape, pass int) *autograd.Var {
	n := l.config.Prompts
	return l.mlp.Forward(autograd.Rows(l.layer(t, pass), n, 2*n))
}

func (l *UPT) textual(t *autograd.Tape, pass int) *autograd.Var {
	return autograd.Rows(l.layer(t, pass), 0, l.config.Prompts)
}

// Shared are the prompts and the class features.
func (l *UPT) Shared(t *autograd.Tape) {
	l.tokens = l.visual(t, 0)
	l.features = autograd.L2Normalize(l.texts.features(t, l.textual(t, 1)))
}

// Losses are the cross-entropy.
func (l *UPT) Losses(t *autograd.Tape, p train.Part) ([]*autograd.Var, *autograd.Var) {
	logits := l.clip.logits(l.image.EncodeWith(t.Const(p.Images), vit.Prompts{Input: l.tokens}), l.features)
	return []*autograd.Var{autograd.CrossEntropy(logits, p.Labels)}, logits
}

// Classifier puts the context before other names.
func (l *UPT) Classifier(classes []string) (train.Classifier, func(), error) {
	texts, err := l.context.layout(l.clip, classes)
	if err != nil {
		return nil, nil, err
	}
	dev := l.clip.Device
	tokens := frozen(dev, func(t *autograd.Tape) *autograd.Var { return l.visual(t, -1) })
	features := frozen(dev, func(t *autograd.Tape) *autograd.Var {
		return autograd.L2Normalize(texts.features(t, l.textual(t, -1)))
	})
	return train.Model{Encoder: prompted(func(images *autograd.Var) *autograd.Var {
			return l.image.EncodeWith(images, vit.Prompts{Input: images.Tape().Const(tokens)})
		}), Head: train.Head{Classes: features, Scale: l.clip.Scale}}, func() {
			tokens.Release()
			features.Release()
		}, nil
}
