package checkpoint

// openCLIPDialect is what open_clip spells differently from OpenAI: the text
// encoder of a CustomTextCLIP lies under "text.", and the text projection can
// be a Linear, whose weight is the transpose of OpenAI's matrix. Models of
// open_clip's plain CLIP class are in OpenAI's dialect.
var openCLIPDialect = newDialect("open_clip", openAIVisual, openAIText, openAIScalars,
	openCLIPProjection, under("text.", "", openAIText, openCLIPProjection), openCLIPCaptions,
)

// openCLIPCaptions are the tensors of what makes CoCa's captions, which no feature depends on.
var openCLIPCaptions = under("text_decoder.", "", drop("ln_final.*", "text_projection", "attn_mask"),
	under("resblocks.#.", "", drop("ln_1.*", "attn.in_proj_weight", "attn.in_proj_bias", "attn.out_proj.*", "ln_2.*", "mlp.c_fc.*", "mlp.c_proj.*")),
	under("cross_attn.#.", "", drop("ln_1.*", "ln_1_kv.*", "attn.in_proj_weight", "attn.in_proj_bias", "attn.out_proj.*", "ln_2.*", "mlp.c_fc.*", "mlp.c_proj.*")),
)

// openCLIPProjection is a text projection that is a Linear.
var openCLIPProjection = []row{
	{"text_projection.weight", "text_projection", transposed},
	{"text_projection.bias", "text_projection.bias", same},
}

// timmDialect is open_clip's with an image encoder of timm's: a plain vision
// transformer, SigLIP's or a Perception Encoder's, which pool by attention, or
// EVA-CLIP's, whose attention has no bias of keys.
var timmDialect = newDialect("open_clip", openAIScalars, under("text.", "", openAIText, openCLIPProjection),
	under("visual.trunk.", "visual.", []row{
		{"patch_embed.proj.*", "conv1.*", same},
		{"cls_token", "class_embedding", same},
		{"pos_embed", "positional_embedding", same},
		{"norm_pre.*", "ln_pre.*", same},
		{"norm.*", "ln_post.*", same},
		{"head.weight", "proj", transposed},
		{"head.bias", "proj.bias", same},
		{"attn_pool.latent", "attn_pool.probe", same},
		{"attn_pool.q.weight", "attn_pool.attn.in_proj_weight", firstRows},
		{"attn_pool.kv.weight", "attn_pool.attn.in_proj_weight", otherRows},
		{"attn_pool.q.bias", "attn_pool.attn.in_proj_bias", firstRows},
		{"attn_pool.kv.bias", "attn_pool.attn.in_proj_bias", otherRows},
		{"attn_pool.proj.*", "attn_pool.attn.out_proj.*", same},
		{"attn_pool.norm.*", "attn_pool.ln.*", same},
		{"attn_pool.mlp.fc1.*", "attn_pool.mlp.c_fc.*", same},
		{"attn_pool.mlp.fc2.*", "attn_pool.mlp.c_proj.*", same},
	}, under("blocks.#.", "transformer.resblocks.#.", []row{
		{"norm1.*", "ln_1.*", same},
		{"attn.qkv.weight", "attn.in_proj_weight", same},
		{"attn.qkv.bias", "attn.in_proj_bias", same},
		{"attn.proj.*", "attn.out_proj.*", same},
		{"norm2.*", "ln_2.*", same},
		{"mlp.fc1.*", "mlp.c_fc.*", same},
		{"mlp.fc2.*", "mlp.c_proj.*", same},
		// EVA-CLIP's.
		{"attn.q_bias", "attn.in_proj_bias", queryRows},
		{"attn.v_bias", "attn.in_proj_bias", valueRows},
		{"attn.q_proj.weight", "attn.in_proj_weight", queryRows},
		{"attn.k_proj.weight", "attn.in_proj_weight", keyRows},
		{"attn.v_proj.weight", "attn.in_proj_weight", valueRows},
		{"attn.q_proj.bias", "attn.in_proj_bias", queryRows},
		{"attn.v_proj.bias", "attn.in_proj_bias", valueRows},
		{"attn.norm.*", "attn.ln_inner.*", same},
		{"mlp.fc1_g.*", "mlp.c_gate.*", same},
		{"mlp.fc1_x.*", "mlp.c_fc.*", same},
		{"mlp.norm.*", "mlp.ln.*", same},
	})),
	[]row{
		{"visual.head.proj.weight", "visual.proj", transposed},
		{"visual.head.proj.bias", "visual.proj.bias", same},
	},
).withoutKeyBias()
