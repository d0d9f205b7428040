// Package prompt learns inputs of a frozen CLIP: vectors among the tokens of its class prompts, of its images, or of both.
//
//   - [CoOp]: a context in place of a template's words (Zhou et al., IJCV 2022). [NewProGrad] holds its gradient to what zero-shot CLIP
//     says (Zhu et al., ICCV 2023), [NewKgCoOp] its class features to those of a template (Yao et al., CVPR 2023).
//   - [CoCoOp]: a context that depends on the image (Zhou et al., CVPR 2022).
//   - [PLOT]: several contexts, matched with an image's local features by optimal transport (Chen et al., ICLR 2023), and PLOT++.
//   - [VPT]: tokens in the image encoder (Jia et al., ECCV 2022), by three conventions of doing so in CLIP.
//   - [UPT]: tokens in both encoders out of one small network (Zang et al., 2022).
//   - [MaPLe]: tokens in both, at several depths, those of images made of the others (Khattak et al., CVPR 2023); [PromptSRC] has them apart, and
//     holds them to zero-shot CLIP (Khattak et al., ICCV 2023).
//
// Each is a learner of package train with a configuration beside it, whose defaults are the published ones. What a method leaves is its
// trained tensors, and for any classes a classifier.
//
// # Cost
//
// A causal text encoder is run without padding, and contexts that classes share are computed once (package text): to
// train through it takes a tenth of what it does on 77 tokens. Where every token sees all, as in SigLIP, texts are
// padded as their tokenizer pads them, and nothing is shared. Of many classes it keeps no more than those of a chunk:
// all features are computed first, and those of a chunk once more when their gradient is known ([autograd.Checkpoint]).
package prompt
