package vit

import (
	"errors"
	"fmt"
	"math"

	"fewshot/nn"
	"fewshot/tensor"
)

// Config are the sizes and settings of a vision transformer.
type Config struct {
	ImageSize  int // side of the square input, in pixels
	Patch      int // side of a patch, in pixels
	Width      int
	Layers     int
	Heads      int // of Width/Heads each
	MLP        int // width inside the MLPs; 0 for four times Width
	Embed      int // length of the image feature
	Activation tensor.Activation
	Eps        float64 // of the layer norms; 0 for 1e-5

	// What CLIP's relatives have otherwise.
	Pool      Pool
	PoolHeads int  // of the learned query's attention; for PoolMAP 0 is Heads
	PoolMLP   int  // width inside PoolMAP's MLP; 0 is MLP
	Queries   int  // of PoolQuery
	NormLast  bool // ln_post is of the pooled token, not of all before; the same for PoolToken
	NoClass   bool // no class token
	NoPre     bool // no ln_pre
	PatchBias bool // the patch embedding has one
	NoProj    bool // the pooled token is the feature
	ProjBias  bool // the projection has one
	PostNorm  bool // in blocks, norms are of what attention and MLP make
	Rotary    nn.RotaryConfig
}

// Pool says what of the tokens becomes the feature.
type Pool string

const (
	PoolToken   Pool = ""      // the class token
	PoolAverage Pool = "avg"   // the mean of all tokens but the class token
	PoolMAP     Pool = "map"   // a learned query's attention to all of them, then an MLP (SigLIP)
	PoolQuery   Pool = "query" // the first of learned queries' attention to all of them, of the feature's width (CoCa)
)

// HeadSize is the width of the attention heads in all of OpenAI's models and most others.
const HeadSize = 64

// ConfigOf completes c with the sizes that the shapes of a checkpoint with OpenAI's names tell, as CLIP's own loader
// does. Activation, Heads and Eps leave no trace in the shapes: the caller has to know them. Where Heads is 0 it is
// the number that every released model of that width has, and an error where there is none.
//
// A Config that is returned without error has bounded sizes that fit each other, and every tensor that [New] will ask
// for is there with its shape: nothing larger than the checkpoint's tensors is ever allocated on its word.
func ConfigOf(s nn.Shapes, c Config) (Config, error) {
	for _, complete := range []func(*Config, nn.Shapes) error{(*Config).setSizes, (*Config).setGrid, (*Config).setHeads, (*Config).setPool} {
		if err := complete(&c, s); err != nil {
			return Config{}, err
		}
	}
	w := nn.NewCheck(s)
	New(w, c)
	return c, w.Err()
}

// setSizes reads the widths, the number of blocks, and which of the optional tensors there are.
func (c *Config) setSizes(s nn.Shapes) error {
	conv, _ := s.Shape("visual.conv1.weight")
	pos, _ := s.Shape("visual.positional_embedding")
	proj, ok := s.Shape("visual.proj")
	if c.NoProj = c.Pool == PoolMAP && !ok; c.NoProj && len(conv) > 0 {
		proj, ok = []int{conv[0], conv[0]}, true
	}
	if !ok {
		if _, resnet := s.Shape("visual.layer1.0.conv1.weight"); resnet {
			return errors.New("the image encoder is a ResNet, no vision transformer")
		}
		if len(conv) > 0 {
			return errors.New("no visual.proj: nothing makes features of tokens, as in transformers' CLIPVisionModel; " +
				"a CLIPModel or CLIPVisionModelWithProjection has it")
		}
		return errors.New("no visual.proj: this is no CLIP with a vision transformer")
	}
	if len(proj) != 2 || len(conv) != 4 || conv[1] != 3 || conv[2] != conv[3] || len(pos) != 2 || pos[0] < 1 {
		return fmt.Errorf("visual.conv1.weight %v, visual.positional_embedding %v, visual.proj %v are no vision transformer's", conv, pos, proj)
	}
	c.Patch, c.Width, c.Embed = conv[2], conv[0], proj[1]
	c.Layers, c.MLP = nn.Blocks(s, "visual.transformer.")
	if c.Layers == 0 {
		return errors.New("no visual.transformer.resblocks.0: the vision transformer has no blocks")
	}
	has := func(name string) bool { _, ok := s.Shape("visual." + name); return ok }
	c.NoClass, c.NoPre = !has("class_embedding"), !has("ln_pre.weight")
	c.PatchBias, c.ProjBias = has("conv1.bias"), has("proj.bias")
	return nn.Within(
		nn.Size{Name: "the rows of visual.positional_embedding", Value: pos[0], Max: nn.MaxTokens},
		nn.Size{Name: "the patch size of visual.conv1.weight", Value: c.Patch, Max: nn.MaxImage},
		nn.Size{Name: "the width of visual.conv1.weight", Value: c.Width, Max: nn.MaxWidth},
		nn.Size{Name: "the length of features, in visual.proj,", Value: c.Embed, Max: nn.MaxWidth},
		nn.Size{Name: "the width inside visual.transformer.resblocks.0.mlp", Value: c.MLP, Max: 8 * nn.MaxWidth},
		nn.Size{Name: "the number of blocks of visual.transformer", Value: c.Layers, Max: nn.MaxLayers},
	)
}

// setGrid makes the size of images that of the grid of positions, or checks it.
func (c *Config) setGrid(s nn.Shapes) error {
	pos, _ := s.Shape("visual.positional_embedding")
	patches, also := pos[0], ""
	if !c.NoClass {
		patches, also = patches-1, " and a class token"
	}
	grid := int(math.Round(math.Sqrt(float64(patches))))
	if grid*grid != patches || grid == 0 {
		return fmt.Errorf("visual.positional_embedding has %d rows, which is no square grid%s", pos[0], also)
	}
	// The convolution drops what is left of a picture at the right and at the bottom.
	if c.ImageSize == 0 {
		c.ImageSize = c.Patch * grid
	} else if c.ImageSize/c.Patch != grid {
		return fmt.Errorf("visual.positional_embedding is for %d×%d patches of %d pixels, the configuration for pictures of %d",
			grid, grid, c.Patch, c.ImageSize)
	}
	return nn.Within(nn.Size{Name: fmt.Sprintf("the side of a picture of %d×%d patches of %d pixels", grid, grid, c.Patch),
		Value: c.ImageSize, Max: nn.MaxImage})
}

// setHeads finds the number of attention heads where it is not given, and checks it and the rotary positions in heads.
func (c *Config) setHeads(nn.Shapes) error {
	if c.Heads == 0 {
		if c.Heads = usualHeads(c.Width); c.Heads == 0 {
			return fmt.Errorf("the image encoder is %d wide, and weights alone do not say how many attention heads that is: "+
				"give the model's folder, with its configuration, or the number with -heads", c.Width)
		}
	}
	if err := nn.HeadsOf("image", c.Heads, c.Width); err != nil || c.Rotary.Ref == 0 {
		return err
	}
	if c.Width/c.Heads%4 != 0 {
		return fmt.Errorf("attention heads are %d wide, which rotary positions of two dimensions want to be a multiple of 4", c.Width/c.Heads)
	}
	return nn.Within(nn.Size{Name: "the grid of rotary positions", Value: c.Rotary.Ref, Max: nn.MaxTokens})
}

// setPool reads the sizes of what pools by learned queries.
func (c *Config) setPool(s nn.Shapes) error {
	queries, ok := s.Shape("visual.attn_pool.query")
	switch {
	case ok && c.Pool != PoolQuery:
		return errors.New("visual.attn_pool.query: learned queries pool the tokens, as CoCa's do, which no configuration says: " +
			"give the model's folder, with its configuration")
	case !ok && c.Pool == PoolQuery:
		return errors.New("no visual.attn_pool.query: the configuration, by which learned queries pool the tokens, is another model's")
	case c.Pool == PoolMAP:
		return c.setMAP(s)
	case !ok:
		return nil
	}
	if proj, _ := s.Shape("visual.proj"); len(queries) != 2 || len(proj) != 2 || queries[1] != c.Embed || proj[0] != c.Embed {
		return fmt.Errorf("visual.attn_pool.query %v and visual.proj %v are not of one width", queries, proj)
	}
	if c.Queries = queries[0]; c.PoolHeads < 1 || c.Embed%c.PoolHeads != 0 {
		return fmt.Errorf("the pooling queries are %d wide, which %d attention heads do not divide", c.Embed, c.PoolHeads)
	}
	return nn.Within(nn.Size{Name: "the rows of visual.attn_pool.query", Value: c.Queries, Max: nn.MaxTokens})
}

// setMAP checks the heads of PoolMAP, and reads the width of its MLP where that is its own.
func (c *Config) setMAP(s nn.Shapes) error {
	if c.PoolHeads != 0 {
		if err := nn.HeadsOf("image", c.PoolHeads, c.Width); err != nil {
			return err
		}
	}
	fc, _ := s.Shape("visual.attn_pool.mlp.c_fc.weight")
	if len(fc) != 2 || fc[0] == c.MLP {
		return nil
	}
	c.PoolMLP = fc[0]
	return nn.Within(nn.Size{Name: "the width inside visual.attn_pool.mlp", Value: c.PoolMLP, Max: 8 * nn.MaxWidth})
}

// usualHeads is the number of heads that models of a width have: sixteen in open_clip's ViT-H, g, bigG and e, whose
// heads are wider than 64, one for every 64 channels in all others. 0 if no model is known.
func usualHeads(width int) int {
	switch {
	case width == 1280, width == 1408, width == 1664, width == 1792:
		return 16
	case width%HeadSize == 0:
		return width / HeadSize
	}
	return 0
}
