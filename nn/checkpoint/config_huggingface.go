package checkpoint

import (
	"slices"
	"strings"
)

// A tower is a text_config or vision_config of Hugging Face.
type tower struct {
	activation string
	heads      int
	eps        float64
	imageSize  int
	eos, pad   uint64
	headless   bool // SigLIP's image encoder without what pools
}

// hiddenAct reads Hugging Face's name of an activation.
func hiddenAct(to *string) func(*jsonReader) error {
	return func(r *jsonReader) error {
		name, err := r.text()
		if err != nil {
			return err
		}
		switch name {
		case "quick_gelu":
			*to = quickGELU
		case "gelu", "gelu_python":
			*to = gelu
		case "gelu_pytorch_tanh", "gelu_new", "gelu_fast":
			*to = tanhGELU
		default:
			return r.unsupported("activation", `"quick_gelu", "gelu" or "gelu_pytorch_tanh"`, quote(name))
		}
		return nil
	}
}

// wantEps reads the epsilon of layer norms.
func wantEps(to *float64) func(*jsonReader) error {
	return func(r *jsonReader) error {
		eps, err := r.number()
		if err == nil && (eps < 1e-12 || eps > 1e-2) {
			return r.unsupported("epsilon of LayerNorm", "a number from 1e-12 to 0.01", eps)
		}
		*to = eps
		return err
	}
}

func (t *tower) fields() fields {
	return fields{
		"hidden_act":          hiddenAct(&t.activation),
		"num_attention_heads": wantCount(&t.heads),
		"layer_norm_eps":      wantEps(&t.eps),
		"image_size":          wantSquare(&t.imageSize),
		"eos_token_id":        wantID(&t.eos),
		"pad_token_id":        wantID(&t.pad),
		"vision_use_head": func(r *jsonReader) error {
			use, err := r.boolean()
			t.headless = !use
			return err
		},
	}
}

// modelType reads a config.json's model_type, before anything else: what the other settings mean depends on it.
func modelType(src []byte) (string, error) {
	r := &jsonReader{src: src}
	name := ""
	err := fields{"model_type": func(r *jsonReader) (err error) {
		name, err = r.text()
		return err
	}}.read(r, skipUnknown)
	if err != nil {
		return "", err
	}
	if err := r.end(); err != nil {
		return "", err
	}
	if slices.Contains([]string{"clip", "clip_vision_model", "clip_vision_model_with_projection", "siglip", "metaclip_2"}, name) {
		return name, nil
	}
	return "", refused(modelTypes, name).in("model_type").wanted(`"clip"`, quote(name))
}

// hfConfig reads the config.json of a CLIPModel or CLIPVisionModel, a
// SiglipModel or a MetaClip2Model. What the file leaves out has transformers'
// defaults: of CLIP quick_gelu, 12 heads for images, 8 for text, 1e-5; of
// SigLIP the tanh GELU, 12 heads, 1e-6.
func hfConfig(src []byte) (settings, error) {
	kind, err := modelType(src)
	if err != nil {
		return settings{}, err
	}
	r := &jsonReader{src: src}
	vision, text := tower{activation: quickGELU, heads: 12, eps: 1e-5}, tower{activation: quickGELU, heads: 8, eps: 1e-5, eos: 49407}
	if kind == "siglip" {
		vision = tower{activation: tanhGELU, heads: 12, eps: 1e-6}
		text = tower{activation: tanhGELU, heads: 12, eps: 1e-6, pad: 1}
	}
	if strings.HasPrefix(kind, "clip_vision_model") { // the fields are at the top
		if err := vision.fields().read(r, skipUnknown); err != nil {
			return settings{}, err
		}
		return settings{Settings: Settings{Activation: vision.activation, Vision: vision.vision()}, preprocess: OpenAIPreprocessing}, nil
	}
	// Where *_config_dict exists (files of 2021), it replaces *_config.
	oldVision, oldText := vision, text
	hasVision, hasText, ignored := false, false, false
	nested := func(t *tower, has *bool) func(*jsonReader) error {
		return func(r *jsonReader) error {
			*has = true
			return t.fields().read(r, skipUnknown)
		}
	}
	err = fields{
		"vision_config":      nested(&vision, &ignored),
		"text_config":        nested(&text, &ignored),
		"vision_config_dict": nested(&oldVision, &hasVision),
		"text_config_dict":   nested(&oldText, &hasText),
	}.read(r, skipUnknown)
	if err != nil {
		return settings{}, err
	}
	if hasVision {
		vision = oldVision
	}
	if hasText {
		text = oldText
	}
	s := settings{Settings: Settings{
		Activation: vision.activation,
		Vision:     vision.vision(),
		Text:       TextSettings{Heads: text.heads, Eps: text.eps},
	}, preprocess: OpenAIPreprocessing}
	if vision.activation != text.activation {
		s.Vision.Activation, s.Text.Activation = vision.activation, text.activation
	}
	switch kind {
	case "siglip":
		if vision.headless {
			return settings{}, fault(Unsupported, "SigLIP without the head that makes features of tokens").in("vision_use_head").wanted(true, false)
		}
		s.Vision.Pool = "map"
		s.Text.Pool, s.Text.Full, s.Text.Pad, s.Text.NoProj = "last", true, int32(text.pad), true
		s.Text.Tokenizer, s.Text.Clean = "SigLIP's", "siglip"
		s.preprocess = siglipImages.Preprocessing
		s.preprocess.Mode = ResizeSquash
	case "metaclip_2":
		s.Text.Pool, s.Text.EOS, s.Text.Tokenizer = "eos", int32(text.eos), "XLM-V's"
	}
	return s, nil
}

func (t tower) vision() VisionSettings {
	return VisionSettings{Heads: t.heads, Eps: t.eps, ImageSize: t.imageSize}
}
