package vit

import (
	"fmt"
	"math"

	"fewshot/tensor"
)

// Config are the sizes of a vision transformer.
type Config struct {
	ImageSize  int // side of the square input, in pixels
	Patch      int // side of a patch, in pixels
	Width      int
	Layers     int
	Heads      int // of HeadSize each
	Embed      int // length of the image feature
	Activation tensor.Activation
}

// HeadSize is the width of every attention head in every released CLIP.
const HeadSize = 64

// Shapes is what ConfigOf needs of a checkpoint.
type Shapes interface {
	Shape(name string) (shape []int, ok bool)
}

// ConfigOf reads the sizes off the shapes of a checkpoint with OpenAI's names, as CLIP's own loader does. The
// activation leaves no trace in the weights: the caller must know it.
func ConfigOf(s Shapes, a tensor.Activation) (Config, error) {
	proj, ok := s.Shape("visual.proj")
	if !ok {
		if _, resnet := s.Shape("visual.layer1.0.conv1.weight"); resnet {
			return Config{}, fmt.Errorf("the image encoder is a ResNet; this build runs vision transformers")
		}
		return Config{}, fmt.Errorf("no visual.proj: this is no CLIP with a vision transformer")
	}
	conv, _ := s.Shape("visual.conv1.weight")
	pos, _ := s.Shape("visual.positional_embedding")
	if len(proj) != 2 || len(conv) != 4 || conv[1] != 3 || conv[2] != conv[3] || len(pos) != 2 || conv[2] == 0 {
		return Config{}, fmt.Errorf("visual.conv1.weight %v, visual.positional_embedding %v, visual.proj %v are no vision transformer's", conv, pos, proj)
	}
	c := Config{Patch: conv[2], Width: conv[0], Heads: conv[0] / HeadSize, Embed: proj[1], Activation: a}
	grid := int(math.Round(math.Sqrt(float64(pos[0] - 1))))
	if grid*grid+1 != pos[0] || grid == 0 {
		return Config{}, fmt.Errorf("visual.positional_embedding has %d rows, which is no square grid and a class token", pos[0])
	}
	if c.Width == 0 || c.Width%HeadSize != 0 {
		return Config{}, fmt.Errorf("visual.conv1.weight has width %d, want a multiple of %d", c.Width, HeadSize)
	}
	c.ImageSize = c.Patch * grid
	for {
		if _, ok := s.Shape(fmt.Sprintf("visual.transformer.resblocks.%d.attn.in_proj_weight", c.Layers)); !ok {
			break
		}
		c.Layers++
	}
	if c.Layers == 0 {
		return Config{}, fmt.Errorf("no visual.transformer.resblocks.0: the vision transformer has no blocks")
	}
	return c, nil
}
