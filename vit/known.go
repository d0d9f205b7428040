package vit

import (
	"fewshot/nn"
	"fewshot/nn/checkpoint"
	"fewshot/tensor"
)

// Known is what a checkpoint's configuration says of its image encoder, for [ConfigOf]. a is the activation, unless the
// configuration names one for this encoder.
func Known(s checkpoint.Settings, a tensor.Activation) Config {
	v := s.Vision
	if own, err := nn.ActivationNamed(v.Activation); err == nil {
		a = own
	}
	return Config{Activation: a, Heads: v.Heads, Eps: v.Eps, ImageSize: v.ImageSize, Pool: Pool(v.Pool), PoolHeads: v.PoolHeads, NormLast: v.NormLast,
		PostNorm: v.PostNorm, Rotary: nn.RotaryConfig(v.Rotary)}
}
