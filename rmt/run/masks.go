package run

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/nn/words"
	"fewshot/optim"
	"fewshot/rmt"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/vit"
)

// maskMethods are the presets of mask tuning.
func maskMethods() []*method.Method {
	where := map[string]string{"amt": "attention weights", "mmt": "MLP weights", "pmt": "all weights of the image encoder",
		"dmt": "layers chosen by the mean gradient of their masks"}
	var all []*method.Method
	for _, name := range rmt.Methods() {
		kind, dropout := strings.CutPrefix(name, "r-")
		summary := "masks on " + where[kind]
		if dropout {
			summary += ", with gradient dropout"
		}
		all = append(all, &method.Method{
			Name: name, Summary: summary, Settings: method.Parse[rmt.Config], Begin: beginMasks,
			Defaults: func(t method.Task) (method.Settings, error) {
				c, err := rmt.Defaults(name, t.Recipe, t.Dataset, t.Shots, t.BaseToNew)
				c.AutoEpochs = !t.Published
				return &c, err
			},
		})
	}
	return all
}

// masked is a model with masks on it.
type masked struct {
	job   *method.Job
	masks []*rmt.Mask
	close func()
}

// beginMasks puts fresh masks on the model's image encoder.
func beginMasks(ctx context.Context, j *method.Job) (*method.Training, error) {
	c := j.Settings.(*rmt.Config)
	placed, err := c.For(j.Model.Image.Params())
	if err != nil {
		return nil, &clip.OptionError{Problem: err.Error()}
	}
	*c = placed
	picked, err := pick(j.Model, *c)
	if err != nil {
		return nil, err
	}
	ofText := c.Encoder == "text" || c.Encoder == "both"
	var prompts [][]int32
	if ofText {
		if prompts, err = j.Tokens("a mask on the text encoder", j.Classes); err != nil {
			return nil, err
		}
	}
	if j.Masked {
		return nil, fmt.Errorf("%s learns masks, and the encoder has one already: train it without -mask, or another method with it", c.Method)
	}
	data, err := j.Data.Batches(c.Batch, method.Augment{CropMin: c.CropMin, Flip: c.Flip})
	if err != nil {
		return nil, err
	}
	c.Seed, c.MicroBatch = j.Seed, j.Micro(c.Batch)
	if c.AutoEpochs {
		if c.Epochs, err = c.EnoughEpochs(data.Batches()); err != nil {
			return nil, err
		}
	}
	t := &method.Training{TextDone: !ofText, Figures: map[string]float64{"travel_ratio": c.TravelRatio(data.Batches())}}
	if ratio := t.Figures["travel_ratio"]; ratio < 1 {
		t.Warnings = append(t.Warnings, fmt.Sprintf("travel ratio %.2f: %s at this learning rate cannot bring a score from %g to %g, so hardly any weight can be switched off and the result will be the untouched CLIP; use -epochs auto",
			ratio, words.Count(data.Batches()*c.Epochs, "step"), c.Init, c.Threshold))
	}
	head, err := j.Head(ctx)
	if err != nil {
		return nil, err
	}
	student, teacher := j.Model.Image, j.Model.Teacher()
	if c.ChoosesLayers() {
		layers, err := rmt.ChooseLayers(ctx, j.Dev, student, head, picked, data)
		if err != nil {
			return nil, err
		}
		if picked, err = pick(j.Model, c.WithLayers(layers)); err != nil {
			return nil, err
		}
		t.Figures["layers_chosen"] = float64(len(picked))
	}
	m := masked{job: j, masks: rmt.AttachAs(picked, c.Granularity, c.Init, c.Threshold)}
	PackFew(student, teacher, *c)
	l := rmt.NewLearner(student, teacher, head, m.masks, c.Rule())
	l.Temperature = c.Temperature
	if ofText {
		scores := l.Groups()[0].Params
		l.Text = func(t *autograd.Tape) *autograd.Var {
			encode := func(t *autograd.Tape, texts [][]int32, _ int) *autograd.Var { return j.Model.Text.Encode(t, texts) }
			return autograd.L2Normalize(j.Model.Text.EncodeParts(t, prompts, scores, encode))
		}
	}
	t.Run = &train.Run{Trainer: rmt.NewTrainer(j.Dev, l, *c), Epochs: c.Epochs, Schedule: c.Schedule(), Data: data}
	m.close = func() {
		student.Unpack()
		teacher.Unpack()
		l.Release()
		for _, k := range m.masks {
			k.Detach()
			k.Scores.Release()
		}
	}
	t.Learned = m
	return t, nil
}

// pick are the parameters of the encoders that are masked which the patterns name.
func pick(m *clip.Model, c rmt.Config) ([]*nn.Param, error) {
	all := maskable(m)
	ofImage, encoder := len(m.Image.Params()), c.Encoder
	switch encoder {
	case "text":
		all = all[ofImage:]
	case "both":
	default:
		encoder, all = "image", all[:ofImage]
	}
	picked, err := rmt.Select(all, c.Patterns)
	if err != nil {
		return nil, fmt.Errorf("-encoder %s: %w", encoder, err)
	}
	if encoder == "both" {
		n := 0
		for _, p := range picked {
			if slices.Contains(all[:ofImage], p) {
				n++
			}
		}
		if n == 0 || n == len(picked) {
			return nil, fmt.Errorf("-encoder both: the patterns name weights of one encoder alone")
		}
	}
	return picked, nil
}

// maskable are the parameters of both encoders.
func maskable(m *clip.Model) []*nn.Param {
	if m.Text == nil {
		return m.Image.Params()
	}
	return slices.Concat(m.Image.Params(), m.Text.Params())
}

// PackFew packs the frozen weights if steps are on so few images that their products have few rows. (Who asks for parts
// of few images wants to save memory.) A teacher's norms, too, are folded for every step on more: that is a hundredth
// of the step, and folded weights and packed ones are a tenth of its memory.
func PackFew(student, teacher vit.Image, c rmt.Config) {
	if c.Batch*student.Sizes().Tokens > tensor.FewRows {
		return
	}
	student.Pack(true)
	if c.Rule().NeedsTeacher() {
		teacher.Pack(false) // what the masks hide from the student
	}
}

// Close takes the masks off.
func (m masked) Close() { m.close() }

// Tensors is nothing: masks have a file of their own form.
func (m masked) Tensors() []optim.Named { return nil }

// Classifier is the masked encoder with a head for the classes, by the text encoder as it is now.
func (m masked) Classifier(ctx context.Context, classes []string) (train.Classifier, error) {
	if c := m.job.Settings.(*rmt.Config); c.Encoder != "" && c.Encoder != "image" {
		m.job.Close() // heads that were made without masks
	}
	head, err := m.job.HeadOf(ctx, classes)
	return train.Model{Encoder: m.job.Model.Image, Head: head}, err
}

// MasksOf are the masks that a method has learned; nil of other methods.
func MasksOf(l method.Learned) []*rmt.Mask {
	m, _ := l.(masked)
	return m.masks
}

// WriteLearned writes the file of what was learned, without the spec of a run.
func WriteLearned(w io.Writer, l method.Learned, backbone string) error {
	if masks := MasksOf(l); masks != nil {
		return rmt.WriteMasks(w, masks, backbone, nil)
	}
	return writeTuned(w, nil, l.Tensors())
}
