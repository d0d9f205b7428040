package text

import (
	"fewshot/nn"
	"fewshot/nn/checkpoint"
	"fewshot/tensor"
)

// Known is what a checkpoint's configuration says of its text encoder, for [ConfigOf]. a is the activation, unless the
// configuration names one for this encoder.
func Known(s checkpoint.Settings, a tensor.Activation) Config {
	t := s.Text
	if own, err := nn.ActivationNamed(t.Activation); err == nil {
		a = own
	}
	return Config{Activation: a, Heads: t.Heads, Eps: t.Eps, Pool: Pool(t.Pool), EOS: t.EOS, Full: t.Full, Pad: t.Pad, NoProj: t.NoProj, CLS: t.CLS}
}
