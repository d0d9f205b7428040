package checkpoint

import "slices"

// huggingFaceDialect is transformers' CLIPModel, and its SiglipModel, whose
// names are the same but for the heads. "pre_layrnorm" is its spelling; some
// conversions correct it.
var huggingFaceDialect = newDialect("huggingface",
	under("vision_model.", "visual.", huggingFaceVisual),
	under("text_model.", "", huggingFaceText),
	[]row{
		{"visual_projection.weight", "visual.proj", transposed},
		{"text_projection.weight", "text_projection", transposed},
		{"logit_scale", "logit_scale", same},
		{"text_model.head.weight", "text_projection", transposed},
		{"text_model.head.bias", "text_projection.bias", same},
	},
	under("vision_model.head.", "visual.attn_pool.", []row{
		{"probe", "probe", same},
		{"attention.in_proj_weight", "attn.in_proj_weight", same},
		{"attention.in_proj_bias", "attn.in_proj_bias", same},
		{"attention.out_proj.*", "attn.out_proj.*", same},
		{"layernorm.*", "ln.*", same},
		{"mlp.fc1.*", "mlp.c_fc.*", same},
		{"mlp.fc2.*", "mlp.c_proj.*", same},
	}),
	drop("logit_bias"),
)

// huggingFaceVisionDialect is a CLIPVisionModel saved by transformers 5,
// which leaves the prefix out.
var huggingFaceVisionDialect = newDialect("huggingface-vision", under("", "visual.", huggingFaceVisual))

var huggingFaceVisual = slices.Concat(
	[]row{
		{"embeddings.class_embedding", "class_embedding", same},
		{"embeddings.patch_embedding.*", "conv1.*", same},
		{"embeddings.position_embedding.weight", "positional_embedding", same},
		{"pre_layrnorm.*", "ln_pre.*", same},
		{"pre_layernorm.*", "ln_pre.*", same},
		{"post_layernorm.*", "ln_post.*", same},
	},
	under("encoder.layers.#.", "transformer.resblocks.#.", huggingFaceBlock),
	drop("embeddings.position_ids"),
)

var huggingFaceText = slices.Concat(
	[]row{
		{"embeddings.token_embedding.weight", "token_embedding.weight", same},
		{"embeddings.position_embedding.weight", "positional_embedding", same},
		{"final_layer_norm.*", "ln_final.*", same},
	},
	under("encoder.layers.#.", "transformer.resblocks.#.", huggingFaceBlock),
	drop("embeddings.position_ids"),
)

var huggingFaceBlock = []row{
	{"layer_norm1.*", "ln_1.*", same},
	{"self_attn.q_proj.weight", "attn.in_proj_weight", queryRows},
	{"self_attn.k_proj.weight", "attn.in_proj_weight", keyRows},
	{"self_attn.v_proj.weight", "attn.in_proj_weight", valueRows},
	{"self_attn.q_proj.bias", "attn.in_proj_bias", queryRows},
	{"self_attn.k_proj.bias", "attn.in_proj_bias", keyRows},
	{"self_attn.v_proj.bias", "attn.in_proj_bias", valueRows},
	{"self_attn.out_proj.*", "attn.out_proj.*", same},
	{"layer_norm2.*", "ln_2.*", same},
	{"mlp.fc1.*", "mlp.c_fc.*", same},
	{"mlp.fc2.*", "mlp.c_proj.*", same},
}
