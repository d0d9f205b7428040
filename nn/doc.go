// Package nn has the layers of CLIP's transformers and ResNets, and the parameters they are made of.
//
// Modules have no names. A constructor asks [Weights] for what it needs by checkpoint name, the path being the key in
// OpenAI's state dict:
//
//	ln := nn.NewLayerNorm(w.In("visual", "ln_pre"), 768, 0)   // visual.ln_pre.weight, visual.ln_pre.bias
//
// A module cannot exist without its weights; what is missing or has the wrong shape is collected and reported
// together by [Weights.Err], and never filled in. Other programs' names are the business of package nn/checkpoint.
//
// A [Param] may be seen through a parametrisation, as a mask. There is no training mode: CLIP has no dropout, and
// whether anything is recorded is the tape's affair.
package nn
