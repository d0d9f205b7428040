package nn

import (
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"

	"fewshot/tensor"
)

// Shapes is what a source has, without the values.
type Shapes interface {
	Names() []string
	Shape(name string) (shape []int, ok bool)
}

// Source is anything with named, shaped, readable tensors: a checkpoint, a random initialiser, a map in
// a test. Read fills dst, of just the right length, with the values as float32.
type Source interface {
	Shapes
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
	dev     *tensor.Device // nil for a check
	src     Shapes         // a Source, but for a check
	tensors map[string]*tensor.Tensor
	fixed   map[string]*tensor.Tensor // Constants
	asked   map[string][]int          // shapes by name
	params  []*Param
	faults  []*fault

	reading sync.WaitGroup
	readers chan struct{} // has an element for each that is at work
}

// fault is what is wrong with a tensor, or nothing.
type fault struct{ err error }

// NewWeights opens the top of a source for use on a device.
func NewWeights(dev *tensor.Device, src Source) *Weights { return newWeights(dev, src) }

// NewCheck is NewWeights for constructors that are only to say what they lack: nothing is read or allocated, and the
// Params have no Value. Sizes out of a stranger's file go through it before anything is built of them.
func NewCheck(src Shapes) *Weights { return newWeights(nil, src) }

func newWeights(dev *tensor.Device, src Shapes) *Weights {
	return &Weights{root: &root{dev: dev, src: src, tensors: map[string]*tensor.Tensor{}, fixed: map[string]*tensor.Tensor{},
		asked: map[string][]int{}, readers: make(chan struct{}, runtime.GOMAXPROCS(0))}}
}

// In descends: w.In("transformer", "resblocks", 3).
func (w *Weights) In(parts ...any) *Weights {
	path := w.path
	for _, p := range parts {
		path += fmt.Sprint(p) + "."
	}
	return &Weights{path: path, root: w.root}
}

// Param is the tensor of that name below w, of that shape and kind. Asking twice gives two Params over one tensor: a
// masked student and its unmasked teacher share their storage so. Large ones may have their values only when Err has
// returned.
func (w *Weights) Param(kind tensor.Kind, name string, shape ...int) *Param {
	r, full := w.root, w.path+name
	p := &Param{Name: full}
	if before, again := r.asked[full]; !again {
		r.asked[full] = slices.Clone(shape)
		r.tensors[full] = r.load(kind, full, shape)
		p.Value = r.tensors[full]
	} else if slices.Equal(before, shape) {
		p.Value = r.tensors[full]
	} else {
		p.Value = r.fault(fmt.Errorf("%s: used as %v and as %v", full, before, shape))
	}
	r.params = append(r.params, p)
	return p
}

// Fork is the top of the same source, over the tensors that are loaded by now: what is built on it has Params of its
// own, which w does not keep, so that it can come and go.
func (w *Weights) Fork() *Weights {
	r := w.root
	return &Weights{root: &root{dev: r.dev, src: r.src, tensors: r.tensors, fixed: r.fixed, asked: r.asked, readers: r.readers}}
}

// Release gives the tensors of parameters back, for who will not use them any more. Whoever does so all the same finds
// a Param without a Value, on any path into the source. There must be no Fork with Params over them: they would have
// memory that is others'.
func (w *Weights) Release(params []*Param) {
	r := w.root
	gone := map[string]bool{}
	for _, p := range params {
		if t := r.tensors[p.Name]; t != nil {
			t.Release()
		}
		r.tensors[p.Name] = nil
		gone[p.Name] = true
	}
	for _, p := range r.params {
		if gone[p.Name] {
			p.Value, p.tape, p.on = nil, nil, nil
		}
	}
}

// Bias is Param for what is added to the rows of a product, of the kind that the device adds as it is.
func (w *Weights) Bias(name string, n int) *Param {
	kind := tensor.Full
	if w.root.dev != nil {
		kind = w.root.dev.BiasKind()
	}
	return w.Param(kind, name, n)
}

// Constant is a tensor that no checkpoint holds, as a table of angles is, under a name that says all of it: whoever
// asks again has the same one. It is nil in a check.
func (w *Weights) Constant(kind tensor.Kind, name string, values func() []float64, shape ...int) *tensor.Tensor {
	r := w.root
	if r.dev == nil {
		return nil
	}
	if r.fixed[name] == nil {
		t := r.dev.New(kind, shape...)
		t.SetFloat64(values())
		r.fixed[name] = t
	}
	return r.fixed[name]
}

// Has reports whether the source has a tensor of that name below w.
func (w *Weights) Has(name string) bool {
	_, ok := w.root.src.Shape(w.path + name)
	return ok
}

// load reads a tensor that has the shape it should have.
func (r *root) load(kind tensor.Kind, name string, want []int) *tensor.Tensor {
	have, ok := r.src.Shape(name)
	switch {
	case !ok:
		return r.fault(fmt.Errorf("%s: missing, want shape %v", name, want))
	case !slices.Equal(have, want):
		return r.fault(fmt.Errorf("%s: has shape %v, want %v", name, have, want))
	case r.dev == nil:
		return nil
	}
	t := r.dev.New(kind, want...)
	if r.background(name, t) {
		return t
	}
	if err := r.read(name, t); err != nil {
		return r.fault(err)
	}
	return t
}

// A concurrent source says whether tensors may be read from it at the same time, as from files: all processors then
// open a model.
type concurrent interface{ Concurrent() bool }

// large is the number of elements from which on a tensor is worth a goroutine of its own. Layers that look at values in
// their constructors, as norms of ResNets do, look at fewer.
const large = 1 << 18

// background reads a large tensor while the constructor goes on, right into its memory, and reports whether that can
// be done.
func (r *root) background(name string, t *tensor.Tensor) bool {
	c, ok := r.src.(concurrent)
	memory := t.Memory()
	if !ok || !c.Concurrent() || len(memory) < large {
		return false
	}
	f := &fault{}
	r.faults = append(r.faults, f)
	r.readers <- struct{}{}
	r.reading.Go(func() {
		f.err = r.src.(Source).Read(name, memory)
		<-r.readers
	})
	return true
}

// A streamer is a source that can give a tensor's values in order, a few at a time, with the index of the first: a
// model is then opened without a second copy of its largest tensor.
type streamer interface {
	Stream(name string, use func(at int, values []float32) error) error
}

// read fills a tensor from the source.
func (r *root) read(name string, t *tensor.Tensor) error {
	if s, ok := r.src.(streamer); ok {
		flat := t.View(t.Len())
		return s.Stream(name, func(at int, values []float32) error {
			flat.Rows(at, at+len(values)).Set(values)
			return nil
		})
	}
	v := make([]float32, t.Len())
	if err := r.src.(Source).Read(name, v); err != nil {
		return err
	}
	t.Set(v)
	return nil
}

// fault notes what is wrong and gives a scalar in place of the tensor, so that the constructor can go on and find the
// rest. It does not have the shape asked for: that was computed from a file that has no such tensor, and may be of
// any size.
func (r *root) fault(err error) *tensor.Tensor {
	r.faults = append(r.faults, &fault{err})
	if r.dev == nil {
		return nil
	}
	return r.dev.Zeros(tensor.Full)
}

// Params are all parameters asked for so far, below any path into this source, in the order of asking.
func (w *Weights) Params() []*Param { return w.root.params }

// Unused are the names in the source below w that nobody asked for, sorted.
func (w *Weights) Unused() []string {
	var names []string
	for _, n := range w.root.src.Names() {
		if _, asked := w.root.asked[n]; !asked && strings.HasPrefix(n, w.path) {
			names = append(names, n)
		}
	}
	slices.Sort(names)
	return names
}

// Asked are the shapes of all that was asked for, by name.
func (w *Weights) Asked() map[string][]int { return maps.Clone(w.root.asked) }

// Err waits until everything is read that was asked for, and reports all missing tensors, wrong shapes and read errors
// at once: the first twenty, and how many more there are.
func (w *Weights) Err() error {
	const listed = 20
	w.root.reading.Wait()
	var faults []error
	for _, f := range w.root.faults {
		if f.err != nil {
			faults = append(faults, f.err)
		}
	}
	if more := len(faults) - listed; more > 0 {
		faults = append(slices.Clone(faults[:listed]), fmt.Errorf("and %d tensors more", more))
	}
	return errors.Join(faults...)
}

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
