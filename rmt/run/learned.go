package run

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"fewshot/datasets"
	"fewshot/nn/quote"
	"fewshot/rmt"
	"fewshot/rmt/clip"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Loaded is what evaluation and prediction run: a model, under a mask or not, with what was trained on it or not.
type Loaded struct {
	Mask, Tuned *Tuned   // nil where there is none
	Forced      []string // contradictions that the user has asked to pass over
}

// OpenLoaded opens the files that are named; "" is none. What was trained under a mask is refused without that mask, and what was not
// with one.
func OpenLoaded(mask, tuned string) (*Loaded, error) {
	l := &Loaded{}
	for _, f := range []struct {
		path string
		into **Tuned
	}{{mask, &l.Mask}, {tuned, &l.Tuned}} {
		if f.path == "" {
			continue
		}
		var err error
		if *f.into, err = OpenTuned(f.path); err != nil {
			return nil, errors.Join(err, l.Close())
		}
	}
	if err := l.fit(); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// fit makes sure that the two files belong together.
func (l *Loaded) fit() error {
	if l.Mask == nil && l.Tuned != nil && l.Tuned.Masks != nil {
		l.Mask, l.Tuned = l.Tuned, nil
	}
	switch mask, tuned := l.Mask, l.Tuned; {
	case mask != nil && mask.Masks == nil:
		return fmt.Errorf("%s is no mask but the tuned file of %s; name it with -tuned", mask.Path, mask.Spec.Method)
	case tuned == nil:
		return nil
	case tuned.Masks != nil:
		return fmt.Errorf("%s is a mask; name it with -mask, and with -tuned what was trained under it", tuned.Path)
	case tuned.Spec.Below == "" && mask != nil:
		return fmt.Errorf("%s was trained without a mask; leave -mask out", tuned.Path)
	case tuned.Spec.Below != "" && mask == nil:
		return fmt.Errorf("%s was trained under a mask, a file with SHA-256 %s; name it with -mask", tuned.Path, tuned.Spec.Below)
	case mask != nil && tuned.Spec.Below != mask.Sum:
		return fmt.Errorf("%s was trained under another mask: its SHA-256 is %s, that of %s is %s", tuned.Path, tuned.Spec.Below, mask.Path, mask.Sum)
	}
	return nil
}

// Close closes the files.
func (l *Loaded) Close() error {
	var err error
	for _, t := range []*Tuned{l.Mask, l.Tuned} {
		if t != nil {
			err = errors.Join(err, t.Close())
		}
	}
	return err
}

// top is the file that was written last, with a spec; nil without one.
func (l *Loaded) top() *Tuned {
	for _, t := range []*Tuned{l.Tuned, l.Mask} {
		if t != nil && t.Spec.Method != "" {
			return t
		}
	}
	return nil
}

// Model is how the model was used that the files were trained on, for what its own files do not say; nil if nobody knows.
func (l *Loaded) Model() *clip.Spec {
	if t := l.top(); t != nil {
		return &t.Spec.Model
	}
	return nil
}

// Trained is the spec of the run that wrote the last of the files, and the names of its classes; nil where nobody knows.
func (l *Loaded) Trained() (spec *Spec, classes []string) {
	if t := l.top(); t != nil {
		return &t.Spec, t.Classes
	}
	return nil, nil
}

// Instead is what stands in the place of templates in the classifier for classes, as a learned context does; "" where templates have their part.
func (l *Loaded) Instead(classes []string) (string, error) {
	if l.Tuned == nil {
		return "", nil
	}
	m, s, err := l.Tuned.method()
	if err != nil || m.Instead == nil {
		return "", err
	}
	return m.Instead(s, l.Tuned.Classes, classes), nil
}

// Templates are the prompts to use on a data set: those given, else those of the training on the same data set, else its own. Others
// than those of the training are refused on its data set, unless forced, and any others are where they would have no effect.
func (l *Loaded) Templates(ds *datasets.Dataset, given []string, force bool) ([]string, error) {
	t := l.top()
	trained := t != nil && t.Spec.Data.Title == ds.Title
	if given != nil && !(trained && slices.Equal(given, t.Spec.Data.Templates)) {
		if instead, err := l.Instead(ds.Classes); err != nil {
			return nil, err
		} else if instead != "" {
			return nil, fmt.Errorf("-template has no effect here: in its place %s of %s has its %s; leave it out", l.Tuned.Spec.Method, l.Tuned.Path, instead)
		}
	}
	if !trained {
		if given != nil {
			return given, nil
		}
		return []string{ds.Template}, nil
	}
	was := t.Spec.Data.Templates
	if given == nil || slices.Equal(given, was) {
		return was, nil
	}
	if !force {
		return nil, fmt.Errorf("%s was trained with the prompt %s; leave -template out, or -force another", t.Path, quoteAll(was))
	}
	l.Forced = append(l.Forced, fmt.Sprintf("data.templates was %s and is %s", quoteAll(was), quoteAll(given)))
	return given, nil
}

// Prompts makes sure that a data set has the prompts by class of the training on it, or, forced, takes others.
func (l *Loaded) Prompts(ds *datasets.Dataset, force bool) error {
	if instead, err := l.Instead(ds.Classes); err != nil || instead != "" {
		t := l.top()
		if is := ds.PromptsHash(); err == nil && is != "templates" && (t.Spec.Data.Title != ds.Title || t.Spec.Data.Prompts != is) {
			err = fmt.Errorf("-class-prompts has no effect here: in their place %s of %s has its %s; leave it out", l.Tuned.Spec.Method, l.Tuned.Path, instead)
		}
		return err
	}
	t := l.top()
	if t == nil || t.Spec.Data.Title != ds.Title || unknown(t.Spec.Data.Prompts) {
		return nil
	}
	was, is := t.Spec.Data.Prompts, ds.PromptsHash()
	switch {
	case was == is:
	case force:
		l.Forced = append(l.Forced, fmt.Sprintf("data.prompts_sha256 was %s and is %s", was, is))
	case was == "templates":
		return fmt.Errorf("%s was trained with templates; leave -class-prompts out, or -force them", t.Path)
	case is == "templates":
		return fmt.Errorf("%s was trained with prompts by class; give their file, whose prompts have SHA-256 %s, by -class-prompts, or -force templates", t.Path, was)
	default:
		return fmt.Errorf("%s was trained with other prompts by class, of SHA-256 %s; give their file by -class-prompts, or -force others", t.Path, was)
	}
	return nil
}

func quoteAll(all []string) string {
	var q []string
	for _, s := range all {
		q = append(q, quote.String(s))
	}
	return strings.Join(q, ", ")
}

// PutMask makes sure that the files are of the model, used as then or by force, and puts the mask on its encoders.
func (l *Loaded) PutMask(m *clip.Model, force bool) ([]*rmt.Mask, error) {
	spec, err := m.Spec()
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
	if l.Mask == nil {
		return nil, nil
	}
	return l.Mask.Masks.Attach(maskable(m), m.Digest)
}

// apply puts the mask on the model and makes the classifier for a job's classes.
func (l *Loaded) apply(ctx context.Context, j *method.Job, force bool) (r Resident, err error) {
	r.job = j
	if r.masks, err = l.PutMask(j.Model, force); err != nil {
		return r, err
	}
	j.Masked = l.Mask != nil
	if r.masks != nil {
		s := rmt.SparsityOf(r.masks)
		r.Sparsity = &s
	}
	if l.Tuned == nil {
		head, err := j.Head(ctx)
		r.Classifier = train.Model{Encoder: j.Model.Image, Head: head}
		return r, err
	}
	classes := j.Classes
	if r.learned, err = l.Tuned.learned(ctx, j); err != nil {
		return r, err
	}
	j.Classes = classes
	r.Classifier, err = r.learned.Classifier(ctx, classes)
	if errors.Is(err, method.ErrClasses) {
		err = fmt.Errorf("%s: %s: %w", l.Tuned.Path, l.Tuned.Spec.Method, err)
	}
	return r, err
}

// learned is what the training left, with the job's classes and settings those of the training.
func (t *Tuned) learned(ctx context.Context, j *method.Job) (method.Learned, error) {
	m, s, err := t.method()
	if err != nil {
		return nil, err
	}
	j.Settings, j.Classes = s, t.Classes
	return m.Load(ctx, j, func(name string) (*tensor.Tensor, error) { return t.Tensor(j.Dev, name) })
}

// method is what the file was trained by, with the settings of then.
func (t *Tuned) method() (*method.Method, method.Settings, error) {
	m, err := Lookup(t.Spec.Method)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", t.Path, err)
	}
	s, err := m.Settings(t.Spec.Settings)
	if err != nil {
		return nil, nil, fmt.Errorf("%s: settings of %s: %w", t.Path, m.Name, err)
	}
	return m, s, nil
}
