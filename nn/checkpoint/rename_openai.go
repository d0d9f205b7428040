package checkpoint

import "slices"

// openAIDialect is the spelling that everything else is translated to:
// OpenAI's released models, and open_clip's CLIP class, which kept it.
var openAIDialect = newDialect("openai", openAIVisual, openAIText, openAIScalars)

var openAIBlock = slices.Concat(
	asIs(
		"ln_1.*",
		"attn.in_proj_weight",
		"attn.in_proj_bias",
		"attn.out_proj.*",
		"ln_2.*",
		"mlp.c_fc.*",
		"mlp.c_proj.*",
		"ls_1.gamma", "ls_2.gamma", // layer scale, in a few of open_clip's
	),
	drop("attn_mask"),
)

var openAIText = slices.Concat(
	asIs(
		"token_embedding.weight",
		"positional_embedding",
		"ln_final.*",
		"text_projection",
		"cls_emb", // CoCa's
	),
	under("transformer.resblocks.#.", "transformer.resblocks.#.", openAIBlock),
	drop("attn_mask"), // the causal mask, which TorchScript saves as well
)

var openAIScalars = slices.Concat(
	asIs("logit_scale"),
	// What these three say can be read off the shapes. The last adds the same
	// number to every logit: neither softmax nor ranking sees it.
	drop("input_resolution", "context_length", "vocab_size", "logit_bias"),
)

var openAIVisual = under("visual.", "visual.",
	// Vision transformers.
	asIs(
		"conv1.weight",
		"class_embedding",
		"positional_embedding",
		"ln_pre.*",
		"ln_post.*",
		"proj",
	),
	// CoCa's pooling by attention.
	under("attn_pool.", "attn_pool.", asIs("query", "ln_q.*", "ln_k.*", "attn.in_proj_weight", "attn.in_proj_bias", "attn.q_proj_weight", "attn.k_proj_weight",
		"attn.v_proj_weight", "attn.out_proj.*")),
	under("transformer.resblocks.#.", "transformer.resblocks.#.", openAIBlock),

	// Modified ResNets. conv1.weight is above.
	asIs("conv2.weight", "conv3.weight"),
	batchNorm("bn1."), batchNorm("bn2."), batchNorm("bn3."),
	bottleneck("layer1.#."), bottleneck("layer2.#."), bottleneck("layer3.#."), bottleneck("layer4.#."),
	asIs(
		"attnpool.positional_embedding",
		"attnpool.q_proj.*",
		"attnpool.k_proj.*",
		"attnpool.v_proj.*",
		"attnpool.c_proj.*",
	),
)

func batchNorm(prefix string) []row {
	return under(prefix, prefix,
		asIs("*", "running_mean", "running_var"),
		drop("num_batches_tracked"),
	)
}

func bottleneck(prefix string) []row {
	return under(prefix, prefix,
		asIs("conv1.weight", "conv2.weight", "conv3.weight", "downsample.0.weight"),
		batchNorm("bn1."), batchNorm("bn2."), batchNorm("bn3."), batchNorm("downsample.1."),
	)
}
