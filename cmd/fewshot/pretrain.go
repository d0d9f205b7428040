package main

import (
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"math"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"fewshot/autograd"
	"fewshot/datasets"
	"fewshot/datasets/synth"
	"fewshot/nn/checkpoint"
	"fewshot/nn/export"
	"fewshot/nn/quote"
	"fewshot/nn/words"
	"fewshot/optim"
	"fewshot/rmt/clip"
	"fewshot/rmt/plan/paper"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/text"
)

var pretrainCommand = command{
	example: "fewshot pretrain -steps 100 -out small-clip",
	name:    "pretrain", summary: "pre-train a small CLIP on the synthetic world",
	about: `Trains both towers of a small CLIP from scratch, contrastively, on images and captions drawn on the fly, and writes a model
folder, which -model takes, and so does open_clip. The embedded model was made with the default settings; the same seed gives
the same model with the same build on the same kind of processor. -arch makes small models of other kinds, for table 10: with a
larger patch, or with a modified ResNet for images.`,
	setup: setupPretrain,
}

func setupPretrain(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	c := defaultPretrain()
	var dev deviceFlags
	var out string
	dev.declare(fs)
	fs.StringVar(&out, "out", "", "output `folder`; it must not exist or be empty")
	fs.IntVar(&c.Steps, "steps", c.Steps, "training steps")
	fs.IntVar(&c.Batch, "batch-size", c.Batch, "pairs a step")
	fs.Float64Var(&c.LR, "lr", c.LR, "peak learning rate")
	fs.Float64Var(&c.Decay, "wd", c.Decay, "weight decay of matrices")
	fs.IntVar(&c.Warmup, "warmup", c.Warmup, "steps of linear warm-up")
	fs.IntVar(&c.Width, "width", c.Width, "width of both towers, a multiple of 64")
	fs.IntVar(&c.Layers, "layers", c.Layers, "blocks of the image tower, if it is a transformer")
	arch := "ViT-B/16"
	fs.StringVar(&arch, "arch", arch, "kind of the image tower, in small: "+strings.Join(paper.Backbones(), ", "))
	fs.IntVar(&c.TextLayers, "text-layers", c.TextLayers, "blocks of the text tower")
	fs.Uint64Var(&c.Seed, "seed", c.Seed, "seed of weights and data")
	return func(ctx context.Context, u *ui, args []string) error {
		switch {
		case len(args) > 0:
			return usagef("unexpected argument %q", args[0])
		case out == "":
			return usagef("-out is missing: where shall the model go?")
		case c.Steps < 1 || c.Warmup < 0:
			return usagef("-steps %d, -warmup %d: at least 1 step, and no fewer than none to warm up", c.Steps, c.Warmup)
		case c.Batch < 2:
			return usagef("-batch-size %d: at least 2, as each pair is told from the others", c.Batch)
		case !(c.LR > 0) || math.IsInf(c.LR, 0) || !(c.Decay >= 0) || math.IsInf(c.Decay, 0):
			return usagef("-lr %g, -wd %g: the rate has to be positive, the decay at least 0", c.LR, c.Decay)
		case c.Layers < 1 || c.TextLayers < 1:
			return usagef("-layers %d, -text-layers %d: at least 1", c.Layers, c.TextLayers)
		case c.Width < 64 || c.Width%64 != 0:
			return usagef("-width %d: the width is a multiple of 64, as heads are 64 wide", c.Width)
		}
		if err := c.as(arch); err != nil {
			return err
		}
		return pretrain(ctx, u, dev, c, out)
	}
}

// pretrain trains and writes a model.
func pretrain(ctx context.Context, u *ui, flags deviceFlags, c pretrainConfig, out string) error {
	dev, err := flags.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	dir, err := run.OpenFolder(out, false)
	if err != nil {
		return err
	}
	defer dir.Close()
	start := time.Now()
	advance, finish := u.Progress("pretrain", c.Steps)
	var mean pretrainStep // over the steps since the last report
	const every = 100
	m, err := runPretrain(ctx, dev, c, func(s pretrainStep) error {
		rate := float64(s.Step*c.Batch) / time.Since(start).Seconds()
		advance(s.Step, fmt.Sprintf("loss %.3f  %.0f pairs/s", s.Loss, rate))
		mean.Loss += s.Loss / every
		mean.Correct += s.Correct / every
		if s.Step%every != 0 {
			return nil
		}
		mean.Kind, mean.Step, mean.Steps, mean.Scale = "step", s.Step, s.Steps, s.Scale
		u.Note("step %d of %d: loss %.3f, own caption nearest %.1f %%, scale %.1f, %.0f pairs/s", s.Step, s.Steps, mean.Loss, 100*mean.Correct, s.Scale, rate)
		err := u.Event(mean)
		mean = pretrainStep{}
		return err
	})
	finish()
	if err != nil {
		return err
	}
	files, err := pretrained(m)
	if err != nil {
		return err
	}
	for _, f := range files {
		if err := checkpoint.WriteFile(filepath.Join(out, f.Name), f.Write); err != nil {
			return err
		}
	}
	seconds := time.Since(start).Seconds()
	return u.result(map[string]any{"kind": "result", "out": out, "config": c, "seconds": seconds}, func(w io.Writer) {
		fmt.Fprintf(w, "%s: a CLIP of %s, %.0f s; try fewshot %s\n", out, words.Count(c.Steps, "step"), seconds,
			quote.Shell("train", "-model", out, "-dataset", "synth:things"))
	})
}

// pretrained are the files of a model's folder, in open_clip's form: of OpenAI's it has the names, and words for a
// vocabulary of its own.
func pretrained(m *clip.CLIP) ([]export.File, error) {
	learned := m.Tokenizer.(*text.BPE) // of runPretrain
	var merges, vocab bytes.Buffer
	if err := errors.Join(learned.WriteMerges(&merges), learned.WriteVocab(&vocab)); err != nil {
		return nil, err
	}
	e := export.Model{Weights: m.Weights.Values(), Activation: "quickgelu", ImageHeads: m.Image.Sizes().Heads, TextHeads: m.Text.Heads,
		Preprocessing: checkpoint.OpenAIPreprocessing, Merges: merges.Bytes(), Vocab: vocab.Bytes()}
	all, err := e.OpenCLIP()
	if err != nil {
		return nil, err
	}
	files := []export.File{{Name: "model.safetensors", Write: func(w io.Writer) error {
		return checkpoint.WriteModel(w, map[string]string{checkpoint.ActivationKey: "quickgelu"}, m.Weights.Values(), checkpoint.F16)
	}}}
	for _, f := range all {
		if f.Name != "open_clip_model.safetensors" && f.Name != "README.md" {
			files = append(files, f)
		}
	}
	return files, nil
}

// pretrainConfig describes the contrastive pre-training of a small CLIP on the synthetic world.
type pretrainConfig struct {
	Width, Layers, TextLayers, Embed, Patch, Context, Merges int
	Batch, Steps, Warmup                                     int
	LR, Decay                                                float64
	Seed                                                     uint64

	// Of a ResNet: blocks by stage, the width of the first, and the side of the images, which has to be a multiple of 32.
	Blocks     []int `json:",omitempty"`
	Stem, Side int   `json:",omitempty"`
}

// as makes it the small model in the place of a kind of CLIP's.
func (c *pretrainConfig) as(arch string) error {
	switch strings.ReplaceAll(arch, "-", "/") {
	case "ViT/B/16":
		return nil
	case "ViT/B/32":
		c.Patch *= 2
		return nil
	case "RN50":
		c.Blocks = []int{1, 1, 2, 1}
	case "RN101":
		c.Blocks = []int{1, 1, 5, 1}
	default:
		return usagef("-arch %s: there are %s", arch, strings.Join(paper.Backbones(), ", "))
	}
	c.Stem, c.Side = 16, 64
	return nil
}

// The embedded model is what these settings make.
func defaultPretrain() pretrainConfig {
	return pretrainConfig{Width: 128, Layers: 4, TextLayers: 3, Embed: 128, Patch: 8, Context: 32, Merges: 768,
		Batch: 128, Steps: 12000, Warmup: 300, LR: 1e-3, Decay: 0.05, Seed: 1}
}

// captionsForBPE is how many captions the vocabulary is learned from.
const captionsForBPE = 20000

// shapes lists the tensors of a CLIP of these sizes, under OpenAI's names.
func (c pretrainConfig) shapes(vocab int) map[string][]int {
	s := map[string][]int{
		"token_embedding.weight": {vocab, c.Width},
		"positional_embedding":   {c.Context, c.Width},
		"text_projection":        {c.Width, c.Embed},
		"logit_scale":            {},
	}
	norms := []string{"ln_final"}
	if c.Blocks == nil {
		grid := synth.Size / c.Patch
		s["visual.conv1.weight"] = []int{c.Width, 3, c.Patch, c.Patch}
		s["visual.class_embedding"] = []int{c.Width}
		s["visual.positional_embedding"] = []int{grid*grid + 1, c.Width}
		s["visual.proj"] = []int{c.Width, c.Embed}
		norms = append(norms, "visual.ln_pre", "visual.ln_post")
	} else {
		c.resNetShapes(s)
	}
	for _, ln := range norms {
		s[ln+".weight"], s[ln+".bias"] = []int{c.Width}, []int{c.Width}
	}
	tower := func(prefix string, layers int) {
		for i := range layers {
			p := fmt.Sprintf("%stransformer.resblocks.%d.", prefix, i)
			w := c.Width
			for name, shape := range map[string][]int{
				"ln_1.weight": {w}, "ln_1.bias": {w}, "ln_2.weight": {w}, "ln_2.bias": {w},
				"attn.in_proj_weight": {3 * w, w}, "attn.in_proj_bias": {3 * w},
				"attn.out_proj.weight": {w, w}, "attn.out_proj.bias": {w},
				"mlp.c_fc.weight": {4 * w, w}, "mlp.c_fc.bias": {4 * w},
				"mlp.c_proj.weight": {w, 4 * w}, "mlp.c_proj.bias": {w},
			} {
				s[p+name] = shape
			}
		}
	}
	if c.Blocks == nil {
		tower("visual.", c.Layers)
	}
	tower("", c.TextLayers)
	return s
}

// initial is a source of random weights, drawn as CLIP's initialize_parameters does.
type initial struct {
	cfg    pretrainConfig
	shapes map[string][]int
	key    tensor.Key
}

func (s initial) Names() []string {
	var names []string
	for n := range s.shapes {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}

func (s initial) Shape(name string) ([]int, bool) {
	shape, ok := s.shapes[name]
	return shape, ok
}

func (s initial) Read(name string, dst []float32) error {
	if s.cfg.Blocks != nil && strings.HasPrefix(name, "visual.") {
		return s.readResNet(name, dst)
	}
	w := math.Pow(float64(s.cfg.Width), -0.5)
	layers := s.cfg.TextLayers
	if strings.HasPrefix(name, "visual.") {
		layers = s.cfg.Layers
	}
	residual := w * math.Pow(2*float64(layers), -0.5)
	std, mean := 0.0, 0.0
	switch {
	case name == "logit_scale":
		mean = math.Log(1 / 0.07)
	case strings.Contains(name, "ln_"):
		if strings.HasSuffix(name, "weight") {
			mean = 1
		}
	case strings.HasSuffix(name, "bias"):
	case name == "token_embedding.weight":
		std = 0.02
	case name == "positional_embedding":
		std = 0.01
	case strings.HasSuffix(name, "c_fc.weight"):
		std = math.Pow(2*float64(s.cfg.Width), -0.5)
	case strings.HasSuffix(name, "c_proj.weight"), strings.HasSuffix(name, "out_proj.weight"):
		std = residual
	case name == "visual.conv1.weight":
		std = math.Pow(float64(3*s.cfg.Patch*s.cfg.Patch), -0.5)
	default: // in_proj, projections, class and position embeddings of the image tower
		std = w
	}
	normals(dst, s.key.Name(name), mean, std)
	return nil
}

// normals fills dst with a key's numbers, of the given mean and deviation, on all processors: with those of a large model it is what
// a measurement begins with.
func normals(dst []float32, key tensor.Key, mean, std float64) {
	const part = 1 << 15
	number := func(x float64) float32 { return float32(mean + std*x) }
	var workers sync.WaitGroup
	for lo := 0; lo < len(dst); lo += part {
		workers.Go(func() {
			for i := lo; i < min(lo+part, len(dst)); i += 2 {
				even, odd := key.Normals(uint64(i / 2))
				dst[i] = number(even)
				if i+1 < len(dst) {
					dst[i+1] = number(odd)
				}
			}
		})
	}
	workers.Wait()
}

// pairs are one batch of the synthetic world.
type pairs struct {
	pixels []float32 // [B, 3, Size, Size], normalised
	texts  [][]int32
	err    error
}

// drawPairs draws batches ahead of the training step.
func drawPairs(ctx context.Context, c pretrainConfig, tok *text.BPE) <-chan pairs {
	out := make(chan pairs, 2)
	go func() {
		defer close(out)
		rgb := make([]uint8, synth.Size*synth.Size*3)
		n := 3 * c.side() * c.side()
		for step := range c.Steps {
			p := pairs{pixels: make([]float32, c.Batch*n)}
			for i := range c.Batch {
				caption := synth.Pair(rgb, c.Seed, uint64(step*c.Batch+i))
				ids, err := tok.Tokenize(caption, c.Context, true) // the longest captions end in details
				if err != nil {
					p.err = err
				}
				p.texts = append(p.texts, ids)
				if err := c.pixels(p.pixels[i*n:(i+1)*n], rgb); err != nil {
					p.err = err
				}
			}
			select {
			case out <- p:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// normalizeRGB turns interleaved bytes into CLIP's normalised planes.
func normalizeRGB(dst []float32, rgb []uint8) {
	t, n := datasets.CLIPTransform(synth.Size), len(rgb)/3
	for i := range n {
		for c := range 3 {
			dst[c*n+i] = (float32(rgb[3*i+c])/255 - t.Mean[c]) / t.Std[c]
		}
	}
}

// side is that of the images that the model gets.
func (c pretrainConfig) side() int {
	if c.Side > 0 {
		return c.Side
	}
	return synth.Size
}

// pixels makes the model's input of a picture.
func (c pretrainConfig) pixels(dst []float32, rgb []uint8) error {
	if c.side() == synth.Size {
		normalizeRGB(dst, rgb)
		return nil
	}
	png, err := synth.EncodePNG(rgb)
	if err != nil {
		return err
	}
	return datasets.CLIPTransform(c.side()).Image(dst, "picture", png)
}

// pretrainStep is what the progress of pre-training reports.
type pretrainStep struct {
	Kind    string  `json:"kind"`
	Step    int     `json:"step"`
	Steps   int     `json:"steps"`
	Loss    float64 `json:"loss"`
	Correct float64 `json:"own_caption_nearest"` // share of the batch's images
	Scale   float64 `json:"scale"`
}

// runPretrain trains both towers from scratch and returns the model with its vocabulary.
func runPretrain(ctx context.Context, dev *tensor.Device, c pretrainConfig, report func(pretrainStep) error) (*clip.CLIP, error) {
	tok, err := text.TrainBPE(slices.Values(synth.Captions(c.Seed, captionsForBPE)), c.Merges)
	if err != nil {
		return nil, err
	}
	m, err := clip.New(dev, initial{c, c.shapes(tok.Size()), tensor.NewKey(c.Seed).Name("pretrain")}, clip.Config{})
	if err != nil {
		return nil, err
	}
	m.Tokenizer = tok
	// Vectors are not decayed, as in CLIP's training.
	decayed, plain := optim.NewAdam(), optim.NewAdam()
	decayed.Beta2, plain.Beta2, decayed.Decay = 0.98, 0.98, c.Decay
	params := c.trained(m)
	for _, p := range params {
		p.Trainable = true
	}
	schedule := optim.WarmupLinear(c.Warmup, optim.Cosine(c.LR, c.Steps))
	labels := make([]int32, c.Batch)
	for i := range labels {
		labels[i] = int32(i)
	}
	images := dev.New(tensor.Compute, c.Batch, 3, c.side(), c.side())
	defer images.Release()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	step := 0
	for p := range drawPairs(ctx, c, tok) {
		if p.err != nil {
			return nil, p.err
		}
		images.Set(p.pixels)
		s := contrast(m, images, p.texts, labels, func(g *autograd.Grads) {
			decayed.Tick(schedule(step))
			plain.Tick(schedule(step))
			for _, p := range params {
				opt := decayed
				if p.Value.Rank() < 2 {
					opt = plain
				}
				opt.Update(p.Value, g.Of(p.Value).Index(0))
			}
		})
		// CLIP clips the scale at 100, lest training becomes unstable.
		if m.LogitScale.Value.Item() > math.Log(100) {
			tensor.Fill(m.LogitScale.Value, math.Log(100))
		}
		if math.IsNaN(s.Loss) {
			return nil, fmt.Errorf("the loss of step %d is not a number; lower -lr", step+1)
		}
		step++
		s.Step, s.Steps = step, c.Steps
		if err := report(s); err != nil {
			return nil, err
		}
	}
	if err := ctx.Err(); err != nil && step < c.Steps {
		return nil, err
	}
	for _, p := range params {
		p.Trainable = false
	}
	return m, dev.Sync()
}

// contrast is one step of CLIP's symmetric loss: the mean of the cross-entropies from images to texts and back.
func contrast(m *clip.CLIP, images *tensor.Tensor, texts [][]int32, labels []int32, update func(*autograd.Grads)) pretrainStep {
	t := autograd.NewTape(images.Device())
	defer t.Release()
	f := autograd.L2Normalize(m.Image.Encode(t.Const(images)))
	g := autograd.L2Normalize(m.Text.Encode(t, texts))
	scale := autograd.Exp(m.LogitScale.On(t))
	logits := autograd.Mul(autograd.Linear(f, g, nil), scale)
	back := autograd.Mul(autograd.Linear(g, f, nil), scale)
	loss := autograd.Scale(autograd.Add(autograd.CrossEntropy(logits, labels), autograd.CrossEntropy(back, labels)), 0.5)
	right := 0
	for i, j := range train.Argmax(logits.Value) {
		if int(j) == i {
			right++
		}
	}
	s := pretrainStep{Loss: loss.Value.Item(), Correct: float64(right) / float64(len(labels)), Scale: scale.Value.Item()}
	update(autograd.Backward(loss))
	return s
}
