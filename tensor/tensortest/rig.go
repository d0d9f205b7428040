package tensortest

import (
	"errors"
	"fmt"
	"math"
	"runtime/debug"
	"slices"

	"fewshot/tensor"
)

// format is a number format, as far as tolerances depend on it.
type format struct {
	name      string
	u         float64 // unit roundoff: half the distance from 1 to the next number
	tiny, max float64 // smallest normal and largest number
}

var formats = []format{
	{"float64", 0x1p-53, 0x1p-1022, math.MaxFloat64},
	{"float32", 0x1p-24, 0x1p-126, math.MaxFloat32},
	{"float16", 0x1p-11, 0x1p-14, 65504},
	{"bfloat16", 0x1p-8, 0x1p-126, 0x1.fep127},
}

// round is v rounded to the nearest number of the format, to even in a tie.
func (f format) round(v float64) float64 {
	switch size := math.Abs(v); {
	case v-v != 0: // an infinity or NaN
		return v
	case size < f.tiny:
		quantum := 2 * f.u * f.tiny
		return math.RoundToEven(v/quantum) * quantum
	}
	drop := 53 + math.Ilogb(f.u) // bits of the fraction that the format lacks
	if drop == 0 {
		return v
	}
	b := math.Float64bits(v)
	b += 1<<(drop-1) - 1 + b>>drop&1
	return math.Float64frombits(b >> drop << drop)
}

// probe finds out in what format a device keeps tensors of kind k: the finest that tells 1+2u from 1.
func probe(dev *tensor.Device, k tensor.Kind) (format, error) {
	t := dev.New(k, 1)
	defer t.Release()
	for _, f := range formats {
		t.SetFloat64([]float64{1 + 2*f.u})
		if t.Item() == 1+2*f.u {
			return f, nil
		}
	}
	return format{}, fmt.Errorf("the format of kind %d is none that is known here", k)
}

// device is a device under test with its formats.
type device struct {
	*tensor.Device
	formats   [2]format // by kind
	impatient bool      // one failure ends a case
}

func newDevice(d *tensor.Device) (*device, error) {
	full, err := probe(d, tensor.Full)
	compute, err2 := probe(d, tensor.Compute)
	return &device{Device: d, formats: [2]format{full, compute}}, errors.Join(err, err2)
}

// kinds lists the kinds of main operands to test with: Compute only where it differs from Full.
func (d *device) kinds() []tensor.Kind {
	if d.formats[tensor.Full] == d.formats[tensor.Compute] {
		return []tensor.Kind{tensor.Full}
	}
	return []tensor.Kind{tensor.Full, tensor.Compute}
}

// rig is what one run of a case works with: the device, the operands it made, and what was found wrong.
type rig struct {
	arith // of the device's accumulators, which have the format of Full
	dev   *device
	be    tensor.Backend
	kind  tensor.Kind // of the case's main operands

	where    string // which of the case's variants is under way, for messages
	operands []*operand
	random   uint64
	failed   []string

	// bits, where not nil, receives every result instead of its being compared with the definition.
	bits *[]result
}

// result is one output as bits, NaN always the same.
type result struct {
	where string
	bits  []uint64
}

// runCase runs one case and returns what it found wrong.
func runCase(d *device, c testCase, k tensor.Kind, bits *[]result) (failed []string) {
	f := d.formats[tensor.Full]
	r := &rig{arith: arith{f.u + 0x1p-53, f.tiny}, dev: d, be: d.Backend(), kind: k, bits: bits}
	defer func() {
		if p := recover(); p != nil {
			failed = append(r.failed, fmt.Sprintf("%s: panic: %v\n%s", r.where, p, debug.Stack()))
		}
		d.Trim()
	}()
	c.run(r)
	r.finish()
	if err := d.Sync(); err != nil {
		r.errorf("Sync: %v", err)
	}
	return r.failed
}

func (r *rig) errorf(format string, args ...any) {
	const enough = 8 // a kernel that is wrong everywhere need not say so a thousand times
	if len(r.failed) < enough {
		r.failed = append(r.failed, r.where+": "+fmt.Sprintf(format, args...))
	}
	if r.dev.impatient {
		panic("one failure is enough")
	}
}

// variant ends the variant of the case under way, if any, and names the next.
func (r *rig) variant(format string, args ...any) {
	r.finish()
	r.where = fmt.Sprintf(format, args...)
}

// operand is a tensor in the middle of a larger one, and the values it was given.
type operand struct {
	*tensor.Tensor
	v       []float64 // as the device holds them
	outer   *tensor.Tensor
	lead    int // elements of outer before it
	guard   float64
	written bool // the kernel may write it
}

// guardValue surrounds outputs. Every format holds it, and no case computes it.
const guardValue = -24576

// place makes a tensor with guards on both sides. Their length changes, so that tensors are aligned
// in all ways that views can be.
func (r *rig) place(k tensor.Kind, guard float64, shape []int) *operand {
	n := tensor.Len(shape)
	lead := []int{64, 37, 16, 1}[len(r.operands)%4]
	o := &operand{lead: lead, guard: guard, outer: r.dev.New(k, lead+n+lead)}
	tensor.Fill(o.outer, guard)
	o.Tensor = o.outer.Rows(lead, lead+n).View(shape...)
	r.operands = append(r.operands, o)
	return o
}

// in makes an input of kind k.
func (r *rig) in(k tensor.Kind, v []float64, shape ...int) *operand {
	o := r.place(k, math.NaN(), shape)
	o.SetFloat64(v)
	o.v = o.Float64s()
	return o
}

// out makes an output of kind k, full of NaN.
func (r *rig) out(k tensor.Kind, shape ...int) *operand {
	o := r.place(k, guardValue, shape)
	tensor.Fill(o.Tensor, math.NaN())
	o.written = true
	return o
}

// inout makes an operand that the kernel reads and overwrites.
func (r *rig) inout(k tensor.Kind, v []float64, shape ...int) *operand {
	o := r.place(k, guardValue, shape)
	o.SetFloat64(v)
	o.v, o.written = o.Float64s(), true
	return o
}

// keep makes an output an input of what follows.
func (o *operand) keep() { o.v, o.written = o.Float64s(), false }

// over is a destination: x itself, or a new tensor like it.
func (r *rig) over(x *operand, itself bool) *operand {
	if itself {
		x.written = true
		return x
	}
	return r.out(x.Kind(), x.Shape()...)
}

// finish checks guards and inputs of the variant under way and gives its tensors back.
func (r *rig) finish() {
	for i, o := range r.operands {
		if r.bits == nil {
			if fault := o.inspect(); fault != "" {
				r.errorf("operand %d %v: %s", i, o.Shape(), fault)
			}
		}
		o.outer.Release()
	}
	r.operands = r.operands[:0]
}

// inspect says what happened to the operand that should not have.
func (o *operand) inspect() string {
	for i, got := range o.outer.Float64s() {
		at := i - o.lead
		inside := at >= 0 && at < o.Len()
		if !inside && !same(got, o.guard) {
			return fmt.Sprintf("element %d, outside of it, was overwritten with %v", at, got)
		}
		if inside && !o.written && !same(got, o.v[at]) {
			return fmt.Sprintf("it is an input, but element %d changed from %v to %v", at, o.v[at], got)
		}
	}
	return ""
}

// same is equality of values, NaN included.
func same(x, y float64) bool { return x == y || x != x && y != y }

// check compares an output with its definition.
func (r *rig) check(what string, got *operand, definition func() []num) {
	r.checkAny(what, got, func() [][]num { return [][]num{definition()} })
}

// checkAny compares an output with several definitions, of which each element may follow any: they are
// the outcomes of a decision that rounding may turn.
func (r *rig) checkAny(what string, got *operand, definition func() [][]num) {
	g := got.Float64s()
	if r.bits != nil {
		*r.bits = append(*r.bits, result{r.where + ": " + what, canonical(g)})
		return
	}
	want := definition()
	wrong, first := 0, ""
	for i, v := range g {
		if slices.ContainsFunc(want, func(w []num) bool { return r.near(v, w[i], got.Kind()) }) {
			continue
		}
		if wrong++; wrong == 1 {
			first = fmt.Sprintf("element %d is %v, want", i, v)
			for _, w := range want {
				first += fmt.Sprintf(" %v ± %.2g", w[i].v, w[i].err)
			}
		}
	}
	if wrong > 0 {
		r.errorf("%s%v: %s (%d of %d are wrong)", what, got.Shape(), first, wrong, len(g))
	}
}

// near reports whether got may stand for want in a tensor of kind k. Without error there is one number
// that may: want rounded to the tensor's format.
func (r *rig) near(got float64, want num, k tensor.Kind) bool {
	f, err := r.dev.formats[k], want.err
	switch {
	case want.v != want.v:
		return got != got
	case math.IsInf(want.v, 0):
		return got == want.v
	case err == 0:
		return got == f.round(want.v)
	case !(err < math.Inf(1)):
		return false // the case gives no bound: its inputs do not suit it
	case math.Abs(want.v)+err >= f.max && math.IsInf(got, sign(want.v)):
		return true
	case f.u > r.u:
		err += f.u*(math.Abs(want.v)+err) + f.tiny // storing rounds once more
	}
	return math.Abs(got-want.v) <= err
}

// canonical is v as bits, all NaN alike.
func canonical(v []float64) []uint64 {
	b := make([]uint64, len(v))
	for i, x := range v {
		if x != x {
			x = math.NaN()
		}
		b[i] = math.Float64bits(x)
	}
	return b
}

// rejects checks that a call with wrong shapes panics with a *tensor.ShapeError.
func (r *rig) rejects(call string, f func()) {
	defer func() {
		if e, ok := recover().(*tensor.ShapeError); !ok {
			r.errorf("%s was not refused with a ShapeError", call)
		} else if e.Op == "" || e.Rule == "" || len(e.Operands) == 0 {
			r.errorf("%s: the ShapeError %q does not say what was wrong", call, e)
		}
	}()
	f()
}
