package text

import (
	"errors"
	"fmt"

	"fewshot/nn"
	"fewshot/tensor"
)

// Config are the sizes and settings of a text encoder.
type Config struct {
	Context    int // most tokens a text may have, start and end included
	Vocab      int
	Width      int
	Layers     int
	Heads      int // of Width/Heads each
	MLP        int // width inside the MLPs; 0 for four times Width
	Embed      int // length of the text feature
	Activation tensor.Activation
	Eps        float64 // of the layer norms; 0 for 1e-5

	// What CLIP's relatives have otherwise.
	Pool     Pool
	EOS      int32 // the end-of-text token, for PoolEOS
	Full     bool  // every position sees every other, padding too: no causal mask
	Pad      int32 // what texts are padded with to Context, where that has an influence
	NoProj   bool  // the pooled token is the feature
	ProjBias bool  // the projection has one
	CLS      bool  // a token of its own stands behind the context, and its feature is the text's (CoCa)
}

// Pool says which token becomes the feature.
type Pool string

const (
	PoolLargest Pool = ""      // the first of the largest id, which in CLIP's vocabulary ends a text
	PoolEOS     Pool = "eos"   // the first that is EOS; the first of all where none is
	PoolLast    Pool = "last"  // the last of the context
	PoolFirst   Pool = "first" // the first
)

// ConfigOf completes c with the sizes that the shapes of a checkpoint with OpenAI's names tell. Activation, Heads and
// Eps leave no trace in the shapes: the caller has to know them. Heads of 0 are one for every 64 channels, as in
// every released model.
//
// A Config that is returned without error has bounded sizes that fit each other, and every tensor that [New] will ask
// for is there with its shape.
func ConfigOf(s nn.Shapes, c Config) (Config, error) {
	pos, _ := s.Shape("positional_embedding")
	table, _ := s.Shape("token_embedding.weight")
	proj, ok := s.Shape("text_projection")
	if c.NoProj = !ok && c.NoProj; c.NoProj && len(pos) == 2 {
		proj = []int{pos[1], pos[1]}
	}
	_, c.ProjBias = s.Shape("text_projection.bias")
	if len(pos) != 2 || len(table) != 2 || len(proj) != 2 {
		return Config{}, fmt.Errorf("positional_embedding %v, token_embedding.weight %v, text_projection %v are no CLIP text encoder's", pos, table, proj)
	}
	switch _, cls := s.Shape("cls_emb"); {
	case cls && !c.CLS:
		return Config{}, errors.New("cls_emb: a token of its own stands behind every text, as in CoCa, which no configuration says: " +
			"give the model's folder, with its configuration")
	case !cls && c.CLS:
		return Config{}, errors.New("no cls_emb: the configuration, by which a token of its own stands behind every text, is another model's")
	}
	c.Context, c.Vocab, c.Width, c.Embed = pos[0], table[0], pos[1], proj[1]
	if c.CLS {
		if c.Full {
			return Config{}, errors.New("a token behind every text, where every position sees all: no model is known that has it so")
		}
		c.Context-- // the token's own
	}
	c.Layers, c.MLP = nn.Blocks(s, "transformer.")
	if c.Layers == 0 {
		return Config{}, errors.New("no transformer.resblocks.0: the text encoder has no blocks")
	}
	if err := nn.Within(
		nn.Size{Name: "the rows of positional_embedding", Value: c.Context, Max: nn.MaxTokens},
		nn.Size{Name: "the rows of token_embedding.weight", Value: c.Vocab, Max: nn.MaxVocab},
		nn.Size{Name: "the width of positional_embedding", Value: c.Width, Max: nn.MaxWidth},
		nn.Size{Name: "the length of features, in text_projection,", Value: c.Embed, Max: nn.MaxWidth},
		nn.Size{Name: "the width inside transformer.resblocks.0.mlp", Value: c.MLP, Max: 8 * nn.MaxWidth},
		nn.Size{Name: "the number of blocks of transformer", Value: c.Layers, Max: nn.MaxLayers},
	); err != nil {
		return Config{}, err
	}
	if c.Heads == 0 {
		const headSize = 64
		if c.Heads = c.Width / headSize; c.Width%headSize != 0 {
			return Config{}, fmt.Errorf("the text encoder is %d wide, and weights alone do not say how many attention heads that is: "+
				"give the model's folder, with its configuration, or the numbers with -heads image,text", c.Width)
		}
	}
	if err := nn.HeadsOf("text", c.Heads, c.Width); err != nil {
		return Config{}, err
	}
	if (c.Full || c.CLS || c.Pool == PoolLast) && (c.Pad < 0 || int(c.Pad) >= c.Vocab) {
		return Config{}, fmt.Errorf("texts are padded with token %d of a vocabulary of %d", c.Pad, c.Vocab)
	}
	if c.Pool == PoolEOS && (c.EOS < 0 || int(c.EOS) >= c.Vocab) {
		return Config{}, fmt.Errorf("texts end with token %d of a vocabulary of %d", c.EOS, c.Vocab)
	}
	w := nn.NewCheck(s)
	New(w, c)
	return c, w.Err()
}
