package tests

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/nn/checkpoint"
	"fewshot/nn/export"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

// drawn is a CLIP of random weights in OpenAI's names.
type drawn map[string]struct {
	shape  []int
	values []float32
}

func (d drawn) Names() []string                 { return slices.Sorted(maps.Keys(d)) }
func (d drawn) Shape(name string) ([]int, bool) { t, ok := d[name]; return t.shape, ok }
func (d drawn) Read(name string, dst []float32) error {
	copy(dst, d[name].values)
	return nil
}

// put draws a tensor evenly about a mean.
func (d drawn) put(name string, mean, spread float64, shape ...int) {
	v := make([]float32, tensor.Len(shape))
	x := uint32(len(d)*7919 + 1)
	for i := range v {
		x = x*1664525 + 1013904223
		v[i] = float32(mean + spread*float64(int32(x))/(1<<31))
	}
	d[name] = struct {
		shape  []int
		values []float32
	}{shape, v}
}

// drawNet puts a ResNet in place of the image encoder, with an attention pool of width 32·width.
func (d drawn) drawNet(width, embed, grid int, layers [4]int) drawn {
	for name := range d {
		if strings.HasPrefix(name, "visual.") {
			delete(d, name)
		}
	}
	c := vit.ResNetConfig{ImageSize: 32 * grid, Width: width, Layers: layers, Heads: width / 2, Embed: embed}
	w := nn.NewCheck(d)
	vit.NewResNet(w, c)
	asked := w.Asked()
	for _, name := range slices.Sorted(maps.Keys(asked)) {
		shape := asked[name]
		switch {
		case strings.HasSuffix(name, "running_var"):
			d.put(name, 1, 0.5, shape...)
		case strings.HasSuffix(name, "running_mean") || strings.HasSuffix(name, "bias"):
			d.put(name, 0, 0.2, shape...)
		case len(shape) == 1:
			d.put(name, 1, 0.3, shape...)
		case len(shape) == 4:
			d.put(name, 0, 2/math.Sqrt(float64(shape[1]*shape[2]*shape[3])), shape...)
		default:
			d.put(name, 0, 2/math.Sqrt(float64(shape[1])), shape...)
		}
	}
	return d
}

// drawCLIP draws a CLIP of two blocks a tower, large enough for every term of the network to matter.
func drawCLIP(width, embed, vocab int) drawn {
	d := drawn{}
	put := d.put
	norm := func(name string) { put(name+".weight", 1, 0.2, width); put(name+".bias", 0, 0.1, width) }
	linear := func(weight, bias string, in, out int) {
		put(weight, 0, 2/math.Sqrt(float64(in)), out, in)
		put(bias, 0, 0.1, out)
	}
	put("visual.conv1.weight", 0, 0.1, width, 3, 16, 16)
	put("visual.class_embedding", 0, 1, width)
	put("visual.positional_embedding", 0, 1, 17, width)
	put("visual.proj", 0, 0.2, width, embed)
	put("token_embedding.weight", 0, 1, vocab, width)
	put("positional_embedding", 0, 1, 24, width)
	put("text_projection", 0, 0.2, width, embed)
	put("logit_scale", 3, 0)
	for _, n := range []string{"visual.ln_pre", "visual.ln_post", "ln_final"} {
		norm(n)
	}
	for _, prefix := range []string{"visual.", ""} {
		for i := range 2 {
			p := fmt.Sprintf("%stransformer.resblocks.%d.", prefix, i)
			norm(p + "ln_1")
			norm(p + "ln_2")
			linear(p+"attn.in_proj_weight", p+"attn.in_proj_bias", width, 3*width)
			linear(p+"attn.out_proj.weight", p+"attn.out_proj.bias", width, width)
			linear(p+"mlp.c_fc.weight", p+"mlp.c_fc.bias", width, 4*width)
			linear(p+"mlp.c_proj.weight", p+"mlp.c_proj.bias", 4*width, width)
		}
	}
	return d
}

// TestExport writes a model in every format, has the programs open it for which the formats are, and compares their
// features with ours. FEWSHOT_PYTHON is a Python that has them, for example from
//
//	python3 -m venv v && v/bin/pip install transformers==5.24.0 open_clip_torch==3.3.0 onnx==1.23.2 onnxruntime==1.32.0
//
// Without it the files are written and read back by this program alone.
func TestExport(t *testing.T) {
	tok, err := text.TrainBPE(slices.Values([]string{"a photo of a cat, a type of pet.", "a photo of a dog", "the photos of cats and dogs", "texture 42"}), 40)
	if err != nil {
		t.Fatal(err)
	}
	var merges, vocab bytes.Buffer
	if err := tok.WriteMerges(&merges); err != nil {
		t.Fatal(err)
	}
	if err := tok.WriteVocab(&vocab); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, activation string
		heads            int
	}{{"openai", "quickgelu", 2}, {"laion", "gelu", 4}, {"resnet", "quickgelu", 2}} {
		t.Run(c.name, func(t *testing.T) {
			dev := open(t, "cpu", 0)
			src := drawCLIP(128, 48, tok.Size())
			act := map[string]tensor.Activation{"quickgelu": tensor.QuickGELU, "gelu": tensor.GELU}[c.activation]
			net, imageHeads := c.name == "resnet", c.heads
			clip := newCLIP(t, dev, src, act, c.heads, c.heads)
			images := clip.imageFeatures
			if net {
				src.drawNet(8, 48, 2, [4]int{1, 2, 1, 1})
				w := nn.NewWeights(dev, src)
				config, err := vit.ResNetConfigOf(src, 0)
				if err != nil {
					t.Fatal(err)
				}
				e := vit.NewResNet(w, config)
				imageHeads = config.Heads
				images = func(dev *tensor.Device, x *tensor.Tensor) []float64 {
					return value(dev, func(tape *autograd.Tape) *autograd.Var { return e.Encode(tape.Const(x)) })
				}
			}
			m := &export.Model{Weights: src, Activation: c.activation, ImageHeads: imageHeads, TextHeads: c.heads, Preprocessing: checkpoint.OpenAIPreprocessing,
				Merges: merges.Bytes(), Vocab: vocab.Bytes(), Card: export.Card{Title: c.name}}

			const n = 3
			pixels := make([]float32, n*3*64*64)
			mean, std := checkpoint.OpenAIPreprocessing.Mean, checkpoint.OpenAIPreprocessing.Std
			normal := make([]float32, len(pixels))
			for i := range pixels {
				pixels[i] = float32((i*37 + i/64*11 + i/4096*91) % 256)
				k := i / (64 * 64) % 3
				normal[i] = (pixels[i]/255 - float32(mean[k])) / float32(std[k])
			}
			texts := []string{"a photo of a cat", "a dog, 42 textures", "photos"}
			var ids [][]int32
			for _, s := range texts {
				one, err := tok.Tokenize(s, 24, false)
				if err != nil {
					t.Fatal(err)
				}
				ids = append(ids, one)
			}
			image := images(dev, dev.From(normal, n, 3, 64, 64))
			words := value(dev, func(tape *autograd.Tape) *autograd.Var { return clip.text.Encode(tape, ids) })
			head := &export.Head{Names: texts, Formula: nn.Formula{Scale: math.Exp(3)}}
			for i := range texts {
				row := words[i*48 : (i+1)*48]
				var sum float64
				for _, v := range row {
					sum += v * v
				}
				for _, v := range row {
					head.Classes = append(head.Classes, float32(v/math.Sqrt(sum)))
				}
			}

			dir := t.TempDir()
			put := func(folder string, files []export.File, err error) string {
				t.Helper()
				if err != nil {
					t.Fatal(err)
				}
				for _, f := range files {
					path := filepath.Join(dir, folder, filepath.FromSlash(f.Name))
					if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil {
						t.Fatal(err)
					}
					if err := checkpoint.WriteFile(path, f.Write); err != nil {
						t.Fatal(err)
					}
				}
				return filepath.Join(dir, folder)
			}
			files, err := m.Transformers()
			if !net {
				check(t, m, put("transformers", files, err))
			} else if err == nil {
				t.Error("transformers has no class for ResNets")
			}
			files, err = m.OpenCLIP()
			check(t, m, put("open_clip", files, err))
			if files, err = m.OpenAI("model.pt"); c.name != "laion" {
				check(t, m, filepath.Join(put("openai", files, err), "model.pt"))
			} else if err == nil {
				t.Error("OpenAI's layout cannot say gelu")
			}
			for folder, write := range map[string]func() ([]export.File, error){"onnx": m.ONNX,
				"classifier": func() ([]export.File, error) { return m.ONNXClassifier(head) }} {
				if net && folder == "onnx" {
					continue // its configuration is that of transformers
				}
				files, err := write()
				path := filepath.Join(put(folder, files, err), filepath.FromSlash(files[0].Name))
				if err := m.CheckONNX(func() (io.ReadCloser, error) { return os.Open(path) }); err != nil {
					t.Error(err)
				}
			}

			python := os.Getenv("FEWSHOT_PYTHON")
			if python == "" {
				t.Skip("FEWSHOT_PYTHON names no Python with transformers, open_clip, onnx and onnxruntime")
			}
			want, err := json.Marshal(map[string]any{"pixels": pixels, "normal": normal, "texts": texts, "ids": ids, "image": image, "text": words, "scale": head.Scale})
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, "want.json"), want, 0o666); err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), python, filepath.Join("testdata", "export.py"), dir)
			cmd.Env = append(os.Environ(), "HF_HUB_OFFLINE=1", "TRANSFORMERS_VERBOSITY=error")
			var out, complaints bytes.Buffer
			cmd.Stdout, cmd.Stderr = &out, &complaints
			if err := cmd.Run(); err != nil {
				t.Fatalf("%v\n%s\n%s", err, out.Bytes(), complaints.Bytes())
			}
			t.Logf("\n%s", strings.TrimSpace(out.String()))
			for line := range strings.Lines(out.String()) {
				var what string
				var off float64
				if n, _ := fmt.Sscan(strings.ReplaceAll(line, ":", " "), &what, &off); n != 2 || what == "version" {
					continue
				}
				bound := 1e-5
				if strings.HasPrefix(what, "onnx") {
					bound = 1e-4
				}
				if !(off <= bound) {
					t.Errorf("%s is off by %g of the largest feature, more than %g", what, off, bound)
				}
			}
		})
	}
}

func check(t *testing.T, m *export.Model, path string) {
	t.Helper()
	if err := m.Check(path); err != nil {
		t.Error(err)
	}
}
