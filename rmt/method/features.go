package method

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/nn/quote"
	"fewshot/optim"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Passes are the features of the training images, [passes, N, Embed], each pass with variations of its own; without augmentation all
// are the same, and one is enough. The caller releases them.
func (j *Job) Passes(ctx context.Context, passes int, a Augment) (*tensor.Tensor, error) {
	var all *tensor.Tensor
	for p := range passes {
		f, err := j.Data.Features(ctx, Train, a, p)
		if err != nil {
			if all != nil {
				all.Release()
			}
			return nil, err
		}
		if all == nil {
			all = j.Dev.New(tensor.Full, append([]int{passes}, f.Shape()...)...)
		}
		tensor.Copy(all.Index(p), f)
		f.Release()
	}
	return all, nil
}

// NeedVal refuses a job without validation images, which a method chooses something by.
func (j *Job) NeedVal(method, what string) error {
	if j.Data.Count(Val) > 0 {
		return nil
	}
	return fmt.Errorf("%s chooses %s by validation images, and the data set has none: move some of the training images into a part val, beside train and test; "+
		"a folder that is not divided is by -split 0.7,0.1", method, what)
}

// NeedImages refuses a job without validation images, which a method chooses something by, or with a class of which there is no training image.
func (j *Job) NeedImages(method, what string) error {
	if err := j.NeedVal(method, what); err != nil {
		return err
	}
	return j.NeedClasses(method)
}

// NeedClasses refuses a job with a class of which there is no training image.
func (j *Job) NeedClasses(method string) error {
	labels := j.Data.Labels(Train)
	for i, c := range j.Classes {
		if !slices.Contains(labels, int32(i)) {
			return fmt.Errorf("%s learns from images of every class, and %s has no training images", method, quote.String(c))
		}
	}
	return nil
}

// SameClasses refuses classes that something was not learned for.
func SameClasses(learned, classes []string) error {
	if slices.Equal(learned, classes) {
		return nil
	}
	return ErrClasses
}

// Behind is a classifier of features behind an encoder.
type Behind struct {
	Encoder train.Encoder
	Head    train.FeatureHead
}

// Parts makes b [train.Parted].
func (b Behind) Parts() (train.Encoder, train.FeatureHead) { return b.Encoder, b.Head }

// Logits are [N, C] for images [N, 3, S, S].
func (b Behind) Logits(images *autograd.Var) *autograd.Var {
	return b.Head.Logits(b.Encoder.Encode(images))
}

// maxPasses is more than any sample of images gains by.
const maxPasses = 1000

// ValidatePasses looks at passes over varied images.
func ValidatePasses(passes int, a Augment) error {
	if passes < 1 || passes > maxPasses {
		return fmt.Errorf("passes %d: 1 to %d", passes, maxPasses)
	}
	return a.Validate()
}

// Tokens are the prompts of classes, tokenised, for a method that encodes one of each class: by the job's own prompts or its template, of which there
// must be one.
func (j *Job) Tokens(method string, classes []string) ([][]int32, error) {
	if err := j.Model.NeedText(); err != nil {
		return nil, err
	}
	if j.Prompts == nil {
		if err := OneTemplate(method, j.Templates); err != nil {
			return nil, err
		}
	}
	var all [][]int32
	for _, c := range classes {
		prompt := strings.ReplaceAll(j.Templates[0], "{}", c)
		if j.Prompts != nil {
			if n := len(j.Prompts[c]); n != 1 {
				return nil, fmt.Errorf("%s has one prompt a class, and class %s has %d of its own", method, quote.String(c), n)
			}
			prompt = j.Prompts[c][0]
		}
		ids, err := j.Model.Tokenizer.Tokenize(prompt, j.Model.Text.Context, false)
		if err != nil {
			return nil, fmt.Errorf("class %q: %w", c, err)
		}
		all = append(all, ids)
	}
	return all, nil
}

// OneTemplate refuses several templates for a method that has one prompt a class.
func OneTemplate(method string, templates []string) error {
	if len(templates) == 1 {
		return nil
	}
	return fmt.Errorf("%s has one prompt a class, and there are %d templates: give one by -template", method, len(templates))
}

// Fill reads a tuned file's tensors into those that a method has made of the same shapes. After an error it closes what they belong to.
func Fill(into Learned, read func(name string) (*tensor.Tensor, error)) error {
	for _, n := range into.Tensors() {
		if err := fill(n, read); err != nil {
			into.Close()
			return err
		}
	}
	return nil
}

func fill(n optim.Named, read func(name string) (*tensor.Tensor, error)) error {
	x, err := read(n.Name)
	if err != nil {
		return err
	}
	defer x.Release()
	if !slices.Equal(x.Shape(), n.Tensor.Shape()) {
		return fmt.Errorf("%s has shape %v in the file and %v in the method", n.Name, x.Shape(), n.Tensor.Shape())
	}
	tensor.Copy(n.Tensor, x)
	return nil
}

// Held is what classifiers hold that something learned has made, for this to embed.
type Held struct{ release []func() }

// Hold keeps how to give something back.
func (h *Held) Hold(release func()) { h.release = append(h.release, release) }

// Forget gives all of it back. The classifiers are of no use then.
func (h *Held) Forget() {
	for _, f := range h.release {
		f()
	}
	h.release = nil
}

// Named are parameters by name.
func Named(params []*nn.Param) []optim.Named {
	var all []optim.Named
	for _, p := range params {
		all = append(all, optim.Named{Name: p.Name, Tensor: p.Value})
	}
	return all
}
