package run

import (
	"context"

	"fewshot/nn"
	"fewshot/rmt"
	"fewshot/rmt/method"
	"fewshot/rmt/train"
	"fewshot/tensor"
)

// Resident is a classifier that a process keeps, among others on one backbone, and gives up again.
type Resident struct {
	Classifier train.Classifier
	Sparsity   *rmt.Sparsity // nil without a mask

	job     *method.Job
	masks   []*rmt.Mask
	learned method.Learned
	settled []*tensor.Tensor
}

// Settle is what [Request.Apply] does, for a process that keeps the classifier: weights under masks are computed once, into memory of their own, and the masks'
// scores given back. The job's model should be one that nobody else sees, as [clip.Model.Share] makes them: all that is not masked
// or trained is then in memory once, however many classifiers there are. After an error nothing is held.
func (l *Loaded) Settle(ctx context.Context, j *method.Job, force bool) (*Resident, error) {
	r, err := l.apply(ctx, j, force)
	if err != nil {
		r.Release()
		return nil, err
	}
	for _, p := range maskable(j.Model) {
		if w := p.Settle(); w != nil {
			r.settled = append(r.settled, w)
		}
	}
	r.scores()
	if j.Dev.Precision() == "int8" {
		if err := j.Model.Image.Quantize(); err != nil {
			r.Release()
			return nil, err
		}
	}
	return &r, nil
}

// scores gives back those of the masks.
func (r *Resident) scores() {
	for _, m := range r.masks {
		m.Scores.Release()
	}
	r.masks = nil
}

// Pack prepares the image encoder's weights for batches of a few images (see [tensor.Pack]), those that others have packed already excepted.
func (r *Resident) Pack() { r.job.Model.Image.Pack(false) }

// Bytes is about how much memory the classifier has for itself: weights under masks, with what [Resident.Pack] and quantisation made of them,
// and what its method learned.
func (r *Resident) Bytes() int64 {
	var n int64
	each := func(t *tensor.Tensor) { n += int64(t.Len()) * int64(t.Buf().Size) }
	for _, t := range r.settled {
		each(t)
		n += t.PackedBytes()
	}
	if r.learned != nil {
		for _, named := range r.learned.Tensors() {
			each(named.Tensor)
		}
	}
	return n
}

// Encoder is the classifier's image encoder and head, where it is nothing but these two: a head that needs features alone can be given
// those of several tasks together. same says that the encoder computes what that of the backbone does.
func (r *Resident) Encoder(backbone []*nn.Param) (e train.Encoder, head train.FeatureHead, same, ok bool) {
	c, ok := r.Classifier.(train.Parted)
	if !ok {
		return nil, nil, false, false
	}
	e, head = c.Parts()
	if e != train.Encoder(r.job.Model.Image) {
		return nil, nil, false, false
	}
	same = true
	for i, p := range r.job.Model.Image.Params() {
		same = same && !p.Changed(backbone[i].Value)
	}
	return e, head, same, true
}

// Release gives back what the classifier took. It is dead then, and so is the job's model.
func (r *Resident) Release() {
	r.scores()
	for _, t := range r.settled {
		t.Release()
	}
	if r.learned != nil {
		r.learned.Close()
	}
	if r.job != nil {
		r.job.Close()
	}
	r.settled, r.learned, r.job = nil, nil, nil
}
