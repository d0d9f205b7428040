package main

import (
	"context"
	"errors"
	"flag"

	"fewshot/rmt/clip"
	"fewshot/tensor"
)

// modelFlags choose a CLIP, and whose pixels it gets.
type modelFlags struct {
	clip.Options

	offline bool
	digest  bool // info's
}

func (m *modelFlags) declare(fs *flag.FlagSet) {
	fs.StringVar(&m.Path, "model", clip.Embedded, "CLIP `checkpoint`: an OpenAI .pt, a torch.save or safetensors file, a Hugging Face or open_clip folder; a name as openai/clip-vit-base-patch16, hf-hub:laion/CLIP-ViT-B-32-laion2B-s34B-b79K or ViT-B/16, fetched unless it is in their caches; or embedded for the small one in this program")
	m.declareOffline(fs)
	fs.StringVar(&m.Vocab, "vocab", "", "BPE vocabulary `file`: bpe_simple_vocab_16e6.txt.gz, merges.txt or tokenizer.json (default: found beside the model)")
	fs.StringVar(&m.Activation, "activation", "", "quickgelu or gelu, where the checkpoint does not say (OpenAI's weights: quickgelu)")
	fs.IntVar(&m.Pillow, "pillow", 0, "major `version` of Pillow whose resize is reproduced: 13, or 12 for results of that and older ones, which differ on tall images and some random crops (default 13)")
	fs.IntVar(&m.ImageSize, "image-size", 0, "side of the images that the encoder gets, in `pixels`, by positions resized as open_clip does it (default: that of the checkpoint)")
	m.declareEnsemble(fs)
	m.declareHeads(fs)
}

func (m *modelFlags) declareEnsemble(fs *flag.FlagSet) {
	fs.StringVar(&m.Ensemble, "ensemble-order", "", "of several prompts: normalize-first, as CLIP, or mean-first, as R-AMT's code (default normalize-first)")
}

func (m *modelFlags) declareHeads(fs *flag.FlagSet) {
	fs.StringVar(&m.Heads, "heads", "", "attention heads of the image encoder, or of both as `image,text`, where neither the checkpoint nor its width says")
}

func (m *modelFlags) declareOffline(fs *flag.FlagSet) {
	fs.BoolVar(&m.offline, "offline", false, "fetch nothing: models by name come from the caches alone, as with HF_HUB_OFFLINE=1")
}

// open opens the model on a device, fetching it if it is a name, and warns of what was guessed.
func (m *modelFlags) open(ctx context.Context, dev *tensor.Device, u *ui) (*clip.Model, error) {
	if err := m.fetch(ctx, u); err != nil {
		return nil, err
	}
	return m.load(dev, u)
}

// load is open for a model that was fetched.
func (m *modelFlags) load(dev *tensor.Device, u *ui) (*clip.Model, error) {
	m.Warn = u.Warn
	collect(opening)
	defer collect(headroom) // also of models that are opened side by side the last
	return m.Open(dev)
}

// isUsage reports whether an error is a mistake on the command line.
func isUsage(err error) bool {
	var usage usageError
	var option *clip.OptionError
	return errors.As(err, &usage) || errors.As(err, &option)
}
