package probe

import (
	"fmt"
	"strings"

	"fewshot/autograd"
	"fewshot/nn"
	"fewshot/optim"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/text"
	"fewshot/vit"
)

// TwoStageConfig are the settings of 2SFS.
type TwoStageConfig struct {
	Iterations int     `json:"iterations"`
	First      float64 `json:"first_stage"` // share of them that the first stage has
	// LN says which layer norms the first stage trains: "released" those of the blocks, as the program really does, or "all", as its paper says.
	LN      string  `json:"ln"`
	LR      float64 `json:"lr"` // of either stage, along a cosine of its own
	LeastLR float64 `json:"least_lr"`
	Decay   float64 `json:"weight_decay"`
	Batch   int     `json:"batch"`
}

// DefaultTwoStage has the published settings.
func DefaultTwoStage(shots int) TwoStageConfig {
	return TwoStageConfig{Iterations: 300 * max(shots, 1), First: 0.6, LN: "released", LR: 2e-4, LeastLR: 1e-6, Decay: 0.01, Batch: 32}
}

// Validate reports the first setting that makes no sense.
func (c TwoStageConfig) Validate() error {
	switch first := c.Stage1(); {
	case c.Iterations < 2:
		return fmt.Errorf("iterations %d: two stages need at least 2", c.Iterations)
	case !(c.First > 0 && c.First < 1):
		return fmt.Errorf("the first stage's share %g must lie in (0, 1)", c.First)
	case first < 1 || first >= c.Iterations:
		return fmt.Errorf("a share of %g of %d iterations leaves a stage without any", c.First, c.Iterations)
	case c.LN != "released" && c.LN != "all":
		return fmt.Errorf("layer norms %q: there are released and all", c.LN)
	case !(c.LeastLR >= 0 && c.LeastLR <= c.LR):
		return fmt.Errorf("the learning rate goes from %g to %g, which must be no more and not negative", c.LR, c.LeastLR)
	case !(c.LR > 0):
		return fmt.Errorf("learning rate %g must be positive", c.LR)
	case !(c.Decay >= 0):
		return fmt.Errorf("weight decay %g must not be negative", c.Decay)
	case c.Batch < 1:
		return fmt.Errorf("batch %d: at least 1", c.Batch)
	}
	return nil
}

// Stage1 is how many iterations the first stage has.
func (c TwoStageConfig) Stage1() int { return int(c.First * float64(c.Iterations)) }

// Schedule is the learning rate by step: a cosine for each stage.
func (c TwoStageConfig) Schedule() optim.Schedule {
	n := c.Stage1()
	one, two := optim.CosineTo(c.LR, c.LeastLR, n), optim.CosineTo(c.LR, c.LeastLR, c.Iterations-n)
	return func(i int) float64 {
		if i < n {
			return one(i)
		}
		return two(i - n)
	}
}

// TwoStage is 2SFS (Farina et al., "Rethinking few-shot adaptation of vision-language models in two stages", CVPR 2025): first the layer
// norms of both encoders are trained, with the classes' prompts encoded at each step; then the classifier, which begins as the tuned
// text features, on the tuned features of images.
//
// The released program prints that it trains ln_pre, ln_post and ln_final, but switches their gradients off again.
type TwoStage struct {
	train.Base
	Config TwoStageConfig
	Scale  float64 // of the cosines, exp(logit_scale)

	image      vit.Image
	text       *text.Encoder
	prompts    [][]int32
	norms      []own
	ofText     []*nn.Param // norms of the text encoder
	classifier *nn.Param
	groups     []train.Group
	second     bool          // stage
	classes    *autograd.Var // on the tape that is being recorded
}

// NewTwoStage takes the encoders' norms; Detach gives them back. prompts are the classes', tokenised.
func NewTwoStage(image vit.Image, txt *text.Encoder, prompts [][]int32, scale float64, c TwoStageConfig) (*TwoStage, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	l := &TwoStage{Config: c, Scale: scale, image: image, text: txt, prompts: prompts}
	norms := train.Group{Optimizer: optim.NewAdamW(c.Decay)}
	for i, params := range [][]*nn.Param{image.Params(), txt.Params()} {
		for _, p := range params {
			if !normOf(p.Name, c.LN == "all") {
				continue
			}
			o, err := take(p)
			if err != nil {
				l.Detach()
				return nil, err
			}
			l.norms = append(l.norms, o)
			norms.Params = append(norms.Params, o.trained)
			if i == 1 {
				l.ofText = append(l.ofText, o.trained)
			}
		}
	}
	if len(l.norms) == len(l.ofText) {
		l.Detach()
		return nil, fmt.Errorf("2sfs trains the layer norms of a transformer, and this image encoder has none")
	}
	l.classifier = &nn.Param{Name: "classifier", Value: norms.Params[0].Value.Device().Zeros(tensor.Full, len(prompts), txt.Embed)}
	tensor.Fill(l.classifier.Value, 0)
	l.groups = []train.Group{norms, {Params: []*nn.Param{l.classifier}, Optimizer: optim.NewAdamW(c.Decay)}}
	return l, nil
}

// normOf reports whether a parameter is a layer norm's, and all are wanted or it is a block's.
func normOf(name string, all bool) bool {
	for _, ln := range []string{".ln_1.", ".ln_2."} {
		if strings.Contains(name, ln) {
			return true
		}
	}
	for _, ln := range []string{"visual.ln_pre.", "visual.ln_post.", "ln_final."} {
		if strings.HasPrefix(name, ln) {
			return all
		}
	}
	return false
}

// Groups are the norms and the classifier.
func (l *TwoStage) Groups() []train.Group { return l.groups }

// Plan lets one of the groups rest. Between the stages the classifier becomes what the tuned text encoder says.
func (l *TwoStage) Plan() train.Plan {
	if !l.second && l.groups[0].Optimizer.Steps() >= l.Config.Stage1() {
		t := autograd.NoGrad(l.classifier.Value.Device())
		tensor.Copy(l.classifier.Value, autograd.L2Normalize(l.text.Encode(t, l.prompts)).Value)
		t.Release()
		l.second = true
	}
	rests := uint64(1 << 1)
	if l.second {
		rests = 1 << 0
	}
	return train.Plan{Classes: len(l.prompts), Lanes: 1, Rests: rests}
}

// Shared encodes the prompts, in the first stage, or normalises the classifier.
func (l *TwoStage) Shared(t *autograd.Tape) {
	if l.second {
		l.classes = autograd.L2Normalize(l.classifier.On(t))
		return
	}
	l.classes = autograd.L2Normalize(l.text.EncodeParts(t, l.prompts, l.ofText, func(t *autograd.Tape, texts [][]int32, _ int) *autograd.Var {
		return l.text.Encode(t, texts)
	}))
}

// Losses are the cross-entropy.
func (l *TwoStage) Losses(t *autograd.Tape, p train.Part) ([]*autograd.Var, *autograd.Var) {
	features := autograd.L2Normalize(l.image.Encode(t.Const(p.Images)))
	logits := autograd.Scale(autograd.Linear(features, l.classes, nil), l.Scale)
	return []*autograd.Var{autograd.CrossEntropy(logits, p.Labels)}, logits
}

// Restored finds the stage by the steps that were made. The optimizers were told all of them.
func (l *TwoStage) Restored() {
	n, first := l.groups[0].Optimizer.Steps(), l.Config.Stage1()
	l.second = n > first
	l.groups[0].Optimizer.SetSteps(min(n, first))
	l.groups[1].Optimizer.SetSteps(max(0, n-first))
}

// Model is the classifier as it stands, for the classes of prompts: learned[i] is which of the trained classes number i is, or −1 for one
// that was not among them, which gets the tuned text encoder's feature. The caller releases the head's classes.
func (l *TwoStage) Model(prompts [][]int32, learned []int) train.Model {
	dev := l.classifier.Value.Device()
	t := autograd.NoGrad(dev)
	defer t.Release()
	classes := dev.New(tensor.Full, len(prompts), l.classifier.Value.Dim(1))
	tensor.Copy(classes, autograd.L2Normalize(l.text.Encode(t, prompts)).Value)
	if l.second {
		own := autograd.L2Normalize(t.Const(l.classifier.Value)).Value
		for i, k := range learned {
			if k >= 0 {
				tensor.Copy(classes.Index(i), own.Index(k))
			}
		}
	}
	return train.Model{Encoder: l.image, Head: train.Head{Classes: classes, Scale: l.Scale}}
}

// Detach gives the encoders their own norms back. What was learned is gone then.
func (l *TwoStage) Detach() {
	for _, o := range l.norms {
		o.give()
	}
	if l.classifier != nil {
		l.classifier.Value.Release()
	}
	l.norms, l.classifier = nil, nil
}
