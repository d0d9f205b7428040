package nn

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"fewshot/tensor"
)

// Source is anything with named, shaped, readable tensors: a checkpoint, a random initialiser, a map in
// a test. Read fills dst, of just the right length, with the values as float32.
type Source interface {
	Names() []string
	Shape(name string) (shape []int, ok bool)
	Read(name string, dst []float32) error
}

// Weights is a path into a source. Constructors of layers ask it for what they need by checkpoint name;
// names occur nowhere else. Faults are collected and reported together by Err: nothing is ever
// filled in for a missing tensor.
type Weights struct {
	path string
	root *root
}

// root is what all paths into one source share.
type root struct {
	dev     *tensor.Device
	src     Source
	tensors map[string]*tensor.Tensor
	params  []*Param
	faults  []error
}

// NewWeights opens the top of a source for use on a device.
func NewWeights(dev *tensor.Device, src Source) *Weights {
	return &Weights{root: &root{dev: dev, src: src, tensors: map[string]*tensor.Tensor{}}}
}

// In descends: w.In("transformer", "resblocks", 3).
func (w *Weights) In(parts ...any) *Weights {
	path := w.path
	for _, p := range parts {
		path += fmt.Sprint(p) + "."
	}
	return &Weights{path: path, root: w.root}
}

// Param is the tensor of that name below w, of that shape and kind. Asking twice gives two Params over one
// tensor: a masked student and its unmasked teacher share their storage so.
func (w *Weights) Param(kind tensor.Kind, name string, shape ...int) *Param {
	r, full := w.root, w.path+name
	t := r.tensors[full]
	if t == nil {
		t = r.load(kind, full, shape)
		r.tensors[full] = t
	} else if !slices.Equal(t.Shape(), shape) {
		r.faults = append(r.faults, fmt.Errorf("%s: used as %v and as %v", full, t.Shape(), shape))
		t = r.dev.Zeros(kind, shape...)
	}
	p := &Param{Name: full, Value: t}
	r.params = append(r.params, p)
	return p
}

// Bias is Param for what is added to the rows of a product, of the kind that the device adds as it is.
func (w *Weights) Bias(name string, n int) *Param { return w.Param(w.root.dev.BiasKind(), name, n) }

// load reads a tensor. After a fault it returns zeros, so that the constructor can go on and find the rest.
func (r *root) load(kind tensor.Kind, name string, want []int) *tensor.Tensor {
	have, ok := r.src.Shape(name)
	switch {
	case !ok:
		r.faults = append(r.faults, fmt.Errorf("%s: missing, want shape %v", name, want))
	case !slices.Equal(have, want):
		r.faults = append(r.faults, fmt.Errorf("%s: has shape %v, want %v", name, have, want))
	default:
		v := make([]float32, tensor.Len(want))
		if err := r.src.Read(name, v); err != nil {
			r.faults = append(r.faults, err)
			break
		}
		t := r.dev.New(kind, want...)
		t.Set(v)
		return t
	}
	return r.dev.Zeros(kind, want...)
}

// Params are all parameters asked for so far, below any path into this source, in the order of asking.
func (w *Weights) Params() []*Param { return w.root.params }

// Unused are the names in the source below w that nobody asked for, sorted.
func (w *Weights) Unused() []string {
	var names []string
	for _, n := range w.root.src.Names() {
		if strings.HasPrefix(n, w.path) && w.root.tensors[n] == nil {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// Err reports all missing tensors, wrong shapes and read errors at once.
func (w *Weights) Err() error { return errors.Join(w.root.faults...) }

// Values are the parameters' present values as a source: what a trained model is written from.
func (w *Weights) Values() Source { return values(w.root.tensors) }

type values map[string]*tensor.Tensor

func (v values) Names() []string { return slices.Sorted(maps.Keys(v)) }

func (v values) Shape(name string) ([]int, bool) {
	t := v[name]
	if t == nil {
		return nil, false
	}
	return t.Shape(), true
}

func (v values) Read(name string, dst []float32) error {
	t := v[name]
	if t == nil {
		return fmt.Errorf("%s: no such parameter", name)
	}
	t.ReadInto(dst)
	return nil
}
