package text_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
	"fewshot/text"
)

// shapes is a checkpoint of zeros.
type shapes map[string][]int

func (s shapes) Names() []string                 { return slices.Sorted(maps.Keys(s)) }
func (s shapes) Shape(name string) ([]int, bool) { v, ok := s[name]; return v, ok }
func (s shapes) Read(string, []float32) error    { return nil }

func checkpoint(vocab, context, width, embed, layers, inner int) shapes {
	s := shapes{
		"token_embedding.weight": {vocab, width}, "positional_embedding": {context, width}, "text_projection": {width, embed},
		"ln_final.weight": {width}, "ln_final.bias": {width},
	}
	for i := range layers {
		block := fmt.Sprintf("transformer.resblocks.%d.", i)
		maps.Copy(s, shapes{
			block + "ln_1.weight": {width}, block + "ln_1.bias": {width}, block + "ln_2.weight": {width}, block + "ln_2.bias": {width},
			block + "attn.in_proj_weight": {3 * width, width}, block + "attn.in_proj_bias": {3 * width},
			block + "attn.out_proj.weight": {width, width}, block + "attn.out_proj.bias": {width},
			block + "mlp.c_fc.weight": {inner, width}, block + "mlp.c_fc.bias": {inner},
			block + "mlp.c_proj.weight": {width, inner}, block + "mlp.c_proj.bias": {width},
		})
	}
	return s
}

func (s shapes) with(name string, shape ...int) shapes {
	s = maps.Clone(s)
	if s[name] = shape; shape == nil {
		delete(s, name)
	}
	return s
}

func TestConfigOf(t *testing.T) {
	got, err := text.ConfigOf(checkpoint(49408, 77, 1280, 1280, 2, 5120), text.Config{Activation: tensor.GELU}) // ViT-bigG/14's
	want := text.Config{Context: 77, Vocab: 49408, Width: 1280, Layers: 2, Heads: 20, MLP: 5120, Embed: 1280, Activation: tensor.GELU}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	got, err = text.ConfigOf(checkpoint(514, 8, 36, 10, 1, 50), text.Config{Heads: 3, Eps: 1e-6})
	want = text.Config{Context: 8, Vocab: 514, Width: 36, Layers: 1, Heads: 3, MLP: 50, Embed: 10, Eps: 1e-6}
	if err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

func TestConfigOfRefuses(t *testing.T) {
	good := checkpoint(514, 8, 64, 32, 2, 256)
	for _, c := range []struct {
		want string
		shapes
		heads int
	}{
		{"no CLIP text encoder", shapes{}, 0},
		{"no blocks", checkpoint(514, 8, 64, 32, 0, 1), 0},
		{"-heads", checkpoint(514, 8, 36, 32, 1, 1), 0},
		{"which 12 attention heads do not divide", good, 12},
		{"positional_embedding is 16777216", good.with("positional_embedding", 1<<24, 64), 0},
		{"positional_embedding is 0", good.with("positional_embedding", 0, 64), 0},
		{"token_embedding.weight is 8589934592", good.with("token_embedding.weight", 1<<33, 0), 0},
		{"text_projection, is 0", good.with("text_projection", 64, 0), 0},
		{"text_projection: has shape [0 32], want [64 32]", good.with("text_projection", 0, 32), 0},
		{"ln_final.bias: missing", good.with("ln_final.bias"), 0},
		{"resblocks.1.mlp.c_fc.weight: has shape [255 64], want [256 64]", good.with("transformer.resblocks.1.mlp.c_fc.weight", 255, 64), 0},
	} {
		if got, err := text.ConfigOf(c.shapes, text.Config{Heads: c.heads}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %+v, %v, want an error with %q", got, err, c.want)
		}
	}
}

// Tokens that a configuration names have to be in the vocabulary.
func TestConfigOfTokens(t *testing.T) {
	good := checkpoint(514, 8, 64, 32, 1, 256)
	for _, c := range []struct {
		text.Config
		want string
	}{
		{text.Config{Pool: text.PoolLast, Pad: 514}, "padded with token 514 of a vocabulary of 514"},
		{text.Config{Full: true, Pad: -1}, "padded with token -1"},
		{text.Config{Pool: text.PoolEOS, EOS: 514}, "end with token 514"},
		{text.Config{Pool: text.PoolEOS, EOS: 513, Pad: 9999}, ""},
		{text.Config{Pool: text.PoolLast, Full: true, Pad: 1}, ""},
	} {
		if _, err := text.ConfigOf(good, c.Config); (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%+v: %v, want %q", c.Config, err, c.want)
		}
	}
}

// FuzzConfigOf takes a checkpoint that may be in order and gives one of its tensors another shape. What is accepted
// can be built, and encodes a text where that is small.
func FuzzConfigOf(f *testing.F) {
	f.Add(514, 8, 64, 32, 2, 256, 0, uint(99), 0, 0, byte(0), int32(0))
	f.Add(520, 3, 36, 10, 1, 50, 4, uint(99), 0, 0, byte(1|4|8|16), int32(1)) // SigLIP's
	f.Add(520, 3, 36, 10, 1, 50, 4, uint(99), 0, 0, byte(2), int32(519))
	f.Add(514, 8, 64, 32, 2, 256, 12, uint(3), 0, 1<<33, byte(0), int32(0))
	f.Add(514, 1<<30, 64, 32, 2, 256, 1, uint(1), -1, 0, byte(3), int32(7))
	f.Add(520, 3, 36, 10, 1, 50, 4, uint(99), 0, 0, byte(1), int32(603)) // a token that the vocabulary lacks
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { dev.Close() })
	f.Fuzz(func(t *testing.T, vocab, context, width, embed, layers, inner, heads int, at uint, axis, length int, relative byte, token int32) {
		layers %= 4
		s := checkpoint(vocab, context, width, embed, layers, inner)
		within := func(n, least, most int) bool { return least <= n && n <= most }
		ordinary := at >= uint(len(s)) && within(vocab, 1, 1<<20) && within(context, 1, 512) && within(width, 64, 512) && width%64 == 0 &&
			within(embed, 1, 512) && layers > 0 && within(inner, 1, 4096) && heads == 0
		// A relative of CLIP's: where the feature is read, what positions see, and how it is projected.
		known := text.Config{Heads: heads, Pool: []text.Pool{text.PoolLargest, text.PoolLast, text.PoolEOS, text.PoolFirst}[relative&3],
			EOS: token, Pad: token, Full: relative&4 != 0, NoProj: relative&8 != 0}
		ordinary = ordinary && relative == 0
		if relative&16 != 0 {
			s["text_projection.bias"] = []int{embed}
		}
		if known.NoProj {
			delete(s, "text_projection")
			s["text_projection.bias"] = []int{width}
		}
		if names := s.Names(); at < uint(len(names)) {
			name := names[at]
			if shape := slices.Clone(s[name]); axis >= 0 && axis < len(shape) {
				shape[axis] = length
				s[name] = shape
			} else {
				delete(s, name)
			}
		}
		c, err := text.ConfigOf(s, known)
		if err != nil {
			if ordinary || len(err.Error()) > 1<<13 {
				t.Fatalf("%+v: %.1000v", s, err)
			}
			return
		}
		if min(c.Width, c.Vocab, c.Context, c.Embed, c.Layers, c.MLP, c.Heads) < 1 || c.Width%c.Heads != 0 ||
			max(c.Width, c.Embed, c.MLP/8) > nn.MaxWidth || c.Context > nn.MaxTokens || c.Vocab > nn.MaxVocab {
			t.Fatalf("accepted %+v", c)
		}
		if max(c.Width, c.Embed, c.MLP) > 64 || c.Vocab > 1024 || c.Context > 64 {
			return
		}
		w := nn.NewWeights(dev, s)
		e := text.New(w, c)
		if err := w.Err(); err != nil {
			t.Fatal(err)
		}
		tape := autograd.NoGrad(dev)
		if n := e.Encode(tape, [][]int32{[]int32{0, int32(c.Vocab - 1)}[:min(2, c.Context)]}).Value.Len(); n != c.Embed {
			t.Fatalf("a feature of %d: %+v", n, c)
		}
		tape.Release()
		for _, p := range w.Params() {
			p.Value.Release()
		}
	})
}
