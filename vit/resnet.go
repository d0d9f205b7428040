package vit

import (
	"errors"
	"fmt"
	"math"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
)

// ResNetConfig are the sizes of one of CLIP's modified ResNets.
type ResNetConfig struct {
	ImageSize int    // side of the square input, in pixels: 32 times that of the last map of features
	Width     int    // of the first stage; the attention pool is 32 times as wide
	Layers    [4]int // blocks by stage
	Heads     int    // of the attention pool
	Embed     int    // length of the image feature
}

// shrink is how many pixels of an image, each way, make one of the last stage.
const shrink = 32

// expansion is how many times wider blocks are outside than inside.
const expansion = 4

// ResNetConfigOf reads the sizes off the shapes of a checkpoint with OpenAI's names. Heads is the number of the
// attention pool's heads, 0 for one for every 64 channels, as in all released models. As with [ConfigOf], every
// tensor that [NewResNet] will ask for is there.
func ResNetConfigOf(s nn.Shapes, heads int) (ResNetConfig, error) {
	var c ResNetConfig
	first, _ := s.Shape("visual.layer1.0.conv1.weight")
	pos, _ := s.Shape("visual.attnpool.positional_embedding")
	out, _ := s.Shape("visual.attnpool.c_proj.weight")
	if len(first) != 4 || len(pos) != 2 || pos[0] < 2 || len(out) != 2 {
		return c, fmt.Errorf("visual.layer1.0.conv1.weight %v, visual.attnpool.positional_embedding %v, visual.attnpool.c_proj.weight %v "+
			"are no CLIP ResNet's", first, pos, out)
	}
	c.Width, c.Embed = first[0], out[0]
	for i := range c.Layers {
		for c.Layers[i] <= nn.MaxLayers {
			if _, ok := s.Shape(fmt.Sprintf("visual.layer%d.%d.conv1.weight", i+1, c.Layers[i])); !ok {
				break
			}
			c.Layers[i]++
		}
		if err := nn.Within(nn.Size{Name: fmt.Sprintf("the number of blocks of visual.layer%d", i+1), Value: c.Layers[i], Max: nn.MaxLayers}); err != nil {
			return c, err
		}
	}
	if err := nn.Within(
		nn.Size{Name: "the rows of visual.attnpool.positional_embedding", Value: pos[0], Max: nn.MaxTokens},
		nn.Size{Name: "the width of visual.layer1.0.conv1.weight", Value: c.Width, Max: nn.MaxWidth / shrink},
		nn.Size{Name: "the length of features, in visual.attnpool.c_proj.weight,", Value: c.Embed, Max: nn.MaxWidth},
	); err != nil {
		return c, err
	}
	if c.Width%2 != 0 {
		return c, fmt.Errorf("the ResNet's first stage is %d wide; the stem before it is half as wide, so it must be even", c.Width)
	}
	grid := int(math.Round(math.Sqrt(float64(pos[0] - 1))))
	if grid*grid+1 != pos[0] {
		return c, fmt.Errorf("visual.attnpool.positional_embedding has %d rows, which is no square grid and a mean", pos[0])
	}
	c.ImageSize = shrink * grid // which is within bounds, as tokens are
	if c.Heads = heads; heads == 0 {
		if c.Heads = shrink * c.Width / HeadSize; c.Heads*HeadSize != shrink*c.Width {
			return c, fmt.Errorf("the ResNet's attention pool is %d wide, and weights alone do not say how many heads that is: "+
				"give the model's folder, with its configuration, or the number with -heads", shrink*c.Width)
		}
	}
	if err := nn.HeadsOf("image", c.Heads, shrink*c.Width); err != nil {
		return c, err
	}
	w := nn.NewCheck(s)
	NewResNet(w, c)
	return c, w.Err()
}

// Name is the model's name as CLIP's authors count: RN50 and its like, or the blocks of its stages.
func (c ResNetConfig) Name() string {
	for name, known := range map[string]ResNetConfig{
		"RN50": {Width: 64, Layers: [4]int{3, 4, 6, 3}}, "RN101": {Width: 64, Layers: [4]int{3, 4, 23, 3}},
		"RN50x4": {Width: 80, Layers: [4]int{4, 6, 10, 6}}, "RN50x16": {Width: 96, Layers: [4]int{6, 8, 18, 8}}, "RN50x64": {Width: 128, Layers: [4]int{3, 15, 36, 10}},
	} {
		if c.Width == known.Width && c.Layers == known.Layers {
			return name
		}
	}
	return fmt.Sprintf("ResNet of %d+%d+%d+%d blocks", c.Layers[0], c.Layers[1], c.Layers[2], c.Layers[3])
}

// ResNet is one of CLIP's modified ResNets (Radford et al. 2021, section 2.4): a stem of three convolutions, pooling
// instead of strides, and attention to the mean of the last stage's pixels in place of a last pooling. Activations
// have their channels last.
type ResNet struct {
	ResNetConfig
	stem   [3]*nn.ConvNorm
	stages [4][]bottleneck
	pool   attentionPool
	params []*nn.Param
	convs  []*nn.ConvNorm
}

// NewResNet builds an encoder over the tensors below visual. in w; faults are in w.Err.
func NewResNet(w *nn.Weights, c ResNetConfig) *ResNet {
	w = w.In("visual")
	e := &ResNet{ResNetConfig: c}
	conv := func(w *nn.Weights, conv, norm string, in, out, size, stride int) *nn.ConvNorm {
		layer := nn.NewConvNorm(w, conv, norm, in, out, size, stride)
		e.convs = append(e.convs, layer)
		e.params = append(e.params, layer.Params()...)
		return layer
	}
	half := c.Width / 2
	e.stem = [3]*nn.ConvNorm{conv(w, "conv1", "bn1", 3, half, 3, 2), conv(w, "conv2", "bn2", half, half, 3, 1), conv(w, "conv3", "bn3", half, c.Width, 3, 1)}
	in := c.Width
	for i := range e.stages {
		inside, stride := c.Width<<i, 1
		if i > 0 {
			stride = 2
		}
		for j := range c.Layers[i] {
			w := w.In(fmt.Sprintf("layer%d", i+1), j)
			b := bottleneck{stride: stride, conv: [3]*nn.ConvNorm{conv(w, "conv1", "bn1", in, inside, 1, 1),
				conv(w, "conv2", "bn2", inside, inside, 3, 1), conv(w, "conv3", "bn3", inside, expansion*inside, 1, 1)}}
			if stride > 1 || in != expansion*inside {
				b.shortcut = conv(w, "downsample.0", "downsample.1", in, expansion*inside, 1, 1)
			}
			e.stages[i] = append(e.stages[i], b)
			in, stride = expansion*inside, 1
		}
	}
	grid := c.ImageSize / shrink
	e.pool = newAttentionPool(w.In("attnpool"), in, c.Embed, grid*grid, c.Heads)
	e.params = append(e.params, e.pool.params()...)
	return e
}

// Params are the encoder's parameters, which running statistics are not.
func (e *ResNet) Params() []*nn.Param { return e.params }

// Pack folds norms into convolutions, once for all batches, for as much memory as these have, and prepares all
// weights for batches of a few images (see [tensor.Pack]). What is under a mask or trained is left alone.
func (e *ResNet) Pack(grad bool) {
	for _, c := range e.convs {
		c.Pack(grad)
	}
}

// Quantize is an error: convolutions have no kernels for integers.
func (e *ResNet) Quantize() error {
	return errors.New("precision int8 is for vision transformers; a ResNet's convolutions have no kernels for it")
}

// Discard has nothing to give up.
func (e *ResNet) Discard() {}

// Unpack undoes Pack.
func (e *ResNet) Unpack() {
	for _, c := range e.convs {
		c.Unpack()
	}
}

// Encode maps normalised images [N, 3, ImageSize, ImageSize] to features [N, Embed], not normalised.
func (e *ResNet) Encode(images *autograd.Var) *autograd.Var {
	return e.pool.forward(e.Features(images, nil))
}

// EncodeTokens is Encode with a feature for every pixel of the last stage behind the image's own: [N, 1+M, Embed].
// Each is what attention gives where that pixel asks, as the mean does for the image.
func (e *ResNet) EncodeTokens(images *autograd.Var) *autograd.Var {
	return e.pool.forwardAll(e.Features(images, nil))
}

// Features is the last stage's map [N, ImageSize/32, ImageSize/32, 32·Width]. It shows see, unless that is nil, the
// map of the stem and of each block, [N, H, W, C], under the block's name, as layer1.0. They are valid during the
// call.
func (e *ResNet) Features(images *autograd.Var, see func(name string, x *autograd.Var)) *autograd.Var {
	if see == nil {
		see = func(string, *autograd.Var) {}
	}
	x := e.stemOf(images)
	see("stem", x)
	for i, stage := range e.stages {
		for j, b := range stage {
			x = b.forward(x)
			see(fmt.Sprintf("layer%d.%d", i+1, j), x)
		}
	}
	return x
}

// stemOf is the stem's map [N, ImageSize/4, ImageSize/4, Width].
func (e *ResNet) stemOf(images *autograd.Var) *autograd.Var {
	return images.Tape().Scope(func() *autograd.Var {
		x := autograd.ChannelsLast(images)
		for _, c := range e.stem {
			x = done(x, c.ForwardReLU(x, nil))
		}
		return autograd.AvgPool(x, 2)
	})
}

// bottleneck is a residual block: a narrow 3×3 convolution between two of single pixels. Where others have strides it
// pools.
type bottleneck struct {
	conv     [3]*nn.ConvNorm
	shortcut *nn.ConvNorm // nil where the input is added as it is
	stride   int
}

// forward maps [N, H, W, C], which nobody else reads, to [N, H/stride, W/stride, C'].
func (b bottleneck) forward(x *autograd.Var) *autograd.Var {
	return done(x, x.Tape().Scope(func() *autograd.Var {
		y := b.conv[0].ForwardReLU(x, nil)
		y = done(y, b.conv[1].ForwardReLU(y, nil))
		short := x
		if b.stride > 1 {
			y = done(y, autograd.AvgPool(y, b.stride))
			short = autograd.AvgPool(x, b.stride)
		}
		if b.shortcut != nil {
			in := short
			if short = b.shortcut.Forward(in, nil); in != x {
				done(in, short)
			}
		}
		return b.conv[2].ForwardReLUOver(y, short)
	}))
}

// done is y, for which x was the last time needed: maps of pixels are the most that an encoder has in memory. y may
// have been put in x's place.
func done(x, y *autograd.Var) *autograd.Var {
	if !y.Value.SameMemory(x.Value) {
		x.Tape().Done(x)
	}
	return y
}

// attentionPool lets the mean of all pixels attend to them and itself.
type attentionPool struct {
	position   *nn.Param // [1 + pixels, width]
	k, q, v, c nn.Linear
	heads      int
}

func newAttentionPool(w *nn.Weights, width, embed, pixels, heads int) attentionPool {
	return attentionPool{
		position: w.Param(tensor.Full, "positional_embedding", pixels+1, width), heads: heads,
		k: nn.NewLinear(w.In("k_proj"), width, width), q: nn.NewLinear(w.In("q_proj"), width, width),
		v: nn.NewLinear(w.In("v_proj"), width, width), c: nn.NewLinear(w.In("c_proj"), width, embed),
	}
}

func (p attentionPool) params() []*nn.Param {
	all := []*nn.Param{p.position}
	for _, l := range []nn.Linear{p.k, p.q, p.v, p.c} {
		all = append(all, l.W, l.B)
	}
	return all
}

// tokens are the mean and the pixels of x [N, H, W, C], with their positions: [N, 1+H·W, C].
func (p attentionPool) tokens(x *autograd.Var) *autograd.Var {
	s := x.Shape()
	x = autograd.PrependMean(autograd.Reshape(x, s[0], s[1]*s[2], s[3]))
	return autograd.Add(x, p.position.On(x.Tape()))
}

// forward is the mean's feature alone, without keys and values of all pixels; see [nn.Attention.ForwardFirst]. The
// keys' bias has no part in it, and its gradient is 0.
func (p attentionPool) forward(x *autograd.Var) *autograd.Var {
	t, d := x.Tape(), x.Value.Dim(1)
	return t.Scope(func() *autograd.Var {
		x := p.tokens(x)
		u := autograd.SplitHeads(p.q.Forward(autograd.FirstToken(x)), p.k.W.On(t), p.heads)
		c := autograd.Attend(u, x, 1/math.Sqrt(float64(d/p.heads)))
		return p.c.Forward(autograd.JoinHeads(c, p.v.W.On(t), p.v.B.On(t)))
	})
}

// forwardAll is the features of all tokens.
func (p attentionPool) forwardAll(x *autograd.Var) *autograd.Var {
	return x.Tape().Scope(func() *autograd.Var {
		x := p.tokens(x)
		qkv := autograd.Concat(autograd.Concat(p.q.Forward(x), p.k.Forward(x)), p.v.Forward(x))
		return p.c.Forward(autograd.Attention(qkv, p.heads, false))
	})
}
