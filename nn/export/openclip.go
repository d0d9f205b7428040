package export

import (
	"fmt"
	"io"

	"fewshot/nn/checkpoint"
)

// OpenCLIP are the files of a folder that open_clip takes as local-dir:FOLDER, or from a hub as hf-hub:.
func (m *Model) OpenCLIP() ([]File, error) {
	if err := m.prepare(); err != nil {
		return nil, err
	}
	if m.Relative != nil {
		return m.again("open_clip")
	}
	if err := m.needVocabulary("open_clip"); err != nil {
		return nil, err
	}
	part := func(t tower) (map[string]any, error) {
		c := map[string]any{"width": t.width, "layers": t.layers}
		if t.inner != 4*t.width {
			// open_clip multiplies and cuts off: the next number up from the quotient comes out right.
			ratio := (float64(t.inner) + 0.25) / float64(t.width)
			if int(float64(t.width)*ratio) != t.inner {
				return nil, fmt.Errorf("export to open_clip: no mlp_ratio makes %d of width %d", t.inner, t.width)
			}
			c["mlp_ratio"] = float(ratio)
		}
		if t.eps != 1e-5 { // norm_kwargs would say it, but nothing here reads that back
			return nil, fmt.Errorf("export to open_clip: %s has epsilon %g where open_clip takes 1e-5: use -to transformers", t.prefix, t.eps)
		}
		return c, nil
	}
	vision, err := part(m.image)
	if m.net != nil {
		vision, err = map[string]any{"width": m.net.width, "layers": m.net.layers, "patch_size": nil}, nil
	}
	if err != nil {
		return nil, err
	}
	texts, err := part(m.text)
	if err != nil {
		return nil, err
	}
	vision["image_size"] = m.side
	if m.net != nil {
		vision["head_width"] = m.net.pool() / m.net.heads
	} else {
		vision["patch_size"], vision["head_width"] = m.patch, m.image.width/m.image.heads
	}
	texts["context_length"], texts["vocab_size"], texts["heads"] = m.text.tokens, m.vocab, m.text.heads
	files := []File{m.merges()}
	if !m.OpenAIVocabulary {
		texts["hf_tokenizer_name"] = "." // of a folder it takes the folder's own
		files = m.tokenizerFiles()
	}
	p := m.Preprocessing
	if p.Resize != p.Size {
		return nil, fmt.Errorf("export to open_clip: images are resized to %d before %d pixels are cut out, which its configuration cannot say", p.Resize, p.Size)
	}
	config := map[string]any{
		"model_cfg": map[string]any{"embed_dim": m.embed, "quick_gelu": m.Activation == "quickgelu", "vision_cfg": vision, "text_cfg": texts},
		"preprocess_cfg": map[string]any{"size": p.Size, "mode": "RGB", "mean": floats(p.Mean), "std": floats(p.Std), "interpolation": p.Interpolation,
			"resize_mode": p.Mode, "fill_color": 0},
	}
	return append(files,
		jsonFile("open_clip_config.json", config),
		File{"open_clip_model.safetensors", func(w io.Writer) error {
			return checkpoint.WriteSafetensors(w, map[string]string{"format": "pt"}, m.plainTensors())
		}},
		m.card("open_clip")), nil
}

// plainTensors are the model's under OpenAI's names, which are open_clip's.
func (m *Model) plainTensors() (out []checkpoint.Entry) {
	for _, name := range m.Weights.Names() {
		out = append(out, m.entry(name, name, 0, 1, false))
	}
	return out
}
