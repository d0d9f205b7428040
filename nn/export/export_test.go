package export

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/nn"
	"fewshot/nn/checkpoint"
)

// small is a CLIP of a few thousand weights in OpenAI's names.
type small map[string]struct {
	shape  []int
	values []float32
}

func (s small) Names() []string { return slices.Sorted(maps.Keys(s)) }

func (s small) Shape(name string) ([]int, bool) {
	t, ok := s[name]
	return t.shape, ok
}

func (s small) Read(name string, dst []float32) error {
	if len(dst) != len(s[name].values) {
		return errors.New("wrong length")
	}
	copy(dst, s[name].values)
	return nil
}

func (s small) put(name string, shape ...int) {
	n := 1
	for _, d := range shape {
		n *= d
	}
	v := make([]float32, n)
	x := uint32(len(s)*7919 + 1)
	for i := range v {
		x = x*1664525 + 1013904223
		v[i] = float32(int32(x)) / (1 << 33)
	}
	s[name] = struct {
		shape  []int
		values []float32
	}{shape, v}
}

// model has two blocks a tower, of one head of 64 channels.
func model() *Model {
	m := &Model{Activation: "quickgelu", ImageHeads: 1, TextHeads: 1, Preprocessing: checkpoint.OpenAIPreprocessing, OpenAIVocabulary: true,
		Merges: []byte("#version: 0.2\nh i</w>\n"), Vocab: []byte(`{"h":0,"i</w>":1,"hi</w>":2,"<|startoftext|>":3,"<|endoftext|>":4}`),
		Card: Card{Title: "A model", Base: "somewhere", Program: "test"}}
	m.sizes = sizes{image: tower{prefix: "visual.transformer.", width: 64, layers: 2, inner: 256, heads: 1, tokens: 5, eps: 1e-5}, text: tower{prefix: "transformer.", width: 64, layers: 2, inner: 256, heads: 1, tokens: 7, eps: 1e-5},
		patch: 4, side: 8, vocab: 5, embed: 16}
	s := small{}
	shapes := m.shapes()
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		s.put(name, shapes[name]...)
	}
	m.Weights = s
	return m
}

// netModel has a ResNet of width 4 and blocks in each stage, and the same text encoder.
func netModel() *Model {
	m := model()
	m.ImageHeads = 2
	m.sizes.image, m.sizes.patch, m.sizes.side = tower{}, 0, 64
	m.sizes.net = &resNet{width: 4, layers: [4]int{1, 2, 1, 1}, heads: 2, tokens: 5}
	s := small{}
	shapes := m.shapes()
	for _, name := range slices.Sorted(maps.Keys(shapes)) {
		s.put(name, shapes[name]...)
	}
	m.Weights = s
	return m
}

// TestResNet: open_clip's and OpenAI's layouts hold a ResNet, and a graph does; what transformers has no class for is refused.
func TestResNet(t *testing.T) {
	for _, heads := range []int{2, 4} {
		m := netModel()
		m.ImageHeads = heads
		for format, write := range map[string]func() ([]File, error){"open_clip": m.OpenCLIP, "openai": func() ([]File, error) { return m.OpenAI("m.pt") }} {
			files, err := write()
			if format == "openai" && heads == 4 {
				if err == nil || !strings.Contains(err.Error(), "attention pool has 4 heads") {
					t.Errorf("OpenAI's layout cannot say 4 heads: %v", err)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s: %v", format, err)
				continue
			}
			path := save(t, files)
			if format == "openai" {
				path = filepath.Join(path, "m.pt")
			}
			if err := m.Check(path); err != nil {
				t.Errorf("%s: %v", format, err)
			}
			m.Weights.(small)["visual.layer2.1.bn2.running_var"].values[3]++
			if err := m.Check(path); err == nil || !strings.Contains(err.Error(), "visual.layer2.1.bn2.running_var") {
				t.Errorf("%s: another statistic passes: %v", format, err)
			}
			m.Weights.(small)["visual.layer2.1.bn2.running_var"].values[3]--
		}
	}
	m := netModel()
	files, err := m.ONNXClassifier(nil)
	if err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := files[0].Write(&b); err != nil {
		t.Fatal(err)
	}
	if err := m.CheckONNX(func() (io.ReadCloser, error) { return io.NopCloser(&b), nil }); err != nil {
		t.Error(err)
	}
	for want, change := range map[string]func(*Model){
		"transformers has no class for CLIP's ResNets":                                           func(*Model) {},
		"architecture of CLIP's ResNets, and would lose something: visual.layer1.0.conv4.weight": func(m *Model) { m.Weights.(small).put("visual.layer1.0.conv4.weight", 3) },
		"visual.bn1.running_mean should have":                                                    func(m *Model) { delete(m.Weights.(small), "visual.bn1.running_mean") },
		"its attention pool has 0 positions":                                                     func(m *Model) { delete(m.Weights.(small), "visual.attnpool.positional_embedding") },
		"attention pool of 3 heads":                                                              func(m *Model) { m.ImageHeads = 3 },
	} {
		for _, format := range []func(*Model) ([]File, error){(*Model).Transformers, (*Model).ONNX} {
			m := netModel()
			change(m)
			if _, err := format(m); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", want, err)
			}
		}
	}
}

// save writes files into a folder.
func save(t *testing.T, files []File) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		path := filepath.Join(dir, filepath.FromSlash(f.Name))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
			t.Fatal(err)
		}
		if err := checkpoint.WriteFile(path, f.Write); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// TestRoundTrip writes each format that nn/checkpoint reads, and compares everything.
func TestRoundTrip(t *testing.T) {
	for name, change := range map[string]func(*Model){
		"plain": func(*Model) {},
		"gelu":  func(m *Model) { m.Activation = "gelu" },
		"heads": func(m *Model) { m.ImageHeads, m.TextHeads = 4, 2 },
		"eps":   func(m *Model) { m.ImageEps, m.TextEps = 1e-6, 1e-5 },
		"pixels": func(m *Model) {
			m.Preprocessing.Mean, m.Preprocessing.Mode = [3]float64{0.5, 0.5, 0.5}, checkpoint.ResizeSquash
		},
	} {
		m := model()
		change(m)
		for format, write := range map[string]func() ([]File, error){"transformers": m.Transformers, "open_clip": m.OpenCLIP,
			"openai": func() ([]File, error) { return m.OpenAI("m.pt") }} {
			files, err := write()
			if format == "openai" && name != "plain" || format == "open_clip" && name == "eps" {
				if err == nil {
					t.Errorf("%s, %s: nothing said about what that layout cannot hold", format, name)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s, %s: %v", format, name, err)
				continue
			}
			path := save(t, files)
			if format == "openai" {
				path = filepath.Join(path, "m.pt")
			}
			if err := m.Check(path); err != nil {
				t.Errorf("%s, %s: %v", format, name, err)
			}
			// What Check is for: a value, a setting.
			m.Weights.(small)["visual.proj"].values[3]++
			if err := m.Check(path); err == nil || !strings.Contains(err.Error(), "visual.proj") {
				t.Errorf("%s, %s: another weight passes: %v", format, name, err)
			}
			m.Weights.(small)["visual.proj"].values[3]--
		}
	}
}

// TestRefuses: nothing is exported that would lose something or read no text.
func TestRefuses(t *testing.T) {
	for want, change := range map[string]func(*Model){
		"no vocabulary":              func(m *Model) { m.Vocab = nil },
		"extra is not part of it":    func(m *Model) { m.Weights.(small).put("extra", 3) },
		"ln_final.bias should have":  func(m *Model) { delete(m.Weights.(small), "ln_final.bias") },
		"no text encoder":            func(m *Model) { delete(m.Weights.(small), "token_embedding.weight") },
		"no vision transformer":      func(m *Model) { delete(m.Weights.(small), "visual.conv1.weight") },
		`activation "swish"`:         func(m *Model) { m.Activation = "swish" },
		"no transformer":             func(m *Model) { m.TextHeads = 3 },
		"wants images of 224 pixels": func(m *Model) { m.Preprocessing.Size = 224 },
	} {
		for _, format := range []func(*Model) ([]File, error){(*Model).Transformers, (*Model).OpenCLIP, (*Model).ONNX} {
			m := model()
			change(m)
			if _, err := format(m); err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v", want, err)
			}
		}
	}
	m := model()
	m.Preprocessing.Resize = 10
	if _, err := m.OpenCLIP(); err == nil {
		t.Error("open_clip has no resize before another crop")
	}
}

// TestONNX reads the graph back.
func TestONNX(t *testing.T) {
	m := model()
	files, err := m.ONNX()
	if err != nil {
		t.Fatal(err)
	}
	dir := save(t, files)
	if err := m.CheckONNX(func() (io.ReadCloser, error) { return os.Open(filepath.Join(dir, "onnx", "model.onnx")) }); err != nil {
		t.Error(err)
	}
	m.Weights.(small)["ln_final.bias"].values[0]++
	if err := m.CheckONNX(func() (io.ReadCloser, error) { return os.Open(filepath.Join(dir, "onnx", "model.onnx")) }); err == nil ||
		!strings.Contains(err.Error(), "ln_final.bias") {
		t.Errorf("another weight passes: %v", err)
	}
	m = model()
	h := &Head{Names: []string{"cat", "dog"}, Formula: nn.Formula{Classes: make([]float32, 32), Scale: 100}}
	if files, err = m.ONNXClassifier(h); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := files[0].Write(&b); err != nil {
		t.Fatal(err)
	}
	read := func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b.Bytes())), nil }
	if err := m.CheckONNX(read); err != nil {
		t.Error(err)
	}
	m.made["head.classes_transposed"][3]++
	if err := m.CheckONNX(read); err == nil || !strings.Contains(err.Error(), "head.classes_transposed") {
		t.Errorf("another head passes: %v", err)
	}
	for what, bad := range map[string]nn.Formula{"an adapter": {Classes: h.Classes, Down: make([]float32, 17)}, "adapter of": {Classes: h.Classes, Down: make([]float32, 16)},
		"biases": {Classes: h.Classes, Bias: make([]float32, 1)}, "values of keys": {Classes: h.Classes, Keys: make([]float32, 16), Values: make([]float32, 3)}} {
		if _, err := m.ONNXClassifier(&Head{h.Names, bad}); err == nil || !strings.Contains(err.Error(), what) {
			t.Errorf("%s: %v", what, err)
		}
	}
	h.Names = h.Names[:1]
	if _, err := m.ONNXClassifier(h); err == nil {
		t.Error("a head of another size passes")
	}
}

// TestOfficialMask writes and reads the released code's file.
func TestOfficialMask(t *testing.T) {
	keep := func(n int) []bool {
		bits := make([]bool, n)
		for i := range bits {
			bits[i] = i%5 != 0
		}
		return bits
	}
	masks := []Mask{
		{"visual.transformer.resblocks.0.attn.in_proj_weight", []int{6, 2}, keep(12)},
		{"visual.transformer.resblocks.0.attn.out_proj.weight", []int{2, 2}, keep(4)},
		{"visual.conv1.weight", []int{2, 3, 1, 1}, keep(6)},
	}
	var b bytes.Buffer
	if err := WriteOfficialMask(&b, masks, 30); err != nil {
		t.Fatal(err)
	}
	got, epoch, err := ReadOfficialMask(bytes.NewReader(b.Bytes()), int64(b.Len()), func(name string) ([]int, bool) {
		for _, m := range masks {
			if m.Name == name {
				return m.Shape, true
			}
		}
		return nil, false
	})
	if err != nil || epoch != 30 {
		t.Fatal(epoch, err)
	}
	for _, m := range masks {
		i := slices.IndexFunc(got, func(g Mask) bool { return g.Name == m.Name })
		if i < 0 || !slices.Equal(got[i].Keep, m.Keep) {
			t.Errorf("%s came back otherwise", m.Name)
		}
	}
}

func FuzzOfficialMask(f *testing.F) {
	var b bytes.Buffer
	if err := WriteOfficialMask(&b, []Mask{{"visual.conv1.weight", []int{2, 2}, []bool{true, false, true, true}}}, 3); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		masks, _, err := ReadOfficialMask(bytes.NewReader(b), int64(len(b)), func(string) ([]int, bool) { return []int{2, 2}, true })
		for _, m := range masks {
			if err == nil && len(m.Keep) != 4 {
				t.Errorf("%+v", m)
			}
		}
	})
}

// TestExternalData: weights beside the graph, where they are too large for it.
func TestExternalData(t *testing.T) {
	m := model()
	if err := m.prepare(); err != nil {
		t.Fatal(err)
	}
	g := newGraph("g", m)
	g.output(g.images(g.input("x", onnxFloat, "n", 3, m.side, m.side)), "y", "n", m.embed)
	var graph, data bytes.Buffer
	if err := g.write(&graph, nil, "model.onnx_data"); err != nil {
		t.Fatal(err)
	}
	var want int64
	for _, c := range g.constants {
		if c.external() {
			want += c.bytes
			if err := c.write(&data); err != nil {
				t.Fatal(err)
			}
		}
	}
	if int64(data.Len()) != want || graph.Len() > 64<<10 || !bytes.Contains(graph.Bytes(), []byte("model.onnx_data")) {
		t.Errorf("%d bytes of graph, %d of data, want %d", graph.Len(), data.Len(), want)
	}
	first, _ := m.read("visual.conv1.weight")
	if got := math.Float32frombits(binary.LittleEndian.Uint32(data.Bytes())); got != first[0] {
		t.Errorf("data begin with %v, want %v", got, first[0])
	}
}

func TestCard(t *testing.T) {
	m := model()
	m.Card.License, m.Card.BaseModel, m.Card.Dataset = "mit", "openai/clip-vit-base-patch16", "pets\n---\nevil"
	m.Card.Figures = map[string]string{"accuracy": "91.2 %|x"}
	if err := m.prepare(); err != nil {
		t.Fatal(err)
	}
	var b bytes.Buffer
	if err := m.card("open_clip").Write(&b); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"license: \"mit\"\n", "base_model: \"openai/clip-vit-base-patch16\"\n", `- "pets\n---\nevil"`, `91.2 %\|x`, fmt.Sprint(m.side, " pixels")} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("%q is missing in\n%s", want, b.String())
		}
	}
}
