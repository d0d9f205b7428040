package tests

import (
	"maps"
	"slices"

	"fewshot/tensor"
)

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
