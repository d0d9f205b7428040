package checkpoint

import (
	"fmt"
	"math"
)

// Activations as [Model.Activation] names them.
const (
	quickGELU = "quickgelu"
	gelu      = "gelu"
)

// settings is what a model folder says beyond its weights.
type settings struct {
	activation  string
	visionHeads int
	textHeads   int
	preprocess  Preprocessing
}

// Preprocessing is how a model wants its images: the shorter side resized to
// Size with Pillow's bicubic filter, the centre square cut out, each channel
// (R, G, B; scaled to [0, 1]) reduced by Mean and divided by Std. A folder
// that asks for anything else is refuseUnknown when it is opened.
type Preprocessing struct {
	Mean, Std [3]float64
	Size      int // pixels; 0 if only the weights tell
}

// OpenAIPreprocessing are the constants of OpenAI's CLIP, which Hugging Face
// and open_clip use where a configuration does not say otherwise.
var OpenAIPreprocessing = Preprocessing{
	Mean: [3]float64{0.48145466, 0.4578275, 0.40821073},
	Std:  [3]float64{0.26862954, 0.26130258, 0.27577711},
}

// fields reads one JSON object of a configuration: a reader for each key
// that matters. A value of null counts as absent, as in Python.
type fields map[string]func(*jsonReader) error

// read calls other for keys that are not listed.
func (f fields) read(r *jsonReader, other func(*jsonReader, string) error) error {
	return r.object(func(key string) error {
		if r.null() {
			return nil
		}
		if field := f[key]; field != nil {
			return entryFault(field(r), key)
		}
		return other(r, key)
	})
}

// skipUnknown skips a key that has no bearing on inference. Hugging Face writes
// dozens of them.
func skipUnknown(r *jsonReader, _ string) error { return r.skip() }

// refuseUnknown is for objects where every key can change the architecture.
func refuseUnknown(r *jsonReader, key string) error {
	return fault(Unsupported, "unknown model setting").in(key).at(r.base + int64(r.pos))
}

func skipField(r *jsonReader) error { return r.skip() }

// wantCount reads a number of heads, pixels or channels into to.
func wantCount(to *int) func(*jsonReader) error {
	return func(r *jsonReader) error {
		n, err := r.natural()
		if err != nil {
			return err
		}
		if n == 0 || n > 1<<20 {
			return r.unsupported("setting", "a number from 1 to 1048576", n)
		}
		*to = int(n)
		return nil
	}
}

func (r *jsonReader) unsupported(what string, want, got any) error {
	return fault(Unsupported, "%s", what).at(r.base+int64(r.pos)).wanted(want, got)
}

// wantText accepts one string.
func wantText(want string) func(*jsonReader) error {
	return func(r *jsonReader) error {
		got, err := r.text()
		if err == nil && got != want {
			return r.unsupported("setting", quote(want), quote(got))
		}
		return err
	}
}

// wantBool accepts one truth value.
func wantBool(want bool) func(*jsonReader) error {
	return func(r *jsonReader) error {
		got, err := r.boolean()
		if err == nil && got != want {
			return r.unsupported("setting", want, got)
		}
		return err
	}
}

// wantAbsent refuses any value but null.
func wantAbsent(what string) func(*jsonReader) error {
	return func(r *jsonReader) error {
		return fault(Unsupported, "%s", what).at(r.base + int64(r.pos))
	}
}

// wantNear accepts one number, within the rounding of its decimal spelling.
func wantNear(want float64) func(*jsonReader) error {
	return func(r *jsonReader) error {
		got, err := r.number()
		if err == nil && math.Abs(got-want) > 1e-6*want {
			return r.unsupported("setting", want, got)
		}
		return err
	}
}

// wantTriple reads three numbers, one a colour channel.
func wantTriple(to *[3]float64, positive bool) func(*jsonReader) error {
	return func(r *jsonReader) error {
		n := 0
		err := r.array(func(i int) error {
			v, err := r.number()
			if err != nil {
				return err
			}
			if i < 3 {
				to[i] = v
			}
			if math.Abs(v) > 1e3 || positive && v < 1e-6 {
				return r.unsupported("channel constant", "a moderate number", v)
			}
			n++
			return nil
		})
		if err == nil && n != 3 {
			return r.unsupported("channel constants", "three numbers", n)
		}
		return err
	}
}

// wantSquare reads a picture's size: one number, or height and width that agree,
// as an object or an array.
func wantSquare(to *int) func(*jsonReader) error {
	return func(r *jsonReader) error {
		var height, width int
		var err error
		switch r.peek() {
		case '{':
			err = fields{"height": wantCount(&height), "width": wantCount(&width)}.read(r, refuseUnknown)
		case '[':
			err = r.array(func(i int) error {
				switch i {
				case 0:
					return wantCount(&height)(r)
				case 1:
					return wantCount(&width)(r)
				}
				return r.unsupported("picture size", "two numbers", "more")
			})
		default:
			err = wantCount(&height)(r)
			width = height
		}
		if err == nil && (height == 0 || height != width) {
			return r.unsupported("picture size", "a square", fmt.Sprintf("%d by %d", height, width))
		}
		*to = height
		return err
	}
}

// A tower is a text_config or vision_config of Hugging Face.
type tower struct {
	activation string
	heads      int
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
		case "gelu":
			*to = gelu
		default:
			return r.unsupported("activation", `"quick_gelu" or "gelu"`, quote(name))
		}
		return nil
	}
}

func (t *tower) fields() fields {
	return fields{
		"hidden_act":          hiddenAct(&t.activation),
		"num_attention_heads": wantCount(&t.heads),
		"layer_norm_eps":      wantNear(1e-5),
	}
}

// hfConfig reads the config.json of a CLIPModel or CLIPVisionModel. What the
// file leaves out has the defaults of transformers' CLIPTextConfig and
// CLIPVisionConfig: quick_gelu, 12 heads for images, 8 for text.
func hfConfig(src []byte) (settings, error) {
	r := &jsonReader{src: src}
	var modelType string
	vision, text := tower{quickGELU, 12}, tower{quickGELU, 8}
	// Where *_config_dict exists (files of 2021), it replaces *_config.
	oldVision, oldText := vision, text
	hasVision, hasText := false, false
	nested := func(t *tower, has *bool) func(*jsonReader) error {
		return func(r *jsonReader) error {
			if has != nil {
				*has = true
			}
			return t.fields().read(r, skipUnknown)
		}
	}
	all := fields{
		"model_type": func(r *jsonReader) (err error) {
			modelType, err = r.text()
			return err
		},
		"vision_config":      nested(&vision, nil),
		"text_config":        nested(&text, nil),
		"vision_config_dict": nested(&oldVision, &hasVision),
		"text_config_dict":   nested(&oldText, &hasText),
	}
	lone := tower{quickGELU, 12} // CLIPVisionModel: the fields at the top
	for key, field := range lone.fields() {
		all[key] = field
	}
	if err := all.read(r, skipUnknown); err != nil {
		return settings{}, err
	}
	if err := r.end(); err != nil {
		return settings{}, err
	}
	switch modelType {
	case "clip_vision_model":
		return settings{activation: lone.activation, visionHeads: lone.heads, preprocess: OpenAIPreprocessing}, nil
	case "clip":
	default:
		return settings{}, fault(Unsupported, "model type").in("model_type").wanted(`"clip"`, quote(modelType))
	}
	if hasVision {
		vision = oldVision
	}
	if hasText {
		text = oldText
	}
	if vision.activation != text.activation {
		return settings{}, fault(Unsupported, "image and text encoder with different activations").
			in("hidden_act").wanted(vision.activation, text.activation)
	}
	return settings{
		activation: vision.activation, visionHeads: vision.heads, textHeads: text.heads,
		preprocess: OpenAIPreprocessing,
	}, nil
}

// hfPreprocessor reads preprocessor_config.json over p.
func hfPreprocessor(src []byte, p *Preprocessing) error {
	r := &jsonReader{src: src}
	edge := 0
	err := fields{
		"image_mean":     wantTriple(&p.Mean, false),
		"image_std":      wantTriple(&p.Std, true),
		"crop_size":      wantSquare(&p.Size),
		"do_resize":      wantBool(true),
		"do_center_crop": wantBool(true),
		"do_normalize":   wantBool(true),
		"do_rescale":     wantBool(true),
		"rescale_factor": wantNear(1.0 / 255),
		"resample":       wantNear(3), // PIL.Image.BICUBIC
		"size": func(r *jsonReader) error {
			if r.peek() == '{' {
				return fields{"shortest_edge": wantCount(&edge)}.read(r, refuseUnknown)
			}
			return wantCount(&edge)(r)
		},
	}.read(r, skipUnknown)
	if err != nil {
		return err
	}
	if edge != 0 && p.Size != 0 && edge != p.Size {
		return fault(Unsupported, "picture resized to %d and cut to %d", edge, p.Size).in("size")
	}
	if p.Size == 0 {
		p.Size = edge
	}
	return r.end()
}

// openCLIPConfig reads open_clip_config.json. Defaults are those of
// open_clip's CLIPVisionCfg, CLIPTextCfg and PreprocessCfg. Unknown keys are
// refuseUnknown: most of open_clip's settings change the architecture without
// leaving a trace in the weights' shapes.
func openCLIPConfig(src []byte) (settings, error) {
	r := &jsonReader{src: src}
	s := settings{activation: gelu, preprocess: OpenAIPreprocessing}
	v := openCLIPVision{width: 768, headWidth: 64}
	s.textHeads = 8
	hasModel := false
	err := fields{
		"model_cfg": func(r *jsonReader) error {
			hasModel = true
			return fields{
				"embed_dim":             skipField,
				"vision_cfg":            func(r *jsonReader) error { return v.fields().read(r, refuseUnknown) },
				"text_cfg":              func(r *jsonReader) error { return openCLIPText(&s.textHeads).read(r, refuseUnknown) },
				"quick_gelu":            s.readQuickGELU,
				"custom_text":           skipField, // the tensors' names tell
				"init_logit_scale":      skipField,
				"init_logit_bias":       skipField,
				"nonscalar_logit_scale": skipField,
				"output_dict":           skipField,
				"cast_dtype":            skipField,
				"multimodal_cfg":        wantAbsent("CoCa model"),
			}.read(r, refuseUnknown)
		},
		"preprocess_cfg": func(r *jsonReader) error {
			size := 0
			return fields{
				"mean":          wantTriple(&s.preprocess.Mean, false),
				"std":           wantTriple(&s.preprocess.Std, true),
				"size":          wantSquare(&size),
				"mode":          wantText("RGB"),
				"interpolation": wantText("bicubic"),
				"resize_mode":   wantText("shortest"),
				"fill_color":    skipField, // of a border that "shortest" does not have
			}.read(r, refuseUnknown)
		},
	}.read(r, skipUnknown)
	if err != nil {
		return settings{}, err
	}
	if err := r.end(); err != nil {
		return settings{}, err
	}
	if !hasModel {
		return settings{}, fault(Unsupported, "no model settings").in("model_cfg")
	}
	s.preprocess.Size = v.imageSize
	s.visionHeads, err = v.heads()
	return s, err
}

func (s *settings) readQuickGELU(r *jsonReader) error {
	quick, err := r.boolean()
	if quick {
		s.activation = quickGELU
	}
	return err
}

// openCLIPVision is what of a CLIPVisionCfg matters.
type openCLIPVision struct {
	width, headWidth, imageSize int
	resNet                      bool
}

func (v *openCLIPVision) fields() fields {
	f := openCLIPBlocks()
	f["layers"] = func(r *jsonReader) error {
		v.resNet = r.peek() == '['
		return r.skip()
	}
	f["width"] = wantCount(&v.width)
	f["head_width"] = wantCount(&v.headWidth)
	f["image_size"] = wantSquare(&v.imageSize)
	f["pool_type"] = wantText("tok")
	f["pos_embed_type"] = wantText("learnable")
	f["no_ln_pre"] = wantBool(false)
	f["attentional_pool"] = wantBool(false)
	f["timm_model_name"] = wantAbsent("timm image encoder")
	for _, key := range []string{
		"patch_size", "patch_dropout", "attn_pooler_queries", "attn_pooler_heads",
		"timm_model_pretrained", "timm_pool", "timm_proj", "timm_proj_bias", "timm_drop", "timm_drop_path",
	} {
		f[key] = skipField
	}
	return f
}

// heads is what open_clip computes: of a ResNet, for its attention pooling,
// whose width is 32 times the first stage's.
func (v *openCLIPVision) heads() (int, error) {
	width := v.width
	if v.resNet {
		width *= 32
	}
	if width%v.headWidth != 0 {
		return 0, fault(Unsupported, "width %d is no multiple of head width %d", width, v.headWidth).in("head_width")
	}
	return width / v.headWidth, nil
}

func openCLIPText(heads *int) fields {
	f := openCLIPBlocks()
	f["heads"] = wantCount(heads)
	f["pool_type"] = wantText("argmax")
	f["proj_type"] = wantText("linear")
	f["proj_bias"] = wantBool(false)
	f["embed_cls"] = wantBool(false)
	f["no_causal_mask"] = wantBool(false)
	f["hf_model_name"] = wantAbsent("Hugging Face text encoder")
	f["hf_tokenizer_name"] = wantAbsent("tokenizer other than CLIP's")
	f["tokenizer_kwargs"] = wantAbsent("tokenizer other than CLIP's")
	for _, key := range []string{
		"context_length", "vocab_size", "width", "layers", "pad_id", "eos_id", "tokenizer_mode",
		"hf_model_pretrained", "hf_proj_type", "hf_pooler_type",
	} {
		f[key] = skipField
	}
	return f
}

// openCLIPBlocks are the settings that both encoders' configurations have.
func openCLIPBlocks() fields {
	f := fields{
		"mlp_ratio":     skipField, // the shapes tell
		"output_tokens": skipField,
		"block_type":    wantText("default"),
		"ls_init_value": wantAbsent("layer scale"),
		"act_kwargs":    wantAbsent("settings of the activation"),
		"norm_kwargs":   wantAbsent("settings of LayerNorm"),
	}
	for _, key := range []string{
		"qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc", "final_ln_after_pool",
	} {
		f[key] = wantBool(false)
	}
	return f
}
