// Package vit runs CLIP's image encoders, with the sizes read off the checkpoint: vision transformers of any size
// (ViT-B/32, B/16, L/14 and their relatives), and the modified ResNets (RN50, RN101, RN50x4, x16, x64). [ArchOf] tells
// which it is; both are an [Image].
//
// The transformer, with parameters under OpenAI's names:
//
//	patches      conv1.weight, a convolution with kernel = stride, no bias
//	class token  class_embedding in front, positional_embedding added
//	ln_pre
//	blocks       x += attn(ln_1(x)); x += mlp(ln_2(x)), activation QuickGELU in OpenAI's weights
//	ln_post      on the class token alone
//	proj         [width, embed], multiplied from the right
//
// Its relatives differ in what [Config] says: what is pooled, and how; SigLIP, CLIPA, CoCa, the Perception Encoders and
// EVA-CLIP, whose queries and keys are turned by where a patch stands ([nn.RotaryConfig]).
//
// The ResNet; every convolution is without bias and has a batch norm behind it, with running statistics, and both are
// one product:
//
//	stem         conv1 (3×3, stride 2), conv2, conv3 (3×3), each with ReLU; a mean over 2×2
//	layer1 to 4  bottlenecks: conv1 (1×1), conv2 (3×3), a mean over 2×2 where others have stride 2, conv3 (1×1), plus the input,
//	             by way of the same mean and downsample.0 (1×1) where its size differs; ReLU after all but conv3, and after the sum
//	attnpool     the mean of all pixels attends to itself and to them, positional_embedding added; q_proj, k_proj, v_proj, c_proj
//
// Where images have another size than the model was trained on, [Resized] makes a checkpoint whose positions are of
// that grid.
//
// An encoder knows nothing of masks: a mask is a parametrisation of some of its [nn.Param]s.
package vit
