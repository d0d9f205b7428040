package checkpoint

import "cmp"

// openCLIPConfig reads open_clip_config.json. Defaults are those of
// open_clip's CLIPVisionCfg, CLIPTextCfg and PreprocessCfg. Unknown keys are
// refuseUnknown: most of open_clip's settings change the architecture without
// leaving a trace in the weights' shapes.
func openCLIPConfig(src []byte) (settings, error) {
	r := &jsonReader{src: src}
	s := settings{activation: gelu, preprocess: OpenAIPreprocessing, prepared: true}
	v := openCLIPVision{width: 768, headWidth: 64}
	s.textHeads = 8
	hasModel, size := false, 0
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
			return openCLIPPreprocessing(&s.preprocess, &size).read(r, refuseUnknown)
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
	if size != 0 && v.imageSize != 0 && size != v.imageSize {
		return settings{}, fault(Mismatch, "preprocess_cfg and vision_cfg name different picture sizes").in("size").wanted(v.imageSize, size)
	}
	s.preprocess.Size = cmp.Or(v.imageSize, size)
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
	// "." is the folder's own, which fewshot export writes: open_clip takes that one whatever the name. A merges.txt says which.
	f["hf_tokenizer_name"] = wantText(".")
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
