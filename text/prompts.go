package text

import (
	"context"
	"errors"
	"fmt"

	"fewshot/tensor"
)

// PromptClassifier builds a zero-shot classifier as [Classifier] does, of prompts that each class has for itself, such
// as those that a language model wrote (CuPL): one feature a class, [classes, Embed], the normalised mean of the
// features of its prompts. Classes may have different numbers of them. Prompts longer than the encoder's context are
// cut, as CuPL's code does. The caller holds the result. When ctx ends, its error is returned soon.
func PromptClassifier(ctx context.Context, e *Encoder, tok Tokenizer, dev *tensor.Device, prompts [][]string, order Order) (*tensor.Tensor, error) {
	most := 0
	for i, list := range prompts {
		if most = max(most, len(list)); len(list) == 0 {
			return nil, fmt.Errorf("class %d has no prompts", i)
		}
	}
	if most == 0 {
		return nil, errors.New("there are no classes")
	}
	sums := newEnsemble(e, dev, len(prompts), order)
	for i, list := range prompts {
		for _, p := range list {
			err := ctx.Err()
			var ids []int32
			if err == nil {
				ids, err = tok.Tokenize(p, e.Context, true)
			}
			if err != nil {
				sums.sums.Release()
				return nil, err
			}
			sums.add(i, ids)
		}
	}
	return sums.classifier(most), nil
}
