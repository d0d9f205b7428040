package probe

import (
	"fmt"
	"math"

	"fewshot/autograd"
	"fewshot/tensor"
)

// Features are images as a frozen encoder sees them.
type Features struct {
	X      *tensor.Tensor // [N, D], not normalised
	Labels []int32        // of each row, from 0
}

// Check reports what makes features useless for learning so many classes: rows that are no numbers or of length 0, a label
// that is none of the classes', and, if every is set, a class without images. what names the features in the message.
func (f Features) Check(what string, classes int, every bool) error {
	if f.X == nil || len(f.Labels) == 0 {
		return fmt.Errorf("no %s images", what)
	}
	if rows := f.X.Len() / f.X.Dim(1); rows != len(f.Labels) {
		return fmt.Errorf("%d %s features for %d labels", rows, what, len(f.Labels))
	}
	seen := make([]bool, classes)
	for i, l := range f.Labels {
		if l < 0 || int(l) >= classes {
			return fmt.Errorf("%s image %d has label %d; there are %d classes", what, i, l, classes)
		}
		seen[l] = true
	}
	if every {
		for c, ok := range seen {
			if !ok {
				return fmt.Errorf("class %d has no %s images", c, what)
			}
		}
	}
	d := f.X.Dim(1)
	v := f.X.Floats()
	for i := range f.Labels {
		sum := 0.0
		for _, x := range v[i*d : (i+1)*d] {
			sum += float64(x) * float64(x)
		}
		if math.IsNaN(sum) || math.IsInf(sum, 0) || sum == 0 {
			return fmt.Errorf("the features of %s image %d have length %g", what, i, math.Sqrt(sum))
		}
	}
	return nil
}

// Stack makes one set of P passes over the same images, [P, N, D] with the labels of one.
func Stack(passes *tensor.Tensor, labels []int32) Features {
	p, n, d := passes.Shape()[0], passes.Shape()[1], passes.Shape()[2]
	all := make([]int32, 0, p*n)
	for range p {
		all = append(all, labels...)
	}
	return Features{passes.View(p*n, d), all}
}

// Unit is x with rows of length 1, held by the tape.
func unit(t *autograd.Tape, x *tensor.Tensor) *tensor.Tensor {
	return autograd.L2Normalize(t.Const(x)).Value
}

// oneHot is 1 where a row's label is the column, held by the tape: [N, classes].
func oneHot(t *autograd.Tape, labels []int32, classes int) *tensor.Tensor {
	v := make([]float32, len(labels)*classes)
	for i, l := range labels {
		v[i*classes+int(l)] = 1
	}
	x := t.New(tensor.Full, len(labels), classes)
	x.Set(v)
	return x
}

// Correct counts rows whose largest logit is the label's; ties go to the lowest index.
func Correct(logits *tensor.Tensor, labels []int32) (n int) {
	v, w := logits.Float64s(), logits.Dim(1)
	for i, l := range labels {
		best, row := 0, v[i*w:(i+1)*w]
		for j, x := range row {
			if x > row[best] {
				best = j
			}
		}
		if best == int(l) {
			n++
		}
	}
	return n
}
