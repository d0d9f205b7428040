package checkpoint

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// expected is what testdata/make.py computed in Python.
type expected struct {
	Digest string
	Shapes map[string][]int
	Values map[string][]float32
}

func readExpected(t *testing.T) map[string]expected {
	t.Helper()
	b, err := os.ReadFile("testdata/expected.json")
	if err != nil {
		t.Fatal(err)
	}
	var e map[string]expected
	if err := json.Unmarshal(b, &e); err != nil {
		t.Fatal(err)
	}
	return e
}

func openModel(t testing.TB, path string) *Model {
	t.Helper()
	m, err := OpenModel(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { m.Close() })
	return m
}

// One model, saved by torch.save, torch.jit, safetensors, transformers and
// open_clip in three precisions, is one model.
func TestModelInEveryForm(t *testing.T) {
	want := readExpected(t)
	for _, c := range []struct {
		path, format, dialect, activation, expect string
		heads                                     [2]int
	}{
		{"vit_script.pt", "torchscript", "openai", "quickgelu", "vit", [2]int{}},
		{"vit_half.pt", "torch", "openai", "", "vit", [2]int{}},
		{"vit_wrapped_bf16.pt", "torch", "openai", "", "vit", [2]int{}},
		{"vit_wrapped.pt", "torch", "openai", "", "vit", [2]int{}},
		{"vit_old.pt", "torch", "openai", "", "vit", [2]int{}},
		{"vit.safetensors", "safetensors", "openai", "quickgelu", "vit", [2]int{}},
		{"hf", "huggingface", "huggingface", "quickgelu", "vit", [2]int{1, 1}},
		{"hf/model.safetensors", "huggingface", "huggingface", "quickgelu", "vit", [2]int{1, 1}},
		{"hf_sharded", "huggingface", "huggingface", "quickgelu", "vit", [2]int{1, 1}},
		{"hf_vision", "huggingface", "huggingface-vision", "quickgelu", "hf_vision", [2]int{1, 0}},
		{"open_clip", "open_clip", "open_clip", "quickgelu", "vit", [2]int{1, 1}},
		{"rn_half.pt", "torch", "openai", "", "rn", [2]int{}},
	} {
		t.Run(c.path, func(t *testing.T) {
			m := openModel(t, filepath.Join("testdata", c.path))
			if got := [3]string{m.Format(), m.Dialect(), m.Activation()}; got != [3]string{c.format, c.dialect, c.activation} {
				t.Errorf("format, dialect, activation: %q", got)
			}
			if vision, text := m.Heads(); [2]int{vision, text} != c.heads {
				t.Errorf("heads: %d, %d", vision, text)
			}
			e := want[c.expect]
			if got, err := m.Digest(); err != nil || got != e.Digest {
				t.Errorf("digest %s, %v; want %s", got, err, e.Digest)
			}
			for name, shape := range e.Shapes {
				if got, ok := m.Shape(name); !ok || !slices.Equal(got, shape) {
					t.Errorf("%s: shape %v, %v; want %v", name, got, ok, shape)
				}
			}
			if len(e.Shapes) > 0 && len(e.Shapes) != len(m.Names()) {
				t.Errorf("names %v", m.Names())
			}
			for name, values := range e.Values {
				got := make([]float32, len(values))
				if err := m.Read(name, got); err != nil {
					t.Error(err)
				} else if diff := cmp.Diff(values, got); diff != "" {
					t.Errorf("%s: %s", name, diff)
				}
			}
		})
	}
}

// What lies around a state dict. Each name stands for a tensor of the tiny model, or one that is not part of it.
func TestUnwrap(t *testing.T) {
	for _, c := range []struct {
		names, nested, want string
	}{
		{"visual.proj logit_scale", "", "logit_scale visual.proj"},
		{"state_dict.visual.proj optimizer.0", "", "visual.proj"},
		{"model.visual.proj model.logit_scale optimizer.state.0.exp_avg", "model optimizer", "logit_scale visual.proj"},
		{"model_state_dict.visual.proj step", "model_state_dict", "visual.proj"},
		{"model_state_dict.module._orig_mod.visual.proj", "model_state_dict", "visual.proj"},
		{"_orig_mod.module.visual.proj _orig_mod.module.logit_scale", "", "logit_scale visual.proj"},
		{"model.visual.proj model.logit_scale", "", "logit_scale visual.proj"},
		{"clip.visual.proj", "", "visual.proj"},
		{"model.clip_model.visual.proj", "", "visual.proj"},
		{"module.visual.proj module.logit_scale n_averaged", "", "logit_scale visual.proj"},
		// Nothing is dropped that may be part of the model.
		{"model.visual.proj head.weight", "", "head.weight model.visual.proj"},
		{"module.visual.proj logit_scale", "", "logit_scale module.visual.proj"},
		{"n_averaged", "", "n_averaged"},
		{"module.", "", "module."},
		{"", "", ""},
		{"state_dict.visual.proj model.visual.proj", "model state_dict", `two sets of weights, under "state_dict" and "model"`},
	} {
		nested := make(map[string]bool)
		for _, key := range strings.Fields(c.nested) {
			nested[key] = true
		}
		bare, err := unwrap(strings.Fields(c.names), nested)
		if err != nil {
			if !strings.Contains(err.Error(), c.want) {
				t.Error(err)
			}
			continue
		}
		if got := strings.Join(slices.Sorted(maps.Keys(bare)), " "); got != c.want {
			t.Errorf("%s: %s, want %s", c.names, got, c.want)
		}
	}
}

// What every CLIP has is not unusual; what SigLIP has is.
func TestUnusual(t *testing.T) {
	for _, path := range []string{"hf", "open_clip", "vit_half.pt"} {
		if s := openModel(t, filepath.Join("testdata", path)).Settings().Unusual(); s != (Settings{}) {
			t.Errorf("%s: %+v", path, s)
		}
	}
	s, err := hfConfig([]byte(`{"model_type":"siglip"}`))
	if u := s.Unusual(); err != nil || u.Vision.Pool != "map" || u.Vision.Eps != 1e-6 || !u.Text.Full || u.Text.Pad != 1 || u.Vision.Heads != 0 {
		t.Errorf("%+v, %v", u, err)
	}
}

// A scale of one element is a scale.
func TestScaleOfOneElement(t *testing.T) {
	m, err := NewModel(memory(t, nil, zeros("visual.proj", F32, 2, 3), zeros("logit_scale", F32, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if s, _ := m.Shape("logit_scale"); len(s) != 0 {
		t.Error(s)
	}
}

// Tensors without elements would be the one way to claim sizes that no file has to hold.
func TestNoElements(t *testing.T) {
	_, err := NewModel(memory(t, nil, zeros("visual.proj", F32, 0, 1<<33)))
	expectKind(t, err, Mismatch, "no elements")
}

// Where digests are kept, a model that was read whole is not read again for its digest; a tensor that was not is.
func TestKeepDigests(t *testing.T) {
	for _, path := range []string{"vit.safetensors", "vit_half.pt", "hf/model.safetensors"} {
		b, err := os.ReadFile(filepath.Join("testdata", path))
		if err != nil {
			t.Fatal(err)
		}
		r := &countingReader{r: bytes.NewReader(b)}
		f, err := NewFile(path, r, int64(len(b)))
		if err != nil {
			t.Fatal(err)
		}
		m, err := NewModel(f)
		if err != nil {
			t.Fatal(err)
		}
		m.KeepDigests()
		names := m.Names()
		for _, name := range names[1:] {
			at := 0
			err := m.Stream(name, func(first int, values []float32) error {
				if first != at {
					t.Fatalf("%s: value %d after %d", name, first, at)
				}
				at += len(values)
				return nil
			})
			if n, _ := elements(m.plans[name].shape).int(); err != nil || at != n {
				t.Fatalf("%s: %d values, %v", name, at, err)
			}
		}
		before := r.n
		got, err := m.Digest()
		if want := readExpected(t)["vit"].Digest; err != nil || got != want {
			t.Errorf("%s: %s, %v, want %s", path, got, err, want)
		}
		shape, _ := m.Shape(names[0])
		if n, _ := elements(shape).int(); r.n-before > 8*n || r.n == before {
			t.Errorf("%s: %d bytes were read for the digest, of which one tensor of shape %v was missing", path, r.n-before, shape)
		}
	}
}

func TestMaskedDigest(t *testing.T) {
	a, b := openModel(t, "testdata/vit_half.pt"), openModel(t, "testdata/hf")
	names := []string{"visual.transformer.resblocks.1.attn.in_proj_weight", "visual.transformer.resblocks.0.attn.in_proj_weight"}
	da, err := a.MaskedDigest(names)
	if err != nil {
		t.Fatal(err)
	}
	slices.Reverse(names)
	if db, err := b.MaskedDigest(names); err != nil || da != db {
		t.Errorf("digests %s and %s, %v", da, db, err)
	}
	if whole, _ := a.Digest(); whole == da {
		t.Error("masked digest equals the whole model's")
	}
	if one, err := a.MaskedDigest(names[:1]); err != nil || one == da {
		t.Errorf("digest of a subset: %s, %v", one, err)
	}
	for _, bad := range [][]string{{"no.such"}, {names[0], names[0]}} {
		if _, err := a.MaskedDigest(bad); !errors.Is(err, Mismatch) {
			t.Errorf("%q: %v", bad, err)
		}
	}
}

func TestPreprocessingAndVocabulary(t *testing.T) {
	hf, oc, pt := openModel(t, "testdata/hf"), openModel(t, "testdata/open_clip"), openModel(t, "testdata/vit_half.pt")
	want := OpenAIPreprocessing
	want.Size, want.Resize = 8, 8
	if p, ok := hf.Preprocessing(); !ok || p != want {
		t.Errorf("hf: %v, %v", p, ok)
	}
	want = Preprocessing{Mean: [3]float64{.5, .5, .5}, Std: [3]float64{.25, .25, .25}, Size: 8, Mode: ResizeShortest, Interpolation: Bicubic}
	if p, ok := oc.Preprocessing(); !ok || p != want {
		t.Errorf("open_clip: %v, %v", p, ok)
	}
	if p, ok := pt.Preprocessing(); ok {
		t.Errorf("bare file: %+v", p)
	}
	if v := hf.Vocabulary(); v.Merges != filepath.Join("testdata", "hf", "merges.txt") || v.IDs != filepath.Join("testdata", "hf", "vocab.json") {
		t.Errorf("hf: %+v", v)
	}
	if v := oc.Vocabulary(); v != (Vocabulary{}) {
		t.Errorf("open_clip: %+v", v)
	}

	dir := t.TempDir()
	copyFile(t, "testdata/vit_half.pt", filepath.Join(dir, "ViT.pt"))
	gz := filepath.Join(dir, "bpe_simple_vocab_16e6.txt.gz")
	writeBytes(t, gz, []byte("x"))
	if v := openModel(t, filepath.Join(dir, "ViT.pt")).Vocabulary(); v != (Vocabulary{Merges: gz}) {
		t.Errorf("beside a .pt file: %+v", v)
	}
	whole := filepath.Join(dir, "tokenizer.json")
	writeBytes(t, whole, []byte("{}"))
	if v := openModel(t, filepath.Join(dir, "ViT.pt")).Vocabulary(); v != (Vocabulary{Merges: whole}) {
		t.Errorf("beside a .pt file: %+v", v)
	}
}

// memory opens a safetensors file that is built in memory.
func memory(t testing.TB, metadata map[string]string, entries ...Entry) *File {
	t.Helper()
	var b strings.Builder
	if err := WriteSafetensors(&b, metadata, entries); err != nil {
		t.Fatal(err)
	}
	f, err := NewFile("memory", strings.NewReader(b.String()), int64(b.Len()))
	if err != nil {
		t.Fatal(err)
	}
	return f
}

func zeros(name string, d DType, shape ...int) Entry {
	n, _ := payloadSize(Info{name, d, shape}).int()
	return Entry{name, d, shape, Bytes(make([]byte, n))}
}

func TestDialects(t *testing.T) {
	qkv := func(layer string, parts ...string) []Entry {
		e := []Entry{zeros("vision_model.embeddings.class_embedding", F32, 2)}
		for _, p := range parts {
			e = append(e, zeros("vision_model.encoder.layers."+layer+".self_attn."+p+"_proj.weight", F32, 2, 2))
		}
		return e
	}
	for _, c := range []struct {
		name    string
		entries []Entry
		kind    Kind // 0 when it should open
		text    string
	}{
		{"native", []Entry{zeros("visual.proj", F32, 2, 3)}, 0, "openai"},
		{"module prefix", []Entry{zeros("module.visual.proj", F32, 2, 3), zeros("module.logit_scale", F32)}, 0, "openai"},
		{"wrapped twice", []Entry{zeros("state_dict.module.visual.proj", F32, 2, 3), zeros("optimizer.x", F32, 1)}, 0, "openai"},
		{"linear text projection", []Entry{zeros("visual.proj", F32, 2, 3), zeros("text_projection.weight", F32, 3, 2)}, 0, "open_clip"},
		{"logit bias", []Entry{zeros("visual.proj", F32, 2, 3), zeros("logit_bias", F32)}, 0, "openai"},
		{"position ids", append(qkv("0", "q", "k", "v"), zeros("vision_model.embeddings.position_ids", I64, 1, 5)), 0, "huggingface"},
		{"spelled right", append(qkv("0", "q", "k", "v"), zeros("vision_model.pre_layernorm.weight", F32, 5)), 0, "huggingface"},

		{"nothing", nil, Unsupported, "no tensors"},
		{"unknown", []Entry{zeros("foo", F32, 1)}, Unsupported, `"foo"`},
		{"timm in open_clip", []Entry{zeros("visual.trunk.stem.0.x", F32, 1)}, Unsupported, "timm"},
		{"rotary in open_clip", []Entry{zeros("visual.trunk.rope.freqs", F32, 1)}, Unsupported, "rotary"},
		{"no norm before the blocks", []Entry{zeros("visual.proj", F32, 2, 3), zeros("visual.transformer.resblocks.0.ln_1.weight", F32, 2)}, Unsupported, "give the model's folder"},
		{"bias of the projection", []Entry{zeros("visual.proj", F32, 2, 3), zeros("text.text_projection.bias", F32, 2)}, Unsupported, "give the model's folder"},
		{"timm", []Entry{zeros("blocks.0.attn.qkv.weight", F32, 1)}, Unsupported, "timm"},
		{"coca", []Entry{zeros("visual.proj", F32, 2, 3), zeros("visual.attn_pool.query", F32, 2, 2), zeros("text.cls_emb", F32, 1), zeros("text_decoder.ln_final.bias", F32, 1)},
			Unsupported, "give the model's folder"},
		{"captions", []Entry{zeros("visual.proj", F32, 2, 3), zeros("text.ln_final.bias", F32, 1), zeros("text_decoder.x", F32, 1)}, Mismatch, "text_decoder.x"},
		{"siglip", []Entry{zeros("vision_model.head.probe", F32, 1), zeros("vision_model.post_layernorm.weight", F32, 1)}, Unsupported, "give the model's folder"},
		{"roberta", []Entry{zeros("visual.proj", F32, 2, 3), zeros("text.transformer.embeddings.word_embeddings.weight", F32, 1)}, Unsupported, "Hugging Face"},
		{"coop", []Entry{zeros("prompt_learner.ctx", F32, 1)}, Unsupported, "CoOp"},
		{"extra", []Entry{zeros("visual.proj", F32, 2, 3), zeros("visual.lora", F32, 1)}, Mismatch, `"visual.lora" is not part`},
		{"block number with zero", []Entry{zeros("visual.transformer.resblocks.00.ln_1.weight", F32, 1)}, Mismatch, "00"},
		{"no key", qkv("0", "q", "v"), Mismatch, "no key part"},
		{"no query", qkv("0", "k", "v"), Mismatch, "no query part"},
		{"unequal parts", append(qkv("1", "q", "k"), zeros("vision_model.encoder.layers.1.self_attn.v_proj.weight", F32, 3, 2)), Mismatch, "shape"},
		{"both spellings", append(qkv("0", "q", "k", "v"), zeros("vision_model.pre_layernorm.bias", F32, 1), zeros("vision_model.pre_layrnorm.bias", F32, 1)), Mismatch, "both"},
		{"scalar part", []Entry{
			zeros("vision_model.encoder.layers.1.self_attn.q_proj.bias", F32), zeros("vision_model.encoder.layers.1.self_attn.k_proj.bias", F32),
			zeros("vision_model.encoder.layers.1.self_attn.v_proj.bias", F32)}, Mismatch, "scalar"},
		{"vector transposed", []Entry{zeros("vision_model.embeddings.class_embedding", F32, 1), zeros("visual_projection.weight", F32, 4)}, Mismatch, "matrix"},
		{"quantised", []Entry{zeros("visual.proj", I8, 2, 3)}, Mismatch, "quantised"},
		{"two projections", []Entry{zeros("visual.proj", F32, 2, 3), zeros("text_projection.weight", F32, 3, 2), zeros("text_projection", F32, 3, 2)}, Mismatch, "both"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m, err := NewModel(memory(t, nil, c.entries...))
			if c.kind == 0 {
				if err != nil {
					t.Fatal(err)
				}
				if m.Dialect() != c.text {
					t.Errorf("dialect %s, want %s", m.Dialect(), c.text)
				}
				if _, err := m.Digest(); err != nil {
					t.Error(err)
				}
				return
			}
			if !errors.Is(err, c.kind) || !strings.Contains(err.Error(), c.text) {
				t.Errorf("error %v; want kind %v with %q", err, c.kind, c.text)
			}
		})
	}
}

// Every tensor of a checkpoint, renamed, is noticed: nothing extra is skipped.
func TestEveryRenamedTensorIsRefused(t *testing.T) {
	for _, path := range []string{"testdata/vit.safetensors", "testdata/hf/model.safetensors", "testdata/open_clip/open_clip_model.safetensors"} {
		f, err := Open(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, victim := range f.Names() {
			var entries []Entry
			for _, name := range f.Names() {
				info, _ := f.Info(name)
				if name == victim {
					name += "x"
				}
				entries = append(entries, zeros(name, info.DType, info.Shape...))
			}
			if _, err := NewModel(memory(t, nil, entries...)); !errors.Is(err, Mismatch) || !strings.Contains(err.Error(), victim+"x") {
				t.Errorf("%s renamed: %v", victim, err)
			}
		}
		f.Close()
	}
}

// A weight is named by its index in the whole tensor, however it is read.
func TestNonFiniteFarBehind(t *testing.T) {
	const rows, cols, at = 3, chunkSize / 3, chunkSize/2 + 7 // in the second of what is read at a time
	payload := make([]byte, 2*rows*cols)
	payload[2*at+1] = 0x7c
	m, err := NewModel(memory(t, nil, Entry{"visual.proj", F16, []int{rows, cols}, Bytes(payload)}))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	want := fmt.Sprintf("[%d %d]", at/cols, at%cols)
	for name, err := range map[string]error{
		"read":     m.Read("visual.proj", make([]float32, rows*cols)),
		"streamed": m.Stream("visual.proj", func(int, []float32) error { return nil }),
	} {
		if !errors.Is(err, NonFinite) || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want element %s", name, err, want)
		}
	}
	m.AllowNonFinite = true
	got := make([]float32, rows*cols)
	if err := m.Read("visual.proj", got); err != nil || !math.IsInf(float64(got[at]), 1) {
		t.Errorf("allowed: %v, element is %g", err, got[at])
	}
}

func TestNonFinite(t *testing.T) {
	for _, c := range []struct {
		name  string
		dtype DType
		bits  []byte
		bad   bool
	}{
		{"fp16 +Inf", F16, []byte{0x00, 0x7c}, true},
		{"fp16 -Inf", F16, []byte{0x00, 0xfc}, true},
		{"fp16 NaN", F16, []byte{0x01, 0x7c}, true},
		{"fp16 largest", F16, []byte{0xff, 0x7b}, false},
		{"fp16 smallest", F16, []byte{0x01, 0x00}, false},
		{"bf16 Inf", BF16, []byte{0x80, 0x7f}, true},
		{"bf16 NaN", BF16, []byte{0xc0, 0xff}, true},
		{"fp32 NaN", F32, []byte{1, 0, 0x80, 0x7f}, true},
		{"fp32 smallest", F32, []byte{1, 0, 0, 0}, false},
		{"fp64 NaN", F64, []byte{1, 0, 0, 0, 0, 0, 0xf0, 0x7f}, true},
		{"fp64 beyond fp32", F64, []byte{0, 0, 0, 0, 0, 0, 0, 0x7f}, true},
	} {
		for _, at := range []int{0, 5} {
			payload := make([]byte, 6*c.dtype.Size())
			copy(payload[at*c.dtype.Size():], c.bits)
			m, err := NewModel(memory(t, nil, Entry{"visual.proj", c.dtype, []int{2, 3}, Bytes(payload)}))
			if err != nil {
				t.Fatal(err)
			}
			_, err = m.Digest()
			if !c.bad {
				if err != nil {
					t.Errorf("%s: %v", c.name, err)
				}
				continue
			}
			index := map[int]string{0: "[0 0]", 5: "[1 2]"}[at]
			if !errors.Is(err, NonFinite) || !strings.Contains(err.Error(), index) || !strings.Contains(err.Error(), "visual.proj") {
				t.Errorf("%s at %s: %v", c.name, index, err)
			}
			m.AllowNonFinite = true
			if _, err := m.Digest(); err != nil {
				t.Errorf("%s allowed: %v", c.name, err)
			}
		}
	}
}

func TestActivationMetadata(t *testing.T) {
	e := zeros("visual.proj", F32, 2, 3)
	m, err := NewModel(memory(t, map[string]string{ActivationKey: "gelu"}, e))
	if err != nil || m.Activation() != "gelu" {
		t.Errorf("%v, %v", m, err)
	}
	if _, err := NewModel(memory(t, map[string]string{ActivationKey: "relu"}, e)); !errors.Is(err, Unsupported) {
		t.Error(err)
	}
}

func TestReadMisuse(t *testing.T) {
	m := openModel(t, "testdata/hf")
	for _, err := range []error{
		m.Read("no.such", nil),
		m.Read("visual.proj", make([]float32, 31)),
		m.Read("visual.proj", make([]float32, 33)),
		m.file.Read("no.such", nil),
		m.file.Read("logit_scale", nil),
	} {
		if !errors.Is(err, Mismatch) {
			t.Errorf("%v", err)
		}
	}
	if _, err := m.file.ReadBytes("no.such"); !errors.Is(err, Mismatch) {
		t.Error(err)
	}
	f, err := Open("testdata/views.pt")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Read("long", make([]float32, 2)); !errors.Is(err, Mismatch) {
		t.Errorf("integers read as floats: %v", err)
	}
}

func copyFile(t testing.TB, from, to string) {
	t.Helper()
	b, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	writeBytes(t, to, b)
}

func writeBytes(t testing.TB, path string, b []byte) {
	t.Helper()
	if err := os.WriteFile(path, b, 0o666); err != nil {
		t.Fatal(err)
	}
}
