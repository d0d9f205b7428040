package run

import (
	"context"
	"fmt"
	"math"

	"fewshot/rmt"
	"fewshot/rmt/method"
	"fewshot/tensor"
)

// foldable are the methods whose tuned files change nothing but the encoders' weights.
var foldable = map[string]bool{"clip-lora": true, "finetune": true}

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
