package main

import (
	"cmp"
	"fmt"
	"io"

	"fewshot/nn/checkpoint"
	"fewshot/rmt/clip"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

// modelInfo describes a CLIP checkpoint.
type modelInfo struct {
	Kind       string     `json:"kind"` // model
	Path       string     `json:"path"`
	Format     string     `json:"format"`
	Dialect    string     `json:"dialect"`
	Activation string     `json:"activation"` // "" if the checkpoint does not say
	Tensors    int        `json:"tensors"`
	Parameters int        `json:"parameters"`
	Digest     string     `json:"digest,omitempty"` // with -digest
	Image      *imageInfo `json:"image,omitempty"`
	Text       *textInfo  `json:"text,omitempty"`
	// Preprocessing is how images are prepared, Prepared whether the checkpoint says so itself.
	Preprocessing *checkpoint.Preprocessing `json:"preprocessing,omitempty"`
	Prepared      bool                      `json:"preprocessing_said"`
	// Problem is why this build cannot run the image encoder.
	Problem    string `json:"problem,omitempty"`
	Vocabulary string `json:"vocabulary,omitempty"`
}

// imageInfo describes an image encoder. A transformer has patches and layers; a ResNet has blocks by stage, the width
// of the first stage and the heads of its attention pool.
type imageInfo struct {
	Name   string `json:"name"`
	Size   int    `json:"image_size"`
	Patch  int    `json:"patch,omitempty"`
	Width  int    `json:"width"`
	Layers int    `json:"layers"` // or blocks, of all stages
	Blocks []int  `json:"blocks,omitempty"`
	Heads  int    `json:"heads"`
	Embed  int    `json:"embed"`
}

func imageInfoOf(arch vit.Arch) *imageInfo {
	s := arch.Sizes()
	i := &imageInfo{Name: arch.Name(), Size: s.Image, Heads: s.Heads, Embed: s.Embed}
	switch c := arch.(type) {
	case vit.Config:
		i.Patch, i.Width, i.Layers = c.Patch, c.Width, c.Layers
	case vit.ResNetConfig:
		i.Width, i.Blocks = c.Width, c.Layers[:]
		for _, n := range c.Layers {
			i.Layers += n
		}
	}
	return i
}

// String is a line for people.
func (i *imageInfo) String() string {
	if i.Blocks != nil {
		return fmt.Sprintf("%s, %d×%d pixels, %v blocks, width %d in the first stage, attention pool of %d heads, feature of %d",
			i.Name, i.Size, i.Size, i.Blocks, i.Width, i.Heads, i.Embed)
	}
	return fmt.Sprintf("%s, %d×%d pixels in patches of %d, width %d, %d layers, %d heads, feature of %d", i.Name, i.Size, i.Size, i.Patch, i.Width, i.Layers, i.Heads, i.Embed)
}

type textInfo struct {
	Context int `json:"context"`
	Vocab   int `json:"vocab"`
	Width   int `json:"width"`
	Layers  int `json:"layers"`
	Heads   int `json:"heads"`
	Embed   int `json:"embed"`
}

func (m *modelFlags) describeModel() (description, error) {
	src, err := m.Source()
	if err != nil {
		return nil, err
	}
	defer src.Close()
	r := &modelInfo{Kind: "model", Path: m.Path, Format: src.Format(), Dialect: src.Dialect(), Activation: src.Activation(), Tensors: len(src.Names()),
		Vocabulary: cmp.Or(src.Vocabulary().Merges, src.Vocabulary().Tokenizer)}
	if m.Path == clip.Embedded {
		r.Vocabulary = clip.Embedded
	}
	for _, name := range src.Names() {
		shape, _ := src.Shape(name)
		r.Parameters += tensor.Len(shape)
	}
	imageHeads, textHeads, err := m.HeadsOf(src)
	if err != nil {
		return nil, err
	}
	image, texts := vit.Known(src.Settings(), tensor.QuickGELU), text.Known(src.Settings(), tensor.QuickGELU)
	image.Heads, texts.Heads = imageHeads, textHeads
	_, transformer := src.Shape("visual.transformer.resblocks.0.ln_1.weight")
	_, net := src.Shape("visual.layer1.0.conv1.weight")
	if !transformer && !net { // images are not a part of it
		_, err := vit.ArchOf(src, vit.Config{})
		r.Problem = err.Error()
	} else {
		arch, words, err := clip.Config{Image: image, Text: texts}.Sizes(src)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", m.Path, err)
		}
		p, said := src.Preprocessing()
		if p, err = p.For(arch.Sizes().Image); err != nil {
			return nil, fmt.Errorf("%s: %w", m.Path, err)
		}
		r.Preprocessing, r.Prepared = &p, said
		r.Image = imageInfoOf(arch)
		if words != nil {
			r.Text = &textInfo{words.Context, words.Vocab, words.Width, words.Layers, words.Heads, words.Embed}
		}
	}
	if r.Image == nil {
		if _, ok := src.Shape("token_embedding.weight"); ok {
			c, err := text.ConfigOf(src, text.Config{Heads: textHeads})
			if err != nil {
				return nil, fmt.Errorf("%s: %w", m.Path, err)
			}
			r.Text = &textInfo{c.Context, c.Vocab, c.Width, c.Layers, c.Heads, c.Embed}
		}
	}
	if m.digest {
		if r.Digest, err = src.Digest(); err != nil {
			return nil, err
		}
	}
	return r, nil
}

func (r *modelInfo) print(w io.Writer) {
	fmt.Fprintf(w, "%s: CLIP model\n", r.Path)
	line := func(name, format string, a ...any) { fmt.Fprintf(w, "  %-11s %s\n", name, fmt.Sprintf(format, a...)) }
	line("format", "%s, names as in %s", r.Format, r.Dialect)
	line("parameters", "%d in %d tensors", r.Parameters, r.Tensors)
	line("activation", "%s", cmp.Or(r.Activation, "not said; OpenAI's models have quickgelu, most of open_clip's own gelu"))
	if c := r.Image; c != nil {
		line("image", "%s", c)
	} else {
		line("image", "%s", r.Problem)
	}
	if p := r.Preprocessing; p != nil {
		resize := fmt.Sprintf("shorter side to %d", p.Resize)
		if p.Mode == checkpoint.ResizeSquash {
			resize = fmt.Sprintf("both sides to %d", p.Resize)
		}
		line("pixels", "%s (%s), centre of %d cut out, mean %v, std %v", resize, p.Interpolation, p.Size, p.Mean, p.Std)
		if !r.Prepared {
			line("", "not said by the checkpoint; as OpenAI's models and most others")
		}
	}
	if c := r.Text; c != nil {
		line("text", "up to %d of %d tokens, width %d, %d layers, %d heads, feature of %d", c.Context, c.Vocab, c.Width, c.Layers, c.Heads, c.Embed)
		line("vocabulary", "%s", cmp.Or(r.Vocabulary, "none found beside it; give one with -vocab"))
	} else {
		line("text", "none: images only")
	}
	line("digest", "%s", cmp.Or(r.Digest, "not computed, as all weights have to be read for it; ask with -digest"))
}
