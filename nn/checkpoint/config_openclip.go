package checkpoint

import (
	"cmp"
	"slices"
	"strings"
)

// openCLIPConfig reads open_clip_config.json. Defaults are those of
// open_clip's CLIPVisionCfg, CLIPTextCfg and PreprocessCfg. Unknown keys are
// refuseUnknown: most of open_clip's settings change the architecture without
// leaving a trace in the weights' shapes.
func openCLIPConfig(src []byte) (settings, error) {
	r := &jsonReader{src: src}
	s := settings{preprocess: OpenAIPreprocessing, prepared: true}
	v := openCLIPVision{width: 768, headWidth: 64, openCLIPBlocks: openCLIPBlocks{activation: gelu, eps: 1e-5}}
	t := openCLIPText{openCLIPBlocks: openCLIPBlocks{activation: gelu, eps: 1e-5}, eosID: 2}
	t.settings.Heads = 8
	hasModel, quick, size := false, false, 0
	err := fields{
		"model_cfg": func(r *jsonReader) error {
			hasModel = true
			return fields{
				"embed_dim":             skipField,
				"vision_cfg":            func(r *jsonReader) error { return v.fields().read(r, refuseUnknown) },
				"text_cfg":              func(r *jsonReader) error { return t.fields().read(r, refuseUnknown) },
				"quick_gelu":            readBool(&quick),
				"custom_text":           skipField, // the tensors' names tell
				"init_logit_scale":      skipField,
				"init_logit_bias":       skipField,
				"nonscalar_logit_scale": skipField,
				"output_dict":           skipField,
				"cast_dtype":            skipField,
				"multimodal_cfg":        skipField, // CoCa's captions, which are not computed
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
	if quick {
		if v.approximate || t.approximate {
			return settings{}, fault(Unsupported, "QuickGELU with settings").in("act_kwargs")
		}
		t.activation = quickGELU
		if v.timm == "" { // open_clip does not tell timm's towers
			v.activation = quickGELU
		}
	}
	if s.Vision, err = v.settings(); err != nil {
		return settings{}, err
	}
	if s.Text, err = t.finish(); err != nil {
		return settings{}, err
	}
	s.Activation = s.Vision.Activation
	if s.Vision.Activation == s.Text.Activation {
		s.Vision.Activation, s.Text.Activation = "", ""
	}
	return s, nil
}

// openCLIPVision is what of a CLIPVisionCfg matters.
type openCLIPVision struct {
	openCLIPBlocks
	width, headWidth, imageSize int
	resNet                      bool
	pool                        string
	normLast, attends           bool
	poolHeads                   int
	timm, timmPool              string
}

func (v *openCLIPVision) fields() fields {
	f := v.openCLIPBlocks.fields()
	f["layers"] = func(r *jsonReader) error {
		v.resNet = r.peek() == '['
		return r.skip()
	}
	f["width"] = wantCount(&v.width)
	f["head_width"] = wantCount(&v.headWidth)
	f["image_size"] = wantSquare(&v.imageSize)
	f["pool_type"] = wantOneOf(&v.pool, "tok", "avg")
	f["final_ln_after_pool"] = readBool(&v.normLast)
	f["pos_embed_type"] = wantText("learnable")
	f["no_ln_pre"] = skipField // the tensors tell
	f["attentional_pool"] = func(r *jsonReader) error {
		if r.peek() == '"' { // "parallel" or "cascade", of which open_clip says that they are untested
			return fault(Unsupported, "pooling by attention in two steps; CoCa's released models have one").at(r.base + int64(r.pos))
		}
		return readBool(&v.attends)(r)
	}
	f["attn_pooler_heads"] = wantCount(&v.poolHeads)
	f["timm_model_name"] = wantTimm(&v.timm)
	f["timm_pool"] = readText(&v.timmPool)
	f["output_tokens"] = skipField
	for _, key := range []string{
		"patch_size", "patch_dropout", "attn_pooler_queries",
		"timm_model_pretrained", "timm_proj", "timm_proj_bias", "timm_drop", "timm_drop_path",
	} {
		f[key] = skipField
	}
	return f
}

// settings are what open_clip makes of it. The heads of a ResNet are those of its attention pooling,
// whose width is 32 times the first stage's.
func (v *openCLIPVision) settings() (VisionSettings, error) {
	out := VisionSettings{Activation: v.activation, Eps: v.eps, ImageSize: v.imageSize, NormLast: v.normLast}
	if v.pool == "avg" {
		out.Pool = "avg"
	}
	if v.attends {
		if v.timm != "" || v.resNet || out.Pool != "" {
			return out, fault(Unsupported, "pooling by attention in another encoder than a vision transformer, or an average of it").in("attentional_pool")
		}
		out.Pool, out.PoolHeads = "query", cmp.Or(v.poolHeads, 8)
	}
	if v.timm != "" {
		return v.timmSettings(out)
	}
	width := v.width
	if v.resNet {
		width *= 32
	}
	if width < v.headWidth {
		return out, fault(Unsupported, "width %d is less than head width %d", width, v.headWidth).in("head_width")
	}
	out.Heads = width / v.headWidth
	if width%out.Heads != 0 {
		return out, fault(Unsupported, "width %d is no multiple of %d heads", width, out.Heads).in("head_width")
	}
	return out, nil
}

// A timmTower is one of timm's image encoders that are computed, with what its tensors do not say.
type timmTower struct {
	name string // what its name begins with
	VisionSettings
}

// timmTowers are they. Of several beginnings of a name the first counts.
var timmTowers = slices.Concat(
	// SigLIP's. Names that SigLIP 2 has too are built as SigLIP's; those of SigLIP 2 alone have another GELU.
	siglipTowers(tanhGELU, "vit_base_patch32_siglip_256", "vit_large_patch16_siglip_512", "vit_so400m_patch16_siglip_", "vit_giantopt_patch16_siglip_"),
	siglipTowers(gelu, "vit_base_patch16_siglip_", "vit_large_patch16_siglip_", "vit_so400m_patch14_siglip_"),
	clipTowers("_clip_quickgelu_", quickGELU), clipTowers("_clip_", gelu),
	[]timmTower{
		{"vit_pe_core_tiny_", peTower(3, 24, 1)},
		{"vit_pe_core_small_", peTower(6, 24, 1)},
		{"vit_pe_core_base_", peTower(12, 14, 1)},
		{"vit_pe_core_large_", peTower(16, 24, 1)},
		{"vit_pe_core_gigantic_", peTower(16, 32, 0)},

		{"eva02_base_patch16_clip_", VisionSettings{Heads: 12, Eps: 1e-6, Rotary: Rotary{Ref: 16}}},
		{"eva02_large_patch14_clip_", VisionSettings{Heads: 16, Eps: 1e-6, Rotary: Rotary{Ref: 16}}},
		{"eva02_enormous_patch14_", VisionSettings{Heads: 16, Eps: 1e-6, PostNorm: true}},
		{"eva_giant_patch14_", VisionSettings{Heads: 16, Eps: 1e-6}},
	},
)

// siglipTowers are vision transformers that pool by attention.
func siglipTowers(activation string, names ...string) (all []timmTower) {
	for _, name := range names {
		heads := 16
		if strings.Contains(name, "_base_") {
			heads = 12
		}
		all = append(all, timmTower{name, VisionSettings{Activation: activation, Heads: heads, Eps: 1e-6, Pool: "map"}})
	}
	return all
}

// clipTowers are CLIP's own vision transformers, which timm has with either activation.
func clipTowers(part, activation string) (all []timmTower) {
	for _, size := range []struct {
		name  string
		heads int
	}{{"vit_base_patch32", 12}, {"vit_base_patch16", 12}, {"vit_large_patch14", 16}, {"vit_huge_patch14", 16}} {
		all = append(all, timmTower{size.name + part, VisionSettings{Activation: activation, Heads: size.heads, Eps: 1e-5}})
	}
	return all
}

// peTower is a Perception Encoder's.
func peTower(heads, ref, offset int) VisionSettings {
	return VisionSettings{Heads: heads, Eps: 1e-5, Pool: "map", PoolHeads: 8, Rotary: Rotary{Ref: ref, Offset: offset, ColumnsFirst: true}}
}

// timmSettings are those of timm's image encoder of the configuration's name.
func (v *openCLIPVision) timmSettings(out VisionSettings) (VisionSettings, error) {
	t := timmTowerOf(v.timm)
	t.Activation, t.ImageSize, t.NormLast = cmp.Or(t.Activation, gelu), out.ImageSize, out.NormLast
	if want := cmp.Or(t.Pool, "token"); v.timmPool != "" && v.timmPool != want {
		return out, fault(Unsupported, "pooling of timm's encoder").in("timm_pool").wanted(quote(want), quote(v.timmPool))
	}
	return t.VisionSettings, nil
}

// timmTowerOf finds an encoder by its name; nil if it is none that is computed. The caller may change it.
func timmTowerOf(name string) *timmTower {
	for _, t := range timmTowers {
		if strings.HasPrefix(name, t.name) {
			return &t
		}
	}
	return nil
}

// wantTimm accepts those of timm's image encoders that are computed.
func wantTimm(to *string) func(*jsonReader) error {
	return func(r *jsonReader) error {
		name, err := r.text()
		*to = name
		if err == nil && timmTowerOf(name) == nil {
			return refused(timmNames, name).at(r.base+int64(r.pos)).wanted("a vision transformer of CLIP's, SigLIP's, EVA-CLIP's or a Perception Encoder's", quote(name))
		}
		return err
	}
}

// openCLIPText is what of a CLIPTextCfg matters.
type openCLIPText struct {
	openCLIPBlocks
	settings TextSettings
	pool     string
	proj     string
	eosID    uint64
	padID    uint64
}

func (t *openCLIPText) fields() fields {
	f := t.openCLIPBlocks.fields()
	f["heads"] = wantCount(&t.settings.Heads)
	f["pool_type"] = wantOneOf(&t.pool, "argmax", "last", "first", "eos")
	f["proj_type"] = wantOneOf(&t.proj, "linear", "none")
	f["proj_bias"] = skipField // the tensors tell
	f["embed_cls"] = readBool(&t.settings.CLS)
	f["no_causal_mask"] = readBool(&t.settings.Full)
	f["hf_model_name"] = func(r *jsonReader) error {
		name, err := r.text()
		if err != nil {
			return err
		}
		return refused(textNames, name).at(r.base+int64(r.pos)).wanted("open_clip's own text encoder", quote(name))
	}
	f["hf_tokenizer_name"] = readText(&t.settings.Tokenizer)
	f["tokenizer_mode"] = wantText("") // "clips" puts a token at the end of the context
	f["tokenizer_kwargs"] = func(r *jsonReader) error {
		return fields{
			"clean":           wantOneOf(&t.settings.Clean, "whitespace", "lower", "canonicalize"),
			"strip_sep_token": readBool(&t.settings.StripSep),
		}.read(r, refuseUnknown)
	}
	f["eos_id"] = wantID(&t.eosID)
	f["pad_id"] = wantID(&t.padID)
	for _, key := range []string{
		"context_length", "vocab_size", "width", "layers",
		"hf_model_pretrained", "hf_proj_type", "hf_pooler_type", "output_tokens",
	} {
		f[key] = skipField
	}
	return f
}

func (t *openCLIPText) finish() (TextSettings, error) {
	out := t.settings
	out.Activation, out.Eps, out.EOS, out.NoProj = t.activation, t.eps, int32(t.eosID), t.proj == "none"
	if t.pool != "argmax" {
		out.Pool = t.pool
	}
	// "." is the folder's own, which fewshot export writes: open_clip takes that one whatever the name. A merges.txt says which.
	if out.Tokenizer == "." {
		out.Tokenizer = ""
	}
	switch {
	case out.Tokenizer == "" && out.StripSep, out.Tokenizer == "" && out.Clean != "" && out.Clean != "lower":
		return out, fault(Unsupported, "CLIP's tokenizer with other settings than its own").in("tokenizer_kwargs")
	case out.Tokenizer == "":
		out.Clean = ""
	default:
		out.Clean = cmp.Or(out.Clean, "whitespace")
	}
	// What pads is a matter of the tokenizer: open_clip's of CLIP pads with 0, as CLIPA's does, SigLIP's with its end token.
	if strings.Contains(strings.ToLower(out.Tokenizer), "siglip") && !strings.Contains(strings.ToLower(out.Tokenizer), "siglip2") {
		out.Pad = 1
	}
	return out, nil
}

// wantID reads a token's number.
func wantID(to *uint64) func(*jsonReader) error {
	return func(r *jsonReader) (err error) {
		*to, err = r.natural()
		if err == nil && *to > 1<<30 {
			return r.unsupported("token", "a number below 1073741824", *to)
		}
		return err
	}
}

// readText reads a string.
func readText(to *string) func(*jsonReader) error {
	return func(r *jsonReader) (err error) {
		*to, err = r.text()
		return err
	}
}

// openCLIPBlocks are the settings that both encoders' configurations have.
type openCLIPBlocks struct {
	activation  string
	approximate bool // act_kwargs said something
	eps         float64
}

func (b *openCLIPBlocks) fields() fields {
	f := fields{
		"mlp_ratio":     skipField, // the shapes tell
		"ls_init_value": skipField, // the tensors tell
		"block_type":    wantText("default"),
		"act_kwargs": func(r *jsonReader) error {
			b.approximate = true
			return fields{"approximate": func(r *jsonReader) error {
				name := ""
				if err := wantOneOf(&name, "tanh", "none")(r); err != nil {
					return err
				}
				if name == "tanh" {
					b.activation = tanhGELU
				}
				return nil
			}}.read(r, refuseUnknown)
		},
		"norm_kwargs": func(r *jsonReader) error { return fields{"eps": wantEps(&b.eps)}.read(r, refuseUnknown) },
	}
	for _, key := range []string{"qk_norm", "scaled_cosine_attn", "scale_heads", "scale_attn_inner", "scale_attn", "scale_fc"} {
		f[key] = wantBool(false)
	}
	return f
}
