package vit_test

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/tensor"
	"fewshot/vit"
)

// shapes is a checkpoint of zeros.
type shapes map[string][]int

func (s shapes) Names() []string                 { return slices.Sorted(maps.Keys(s)) }
func (s shapes) Shape(name string) ([]int, bool) { v, ok := s[name]; return v, ok }
func (s shapes) Read(string, []float32) error    { return nil }

func checkpoint(width, patch, rows, embed, layers, inner int) shapes {
	s := shapes{
		"visual.proj": {width, embed}, "visual.conv1.weight": {width, 3, patch, patch}, "visual.positional_embedding": {rows, width},
		"visual.class_embedding": {width},
	}
	norm := func(name string) { s[name+".weight"], s[name+".bias"] = []int{width}, []int{width} }
	norm("visual.ln_pre")
	norm("visual.ln_post")
	for i := range layers {
		block := fmt.Sprintf("visual.transformer.resblocks.%d.", i)
		norm(block + "ln_1")
		norm(block + "ln_2")
		maps.Copy(s, shapes{
			block + "attn.in_proj_weight": {3 * width, width}, block + "attn.in_proj_bias": {3 * width},
			block + "attn.out_proj.weight": {width, width}, block + "attn.out_proj.bias": {width},
			block + "mlp.c_fc.weight": {inner, width}, block + "mlp.c_fc.bias": {inner},
			block + "mlp.c_proj.weight": {width, inner}, block + "mlp.c_proj.bias": {width},
		})
	}
	return s
}

// pool adds attention pooling.
func (s shapes) pool(width, inner int) {
	maps.Copy(s, shapes{
		"visual.attn_pool.probe": {1, width}, "visual.attn_pool.ln.weight": {width}, "visual.attn_pool.ln.bias": {width},
		"visual.attn_pool.attn.in_proj_weight": {3 * width, width}, "visual.attn_pool.attn.in_proj_bias": {3 * width},
		"visual.attn_pool.attn.out_proj.weight": {width, width}, "visual.attn_pool.attn.out_proj.bias": {width},
		"visual.attn_pool.mlp.c_fc.weight": {inner, width}, "visual.attn_pool.mlp.c_fc.bias": {inner},
		"visual.attn_pool.mlp.c_proj.weight": {width, inner}, "visual.attn_pool.mlp.c_proj.bias": {width},
	})
}

// with is a checkpoint in which one tensor has another shape, or is missing if that is nil.
func (s shapes) with(name string, shape ...int) shapes {
	s = maps.Clone(s)
	if s[name] = shape; shape == nil {
		delete(s, name)
	}
	return s
}

func TestConfigOf(t *testing.T) {
	for name, c := range map[string]struct {
		shapes
		want vit.Config
	}{
		"ViT-B/32":       {checkpoint(768, 32, 50, 512, 12, 3072), vit.Config{ImageSize: 224, Patch: 32, Width: 768, Layers: 12, Heads: 12, MLP: 3072, Embed: 512}},
		"ViT-B/16":       {checkpoint(768, 16, 197, 512, 12, 3072), vit.Config{ImageSize: 224, Patch: 16, Width: 768, Layers: 12, Heads: 12, MLP: 3072, Embed: 512}},
		"ViT-L/14":       {checkpoint(1024, 14, 257, 768, 24, 4096), vit.Config{ImageSize: 224, Patch: 14, Width: 1024, Layers: 24, Heads: 16, MLP: 4096, Embed: 768}},
		"ViT-L/14@336px": {checkpoint(1024, 14, 577, 768, 24, 4096), vit.Config{ImageSize: 336, Patch: 14, Width: 1024, Layers: 24, Heads: 16, MLP: 4096, Embed: 768}},
		// open_clip's: heads that are wider than 64, MLPs that are not four times as wide.
		"ViT-H/14":    {checkpoint(1280, 14, 257, 1024, 32, 5120), vit.Config{ImageSize: 224, Patch: 14, Width: 1280, Layers: 32, Heads: 16, MLP: 5120, Embed: 1024}},
		"ViT-g/14":    {checkpoint(1408, 14, 257, 1024, 40, 6144), vit.Config{ImageSize: 224, Patch: 14, Width: 1408, Layers: 40, Heads: 16, MLP: 6144, Embed: 1024}},
		"ViT-bigG/14": {checkpoint(1664, 14, 257, 1280, 48, 8192), vit.Config{ImageSize: 224, Patch: 14, Width: 1664, Layers: 48, Heads: 16, MLP: 8192, Embed: 1280}},
		"ViT-e/14":    {checkpoint(1792, 14, 257, 1280, 56, 15360), vit.Config{ImageSize: 224, Patch: 14, Width: 1792, Layers: 56, Heads: 16, MLP: 15360, Embed: 1280}},
	} {
		got, err := vit.ConfigOf(c.shapes, vit.Config{})
		if err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	got, err := vit.ConfigOf(checkpoint(36, 7, 5, 10, 1, 50), vit.Config{Heads: 4, Activation: tensor.GELU, Eps: 1e-6})
	if want := (vit.Config{ImageSize: 14, Patch: 7, Width: 36, Layers: 1, Heads: 4, MLP: 50, Embed: 10, Activation: tensor.GELU, Eps: 1e-6}); err != nil || got != want {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
}

// The relatives of CLIP, by what their tensors and configurations say.
func TestConfigOfRelatives(t *testing.T) {
	siglip := checkpoint(32, 4, 4, 8, 1, 50).with("visual.class_embedding").with("visual.proj").with("visual.ln_pre.weight").with("visual.ln_pre.bias").with("visual.conv1.bias", 32)
	siglip.pool(32, 50)
	for name, c := range map[string]struct {
		shapes
		known, want vit.Config
	}{
		"SigLIP": {siglip, vit.Config{Heads: 2, Pool: vit.PoolMAP, Eps: 1e-6, ImageSize: 10}, vit.Config{ImageSize: 10, Patch: 4, Width: 32, Layers: 1, Heads: 2, MLP: 50,
			Embed: 32, Eps: 1e-6, Pool: vit.PoolMAP, NoClass: true, NoPre: true, PatchBias: true, NoProj: true}},
		"CLIPA": {checkpoint(32, 4, 5, 8, 1, 50).with("visual.ln_pre.weight").with("visual.ln_pre.bias"), vit.Config{Heads: 2, Pool: vit.PoolAverage, NormLast: true},
			vit.Config{ImageSize: 8, Patch: 4, Width: 32, Layers: 1, Heads: 2, MLP: 50, Embed: 8, Pool: vit.PoolAverage, NormLast: true, NoPre: true}},
		"timm's CLIP": {checkpoint(32, 4, 5, 8, 1, 50).with("visual.proj.bias", 8), vit.Config{Heads: 2},
			vit.Config{ImageSize: 8, Patch: 4, Width: 32, Layers: 1, Heads: 2, MLP: 50, Embed: 8, ProjBias: true}},
	} {
		if got, err := vit.ConfigOf(c.shapes, c.known); err != nil || got != c.want {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	if _, err := vit.ConfigOf(siglip, vit.Config{Heads: 2, Pool: vit.PoolMAP, ImageSize: 16}); err == nil || !strings.Contains(err.Error(), "pictures of 16") {
		t.Error(err)
	}
}

func TestConfigOfRefuses(t *testing.T) {
	good := checkpoint(64, 8, 5, 32, 2, 256)
	for _, c := range []struct {
		want string
		shapes
		heads int
	}{
		{"ResNet", shapes{"visual.layer1.0.conv1.weight": {64, 64, 1, 1}}, 0},
		{"no visual.proj", shapes{}, 0},
		{"no blocks", checkpoint(768, 16, 197, 512, 0, 1), 0},
		{"no square grid", checkpoint(768, 16, 198, 512, 1, 3072), 0},
		{"no vision transf", shapes{"visual.proj": {768, 512}, "visual.conv1.weight": {768, 3, 16}}, 0},
		{"-heads", checkpoint(100, 16, 197, 512, 1, 400), 0},
		{"which 12 attention heads do not divide", good, 12}, // config.json's default
		{"which 65 attention heads do not divide", good, 65},
		{"which -1 attention heads do not divide", good, -1},
		// Sizes that a file of some kilobytes claims.
		{"visual.proj,", good.with("visual.proj", 64, 0), 0},
		{"visual.proj,", good.with("visual.proj", 0, 1<<33), 0},
		{"visual.proj: has shape [63 32], want [64 32]", good.with("visual.proj", 63, 32), 0},
		{"width of visual.conv1.weight is 512000", good.with("visual.conv1.weight", 512000, 3, 1, 1), 0},
		{"patch size of visual.conv1.weight is 0", good.with("visual.conv1.weight", 64, 3, 0, 0), 0},
		{"patch size of visual.conv1.weight is 8000000", good.with("visual.conv1.weight", 64, 3, 8000000, 8000000), 0},
		{"8192; models have from 1 to 4096", checkpoint(64, 128, 64*64+1, 32, 1, 256), 0},
		{"visual.positional_embedding is 16777217", checkpoint(64, 1, 1<<24+1, 32, 1, 256), 0},
		{"mlp is 0", checkpoint(64, 8, 5, 32, 1, 0), 0},
		{"blocks of visual.transformer is 1025", checkpoint(64, 8, 5, 32, 1<<10+7, 4), 0},
		// Tensors that are missing or of other sizes, found before anything is built.
		{"visual.ln_pre.bias: missing", good.with("visual.ln_pre.bias"), 0},
		{"resblocks.1.attn.in_proj_weight: has shape [64 64], want [192 64]", good.with("visual.transformer.resblocks.1.attn.in_proj_weight", 64, 64), 0},
		{"resblocks.1.mlp.c_fc.weight: has shape [255 64], want [256 64]", good.with("visual.transformer.resblocks.1.mlp.c_fc.weight", 255, 64), 0},
	} {
		if got, err := vit.ConfigOf(c.shapes, vit.Config{Heads: c.heads}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %+v, %v, want an error with %q", got, err, c.want)
		}
	}
}

// FuzzConfigOf takes a checkpoint that may be in order and gives one of its tensors another shape. What is accepted
// can be built, and encodes a picture where that is small.
func FuzzConfigOf(f *testing.F) {
	f.Add(64, 8, 5, 32, 2, 256, 0, uint(99), 0, 0, byte(0), 0)
	f.Add(36, 7, 5, 10, 1, 50, 4, uint(99), 0, 0, byte(1), 0)
	f.Add(64, 8, 5, 32, 2, 256, 12, uint(3), 0, 1<<33, byte(0), 0)
	f.Add(64, 8, 5, 32, 1, 256, 0, uint(2), 2, 8000000, byte(0), 0)
	f.Add(1280, 14, 2, 1024, 1, 5120, 0, uint(0), -1, 0, byte(0), 0)
	f.Add(36, 7, 4, 36, 1, 50, 4, uint(99), 0, 0, byte(3|4|8|16), 17) // SigLIP's
	f.Add(36, 7, 5, 10, 1, 50, 4, uint(99), 0, 0, byte(2|8), 14)      // CLIPA's
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { dev.Close() })
	f.Fuzz(func(t *testing.T, width, patch, rows, embed, layers, inner, heads int, at uint, axis, length int, relative byte, size int) {
		layers %= 4
		s := checkpoint(width, patch, rows, embed, layers, inner)
		ordinary := at >= uint(len(s)) && within(width, 64, 512) && width%64 == 0 && heads == 0 && within(patch, 1, 32) && (rows == 5 || rows == 50) &&
			within(embed, 1, 512) && layers > 0 && within(inner, 1, 4096)
		// A relative of CLIP's: how it pools, and what it lacks or has besides.
		known := vit.Config{Heads: heads, ImageSize: size}
		ordinary = ordinary && relative == 0 && size == 0
		switch relative & 3 {
		case 1:
			known.Pool = vit.PoolAverage
		case 2:
			known.Pool, known.NormLast = vit.PoolAverage, true
		case 3:
			known.Pool = vit.PoolMAP
			s.pool(width, inner)
		}
		if relative&4 != 0 {
			delete(s, "visual.class_embedding")
			s["visual.conv1.bias"] = []int{width}
		}
		if relative&8 != 0 {
			delete(s, "visual.ln_pre.weight")
			delete(s, "visual.ln_pre.bias")
		}
		if relative&16 != 0 {
			delete(s, "visual.proj")
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
		c, err := vit.ConfigOf(s, known)
		if err != nil {
			if ordinary || len(err.Error()) > 1<<13 {
				t.Fatalf("%+v: %.1000v", s, err)
			}
			return
		}
		if min(c.Width, c.Patch, c.Embed, c.Layers, c.MLP, c.Heads) < 1 || c.Width%c.Heads != 0 || c.ImageSize < c.Patch ||
			max(c.Width, c.Embed, c.MLP/8) > nn.MaxWidth || c.ImageSize > nn.MaxImage {
			t.Fatalf("accepted %+v", c)
		}
		if max(c.Width, c.Embed, c.MLP) > 64 || c.ImageSize > 32 {
			return
		}
		w := nn.NewWeights(dev, s)
		e := vit.New(w, c)
		if err := w.Err(); err != nil {
			t.Fatal(err)
		}
		tape := autograd.NoGrad(dev)
		if n := e.Encode(tape.Const(dev.Zeros(tensor.Full, 1, 3, c.ImageSize, c.ImageSize))).Value.Len(); n != c.Embed {
			t.Fatalf("a feature of %d: %+v", n, c)
		}
		tape.Release()
		for _, p := range w.Params() {
			p.Value.Release()
		}
	})
}

func within(n, least, most int) bool { return least <= n && n <= most }
