package main

import (
	"errors"
	"flag"

	"fewshot/rmt/clip"
	"fewshot/tensor"
)

// modelFlags choose a CLIP, and whose pixels it gets.
type modelFlags struct{ clip.Options }

func (m *modelFlags) declare(fs *flag.FlagSet) {
	fs.StringVar(&m.Path, "model", clip.Embedded, "CLIP `checkpoint`: an OpenAI .pt, a torch.save or safetensors file, a Hugging Face or open_clip folder, or embedded for the small one in this program")
	fs.StringVar(&m.Vocab, "vocab", "", "BPE vocabulary `file`: bpe_simple_vocab_16e6.txt.gz, merges.txt or tokenizer.json (default: found beside the model)")
	fs.StringVar(&m.Activation, "activation", "", "quickgelu or gelu, where the checkpoint does not say (OpenAI's weights: quickgelu)")
	fs.IntVar(&m.Pillow, "pillow", 0, "major `version` of Pillow whose resize is reproduced: 13, or 12 for results of that and older ones, which differ on tall images and some random crops (default 13)")
	m.declareHeads(fs)
}

func (m *modelFlags) declareHeads(fs *flag.FlagSet) {
	fs.StringVar(&m.Heads, "heads", "", "attention heads of the image encoder, or of both as `image,text`, where neither the checkpoint nor its width says")
}

// open opens the model on a device, and warns of what was guessed.
func (m *modelFlags) open(dev *tensor.Device, u *ui) (*clip.Model, error) {
	m.Warn = u.Warn
	return m.Open(dev)
}

// isUsage reports whether an error is a mistake on the command line.
func isUsage(err error) bool {
	var usage usageError
	var option *clip.OptionError
	return errors.As(err, &usage) || errors.As(err, &option)
}
