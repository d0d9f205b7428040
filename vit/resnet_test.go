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

// resNet is a checkpoint with a ResNet, with counters of batches that no one asks for.
func resNet(width, grid, embed int, layers ...int) shapes {
	s := shapes{"visual.attnpool.positional_embedding": {grid*grid + 1, 32 * width}}
	conv := func(conv, norm string, in, out, size int) {
		s["visual."+conv+".weight"] = []int{out, in, size, size}
		for _, v := range []string{"weight", "bias", "running_mean", "running_var"} {
			s["visual."+norm+"."+v] = []int{out}
		}
		s["visual."+norm+".num_batches_tracked"] = []int{}
	}
	conv("conv1", "bn1", 3, width/2, 3)
	conv("conv2", "bn2", width/2, width/2, 3)
	conv("conv3", "bn3", width/2, width, 3)
	in := width
	for i, n := range layers {
		inside := width << i
		for j := range n {
			b := fmt.Sprintf("layer%d.%d.", i+1, j)
			conv(b+"conv1", b+"bn1", in, inside, 1)
			conv(b+"conv2", b+"bn2", inside, inside, 3)
			conv(b+"conv3", b+"bn3", inside, 4*inside, 1)
			if j == 0 {
				conv(b+"downsample.0", b+"downsample.1", in, 4*inside, 1)
			}
			in = 4 * inside
		}
	}
	for name, out := range map[string]int{"q": in, "k": in, "v": in, "c": embed} {
		s["visual.attnpool."+name+"_proj.weight"], s["visual.attnpool."+name+"_proj.bias"] = []int{out, in}, []int{out}
	}
	return s
}

func TestResNetConfigOf(t *testing.T) {
	for name, c := range map[string]struct {
		shapes
		want vit.ResNetConfig
	}{
		"RN50":    {resNet(64, 7, 1024, 3, 4, 6, 3), vit.ResNetConfig{ImageSize: 224, Width: 64, Layers: [4]int{3, 4, 6, 3}, Heads: 32, Embed: 1024}},
		"RN101":   {resNet(64, 7, 512, 3, 4, 23, 3), vit.ResNetConfig{ImageSize: 224, Width: 64, Layers: [4]int{3, 4, 23, 3}, Heads: 32, Embed: 512}},
		"RN50x4":  {resNet(80, 9, 640, 4, 6, 10, 6), vit.ResNetConfig{ImageSize: 288, Width: 80, Layers: [4]int{4, 6, 10, 6}, Heads: 40, Embed: 640}},
		"RN50x16": {resNet(96, 12, 768, 6, 8, 18, 8), vit.ResNetConfig{ImageSize: 384, Width: 96, Layers: [4]int{6, 8, 18, 8}, Heads: 48, Embed: 768}},
		"RN50x64": {resNet(128, 14, 1024, 3, 15, 36, 10), vit.ResNetConfig{ImageSize: 448, Width: 128, Layers: [4]int{3, 15, 36, 10}, Heads: 64, Embed: 1024}},
		"ResNet of 1+2+1+1 blocks": {resNet(2, 1, 5, 1, 2, 1, 1),
			vit.ResNetConfig{ImageSize: 32, Width: 2, Layers: [4]int{1, 2, 1, 1}, Heads: 1, Embed: 5}},
	} {
		got, err := vit.ArchOf(c.shapes, vit.Config{})
		if err != nil || got != vit.Arch(c.want) || got.Name() != name {
			t.Errorf("%s: %+v, %v; want %+v", name, got, err, c.want)
		}
	}
	if got, err := vit.ResNetConfigOf(resNet(64, 7, 1024, 3, 4, 6, 3), 16); err != nil || got.Heads != 16 {
		t.Errorf("%+v, %v; want 16 heads", got, err)
	}
	if got, err := vit.ArchOf(checkpoint(768, 16, 197, 512, 12, 3072), vit.Config{}); err != nil || got.Name() != "ViT-B/16" ||
		got.Sizes() != (vit.Sizes{Image: 224, Embed: 512, Heads: 12, Tokens: 197}) {
		t.Errorf("%+v, %v; want a ViT-B/16", got, err)
	}
}

func TestResNetConfigOfRefuses(t *testing.T) {
	good := resNet(2, 2, 5, 1, 1, 1, 1)
	for _, c := range []struct {
		want string
		shapes
		heads int
	}{
		{"no visual.proj", shapes{}, 0},
		{"no CLIP ResNet's", good.with("visual.attnpool.positional_embedding"), 0},
		{"no CLIP ResNet's", good.with("visual.attnpool.c_proj.weight", 5), 0},
		{"blocks of visual.layer3 is 0", good.with("visual.layer3.0.conv1.weight"), 0},
		{"blocks of visual.layer2 is 1025", resNet(2, 2, 5, 1, 1030, 1, 1), 0},
		{"no square grid and a mean", good.with("visual.attnpool.positional_embedding", 6, 64), 0},
		{"rows of visual.attnpool.positional_embedding is 16642; models have from 1 to 16384", resNet(2, 129, 5, 1, 1, 1, 1), 0},
		{"must be even", resNet(3, 2, 5, 1, 1, 1, 1), 0},
		{"width of visual.layer1.0.conv1.weight is 512000", good.with("visual.layer1.0.conv1.weight", 512000, 2, 1, 1), 0},
		{"c_proj.weight, is 0", good.with("visual.attnpool.c_proj.weight", 0, 64), 0},
		{"which 12 attention heads do not divide", good, 12},
		{"bn2.running_var: missing", good.with("visual.bn2.running_var"), 0},
		{"layer2.0.downsample.0.weight: has shape [16 7 1 1], want [16 8 1 1]", good.with("visual.layer2.0.downsample.0.weight", 16, 7, 1, 1), 0},
		{"attnpool.q_proj.weight: has shape [64 63], want [64 64]", good.with("visual.attnpool.q_proj.weight", 64, 63), 0},
	} {
		if got, err := vit.ArchOf(c.shapes, vit.Config{Heads: c.heads}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("got %+v, %v, want an error with %q", got, err, c.want)
		}
	}
}

// FuzzResNetConfigOf is FuzzConfigOf for ResNets.
func FuzzResNetConfigOf(f *testing.F) {
	f.Add(2, 2, 5, 1, 2, 0, uint(999), 0, 0)
	f.Add(3, 1, 5, 1, 1, 3, uint(999), 0, 0)
	f.Add(2, 2, 5, 1, 1, 0, uint(7), 0, 1<<40)
	f.Add(4, 1, 7, 2, 1, 1, uint(12), 1, -3)
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { dev.Close() })
	f.Fuzz(func(t *testing.T, width, grid, embed, first, second, heads int, at uint, axis, length int) {
		if !within(width, 0, 64) || !within(grid, 0, 200) || !within(first, 0, 3) || !within(second, 0, 3) {
			return
		}
		s := resNet(width, grid, embed, first, second, 1, 1)
		if names := s.Names(); at < uint(len(names)) {
			if shape := slices.Clone(s[names[at]]); axis >= 0 && axis < len(shape) {
				shape[axis] = length
				s[names[at]] = shape
			}
		}
		c, err := vit.ResNetConfigOf(s, heads)
		if err != nil || c.ImageSize > 64 || c.Width > 8 || c.Embed > 64 {
			return
		}
		w := nn.NewWeights(dev, s)
		e := vit.NewResNet(w, c)
		if err := w.Err(); err != nil {
			t.Fatalf("%+v was accepted, but: %v", c, err)
		}
		tape := autograd.NoGrad(dev)
		defer tape.Release()
		if got := e.Encode(tape.Const(dev.Zeros(tensor.Compute, 1, 3, c.ImageSize, c.ImageSize))).Shape(); !slices.Equal(got, []int{1, c.Embed}) {
			t.Errorf("features %v of %+v", got, c)
		}
	})
}

// random is a checkpoint of normal numbers, as small as is usual, and variances near 1.
type random struct{ shapes }

func (r random) Read(name string, dst []float32) error {
	key := tensor.NewKey(1).Name(name)
	for i := range dst {
		dst[i] = float32(0.2 * key.Normal(uint64(i)))
		if strings.HasSuffix(name, "running_var") {
			dst[i] = 1 + dst[i]*dst[i]
		}
	}
	return nil
}

// Folding once gives the bits of folding anew for each batch; a weight under a mask, and one that is trained, is
// folded anew.
func TestResNetPack(t *testing.T) {
	dev, err := tensor.Open("cpu", tensor.Options{Workers: 1})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { dev.Close() })
	src := random{resNet(4, 2, 5, 1, 1, 1, 1)}
	arch, err := vit.ArchOf(src, vit.Config{})
	if err != nil {
		t.Fatal(err)
	}
	w := nn.NewWeights(dev, src)
	e := arch.Build(w)
	images := dev.New(tensor.Compute, 2, 3, 64, 64)
	tensor.Normal(images, tensor.NewKey(2))
	encode := func() []float32 {
		tape := autograd.NoGrad(dev)
		defer tape.Release()
		return e.Encode(tape.Const(images)).Value.Floats()
	}
	before := encode()
	e.Pack(true)
	if got := encode(); !slices.Equal(got, before) {
		t.Errorf("packed: %v, before %v", got, before)
	}
	e.Unpack()
	half := e.Params()[0]
	half.Parametrize(func(_ *autograd.Tape, v *autograd.Var) *autograd.Var { return autograd.Scale(v, 0.5) })
	other := encode()
	if slices.Equal(other, before) {
		t.Error("a view on the first weight changes nothing")
	}
	e.Pack(false)
	if got := encode(); !slices.Equal(got, other) {
		t.Errorf("packed under a view: %v, before %v", got, other)
	}
	half.Parametrize(nil)
	if got := encode(); !slices.Equal(got, before) {
		t.Errorf("without the view: %v, before %v", got, before)
	}
	e.Unpack()
}

func TestResized(t *testing.T) {
	transformer, net := random{checkpoint(64, 8, 17, 32, 1, 256)}, random{resNet(2, 3, 5, 1, 1, 1, 1)}
	for _, c := range []struct {
		nn.Source
		size, want int // 0 for an error
		fault      string
	}{
		{transformer, 0, 32, ""}, {transformer, 32, 32, ""}, {transformer, 48, 48, ""}, {transformer, 8, 8, ""},
		{net, 96, 96, ""}, {net, 64, 64, ""}, {net, 160, 160, ""},
		{transformer, 44, 0, "patches of 8 pixels"}, {transformer, -8, 0, "patches of 8"}, {transformer, 8000, 0, "up to 4096"}, {transformer, 2048, 0, "65537 tokens"},
		{net, 100, 0, "steps of 32 pixels"},
	} {
		src, err := vit.Resized(c.Source, c.size)
		if c.want == 0 {
			if err == nil || !strings.Contains(err.Error(), c.fault) {
				t.Errorf("%d: error %v, want one with %q", c.size, err, c.fault)
			}
			continue
		}
		if err != nil {
			t.Errorf("%d: %v", c.size, err)
			continue
		}
		arch, err := vit.ArchOf(src, vit.Config{})
		if err != nil || arch.Sizes().Image != c.want {
			t.Errorf("%d: %+v, %v", c.size, arch, err)
			continue
		}
		if !maps.EqualFunc(shapeMap(src), shapeMap(c.Source), sameButRows) {
			t.Errorf("%d: other tensors changed their shapes", c.size)
		}
		for _, name := range src.Names() {
			shape, _ := src.Shape(name)
			if err := src.Read(name, make([]float32, tensor.Len(shape))); err != nil {
				t.Errorf("%d: %v", c.size, err)
			}
		}
	}
}

// sameButRows reports whether shapes differ in their first axis at most.
func sameButRows(a, b []int) bool {
	return len(a) == len(b) && (len(a) == 0 || slices.Equal(a[1:], b[1:]))
}

func shapeMap(s nn.Shapes) map[string][]int {
	m := map[string][]int{}
	for _, n := range s.Names() {
		m[n], _ = s.Shape(n)
	}
	return m
}
