package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"iter"
	"math"
	"slices"

	"fewshot/autograd"
	"fewshot/datasets"
	"fewshot/nn/words"
	"fewshot/rmt"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

var encodeCommand = command{
	example: `fewshot encode -model ViT-B/16 -json -text "a photo of a cat." cat.jpg`,
	name:    "encode", args: "[image …]", summary: "print the features of images and texts",
	about: `Prints CLIP's features, not normalised: those of the texts in the order given, then those of the images in the order given.
With -json that is one object per input and nothing else: kind (image or text), input, feature (float32, in the shortest form
that reads back as the same number), and for texts tokens (ids, start and end included).
Images alone need neither a vocabulary nor a text encoder.`,
	setup: setupEncode,
}

type encodeFlags struct {
	device   deviceFlags
	model    modelFlags
	mask     string
	tuned    string
	texts    []string
	images   []string
	truncate bool
	batch    int
	decoders int
}

func setupEncode(fs *flag.FlagSet, _ []string) func(context.Context, *ui, []string) error {
	var f encodeFlags
	f.model.declare(fs)
	f.device.tests(fs)
	fs.Func("text", "`text` to encode; may be given several times", func(s string) error {
		f.texts = append(f.texts, s)
		return nil
	})
	fs.BoolVar(&f.truncate, "truncate", false, "cut texts that are too long for the model, instead of refusing them")
	fs.StringVar(&f.mask, "mask", "", "mask `file` to put on the encoders, or the folder of its run")
	fs.StringVar(&f.tuned, "tuned", "", "tuned `file` of clip-lora or finetune, or the folder of its run: encode as what was learned does")
	fs.IntVar(&f.batch, "batch-size", 32, "images a batch; fewer are taken where they are large")
	fs.IntVar(&f.decoders, "decoders", 0, "images decoded at the same time, 0 for one a core")
	return func(ctx context.Context, u *ui, args []string) error {
		f.images = args
		switch {
		case len(f.texts)+len(f.images) == 0:
			return usagef("nothing to encode: give images, or texts with -text")
		case f.batch < 1 || f.decoders < 0:
			return usagef("-batch-size %d, -decoders %d: a batch has an image, and numbers are not negative", f.batch, f.decoders)
		}
		return f.run(ctx, u)
	}
}

// encoded is an input with its feature.
type encoded struct {
	Kind    string    `json:"kind"` // image or text
	Input   string    `json:"input"`
	Tokens  []int32   `json:"tokens,omitempty"`
	Feature []float32 `json:"feature"`
}

func (f *encodeFlags) run(ctx context.Context, u *ui) error {
	dev, err := f.device.open()
	if err != nil {
		return err
	}
	defer dev.Close()
	f.model.NoDigest = f.mask == "" && f.tuned == ""
	f.model.ImagesOnly = f.model.NoDigest && len(f.texts) == 0 // what was learned knows both encoders of its model
	m, err := f.model.open(ctx, dev, u)
	if err != nil {
		return err
	}
	if !f.model.NoDigest {
		close, err := f.fold(ctx, dev, m)
		if err != nil {
			return err
		}
		defer close()
	}
	if dev.Precision() == "int8" {
		for _, p := range m.Image.Params() {
			p.Settle()
		}
		if err := m.Image.Quantize(); err != nil {
			return err
		}
		m.Image.Discard()
	}
	// Packing takes as long as a product or two, and as much memory as the weights.
	if len(f.images) > f.batch {
		m.Image.Pack(false)
	}
	if m.Text != nil && len(f.texts) > 4 {
		m.Text.Pack()
	}
	if err := f.encodeTexts(ctx, u, dev, m); err != nil {
		return err
	}
	return f.encodeImages(ctx, u, dev, m)
}

// fold puts what was learned on the model, as export does. The caller calls close when all is encoded.
func (f *encodeFlags) fold(ctx context.Context, dev *tensor.Device, m *clip.Model) (close func(), err error) {
	l, err := run.OpenLoaded(f.mask, f.tuned)
	if err != nil {
		return nil, err
	}
	defer l.Close()
	job := &method.Job{Dev: dev, Model: m, Templates: []string{"a photo of a {}."}} // of a classifier that nobody asks for
	masks, err := l.Fold(ctx, job, false)
	if err == nil && l.Mask != nil {
		err = f.maskShows(m, l.Mask, masks)
	}
	if err != nil {
		job.Close()
		return nil, err
	}
	return job.Close, nil
}

// maskShows refuses a mask that changes nothing of what is encoded.
func (f *encodeFlags) maskShows(m *clip.Model, mask *run.Tuned, masks []*rmt.Mask) error {
	ofImages := func(k *rmt.Mask) bool { return slices.Contains(m.Image.Params(), k.Param) }
	switch {
	case len(f.images) == 0 && !slices.ContainsFunc(masks, func(k *rmt.Mask) bool { return !ofImages(k) }):
		return fmt.Errorf("%s is a mask of the image encoder, and no image is given", mask.Path)
	case len(f.texts) == 0 && !slices.ContainsFunc(masks, ofImages):
		return fmt.Errorf("%s is a mask of the text encoder, and no -text is given", mask.Path)
	}
	return nil
}

// textsAtOnce is how many texts go through the encoder together, so that its weights come from memory once for all of them. They are
// as few as products of all their rows are ordinary ones, whose bits do not depend on it.
const textsAtOnce = 8

// encodeTexts prints the features of texts.
func (f *encodeFlags) encodeTexts(ctx context.Context, u *ui, dev *tensor.Device, m *clip.Model) error {
	if len(f.texts) == 0 {
		return nil
	}
	if err := m.NeedText(); err != nil {
		return err
	}
	// All are read before the first is printed, so that a text that will not do is not found at the end.
	var tokens [][]int32
	for _, s := range f.texts {
		ids, err := m.Tokenizer.Tokenize(s, m.Text.Context, f.truncate)
		if err != nil {
			if _, cut := m.Tokenizer.Tokenize(s, m.Text.Context, true); cut == nil {
				return fmt.Errorf("%w, or -truncate cuts it", err)
			}
			return err
		}
		tokens = append(tokens, ids)
	}
	next := 0
	for some := range slices.Chunk(tokens, textsAtOnce) {
		if err := ctx.Err(); err != nil {
			return err
		}
		tape := autograd.NoGrad(dev)
		features := m.Text.Encode(tape, some).Value
		values, width := features.Floats(), features.Dim(1)
		tape.Release()
		if err := dev.Sync(); err != nil {
			return err
		}
		for i, ids := range some {
			e := encoded{"text", f.texts[next], ids, values[i*width:][:width]}
			if err := e.print(u); err != nil {
				return err
			}
			next++
		}
	}
	return nil
}

func (f *encodeFlags) encodeImages(ctx context.Context, u *ui, dev *tensor.Device, m *clip.Model) error {
	next := 0
	for features, err := range train.Features(ctx, dev, m.Image, f.batches(ctx, m.Transform, run.Loader{Batch: f.batch}.EvalBatch(dev, m))) {
		if err != nil {
			return err
		}
		values, width := features.Floats(), features.Dim(1)
		for ; len(values) > 0; values = values[width:] {
			e := encoded{Kind: "image", Input: f.images[next], Feature: values[:width]}
			if err := e.print(u); err != nil {
				return err
			}
			next++
		}
	}
	return ctx.Err()
}

// batches reads the image files, a batch of them at a time.
func (f *encodeFlags) batches(ctx context.Context, t datasets.Transform, batch int) iter.Seq2[train.Batch, error] {
	return func(yield func(train.Batch, error) bool) {
		for lo := 0; lo < len(f.images); lo += batch {
			var items []datasets.Item
			for _, path := range f.images[lo:min(lo+batch, len(f.images))] {
				data, err := datasets.ReadImage(path)
				if err != nil {
					yield(train.Batch{}, err)
					return
				}
				items = append(items, datasets.Item{Path: path, Data: data})
			}
			for b, err := range adapt(datasets.LoadImages(ctx, &datasets.Dataset{}, items, t, batch, f.decoders), t.Size) {
				if !yield(b, err) || err != nil {
					return
				}
			}
		}
	}
}

// print writes one object, or a line of the feature's first values.
func (e encoded) print(u *ui) error {
	sum := 0.0
	for _, v := range e.Feature {
		if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
			return fmt.Errorf("the feature of %s %q is not finite", e.Kind, e.Input)
		}
		sum += float64(v) * float64(v)
	}
	return u.result(e, func(w io.Writer) {
		const shown = 6
		fmt.Fprintf(w, "%-5s %q\n", e.Kind, e.Input)
		if e.Tokens != nil {
			fmt.Fprintf(w, "      %s %v\n", words.Count(len(e.Tokens), "token"), e.Tokens)
		}
		fmt.Fprintf(w, "      %s, length %.4f:", words.Count(len(e.Feature), "value"), math.Sqrt(sum))
		for _, v := range e.Feature[:min(shown, len(e.Feature))] {
			fmt.Fprintf(w, " %.6g", v)
		}
		if len(e.Feature) > shown {
			fmt.Fprint(w, " …")
		}
		fmt.Fprintln(w)
	})
}
