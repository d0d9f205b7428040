package tests

import (
	"fmt"
	"maps"
	"slices"

	"fewshot/tensor"
	"fewshot/vit"
)

// encoders are the sizes of OpenAI's vision transformers.
var encoders = []struct {
	name string
	vit.Config
}{
	{"ViT-B-32", vit.Config{ImageSize: 224, Patch: 32, Width: 768, Layers: 12, Heads: 12, Embed: 512}},
	{"ViT-B-16", vit.Config{ImageSize: 224, Patch: 16, Width: 768, Layers: 12, Heads: 12, Embed: 512}},
	{"ViT-L-14", vit.Config{ImageSize: 224, Patch: 14, Width: 1024, Layers: 24, Heads: 16, Embed: 768}},
}

// randomViT is a nn.Source of small random weights for a vision transformer.
func randomViT(c vit.Config) shapes {
	grid := c.ImageSize / c.Patch
	s := shapes{
		"visual.conv1.weight": {c.Width, 3, c.Patch, c.Patch}, "visual.class_embedding": {c.Width},
		"visual.positional_embedding": {grid*grid + 1, c.Width}, "visual.proj": {c.Width, c.Embed},
		"visual.ln_pre.weight": {c.Width}, "visual.ln_pre.bias": {c.Width}, "visual.ln_post.weight": {c.Width}, "visual.ln_post.bias": {c.Width},
	}
	for i := range c.Layers {
		s.block(fmt.Sprintf("visual.transformer.resblocks.%d.", i), c.Width)
	}
	return s
}

// shapes are tensors by name, with random values.
type shapes map[string][]int

// block adds the tensors of a transformer block.
func (s shapes) block(path string, width int) {
	for name, shape := range map[string][]int{
		"attn.in_proj_weight": {3 * width, width}, "attn.in_proj_bias": {3 * width},
		"attn.out_proj.weight": {width, width}, "attn.out_proj.bias": {width},
		"ln_1.weight": {width}, "ln_1.bias": {width}, "ln_2.weight": {width}, "ln_2.bias": {width},
		"mlp.c_fc.weight": {4 * width, width}, "mlp.c_fc.bias": {4 * width},
		"mlp.c_proj.weight": {width, 4 * width}, "mlp.c_proj.bias": {width},
	} {
		s[path+name] = shape
	}
}

// Names lists them, sorted.
func (s shapes) Names() []string { return slices.Sorted(maps.Keys(s)) }

// Shape is that of a tensor.
func (s shapes) Shape(name string) ([]int, bool) {
	shape, ok := s[name]
	return shape, ok
}

// Read fills dst with numbers of standard deviation 0.02, as the models are started with.
func (s shapes) Read(name string, dst []float32) error {
	const spread = 0.02 * 3.4641016 // a uniform number's standard deviation is 1/√12
	key := tensor.NewKey(7).Name(name)
	for i := 0; i < len(dst); i += 4 {
		for j, w := range key.Block(uint64(i / 4)) {
			if i+j < len(dst) {
				dst[i+j] = float32((tensor.Unit(w) - 0.5) * spread)
			}
		}
	}
	return nil
}
