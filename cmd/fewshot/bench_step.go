package main

import (
	"context"
	"fmt"
	"strings"

	"fewshot/rmt"
	"fewshot/rmt/clip"
	"fewshot/rmt/run"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/vit"
)

// benchClasses is how many classes the measured training step tells apart.
const benchClasses = 100

// stepper is a training step to be measured.
type stepper struct {
	dev    *tensor.Device
	clip   *clip.CLIP
	method string // amt or r-amt, of a ResNet pmt or r-pmt
	off    bool   // one weight of 40 is off, so that R-AMT needs the teacher
	batch  int
	micro  microBatch
}

// placement is the mask method that is measured: masks on attention weights, which a ResNet does not have.
func placement(arch vit.Arch) string {
	if _, net := arch.(vit.ResNetConfig); net {
		return "pmt"
	}
	return "amt"
}

// flop counts the products of the step.
func (s stepper) flop() float64 {
	return float64(s.batch) * stepFLOP(s.clip.Arch, strings.HasPrefix(s.method, "r-") && s.off)
}

// tuner masks an encoder of its own over the model's weights. close takes the masks off and gives their memory back.
func (s stepper) tuner() (t *train.Trainer, close func(), err error) {
	config, err := rmt.Defaults(s.method, "paper", "", 16, false)
	if err != nil {
		return nil, nil, err
	}
	config.MicroBatch = s.micro.of(s.dev, s.clip.Image.Sizes().Tokens, s.batch)
	student := s.clip.Teacher()
	if config, err = config.For(student.Params()); err != nil {
		return nil, nil, err
	}
	picked, err := rmt.Select(student.Params(), config.Patterns)
	if err != nil {
		return nil, nil, err
	}
	classes, norm := s.dev.New(tensor.Full, benchClasses, s.clip.Image.Sizes().Embed), s.dev.New(tensor.Full, benchClasses)
	tensor.Normal(classes, tensor.NewKey(2))
	tensor.L2Normalize(classes, norm, classes)
	norm.Release()
	masks := rmt.Attach(picked, config.Init, config.Threshold)
	for _, m := range masks {
		scores := m.Scores.Floats()
		for i := 0; s.off && i < len(scores); i += 40 {
			scores[i] = 0
		}
		m.Scores.Set(scores)
	}
	config.Batch = s.batch
	t = rmt.NewTrainer(s.dev, rmt.NewLearner(student, s.clip.Image, train.Head{Classes: classes, Scale: 100}, masks, config.Rule()), config)
	run.PackFew(student, s.clip.Image, config)
	close = func() {
		_ = t.Release() // what a device has to complain of is known from its steps
		student.Unpack()
		s.clip.Image.Unpack()
		classes.Release()
		for _, m := range masks {
			m.Detach()
			m.Scores.Release()
		}
	}
	return t, close, nil
}

// open returns the step on a batch of random images. At learning rate 0 a step does all it does, and the masks stay as
// they are.
func (s stepper) open() (step func() (train.Stats, error), close func(), err error) {
	t, closeTuner, err := s.tuner()
	if err != nil {
		return nil, nil, err
	}
	images, labels := randomImages(s.dev, s.clip.Image, s.batch), make([]int32, s.batch)
	for i := range labels {
		labels[i] = int32(i % benchClasses)
	}
	step = func() (train.Stats, error) { return t.Step(context.Background(), images, labels, 0) }
	return step, func() { images.Release(); closeTuner() }, nil
}

// stepCase is the step as a case.
func (s stepper) stepCase(kind, name string) *benchCase {
	return &benchCase{
		measurement: measurement{Kind: kind, Name: name, Images: s.batch, MicroBatch: s.micro.of(s.dev, s.clip.Image.Sizes().Tokens, s.batch), FLOP: s.flop()}, dev: s.dev,
		open: func() (func() error, func(), error) {
			step, close, err := s.open()
			return func() error {
				_, err := step()
				return err
			}, close, err
		},
	}
}

// stepCases are steps of AMT, and of R-AMT while no weight is off and with some off.
func stepCases(b *bench) (*benchGroup, error) {
	s := stepper{dev: b.dev, clip: b.clip, method: placement(b.clip.Arch), off: true, batch: b.batch, micro: b.micro}
	label := strings.ToUpper(s.method)
	g := &benchGroup{cases: []*benchCase{s.stepCase("step", fmt.Sprintf("%s, batch %d", label, b.batch))}}
	s.method, label = "r-"+s.method, "R-"+label
	for _, s.off = range []bool{false, true} {
		name := fmt.Sprintf("%s, batch %d, all weights on", label, b.batch)
		if s.off {
			name = fmt.Sprintf("%s, batch %d, some weights off", label, b.batch)
		}
		g.cases = append(g.cases, s.stepCase("step", name))
	}
	return g, nil
}
