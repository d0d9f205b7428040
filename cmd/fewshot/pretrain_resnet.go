package main

import (
	"fmt"
	"math"
	"slices"
	"strings"

	"fewshot/nn"
	"fewshot/rmt/clip"
)

// resNetShapes adds the tensors of a small modified ResNet, under OpenAI's names.
func (c pretrainConfig) resNetShapes(s map[string][]int) {
	conv := func(conv, norm string, in, out, size int) {
		s["visual."+conv+".weight"] = []int{out, in, size, size}
		for _, name := range []string{"weight", "bias", "running_mean", "running_var"} {
			s["visual."+norm+"."+name] = []int{out}
		}
	}
	half := c.Stem / 2
	conv("conv1", "bn1", 3, half, 3)
	conv("conv2", "bn2", half, half, 3)
	conv("conv3", "bn3", half, c.Stem, 3)
	in := c.Stem
	for i, blocks := range c.Blocks {
		inside := c.Stem << i
		for j := range blocks {
			p := fmt.Sprintf("layer%d.%d.", i+1, j)
			conv(p+"conv1", p+"bn1", in, inside, 1)
			conv(p+"conv2", p+"bn2", inside, inside, 3)
			conv(p+"conv3", p+"bn3", inside, 4*inside, 1)
			if j == 0 {
				conv(p+"downsample.0", p+"downsample.1", in, 4*inside, 1)
			}
			in = 4 * inside
		}
	}
	grid := c.Side / 32
	s["visual.attnpool.positional_embedding"] = []int{grid*grid + 1, in}
	for name, out := range map[string]int{"q_proj": in, "k_proj": in, "v_proj": in, "c_proj": c.Embed} {
		s["visual.attnpool."+name+".weight"], s["visual.attnpool."+name+".bias"] = []int{out, in}, []int{out}
	}
}

// readResNet draws initial weights of the image tower. Batch norms have the statistics of standard normal inputs and
// keep them, as the encoder knows no others: convolutions are drawn so that this is about true (He et al. 2015), and
// blocks begin as their shortcuts, with a gain of 0 in the last norm, as in CLIP.
func (s initial) readResNet(name string, dst []float32) error {
	shape := s.shapes[name]
	std, mean := 0.0, 0.0
	switch last := name[strings.LastIndexByte(name, '.')+1:]; {
	case last == "bias" || last == "running_mean":
	case last == "running_var":
		mean = 1
	case last == "positional_embedding":
		std = math.Pow(float64(shape[1]), -0.5)
	case len(shape) == 1:
		if mean = 1; strings.HasPrefix(name, "visual.layer") && strings.HasSuffix(name, ".bn3.weight") {
			mean = 0
		}
	case len(shape) == 2:
		std = math.Pow(float64(shape[1]), -0.5)
	default:
		gain := 2.0 // of half the inputs, which a ReLU lets through, the other half is missing
		if strings.Contains(name, "downsample") {
			gain = 1
		}
		std = math.Sqrt(gain / float64(shape[1]*shape[2]*shape[3]))
	}
	normals(dst, s.key.Name(name), mean, std)
	return nil
}

// fixed are parts of names of what pre-training does not change: the statistics of batch norms, and a bias without influence.
var fixed = []string{".running_mean", ".running_var", "attnpool.k_proj.bias"}

// trained are the parameters that pre-training changes.
func (c pretrainConfig) trained(m *clip.CLIP) []*nn.Param {
	return slices.DeleteFunc(slices.Clone(m.Weights.Params()), func(p *nn.Param) bool {
		return slices.ContainsFunc(fixed, func(end string) bool { return strings.HasSuffix(p.Name, end) })
	})
}
