package nn

import "fmt"

// The largest sizes of an encoder. What a file claims is bounded by what it holds, but some sizes are products of two
// such claims (patch and grid make the picture), and the largest model there is stays far below: 2,560 wide, 63
// layers, pictures of 1,024 pixels, some 5,000 tokens.
const (
	MaxWidth  = 1 << 14 // of tokens, features and heads
	MaxLayers = 1 << 10
	MaxTokens = 1 << 14 // of a picture or a text
	MaxImage  = 1 << 12 // side of a picture, in pixels
	MaxVocab  = 1 << 22
)

// Within is an error unless each of the sizes, given as name, value and bound, is from 1 to its bound.
func Within(sizes ...Size) error {
	for _, s := range sizes {
		if s.Value < 1 || s.Value > s.Max {
			return fmt.Errorf("%s is %d; models have from 1 to %d", s.Name, s.Value, s.Max)
		}
	}
	return nil
}

// Size is a number with its name and bound.
type Size struct {
	Name       string
	Value, Max int
}

// HeadsOf checks a number of attention heads that a configuration or a flag gives, against a width that the tensors
// have.
func HeadsOf(encoder string, heads, width int) error {
	if heads < 1 || heads > width || width%heads != 0 {
		return fmt.Errorf("the %s encoder is %d wide, which %d attention heads do not divide; the number in the configuration, or in -heads, "+
			"is another model's", encoder, width, heads)
	}
	return nil
}

// Blocks counts the transformer blocks of a checkpoint below a prefix, and gives the width inside their MLPs.
func Blocks(s Shapes, prefix string) (layers, inner int) {
	for layers <= MaxLayers {
		if _, ok := s.Shape(fmt.Sprintf("%sresblocks.%d.attn.in_proj_weight", prefix, layers)); !ok {
			break
		}
		layers++
	}
	if fc, _ := s.Shape(prefix + "resblocks.0.mlp.c_fc.weight"); len(fc) == 2 {
		inner = fc[0]
	}
	return layers, inner
}
