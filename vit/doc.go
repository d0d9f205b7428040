// Package vit runs CLIP's image encoders: vision transformers of any size, with the sizes read off the
// checkpoint (ViT-B/32, B/16, L/14 and their relatives).
//
// The architecture, with parameters under OpenAI's names:
//
//	patches      conv1.weight, a convolution with kernel = stride, no bias
//	class token  class_embedding in front, positional_embedding added
//	ln_pre
//	blocks       x += attn(ln_1(x)); x += mlp(ln_2(x)), activation QuickGELU in OpenAI's weights
//	ln_post      on the class token alone
//	proj         [width, embed], multiplied from the right
//
// The encoder knows nothing of masks: a mask is a parametrisation of some of its [nn.Param]s.
package vit
