package checkpoint

import "strings"

// Models that people take for a CLIP that loads, and that do not. Each is refused by what it is, with a published model that
// does load and serves much the same end.

// A family is one kind of such models.
type family struct {
	name    string // what tells it, by the place where that is found
	what    string // it is, and where that is not plain, what of it is not computed
	instead string // the name of a model that loads
	because string // what that has in common with it
}

// refusal is the whole of the message.
func (f family) refusal() *Error {
	return fault(Unsupported, "this is %s; take %s instead, %s", f.what, f.instead, f.because)
}

// A place is where a family is told from: a setting whose value is compared, or the names of tensors.
type place int

const (
	modelTypes place = iota // config.json's model_type, the whole of it
	timmNames               // open_clip_config.json's timm_model_name, by its beginning
	textNames               // its hf_model_name, by its beginning
	stems                   // a tensor's name, by its beginning
)

// Models that several families point to.
const (
	smallest     = "wkcn/TinyCLIP-ViT-8M-16-Text-3M-YFCC15M"
	base32       = "laion/CLIP-ViT-B-32-laion2B-s34B-b79K"
	base16       = "laion/CLIP-ViT-B-16-laion2B-s34B-b88K"
	large14      = "laion/CLIP-ViT-L-14-DataComp.XL-s13B-b90K"
	giant14      = "laion/CLIP-ViT-g-14-laion2B-s34B-b88K"
	openAIBase32 = "openai/clip-vit-base-patch32"
	openAIBase16 = "openai/clip-vit-base-patch16"
	siglip2      = "google/siglip2-base-patch16-224"
	eva02        = "timm/eva02_base_patch16_clip_224.merged2b_s8b_b131k"
	peCore       = "timm/PE-Core-B-16"
	worldwide    = "facebook/metaclip-2-worldwide-huge-quickgelu"

	languages = "whose texts may be in many languages too"
	whole     = "which has both encoders"
	alike     = "a vision transformer of about that size"
)

// families are the families by the place that tells them. Of several beginnings of a name the first counts.
var families = map[place][]family{
	modelTypes: {
		{"siglip_vision_model", "SigLIP's image encoder alone", "google/siglip-base-patch16-224", whole},
		{"siglip2_vision_model", "SigLIP 2's image encoder alone, for pictures of any proportions (NaFlex)", siglip2, "of one size"},
		{"siglip2", "SigLIP 2 for pictures of any proportions (NaFlex)", siglip2, "of one size"},
		{"altclip", "AltCLIP, whose text encoder is XLM-RoBERTa", siglip2, languages},
		{"chinese_clip", "Chinese-CLIP, whose text encoder is BERT", siglip2, languages},
		{"jina_clip", "Jina CLIP, whose text encoder is a BERT of its own", siglip2, languages},
		{"clipseg", "CLIPSeg, a segmentation model on top of CLIP", openAIBase16, "the CLIP below it"},
		{"clip_text_model", "CLIP's text encoder alone", openAIBase32, whole},
		{"clip_text_model_with_projection", "CLIP's text encoder alone", openAIBase32, whole},
		{"owlvit", "OWL-ViT, a detector on top of CLIP", openAIBase32, "the CLIP below it"},
		{"owlv2", "OWLv2, a detector on top of CLIP", openAIBase16, "a CLIP of its size"},
		{"xclip", "X-CLIP, for videos", openAIBase32, "for pictures, as frames are"},
		{"align", "ALIGN, whose encoders are EfficientNet and BERT", base16, "trained for the same end"},
		{"groupvit", "GroupViT, which groups patches", openAIBase16, "of about its size"},
		{"flava", "FLAVA", base16, "of about its size"},
		{"blip", "BLIP, whose text encoder looks at pictures", base16, "of about its size"},
		{"blip-2", "BLIP-2, which asks a language model", giant14, "about its image encoder's size"},
		{"llava", "LLaVA, a language model behind CLIP's image encoder", "openai/clip-vit-large-patch14-336", "that CLIP"},
		{"llava_next", "LLaVA, a language model behind CLIP's image encoder", "openai/clip-vit-large-patch14-336", "that CLIP"},
		{"vit", "a vision transformer without a text encoder", openAIBase16, whole},
		{"dinov2", "DINOv2, an image encoder without a text encoder", openAIBase16, whole},
		{"dinov3_vit", "DINOv3, an image encoder without a text encoder", openAIBase16, whole},
		{"vision-text-dual-encoder", "a pair of any two encoders", openAIBase32, "a pair that was trained together"},
	},
	timmNames: {
		{"fastvit_mci", "MobileCLIP, whose image encoder is a FastViT", smallest, "which is small too"},
		{"vit_base_mci", "MobileCLIP, whose image encoder has a convolutional stem", "apple/DFN2B-CLIP-ViT-B-16", "of its size and makers"},
		{"eva", "one of EVA's image encoders that EVA-CLIP does not have", eva02, "which is EVA-CLIP"},
		{"vit_pe_", "a Perception Encoder for dense features or language models", peCore, "the one for images and texts"},
		{"vitamin", "ViTamin, whose image encoder begins with convolutions", large14, "trained on the same pictures"},
		{"convnext", "a CLIP with a ConvNeXt", large14, "of its makers, with a vision transformer"},
		{"swin", "a CLIP with a Swin transformer", base16, alike},
		{"resnet", "a CLIP with timm's ResNet", "RN50", "OpenAI's with a ResNet"},
		{"vit_relpos", "a CLIP with relative positions", base16, alike},
		{"naflex", "SigLIP 2 for pictures of any proportions (NaFlex)", siglip2, "of one size"},
		{"vit_medium_patch16_gap", "a CLIP with timm's ViT-M", base16, "the next larger size"},
		{"", "a CLIP with another image encoder of timm's", base16, "with a plain vision transformer"},
	},
	textNames: {
		{"roberta", "a CLIP whose text encoder is RoBERTa", base32, "of the same makers"},
		{"xlm-roberta-large", "a CLIP whose text encoder is XLM-RoBERTa", worldwide, languages},
		{"xlm-roberta", "a CLIP whose text encoder is XLM-RoBERTa", siglip2, languages},
		{"google/mt5", "a CLIP whose text encoder is mT5", siglip2, languages},
		{"facebook/nllb", "a CLIP whose text encoder is NLLB's", siglip2, languages},
		{"", "a CLIP whose text encoder is one of Hugging Face's", base16, "with a text encoder of its own"},
	},
	stems: {
		{"visual.trunk.stem.", "a CLIP with a convolutional network of timm's, such as ConvNeXt or MobileCLIP's", base16, alike},
		{"visual.trunk.stages.", "a CLIP with a convolutional network of timm's, such as ConvNeXt or MobileCLIP's", base16, alike},
		{"visual.trunk.rope", "a CLIP whose file holds its rotary positions", peCore, "where they are computed"},
		{"visual.attn_pool.layernorm.", "a Perception Encoder in its authors' own layout", peCore, "or another size of it in open_clip's"},
		{"visual.blocks.", "EVA-CLIP in its authors' own layout", eva02, "or another size of it in open_clip's"},
		{"text.transformer.embeddings.", "a CLIP whose text encoder is one of Hugging Face's", base32, "with a text encoder of its own"},
		{"text.transformer.encoder.", "a CLIP whose text encoder is one of Hugging Face's", base32, "with a text encoder of its own"},
		{"blocks.0.", "a vision transformer of timm's alone, no CLIP", openAIBase16, whole},
		{"vit.", "a vision transformer of Hugging Face's alone, no CLIP", openAIBase16, whole},
		{"prompt_learner.", "prompts that CoOp learned, no CLIP", "ViT-B/16", "or what they were learned on"},
	},
}

// whatLoads closes the refusal of a model type that no family has.
const whatLoads = "CLIP models do load, such as " + openAIBase32 + " and " + base32 + ", and SigLIP, SigLIP 2 of one size, " +
	"MetaCLIP 2, EVA-CLIP, Perception Encoders, CLIPA and CoCa"

// refused is the refusal of what a setting names.
func refused(at place, name string) *Error {
	for _, f := range families[at] {
		if f.name == name || at != modelTypes && strings.HasPrefix(name, f.name) {
			return f.refusal()
		}
	}
	return fault(Unsupported, "model type; %s", whatLoads)
}
