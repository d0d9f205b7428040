package tests

import (
	"maps"
	"math"
	"path/filepath"
	"slices"
	"strings"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/nn/checkpoint"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

var (
	_ = onGolden("resnet.json", goldenResNet)
	_ = onGolden("resnet-shapes.json", goldenResNetShapes)
	_ = onGolden("rn*.pt", goldenArchive)
)

// goldenImages are images of the fixtures.
type goldenImages struct {
	Key     uint64
	N, Size int
}

func (i goldenImages) on(dev *tensor.Device) *tensor.Tensor {
	return parityImages(dev, i.Key, i.N, i.Size)
}

// resNet opens the image encoder of a checkpoint of the folder, and its source.
func (g *goldenCase) resNet(w *nn.Weights, src nn.Shapes) *vit.ResNet {
	g.Helper()
	c, err := vit.ResNetConfigOf(src, 0)
	if err != nil {
		g.Fatal(err)
	}
	e := vit.NewResNet(w, c)
	if err := w.Err(); err != nil {
		g.Fatal(err)
	}
	return e
}

// goldenResNet compares maps, features, logits and all gradients of a small ResNet with those of OpenAI's class. The
// model lies beside the file, as rn.safetensors.
func goldenResNet(g *goldenCase) {
	var want struct {
		Args          map[string]any
		Images        goldenImages
		Tokens        [][]int32
		WeightsKey    uint64 `json:"scalar_weights_key"`
		Outputs       map[string]expected
		Features      expected `json:"attention_pool"`
		Logits        expected `json:"logits_per_image"`
		Scalar        expected
		ImageGradient expected `json:"image_gradient"`
		Gradients     map[string]expected
		Float32       map[string]float64
	}
	g.Decode(&want)
	m := g.Model("rn.safetensors")
	w := nn.NewWeights(g.Dev, m)
	e := g.resNet(w, m)
	images := want.Images.on(g.Dev)

	// Sums of few products, of which a yardstick may by luck be small.
	floor := math.Sqrt(float64(9 * e.Width * 32))
	output := func(name string, x *autograd.Var) {
		if exp, ok := want.Outputs[name]; ok {
			g.Check("outputs "+name, exp.Apart(channelsFirst(x.Value)), want.Float32["outputs."+name], floor)
			delete(want.Outputs, name)
		}
	}
	tape := autograd.NoGrad(g.Dev)
	first := nn.NewWeights(g.Dev, m).In("visual")
	stem := nn.NewConvNorm(first, "conv1", "bn1", 3, e.Width/2, 3, 2)
	x := autograd.ChannelsLast(tape.Const(images))
	output("conv1", autograd.Conv(x, autograd.ConvWeight(stem.W.On(tape), nil), nil, nil, 3, 2))
	// OpenAI's class applies ReLU in place, and so to what was kept of bn1.
	output("bn1", autograd.Activate(stem.Forward(x, nil), tensor.ReLU))
	e.Features(tape.Const(images), func(name string, x *autograd.Var) {
		output(name, x)
		stage, block, _ := strings.Cut(name, ".")
		if layers := e.Layers; stage != "stem" && block == string(rune('0'+layers[stage[len("layer")]-'1']-1)) {
			output(stage, x)
		}
	})
	for _, name := range slices.Sorted(maps.Keys(want.Outputs)) {
		g.Refuse("there is no output %s", name)
	}
	features := e.Encode(tape.Const(images)).Value.Float64s()
	g.Check("attention_pool", want.Features.Apart(features), want.Float32["attention_pool"], floor)
	tokens := e.EncodeTokens(tape.Const(images)).Value // of which the first is the feature
	rows := tokens.Shape()[1]
	var firsts []float64
	for i, v := range tokens.Float64s() {
		if i/e.Embed%rows == 0 {
			firsts = append(firsts, v)
		}
	}
	g.Check("attention_pool of all tokens", want.Features.Apart(firsts), want.Float32["attention_pool"], floor)
	tape.Release()

	g.Check("logits_per_image", want.Logits.Apart(g.logits(m, w, features, want.Tokens)), want.Float32["logits_per_image"], floor)

	for _, p := range e.Params() {
		p.Trainable = true
	}
	tape = autograd.NewTape(g.Dev)
	defer tape.Release()
	leaf := from(g.Dev, tensor.Full, images.Float64s(), images.Shape()...)
	y := e.Encode(tape.Leaf(leaf))
	ct := uniforms(tensor.NewKey(want.WeightsKey).Name("weights"), len(features))
	scalar := 0.0
	for i := range ct {
		ct[i] = 2*ct[i] - 1
		scalar += ct[i] * features[i]
	}
	g.Check("scalar", want.Scalar.Apart([]float64{scalar}), want.Float32["scalar"], floor)
	grads := autograd.Pullback(y, from(g.Dev, tensor.Full, ct, append([]int{1}, y.Shape()...)...))
	g.Check("image_gradient", want.ImageGradient.Apart(grads.Of(leaf).Float64s()), want.Float32["image_gradient"], floor)
	for _, p := range e.Params() {
		exp, ok := want.Gradients[p.Name]
		got := grads.Of(p.Value)
		switch {
		case !ok && p.Name == "visual.attnpool.k_proj.bias":
			// 0 but for rounding, and left out: here it has no part in the result.
		case !ok:
			g.Errorf("there is no gradient of %s to compare with", p.Name)
		case got == nil:
			g.Errorf("%s got no gradient", p.Name)
		default:
			g.Check("gradients "+p.Name, exp.Apart(got.Float64s()), want.Float32["gradients."+p.Name], floor)
			delete(want.Gradients, p.Name)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(want.Gradients)) {
		g.Refuse("there is no parameter %s", name)
	}
}

// logits are those of a model's own text encoder and scale, for features.
func (g *goldenCase) logits(m *checkpoint.Model, w *nn.Weights, features []float64, tokens [][]int32) []float64 {
	g.Helper()
	tc, err := text.ConfigOf(m, text.Config{Activation: tensor.QuickGELU})
	if err != nil {
		g.Fatal(err)
	}
	words := text.New(w, tc)
	if err := w.Err(); err != nil {
		g.Fatal(err)
	}
	classes := text.Ensemble(words, g.Dev, tokens, 1, text.NormalizeFirst)
	defer classes.Release()
	n := len(features) / words.Embed
	scale := logitScale(g.T, m)
	return value(g.Dev, func(t *autograd.Tape) *autograd.Var {
		x := autograd.L2Normalize(t.Const(from(g.Dev, tensor.Full, features, n, words.Embed)))
		return autograd.Scale(autograd.Linear(x, t.Const(classes), nil), scale)
	})
}

// channelsFirst is the values of images [N, H, W, C] in the order of [N, C, H, W].
func channelsFirst(x *tensor.Tensor) []float64 {
	v, s := x.Float64s(), x.Shape()
	hw, c := s[1]*s[2], s[3]
	out := make([]float64, len(v))
	for i, e := range v {
		img, pixel, ch := i/(hw*c), i/c%hw, i%c
		out[(img*c+ch)*hw+pixel] = e
	}
	return out
}

// goldenResNetShapes reads sizes off the shapes of released models, and counts.
func goldenResNetShapes(g *goldenCase) {
	var want map[string]struct {
		Embed, Resolution, Width int
		Layers                   [4]int
		VisionHeads              int `json:"vision_heads"`
		TextWidth                int `json:"text_width"`
		TextHeads                int `json:"text_heads"`
		Keys                     int
		VisualKeys               int `json:"visual_keys"`
		VisualParameters         int `json:"visual_parameters"`
		Parameters               int
		MaskConv                 int `json:"maskable_conv"`
		MaskPool                 int `json:"maskable_attnpool"`
		Shapes                   map[string][]int
	}
	g.Decode(&want)
	for name, w := range want {
		s := shapes(w.Shapes)
		c, err := vit.ResNetConfigOf(s, 0)
		if err != nil {
			g.Errorf("%s: %v", name, err)
			continue
		}
		g.Equal(name+" sizes", c, vit.ResNetConfig{ImageSize: w.Resolution, Width: w.Width, Layers: w.Layers, Heads: w.VisionHeads, Embed: w.Embed})
		g.Equal(name+" name", c.Name(), name)
		check := nn.NewCheck(s)
		e := vit.NewResNet(check, c)
		g.Equal(name+" faults", check.Err(), nil)
		g.Equal(name+" tensors nobody asks for", strings.Join(check.Unused(), " "), "")
		params, conv, pool, norms := 0, 0, 0, 0
		for _, p := range e.Params() {
			shape := w.Shapes[p.Name]
			n := tensor.Len(shape)
			params += n
			switch {
			case len(shape) == 4:
				conv += n
				norms++
			case strings.HasPrefix(p.Name, "visual.attnpool.") && strings.HasSuffix(p.Name, "_proj.weight"):
				pool += n
			}
		}
		g.Equal(name+" parameters", params, w.VisualParameters)
		g.Equal(name+" weights of convolutions", conv, w.MaskConv)
		g.Equal(name+" weights of the attention pool", pool, w.MaskPool)
		// Beside these, each norm has a counter of batches.
		g.Equal(name+" keys", len(w.Shapes)+norms, w.VisualKeys)
	}
}

// Equal compares what is exact.
func (g *goldenCase) Equal(what string, got, want any) {
	g.Helper()
	off := 0.0
	if got != want {
		g.Errorf("%s: %s: %v, want %v", g.Name, what, got, want)
		off = math.Inf(1)
	}
	g.Within(what, off, 0)
}

// goldenArchive opens a TorchScript archive and compares it with the safetensors of the same name: all tensors, to
// the bit.
func goldenArchive(g *goldenCase) {
	a, b := g.Model(g.Name), g.Model(strings.TrimSuffix(g.Name, filepath.Ext(g.Name))+".safetensors")
	g.Equal("names", strings.Join(a.Names(), " "), strings.Join(b.Names(), " "))
	for _, name := range a.Names() {
		shape, _ := a.Shape(name)
		v, w := make([]float32, tensor.Len(shape)), make([]float32, tensor.Len(shape))
		if err := a.Read(name, v); err != nil {
			g.Fatal(err)
		}
		if err := b.Read(name, w); err != nil {
			g.Fatal(err)
		}
		g.Equal("tensors "+name, slices.Equal(v, w), true)
	}
}
