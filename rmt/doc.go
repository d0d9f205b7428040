// Package rmt is Regularized Mask Tuning (Zheng, Wu, Wang et al., "Regularized Mask Tuning: Uncovering Hidden
// Knowledge in Pre-trained Vision-Language Models", ICCV 2023): adapting CLIP to a task by learning which weights to
// switch off.
//
// # The method, and where it is
//
// Beside chosen weights W of the frozen image encoder stand real-valued scores M. The forward pass uses
//
//	W' = W ⊙ [M > α]                                                   §3.2: [Mask], [Attach]
//
// and since the step has no useful derivative, the backward pass takes that of the identity, ∂L/∂M = ∂L/∂W' ⊙ W. A
// mask is a parametrisation of an [nn.Param]; the encoders do not know it is there.
//
// Every step has two losses on one batch, both differentiated in one sweep: a, from the cross-entropy to the labels,
// and b, from the soft cross-entropy to the untouched CLIP. Where they disagree about an element, b may veto:
//
//	P = ½(1 + sgn(a)(a+b)/(|a|+|b|))                                   eq. 5: [tensor.GradDropArgs]
//	g = (1−l + l·[P > U])·a,  U uniform in [0, 1)                       eq. 7: [optim.GradDrop]
//
// Adam moves the scores by g. Without gradient dropout (l = 0) the method is called AMT, with it R-AMT; the letter A
// says that attention weights are masked, M the MLP's, P all. [Defaults] has the published settings of each.
//
// # What the settings can do
//
// All scores start at 0.01, the threshold is 0.005, and Adam moves a score by at most about the learning rate a step.
// So a run has to be long enough for anything to happen: [Config.TravelRatio]. Until the first weight is off, student
// and teacher are one network and b is exactly zero; [Learner] skips the teacher and the second lane for so long,
// which changes no bit of the result.
//
// # Files
//
// [SaveMasks] writes a mask as a sealed safetensors file of one compressed bit a weight, which knows the digest of
// its backbone. Steps, epochs and checkpoints are those of package train, which all methods share.
package rmt
