package tensor

import (
	"fmt"
	"slices"
	"strings"
)

// Len is the number of elements of a shape; the empty shape is a scalar and has one.
func Len(shape []int) int {
	n := 1
	for _, d := range shape {
		n *= d
	}
	return n
}

// IsSuffix reports whether s is the tail of shape. It is the only broadcast there is: element i of
// the larger tensor meets element i mod Len(s) of the smaller.
func IsSuffix(s, shape []int) bool {
	return len(s) <= len(shape) && slices.Equal(s, shape[len(shape)-len(s):])
}

// ShapeError is the panic of a checked entry point: a bug in the calling program, never bad input.
type ShapeError struct {
	Op       string    // the operation, as "Gemm"
	Rule     string    // what should have held
	Operands []Operand // every operand with its shape
}

// Operand is a named shape in a ShapeError.
type Operand struct {
	Name  string
	Shape []int
}

func (e *ShapeError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "tensor: %s: %s;", e.Op, e.Rule)
	for _, o := range e.Operands {
		fmt.Fprintf(&b, " %s%v", o.Name, o.Shape)
	}
	return b.String()
}

// check panics with a ShapeError unless ok and all tensors are on one device. names has a word for each
// tensor, so that the good path builds nothing.
func check(ok bool, op, rule string, names string, ts ...*Tensor) {
	if ok {
		if ok = onOneDevice(ts); ok {
			return
		}
		rule = "all tensors on one device"
	}
	e := &ShapeError{Op: op, Rule: rule}
	for i, n := range strings.Fields(names) {
		if i < len(ts) && ts[i] != nil {
			e.Operands = append(e.Operands, Operand{n, slices.Clone(ts[i].shape)})
		}
	}
	panic(e)
}

// onOneDevice passes over nil, and over mere shapes.
func onOneDevice(ts []*Tensor) bool {
	var first *Device
	for _, t := range ts {
		if t == nil || t.dev == nil {
			continue
		}
		if first == nil {
			first = t.dev
		}
		if t.dev != first {
			return false
		}
	}
	return true
}

// lanes is the length of t's first axis, that of the lanes.
func lanes(op string, t *Tensor) int {
	check(t.Rank() >= 1, op, "the first axis is that of the lanes", "t", t)
	return t.shape[0]
}

// rows splits a tensor into rows of its last axis.
func rows(t *Tensor) (n, width int) {
	if len(t.shape) == 0 {
		return 1, 1
	}
	width = t.shape[len(t.shape)-1]
	if width == 0 {
		return 0, 0
	}
	return t.Len() / width, width
}
