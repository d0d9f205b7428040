package text

import (
	"context"
	"fmt"
	"strings"

	"fewshot/autograd"
	"fewshot/nn/quote"
	"fewshot/tensor"
)

// Classifier builds a zero-shot classifier: one feature a class, [classes, Embed], of length 1. Each template has the
// class name put in for {}. With several, the mean of the prompts' features is normalised, by CLIP's order that of
// features that are normalised themselves. The caller holds the result. When ctx ends, its error is returned soon.
//
// Features are added to their class's as they come, so that memory does not depend on the number of templates.
func Classifier(ctx context.Context, e *Encoder, tok Tokenizer, dev *tensor.Device, classes, templates []string, order Order) (*tensor.Tensor, error) {
	for _, template := range templates {
		if !strings.Contains(template, "{}") {
			return nil, fmt.Errorf("template %q has no {} for the class name", template)
		}
	}
	// each calls f for all prompts, by template, as those of one share most.
	each := func(f func(class int, prompt []int32)) error {
		for _, template := range templates {
			for i, class := range classes {
				if err := ctx.Err(); err != nil {
					return err
				}
				ids, err := tok.Tokenize(strings.ReplaceAll(template, "{}", class), e.Context, false)
				if err != nil {
					return fmt.Errorf("class %q: %w", class, err)
				}
				f(i, ids)
			}
		}
		return nil
	}
	// Faults are found before there is work: to tokenize twice costs a thousandth of it.
	if err := each(func(int, []int32) {}); err != nil {
		return nil, err
	}
	sums := newEnsemble(e, dev, len(classes), order)
	if err := each(sums.add); err != nil {
		sums.sums.Release()
		return nil, err
	}
	return sums.classifier(len(templates)), nil
}

// Order says what an ensemble of prompts does first with the features of a class.
type Order uint8

const (
	NormalizeFirst Order = iota // normalise each, then take the mean, as CLIP does
	MeanFirst                   // take the mean of the features as they are, as the released R-AMT does
)

// String is the order's name.
func (o Order) String() string { return [...]string{"normalize-first", "mean-first"}[o] }

// ParseOrder is String the other way round.
func ParseOrder(s string) (Order, error) {
	for _, o := range []Order{NormalizeFirst, MeanFirst} {
		if s == o.String() {
			return o, nil
		}
	}
	return 0, fmt.Errorf("%s is no order of an ensemble of prompts: there are %v and %v", quote.String(s), NormalizeFirst, MeanFirst)
}

// Ensemble is a classifier [classes, Embed], rows of length 1, of tokenised prompts, each of the given number a
// class: prompts of one class follow each other. The mean of their features is normalised, whatever the order. The
// caller holds the result.
func Ensemble(e *Encoder, dev *tensor.Device, prompts [][]int32, each int, order Order) *tensor.Tensor {
	sums := newEnsemble(e, dev, len(prompts)/each, order)
	for i, p := range prompts {
		sums.add(i/each, p)
	}
	return sums.classifier(each)
}

// ensemble adds up features by class.
type ensemble struct {
	e     *Encoder
	dev   *tensor.Device
	order Order
	sums  *tensor.Tensor // [classes, Embed]

	// Prompts that are encoded together, their classes, and about how many rows they make.
	prompts [][]int32
	of      []int32
	rows    int
}

// ensembleRows is about how many tokens are computed together: enough for fast products, and few enough for half a
// second of work, in CLIP's text encoders on a small processor, after which who asks may find that it is no longer
// wanted. Results do not depend on it.
const ensembleRows = 512

func newEnsemble(e *Encoder, dev *tensor.Device, classes int, order Order) *ensemble {
	return &ensemble{e: e, dev: dev, order: order, sums: dev.Zeros(tensor.Full, classes, e.Embed)}
}

// add adds the feature of a prompt to its class's, in time.
func (s *ensemble) add(class int, prompt []int32) {
	shared := 0
	if n := len(s.prompts); n > 0 {
		for last := s.prompts[n-1]; shared < min(len(last), len(prompt)-1) && last[shared] == prompt[shared]; {
			shared++
		}
	}
	s.prompts, s.of, s.rows = append(s.prompts, prompt), append(s.of, int32(class)), s.rows+len(prompt)-shared
	if s.rows >= ensembleRows {
		s.flush()
	}
}

// flush encodes the prompts that wait.
func (s *ensemble) flush() {
	t := autograd.NoGrad(s.dev)
	f := s.e.Encode(t, s.prompts)
	if s.order == NormalizeFirst {
		f = autograd.L2Normalize(f)
	}
	tensor.ScatterAdd(s.sums.View(append([]int{1}, s.sums.Shape()...)...), f.Value.View(append([]int{1}, f.Shape()...)...), s.of)
	t.Release()
	s.prompts, s.of, s.rows = s.prompts[:0], s.of[:0], 0
	s.dev.Trim() // no two batches are of one size, and so each would leave blocks of its own
}

// classifier normalises the sums of so many prompts a class. A mean's length does not matter, it is normalised away.
func (s *ensemble) classifier(each int) *tensor.Tensor {
	if len(s.prompts) > 0 {
		s.flush()
	}
	if each > 1 || s.order == MeanFirst {
		norm := s.dev.New(tensor.Full, s.sums.Shape()[0])
		tensor.L2Normalize(s.sums, norm, s.sums)
		norm.Release()
	}
	return s.sums
}
