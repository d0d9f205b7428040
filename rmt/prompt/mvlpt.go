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

// MVLPTConfig are the settings of unified prompts as MVLPT's program has them.
type MVLPTConfig struct {
	Context  int    `json:"context"`  // vectors of class prompts
	Position string `json:"position"` // of the class name
	Prompts  int    `json:"prompts"`  // tokens of images, a layer
	Deep     bool   `json:"deep"`     // each layer has tokens of its own
	Project  int    `json:"project"`  // width of the block between the two
	Mix      bool   `json:"mix"`      // the block's attention mixes prompts; as released each sees itself alone
	Recipe
}

// DefaultMVLPT has the released script's position and CoOp's recipe, as the rest is left to its caller: 4 prompts of each encoder.
func DefaultMVLPT(dataset string, shots int) MVLPTConfig {
	return MVLPTConfig{Context: 4, Position: "middle", Prompts: 4, Project: 128, Recipe: coopRecipe(dataset, shots)}
}

// Validate reports the first setting that makes no sense.
func (c MVLPTConfig) Validate() error {
	if c.Prompts < 1 || c.Project < 1 {
		return fmt.Errorf("%d tokens of images and a block of width %d: at least 1 of each", c.Prompts, c.Project)
	}
	return ContextConfig{Context: c.Context, Position: c.Position, Recipe: c.Recipe}.Validate()
}

// MVLPT learns prompts of both encoders, as UPT: vectors of a context and tokens of images, brought to one width, through a block of CLIP's
// kind with one head, and back to their own. The tokens join behind ln_pre. Parameters have the names of the released program, but
// for vpt_embeddings, which are [layers, n, Width] with vpt_embeddings_deep behind them. Where a width is the block's own there is no product.
type MVLPT struct {
	train.Base
	clip    *CLIP
	image   *vit.Encoder
	config  MVLPTConfig
	classes []string
	context promptContext
	texts   *texts

	ctx, tokens         *nn.Param
	textPre, textPost   *nn.Linear
	imagePre, imagePost *nn.Linear
	block               nn.Block
	groups              []train.Group
	features            *autograd.Var // of the sweep that is being recorded
	prompts             vit.Prompts
}

// NewMVLPT starts prompts for both encoders.
func NewMVLPT(m *CLIP, classes []string, c MVLPTConfig) (*MVLPT, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	image, err := m.transformer("upt-mvlpt")
	if err != nil {
		return nil, err
	}
	l := &MVLPT{clip: m, image: image, config: c, classes: classes, context: newContext(c.Context, c.Position, false)}
	if l.texts, err = l.context.layout(l.clip, classes); err != nil {
		return nil, err
	}
	const method = "mvlpt"
	layers := 1
	if c.Deep {
		layers = image.Layers
	}
	var params []*nn.Param
	add := func(p ...*nn.Param) { params = append(params, p...) }
	l.ctx = m.normal(c.Seed, method, "ctx", c.Context, m.Text.Width)
	l.tokens = m.uniform(c.Seed, method, "vpt_embeddings", math.Sqrt(6/float64(3*image.Patch*image.Patch+image.Width)), layers, c.Prompts, image.Width)
	add(l.ctx, l.tokens)
	layer := func(name string, in, out int) *nn.Linear {
		x := m.linear(c.Seed, method, name, in, out)
		add(x.W, x.B)
		return &x
	}
	if m.Text.Width != c.Project {
		l.textPre, l.textPost = layer("mvlpt_proj_ctx_coop_pre", m.Text.Width, c.Project), layer("mvlpt_proj_ctx_coop_post", c.Project, m.Text.Width)
	}
	if image.Width != c.Project {
		l.imagePre, l.imagePost = layer("mvlpt_proj_ctx_vpt_pre", image.Width, c.Project), layer("mvlpt_proj_ctx_vpt_post", c.Project, image.Width)
	}
	d := c.Project
	at := func(name string) string { return "mvlpt_proj.resblocks.0." + name }
	norm := func(name string) nn.LayerNorm {
		n := nn.LayerNorm{W: m.constant(at(name)+".weight", 1, d), B: m.constant(at(name)+".bias", 0, d), Eps: nn.LayerNormEps}
		add(n.W, n.B)
		return n
	}
	l.block.LN1 = norm("ln_1")
	l.block.Attn = nn.Attention{InW: m.uniform(c.Seed, method, at("attn.in_proj_weight"), math.Sqrt(6/float64(4*d)), 3*d, d), InB: m.constant(at("attn.in_proj_bias"), 0, 3*d),
		Out: nn.Linear{W: m.uniform(c.Seed, method, at("attn.out_proj.weight"), 1/math.Sqrt(float64(d)), d, d), B: m.constant(at("attn.out_proj.bias"), 0, d)}}
	add(l.block.Attn.InW, l.block.Attn.InB, l.block.Attn.Out.W, l.block.Attn.Out.B)
	l.block.LN2 = norm("ln_2")
	l.block.MLP.FC, l.block.MLP.Proj = *layer(at("mlp.c_fc"), d, 4*d), *layer(at("mlp.c_proj"), 4*d, d)
	l.groups = c.group(nil, params...)
	return l, nil
}

func (l *MVLPT) beside() []*tensor.Tensor { return nil }

// Groups are the prompts, the products and the block.
func (l *MVLPT) Groups() []train.Group { return l.groups }

// Plan has one loss.
func (l *MVLPT) Plan() train.Plan { return train.Plan{Classes: len(l.classes), Lanes: 1} }

// made are the context [n, Width] and the tokens [layers, n, width] that the block makes.
func (l *MVLPT) made(t *autograd.Tape) (context, tokens *autograd.Var) {
	through := func(layer *nn.Linear, x *autograd.Var) *autograd.Var {
		if layer == nil {
			return x
		}
		return layer.Forward(x)
	}
	x := autograd.JoinTokens(through(l.textPre, l.ctx.On(t)), through(l.imagePre, rows(l.tokens.On(t))))
	b, d := l.block, l.config.Project
	h := b.LN1.Forward(x)
	w, bias := b.Attn.InW.On(t), b.Attn.InB.On(t)
	project := func(i int) *autograd.Var {
		return autograd.Linear(h, autograd.Rows(w, i*d, (i+1)*d), autograd.Rows(bias, i*d, (i+1)*d))
	}
	a := project(2)
	if l.config.Mix {
		a = autograd.MatMul(autograd.Softmax(autograd.Scale(autograd.Linear(project(0), project(1), nil), 1/math.Sqrt(float64(d)))), a)
	}
	x = autograd.Add(x, b.Attn.Out.Forward(a))
	x = autograd.Add(x, b.MLP.Proj.Forward(autograd.Activate(b.MLP.FC.Forward(b.LN2.Forward(x)), tensor.QuickGELU)))
	n := l.config.Context
	context = through(l.textPost, autograd.Rows(x, 0, n))
	tokens = through(l.imagePost, autograd.Rows(x, n, x.Shape()[0]))
	return context, autograd.Reshape(tokens, l.tokens.Value.Shape()...)
}

// Shared are the prompts and the class features.
func (l *MVLPT) Shared(t *autograd.Tape) {
	context, tokens := l.made(t)
	l.prompts = layered(tokens, "raw")
	l.features = autograd.L2Normalize(l.texts.features(t, context))
}

// Losses are the cross-entropy.
func (l *MVLPT) Losses(t *autograd.Tape, p train.Part) ([]*autograd.Var, *autograd.Var) {
	logits := l.clip.logits(l.image.EncodeWith(t.Const(p.Images), l.prompts), l.features)
	return []*autograd.Var{autograd.CrossEntropy(logits, p.Labels)}, logits
}

// Classifier puts the context before other names.
func (l *MVLPT) Classifier(classes []string) (train.Classifier, func(), error) {
	texts, err := l.context.layout(l.clip, classes)
	if err != nil {
		return nil, nil, err
	}
	dev := l.clip.Device
	tokens := frozen(dev, func(t *autograd.Tape) *autograd.Var { _, tokens := l.made(t); return tokens })
	features := frozen(dev, func(t *autograd.Tape) *autograd.Var {
		context, _ := l.made(t)
		return autograd.L2Normalize(texts.features(t, context))
	})
	return train.Model{Encoder: prompted(func(images *autograd.Var) *autograd.Var {
			return l.image.EncodeWith(images, layered(images.Tape().Const(tokens), "raw"))
		}), Head: train.Head{Classes: features, Scale: l.clip.Scale}}, func() {
			tokens.Release()
			features.Release()
		}, nil
}
