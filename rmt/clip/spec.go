package clip

import (
	"crypto/sha256"
	"encoding/hex"

	"fewshot/datasets"
	"fewshot/nn/checkpoint"
	"fewshot/text"
)

// Spec is what of a model determines its results: equal specs compute the same function of the same files.
type Spec struct {
	Digest        string        `json:"digest"` // of all weights
	Activation    string        `json:"activation"`
	ImageHeads    int           `json:"image_heads"`
	TextHeads     int           `json:"text_heads,omitempty"` // 0 without a text encoder
	Vocabulary    string        `json:"vocabulary,omitempty"` // SHA-256 of all that ids depend on; "" without one
	Preprocessing Preprocessing `json:"preprocessing"`
	// Ensemble is the order in which features of several prompts are normalised; "" is normalize-first, the only one
	// when specs had no such field.
	Ensemble string `json:"ensemble,omitempty"`
	// Settings are what a relative of CLIP's has otherwise; nothing of CLIP itself.
	Settings checkpoint.Settings `json:"settings,omitzero"`
}

// Preprocessing is what happens to an image before the encoder sees it.
type Preprocessing struct {
	checkpoint.Preprocessing
	Pillow int `json:"pillow"` // major version of the Pillow whose resize is reproduced
}

func (p Preprocessing) transform() datasets.Transform {
	t := datasets.Transform{Size: p.Size, Resize: p.Resize, Squash: p.Mode == checkpoint.ResizeSquash, Bilinear: p.Interpolation == checkpoint.Bilinear, Pillow: p.Pillow}
	for i := range 3 {
		t.Mean[i], t.Std[i] = float32(p.Mean[i]), float32(p.Std[i])
	}
	return t
}

// Order is Ensemble, with the one that is meant where there is none.
func (s Spec) Order() string {
	if s.Ensemble == "" {
		return text.NormalizeFirst.String()
	}
	return s.Ensemble
}

// Spec describes the model.
func (m *Model) Spec() (Spec, error) {
	s := Spec{Digest: m.Digest, Activation: m.Activation.String(), ImageHeads: m.Arch.Sizes().Heads, Preprocessing: m.Preprocessing,
		Settings: m.Source.Settings().Unusual()}
	if m.Ensemble != text.NormalizeFirst {
		s.Ensemble = m.Ensemble.String()
	}
	if m.Text != nil {
		s.TextHeads = m.Text.Heads
	}
	if m.Tokenizer != nil {
		h := sha256.New()
		if err := m.Tokenizer.Fingerprint(h); err != nil {
			return s, err
		}
		s.Vocabulary = hex.EncodeToString(h.Sum(nil))
	}
	return s, nil
}
