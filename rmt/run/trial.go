package run

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"fewshot/rmt"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
	"fewshot/vit"
)

// Trial is one of several things that are tested on the same images: a model with what was trained on it.
type Trial struct {
	*Loaded
	Templates []string
	Sparsity  *rmt.Sparsity // nil without a mask; known when it was applied
}

// Given is a file that was named, as a mask or as something else that was tuned.
type Given struct {
	Path string
	Mask bool
}

// OpenEach opens files that are to be tested one by one. Each tuned file is one, with the mask it was trained under, which is among the files; and
// each mask that none of them needs. So a mask and a tuned file are the pair that OpenLoaded makes of them. They come in the order of the files.
func OpenEach(files []Given) (all []*Loaded, err error) {
	if len(files) == 2 && files[0].Mask != files[1].Mask || len(files) < 2 { // a pair has more to be wrong about
		var mask, tuned string
		for _, f := range files {
			if f.Mask {
				mask = f.Path
			} else {
				tuned = f.Path
			}
		}
		l, err := OpenLoaded(mask, tuned)
		if err != nil {
			return nil, err
		}
		return []*Loaded{l}, nil
	}
	opened := make([]*Tuned, len(files))
	defer func() {
		if err != nil {
			for _, t := range opened {
				if t != nil {
					err = errors.Join(err, t.Close())
				}
			}
		}
	}()
	for i, f := range files {
		if opened[i], err = OpenTuned(f.Path); err != nil {
			return nil, err
		}
		if f.Mask && opened[i].Masks == nil {
			return nil, fmt.Errorf("%s is no mask but the tuned file of %s; name it with -tuned", opened[i].Path, opened[i].Spec.Method)
		}
	}
	needed := map[*Tuned]bool{}
	for _, t := range opened {
		l := &Loaded{}
		switch below := t.Spec.Below; {
		case t.Masks != nil:
			l.Mask = t
		case below == "":
			l.Tuned = t
		default:
			i := slices.IndexFunc(opened, func(m *Tuned) bool { return m.Masks != nil && m.Sum == below })
			if i < 0 {
				return nil, fmt.Errorf("%s was trained under a mask, a file with SHA-256 %s, which is none of those given; name it with -mask", t.Path, below)
			}
			l.Mask, l.Tuned = opened[i], t
			needed[opened[i]] = true
		}
		all = append(all, l)
	}
	return slices.DeleteFunc(all, func(l *Loaded) bool { return l.Tuned == nil && needed[l.Mask] }), nil
}

// Apply puts what each trial has on a model of its own, over the request's tensors, and makes a classifier of it. Class features are computed once for
// trials with the same templates, unless they change the text encoder. Where the model is the request's own and one trial has nothing
// that might ask for texts again, the text encoder is given back. The caller calls release, after an error too.
func (r *Request) Apply(ctx context.Context, trials []*Trial, force bool) (all []train.Classifier, release func(), err error) {
	heads := &method.Heads{Model: r.Model}
	ends := []func(){heads.Close}
	var encoders []vit.Image
	release = func() {
		for _, end := range slices.Backward(ends) {
			end()
		}
	}
	for _, t := range trials {
		own := *r
		own.Templates = t.Templates
		if len(trials) > 1 {
			own.Model = r.Model.Share()
		}
		job, end := own.Job(false)
		ends = append(ends, end)
		job.Shared = heads
		applied, err := t.apply(ctx, job, force)
		if applied.learned != nil {
			ends = append(ends, applied.learned.Close)
		}
		if err != nil {
			return nil, release, err
		}
		t.Sparsity = applied.Sparsity
		settled, err := quantize(job)
		ends = append(ends, func() { releaseAll(settled) })
		if err != nil {
			return nil, release, err
		}
		c := applied.Classifier
		if _, head, same, ok := applied.Encoder(r.Model.Image.Params()); ok && same {
			c = method.Behind{Encoder: r.Model.Image, Head: head} // an encoder that they have in common
		}
		all = append(all, c)
		encoders = append(encoders, job.Model.Image)
	}
	for _, e := range encoders { // not before: they share weights
		e.Discard()
	}
	if r.Own && len(trials) == 1 && trials[0].Tuned == nil && r.Model.Text != nil { // class features are all that it was for
		r.Model.ReleaseText()
		r.Dev.Trim()
	}
	return all, release, nil
}

// quantize makes integers of the image encoder's weights on a device that computes with such: of what masks leave of them, too, which is the caller's to
// release. Class features are computed before, in float32.
func quantize(j *method.Job) (settled []*tensor.Tensor, err error) {
	if j.Dev.Precision() != "int8" {
		return nil, nil
	}
	for _, p := range j.Model.Image.Params() {
		if w := p.Settle(); w != nil {
			settled = append(settled, w)
		}
	}
	return settled, j.Model.Image.Quantize()
}

func releaseAll(ts []*tensor.Tensor) {
	for _, t := range ts {
		t.Release()
	}
}
