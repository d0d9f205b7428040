package export

import (
	"fmt"
	"math"

	"fewshot/nn"
)

// A resNet is one of CLIP's modified ResNets as image encoder.
type resNet struct {
	width  int    // of the first stage
	layers [4]int // blocks by stage
	heads  int    // of the attention pool, which is 32 times as wide
	tokens int    // of it: the mean and the pixels
}

func (n *resNet) pool() int { return 32 * n.width }

// prepareNet reads a ResNet's sizes, if the model has one.
func (m *Model) prepareNet(shape func(name string, rank int) []int) error {
	first, pos, out := shape("visual.layer1.0.conv1.weight", 4), shape("visual.attnpool.positional_embedding", 2), shape("visual.attnpool.c_proj.weight", 2)
	n := &resNet{width: first[0], heads: m.ImageHeads, tokens: pos[0]}
	for i := range n.layers {
		for n.layers[i] <= nn.MaxLayers {
			if _, ok := m.Weights.Shape(fmt.Sprintf("visual.layer%d.%d.conv1.weight", i+1, n.layers[i])); !ok {
				break
			}
			n.layers[i]++
		}
	}
	grid := int(math.Round(math.Sqrt(float64(n.tokens - 1))))
	if n.tokens < 2 || grid*grid+1 != n.tokens || out[0] == 0 {
		return fmt.Errorf("export: the image encoder is no ResNet as CLIP's: its attention pool has %d positions and features of %d", n.tokens, out[0])
	}
	if n.heads < 1 || n.pool()%n.heads != 0 {
		return fmt.Errorf("export: an attention pool of %d heads, %d wide", n.heads, n.pool())
	}
	m.net, m.side, m.embed = n, 32*grid, out[0]
	return nil
}

// A convNorm is a convolution with the norm behind it.
type convNorm struct {
	conv, norm            string
	in, out, size, stride int
}

// A bottleneck is a residual block; what is halved is pooled.
type bottleneck struct {
	conv     [3]convNorm
	shortcut *convNorm
	pool     int // 2 halves
}

func (n *resNet) stem() [3]convNorm {
	half := n.width / 2
	return [3]convNorm{{"visual.conv1", "visual.bn1", 3, half, 3, 2}, {"visual.conv2", "visual.bn2", half, half, 3, 1}, {"visual.conv3", "visual.bn3", half, n.width, 3, 1}}
}

func (n *resNet) blocks() (all []bottleneck) {
	in := n.width
	for i, count := range n.layers {
		inside := n.width << i
		for j := range count {
			p := fmt.Sprintf("visual.layer%d.%d.", i+1, j)
			b := bottleneck{pool: 1, conv: [3]convNorm{{p + "conv1", p + "bn1", in, inside, 1, 1}, {p + "conv2", p + "bn2", inside, inside, 3, 1},
				{p + "conv3", p + "bn3", inside, 4 * inside, 1, 1}}}
			if i > 0 && j == 0 {
				b.pool = 2
			}
			if b.pool > 1 || in != 4*inside {
				b.shortcut = &convNorm{p + "downsample.0", p + "downsample.1", in, 4 * inside, 1, 1}
			}
			all = append(all, b)
			in = 4 * inside
		}
	}
	return all
}

// shapes adds the tensors of the architecture. Counters of batches are left out: who computes with the network needs none, and PyTorch
// fills them in.
func (n *resNet) shapes(s map[string][]int, embed int) {
	put := func(c convNorm) {
		s[c.conv+".weight"] = []int{c.out, c.in, c.size, c.size}
		for _, v := range []string{"weight", "bias", "running_mean", "running_var"} {
			s[c.norm+"."+v] = []int{c.out}
		}
	}
	for _, c := range n.stem() {
		put(c)
	}
	for _, b := range n.blocks() {
		for _, c := range b.conv {
			put(c)
		}
		if b.shortcut != nil {
			put(*b.shortcut)
		}
	}
	s["visual.attnpool.positional_embedding"] = []int{n.tokens, n.pool()}
	for name, out := range map[string]int{"q": n.pool(), "k": n.pool(), "v": n.pool(), "c": embed} {
		s["visual.attnpool."+name+"_proj.weight"], s["visual.attnpool."+name+"_proj.bias"] = []int{out, n.pool()}, []int{out}
	}
}

// noNet refuses a ResNet in formats whose configuration is that of transformers.
func (m *Model) noNet(format, instead string) error {
	if m.net == nil {
		return nil
	}
	return fmt.Errorf("export to %s: transformers has no class for CLIP's ResNets: use %s", format, instead)
}

func (n *resNet) String() string {
	return fmt.Sprintf("ResNet of %d+%d+%d+%d blocks, width %d in the first stage, attention pool of %d heads", n.layers[0], n.layers[1], n.layers[2], n.layers[3], n.width, n.heads)
}

// convNorm is a convolution and its norm.
func (g *graph) convNorm(x string, c convNorm) string {
	pad := c.size / 2
	x = g.node("Conv", []string{x, g.weight(c.conv + ".weight")}, "", attribute{"kernel_shape", []int{c.size, c.size}},
		attribute{"pads", []int{pad, pad, pad, pad}}, attribute{"strides", []int{c.stride, c.stride}})
	in := []string{x}
	for _, v := range []string{"weight", "bias", "running_mean", "running_var"} {
		in = append(in, g.weight(c.norm+"."+v))
	}
	return g.node("BatchNormalization", in, "", attribute{"epsilon", nn.BatchNormEps})
}

func (g *graph) pooled(x string, size int) string {
	if size == 1 {
		return x
	}
	return g.node("AveragePool", []string{x}, "", attribute{"kernel_shape", []int{size, size}}, attribute{"strides", []int{size, size}})
}

// netImages encodes pixel values [N, 3, side, side] to features [N, embed], where the mean of the last map's pixels attends to these and itself.
func (g *graph) netImages(x string) string {
	n := g.model.net
	for _, c := range n.stem() {
		x = g.op("Relu", g.convNorm(x, c))
	}
	x = g.pooled(x, 2)
	for _, b := range n.blocks() {
		y := g.op("Relu", g.convNorm(x, b.conv[0]))
		y = g.convNorm(g.pooled(g.op("Relu", g.convNorm(y, b.conv[1])), b.pool), b.conv[2])
		if b.shortcut != nil {
			x = g.convNorm(g.pooled(x, b.pool), *b.shortcut)
		}
		x = g.op("Relu", g.op("Add", x, y))
	}
	const p = "visual.attnpool."
	head := n.pool() / n.heads
	x = g.transposed(g.reshape(x, 0, n.pool(), n.tokens-1), 0, 2, 1)
	mean := g.node("ReduceMean", []string{x}, "", attribute{"axes", []int{1}}, attribute{"keepdims", 1})
	x = g.op("Add", g.node("Concat", []string{mean, x}, "", attribute{"axis", 1}), g.weight(p+"positional_embedding"))
	part := func(x, name string) string {
		return g.reshape(g.linear(x, p+name+"_proj.weight", p+name+"_proj.bias"), 0, 0, n.heads, head)
	}
	q := g.transposed(part(g.op("Slice", x, g.ints(0), g.ints(1), g.ints(1)), "q"), 0, 2, 1, 3)
	k, v := g.transposed(part(x, "k"), 0, 2, 3, 1), g.transposed(part(x, "v"), 0, 2, 1, 3)
	scores := g.op("MatMul", g.op("Mul", q, g.scalar(1/math.Sqrt(float64(head)))), k)
	share := g.node("Softmax", []string{scores}, "", attribute{"axis", -1})
	y := g.reshape(g.transposed(g.op("MatMul", share, v), 0, 2, 1, 3), 0, n.pool())
	return g.linear(y, p+"c_proj.weight", p+"c_proj.bias")
}
