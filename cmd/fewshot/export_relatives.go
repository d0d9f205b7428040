package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"slices"

	"fewshot/nn/checkpoint"
	"fewshot/nn/export"
	"fewshot/rmt/clip"
)

// besideWeights are the files of model folders that say how images and texts are prepared, and what the model is.
var besideWeights = []string{
	"config.json", "open_clip_config.json", "preprocessor_config.json", "processor_config.json",
	"tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json",
	"spiece.model", "tokenizer.model", "sentencepiece.bpe.model", "vocab.json", "merges.txt", "vocab.txt",
}

// maxBeside is more than any of them has.
const maxBeside = 256 << 20

// relative takes what a relative of CLIP's has beside its weights from its folder, where these are read once more.
func (f *exportFlags) relative(m *clip.Model) (*export.Relative, error) {
	dir := m.Source.Dir()
	switch {
	case m.Source.Format() != "huggingface" && m.Source.Format() != "open_clip":
		return nil, fmt.Errorf("%s has something that CLIP has not, and is no folder whose configuration could go along: give the folder", m.Name)
	case f.model.Vocab != "":
		return nil, usagef("-vocab: a relative of CLIP's is written with the tokenizer of its folder; leave it out")
	}
	if p, _ := m.Source.Preprocessing(); p.Size != 0 && p.Size != m.Preprocessing.Size {
		return nil, usagef("-image-size %d: a relative of CLIP's is written with the configuration of its folder, which is for %d pixels; leave it out", m.Preprocessing.Size, p.Size)
	}
	r := &export.Relative{Settings: m.Source.Settings()}
	config := "config.json"
	if m.Source.Format() == "open_clip" {
		config = "open_clip_config.json"
	}
	for _, name := range besideWeights {
		if name != config && (name == "config.json" || name == "open_clip_config.json") {
			continue // the other library's, whose names the weights will not have
		}
		b, err := checkpoint.ReadFile(filepath.Join(dir, name), maxBeside)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err == nil && name == "config.json" {
			b, err = inFloat32(b)
		}
		if err != nil {
			return nil, err
		}
		r.Beside = append(r.Beside, export.File{Name: name, Write: func(w io.Writer) error {
			_, err := w.Write(b)
			return err
		}})
	}
	if !slices.ContainsFunc(r.Beside, func(f export.File) bool { return f.Name == config }) {
		return nil, fmt.Errorf("%s has no %s", dir, config)
	}
	var err error
	r.Stored, err = checkpoint.OpenModel(m.Source.Path())
	return r, err
}

// inFloat32 is a config.json that says of the values what is written: transformers would round them to whatever it says.
func inFloat32(config []byte) ([]byte, error) {
	d := json.NewDecoder(bytes.NewReader(config))
	d.UseNumber() // 1.0 stays 1.0, which transformers insists on
	var all map[string]any
	if err := d.Decode(&all); err != nil {
		return nil, fmt.Errorf("config.json: %w", err)
	}
	for _, part := range []any{all, all["text_config"], all["vision_config"]} {
		if part, ok := part.(map[string]any); ok {
			delete(part, "torch_dtype")
			part["dtype"] = "float32"
		}
	}
	all["torch_dtype"] = "float32" // for transformers 4
	return json.MarshalIndent(all, "", "  ")
}
