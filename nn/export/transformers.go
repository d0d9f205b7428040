package export

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"

	"fewshot/nn/checkpoint"
)

// jsonFile is a value as JSON that people can read.
func jsonFile(name string, v any) File {
	return File{name, func(w io.Writer) error {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		e.SetEscapeHTML(false)
		return e.Encode(v)
	}}
}

// A float is a number that stays one in Python: transformers refuses 1 where it wants 1.0 (findings/hub.sh).
type float float64

func (f float) MarshalJSON() ([]byte, error) {
	b, err := json.Marshal(float64(f))
	if err == nil && !bytes.ContainsAny(b, ".e") {
		b = append(b, ".0"...)
	}
	return b, err
}

func floats(v [3]float64) [3]float { return [3]float{float(v[0]), float(v[1]), float(v[2])} }

// Transformers are the files of a folder for CLIPModel, AutoProcessor and the pipelines of transformers, and for
// transformers.js.
func (m *Model) Transformers() ([]File, error) {
	if err := m.prepare(); err != nil {
		return nil, err
	}
	if m.Relative != nil {
		return m.again("transformers")
	}
	if err := m.noNet("transformers", "-to open_clip or openai, or onnx with -classes-file or -image-only"); err != nil {
		return nil, err
	}
	if err := m.needVocabulary("transformers"); err != nil {
		return nil, err
	}
	act := map[string]string{"quickgelu": "quick_gelu", "gelu": "gelu"}[m.Activation]
	part := func(t tower) map[string]any {
		return map[string]any{
			"hidden_size": t.width, "intermediate_size": t.inner, "num_hidden_layers": t.layers, "num_attention_heads": t.heads,
			"hidden_act": act, "layer_norm_eps": float(t.eps), "attention_dropout": float(0), "projection_dim": m.embed, "dtype": "float32",
		}
	}
	vision, texts := part(m.image), part(m.text)
	vision["model_type"], vision["image_size"], vision["patch_size"], vision["num_channels"] = "clip_vision_model", m.side, m.patch, 3
	texts["model_type"], texts["vocab_size"], texts["max_position_embeddings"] = "clip_text_model", m.vocab, m.text.tokens
	texts["bos_token_id"], texts["eos_token_id"], texts["pad_token_id"] = m.vocab-2, m.vocab-1, m.vocab-1
	scale, err := m.read("logit_scale")
	if err != nil {
		return nil, err
	}
	config := map[string]any{
		"architectures": []string{"CLIPModel"}, "model_type": "clip", "projection_dim": m.embed, "dtype": "float32", "torch_dtype": "float32",
		"logit_scale_init_value": float(scale[0]), "initializer_factor": float(1), "text_config": texts, "vision_config": vision,
	}
	images, err := m.imageProcessor()
	if err != nil {
		return nil, err
	}
	files := []File{
		jsonFile("config.json", config),
		{"model.safetensors", func(w io.Writer) error {
			about := map[string]string{"format": "pt"} // which older readers insist on
			return checkpoint.WriteSafetensors(w, about, m.transformersTensors())
		}},
		jsonFile("preprocessor_config.json", images),
	}
	return append(files, append(m.tokenizerFiles(), m.card("transformers"))...), nil
}

// imageProcessor is preprocessor_config.json.
func (m *Model) imageProcessor() (map[string]any, error) {
	p := m.Preprocessing
	resample := map[string]int{checkpoint.Bicubic: 3, checkpoint.Bilinear: 2}[p.Interpolation]
	if resample == 0 {
		return nil, fmt.Errorf("export to transformers: interpolation %q", p.Interpolation)
	}
	size := map[string]int{"shortest_edge": p.Resize}
	if p.Mode == checkpoint.ResizeSquash {
		size = map[string]int{"height": p.Resize, "width": p.Resize}
	}
	return map[string]any{
		"image_processor_type": "CLIPImageProcessor",
		"do_resize":            true, "size": size, "resample": resample,
		"do_center_crop": true, "crop_size": map[string]int{"height": p.Size, "width": p.Size},
		"do_rescale": true, "rescale_factor": float(1.0 / 255), "do_normalize": true, "image_mean": floats(p.Mean), "image_std": floats(p.Std), "do_convert_rgb": true,
	}, nil
}

// tokenizerFiles are those of CLIPTokenizer.
func (m *Model) tokenizerFiles() []File {
	const start, end = "<|startoftext|>", "<|endoftext|>"
	return []File{
		jsonFile("tokenizer_config.json", map[string]any{
			"tokenizer_class": "CLIPTokenizer", "model_max_length": m.text.tokens, "do_lower_case": true, "add_prefix_space": false, "errors": "replace",
			"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": end,
		}),
		jsonFile("special_tokens_map.json", map[string]any{"bos_token": start, "eos_token": end, "unk_token": end, "pad_token": end}),
		text("vocab.json", m.Vocab),
		m.merges(),
		{"tokenizer.json", m.writeTokenizer},
	}
}

// merges is the vocabulary for whoever has none built in, as this program: neither clip nor open_clip looks at the file where it is OpenAI's.
func (m *Model) merges() File { return text("merges.txt", m.Merges) }

// writeTokenizer writes the same vocabulary for programs without Python, in the form of the tokenizers library: which
// steps a text goes through, and the tables.
func (m *Model) writeTokenizer(w io.Writer) error {
	const start, end = "<|startoftext|>", "<|endoftext|>"
	type step map[string]any
	special := func(id int, content string) step {
		return step{"id": id, "content": content, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true}
	}
	var merges []string
	for line := range strings.Lines(string(m.Merges)) {
		if line = strings.TrimRight(line, "\r\n"); line != "" && !strings.HasPrefix(line, "#version") {
			merges = append(merges, line)
		}
	}
	return jsonFile("", step{
		"version": "1.0", "truncation": nil, "padding": nil,
		"added_tokens": []step{special(m.vocab-2, start), special(m.vocab-1, end)},
		"normalizer": step{"type": "Sequence", "normalizers": []step{
			{"type": "NFC"}, {"type": "Replace", "pattern": step{"Regex": `\s+`}, "content": " "}, {"type": "Lowercase"}}},
		"pre_tokenizer": step{"type": "Sequence", "pretokenizers": []step{
			{"type": "Split", "behavior": "Removed", "invert": true,
				"pattern": step{"Regex": `'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+`}},
			{"type": "ByteLevel", "add_prefix_space": false, "trim_offsets": true, "use_regex": true}}},
		"post_processor": step{"type": "RobertaProcessing", "sep": []any{end, m.vocab - 1}, "cls": []any{start, m.vocab - 2},
			"trim_offsets": false, "add_prefix_space": false},
		"decoder": step{"type": "ByteLevel", "add_prefix_space": true, "trim_offsets": true, "use_regex": true},
		"model": step{"type": "BPE", "dropout": nil, "unk_token": end, "continuing_subword_prefix": "", "end_of_word_suffix": "</w>",
			"fuse_unk": false, "byte_fallback": false, "ignore_merges": false, "vocab": json.RawMessage(m.Vocab), "merges": merges},
	}).Write(w)
}

// transformersTensors are the model's under the names of CLIPModel: query, key and value apart, projections transposed.
func (m *Model) transformersTensors() (out []checkpoint.Entry) {
	put := func(as, name string) { out = append(out, m.entry(as, name, 0, 1, false)) }
	pair := func(as, name string) {
		put(as+".weight", name+".weight")
		put(as+".bias", name+".bias")
	}
	put("vision_model.embeddings.class_embedding", "visual.class_embedding")
	put("vision_model.embeddings.patch_embedding.weight", "visual.conv1.weight")
	put("vision_model.embeddings.position_embedding.weight", "visual.positional_embedding")
	pair("vision_model.pre_layrnorm", "visual.ln_pre") // its spelling
	pair("vision_model.post_layernorm", "visual.ln_post")
	put("text_model.embeddings.token_embedding.weight", "token_embedding.weight")
	put("text_model.embeddings.position_embedding.weight", "positional_embedding")
	pair("text_model.final_layer_norm", "ln_final")
	out = append(out, m.entry("visual_projection.weight", "visual.proj", 0, 1, true), m.entry("text_projection.weight", "text_projection", 0, 1, true))
	put("logit_scale", "logit_scale")
	for _, side := range []struct {
		as string
		t  tower
	}{{"vision_model.", m.image}, {"text_model.", m.text}} {
		for i := range side.t.layers {
			as, from := fmt.Sprintf("%sencoder.layers.%d.", side.as, i), side.t.block(i)
			pair(as+"layer_norm1", from+"ln_1")
			pair(as+"layer_norm2", from+"ln_2")
			for j, p := range []string{"q", "k", "v"} {
				out = append(out, m.entry(as+"self_attn."+p+"_proj.weight", from+"attn.in_proj_weight", j, 3, false),
					m.entry(as+"self_attn."+p+"_proj.bias", from+"attn.in_proj_bias", j, 3, false))
			}
			pair(as+"self_attn.out_proj", from+"attn.out_proj")
			pair(as+"mlp.fc1", from+"mlp.c_fc")
			pair(as+"mlp.fc2", from+"mlp.c_proj")
		}
	}
	return out
}
