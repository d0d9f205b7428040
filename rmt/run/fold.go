package run

import (
	"context"
	"fmt"

	"fewshot/rmt"
	"fewshot/rmt/method"
	"fewshot/tensor"
)

// foldable are the methods whose tuned files change nothing but the encoders' weights.
var foldable = map[string]bool{"clip-lora": true}

// Fold puts what was learned inside the encoders' weights on a job's model, so that [nn.Param.Folded] gives them with it. What lies
// before or behind the encoders is no weight of theirs, and an error.
func (l *Loaded) Fold(ctx context.Context, j *method.Job, force bool) ([]*rmt.Mask, error) {
	if t := l.Tuned; t != nil && !foldable[t.Spec.Method] {
		return nil, fmt.Errorf("%s: what %s learns lies outside the encoders' weights and cannot be folded into them; "+
			"masks (-mask) and clip-lora (-tuned) can", t.Path, t.Spec.Method)
	}
	spec, err := j.Model.Spec()
	if err != nil {
		return nil, err
	}
	for _, t := range []*Tuned{l.Mask, l.Tuned} {
		if t == nil {
			continue
		}
		forced, err := t.Check(spec, force)
		if err != nil {
			return nil, err
		}
		l.Forced = append(l.Forced, forced...)
	}
	var masks []*rmt.Mask
	if l.Mask != nil {
		if masks, err = l.Mask.Masks.Attach(j.Model.Image.Params(), j.Model.Digest); err != nil {
			return nil, err
		}
		j.Masked = true
	}
	t := l.Tuned
	if t == nil {
		return masks, nil
	}
	m, err := Lookup(t.Spec.Method)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", t.Path, err)
	}
	if j.Settings, err = m.Settings(t.Spec.Settings); err != nil {
		return nil, fmt.Errorf("%s: settings of %s: %w", t.Path, m.Name, err)
	}
	j.Classes = t.Classes
	_, err = m.Load(ctx, j, func(name string) (*tensor.Tensor, error) { return t.Tensor(j.Dev, name) })
	return masks, err
}
