package run

import (
	"context"
	"fmt"
	"math"

	"fewshot/nn"
	"fewshot/rmt"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// foldable are the methods whose tuned files change nothing but the encoders' weights.
var foldable = map[string]bool{"clip-lora": true, "finetune": true}

// Classifies says that what was learned is a classifier of its own, and not, or not alone, in the encoders' weights.
func (l *Loaded) Classifies() bool { return l.Tuned != nil && !foldable[l.Tuned.Spec.Method] }

// Formula is the classifier of the job's classes, with or without something learned, as a head behind the image encoder
// of the job's model, whose weights with what was learned in them [nn.Param.Folded] gives.
func (l *Loaded) Formula(ctx context.Context, j *method.Job, force bool) (f nn.Formula, masks []*rmt.Mask, err error) {
	r, err := l.apply(ctx, j, force)
	if err != nil {
		return f, nil, err
	}
	if p, ok := r.Classifier.(train.Parted); ok {
		e, head := p.Parts()
		if s, ok := head.(train.Stated); ok && e == train.Encoder(j.Model.Image) {
			return s.Formula(), r.masks, nil
		}
	}
	return f, nil, fmt.Errorf("%s: what %s learns is no head behind the image encoder: it takes part inside, or looks at more of an image than its feature, "+
		"and has no graph; predict and serve run it", l.Tuned.Path, l.Tuned.Spec.Method)
}

// Fold puts what was learned inside the encoders' weights on a job's model, so that [nn.Param.Folded] gives them with it, and in its logit
// scale what cosines were multiplied by. What lies before or behind the encoders is no weight of theirs, and an error.
func (l *Loaded) Fold(ctx context.Context, j *method.Job, force bool) ([]*rmt.Mask, error) {
	if t := l.Tuned; t != nil && !foldable[t.Spec.Method] {
		return nil, fmt.Errorf("%s: what %s learns is not, or not alone, in the encoders' weights, and cannot be folded into them; "+
			"masks (-mask), clip-lora and finetune (-tuned) can", t.Path, t.Spec.Method)
	}
	masks, err := l.PutMask(j.Model, force)
	j.Masked = l.Mask != nil
	if err == nil && l.Tuned != nil {
		var learned method.Learned
		learned, err = l.Tuned.learned(ctx, j)
		if s, ok := learned.(method.Scaled); ok && err == nil {
			tensor.Fill(j.Model.LogitScale.Value, math.Log(s.Scale()))
		}
	}
	return masks, err
}
